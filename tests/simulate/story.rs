//! What the facts of a metro tell, in the words of the tests.

use std::time::Duration;

use ipnet::IpNet;
use peerlab::record::Fact;
use peerlab::scenario::Target;
use peerlab::time::At;
use peerlab::topology::Topology;

use crate::cable::Quality;
use crate::metro::{Metro, shipped};

/// One way over any link.
pub const DELAY: Duration = Duration::from_micros(100);
/// Good cables.
pub const GOOD: Quality = Quality {
    delay: DELAY,
    jitter: Duration::ZERO,
    loss: 0,
};
/// 150 ms × 3.
pub const DETECTION: Duration = Duration::from_millis(450);
/// Three LACPDUs, one a second.
pub const LACP_TIMEOUT: Duration = Duration::from_secs(3);
pub const HOLD: Duration = Duration::from_secs(180);
pub const SECOND: Duration = Duration::from_secs(1);

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A shipped topology that has been up for 10 s and a bit, and what was told until then forgotten.
pub fn running(name: &str, seed: u64) -> Metro {
    running_as(shipped(name, 5), seed)
}

/// The same for a topology with a profile of its own.
pub fn running_as(topology: Topology, seed: u64) -> Metro {
    let mut metro = Metro::start(topology, &[], GOOD, seed);
    let up = metro.wait(SECOND, Metro::all_established);
    assert!(up.is_some(), "{:#?}", metro.picture());
    metro.run(ms(10_037));
    metro.facts.clear();
    metro
}

pub fn connection(name: &str) -> Target {
    Target::Connections(vec![name.to_owned()])
}

impl Metro {
    pub fn sbc(&self) -> IpNet {
        self.layout.endpoints[0].prefix.into()
    }

    pub fn teams(&self) -> IpNet {
        peerlab::plan::of_topology::TEAMS_PREFIX.into()
    }

    /// When a BFD session changed to a state, and its diagnostic.
    pub fn bfd(&self, at_router: &str, on: &str, to: &str) -> Vec<(At, &str)> {
        let told = self.facts.iter().filter_map(|(at, fact)| match fact {
            Fact::Bfd {
                router,
                connection,
                state,
                diagnostic,
                ..
            } if router == at_router && connection == on && state == to => {
                Some((*at, diagnostic.as_str()))
            }
            _ => None,
        });
        told.collect()
    }

    /// When a session that was established ended, and why.
    pub fn lost(&self, at_router: &str, on: &str) -> Vec<(At, &str)> {
        let mut established = true;
        let mut lost = Vec::new();
        for (at, fact) in &self.facts {
            let Fact::Bgp {
                router,
                session,
                state,
                why,
            } = fact
            else {
                continue;
            };
            if router == at_router && session == on {
                if established && state != "Established" {
                    lost.push((*at, why.as_str()));
                }
                established = state == "Established";
            }
        }
        lost
    }

    /// When the LAG gained or lost carrier.
    pub fn carrier(&self, at_router: &str, on: &str) -> Vec<(At, bool)> {
        let told = self.facts.iter().filter_map(|(at, fact)| match fact {
            Fact::Lag {
                router,
                connection,
                up,
                ..
            } if router == at_router && connection == on => Some((*at, *up)),
            _ => None,
        });
        told.collect()
    }

    /// When a router's kernel changed its route for a prefix, and to which interfaces.
    pub fn moves(&self, at_router: &str, of: impl Into<IpNet>) -> Vec<(At, Vec<String>)> {
        let of = of.into();
        let told = self.facts.iter().filter_map(|(at, fact)| match fact {
            Fact::KernelRoute {
                router,
                prefix,
                via,
            } if router == at_router && *prefix == of => Some((*at, via.clone())),
            _ => None,
        });
        told.collect()
    }

    /// Names of what was told, by router and connection or session, for comparing who was concerned at all.
    pub fn concerned(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .facts
            .iter()
            .filter_map(|(_, fact)| match fact {
                Fact::Lag {
                    router, connection, ..
                }
                | Fact::Bfd {
                    router, connection, ..
                } => Some(format!("{router} {connection}")),
                Fact::Bgp {
                    router, session, ..
                } => Some(format!("{router} {session}")),
                _ => None,
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }
}
