//! Tests of what only shows over several steps: what is broken, sent and announced when a step begins.

use super::*;
use crate::provider::received::AsPath;
use crate::source::Source;

/// The acts of a scenario on the topology `two-metros`, or the first line of each mistake.
fn acts(steps: &[&str]) -> Result<Vec<Act>, Vec<String>> {
    let mut text = "topology = \"two-metros\"\n".to_owned();
    for step in steps {
        text.push_str(&format!("[[step]]\n{step}\n"));
    }
    let source = Source::new("scenarios/test.toml", text);
    match parse(&source) {
        Ok((scenario, _)) => Ok(scenario.steps.into_iter().map(|step| step.act).collect()),
        Err(mistakes) => Err(mistakes.iter().map(|d| d.message.clone()).collect()),
    }
}

fn refused(steps: &[&str]) -> Vec<String> {
    acts(steps).expect_err("a mistake")
}

const FAIL_1: &str = "fail = { connection = \"ams-1\", how = \"light\" }";
const FAIL_BOTH: &str = "fail = { connection = [\"ams-1\", \"ams-2\"], how = \"light\" }";
const FAIL_MEMBER: &str = "fail = { member = \"ams-1/2\" }";
const FAIL_NODE: &str = "fail = { node = \"ams-edge-1\" }";
const FAIL_METRO: &str = "fail = { metro = \"amsterdam\" }";

#[test]
fn a_repair_mends_what_is_broken() {
    let good: [(&[&str], Target); 9] = [
        (
            &[FAIL_1, "repair = \"ams-1\""],
            Target::Connections(vec!["ams-1".to_owned()]),
        ),
        (
            &[FAIL_BOTH, "repair = \"ams-2\""],
            Target::Connections(vec!["ams-2".to_owned()]),
        ),
        (
            &[FAIL_MEMBER, "repair = \"ams-1/2\""],
            Target::Member("ams-1".to_owned(), 2),
        ),
        (
            &[FAIL_MEMBER, "repair = \"ams-1\""],
            Target::Connections(vec!["ams-1".to_owned()]),
        ),
        (
            &[FAIL_NODE, "repair = \"ams-edge-1\""],
            Target::Node("ams-edge-1".to_owned()),
        ),
        (
            &[FAIL_NODE, "repair = \"amsterdam\""],
            Target::Metro("amsterdam".to_owned()),
        ),
        (
            &[FAIL_METRO, "repair = \"ams-edge-2\""],
            Target::Node("ams-edge-2".to_owned()),
        ),
        (
            &[FAIL_METRO, "repair = \"amsterdam\""],
            Target::Metro("amsterdam".to_owned()),
        ),
        (&[FAIL_1, FAIL_METRO, "repair = \"all\""], Target::All),
    ];
    for (steps, target) in good {
        let acts = acts(steps).unwrap_or_else(|told| panic!("{steps:?}: {told:?}"));
        assert_eq!(acts.last(), Some(&Act::Repair(target)), "{steps:?}");
    }
}

#[test]
fn a_repair_of_what_works_is_a_mistake() {
    let bad: [(&[&str], &str); 8] = [
        (&["repair = \"all\""], "`all` is not broken here"),
        (
            &[FAIL_1, "repair = \"ams-2\""],
            "`ams-2` is not broken here",
        ),
        (
            &[FAIL_1, "repair = \"ams-1\"", "repair = \"ams-1\""],
            "`ams-1` is not broken here",
        ),
        (
            &[FAIL_BOTH, "repair = \"ams-1\"", "repair = \"ams-1\""],
            "`ams-1` is not broken here",
        ),
        (
            &[FAIL_MEMBER, "repair = \"ams-1/1\""],
            "`ams-1/1` is not broken here",
        ),
        (
            &[FAIL_NODE, "repair = \"ams-1\""],
            "`ams-1` is not broken here",
        ),
        (
            &[FAIL_METRO, "repair = \"frankfurt\""],
            "`frankfurt` is not broken here",
        ),
        (
            &[FAIL_METRO, "repair = \"fra-edge-1\""],
            "`fra-edge-1` is not broken here",
        ),
    ];
    for (steps, message) in bad {
        assert_eq!(refused(steps), [message], "{steps:?}");
    }
}

