//! The good paths: step by step, all at once, conversion, removal; and what is lost on the way.

use super::*;

/// Facts c.2, row by row.
#[test]
fn step_by_step() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::new(&topology);
    assert_eq!(
        lab.told(),
        lines("AS64500 None\nams-1 None/None\nams-2 None/None")
    );
    assert!(lab.lit.is_empty() && lab.running.is_empty());

    lab.asn(AsnAction::Register);
    assert_eq!(lab.told(), "AS64500 Pending");
    lab.asn(AsnAction::Approve);
    assert_eq!(
        lab.told(),
        lines("AS64500 Approved\nmail AS64500: AsnApproved")
    );

    let names = vec!["ams-1".to_owned(), "ams-2".to_owned()];
    lab.peering(
        "amsterdam",
        PeeringAction::Request(PeeringRequest::voice(names)),
    );
    assert_eq!(
        lab.told(),
        lines(
            "ams-1 PendingApproval/None
             ams-2 PendingApproval/None
             amsterdam Succeeded"
        )
    );
    lab.peering("amsterdam", PeeringAction::Approve);
    assert_eq!(
        lab.told(),
        lines(
            "ams-1 ProvisioningStarted/None
             mail ams-1: LetterOfAuthorizationSent
             ams-2 ProvisioningStarted/None
             mail ams-2: LetterOfAuthorizationSent"
        )
    );
    lab.connection("ams-1", ConnectionAction::Cable);
    assert_eq!(lab.told(), "port ams-1 on");
    lab.lag("ams-1", true);
    assert_eq!(
        lab.told(),
        lines(
            "mail ams-1: AddressesAllocated
             ams-1 ProvisioningStarted/PendingAdd
             ams-1 ProvisioningStarted/Idle
             session ams-1 on"
        )
    );
    for state in ["Connect", "Active", "OpenSent"] {
        lab.bgp("ams-1", state);
        assert_eq!(lab.told(), format!("ams-1 ProvisioningStarted/{state}"));
    }
    lab.bfd("ams-1", true);
    assert_eq!(lab.told(), "");
    lab.bgp("ams-1", "OpenConfirm");
    assert_eq!(lab.told(), "ams-1 ProvisioningStarted/OpenConfirm");
    lab.bgp("ams-1", "Established");
    assert_eq!(
        lab.told(),
        lines(
            "ams-1 ProvisioningStarted/Established
             ams-1 ProvisioningCompleted/Established
             ams-1 Validating/Established"
        )
    );
    assert!(!lab.onboarding.is_active("ams-1"));
    lab.connection("ams-1", ConnectionAction::Validate);
    assert_eq!(
        lab.told(),
        lines("ams-1 Active/Established\nmail ams-1: ConnectionActive")
    );
    assert!(lab.onboarding.is_active("ams-1") && !lab.onboarding.is_active("ams-2"));

    lab.connection("ams-2", ConnectionAction::Cable);
    lab.up("ams-2");
    lab.told();
    lab.connection("ams-2", ConnectionAction::Validate);
    assert_eq!(
        lab.told(),
        lines(
            "ams-2 Active/Established
             mail ams-2: ConnectionActive
             mail amsterdam: PeeringActive"
        )
    );
}

#[test]
fn everything_waits_only_for_what_is_observed() {
    let topology = topology("two-metros.toml");
    let mut lab = Lab::new(&topology);
    lab.request(Request::Everything);
    assert_eq!(lab.lit, ["ams-1", "ams-2", "fra-1", "fra-2"]);
    assert!(lab.running.is_empty());
    for name in ["ams-1", "ams-2", "fra-1", "fra-2"] {
        assert_eq!(lab.state(name), "ProvisioningStarted/None");
        lab.lag(name, true);
        assert_eq!(lab.state(name), "ProvisioningStarted/Idle");
        lab.bfd(name, true);
        lab.bgp(name, "Established");
        assert_eq!(lab.state(name), "Active/Established");
    }
    assert!(lab.told().ends_with("mail frankfurt: PeeringActive"));
    lab.request(Request::Everything);
    assert_eq!(lab.told(), "", "nothing is left");
}

#[test]
fn everything_does_what_is_left() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::new(&topology);
    lab.asn(AsnAction::Register);
    lab.request(Request::Everything);
    assert_eq!(lab.state("ams-1"), "ProvisioningStarted/None");
    lab.up("ams-1");
    assert_eq!(lab.state("ams-1"), "Active/Established");
}

