//! The whole Microsoft side in virtual time: what edges observe goes in, conclusions and policies come out.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::IpNet;

use super::*;
use crate::bgp::attributes::Attributes;
use crate::source::Source;
use crate::topology;

/// A Microsoft side, its clock, and what it told.
struct Side {
    provider: Provider,
    now: At,
    facts: Vec<Fact>,
    policies: BTreeMap<String, (policy::Policy, policy::Policy)>,
    lit: BTreeMap<String, bool>,
    running: BTreeMap<String, bool>,
}

/// The reason of a failure, and its connection.
type Failing = (String, Option<String>);

const PREFIX: &str = "203.0.113.0/24";
/// Longer than the validation period.
const SOON: Duration = Duration::from_millis(300);

fn topology() -> Topology {
    let text = include_str!("../../topologies/one-metro.toml");
    topology::parse_kept(&Source::new("one-metro.toml", text)).expect("the shipped topology")
}

impl Side {
    fn new(onboarded: bool) -> Side {
        Side::of(&topology(), onboarded)
    }

    fn of(topology: &Topology, onboarded: bool) -> Side {
        let provider = Provider::new(topology, onboarded, Registries::default(), BTreeMap::new());
        let mut side = Side {
            provider,
            now: At::ZERO,
            facts: Vec::new(),
            policies: BTreeMap::new(),
            lit: BTreeMap::new(),
            running: BTreeMap::new(),
        };
        side.drain();
        side
    }

    fn drain(&mut self) {
        while let Some(output) = self.provider.poll() {
            match output {
                Output::Fact(fact) => self.facts.push(fact),
                Output::Policy {
                    connection,
                    import,
                    export,
                } => {
                    self.policies.insert(connection, (import, export));
                }
                Output::Port { connection, lit } => {
                    self.lit.insert(connection, lit);
                }
                Output::Session { connection, run } => {
                    self.running.insert(connection, run);
                }
            }
        }
    }

    fn request(&mut self, request: Request) {
        self.provider.handle(self.now, Input::Request(&request));
        self.drain();
    }

    fn hear(&mut self, fact: &Fact) {
        self.provider.handle(self.now, Input::Fact(fact));
        self.drain();
    }

    /// Lets a validation period pass.
    fn wait(&mut self) {
        self.now = self.now + SOON;
        self.provider.handle(self.now, Input::Deadline);
        self.drain();
    }

    /// LAG, BFD and BGP of a connection come up.
    fn up(&mut self, n: usize) {
        let (router, connection) = (format!("ams-edge-{n}"), format!("ams-{n}"));
        self.hear(&Fact::Lag {
            router: router.clone(),
            connection: connection.clone(),
            up: true,
            distributing: 2,
        });
        self.hear(&Fact::Bfd {
            router: router.clone(),
            connection: connection.clone(),
            state: "up".to_owned(),
            diagnostic: String::new(),
            last_received: None,
            detection_time: None,
        });
        self.hear(&Fact::Bgp {
            router,
            session: connection,
            state: "Established".to_owned(),
            why: String::new(),
        });
    }

    fn announce(&mut self, n: usize, communities: &[&str]) {
        self.hear(&Fact::RouteReceived {
            router: format!("ams-edge-{n}"),
            session: format!("ams-{n}"),
            prefix: PREFIX.parse().expect("a prefix"),
            as_path: "64500".into(),
            communities: communities.iter().map(|&c| c.to_owned()).collect(),
            med: None,
        });
    }

    /// The state last told of the registered prefix, and what failed where.
    fn registered(&self) -> Option<(String, Vec<Failing>)> {
        self.facts.iter().rev().find_map(|fact| match fact {
            Fact::RegisteredPrefix {
                prefix,
                state,
                failures,
                ..
            } if prefix == PREFIX => {
                let failing = failures
                    .iter()
                    .filter(|f| f.severity == crate::record::Severity::Fail);
                let failing = failing.map(|f| (f.reason.clone(), f.connection.clone()));
                Some((state.clone(), failing.collect()))
            }
            _ => None,
        })
    }

