//! What is judged from a record agrees with what was concluded while it was made.

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::provider::observed::{Change, Observed};
use crate::provider::prefixes::Changed;
use crate::record::{Common, Entry, SourceText, Writer};
use crate::routes::place::{File, place};
use crate::routes::{Format, read};
use crate::source::Source;

const TOPOLOGY: &str = include_str!("../../../topologies/two-metros.toml");

/// Prefixes that cover one another, and an endpoint's.
const PREFIXES: [&str; 4] = [
    "203.0.113.0/24",
    "203.0.113.0/25",
    "198.51.100.0/24",
    "192.0.2.128/25",
];
const PATHS: [&str; 6] = [
    "64500",
    "64500 64500",
    "64500 64501 64502 64503",
    "64500 64512",
    "64500 {64501,64502}",
    "64500 23456",
];

/// Something an edge saw: a connection, a prefix, and a route or none.
type Seen = (usize, usize, Option<(usize, bool)>);

fn fact(topology: &Topology, (connection, prefix, route): Seen) -> Fact {
    let connection = &topology.connections[connection % topology.connections.len()];
    let (router, session) = (connection.edge.clone(), connection.name.clone());
    let prefix: IpNet = PREFIXES[prefix].parse().expect("a prefix");
    let Some((path, marked)) = route else {
        return Fact::RouteWithdrawn {
            router,
            session,
            prefix,
            why: "withdrawn by the peer".to_owned(),
        };
    };
    let as_path: Common<str> = PATHS[path].into();
    let communities = marked.then(|| "8075:8007".to_owned()).into_iter().collect();
    match as_path.contains('{') {
        true => Fact::RouteRefused {
            router,
            session,
            prefix,
            as_path,
            communities,
            reason: "as-set".to_owned(),
        },
        false => Fact::RouteReceived {
            router,
            session,
            prefix,
            as_path,
            communities,
            med: None,
        },
    }
}

/// State and failures of a registered prefix.
type Results = BTreeMap<String, (String, Vec<Failure>)>;

/// Hears facts one after another as a run does, and validates whenever it is due. The last results.
fn live(topology: &Topology, facts: &[Fact]) -> Results {
    let mut observed = Observed::new(topology);
    let mut prefixes = Prefixes::new();
    let mut results = Results::new();
    let registries = Registries::default();
    let devices = topology
        .routers
        .iter()
        .map(|router| (router.name.clone(), DeviceKind::Other));
    let devices: BTreeMap<String, DeviceKind> = devices.collect();
    let standing = vec![Standing::ACTIVE; topology.connections.len()];
    let mut now = At::ZERO;
    let mut requested = false;
    for (number, fact) in facts.iter().enumerate() {
        let change = observed.apply(fact);
        let ground = Ground {
            topology,
            observed: &observed,
            standing: &standing,
            peer_asns: &topology.peer_asns,
            registries: &registries,
            policy: &topology.profile.policy,
            healthy: true,
            devices: &devices,
        };
        // Registered in the middle of it, and not activated: that would need a key that may never come.
        if !requested && (number + 1) * 2 >= facts.len() {
            requested = true;
            for prefix in PREFIXES {
                let request = Request::Register {
                    prefix: prefix.to_owned(),
                    peering: None,
                };
                prefixes.request(now, &ground, &request);
            }
        }
        if let Some(Change::Route(place, prefix)) = change {
            prefixes.changed(now, &ground, Changed::Route(place, prefix));
        }
        // The last fact lets everything settle; in between some validations fall together.
        while let Some(at) = prefixes
            .deadline()
            .filter(|_| number + 1 == facts.len() || number % 3 == 0)
        {
            now = now.max(at);
            prefixes.due(now, &ground);
        }
        while let Some(fact) = prefixes.poll() {
            if let Fact::RegisteredPrefix {
                prefix,
                state,
                failures,
                ..
            } = fact
            {
                results.insert(prefix, (state, failures));
            }
        }
    }
    results
}

fn record(facts: &[Fact]) -> Vec<u8> {
    let file = |text: &str| SourceText {
        path: "x.toml".to_owned(),
        text: text.to_owned(),
    };
    let begin = Fact::Run {
        peerlab: "0".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        scenario: file(""),
        topology: file(TOPOLOGY),
        binding: None,
        host: String::new(),
    };
    let mut bytes = Vec::new();
    let mut writer = Writer::to(&mut bytes, std::path::Path::new("record.jsonl"));
    let end = Fact::StepEnded { step: 0 };
    for fact in std::iter::once(&begin).chain(facts).chain([&end]) {
        let entry = Entry {
            at: At::ZERO,
            fact: fact.clone(),
        };
        writer.write(&entry).expect("a vector takes everything");
    }
    bytes
}

fn still(topology: &Topology, bytes: &[u8]) -> Vec<Judged> {
    let dump = read(bytes, Format::Record, &|_| true).expect("a record");
    let file = File {
        name: "record.jsonl".to_owned(),
        connection: None,
        dump,
    };
    let mut picture = place(topology, vec![file]).expect("placed");
    // What the sessions' states are is not what is compared here: these facts have none.
    for connection in &mut picture.observed.connections {
        "Idle".clone_into(&mut connection.session);
    }
    let devices = topology
        .routers
        .iter()
        .map(|router| (router.name.clone(), DeviceKind::Other));
    let devices = devices.collect();
    let bench = Bench {
        topology,
        picture: &picture,
        registries: &Registries::default(),
        devices: &devices,
    };
    bench.together(&PREFIXES.map(str::to_owned))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_record_gives_the_answers_of_its_run(
        seen in prop::collection::vec((0..8_usize, 0..4_usize, prop::option::weighted(0.8, (0..6_usize, any::<bool>()))), 1..60),
    ) {
        let topology = crate::topology::parse_kept(&Source::new("two-metros.toml", TOPOLOGY)).expect("the shipped topology");
        let facts: Vec<Fact> = seen.into_iter().map(|seen| fact(&topology, seen)).collect();
        let run = live(&topology, &facts);
        for judged in still(&topology, &record(&facts)) {
            let (state, failures) = &run[&judged.prefix];
            // A prefix that was verified before, and fails now, is `Warning` in the run.
            let state = if state == "Warning" { "Failed" } else { state };
            prop_assert_eq!((state, failures), (judged.registered.state.as_str(), &judged.registered.failures));
        }
    }
}
