//! What the steps so far have done, so that a step that makes no sense after them is a mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ipnet::IpNet;

use super::{Speaker, Target};
use crate::bgp::family::Family;
use crate::source::{Located, Mistakes, Names};
use crate::topology::{Connection, Registers, Topology, connection_of, of_session, session_name};

/// The stage: the names there are, what is broken, what is sent, announced and registered.
pub(super) struct Stage<'a> {
    pub topology: &'a Topology,
    /// The folder of the topology file: files of registries are relative to it.
    pub folder: PathBuf,
    /// No file is looked up: the scenario is one of a kept record.
    pub kept: bool,
    /// Everything was onboarded when the scenario began.
    pub onboarded: bool,
    /// Broken, and not yet repaired.
    pub broken: Vec<Target>,
    /// Directions of probe traffic that is being sent.
    pub flows: Vec<(String, String)>,
    /// Prefixes that the peer announces, or has announced.
    pub prefixes: Vec<IpNet>,
    /// Prefixes that Microsoft announces, or has announced, besides its usual ones.
    pub microsoft_prefixes: Vec<IpNet>,
    /// How many usual ones there are.
    pub microsoft_routes: u16,
    /// Connections that have cables and were not removed.
    pub cabled: Vec<String>,
    /// Policies that decide, or have decided, what the edges receive.
    pub imports: Vec<String>,
    /// Sessions that were drained.
    pub drained: Vec<String>,
    /// Sessions that were shut down.
    pub shut: Vec<String>,
    /// The members of each connection that are in its LAG, where they are not all those of the topology.
    pub in_service: BTreeMap<String, BTreeSet<u8>>,
    /// The member that leaves its LAG in this step, and can be named in it.
    pub leaving: Option<(String, u8)>,
    /// Prefixes that were registered, or tried to be.
    pub registered: Vec<String>,
    /// Prefixes that were activated, or tried to be.
    pub activated: Vec<String>,
    /// Registries that there are: `irr`, `rpki`.
    pub registries: Vec<&'static str>,
    /// Those that do not answer.
    pub dead: Vec<&'static str>,
}

/// The members that a connection has in the topology.
fn members_of(connection: &Connection) -> BTreeSet<u8> {
    (1..).take(connection.members.len()).collect()
}

impl<'a> Stage<'a> {
    /// Where a scenario begins. Onboarded means: all is cabled, and the endpoints' prefixes are registered and, where
    /// there is a Peering Service, activated.
    pub fn new(topology: &'a Topology, folder: PathBuf, kept: bool, onboarded: bool) -> Stage<'a> {
        let endpoints = topology.endpoints.iter();
        let of_ipv6 = endpoints
            .clone()
            .filter_map(|e| Some(e.ipv6?.prefix.into()));
        let prefixes = endpoints.clone().map(|e| e.prefix.into()).chain(of_ipv6);
        let connections = topology.connections.iter();
        let imports = connections.filter_map(|c| c.edge_policies.import.as_ref());
        // Only IPv4 prefixes are registered and activated.
        let texts = |there: bool| -> Vec<String> {
            let there = endpoints.clone().filter(|_| there);
            there.map(|endpoint| endpoint.prefix.to_string()).collect()
        };
        let mut stage = Stage {
            topology,
            folder,
            kept,
            onboarded,
            broken: Vec::new(),
            flows: Vec::new(),
            in_service: BTreeMap::new(),
            leaving: None,
            registered: texts(onboarded && topology.profile.registers == Registers::Prefixes),
            activated: texts(onboarded && !topology.services.is_empty()),
            prefixes: prefixes.collect(),
            microsoft_prefixes: Vec::new(),
            microsoft_routes: topology.profile.routes,
            cabled: Vec::new(),
            imports: std::iter::once(&topology.profile.import)
                .chain(imports)
                .cloned()
                .collect(),
            drained: Vec::new(),
            shut: Vec::new(),
            registries: Vec::new(),
            dead: Vec::new(),
        };
        let registry = &topology.peer.registry;
        stage
            .registries
            .extend(registry.irr.as_ref().map(|_| "irr"));
        stage
            .registries
            .extend(registry.rpki.as_ref().map(|_| "rpki"));
        if onboarded {
            stage.cabled = stage.connection_names().map(str::to_owned).collect();
        }
        stage
    }

    /// What a side announces, or has announced; of Microsoft only what is unusual.
    pub fn announced(&mut self, by: Speaker) -> &mut Vec<IpNet> {
        match by {
            Speaker::Peer => &mut self.prefixes,
            Speaker::Microsoft => &mut self.microsoft_prefixes,
        }
    }

    /// The connections of a metro.
    pub fn connections_of(&self, metro: &str) -> Vec<String> {
        let connections = self.topology.connections.iter();
        let there = connections.filter(|connection| connection.metro == metro);
        there.map(|connection| connection.name.clone()).collect()
    }

    pub fn connection_names(&self) -> impl Iterator<Item = &'a str> {
        self.topology.connections.iter().map(|c| c.name.as_str())
    }