    /// LOCAL_PREF of the prefix on a connection, or why it is refused there.
    fn used(&self, connection: &str, prefix: &str) -> Result<Option<u32>, String> {
        let (import, _) = &self.policies[connection];
        let mut route = Attributes::originated(Ipv4Addr::LOCALHOST);
        route.as_path = vec![64_500];
        let prefix: ipnet::Ipv4Net = prefix.parse().expect("a prefix");
        match import.evaluate(prefix, &route) {
            Ok(shaped) => Ok(shaped.local_pref),
            Err(reason) => Err(reason.to_string()),
        }
    }
}

fn register() -> Request {
    Request::Register {
        prefix: PREFIX.to_owned(),
        peering: None,
    }
}

fn activate() -> Request {
    Request::Activate {
        prefix: PREFIX.to_owned(),
        service: None,
        key: Key::Right,
        provider: None,
    }
}

#[test]
fn onboarded_means_active_and_activated() {
    let side = Side::new(true);
    for connection in ["ams-1", "ams-2"] {
        assert_eq!(side.used(connection, "198.51.100.0/24"), Ok(Some(300)));
        assert_eq!(side.used(connection, PREFIX), Ok(Some(100)));
    }
    assert!(side.lit.values().all(|lit| *lit));
    assert!(side.running.values().all(|run| *run));
}

#[test]
fn a_prefix_is_verified_by_what_was_received_and_used_once_activated() {
    let mut side = Side::new(true);
    side.up(1);
    side.up(2);
    side.request(register());
    assert_eq!(side.registered().map(|r| r.0).as_deref(), Some("Pending"));
    side.wait();
    let missing = |n: usize| ("prefix-not-received".to_owned(), Some(format!("ams-{n}")));
    let failed = ("Failed".to_owned(), vec![missing(1), missing(2)]);
    assert_eq!(side.registered(), Some(failed));
    side.announce(1, &["8075:8007"]);
    side.announce(2, &[]);
    side.wait();
    let lacking = ("missing-community".to_owned(), Some("ams-2".to_owned()));
    assert_eq!(
        side.registered(),
        Some(("Failed".to_owned(), vec![lacking]))
    );
    side.announce(2, &["8075:8007"]);
    side.wait();
    assert_eq!(side.registered(), Some(("Verified".to_owned(), Vec::new())));
    assert_eq!(side.used("ams-1", PREFIX), Ok(Some(100)));
    side.request(activate());
    side.wait();
    assert_eq!(side.used("ams-1", PREFIX), Ok(Some(300)));
    side.request(Request::Deactivate {
        prefix: PREFIX.to_owned(),
    });
    assert_eq!(side.used("ams-1", PREFIX), Ok(Some(100)));
}

/// A route that is there but leads nowhere is none to Microsoft's checks, until it does.
#[test]
fn a_next_hop_that_cannot_be_reached_verifies_nothing() {
    let mut side = Side::new(true);
    let refused = |n: usize, reason: &str| Fact::RouteRefused {
        router: format!("ams-edge-{n}"),
        session: format!("ams-{n}"),
        prefix: PREFIX.parse().expect("a prefix"),
        as_path: "64500".into(),
        communities: ["8075:8007".to_owned()].into_iter().collect(),
        reason: reason.to_owned(),
    };
    for n in [1, 2] {
        side.up(n);
        side.announce(n, &["8075:8007"]);
    }
    side.hear(&refused(1, "next-hop-unreachable"));
    side.request(register());
    side.wait();
    let missing = ("prefix-not-received".to_owned(), Some("ams-1".to_owned()));
    let failed = Some(("Failed".to_owned(), vec![missing]));
    assert_eq!(side.registered(), failed);
    let told = side.facts.iter().rev().find_map(|fact| match fact {
        Fact::RegisteredPrefix { failures, .. } => Some(failures.clone()),
        _ => None,
    });
    let evidence = told.iter().flatten().flat_map(|failure| &failure.evidence);
    let why = "it is ignored for its next hop (RFC 4271, section 6.3): next-hop-unreachable";
    assert!(evidence.clone().any(|text| text == why), "{told:?}");
    // What policy thinks of it does not bring it nearer.
    side.hear(&refused(1, "deny-all"));
    side.wait();
    assert_eq!(side.registered(), failed);
    side.hear(&Fact::RouteAccepted {
        router: "ams-edge-1".to_owned(),
        session: "ams-1".to_owned(),
        prefix: PREFIX.parse().expect("a prefix"),
        local_pref: 100,
    });
    side.wait();
    assert_eq!(side.registered(), Some(("Verified".to_owned(), Vec::new())));
    side.hear(&refused(1, "next-hop-unreachable"));
    side.wait();
    // One that was verified has a grace.
    let warned = failed.map(|(_, failing)| ("Warning".to_owned(), failing));
    assert_eq!(side.registered(), warned);
}

