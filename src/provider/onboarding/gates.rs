//! What a request must meet before it is taken (facts a.2, c.3, c.4). All that is wrong is said at once.

use super::{
    Connection, ConnectionState, Onboarding, PeeringRequest, ProvisioningState, Refusal,
    ValidationState,
};
use crate::topology::Profile;

/// The slowest connection (L1-01), in Mbit/s.
const SLOWEST: u32 = 10_000;

/// The connections that a request for a peering adds, by place; or everything that is wrong with it.
pub(super) fn request(
    onboarding: &Onboarding,
    metro: &str,
    request: &PeeringRequest,
) -> Result<Vec<usize>, Vec<Refusal>> {
    let mut refusals = properties(&onboarding.profile, metro, request);
    let mut refuse = |subject: &str, reason, text: &str| {
        refusals.push(Refusal::new(subject, reason, text));
    };
    let asn = &onboarding.asn;
    if asn.state != ValidationState::Approved {
        let text = format!(
            "the validationState of AS{} is {}: associate it with the subscription and wait until it is Approved \
             (up to twelve hours)",
            asn.number, asn.state
        );
        refuse(metro, "peer-asn-not-approved", &text);
    }

    let mut wanted: Vec<usize> = Vec::new();
    for name in &request.connections {
        match onboarding.place(name) {
            Err(_) => refuse(
                name,
                "unknown-connection",
                "the topology has no such connection",
            ),
            Ok(place) if onboarding.connections[place].metro != metro => {
                let text = format!(
                    "it is in {}; a peering has the connections of one location",
                    onboarding.connections[place].metro
                );
                refuse(name, "connection-of-another-metro", &text);
            }
            Ok(place) if wanted.contains(&place) => {}
            Ok(place) => wanted.push(place),
        }
    }
    let existing = onboarding.members(metro);
    let mut all = existing.clone();
    all.extend(wanted.iter().filter(|place| !existing.contains(place)));
    let is_new = |place: &usize| {
        let connection = &onboarding.connections[*place];
        !connection.exists() || may_be_requested_again(connection)
    };
    wanted.retain(is_new);
    if all.len() < onboarding.profile.fewest_connections {
        let text =
            "a voice peering has at least two connections: add another one, on another router";
        refuse(metro, "fewer-than-two-connections", text);
    }
    if wanted.is_empty() && all.len() >= onboarding.profile.fewest_connections {
        let text = "the peering has these connections already";
        refuse(metro, "already-requested", text);
    }
    let mut unready = existing
        .iter()
        .filter(|place| !wanted.contains(place))
        .map(|place| &onboarding.connections[*place]);
    let peering = onboarding.peering_state(metro);
    if existing
        .iter()
        .any(|place| onboarding.connections[*place].removing)
    {
        let text = "it is being deprovisioned; request it anew when that is done";
        refuse(metro, "being-removed", text);
    } else if peering == Some(ProvisioningState::Updating) {
        let text = "no connection can be added during a conversion; wait until all are Active";
        refuse(metro, "conversion-in-progress", text);
    } else if let Some(other) = unready.find(|c| c.state != ConnectionState::Active)
        && !wanted.is_empty()
    {
        let text = format!(
            "connection {} is {}: connections are added only while all others are Active",
            other.name, other.state
        );
        refuse(metro, "connections-not-active", &text);
    }
    bandwidth(onboarding, metro, &all, &mut refuse);
    if refusals.is_empty() {
        Ok(wanted)
    } else {
        Err(refusals)
    }
}

/// A failed request or provisioning may be asked for anew; a failed conversion is taken up by its approval.
fn may_be_requested_again(connection: &Connection) -> bool {
    connection.state == ConnectionState::ProvisioningFailed
        && !connection.converting
        && !connection.removing
}

/// Whether the peering shall be a plain one: AS8075 without voice, which can be converted to voice later (CNV-04).
pub(super) fn is_plain(request: &PeeringRequest) -> bool {
    PLAIN.contains(&request.network.as_str())
}

/// AS8075 without voice, in the portal's words and in those of Azure's resource model.
const PLAIN: [&str; 2] = ["AS8075", "Edge"];

/// What supports Peering Service (V-17).
pub(super) fn is_for_peering_service(request: &PeeringRequest) -> bool {
    request.use_for_peering_service && PREMIUM.contains(&request.sku.as_str())
}

/// The SKU that Peering Service asks for (PRT-04).
const PREMIUM: [&str; 2] = ["Premium Free", "Premium_Direct_Free"];
/// The SKU of a plain peering.
const BASIC: [&str; 2] = ["Basic Free", "Basic_Direct_Free"];

/// PRT-04 and PRT-05: in the portal's words, or those of Azure's resource model.
fn properties(profile: &Profile, metro: &str, request: &PeeringRequest) -> Vec<Refusal> {
    let network = &profile.network;
    let provider = profile.session_address_provider.as_str();
    let plain = is_plain(request);
    let said = |given: &str, right: [&str; 2]| right.contains(&given);
    let checks = [
        (
            request.kind == "Direct",
            "wrong-peering-type",
            format!("peering type `{}`: choose Direct", request.kind),
        ),
        (
            plain || said(&request.network, [network, &profile.peering_type]),
            "wrong-microsoft-network",
            format!("Microsoft network `{}`: choose {network}", request.network),
        ),
        (
            said(&request.sku, PREMIUM) || plain && said(&request.sku, BASIC),
            "wrong-sku",
            format!("SKU `{}`: choose Premium Free", request.sku),
        ),
        (
            plain || request.session_address_provider == provider,
            "wrong-session-address-provider",
            format!(
                "session address provider `{}`: choose {provider}; it is not the peer's choice",
                request.session_address_provider
            ),
        ),
        (
            plain || request.use_for_peering_service,
            "not-used-for-peering-service",
            "Use for Peering Service is disabled: enable it on every connection".to_owned(),
        ),
    ];
    let wrong = checks.into_iter().filter(|(right, ..)| !right);
    wrong
        .map(|(_, reason, text)| Refusal::new(metro, reason, text))
        .collect()
}

