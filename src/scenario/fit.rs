//! Which scenarios a binding fits. A scenario may tell simulated routers what a real one decides by its configuration.

use std::collections::BTreeSet;

use super::act::PEERING_SERVICE;
use super::{Act, Announcement, Expect, PolicyChange, Rehearsal, Restart, Speaker, Step};
use crate::binding::{Binding, Daemon, Device};
use crate::registry::special;
use crate::topology::{BgpOptions, LagBackend, NamedPolicies, Topology, of_session};

impl Rehearsal {
    /// Why this scenario says little about the routers of `binding`, if so: they are not in its topology, or it wants them
    /// to do what only a simulated router does at once when told.
    pub fn unfit(&self, binding: &Binding) -> Option<String> {
        let known = |router: &str| self.topology.routers.iter().any(|r| r.name == router);
        if let Some((router, _)) = binding.routers.iter().find(|(router, _)| !known(router)) {
            let topology = &self.topology.name;
            return Some(format!(
                "its topology `{topology}` has no router `{router}`"
            ));
        }
        self.orders_a_bond()
            .or_else(|| self.without_bfd(binding))
            .or_else(|| self.without_bfd_inside(binding))
            .or_else(|| self.with_policy(binding))
            .or_else(|| self.with_options(binding))
            .or_else(|| self.looks_from(binding))
            .or_else(|| self.announces(binding))
            .or_else(|| self.restarts(binding))
            .or_else(|| self.changes_policy(binding))
    }

    /// Why it cannot be played whoever plays the routers, if so: at an end that the kernel's bond plays it tells LACP something,
    /// or takes a member away. Markers are sent beside the bond, silence is a filter's, and what comes is seen beside it.
    pub fn orders_a_bond(&self) -> Option<String> {
        let bonds = |name: &str| {
            let mut connections = self.topology.connections.iter();
            let backends = connections.find(|c| c.name == name).map(|c| c.backends);
            let is_bond = |backend| backend == LagBackend::Kernel;
            backends.map_or((false, false), |b| (is_bond(b.microsoft), is_bond(b.peer)))
        };
        let told = |step: &Step| match &step.act {
            Act::Lacp { on, order } if !order.is_for_bonds() => {
                let mut names = on.iter().map(|part| &part.connection);
                let name = names.find(|name| bonds(name).0)?;
                Some(format!(
                    "it tells LACP of `{name}` something, and the kernel's bond, which plays it (`backend`), cannot be told"
                ))
            }
            Act::Reduce { connection, .. } if bonds(connection) != (false, false) => Some(format!(
                "it takes a member of `{connection}` away, and the kernel's bond, which plays it (`backend`), cannot be told to \
                 spare one"
            )),
            _ => None,
        };
        self.scenario.steps.iter().find_map(told)
    }