#[test]
fn traffic_is_known_while_it_is_sent() {
    let send = "send = { from = \"teams\", to = \"sbc\" }";
    let back = "send = { from = \"sbc\", to = \"teams\" }";
    let hold = "hold = { time = \"1s\", reason = \"to look\" }\n[[step.expect]]\nlost-at-most = 0\ntraffic = ";
    let both = format!("{hold}\"both\"");
    let forth = format!("{hold}\"teams->sbc\"");
    assert!(acts(&[send, &forth]).is_ok());
    assert!(acts(&[send, back, &both]).is_ok());
    assert_eq!(
        refused(&[send, &both]),
        ["traffic is being sent in one direction only"]
    );
    assert_eq!(
        refused(&[send, "stop = \"traffic\"", &forth]),
        ["no traffic is being sent at this step"]
    );
}

#[test]
fn an_announced_prefix_can_be_withdrawn() {
    let announce = "announce = { prefix = \"203.0.113.0/24\", from = \"ams-1\" }";
    let withdraw = "withdraw = { prefix = \"203.0.113.0/24\" }";
    let acts = acts(&[announce, withdraw]).expect("good");
    let Act::Announce(announced) = &acts[0] else {
        panic!("{acts:?}");
    };
    assert_eq!(announced.communities, [(8075, 8007)]);
    assert_eq!(announced.as_path, AsPath::default());
    let Act::Withdraw { from, .. } = &acts[1] else {
        panic!("{acts:?}");
    };
    assert_eq!(from, &["ams-1", "ams-2", "fra-1", "fra-2"]);
    assert_eq!(
        refused(&[withdraw, announce]),
        ["the peer does not announce 203.0.113.0/24"]
    );
}

#[test]
fn prefixes_are_known_from_registration_to_the_end() {
    let register = "register = \"203.0.113.0/24\"";
    let unregister = "unregister = \"203.0.113.0/24\"";
    // What was deleted may be deleted again: that is refused, which a scenario may want to see.
    assert!(acts(&[register, unregister, unregister]).is_ok());
    assert_eq!(
        refused(&[unregister, register]),
        ["unknown registered prefix `203.0.113.0/24`"]
    );
    // The endpoints' prefixes are registered and activated in the past, unless nothing is onboarded.
    let sbc = [
        "validate = \"198.51.100.0/24\"",
        "deactivate = \"198.51.100.0/24\"",
    ];
    assert!(acts(&sbc).is_ok());
    let text = format!(
        "topology = \"two-metros\"\nonboarded = false\n[[step]]\n{}\n[[step]]\n{}\n",
        sbc[0], sbc[1]
    );
    let told = parse(&Source::new("scenarios/test.toml", text)).expect_err("unknown");
    assert_eq!(told.len(), 2, "{told}");
}

#[test]
fn a_registry_dies_and_lives_in_turn() {
    let file = "set = { irr = \"registry/contoso.rpsl\" }";
    let (dead, live) = ("set = { irr = \"dead\" }", "set = { irr = \"live\" }");
    assert!(acts(&[file, dead, live, dead, file, dead, live]).is_ok());
    assert_eq!(
        refused(&[file, dead, file, live]),
        ["`irr` is not dead here"]
    );
    assert_eq!(refused(&[file, dead, dead]), ["`irr` is dead already"]);
}

#[test]
fn a_kept_scenario_needs_none_of_its_files() {
    let text = "topology = \"gone\"\n[[step]]\nset = { rpki = \"gone/vrps.json\" }\n";
    let topology = std::fs::read_to_string("topologies/two-metros.toml").expect("shipped");
    let scenario = Source::new("gone/scenario.toml", text);
    let topology = Source::new("elsewhere/two-metros.toml", topology);
    let (scenario, _) = parse_kept(&scenario, &topology).expect("good without its files");
    let path = PathBuf::from("elsewhere/gone/vrps.json");
    assert_eq!(
        scenario.steps[0].act,
        Act::Set(Setting::Rpki(RegistrySource::File(path)))
    );
}

