//! Any sequence of requests and observations keeps the invariants, in a lab where ports and sessions behave.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 4] = ["ams-1", "ams-2", "fra-1", "fra-2"];
const METROS: [&str; 2] = ["amsterdam", "frankfurt"];

/// What may happen next.
#[derive(Debug, Clone)]
enum Happening {
    Request(Request),
    Lag(usize, bool),
    Bfd(usize, bool),
    Bgp(usize, &'static str),
}

fn request() -> impl Strategy<Value = Request> {
    let asn = prop_oneof![
        Just(AsnAction::Register),
        Just(AsnAction::Approve),
        Just(AsnAction::Fail {
            message: "x".to_owned()
        }),
    ];
    let asked = (0..3usize, any::<bool>()).prop_map(|(count, right)| {
        let names = NAMES
            .iter()
            .take(count.max(1))
            .map(|name| (*name).to_owned());
        let mut request = PeeringRequest::voice(names.collect());
        if right {
            request = PeeringRequest::voice(Vec::new());
        }
        PeeringAction::Request(request)
    });
    let peering = prop_oneof![
        2 => asked,
        3 => Just(PeeringAction::Approve),
        1 => Just(PeeringAction::Reject { message: "x".to_owned() }),
        3 => Just(PeeringAction::Convert),
        1 => Just(PeeringAction::Remove),
    ];
    let connection = prop_oneof![
        Just(ConnectionAction::Cable),
        Just(ConnectionAction::Validate),
        Just(ConnectionAction::Fail {
            message: "x".to_owned()
        }),
        Just(ConnectionAction::Remove),
    ];
    prop_oneof![
        2 => Just(Request::Everything),
        1 => asn.prop_map(Request::PeerAsn),
        4 => (0..2usize, peering).prop_map(|(metro, action)| Request::Peering {
            peering: METROS[metro].to_owned(),
            action: whole(metro, action),
        }),
        3 => (0..4usize, connection).prop_map(|(place, action)| Request::Connections {
            connections: vec![NAMES[place].to_owned()],
            action,
        }),
    ]
}

/// A request without connections asks for all of its metro.
fn whole(metro: usize, action: PeeringAction) -> PeeringAction {
    match action {
        PeeringAction::Request(request) if request.connections.is_empty() => {
            let names = NAMES[2 * metro..2 * metro + 2].iter();
            let names = names.map(|name| (*name).to_owned());
            PeeringAction::Request(PeeringRequest::voice(names.collect()))
        }
        other => other,
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    let state = prop_oneof![
        1 => Just("Idle"),
        1 => Just("Connect"),
        1 => Just("OpenSent"),
        4 => Just("Established"),
    ];
    prop_oneof![
        2 => request().prop_map(Happening::Request),
        2 => (0..4usize, prop::bool::weighted(0.8)).prop_map(|(n, up)| Happening::Lag(n, up)),
        2 => (0..4usize, prop::bool::weighted(0.8)).prop_map(|(n, up)| Happening::Bfd(n, up)),
        4 => (0..4usize, state).prop_map(|(n, state)| Happening::Bgp(n, state)),
    ]
}

/// A lab in which dark ports have no LAG, and only sessions that run leave Idle; as kernel and edges have it.
fn happen(lab: &mut Lab, happening: Happening) {
    let lit = |lab: &Lab, name: &str| lab.lit.iter().any(|other| other == name);
    let runs = |lab: &Lab, name: &str| lab.running.iter().any(|other| other == name);
    match happening {
        Happening::Request(request) => lab.request(request),
        Happening::Lag(n, up) => lab.lag(NAMES[n], up && lit(lab, NAMES[n])),
        Happening::Bfd(n, up) => lab.bfd(NAMES[n], up && runs(lab, NAMES[n])),
        Happening::Bgp(n, state) if runs(lab, NAMES[n]) => lab.bgp(NAMES[n], state),
        Happening::Bgp(n, _) => lab.bgp(NAMES[n], "Idle"),
    }
}

/// The invariants of the room, between two moments.
fn check(lab: &Lab, before: &[ConnectionState], told: &str) {
    for (n, name) in NAMES.iter().enumerate() {
        let now = lab.onboarding.connection_state(name);
        let seen = lab.observed.connection(name).expect("a connection");
        let up = seen.lag && seen.bfd && seen.session == "Established";
        let was_active = before[n].exchanges_routes();
        if now.exchanges_routes() && !was_active {
            assert!(up, "{name} became active while it was not up\n{told}");
        }
        if lab.onboarding.is_active(name) {
            assert!(now.exchanges_routes(), "{name} is not deny-all in {now}");
        }
        if now == ConnectionState::Validating {
            let removing = lab.onboarding.session_state(name) == SessionState::PendingRemove;
            assert!(up || removing, "{name} is validated while it is not up");
        }
        let lit = lab.lit.iter().any(|other| other == name);
        let runs = lab.running.iter().any(|other| other == name);
        assert!(lit || !runs, "{name} runs a session over a dark port");
        if matches!(
            now,
            ConnectionState::None | ConnectionState::PendingApproval
        ) {
            assert!(!runs, "{name} runs a session in {now}");
        }
        let session = lab.onboarding.session_state(name);
        let azures = [
            SessionState::None,
            SessionState::PendingAdd,
            SessionState::PendingUpdate,
            SessionState::PendingRemove,
        ];
        assert!(
            azures.contains(&session) || session.name() == seen.session,
            "{name} tells {session}, but {} is observed",
            seen.session
        );
    }
    for pair in NAMES.chunks(2) {
        let converting = pair.iter().filter(|name| {
            lab.onboarding.connection_state(name) == ConnectionState::TypeChangeInProgress
        });
        assert!(
            converting.count() < 2,
            "two connections convert at once\n{told}"
        );
    }
}

fn states(lab: &Lab) -> Vec<ConnectionState> {
    let state = |name: &&str| lab.onboarding.connection_state(name);
    NAMES.iter().map(state).collect()
}

proptest! {
    #[test]
    fn invariants(onboarded: bool, happenings in prop::collection::vec(happening(), 0..120)) {
        let topology = topology("two-metros.toml");
        let mut lab = if onboarded { Lab::onboarded(&topology) } else { Lab::new(&topology) };
        for happening in happenings {
            let before = states(&lab);
            let text = format!("{happening:?}");
            happen(&mut lab, happening);
            let told = lab.told();
            check(&lab, &before, &format!("{text}\n{told}"));
        }
    }

    /// From wherever people and cables left it, "all" and a network that works end with everything active.
    #[test]
    fn everything_ends_active(onboarded: bool, happenings in prop::collection::vec(happening(), 0..80)) {
        let topology = topology("two-metros.toml");
        let mut lab = if onboarded { Lab::onboarded(&topology) } else { Lab::new(&topology) };
        for happening in happenings {
            happen(&mut lab, happening);
        }
        for _ in 0..12 {
            lab.request(Request::Everything);
            for name in NAMES {
                // What is told to stop stops, and what may come up does.
                if !lab.running.iter().any(|other| other == name) {
                    lab.bgp(name, "Idle");
                    lab.bfd(name, false);
                }
                let lit = lab.lit.iter().any(|other| other == name);
                lab.lag(name, lit);
                if lab.running.iter().any(|other| other == name) {
                    lab.bfd(name, true);
                    lab.bgp(name, "Established");
                }
            }
        }
        for name in NAMES {
            prop_assert_eq!(lab.state(name), "Active/Established");
        }
    }
}
