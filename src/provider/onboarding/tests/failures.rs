//! What is refused, and what fails: every reason, with the states around it.

use super::scripts::provisioned;
use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn voice() -> PeeringRequest {
    PeeringRequest::voice(names(&["ams-1", "ams-2"]))
}

/// A lab whose peer ASN is approved.
fn approved(topology: &Topology) -> Lab {
    let mut lab = Lab::new(topology);
    lab.asn(AsnAction::Register);
    lab.asn(AsnAction::Approve);
    lab.told();
    lab
}

#[test]
fn peer_asn() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::new(&topology);
    lab.told();
    let fail = AsnAction::Fail {
        message: "the NOC does not answer".to_owned(),
    };
    lab.asn(AsnAction::Approve);
    assert_eq!(lab.refusals(), ["AS64500: peer-asn-not-pending"]);
    lab.asn(fail.clone());
    assert_eq!(lab.refusals(), ["AS64500: peer-asn-not-pending"]);
    lab.asn(AsnAction::Register);
    lab.told();
    lab.asn(AsnAction::Register);
    assert_eq!(lab.refusals(), ["AS64500: peer-asn-already-registered"]);
    lab.asn(fail.clone());
    assert_eq!(lab.told(), "AS64500 Failed the NOC does not answer");
    lab.peering("amsterdam", PeeringAction::Request(voice()));
    assert_eq!(lab.refusals(), ["amsterdam: peer-asn-not-approved"]);
    lab.asn(AsnAction::Register);
    assert_eq!(lab.told(), "AS64500 Pending");
    lab.asn(AsnAction::Approve);
    lab.told();
    lab.asn(AsnAction::Register);
    assert_eq!(lab.refusals(), ["AS64500: peer-asn-already-registered"]);
    lab.asn(fail);
    assert_eq!(lab.refusals(), ["AS64500: peer-asn-not-pending"]);
}

/// Every gate of a request by itself, and all at once; nothing is created.
#[test]
fn gates_of_a_request() {
    let topology = topology("two-metros.toml");
    type Spoil = fn(&mut PeeringRequest);
    let table: [(Spoil, &str); 10] = [
        (
            |r| r.kind = "Exchange".to_owned(),
            "amsterdam: wrong-peering-type",
        ),
        (
            |r| r.network = "AS8075 (with exchange route server)".to_owned(),
            "amsterdam: wrong-microsoft-network",
        ),
        (|r| r.sku = "Basic Free".to_owned(), "amsterdam: wrong-sku"),
        (
            |r| r.session_address_provider = "Peer".to_owned(),
            "amsterdam: wrong-session-address-provider",
        ),
        (
            |r| r.use_for_peering_service = false,
            "amsterdam: not-used-for-peering-service",
        ),
        (
            |r| r.connections = names(&["ams-1"]),
            "amsterdam: fewer-than-two-connections",
        ),
        (
            |r| r.connections = names(&["ams-2", "ams-2"]),
            "amsterdam: fewer-than-two-connections",
        ),
        (
            |r| r.connections.clear(),
            "amsterdam: fewer-than-two-connections",
        ),
        (
            |r| r.connections.push("fra-1".to_owned()),
            "fra-1: connection-of-another-metro",
        ),
        (
            |r| r.connections.push("lon-1".to_owned()),
            "lon-1: unknown-connection",
        ),
    ];
    let mut lab = approved(&topology);
    let mut all = voice();
    for (spoil, reason) in table {
        let mut request = voice();
        spoil(&mut request);
        lab.peering("amsterdam", PeeringAction::Request(request));
        assert_eq!(lab.refusals(), [reason]);
        spoil(&mut all);
    }
    lab.peering("amsterdam", PeeringAction::Request(all));
    assert_eq!(lab.refusals().len(), 8, "everything that is wrong is said");
    lab.peering("london", PeeringAction::Request(voice()));
    assert_eq!(lab.refusals(), ["london: unknown-peering"]);
    assert_eq!(lab.state("ams-1"), "None/None");
    assert_eq!(lab.onboarding.peering_state("amsterdam"), None);

    // Azure's words do as well as the portal's.
    let mut request = voice();
    request.sku = "Premium_Direct_Free".to_owned();
    request.network = "Voice".to_owned();
    lab.peering("amsterdam", PeeringAction::Request(request));
    assert_eq!(lab.state("ams-1"), "PendingApproval/None");
    lab.peering("amsterdam", PeeringAction::Request(voice()));
    assert!(
        lab.refusals()
            .contains(&"amsterdam: already-requested".to_owned())
    );
}