#[test]
fn settling_waits_for_what_has_cables() {
    let settle = "settle = \"30s\"";
    let remove = "onboard = { connection = \"fra-1\", action = \"remove\" }";
    let except = "settle = \"30s\"\nexcept = [\"fra-1\", \"ams-1\"]";
    assert!(acts(&[settle, remove, except]).is_ok());
    assert_eq!(
        refused(&[settle, remove, settle]),
        ["`fra-1` cannot come up: no cable, or removed"]
    );
}

#[test]
fn names_and_summaries() {
    let path = std::path::Path::new("scenarios/failover/silent-connection.toml");
    let rehearsal = load(path, None).expect("shipped");
    assert_eq!(rehearsal.scenario.name, "failover/silent-connection");
    assert_eq!(
        rehearsal.scenario.summary,
        "A connection that goes dark without losing light is noticed by BFD; the other carries everything within a second."
    );
    assert_eq!(rehearsal.topology.name, "one-metro");
    assert_eq!(rehearsal.binding, crate::binding::Binding::default());
    let bird = std::path::Path::new("topologies/bindings/one-metro-bird.toml");
    let rehearsal = load(path, Some(bird)).expect("shipped");
    assert_eq!(rehearsal.binding.name, "one-metro-bird");
    assert_eq!(rehearsal.binding.routers.len(), 2);
}

#[test]
fn expectations_keep_their_places() {
    let path = std::path::Path::new("scenarios/failover/silent-connection.toml");
    let rehearsal = load(path, None).expect("shipped");
    let text = &rehearsal.source.text;
    let step = &rehearsal.scenario.steps[2];
    assert!(text[rehearsal.source.range(step.span)].starts_with("fail = {"));
    let expected: Vec<&str> = (step.expect.iter())
        .map(|expect| &text[rehearsal.source.range(expect.span)])
        .collect();
    assert_eq!(
        expected,
        [
            "bfd = \"ams-1\"",
            "session = \"ams-1\"",
            "path = \"sbc\"",
            "traffic = \"both\""
        ]
    );
}

/// Why a scenario does not fit where this daemon plays `ams-pe-2`, if it does not.
fn unfit_for(
    text: String,
    daemon: crate::binding::Daemon,
    change: impl FnOnce(&mut crate::topology::Topology),
) -> Option<String> {
    let source = Source::new("scenarios/test.toml", text);
    let (scenario, mut topology) = parse(&source).expect("no mistake");
    change(&mut topology);
    let device = crate::binding::Device::Daemon {
        daemon,
        config: "ams-pe-2.conf".into(),
    };
    let binding = crate::binding::Binding {
        name: "test".to_owned(),
        routers: vec![("ams-pe-2".to_owned(), device)],
    };
    let rehearsal = Rehearsal {
        source,
        scenario,
        topology,
        binding: crate::binding::Binding::default(),
    };
    rehearsal.unfit(&binding)
}

#[test]
fn what_only_an_export_policy_decides_is_not_asked_of_a_real_router() {
    let unfit = |announce: &str| {
        let text =
            format!("topology = \"one-metro\"\n[[step]]\nannounce = {{ prefix = {announce} }}\n");
        unfit_for(text, crate::binding::Daemon::Bird, |_| {})
    };
    for fits in [
        "\"203.0.113.0/24\"",
        "\"203.0.113.0/25\", as-path = [64500, 64501]",
        "\"203.0.113.0/24\", communities = [], from = \"ams-1\"",
    ] {
        assert_eq!(unfit(fits), None, "{fits}");
    }
    for (wrong, why) in [
        ("\"203.0.113.0/24\", communities = []", "communities"),
        (
            "\"203.0.113.0/24\", large-communities = [\"8075:8007:0\"]",
            "communities",
        ),
        ("\"203.0.113.0/24\", as-path = [64500, 64500]", "prepended"),
        ("\"203.0.113.0/24\", med = 10", "MED"),
        ("\"10.0.0.0/8\"", "filter"),
        ("\"0.0.0.0/0\"", "filter"),
    ] {
        let said = unfit(wrong).expect(wrong);
        assert!(said.contains(why) && said.contains("ams-pe-2"), "{said}");
    }
}

