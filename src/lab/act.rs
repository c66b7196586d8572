//! What a step does to a living lab.

use ipnet::IpNet;

use super::cable::touched;
use super::routers::{community, core_sessions, core_sessions_inside};
use super::{Acted, Lab, LabError, impairment};
use crate::bgp::attributes::LargeCommunity;
use crate::bgp::family::Family;
use crate::plan::of_topology::ConnectionLayout;
use crate::provider::received::Segment;
use crate::record::Fact;
use crate::router::{Originated, OriginatedAttributes, Sessions};
use crate::scenario::{Act, Announcement, Fault, FaultKind, Setting, Speaker, Target};
use crate::topology::{Impaired, session_name};

impl Lab {
    /// Does what a step asks for; returns when it was observed to have happened.
    ///
    /// # Errors
    /// The kernel refused; the lab is in an unknown state then.
    pub async fn act(&mut self, act: &Act) -> Result<Acted, LabError> {
        tracing::debug!(?act, "a step");
        let told = self.recorder.clock().now();
        match (self.perform(act).await?, act) {
            // What follows from a word may be over before this thread goes on.
            (
                Acted::Done,
                Act::Announce(_)
                | Act::Withdraw { .. }
                | Act::Bfd { .. }
                | Act::Lacp { .. }
                | Act::Policy(_)
                | Act::Set(Setting::MicrosoftRoutes(_)),
            ) => Ok(Acted::DoneAt(told)),
            (acted, _) => Ok(acted),
        }
    }

    async fn perform(&mut self, act: &Act) -> Result<Acted, LabError> {
        match act {
            // What settling waits for comes by itself.
            Act::Settle { .. } | Act::Hold { .. } => Ok(Acted::Done),
            Act::Send {
                from,
                to,
                both_ways,
                every,
                flows,
                member,
            } => {
                let pin = member
                    .as_ref()
                    .map(|(name, member)| (name.as_str(), *member));
                let there = self.send(from, to, (*every, *flows), pin).await?;
                if !*both_ways || there != Acted::Done {
                    return Ok(there);
                }
                self.send(to, from, (*every, *flows), pin).await
            }
            Act::Augment {
                connection,
                members,
            } => self.augment(connection, members),
            Act::Reduce { connection, member } => self.reduce(connection, *member).await,
            Act::Stop => self.stop_probes().await,
            Act::Fail(fault) => self.fail(fault),
            Act::Impair(impaired) => self.impair(impaired),
            Act::Repair(target) => self.repair(target),
            Act::Restart(restart) => self.restart(restart).await,
            Act::Announce(announcement) => self.announce(announcement),
            Act::Withdraw {
                by: Speaker::Peer,
                prefix,
                from,
            } => {
                self.leave_to_the_core(*prefix, from);
                let family = Family::of(prefix);
                let sessions =
                    core_sessions_inside(&self.layout, family, |router| self.ends_at(router, from));
                self.core()?.withdraw(*prefix, sessions);
                Ok(Acted::Done)
            }
            Act::Withdraw {
                by: Speaker::Microsoft,
                prefix,
                from,
            } => {
                self.withdraw_by_microsoft(*prefix, from)?;
                Ok(Acted::Done)
            }
            Act::Set(Setting::MicrosoftRoutes(count)) => {
                self.set_microsoft_routes(*count)?;
                Ok(Acted::Done)
            }
            Act::Bfd { order, sessions } => Ok(self.order_bfd(*order, sessions)),
            Act::Lacp { order, on } => self.order_lacp(order, on),
            Act::Sessions { order, sessions } => self.order_sessions(order, sessions).await,
            Act::Request(request) => {
                self.request(request)?;
                Ok(Acted::Done)
            }
            Act::Policy(change) => {
                self.change_policy(change)?;
                Ok(Acted::Done)
            }
            Act::Set(setting) => self.set(setting).await,
        }
    }