    /// The queueing disciplines that the kernel must have to impair cables as this does.
    pub fn needs(&self) -> BTreeSet<&'static str> {
        let steps = self.scenario.steps.iter();
        let told = steps.filter_map(|step| match &step.act {
            Act::Impair(impaired) => Some(impaired),
            _ => None,
        });
        let all = told.chain(&self.topology.impaired);
        all.flat_map(|impaired| impaired.how.needs()).collect()
    }

    fn with_policy(&self, binding: &Binding) -> Option<String> {
        let has = |policies: &NamedPolicies| *policies != NamedPolicies::default();
        let mut routers = self.topology.routers.iter().filter(|router| {
            let mut own = self.topology.connections.iter();
            has(&router.policies) || own.any(|c| c.router == router.name && has(&c.policies))
        });
        let router = routers.find(|router| *binding.device(&router.name) != Device::Simulated)?;
        let router = &router.name;
        Some(format!(
            "its topology gives `{router}` a policy, but `{router}` does what its own configuration says"
        ))
    }

    fn with_options(&self, binding: &Binding) -> Option<String> {
        let mut routers = self.topology.routers.iter();
        let router = routers.find(|router| {
            let options = router.bgp.options != BgpOptions::default();
            (options || router.bfd.options.authentication.is_some())
                && *binding.device(&router.name) != Device::Simulated
        })?;
        let router = &router.name;
        Some(format!(
            "its topology gives the sessions of `{router}` options, but `{router}` does what its own configuration says"
        ))
    }

    fn looks_from(&self, binding: &Binding) -> Option<String> {
        let expectations = self.scenario.steps.iter().flat_map(|step| &step.expect);
        let looked_from = expectations
            .into_iter()
            .flat_map(|expect| match &expect.what {
                Expect::Session {
                    at: Some(router), ..
                }
                | Expect::MaximumPrefixes {
                    at: Some(router), ..
                } => vec![router.as_str()],
                Expect::Session { sessions, .. } => {
                    let ends = sessions.iter().map(|name| self.topology.bgp_session(name));
                    ends.flatten().map(|(router, _)| router).collect()
                }
                _ => Vec::new(),
            });
        let mut real = looked_from.filter(|router| *binding.device(router) != Device::Simulated);
        let router = real.next()?;
        Some(format!(
            "it looks at a session as `{router}` sees it, and only a simulated router tells"
        ))
    }

    /// A daemon that has BFD uses it as it is configured; with one that has none, nothing passes but what passes without.
    fn without_bfd(&self, binding: &Binding) -> Option<String> {
        let without = &self.scenario.without_bfd;
        self.topology.connections.iter().find_map(|connection| {
            let (name, router) = (&connection.name, &connection.router);
            let Device::Daemon { daemon, .. } = binding.device(router) else {
                return None;
            };
            match (daemon.has_bfd(), without.contains(name)) {
                (true, true) => Some(format!(
                    "it wants `{name}` without BFD, but `{router}` does what its own configuration says"
                )),
                (false, false) if connection.bfd.options.required => Some(format!(
                    "it wants BFD on `{name}`, but {daemon}, which plays `{router}`, has none"
                )),
                (true, false) | (false, _) => None,
            }
        })
    }

    /// BFD inside the peer's network guards sessions with simulated routers only.
    fn without_bfd_inside(&self, binding: &Binding) -> Option<String> {
        let expected = |step: &Step| {
            let named = step.expect.iter().map(|expect| match &expect.what {
                Expect::Bfd { sessions, .. } => &sessions[..],
                Expect::Detected { connections, by } if by.iter().any(|by| by == "bfd") => {
                    connections
                }
                _ => &[],
            });
            named.flatten().cloned().collect::<Vec<String>>()
        };
        let told = |step: &Step| match &step.act {
            Act::Bfd { sessions, .. } => sessions.clone(),
            _ => Vec::new(),
        };
        let steps = self.scenario.steps.iter();
        steps.flat_map(|step| told(step).into_iter().chain(expected(step))).find_map(|name| {
            let session = self.topology.bfd_session(&name)?;
            let router = session.inner()?.border;
            (*binding.device(router) != Device::Simulated).then(|| {
                format!(
                    "it names the BFD session `{name}`, which guards simulated routers only: leave `{router}` out of the binding"
                )
            })
        })
    }

    fn announces(&self, binding: &Binding) -> Option<String> {
        self.scenario.steps.iter().find_map(|step| {
            let Act::Announce(announcement) = &step.act else {
                return None;
            };
            if let Some(why) = self.passes_nothing_on(announcement, binding) {
                return Some(why);
            }
            let what = of_the_export_policy(announcement, &self.topology)?;
            let (_, router) = self.real(&announcement.from, binding)?;
            let prefix = announcement.prefix;
            Some(format!(
                "it wants {prefix} announced {what}, but `{router}` does what its own configuration says"
            ))
        })
    }

    /// The core behind it announces, and ExaBGP announces only what its configuration has.
    fn passes_nothing_on(&self, told: &Announcement, binding: &Binding) -> Option<String> {
        let exabgp = |router: &str| {
            let device = binding.device(router);
            matches!(
                device,
                Device::Daemon {
                    daemon: Daemon::Exabgp,
                    ..
                }
            )
        };
        let mut all = self.topology.connections.iter();
        let found = all.find(|it| told.from.contains(&it.name) && exabgp(&it.router));
        let router = &found.filter(|_| told.by == Speaker::Peer)?.router;
        let prefix = told.prefix;
        Some(format!(
            "it wants {prefix} announced, and ExaBGP, which plays `{router}`, passes on nothing that it is told"
        ))
    }

    /// The lab changes no configuration of a real router.
    fn changes_policy(&self, binding: &Binding) -> Option<String> {
        self.scenario.steps.iter().find_map(|step| {
            let Act::Policy(PolicyChange {
                by: Speaker::Peer,
                connections,
                name,
                ..
            }) = &step.act
            else {
                return None;
            };
            let (_, router) = self.real(connections, binding)?;
            Some(format!(
                "it gives `{router}` the policy `{name}`, but `{router}` does what its own configuration says"
            ))
        })
    }

    /// What a real router keeps over a restart, and says of it, is its configuration's; its BFD ends with the processes.
    fn restarts(&self, binding: &Binding) -> Option<String> {
        self.scenario.steps.iter().find_map(|step| {
            let Act::Restart(Restart {
                router, graceful, ..
            }) = &step.act
            else {
                return None;
            };
            if *binding.device(router) == Device::Simulated {
                return None;
            }
            let own = |session: &String| {
                let (connection, _) = of_session(session);
                let mut all = self.topology.connections.iter();
                all.any(|it| it.name == connection && it.router == *router)
            };
            let stays = step.expect.iter().any(|expect| match &expect.what {
                Expect::Bfd {
                    sessions, up: true, ..
                } => sessions.iter().any(own),
                _ => false,
            });
            match (graceful, stays) {
                (true, _) => Some(format!(
                    "it restarts `{router}` gracefully, but `{router}` does what its own configuration says"
                )),
                (false, true) => Some(format!(
                    "it wants BFD to outlive a restart of `{router}`, and all processes of `{router}` end"
                )),
                (false, false) => None,
            }
        })
    }

    /// The first of these connections that ends at a router which is not simulated, and that router.
    fn real(&self, connections: &[String], binding: &Binding) -> Option<(&str, &str)> {
        let mut all = self.topology.connections.iter();
        let found = all.find(|connection| {
            connections.contains(&connection.name)
                && *binding.device(&connection.router) != Device::Simulated
        })?;
        Some((&found.name, &found.router))
    }
}