#[test]
fn onboarded_starts_active_and_the_session_is_as_observed() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::of(
        Onboarding::onboarded(&topology),
        &topology,
        vec!["ams-1".to_owned(), "ams-2".to_owned()],
    );
    assert_eq!(
        lab.told(),
        lines(
            "AS64500 Approved
             amsterdam Succeeded
             ams-1 Active/Idle
             ams-2 Active/Idle"
        )
    );
    lab.up("ams-1");
    assert_eq!(lab.told(), "ams-1 Active/Established");
    lab.bfd("ams-1", false);
    lab.bgp("ams-1", "Idle");
    lab.lag("ams-1", false);
    assert_eq!(lab.told(), "ams-1 Active/Idle");
    assert!(lab.onboarding.is_active("ams-1"));
}

#[test]
fn what_is_lost_before_active_is_waited_for() {
    let topology = topology("one-metro.toml");
    type Loss = fn(&mut Lab, bool);
    let losses: [(&str, Loss); 3] = [
        ("LAG", |lab, up| lab.lag("ams-1", up)),
        ("BFD", |lab, up| lab.bfd("ams-1", up)),
        ("BGP", |lab, up| {
            lab.bgp("ams-1", if up { "Established" } else { "Idle" })
        }),
    ];
    for (what, lose) in losses {
        let mut lab = Lab::new(&topology);
        lab.request(Request::Everything);
        lab.lag("ams-1", true);
        lab.lag("ams-1", false);
        assert!(lab.state("ams-1").starts_with("ProvisioningStarted"));
        assert_eq!(lab.running, ["ams-1"], "addresses, once allocated, stay");
        lab.connection("ams-1", ConnectionAction::Remove);
        assert_eq!(lab.refusals(), ["ams-1: still-provisioning"]);
        lab.up("ams-1");
        assert_eq!(lab.state("ams-1"), "Active/Established");

        // Without anybody who validates.
        let mut lab = provisioned(&topology);
        lose(&mut lab, false);
        assert!(
            lab.state("ams-1").starts_with("ProvisioningCompleted/"),
            "{what}"
        );
        lab.connection("ams-1", ConnectionAction::Validate);
        assert_eq!(lab.refusals(), ["ams-1: not-validating"], "{what}");
        lose(&mut lab, true);
        assert_eq!(lab.state("ams-1"), "Validating/Established", "{what}");
        lab.connection("ams-1", ConnectionAction::Validate);
        assert_eq!(lab.state("ams-1"), "Active/Established", "{what}");
    }
}

/// `ams-1` is being validated, `ams-2` is not wired.
pub(super) fn provisioned(topology: &Topology) -> Lab {
    let mut lab = Lab::new(topology);
    lab.asn(AsnAction::Register);
    lab.asn(AsnAction::Approve);
    let names = vec!["ams-1".to_owned(), "ams-2".to_owned()];
    lab.peering(
        "amsterdam",
        PeeringAction::Request(PeeringRequest::voice(names)),
    );
    lab.peering("amsterdam", PeeringAction::Approve);
    lab.connection("ams-1", ConnectionAction::Cable);
    lab.up("ams-1");
    assert_eq!(lab.state("ams-1"), "Validating/Established");
    lab.told();
    lab
}

/// Without BFD no routes: BGP alone does not complete provisioning.
#[test]
fn bgp_without_bfd_is_not_enough() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::new(&topology);
    lab.request(Request::Everything);
    lab.lag("ams-1", true);
    lab.bgp("ams-1", "Established");
    assert_eq!(lab.state("ams-1"), "ProvisioningStarted/Established");
    lab.bfd("ams-1", true);
    assert_eq!(lab.state("ams-1"), "Active/Established");
}

/// CNV-04 to CNV-07: one at a time, with a hard restart, while the other stays up.
#[test]
fn conversion() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::onboarded(&topology);
    lab.peering("amsterdam", PeeringAction::Convert);
    assert_eq!(
        lab.told(),
        lines(
            "ams-1 TypeChangeRequested/Established
             ams-2 TypeChangeRequested/Established
             amsterdam Updating
             mail amsterdam: ConversionRequested"
        )
    );
    assert!(lab.onboarding.is_active("ams-1") && lab.onboarding.is_active("ams-2"));
    lab.peering("amsterdam", PeeringAction::Approve);
    assert_eq!(
        lab.told(),
        lines(
            "mail amsterdam: ConversionApproved
             ams-1 TypeChangeInProgress/Established
             session ams-1 off"
        )
    );
    assert!(!lab.onboarding.is_active("ams-1") && lab.onboarding.is_active("ams-2"));
    lab.bgp("ams-1", "Idle");
    assert_eq!(
        lab.told(),
        lines("ams-1 TypeChangeInProgress/Idle\nsession ams-1 on")
    );
    // The next one waits while this one is not up.
    lab.bgp("ams-1", "OpenConfirm");
    assert_eq!(lab.told(), "ams-1 TypeChangeInProgress/OpenConfirm");
    lab.bgp("ams-1", "Established");
    assert_eq!(
        lab.told(),
        lines(
            "ams-1 TypeChangeInProgress/Established
             ams-1 Active/Established
             ams-2 TypeChangeInProgress/Established
             session ams-2 off"
        )
    );
    // BFD may go with the session, and comes back first.
    lab.bgp("ams-2", "Idle");
    lab.bfd("ams-2", false);
    lab.bfd("ams-2", true);
    lab.told();
    lab.bgp("ams-2", "Established");
    assert_eq!(
        lab.told(),
        lines(
            "ams-2 TypeChangeInProgress/Established
             ams-2 Active/Established
             amsterdam Succeeded
             mail amsterdam: ConversionCompleted"
        )
    );
}

