//! Which layer noticed a failure, and whether it did so by itself.

use std::collections::BTreeSet;

use crate::record::{BfdChange, Fact, MicroBfd};
use crate::time::At;

/// A fact that tells that a layer noticed a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection<'f> {
    /// `light`, `lacp`, `lag`, `micro-bfd`, `bfd` or `bgp`.
    pub layer: &'static str,
    /// The router that noticed.
    pub router: &'f str,
    /// The connection, or the session on it.
    pub session: &'f str,
    /// By itself; otherwise it only followed another layer.
    pub own: bool,
}

impl<'f> Detection<'f> {
    /// What a fact tells that was noticed, as far as it can be told from it alone.
    pub fn of(fact: &'f Fact) -> Option<Detection<'f>> {
        let (layer, router, session, own) = match fact {
            Fact::Light {
                router,
                connection,
                up: false,
                ..
            } => ("light", router, connection, true),
            Fact::Member {
                router,
                connection,
                distributing: false,
                ..
            } => ("lacp", router, connection, true),
            Fact::Lag {
                router,
                connection,
                up: false,
                ..
            } => ("lag", router, connection, false),
            Fact::Bfd {
                router,
                connection,
                state,
                ..
            } if state == "down" => ("bfd", router, connection, true),
            Fact::MicroBfd {
                router,
                connection,
                now,
                ..
            } if now.state == "down" => ("micro-bfd", router, connection, true),
            Fact::Bgp {
                router,
                session,
                state,
                why,
            } if state != "Established" => ("bgp", router, session, is_hold_timer(why)),
            _ => return None,
        };
        Some(Detection {
            layer,
            router,
            session,
            own,
        })
    }
}

/// The hold timer, of this end or of the other one. That nothing could be sent (RFC 9687) tells of the neighbour, not of the path.
fn is_hold_timer(why: &str) -> bool {
    why == "hold timer expired" || why.starts_with("received Hold Timer Expired")
}

/// When a layer first noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// When.
    pub at: At,
    /// As in [`Detection`].
    pub layer: &'static str,
    /// The router that noticed.
    pub router: String,
    /// The connection, or the session on it.
    pub session: String,
}

/// The layers that noticed a failure by themselves, each when it first did, the first first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FirstOfEach(Vec<Noticed>);

impl FirstOfEach {
    /// Takes in what was noticed. Threads hand in facts slightly out of order: the earliest of a layer counts.
    pub fn note(&mut self, at: At, it: &Detection<'_>) {
        let known = self.0.iter().any(|n| n.layer == it.layer && n.at <= at);
        if known || !it.own {
            return;
        }
        self.0.retain(|n| n.layer != it.layer);
        self.0.push(Noticed {
            at,
            layer: it.layer,
            router: it.router.to_owned(),
            session: it.session.to_owned(),
        });
        self.0.sort_by_key(|n| n.at);
    }

    /// In order of time.
    pub fn as_slice(&self) -> &[Noticed] {
        &self.0
    }
}

/// What has to be known of members and sessions to tell whether LACP, BFD and BGP noticed by themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layers {
    /// Members whose BFD is down, by router and connection.
    dead_members: BTreeSet<(String, String, u8)>,
    /// Members whose light went, and whose partner LACP has not heard since.
    dark_members: BTreeSet<(String, String, u8)>,
    /// Members that distribute.
    working_members: BTreeSet<(String, String, u8)>,
    /// BFD sessions whose other end says that it is disabled, by router; those on members as `ams-1/1`.
    disabled: BTreeSet<(String, String)>,
    /// BGP sessions that are Established, by router.
    established: BTreeSet<(String, String)>,
}