/// RED-05 within a peering and over the locations of a service; L1-01.
#[test]
fn bandwidth() {
    let mut slow = topology("one-metro.toml");
    slow.connections[0].bandwidth_mbps = 9_999;
    let mut lab = approved(&slow);
    lab.peering("amsterdam", PeeringAction::Request(voice()));
    assert_eq!(
        lab.refusals(),
        ["ams-1: slower-than-10-gbps", "amsterdam: unequal-bandwidth"]
    );

    let mut least = topology("one-metro.toml");
    for connection in &mut least.connections {
        connection.bandwidth_mbps = 10_000;
    }
    let mut lab = approved(&least);
    lab.peering("amsterdam", PeeringAction::Request(voice()));
    assert_eq!(lab.state("ams-2"), "PendingApproval/None");

    let mut unlike = topology("two-metros.toml");
    for connection in unlike
        .connections
        .iter_mut()
        .filter(|c| c.metro == "frankfurt")
    {
        connection.bandwidth_mbps += 10_000;
    }
    let frankfurt = PeeringRequest::voice(names(&["fra-1", "fra-2"]));
    let mut lab = approved(&unlike);
    lab.peering("amsterdam", PeeringAction::Request(voice()));
    lab.told();
    lab.peering("frankfurt", PeeringAction::Request(frankfurt.clone()));
    assert_eq!(lab.refusals(), ["frankfurt: unequal-bandwidth"]);
    unlike.services.clear();
    let mut lab = approved(&unlike);
    lab.peering("amsterdam", PeeringAction::Request(voice()));
    lab.peering("frankfurt", PeeringAction::Request(frankfurt));
    assert_eq!(
        lab.state("fra-1"),
        "PendingApproval/None",
        "no service joins them"
    );
}

/// Every action on a connection in a state where it is refused.
#[test]
fn actions_out_of_turn() {
    let topology = topology("one-metro.toml");
    let fail = ConnectionAction::Fail {
        message: "x".to_owned(),
    };
    let actions = [
        ConnectionAction::Cable,
        ConnectionAction::Validate,
        fail,
        ConnectionAction::Remove,
    ];
    type Prepare = fn(&Topology) -> Lab;
    let pending: Prepare = |topology| {
        let mut lab = approved(topology);
        lab.peering("amsterdam", PeeringAction::Request(voice()));
        lab
    };
    // Rows: how the lab comes to the state of ams-1; what cable, validate, fail, remove answer, or `` when they are taken.
    let table: [(Prepare, &str, [&str; 4]); 6] = [
        (
            approved,
            "None",
            [
                "not-requested",
                "not-requested",
                "not-requested",
                "not-requested",
            ],
        ),
        (
            pending,
            "PendingApproval",
            [
                "not-being-provisioned",
                "not-validating",
                "not-being-provisioned",
                "",
            ],
        ),
        (
            |topology| {
                let mut lab = provisioned(topology);
                lab.connection("ams-2", ConnectionAction::Cable);
                lab.bfd("ams-1", false);
                lab
            },
            "ProvisioningCompleted",
            ["already-cabled", "not-validating", "", "still-provisioning"],
        ),
        (provisioned, "Validating", ["already-cabled", "", "", ""]),
        (
            Lab::onboarded,
            "Active",
            [
                "already-cabled",
                "not-validating",
                "not-being-provisioned",
                "",
            ],
        ),
        (
            |topology| {
                let mut lab = Lab::onboarded(topology);
                lab.peering("amsterdam", PeeringAction::Convert);
                lab
            },
            "TypeChangeRequested",
            [
                "already-cabled",
                "not-validating",
                "not-being-provisioned",
                "conversion-in-progress",
            ],
        ),
    ];
    for (prepare, state, row) in table {
        for (action, reason) in actions.iter().zip(row) {
            let mut lab = prepare(&topology);
            assert_eq!(lab.onboarding.connection_state("ams-1").name(), state);
            lab.told();
            lab.connection("ams-1", action.clone());
            let refusals = lab.refusals();
            let expected = if reason.is_empty() {
                vec![]
            } else {
                vec![format!("ams-1: {reason}")]
            };
            assert_eq!(refusals, expected, "{state}, {action:?}");
        }
    }
    let mut lab = provisioned(&topology);
    lab.connection("lon-1", ConnectionAction::Cable);
    assert_eq!(lab.refusals(), ["lon-1: unknown-connection"]);
    lab.connection("ams-2", ConnectionAction::Remove);
    assert_eq!(lab.refusals(), ["ams-2: still-provisioning"]);
    lab.peering("amsterdam", PeeringAction::Remove);
    assert_eq!(lab.refusals(), ["ams-2: still-provisioning"]);
    assert_eq!(lab.state("ams-1"), "Validating/Established", "all or none");
}