#[test]
fn a_daemon_without_bfd_fits_only_where_none_is_wanted() {
    let unfit = |scenario: &str, binding: &str| {
        let path = std::path::Path::new(scenario);
        let binding = format!("topologies/bindings/one-metro-{binding}.toml");
        let binding = crate::binding::load(std::path::Path::new(&binding), None).expect("shipped");
        load(path, None).expect("shipped").unfit(&binding)
    };
    for daemon in ["gobgp", "openbgpd", "exabgp"] {
        assert_eq!(unfit("scenarios/bfd/never-configured.toml", daemon), None);
        let why = unfit("scenarios/bring-up.toml", daemon).expect(daemon);
        assert!(why.contains("which plays `ams-pe-1`, has none"), "{why}");
    }
    assert_eq!(unfit("scenarios/bring-up.toml", "frr"), None);
    let why = unfit("scenarios/bfd/never-configured.toml", "frr").expect("FRR has BFD");
    assert!(why.contains("its own configuration"), "{why}");
}

/// Nor is anything asked of BFD inside the peer's network where a real router plays its border; Microsoft's is always ours.
#[test]
fn bfd_inside_is_not_asked_of_a_real_router() {
    let unfit = |step: &str| {
        let text = format!("topology = \"one-metro-every-bfd\"\n[[step]]\n{step}\n");
        unfit_for(text, crate::binding::Daemon::Frr, |topology| {
            for router in &mut topology.routers {
                router.bfd.options.authentication = None;
            }
        })
    };
    let told = |name: &str| format!("bfd = {{ session = \"{name}\", order = \"silence\" }}");
    let seen = |name: &str| {
        format!("settle = \"1s\"\n[[step.expect]]\nbfd = [\"ams-1\", \"{name}\"]\nstate = \"up\"")
    };
    let noticed = |name: &str, by: &str| {
        format!("settle = \"1s\"\n[[step.expect]]\ndetected = \"{name}\"\nby = \"{by}\"")
    };
    for name in ["ams-2", "ams-2/1", "wan/ams-edge-2", "core/ams-pe-1"] {
        assert_eq!(unfit(&told(name)), None, "{name}");
        assert_eq!(unfit(&seen(name)), None, "{name}");
    }
    assert_eq!(unfit(&noticed("core/ams-pe-2", "bgp")), None);
    let bgp = |name: &str| seen(name).replace("bfd", "session");
    assert_eq!(unfit(&bgp("core/ams-pe-2")), None, "as the core sees it");
    let why = unfit(&bgp("ams-pe-2/core")).expect("at the real router");
    assert!(why.contains("only a simulated router tells"), "{why}");
    for step in [
        told("core/ams-pe-2"),
        told("ams-pe-2/core/ipv6"),
        seen("ams-pe-2/core"),
        noticed("core/ams-pe-2", "bfd"),
    ] {
        let why = unfit(&step).expect(&step);
        assert!(
            why.contains("simulated routers only: leave `ams-pe-2` out of"),
            "{why}"
        );
    }
}

