//! What Microsoft's people do to BGP sessions: drain, shut down, reset, start, ask for routes again, change policies.
//!
//! **Invariant:** a drained session has the policies of its connection, and tells and takes routes as a last resort besides
//! (RFC 8326), whatever becomes of these policies meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Acted, Lab, LabError};
use crate::bgp::attributes::Community;
use crate::bgp::family::Family;
use crate::bgp::policy::{Change, Policy, Rule, Verdict};
use crate::provider::{self, Provider};
use crate::router::driver::RouterHandle;
use crate::router::{RouterConfig, SessionIndex};
use crate::scenario::{PolicyChange, SessionOrder, Speaker};
use crate::time::At;
use crate::topology::{of_session, session_name};

/// GRACEFUL_SHUTDOWN (RFC 8326, section 5).
pub(super) const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;

/// What was ordered for the edges' sessions with the peer.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// What is accepted on a connection and what is announced there, when it is not drained.
    policies: BTreeMap<String, Policies>,
    /// Sessions by name.
    drained: BTreeSet<String>,
    /// Sessions by name.
    shut: BTreeSet<String>,
}

/// Import and export.
type Policies = (Arc<Policy>, Arc<Policy>);

impl Orders {
    /// None, on the policies with which the edges begin.
    pub fn new(configs: &[RouterConfig], provider: &Provider) -> Orders {
        let mut policies = BTreeMap::new();
        for config in configs {
            for session in &config.sessions {
                let (connection, _) = of_session(&session.name);
                if provider.edge(connection) == Some(&config.name) {
                    let both = (Arc::clone(&session.import), Arc::clone(&session.export));
                    policies.insert(connection.to_owned(), both);
                }
            }
        }
        Orders {
            policies,
            ..Orders::default()
        }
    }

    /// Whether a session was shut down by hand.
    pub fn is_shut(&self, session: &str) -> bool {
        self.shut.contains(session)
    }

    /// The policies of a connection are others from now on.
    pub fn set_policies(&mut self, connection: &str, import: Policy, export: Policy) {
        let both = (Arc::new(import), Arc::new(export));
        self.policies.insert(connection.to_owned(), both);
    }

    /// The policies that a session has now.
    pub fn policies(&self, session: &str) -> Option<Policies> {
        let (import, export) = self.policies.get(of_session(session).0)?;
        Some(match self.drained.contains(session) {
            false => (Arc::clone(import), Arc::clone(export)),
            true => {
                let last_resort = Change::LocalPref(0);
                let told = Change::AddCommunity(Community::Standard(GRACEFUL_SHUTDOWN));
                let import = then(Policy::clone(import), last_resort);
                (
                    Arc::new(import),
                    Arc::new(then(Policy::clone(export), told)),
                )
            }
        })
    }
}

/// The policy, with a change of everything it accepts after all others.
fn then(mut policy: Policy, change: Change) -> Policy {
    let accepts = policy.rules.iter_mut();
    let accepts = accepts.filter(|rule| rule.verdict == Some(Verdict::Accept));
    accepts.for_each(|rule| rule.change.push(change.clone()));
    if policy.otherwise == Verdict::Accept {
        policy.rules.push(Rule::accept(Vec::new(), vec![change]));
    }
    policy
}

impl Lab {
    /// Does what is ordered on sessions of the edges, and returns when it is done.
    ///
    /// # Errors
    /// There is no such session.
    pub(super) async fn order_sessions(
        &mut self,
        order: &SessionOrder,
        sessions: &[String],
    ) -> Result<Acted, LabError> {
        if *order == SessionOrder::Refresh {
            let unable = self.without_refresh(sessions).await;
            if !unable.is_empty() {
                return Ok(Acted::Impossible(format!(
                    "the neighbour on {} does not announce route refresh (RFC 2918)",
                    unable.join(" and ")
                )));
            }
        }
        let told = self.recorder.clock().now();
        for name in sessions {
            match order {
                SessionOrder::Drain => {
                    self.orders.drained.insert(name.clone());
                }
                SessionOrder::Shutdown { .. } => {
                    self.orders.shut.insert(name.clone());
                }
                SessionOrder::Start => {
                    self.orders.drained.remove(name);
                    self.orders.shut.remove(name);
                }
                SessionOrder::Refresh | SessionOrder::Reset { .. } => {}
            }
            let found = self.edge_session(name);
            let unplanned = || LabError::Unplanned(format!("session {name}"));
            let (router, session) = found.ok_or_else(unplanned)?;
            match order {
                SessionOrder::Drain => self.tell_policies(name),
                SessionOrder::Shutdown { text } => router.stop_session(session, text),
                SessionOrder::Reset { text } => router.reset_session(session, text),
                SessionOrder::Start => {
                    self.tell_policies(name);
                    router.start_session(session);
                }
                SessionOrder::Refresh => router.request_refresh(session),
            }
        }
        let ordered = sessions.iter().filter_map(|name| self.edge_session(name));
        Ok(self.obeyed(ordered, told).await)
    }

    /// Those of these sessions that are up with a neighbour that cannot be asked for its routes again.
    async fn without_refresh(&self, sessions: &[String]) -> Vec<String> {
        let mut unable = Vec::new();
        for name in sessions {
            let Some((router, session)) = self.edge_session(name) else {
                continue;
            };
            let knows = router.inspect(move |router, _| {
                let negotiated = router.session_status(session)?.negotiated?;
                Some(negotiated.capabilities.route_refresh)
            });
            if knows.await.flatten() == Some(false) {
                unable.push(name.clone());
            }
        }
        unable
    }