#[test]
fn rejected_and_requested_again() {
    let topology = topology("one-metro.toml");
    let mut lab = approved(&topology);
    let reject = PeeringAction::Reject {
        message: "no capacity at this location".to_owned(),
    };
    lab.peering("amsterdam", reject.clone());
    assert_eq!(lab.refusals(), ["amsterdam: not-requested"]);
    lab.peering("amsterdam", PeeringAction::Request(voice()));
    lab.told();
    lab.peering("amsterdam", reject);
    assert_eq!(
        lab.told(),
        lines(
            "ams-1 ProvisioningFailed/None no capacity at this location
             ams-2 ProvisioningFailed/None no capacity at this location
             amsterdam Failed no capacity at this location"
        )
    );
    lab.peering("amsterdam", PeeringAction::Approve);
    assert_eq!(lab.refusals(), ["amsterdam: not-pending-approval"]);
    lab.peering("amsterdam", PeeringAction::Request(voice()));
    assert_eq!(
        lab.told(),
        lines(
            "ams-1 PendingApproval/None
             ams-2 PendingApproval/None
             amsterdam Succeeded"
        )
    );
}

/// `ProvisioningFailed` with its message stops the session; approval takes it up again, but not on what was seen before.
#[test]
fn provisioning_fails_and_is_taken_up_again() {
    let topology = topology("one-metro.toml");
    let mut lab = provisioned(&topology);
    let fail = ConnectionAction::Fail {
        message: "the address is configured with a different ASN".to_owned(),
    };
    lab.connection("ams-1", fail);
    assert_eq!(
        lab.told(),
        lines(
            "ams-1 ProvisioningFailed/Established the address is configured with a different ASN
             session ams-1 off"
        )
    );
    lab.peering("amsterdam", PeeringAction::Approve);
    assert_eq!(lab.told(), "ams-1 ProvisioningStarted/Established");
    lab.bgp("ams-1", "Idle");
    assert_eq!(
        lab.told(),
        lines("ams-1 ProvisioningStarted/Idle\nsession ams-1 on")
    );
    lab.bgp("ams-1", "Established");
    assert_eq!(lab.state("ams-1"), "Validating/Established");
}

/// What people decide outlasts `Everything`, until it is asked for again.
#[test]
fn failures_end_everything() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::new(&topology);
    lab.request(Request::Everything);
    lab.connection(
        "ams-1",
        ConnectionAction::Fail {
            message: "x".to_owned(),
        },
    );
    lab.up("ams-2");
    assert_eq!(lab.state("ams-1"), "ProvisioningFailed/None");
    assert_eq!(lab.state("ams-2"), "Active/Established");
    lab.request(Request::Everything);
    assert_eq!(lab.state("ams-1"), "ProvisioningStarted/None");
    lab.up("ams-1");
    assert_eq!(lab.state("ams-1"), "Active/Established");
}