    fn announce(&mut self, announcement: &Announcement) -> Result<Acted, LabError> {
        let impossible = |why: &str| Ok(Acted::Impossible(why.to_owned()));
        let (path, as_set) = match announcement.as_path.0.as_slice() {
            [] => (Vec::new(), Vec::new()),
            [Segment::Sequence(path)] => (path.clone(), Vec::new()),
            [Segment::Sequence(path), Segment::Set(set)] => (path.clone(), set.clone()),
            _ => return impossible("an AS_SET is announced at the end of a path, or not at all"),
        };
        let (prefix, from) = (announcement.prefix, &announcement.from);
        let mut attributes = attributes(announcement, path, as_set);
        if announcement.by == Speaker::Microsoft {
            if !attributes.as_set.is_empty() {
                return impossible("Microsoft announces no AS_SET (RFC 9774)");
            }
            self.announce_by_microsoft(prefix, &attributes, from)?;
            return Ok(Acted::Done);
        }
        // The router under test puts its own AS in front: what stands behind it is ours to give.
        if attributes.as_path.first() == Some(&self.peer_asn) {
            attributes.as_path.remove(0);
        }
        let route = Originated {
            prefix,
            attributes,
            // The peer's transit hears of it, too, and goes on telling when it is withdrawn from Microsoft.
            sessions: core_sessions(&self.layout, Family::of(&announcement.prefix), |router| {
                self.ends_at(router, &announcement.from)
            }),
        };
        self.leave_to_the_core(route.prefix, &announcement.from);
        let attributes = &route.attributes;
        let own_again = attributes.as_path.contains(&self.peer_asn);
        let passed_on = attributes.as_set.is_empty() && attributes.med.is_none() && !own_again;
        if passed_on && attributes.malformed.is_none() {
            self.core()?.announce(route);
        } else {
            self.announce_at_the_border(&route, &announcement.from)?;
        }
        Ok(Acted::Done)
    }

    /// Announces a route that a router would not pass on as it is: one with an AS_SET is treated as withdrawn, one with
    /// the own AS in its path is a loop, a MED stays inside, and what is malformed is not understood. A simulated router announces such a route itself; a device
    /// is told by the core, and decides.
    fn announce_at_the_border(
        &self,
        route: &Originated,
        connections: &[String],
    ) -> Result<(), LabError> {
        let family = Family::of(&route.prefix);
        for connection in connections {
            let layout = self.layout.connection(connection);
            let Some(peer) = layout.map(|layout| &layout.peer.router) else {
                continue;
            };
            let (router, sessions) = match self.routers.get(peer) {
                Some(router) => {
                    let session = router.session(&session_name(connection, family));
                    (router, Sessions::Only(session.into_iter().collect()))
                }
                None => (
                    self.core()?,
                    core_sessions_inside(&self.layout, family, |router| router == peer),
                ),
            };
            router.announce(Originated {
                sessions,
                ..route.clone()
            });
        }
        Ok(())
    }

    /// The simulated routers of the peer announce what the core tells them, no longer a route of their own.
    fn leave_to_the_core(&self, prefix: IpNet, connections: &[String]) {
        let family = Family::of(&prefix);
        for connection in connections {
            let layout = self.layout.connection(connection);
            let router = layout.and_then(|layout| self.routers.get(&layout.peer.router));
            let session = session_name(connection, family);
            if let Some((router, session)) =
                router.and_then(|router| Some((router, router.session(&session)?)))
            {
                router.unpin(prefix, Sessions::Only(vec![session]));
            }
        }
    }

    /// Whether one of these connections ends at this router of the peer.
    fn ends_at(&self, router: &str, connections: &[String]) -> bool {
        let all = self.layout.connections.iter();
        let mut own = all.filter(|connection| connection.peer.router == router);
        own.any(|connection| connections.contains(&connection.name))
    }