    pub fn metro_names(&self) -> impl Iterator<Item = &'a str> {
        self.topology.metros.iter().map(|m| m.name.as_str())
    }

    /// Ends of probe traffic: `teams` and endpoints, and with an IPv6 address `sbc/ipv6`.
    pub fn host_names(&self) -> Vec<String> {
        let mut connections = self.topology.connections.iter();
        let dual_stack = connections.any(|connection| connection.ipv6.is_some());
        let endpoints = self.topology.endpoints.iter();
        let hosts = endpoints.map(|e| (e.name.as_str(), dual_stack && e.ipv6.is_some()));
        let hosts = [("teams", dual_stack)].into_iter().chain(hosts);
        let names = hosts.flat_map(|(host, ipv6)| {
            let ipv6 = ipv6.then(|| session_name(host, Family::Ipv6Unicast));
            [host.to_owned()].into_iter().chain(ipv6)
        });
        names.collect()
    }

    /// Microsoft edges, in order of appearance.
    pub fn edge_names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for connection in &self.topology.connections {
            if !names.contains(&connection.edge.as_str()) {
                names.push(&connection.edge);
            }
        }
        names
    }

    /// Routers of the peer, the core among them: a name, or a list.
    pub fn routers(&self, names: &Located<Names>, mistakes: &mut Mistakes) -> Option<Vec<String>> {
        let routers = self.topology.routers.iter();
        let routers = routers.map(|router| router.name.clone());
        let valid: Vec<String> = routers.chain(["core".to_owned()]).collect();
        mistakes.several(names, "router of the peer", &valid)
    }

    /// Members as a file writes them: `ams-1/1`.
    pub fn member_names(&self) -> Vec<String> {
        let connections = self.topology.connections.iter();
        let members = connections.flat_map(|connection| {
            let name = &connection.name;
            let changed = self.in_service.get(name).cloned();
            let members = changed.unwrap_or_else(|| members_of(connection));
            members.into_iter().map(move |n| format!("{name}/{n}"))
        });
        members.collect()
    }

    /// The next step begins: what left a LAG is gone.
    pub fn next_step(&mut self) {
        if let Some((connection, member)) = self.leaving.take() {
            self.in_service(&connection).remove(&member);
        }
    }

    /// The members that are in the LAG of a connection now, to be changed.
    pub fn in_service(&mut self, connection: &str) -> &mut BTreeSet<u8> {
        let mut connections = self.topology.connections.iter();
        let known = connections.find(|known| known.name == connection);
        let members = self.in_service.entry(connection.to_owned());
        members.or_insert_with(|| known.map(members_of).unwrap_or_default())
    }

    /// The connections of a name, a list, or "all".
    pub fn connections(
        &self,
        names: &Located<Names>,
        mistakes: &mut Mistakes,
    ) -> Option<Vec<String>> {
        if names.value == Names::One("all".to_owned()) {
            return Some(self.connection_names().map(str::to_owned).collect());
        }
        let valid: Vec<String> = self.connection_names().map(str::to_owned).collect();
        mistakes.several(names, "connection", &valid)
    }

    /// Sessions as a file writes them: `ams-1`, `ams-1/ipv6`.
    pub fn session_names(&self) -> Vec<String> {
        let connections = self.topology.connections.iter();
        connections.flat_map(Connection::sessions).collect()
    }

    /// The sessions of a name, a list, or "all": of every connection those of both families.
    pub fn sessions(&self, names: &Located<Names>, mistakes: &mut Mistakes) -> Option<Vec<String>> {
        let valid = self.session_names();
        if valid
            .iter()
            .all(|name| of_session(name).1 == Family::Ipv4Unicast)
        {
            return self.connections(names, mistakes);
        }
        match names.value == Names::One("all".to_owned()) {
            true => Some(valid),
            false => mistakes.several(names, "session", &valid),
        }
    }

    /// The same for who only looks: besides those of connections, which "all" means, those inside both networks, each named by
    /// itself.
    pub fn sessions_seen(
        &self,
        names: &Located<Names>,
        mistakes: &mut Mistakes,
    ) -> Option<Vec<String>> {
        let of_connections = self.session_names();
        let is_inside = |name: &Located<String>| {
            let link = name.value.split_once('/').map(|(link, _)| link);
            link.is_some_and(|link| self.connection_names().all(|own| own != link))
        };
        if !names.value.located(names.span).iter().any(is_inside) {
            return self.sessions(names, mistakes);
        }
        let inside = self.topology.sessions_inside().map(|(name, _)| name);
        let valid: Vec<String> = of_connections.into_iter().chain(inside).collect();
        mistakes.several(names, "session", &valid)
    }

    /// The same of BFD, which not everything has: besides those of connections, which "all" means, those on members (RFC 7130) and
    /// inside both networks (RFC 5883), each named by itself.
    pub fn bfd_sessions(
        &self,
        names: &Located<Names>,
        mistakes: &mut Mistakes,
    ) -> Option<Vec<String>> {
        let (over_lags, members) = (self.session_names(), self.member_names());
        let inside = self.topology.sessions_inside().map(|(name, _)| name);
        let all: Vec<String> = over_lags
            .iter()
            .cloned()
            .chain(members)
            .chain(inside)
            .collect();
        let is_all = names.value == Names::One("all".to_owned());
        let named = match is_all {
            true => over_lags
                .iter()
                .map(|name| Located {
                    value: name.clone(),
                    span: names.span,
                })
                .collect(),
            false => names.value.located(names.span),
        };
        let has = |name: &String| self.topology.bfd_session(name).is_some();
        let mut known = named.iter().filter(|name| all.contains(&name.value));
        if let Some(name) = known.find(|name| !has(&name.value)) {
            self.without_bfd(name, mistakes);
            return None;
        }
        match is_all {
            true => Some(over_lags),
            false => {
                let valid: Vec<String> = all.into_iter().filter(has).collect();
                mistakes.several(names, "BFD session", &valid)
            }
        }
    }

    /// There is such a connection, member or session inside, but no BFD on it.
    fn without_bfd(&self, name: &Located<String>, mistakes: &mut Mistakes) {
        let error = |mistakes: &Mistakes, message: String| {
            mistakes.error(name.span, message, "nothing there could tell of it")
        };
        let mut inside = self.topology.sessions_inside();
        let inside = inside.find(|(known, _)| *known == name.value);
        let (link, name) = (connection_of(&name.value), &name.value);
        let diagnostic = if let Some((_, session)) = inside {
            let (router, neighbour) = (session.router, session.neighbour);
            let message = format!("there is no BFD between `{router}` and `{neighbour}`");
            let remedy = session.inner().map_or("", |inner| inner.remedy());
            error(mistakes, message).help(remedy)
        } else if self.session_names().contains(name) {
            error(mistakes, format!("there is no BFD on `{link}`"))
                .note("the topology says `required = false` of its `bfd`")
        } else {
            error(mistakes, format!("there is no BFD on the member `{name}`"))
                .help("give the connection a `micro-bfd` in the topology")
        };
        mistakes.push(diagnostic);
    }

    /// What layers may notice a failure of: connections, which "all" means, and both ends inside a network (`wan/ams-edge-1`).
    pub fn links(&self, names: &Located<Names>, mistakes: &mut Mistakes) -> Option<Vec<String>> {
        if names.value == Names::One("all".to_owned()) {
            return self.connections(names, mistakes);
        }
        let ends = names.value.located(names.span);
        let end = ends.iter().find_map(|name| {
            let mut inside = self.topology.sessions_inside();
            let (_, session) = inside.find(|(known, _)| *known == name.value)?;
            (session.link() != name.value).then(|| (name, session.link()))
        });
        if let Some((name, link)) = end {
            let message = format!("`{}` is a session at one of its ends", name.value);
            let diagnostic = mistakes.error(name.span, message, "what either end noticed is meant");
            let text = mistakes.quoted_like(name.span, &link);
            mistakes.push(diagnostic.replace(format!("write `{link}`"), name.span, text));
            return None;
        }
        let connections = self.connection_names().map(str::to_owned);
        let inside = self.topology.inside().map(|inner| inner.name());
        let valid: Vec<String> = connections.chain(inside).collect();
        mistakes.several(names, "connection", &valid)
    }

    /// The sessions of one family on the connections, or of the sessions, of a name, a list, or "all".
    pub fn sessions_of(
        &self,
        family: Family,
        names: &Located<Names>,
        mistakes: &mut Mistakes,
    ) -> Option<Vec<String>> {
        let has = |connection: &&Connection| connection.families().any(|f| f == family);
        let with: Vec<&Connection> = self.topology.connections.iter().filter(has).collect();
        let session = |connection: &str| session_name(connection, family);
        if with.is_empty() {
            let message = format!("no connection has a session for {family}");
            let diagnostic = mistakes.error(names.span, message, "nothing there could tell of it");
            mistakes.push(diagnostic.help("give connections an `ipv6` in the topology"));
            return None;
        }
        if names.value == Names::One("all".to_owned()) {
            return Some(with.iter().map(|c| session(&c.name)).collect());
        }
        // `ams-1/ipv6` says no more than `ams-1` where the prefix tells the family.
        let valid = with.iter().flat_map(|c| {
            let of_family = session(&c.name);
            let name = Some(c.name.clone()).filter(|name| *name != of_family);
            name.into_iter().chain([of_family])
        });
        let named = mistakes.several(names, "session", &valid.collect::<Vec<_>>())?;
        Some(
            named
                .iter()
                .map(|name| session(of_session(name).0))
                .collect(),
        )
    }

    /// The sessions that carry routes of one family, of a name, a list, or "all": beside those of the family IPv6 sessions with
    /// IPv4 routes (RFC 8950), which are meant where `ams-1/ipv6` is said.
    pub fn sessions_with(
        &self,
        family: Family,
        names: &Located<Names>,
        mistakes: &mut Mistakes,
    ) -> Option<Vec<String>> {
        let connections = self.topology.connections.iter();
        let carrying: Vec<String> = connections
            .flat_map(|c| {
                let families = c
                    .families()
                    .filter(move |session| c.carries(*session, family));
                families.map(|session| session_name(&c.name, session))
            })
            .collect();
        if carrying.iter().all(|name| of_session(name).1 == family) {
            return self.sessions_of(family, names, mistakes);
        }
        match names.value == Names::One("all".to_owned()) {
            true => Some(carrying),
            false => mistakes.several(names, "session", &carrying),
        }
    }

    /// Whether the edge ends this session when the peer brings too many routes.
    pub fn may_have_ended(&self, session: &str) -> bool {
        let (name, family) = of_session(session);
        let mut connections = self.topology.connections.iter();
        let connection = connections.find(|connection| connection.name == name);
        let maximum = connection.map(|connection| connection.bgp.options.maximum_prefixes);
        maximum.is_some_and(|maximum| maximum.of(family).is_some() && !maximum.warning_only)
    }

    /// A member such as `ams-1/1`.
    pub fn member(&self, name: &Located<String>, mistakes: &mut Mistakes) -> Option<(String, u8)> {
        let valid = self.member_names();
        if !mistakes.known(name, "member", valid.iter().map(String::as_str)) {
            return None;
        }
        let (connection, member) = name.value.split_once('/')?;
        Some((connection.to_owned(), member.parse().ok()?))
    }

    /// The members of a name or a list, as a file writes them.
    pub fn members(&self, names: &Located<Names>, mistakes: &mut Mistakes) -> Option<Vec<String>> {
        mistakes.several(names, "member", &self.member_names())
    }

    /// Whether a repair of `target` mends something that is broken; it is taken off the list.
    pub fn mend(&mut self, target: &Target) -> bool {
        let before = self.broken.len();
        let topology = self.topology;
        let mut left: Vec<Target> = Vec::new();
        let mut mended = false;
        for broken in self.broken.drain(..) {
            match (target, broken) {
                (Target::All, _) => {}
                (Target::Connections(mend), Target::Connections(names)) => {
                    let rest: Vec<String> = names
                        .iter()
                        .filter(|n| !mend.contains(n))
                        .cloned()
                        .collect();
                    mended |= rest.len() < names.len();
                    if !rest.is_empty() {
                        left.push(Target::Connections(rest));
                    }
                }
                (Target::Connections(mend), Target::Member(name, _)) if mend.contains(&name) => {}
                (Target::Metro(metro), Target::Node(node)) if stands_in(topology, &node, metro) => {
                }
                (Target::Node(node), Target::Metro(metro)) if stands_in(topology, node, &metro) => {
                    // The other edges of the metro are still down.
                    mended = true;
                    left.push(Target::Metro(metro));
                }
                (target, broken) if *target == broken => {}
                (_, broken) => left.push(broken),
            }
        }
        mended |= left.len() < before;
        self.broken = left;
        mended
    }
}

/// Whether an edge stands in a metro.
fn stands_in(topology: &Topology, edge: &str, metro: &str) -> bool {
    let mut connections = topology.connections.iter();
    connections.any(|connection| connection.edge == edge && connection.metro == metro)
}