/// A marker is sent by either end, everything else of LACP is told to Microsoft's.
#[test]
fn a_marker_is_sent_by_either_end() {
    let step = |rest| format!("lacp = {{ connection = \"ams-1\", {rest} }}");
    for (rest, wanted) in [
        ("order = \"send-marker\"", false),
        ("order = \"send-marker\", at = \"microsoft\"", false),
        ("order = \"send-marker\", at = \"peer\"", true),
    ] {
        let acts = acts(&[&step(rest)]).expect("no mistake");
        let [Act::Lacp { order, .. }] = &acts[..] else {
            panic!("one order");
        };
        assert_eq!(*order, LacpOrder::SendMarker { by_peer: wanted }, "{rest}");
    }
    assert_eq!(
        refused(&[&step("key = 9, at = \"peer\"")]),
        ["only a marker may be sent by either end"]
    );
}

#[test]
fn a_bond_of_the_kernels_is_told_little_and_tells_all() {
    use crate::topology::LagBackend::{Kernel, Ours};
    let order = |order| format!("lacp = {{ connection = \"ams-1\", order = \"{order}\" }}");
    let (silence, behave) = (&*order("silence"), &*order("behave"));
    let (marker, refusal) = (&*order("send-marker"), &*order("refuse-sync"));
    let reduce = "reduce = \"ams-1/2\"";
    let rhythm = "settle = \"30s\"\n[[step.expect]]\nmember = \"ams-1/1\"\nat = \"partner\"\nstate = \"distributing\"\nsends-every = \"1s\"";
    for (step, microsoft, peer, why) in [
        (refusal, Ours, Kernel, None),
        (refusal, Kernel, Ours, Some("cannot be told")),
        (silence, Kernel, Ours, None),
        (behave, Kernel, Ours, None),
        (reduce, Ours, Ours, None),
        (reduce, Ours, Kernel, Some("takes a member of `ams-1`")),
        (reduce, Kernel, Ours, Some("takes a member of `ams-1`")),
        (rhythm, Ours, Kernel, None),
        (rhythm, Kernel, Ours, None),
        (marker, Kernel, Kernel, None),
    ] {
        let text = format!("topology = \"one-metro\"\n[[step]]\n{step}\n");
        let source = Source::new("scenarios/test.toml", text);
        let (scenario, mut topology) = parse(&source).expect("no mistake");
        topology.connections[0].backends.microsoft = microsoft;
        topology.connections[0].backends.peer = peer;
        let rehearsal = Rehearsal {
            source,
            scenario,
            topology,
            binding: crate::binding::Binding::default(),
        };
        let told = rehearsal.orders_a_bond();
        let right = match (&told, why) {
            (Some(told), Some(why)) => told.contains(why),
            (told, why) => told.is_none() && why.is_none(),
        };
        assert!(right, "{step}: {told:?}");
    }
}

#[test]
fn a_sequence_number_is_wrong_only_where_packets_have_one() {
    let topology = include_str!("../../topologies/one-metro-every-bfd.toml");
    let password = topology.replace("\"keyed-sha1\", password", "\"simple-password\", password");
    assert_ne!(topology, password);
    let parsed = |topology: &str, session: &str| {
        let step = format!("bfd = {{ session = {session}, wrong = \"sequence\" }}");
        let text = format!("topology = \"it\"\n[[step]]\n{step}\n");
        let scenario = Source::new("scenario.toml", text);
        let topology = Source::new("topology.toml", topology.to_owned());
        let mistakes = parse_kept(&scenario, &topology).err()?;
        Some(mistakes.iter().map(|it| it.message.clone()).collect())
    };
    let refused = |names: &str| Some(vec![format!("packets of {names} have no sequence number")]);
    let none: Option<Vec<String>> = None;
    for (topology, session, mistakes) in [
        (topology, "\"all\"", none.clone()),
        (topology, "[\"ams-1/1\", \"ams-2/2\"]", none.clone()),
        (topology, "\"wan/ams-edge-1\"", refused("`wan/ams-edge-1`")),
        (password.as_str(), "\"ams-1\"", none.clone()),
        (
            password.as_str(),
            "\"all\"",
            refused("`ams-2`, `ams-2/ipv6`"),
        ),
        (password.as_str(), "\"ams-2/1\"", none),
    ] {
        assert_eq!(parsed(topology, session), mistakes, "{session}");
    }
}