#[test]
fn gates_of_a_conversion() {
    let topology = topology("one-metro.toml");
    let mut lab = approved(&topology);
    lab.peering("amsterdam", PeeringAction::Convert);
    assert_eq!(lab.refusals(), ["amsterdam: not-requested"]);
    lab.peering("amsterdam", PeeringAction::Request(voice()));
    lab.peering("amsterdam", PeeringAction::Convert);
    assert_eq!(lab.refusals(), ["amsterdam: pending-approval"]);
    let mut lab = provisioned(&topology);
    lab.peering("amsterdam", PeeringAction::Convert);
    assert_eq!(lab.refusals(), ["amsterdam: connections-not-active"]);

    let mut lab = Lab::onboarded(&topology);
    lab.bfd("ams-2", false);
    lab.peering("amsterdam", PeeringAction::Convert);
    assert_eq!(lab.refusals(), ["amsterdam: bgp-and-bfd-not-up"]);
    lab.bfd("ams-2", true);
    lab.peering("amsterdam", PeeringAction::Convert);
    lab.told();
    // CNV-02: nothing is added or removed meanwhile.
    lab.peering("amsterdam", PeeringAction::Convert);
    assert_eq!(lab.refusals(), ["amsterdam: conversion-in-progress"]);
    lab.peering("amsterdam", PeeringAction::Remove);
    assert_eq!(lab.refusals(), ["ams-1: conversion-in-progress"]);
    let message = "not in Pacific business hours".to_owned();
    lab.peering("amsterdam", PeeringAction::Reject { message });
    assert_eq!(
        lab.told(),
        lines(
            "ams-1 Active/Established
             ams-2 Active/Established
             amsterdam Succeeded not in Pacific business hours"
        )
    );

    lab.connection("ams-2", ConnectionAction::Remove);
    lab.told();
    lab.peering("amsterdam", PeeringAction::Convert);
    assert_eq!(lab.refusals(), ["amsterdam: being-removed"]);
    lab.bgp("ams-2", "Idle");
    lab.lag("ams-2", false);
    lab.told();
    lab.peering("amsterdam", PeeringAction::Convert);
    assert_eq!(lab.refusals(), ["amsterdam: fewer-than-two-connections"]);

    let mut unequal = topology.clone();
    unequal.connections[1].bandwidth_mbps += 10_000;
    let mut lab = Lab::onboarded(&unequal);
    lab.peering("amsterdam", PeeringAction::Convert);
    assert_eq!(lab.refusals(), ["amsterdam: unequal-bandwidth"]);
}

/// A conversion that fails is taken up where it failed; the next connection waits.
#[test]
fn conversion_fails() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::onboarded(&topology);
    lab.peering("amsterdam", PeeringAction::Convert);
    lab.peering("amsterdam", PeeringAction::Approve);
    lab.bgp("ams-1", "Idle");
    let message = "no BFD from the peer".to_owned();
    lab.connection("ams-1", ConnectionAction::Fail { message });
    assert_eq!(lab.state("ams-1"), "ProvisioningFailed/Idle");
    assert_eq!(lab.state("ams-2"), "TypeChangeRequested/Established");
    assert_eq!(lab.running, ["ams-2"]);
    lab.told();
    let message = String::new();
    lab.peering("amsterdam", PeeringAction::Reject { message });
    assert_eq!(lab.refusals(), ["amsterdam: conversion-in-progress"]);
    lab.peering("amsterdam", PeeringAction::Approve);
    assert_eq!(lab.state("ams-1"), "TypeChangeInProgress/Idle");
    lab.bgp("ams-1", "Established");
    assert_eq!(lab.state("ams-1"), "Active/Established");
    assert_eq!(lab.state("ams-2"), "TypeChangeInProgress/Established");
    lab.told();
    // Not even what is converted already (CNV-02).
    lab.connection("ams-1", ConnectionAction::Remove);
    assert_eq!(lab.refusals(), ["ams-1: conversion-in-progress"]);
}

#[test]
fn nothing_happens_to_what_is_being_removed() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::onboarded(&topology);
    lab.peering("amsterdam", PeeringAction::Remove);
    lab.told();
    for action in [
        PeeringAction::Approve,
        PeeringAction::Convert,
        PeeringAction::Remove,
    ] {
        lab.peering("amsterdam", action.clone());
        assert_eq!(lab.refusals(), ["amsterdam: being-removed"], "{action:?}");
    }
    lab.peering("amsterdam", PeeringAction::Request(voice()));
    assert!(
        lab.refusals()
            .contains(&"amsterdam: being-removed".to_owned())
    );
    lab.request(Request::Everything);
    assert_eq!(lab.told(), "");
}