#[test]
fn conversion_waits_while_the_other_is_down() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::onboarded(&topology);
    lab.peering("amsterdam", PeeringAction::Convert);
    lab.bgp("ams-2", "Idle");
    lab.peering("amsterdam", PeeringAction::Approve);
    // ams-1 would leave nobody up; ams-2 is not next.
    assert_eq!(lab.state("ams-1"), "TypeChangeRequested/Established");
    assert_eq!(lab.state("ams-2"), "TypeChangeRequested/Idle");
    lab.bgp("ams-2", "Established");
    assert_eq!(lab.state("ams-1"), "TypeChangeInProgress/Established");
}

#[test]
fn removal() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::onboarded(&topology);
    lab.peering("amsterdam", PeeringAction::Remove);
    assert_eq!(
        lab.told(),
        lines(
            "amsterdam Deleting
             ams-1 Active/PendingRemove
             session ams-1 off
             ams-2 Active/PendingRemove
             session ams-2 off"
        )
    );
    assert!(!lab.onboarding.is_active("ams-1"));
    for name in ["ams-1", "ams-2"] {
        lab.bgp(name, "Idle");
        assert_eq!(lab.told(), format!("port {name} off"));
        assert_eq!(lab.state(name), "Active/PendingRemove");
        if name == "ams-1" {
            lab.lag(name, false);
            assert_eq!(
                lab.told(),
                lines("ams-1 None/None\nmail ams-1: ResourceRemoved")
            );
        }
    }
    lab.lag("ams-2", false);
    assert_eq!(
        lab.told(),
        lines(
            "ams-2 None/None
             mail ams-2: ResourceRemoved
             mail amsterdam: ResourceRemoved
             amsterdam None"
        )
    );
    // It can be requested again, and starts from the beginning.
    lab.bfd("ams-1", false);
    lab.request(Request::Everything);
    assert_eq!(lab.state("ams-1"), "ProvisioningStarted/None");
    lab.up("ams-1");
    assert_eq!(lab.state("ams-1"), "Active/Established");
}

#[test]
fn removal_of_one_connection() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::onboarded(&topology);
    lab.connection("ams-2", ConnectionAction::Remove);
    assert_eq!(
        lab.told(),
        lines(
            "ams-2 Active/PendingRemove
             session ams-2 off
             Advice amsterdam: fewer-than-two-connections"
        )
    );
    lab.connection("ams-2", ConnectionAction::Remove);
    assert_eq!(lab.refusals(), ["ams-2: being-removed"]);
    lab.bgp("ams-2", "Idle");
    lab.lag("ams-2", false);
    assert_eq!(lab.state("ams-2"), "None/None");
    assert_eq!(
        lab.onboarding.peering_state("amsterdam"),
        Some(ProvisioningState::Succeeded)
    );
    // It is added again: the other one stays active.
    let names = vec!["ams-2".to_owned()];
    lab.peering(
        "amsterdam",
        PeeringAction::Request(PeeringRequest::voice(names)),
    );
    assert_eq!(lab.state("ams-2"), "PendingApproval/None");
    assert_eq!(lab.state("ams-1"), "Active/Established");
}

#[test]
fn removal_before_approval_cancels() {
    let topology = topology("one-metro.toml");
    let mut lab = Lab::new(&topology);
    lab.asn(AsnAction::Register);
    lab.asn(AsnAction::Approve);
    let names = vec!["ams-1".to_owned(), "ams-2".to_owned()];
    let request = PeeringAction::Request(PeeringRequest::voice(names));
    lab.peering("amsterdam", request.clone());
    lab.told();
    lab.peering("amsterdam", PeeringAction::Remove);
    let told = lab.told();
    assert!(
        told.starts_with("amsterdam Canceled\n") && told.ends_with("\namsterdam None"),
        "{told}"
    );
    assert_eq!(lab.state("ams-1"), "None/None");
    lab.peering("amsterdam", request);
    assert_eq!(lab.state("ams-1"), "PendingApproval/None");
}