impl Layers {
    /// What a fact tells that was noticed, the facts before it being remembered.
    pub fn detection<'f>(&self, fact: &'f Fact) -> Option<Detection<'f>> {
        Detection::of(fact).filter(|_| !self.follows(fact))
    }

    /// Whether a layer did not notice by itself.
    fn follows(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Member {
                router,
                connection,
                member,
                receive,
                ..
            } => {
                let member = (router.clone(), connection.clone(), *member);
                match receive.as_str() {
                    "PORT_DISABLED" => true,
                    // It hears its partner: either BFD on the member noticed, or it is only coming up.
                    "CURRENT" => {
                        self.dead_members.contains(&member)
                            || !self.working_members.contains(&member)
                    }
                    // Its light went, and its partner was not heard since.
                    _ => self.dark_members.contains(&member),
                }
            }
            // The hold timer of a session that never was noticed no failure.
            Fact::Bgp {
                router, session, ..
            } => {
                let session = (router.clone(), session.clone());
                !self.established.contains(&session)
            }
            _ => (fact.bfd_change()).is_some_and(|bfd| self.is_disabled(bfd)),
        }
    }

    /// Whether a BFD session is down because an end disabled it, which says nothing of the path (RFC 5882, section 3.2). An end
    /// that tells that the other noticed speaks for BFD.
    fn is_disabled(&self, bfd: BfdChange<'_>) -> bool {
        let session = (bfd.router.to_owned(), bfd.session.into_owned());
        bfd.diagnostic == "administratively down" || self.disabled.contains(&session)
    }

    /// Keeps of a fact what later ones depend on.
    pub fn remember(&mut self, fact: &Fact) {
        match fact {
            Fact::Member {
                router,
                connection,
                member,
                receive,
                distributing,
                ..
            } => {
                let member = (router.clone(), connection.clone(), *member);
                put(&mut self.working_members, member.clone(), *distributing);
                match receive.as_str() {
                    "PORT_DISABLED" => put(&mut self.dark_members, member, true),
                    "CURRENT" => put(&mut self.dark_members, member, false),
                    _ => {}
                }
            }
            Fact::MicroBfd {
                router,
                connection,
                member,
                now: MicroBfd { state, .. },
            } => {
                let member = (router.clone(), connection.clone(), *member);
                put(&mut self.dead_members, member, state == "down");
            }
            Fact::BfdHeard {
                router,
                connection,
                heard,
            } => {
                let session = (router.clone(), connection.clone());
                put(&mut self.disabled, session, heard.state == "admin-down");
            }
            Fact::Bgp {
                router,
                session,
                state,
                ..
            } => {
                let session = (router.clone(), session.clone());
                put(&mut self.established, session, state == "Established");
            }
            _ => {}
        }
    }
}