    /// Waits until routers have done what they were told for these sessions after `told`, and says when that was. What came of it is
    /// in the record then, so that no expectation is met by how things were before; a session that was lost may even be on its
    /// way back.
    async fn obeyed<'r>(
        &self,
        sessions: impl Iterator<Item = (&'r RouterHandle, SessionIndex)>,
        told: At,
    ) -> Acted {
        let clock = self.recorder.clock();
        let answers = sessions.map(|(router, session)| {
            router.inspect(move |router, _| {
                let lost = router.session_status(session)?.lost_at;
                Some(lost.filter(|lost| *lost >= told).unwrap_or(clock.now()))
            })
        });
        // All are asked before one is waited for.
        let answers: Vec<_> = answers.collect();
        let mut last = None;
        for answer in answers {
            // A router that ended says nothing.
            last = last.max(answer.await.flatten());
        }
        last.map_or(Acted::Done, Acted::DoneAt)
    }

    /// Gives routers another policy on connections. It takes effect at once: they keep all they receive as it came.
    ///
    /// # Errors
    /// The kernel refused what had to be done.
    pub(super) fn change_policy(&mut self, change: &PolicyChange) -> Result<(), LabError> {
        let PolicyChange {
            by,
            connections,
            import,
            name,
        } = change;
        if *by == Speaker::Microsoft {
            let now = self.recorder.clock().now();
            let input = provider::Input::Policy {
                connections,
                import: *import,
                name,
            };
            self.provider.handle(now, input);
            return self.carry_out();
        }
        let policy = Arc::new(self.provider.policy_of_peer(name));
        let (now_import, now_export) = match import {
            true => (Some(policy), None),
            false => (None, Some(policy)),
        };
        for connection in connections {
            let names = self.peer_policies.entry(connection.clone()).or_default();
            let place = match import {
                true => &mut names.import,
                false => &mut names.export,
            };
            *place = Some(name.clone());
            self.tell_peer(connection, now_import.as_ref(), now_export.as_ref());
        }
        Ok(())
    }

    /// Makes the policies of the peer's simulated routers anew that ask what the RPKI says.
    pub(super) fn tell_peer_of_rpki(&self) {
        let policy = |name: &Option<String>| {
            let policy = self.provider.policy_of_peer(name.as_ref()?);
            policy.asks_rpki().then(|| Arc::new(policy))
        };
        for (connection, names) in &self.peer_policies {
            let (import, export) = (policy(&names.import), policy(&names.export));
            self.tell_peer(connection, import.as_ref(), export.as_ref());
        }
    }

    /// Gives the peer's router of a connection other policies there, if it is a simulated one.
    fn tell_peer(
        &self,
        connection: &str,
        import: Option<&Arc<Policy>>,
        export: Option<&Arc<Policy>>,
    ) {
        let layout = self.layout.connection(connection);
        let router = layout.and_then(|layout| self.routers.get(&layout.peer.router));
        let Some(router) = router.filter(|_| import.is_some() || export.is_some()) else {
            return;
        };
        for family in Family::ALL {
            if let Some(session) = router.session(&session_name(connection, family)) {
                router.set_policy(session, import.cloned(), export.cloned());
            }
        }
    }

    /// Gives a session the policies it is to have now, if there is such a session.
    pub(super) fn tell_policies(&self, name: &str) {
        let found = self.edge_session(name).zip(self.orders.policies(name));
        if let Some(((router, session), (import, export))) = found {
            router.set_policy(session, Some(import), Some(export));
        }
    }

    /// The edge's router and the session of a name.
    pub(super) fn edge_session(&self, name: &str) -> Option<(&RouterHandle, SessionIndex)> {
        let edge = self.provider.edge(of_session(name).0)?;
        let router = self.routers.get(edge)?;
        Some((router, router.session(name)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::attributes::Attributes;
    use crate::bgp::policy::Match;

    #[test]
    fn a_drained_session_refuses_what_it_refused_and_prefers_nothing() {
        let long = Match::PrefixLength(25..=32);
        let mine = Match::PrefixLength(24..=24);
        let policy = Policy::new(
            vec![
                Rule::reject(vec![long], "too-long"),
                Rule::accept(vec![mine], vec![Change::LocalPref(300)]),
            ],
            Verdict::Accept,
        );
        let drained = then(policy, Change::LocalPref(0));
        let route = Attributes::originated(std::net::Ipv4Addr::LOCALHOST);
        let of = |prefix: &str| {
            let prefix: ipnet::Ipv4Net = prefix.parse().expect("a prefix");
            let shaped = drained.evaluate(prefix, &route);
            shaped.map(|route| route.local_pref).map_err(Clone::clone)
        };
        assert_eq!(of("198.51.100.0/24"), Ok(Some(0)));
        assert_eq!(of("198.51.0.0/16"), Ok(Some(0)), "accepted by no rule");
        assert_eq!(of("198.51.100.0/25"), Err("too-long".into()));
        let deny = then(Policy::deny_all(), Change::LocalPref(0));
        assert_eq!(deny, Policy::deny_all());
    }
}