#[test]
fn nothing_is_exchanged_before_onboarding_is_over() {
    let mut side = Side::new(false);
    let denied = Err("deny-all".to_owned());
    assert_eq!(side.used("ams-1", PREFIX), denied);
    side.request(register());
    assert_eq!(side.registered().map(|r| r.0).as_deref(), Some("None"));
    side.request(Request::Everything);
    assert_eq!(side.lit.get("ams-1"), Some(&true), "wired");
    assert_eq!(side.running.get("ams-1"), None, "no LAG, no session");
    side.up(1);
    assert_eq!(side.running.get("ams-1"), Some(&true));
    assert_eq!(side.used("ams-1", PREFIX), Ok(Some(100)), "active");
    assert_eq!(side.used("ams-2", PREFIX), denied, "still dark");
    // Now one connection is active, and the other counts as missing.
    side.request(register());
    side.announce(1, &["8075:8007"]);
    side.wait();
    let missing = ("prefix-not-received".to_owned(), Some("ams-2".to_owned()));
    assert_eq!(
        side.registered(),
        Some(("Failed".to_owned(), vec![missing]))
    );
}

#[test]
fn facts_of_its_own_move_nothing() {
    let mut side = Side::new(true);
    side.up(1);
    side.up(2);
    let own = side.facts.clone();
    side.facts.clear();
    for fact in &own {
        side.hear(fact);
    }
    assert_eq!(side.facts, []);
}

#[test]
fn more_routes_than_are_kept_are_told_until_the_session_has_none() {
    let mut side = Side::new(true);
    let (router, session) = ("ams-edge-1".to_owned(), "ams-1".to_owned());
    let received = |n: u32| Fact::RouteReceived {
        router: router.clone(),
        session: session.clone(),
        prefix: IpNet::from(Ipv4Net::new_assert(
            Ipv4Addr::from(0x0b00_0000 + (n << 8)),
            24,
        )),
        as_path: "64500".into(),
        communities: crate::record::Common::default(),
        med: None,
    };
    let room = u32::try_from(observed::ROUTES).expect("few enough");
    for n in 0..room {
        side.provider.observed.apply(&received(n));
    }
    for n in room..room + 5 {
        side.hear(&received(n));
    }
    // Routes that are known still change.
    side.hear(&received(0));
    let told: Vec<u64> = side
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::RoutesLeftOut { count, .. } => Some(*count),
            _ => None,
        })
        .collect();
    assert_eq!(told, [1, 2, 4]);
    let connection = side.provider.observed().connection("ams-1");
    let connection = connection.expect("the topology has it");
    assert_eq!(connection.routes.len(), observed::ROUTES);
    assert!(connection.left_out);
    side.hear(&Fact::RouteCount {
        router,
        session,
        received: 0,
        advertised: 0,
    });
    let connection = side.provider.observed().connection("ams-1");
    let connection = connection.expect("the topology has it");
    assert!(!connection.left_out && connection.routes.is_empty());
}