fn put<T: Ord>(set: &mut BTreeSet<T>, it: T, is_in: bool) {
    match is_in {
        true => set.insert(it),
        false => set.remove(&it),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BfdHeard;

    fn bfd(member: Option<u8>, state: &str, diagnostic: &str) -> Fact {
        let (router, connection) = ("ams-edge-1".to_owned(), "ams-1".to_owned());
        let (state, diagnostic) = (state.to_owned(), diagnostic.to_owned());
        let (last_received, detection_time) = (None, None);
        match member {
            None => Fact::Bfd {
                router,
                connection,
                state,
                diagnostic,
                last_received,
                detection_time,
            },
            Some(member) => Fact::MicroBfd {
                router,
                connection,
                member,
                now: MicroBfd {
                    state,
                    diagnostic,
                    last_received,
                    detection_time,
                },
            },
        }
    }

    fn heard(member: Option<u8>, state: &str) -> Fact {
        Fact::BfdHeard {
            router: "ams-edge-1".to_owned(),
            connection: match member {
                None => "ams-1".to_owned(),
                Some(member) => format!("ams-1/{member}"),
            },
            heard: BfdHeard::saying(state),
        }
    }

    fn bgp(state: &str, why: &str) -> Fact {
        Fact::Bgp {
            router: "ams-edge-1".to_owned(),
            session: "ams-1".to_owned(),
            state: state.to_owned(),
            why: why.to_owned(),
        }
    }

    fn member(receive: &str, distributing: bool) -> Fact {
        Fact::Member {
            router: "ams-edge-1".to_owned(),
            connection: "ams-1".to_owned(),
            member: 1,
            receive: receive.to_owned(),
            collecting: distributing,
            distributing,
            partner: String::new(),
        }
    }

    /// What layers noticed by themselves, in order.
    fn noticed(facts: &[Fact]) -> Vec<&'static str> {
        let (mut layers, mut first) = (Layers::default(), FirstOfEach::default());
        for (at, fact) in (1..).zip(facts) {
            if let Some(it) = layers.detection(fact) {
                first.note(At::from_millis(at), &it);
            }
            layers.remember(fact);
        }
        first.as_slice().iter().map(|n| n.layer).collect()
    }

    /// Neither who is disabled noticed, nor who is told so, nor who comes up again.
    #[test]
    fn a_bfd_session_that_is_disabled_noticed_nothing() {
        let (expired, signaled, disabled) = (
            "control detection time expired",
            "neighbor signaled session down",
            "administratively down",
        );
        for (on, layer) in [(None, "bfd"), (Some(1), "micro-bfd")] {
            let is = |state: &str, why: &str| bfd(on, state, why);
            let says = |state: &str| heard(on, state);
            for (facts, expected) in [
                (vec![is("admin-down", disabled)], None),
                (vec![is("admin-down", disabled), is("down", disabled)], None),
                (vec![is("init", expired)], None),
                (vec![says("admin-down"), is("down", signaled)], None),
                (vec![is("down", expired)], Some(layer)),
                // The other end noticed, and tells.
                (vec![says("down"), is("down", signaled)], Some(layer)),
                (
                    vec![says("admin-down"), says("up"), is("down", expired)],
                    Some(layer),
                ),
            ] {
                let expected: Vec<&str> = expected.into_iter().collect();
                assert_eq!(noticed(&facts), expected, "{facts:?}");
            }
        }
    }

    /// A member that hears its partner, and does not distribute yet, has lost nothing.
    #[test]
    fn a_member_that_comes_up_noticed_nothing() {
        let nothing: [&str; 0] = [];
        let coming = [member("PORT_DISABLED", false), member("CURRENT", false)];
        assert_eq!(noticed(&coming), nothing);
        // Its partner has it no longer.
        let lost = [member("CURRENT", true), member("CURRENT", false)];
        assert_eq!(noticed(&lost), ["lacp"]);
    }

    /// Every step on the way up is not Established, too.
    #[test]
    fn a_bgp_session_that_comes_back_detected_nothing() {
        let layers_after = |before: &str| {
            let mut layers = Layers::default();
            layers.remember(&bgp(before, "BFD down"));
            layers
        };
        let layers = layers_after("Idle");
        for (state, why) in [
            ("Connect", "BFD up"),
            ("Active", ""),
            ("OpenSent", ""),
            ("OpenConfirm", ""),
            ("Idle", "hold timer expired"),
        ] {
            assert_eq!(layers.detection(&bgp(state, why)), None, "{state}");
        }
        // The first step down follows from BFD, and is one.
        let lost = bgp("Idle", "BFD down");
        let detection = layers_after("Established").detection(&lost).expect("one");
        assert_eq!((detection.layer, detection.own), ("bgp", false));
    }

    #[test]
    fn of_bgp_only_the_hold_timer_of_an_established_session_noticed() {
        for (before, why, noticed_by) in [
            ("Established", "hold timer expired", vec!["bgp"]),
            ("Established", "received Hold Timer Expired", vec!["bgp"]),
            ("Established", "send hold timer expired", vec![]),
            ("Established", "received Send Hold Timer Expired", vec![]),
            ("Established", "BFD down", vec![]),
            ("OpenConfirm", "hold timer expired", vec![]),
        ] {
            let facts = [bgp(before, ""), bgp("Idle", why)];
            assert_eq!(noticed(&facts), noticed_by, "{before}, {why}");
        }
    }
}