/// L1-01, and RED-05: equal over the peering, and over all locations of a service.
fn bandwidth(
    onboarding: &Onboarding,
    metro: &str,
    members: &[usize],
    refuse: &mut impl FnMut(&str, &'static str, &str),
) {
    let connections = &onboarding.connections;
    for connection in members.iter().map(|place| &connections[*place]) {
        if connection.bandwidth_mbps < SLOWEST {
            let text = format!(
                "{} Mbit/s: a connection has at least {SLOWEST} Mbit/s",
                connection.bandwidth_mbps
            );
            refuse(&connection.name, "slower-than-10-gbps", &text);
        }
    }
    let Some(first) = members.first().map(|place| &connections[*place]) else {
        return;
    };
    let same_service = |other: &str| {
        let mut services = onboarding.services.iter();
        services.any(|(primary, backup)| {
            let has = |metro: &str| primary == metro || backup.as_deref() == Some(metro);
            has(metro) && has(other)
        })
    };
    let elsewhere = connections
        .iter()
        .filter(|c| c.exists() && c.metro != metro && same_service(&c.metro));
    let mut others = members
        .iter()
        .map(|place| &connections[*place])
        .chain(elsewhere);
    if let Some(other) = others.find(|other| other.bandwidth_mbps != first.bandwidth_mbps) {
        let text = format!(
            "{} has {} Mbit/s and {} has {} Mbit/s: primary, backup and redundant connections have the same bandwidth",
            first.name, first.bandwidth_mbps, other.name, other.bandwidth_mbps
        );
        refuse(metro, "unequal-bandwidth", &text);
    }
}

/// What must hold before a peering is converted (CNV-01, CNV-05, CNV-06).
pub(super) fn conversion(metro: &str, members: &[&Connection]) -> Result<(), Refusal> {
    let refuse = |reason, text: String| Err(Refusal::new(metro, reason, text));
    let is = |state| move |c: &&&Connection| c.state == state;
    let converts =
        |c: &&&Connection| c.converting || c.state == ConnectionState::TypeChangeRequested;
    if let Some(c) = members.iter().find(is(ConnectionState::PendingApproval)) {
        let text = format!(
            "connection {} is PendingApproval: wait until it is Active",
            c.name
        );
        return refuse("pending-approval", text);
    }
    if let Some(c) = members.iter().find(converts) {
        let text = format!(
            "connection {} is {}: one conversion at a time",
            c.name, c.state
        );
        return refuse("conversion-in-progress", text);
    }
    if let Some(c) = members.iter().find(|c| c.removing) {
        let text = format!(
            "connection {} is being deprovisioned: wait until it is gone",
            c.name
        );
        return refuse("being-removed", text);
    }
    if let Some(c) = members.iter().find(|c| c.state != ConnectionState::Active) {
        let text = format!("connection {} is {}: all must be Active", c.name, c.state);
        return refuse("connections-not-active", text);
    }
    let [first, rest @ ..] = members else {
        return refuse("not-requested", "it has no connection".to_owned());
    };
    if rest.is_empty() {
        let text = "it has one connection; at least two are needed".to_owned();
        return refuse("fewer-than-two-connections", text);
    }
    if rest
        .iter()
        .any(|c| c.bandwidth_mbps != first.bandwidth_mbps)
    {
        let text = "redundant connections have the same bandwidth".to_owned();
        return refuse("unequal-bandwidth", text);
    }
    if let Some(c) = members.iter().find(|c| !c.is_up()) {
        let text = format!(
            "{} of connection {}: configure BGP and BFD before asking for the conversion",
            c.what_is_down(),
            c.name
        );
        return refuse("bgp-and-bfd-not-up", text);
    }
    Ok(())
}

/// What must hold before connections, none of which is being converted, are deprovisioned (c.2 row D).
pub(super) fn removal(connections: &[&Connection]) -> Result<(), Refusal> {
    for connection in connections {
        let refuse = |reason, text: &str| {
            let text = format!("connectionState {}: {text}", connection.state);
            Err(Refusal::new(connection.name.clone(), reason, text))
        };
        match connection.state {
            _ if connection.removing => {
                return refuse("being-removed", "it is being deprovisioned");
            }
            ConnectionState::ProvisioningStarted | ConnectionState::ProvisioningCompleted => {
                let text = "it cannot be removed while it is being provisioned; wait until it is validated, or let it fail";
                return refuse("still-provisioning", text);
            }
            ConnectionState::None
            | ConnectionState::PendingApproval
            | ConnectionState::Approved
            | ConnectionState::ProvisioningFailed
            | ConnectionState::Validating
            | ConnectionState::Active
            | ConnectionState::TypeChangeRequested
            | ConnectionState::TypeChangeInProgress
            | ConnectionState::ExternalBlocker => {}
        }
    }
    Ok(())
}