/// What of an announcement is not the route's but the announcing router's: how it marks it, and what it lets out at all.
fn of_the_export_policy(announcement: &Announcement, topology: &Topology) -> Option<String> {
    if announcement.by == Speaker::Microsoft {
        return None;
    }
    let public = topology.documentation_numbers_are_public;
    if announcement.prefix.prefix_len() == 0
        || special::bogon(announcement.prefix, public).is_some()
    {
        return Some("although no filter should let it out".to_owned());
    }
    let own = announcement
        .as_path
        .asns()
        .filter(|asn| *asn == topology.peer.asn);
    if own.count() > 1 {
        return Some("with the own AS number prepended".to_owned());
    }
    // RFC 9774: a router that was told of such a route treats it as withdrawn.
    if announcement.as_path.has_set() {
        return Some("with an AS_SET".to_owned());
    }
    if announcement.malformed.is_some() {
        return Some("in a malformed UPDATE".to_owned());
    }
    // RFC 4271, section 5.1.4: the MED of a neighbouring AS is not passed on to others.
    if announcement.med.is_some() {
        return Some("with a MED".to_owned());
    }
    let usual = announcement.communities == [(PEERING_SERVICE.0, PEERING_SERVICE.1)]
        && announcement.large_communities.is_empty()
        && announcement.extended_communities.is_empty();
    (!usual).then(|| "with other communities".to_owned())
}