    fn fail(&mut self, fault: &Fault) -> Result<Acted, LabError> {
        let words = words(&fault.target, Some(fault.how));
        let layout = self.layout.clone();
        let (cables, crashed) = touched(&layout, &fault.target);
        self.recorder.now(Fact::FaultAsked {
            fault: words.clone(),
        });
        // A router that dies says nothing, so its processes end before its light goes.
        for edge in &crashed {
            self.crash(edge);
        }
        for (connection, member) in &cables {
            self.cables.fail(connection, *member, fault.how)?;
        }
        for edge in &crashed {
            self.wan_link(edge, false)?;
        }
        self.happened(words, &cables, false);
        Ok(Acted::Done)
    }

    fn impair(&mut self, impaired: &Impaired) -> Result<Acted, LabError> {
        let fault = impaired.to_string();
        self.recorder.now(Fact::FaultAsked {
            fault: fault.clone(),
        });
        let layout = self.layout.clone();
        let impair = self.cables.impair(&layout, impaired);
        impair.map_err(|error| impairment::refused(impaired, error))?;
        self.recorder.now(Fact::FaultHappened {
            fault,
            connections: impaired.connections.clone(),
            repaired: false,
            impairment: true,
        });
        Ok(Acted::Done)
    }

    fn repair(&mut self, target: &Target) -> Result<Acted, LabError> {
        let words = words(target, None);
        let layout = self.layout.clone();
        let (cables, edges) = touched(&layout, target);
        self.recorder.now(Fact::FaultAsked {
            fault: words.clone(),
        });
        for (connection, member) in &cables {
            self.cables.repair(connection, *member)?;
        }
        for edge in edges {
            self.wan_link(edge, true)?;
            self.boot(edge);
        }
        self.happened(words, &cables, true);
        Ok(Acted::Done)
    }

    pub(super) fn happened(
        &self,
        fault: String,
        cables: &[(&ConnectionLayout, Option<u8>)],
        repaired: bool,
    ) {
        let connections = cables
            .iter()
            .map(|(connection, _)| connection.name.clone())
            .collect();
        self.recorder.now(Fact::FaultHappened {
            fault,
            connections,
            repaired,
            impairment: false,
        });
    }
}

/// What a route carries that is announced with this path and this AS_SET behind it.
fn attributes(
    announcement: &Announcement,
    as_path: Vec<u32>,
    as_set: Vec<u32>,
) -> OriginatedAttributes {
    let large = announcement.large_communities.iter();
    let large = large.map(|&(global, local_1, local_2)| LargeCommunity {
        global,
        local_1,
        local_2,
    });
    let communities = announcement.communities.iter().copied().map(community);
    OriginatedAttributes {
        as_path,
        as_set,
        communities: communities.collect(),
        large_communities: large.collect(),
        extended_communities: announcement.extended_communities.clone(),
        med: announcement.med,
        only_to_customer: announcement.only_to_customer,
        malformed: announcement.malformed,
        ..OriginatedAttributes::default()
    }
}

/// A fault or repair in words.
fn words(target: &Target, how: Option<FaultKind>) -> String {
    let what = match target {
        Target::Connections(names) => names.join(", "),
        Target::Member(connection, member) => format!("{connection}/{member}"),
        Target::Node(edge) => edge.clone(),
        Target::Metro(metro) => metro.clone(),
        Target::All => "all".to_owned(),
    };
    let Some(how) = how else {
        return format!("{what}: repaired");
    };
    let how = match how {
        FaultKind::Light => "loss of light",
        FaultKind::Silent => "silent loss both ways, light stays",
        FaultKind::OneWayIn => "silent loss towards Microsoft, light stays",
        FaultKind::OneWayOut => "silent loss towards the peer, light stays",
        FaultKind::Member => "member loses light",
        FaultKind::Lacp => "LACP silenced",
        FaultKind::Bfd => "BFD silenced",
        FaultKind::Bgp => "BGP silenced",
        FaultKind::Node => "edge router crashes",
        FaultKind::Metro => "all edge routers of the metro crash",
    };
    format!("{what}: {how}")
}