/// A few octets of an UPDATE are many in words, for each of its routes.
#[test]
fn routes_with_many_communities_are_kept_as_far_as_they_fit() {
    let mut side = Side::new(true);
    let (router, session) = ("ams-edge-1".to_owned(), "ams-1".to_owned());
    let prefix = |n: u32| Ipv4Net::new_assert(Ipv4Addr::from(0x0b00_0000 + (n << 8)), 24);
    let texts: crate::record::Common<[String]> = (0..1000).map(|n| format!("64500:{n}")).collect();
    let mut hear = |n: u32, withdrawn: bool| {
        let (router, session, prefix) = (router.clone(), session.clone(), prefix(n).into());
        let fact = match withdrawn {
            true => Fact::RouteWithdrawn {
                router,
                session,
                prefix,
                why: String::new(),
            },
            false => Fact::RouteReceived {
                router,
                session,
                prefix,
                as_path: "64500".into(),
                communities: texts.clone(),
                med: None,
            },
        };
        side.provider.observed.apply(&fact);
        let connection = side.provider.observed().connection("ams-1");
        let connection = connection.expect("the topology has it");
        (connection.routes.len(), connection.left_out)
    };
    let mut kept = 0;
    while let (now, false) = hear(kept, false) {
        kept += 1;
        assert_eq!(now, kept as usize);
    }
    // Each takes some 33 kB.
    assert!((2_500..3_500).contains(&kept), "{kept}");
    assert_eq!(
        hear(0, false).0,
        kept as usize,
        "what is known may come again"
    );
    assert_eq!(hear(0, true).0, kept as usize - 1);
    assert_eq!(hear(kept, false).0, kept as usize);
    for n in 0..=kept {
        hear(n, true);
    }
    assert_eq!(hear(7, false).0, 1);
}

#[test]
fn too_many_prefixes_are_an_event_at_the_edge_and_nowhere_else() {
    let mut side = Side::new(true);
    let told = |router: &str, received| Fact::MaximumPrefixes {
        router: router.to_owned(),
        session: "ams-1".to_owned(),
        received,
        limit: 4,
    };
    let before = side.facts.len();
    side.hear(&told("ams-pe-1", 5));
    side.hear(&told("ams-edge-1", 3));
    side.hear(&told("ams-edge-1", 5));
    let events = side.facts[before..].iter().filter_map(|fact| match fact {
        Fact::Event { event, summary, .. } => Some((event.as_str(), summary.as_str())),
        _ => None,
    });
    let expected = [
        ("MaximumPrefixesWarning", "3 prefixes of 4"),
        ("MaximumPrefixesExceeded", "5 prefixes of 4"),
    ];
    assert_eq!(events.collect::<Vec<_>>(), expected);
}

#[test]
fn a_connection_has_the_policies_it_names() {
    let mut topology = topology();
    topology.connections[0].edge_policies = NamedPolicies {
        import: Some("edge-export".to_owned()),
        export: None,
    };
    let side = Side::of(&topology, true);
    let (import, export) = &side.policies["ams-1"];
    assert_eq!(import, export);
    let (import, elsewhere) = &side.policies["ams-2"];
    assert_ne!(import, elsewhere);
    assert_eq!(export, elsewhere);
}

#[test]
fn a_policy_that_was_chosen_stays_so_and_follows_what_is_concluded() {
    let mut side = Side::new(true);
    let before = side.policies.clone();
    let connections = ["ams-1".to_owned()];
    let choose = |side: &mut Side, import, name| {
        let connections = &connections;
        let input = Input::Policy {
            connections,
            import,
            name,
        };
        side.provider.handle(side.now, input);
        side.drain();
    };
    choose(&mut side, true, "edge-export");
    let (import, export) = &side.policies["ams-1"];
    assert_eq!(import, &before["ams-1"].1);
    assert_eq!(export, &before["ams-1"].1);
    assert_eq!(side.policies["ams-2"], before["ams-2"]);
    // What is concluded later does not bring the profile's back.
    side.policies.clear();
    let prefix = "198.51.100.0/24".to_owned();
    side.request(Request::Deactivate { prefix });
    let (import, export) = &side.policies["ams-1"];
    assert_eq!(import, export);
    assert_ne!(side.policies["ams-2"], before["ams-2"]);
    choose(&mut side, true, "edge-import");
    assert_eq!(side.policies["ams-1"], side.policies["ams-2"]);
}
