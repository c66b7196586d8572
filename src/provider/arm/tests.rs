//! Resources as they are while a run goes on.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::provider::Request;
use crate::provider::observed::Observed;
use crate::provider::onboarding::{Onboarding, Output};
use crate::source::Source;

fn topology() -> Topology {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("topologies");
    let path = folder.join("one-metro.toml");
    let text = std::fs::read_to_string(&path).expect("a topology of this repository");
    topology::parse(&Source::new(path, text)).expect("it is right")
}

fn entry(millis: u64, fact: Fact) -> Entry {
    Entry {
        at: At::from_millis(millis),
        fact,
    }
}

fn take(resources: &mut Resources<'_>, onboarding: &mut Onboarding) {
    while let Some(output) = onboarding.poll() {
        if let Output::Fact(fact) = output {
            resources.apply(&entry(0, fact));
        }
    }
}

fn json(resources: &Resources<'_>) -> Value {
    serde_json::to_value(resources.resources()).expect("it has only strings as keys")
}

#[test]
fn a_connection_from_nothing_to_its_session() {
    let topology = topology();
    let mut resources = Resources::new(&topology, "2026-03-01T12:00:00Z");
    let mut onboarding = Onboarding::new(&topology);
    take(&mut resources, &mut onboarding);
    let types = |value: &Value| {
        let all = value.as_array().expect("a list").iter();
        all.map(|r| r["type"].as_str().expect("a type").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        types(&json(&resources)),
        ["Microsoft.Peering/peeringServices"]
    );

    onboarding.request(&Request::Everything);
    take(&mut resources, &mut onboarding);
    let all = json(&resources);
    assert_eq!(
        all[0],
        json!({
            "id": "/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Peering/peerAsns/AS64500",
            "name": "AS64500",
            "type": "Microsoft.Peering/peerAsns",
            "properties": {
                "peerAsn": 64500, "peerName": "Contoso Voice", "validationState": "Approved"
            }
        })
    );
    let peering = &all[1];
    assert_eq!(peering["kind"], "Direct");
    assert_eq!(peering["sku"]["name"], "Premium_Direct_Free");
    assert_eq!(peering["properties"]["provisioningState"], "Succeeded");
    assert_eq!(peering["properties"]["peeringLocation"], "amsterdam");
    let direct = &peering["properties"]["direct"];
    assert_eq!(direct["directPeeringType"], "Voice");
    assert_eq!(direct["peerAsn"]["id"], all[0]["id"]);
    // No `bgpSession` and no bandwidth before addresses are allocated.
    assert_eq!(
        direct["connections"][0],
        json!({
            "bandwidthInMbps": 20000, "provisionedBandwidthInMbps": 0,
            "sessionAddressProvider": "Microsoft", "useForPeeringService": true,
            "microsoftTrackingId": "peerlab-ams-1", "peeringDBFacilityId": 18,
            "connectionState": "ProvisioningStarted"
        })
    );

    let mut observed = Observed::new(&topology);
    let facts = [
        Fact::Lag {
            router: "ams-edge-1".to_owned(),
            connection: "ams-1".to_owned(),
            up: true,
            distributing: 2,
        },
        Fact::Bfd {
            router: "ams-edge-1".to_owned(),
            connection: "ams-1".to_owned(),
            state: "up".to_owned(),
            diagnostic: String::new(),
            last_received: None,
            detection_time: None,
        },
        Fact::Bgp {
            router: "ams-edge-1".to_owned(),
            session: "ams-1".to_owned(),
            state: "Established".to_owned(),
            why: String::new(),
        },
    ];
    for fact in facts {
        let change = observed.apply(&fact).expect("it is new");
        onboarding.observed(&observed, &change);
    }
    take(&mut resources, &mut onboarding);
    let connections = &json(&resources)[1]["properties"]["direct"]["connections"];
    assert_eq!(connections[0]["connectionState"], "Active");
    assert_eq!(connections[0]["provisionedBandwidthInMbps"], 20000);
    assert_eq!(
        connections[0]["bgpSession"],
        json!({
            "sessionPrefixV4": "192.0.2.0/31", "microsoftSessionIPv4Address": "192.0.2.1",
            "peerSessionIPv4Address": "192.0.2.0", "sessionStateV4": "Established"
        })
    );
    assert_eq!(connections[1]["bgpSession"], Value::Null);
}

#[test]
fn prefixes_with_their_messages_keys_and_events() {
    let topology = topology();
    let mut resources = Resources::new(&topology, "2026-03-01T12:00:00Z");
    let event = |event: &str, subject: &str| Fact::Event {
        event: event.to_owned(),
        level: "Warning".to_owned(),
        subject: subject.to_owned(),
        summary: "withdrawal received".to_owned(),
        description: "session ams-1".to_owned(),
    };
    let message = Message {
        heading: "Missing MAPS community".to_owned(),
        documented: true,
        text: "198.51.100.0/24 over ams-1".to_owned(),
    };
    let registered = |state: &str, key: Option<&str>, message| Fact::RegisteredPrefix {
        peering: "amsterdam".to_owned(),
        prefix: "198.51.100.0/24".to_owned(),
        state: state.to_owned(),
        key: key.map(str::to_owned),
        failures: Vec::new(),
        message,
    };
    let activated = |state: &str| Fact::ServicePrefix {
        service: "amsterdam".to_owned(),
        prefix: "198.51.100.0/24".to_owned(),
        state: state.to_owned(),
        learned_type: "ViaServiceProvider".to_owned(),
        failures: Vec::new(),
        message: None,
    };
    for fact in [
        registered("Failed", None, Some(message)),
        event("PrefixWithdrawalEvent", "198.51.100.0/24"),
        activated("Pending"),
        event("PrefixWithdrawalEvent", "198.51.100.0/24"),
        event("PrefixWithdrawalEvent", "203.0.113.0/24"),
        event("RequestRefused", "198.51.100.0/24"),
        activated("Verified"),
    ] {
        resources.apply(&entry(1_500, fact));
    }
    let properties = |resources: &Resources<'_>, kind: &str| {
        let all = json(resources);
        let all = all.as_array().expect("a list").clone();
        let found = all.into_iter().find(|r| r["type"] == kind);
        found.map(|r| (r["name"].clone(), r["properties"].clone()))
    };
    let prefix = "Microsoft.Peering/peerings/registeredPrefixes";
    assert_eq!(
        properties(&resources, prefix),
        Some((
            json!("198.51.100.0_24"),
            json!({
                "prefix": "198.51.100.0/24", "prefixValidationState": "Failed",
                "errorMessage": "Missing MAPS community: 198.51.100.0/24 over ams-1",
                "provisioningState": "Succeeded"
            })
        ))
    );
    let service_prefix = "Microsoft.Peering/peeringServices/prefixes";
    let (_, found) = properties(&resources, service_prefix).expect("it was activated");
    assert_eq!(
        found,
        json!({
            "prefix": "198.51.100.0/24", "prefixValidationState": "Verified",
            "learnedType": "ViaServiceProvider", "provisioningState": "Succeeded",
            "events": [{
                "eventTimestamp": "2026-03-01T12:00:01.5Z", "eventType": "PrefixWithdrawalEvent",
                "eventSummary": "withdrawal received", "eventLevel": "Warning",
                "eventDescription": "session ams-1"
            }]
        })
    );
    resources.apply(&entry(2_000, registered("Verified", Some("a-key"), None)));
    let (_, found) = properties(&resources, prefix).expect("it is registered");
    assert_eq!(found["peeringServicePrefixKey"], "a-key");
    for object in ["registered-prefix", "service-prefix"] {
        resources.apply(&entry(
            3_000,
            Fact::PrefixDeleted {
                object: object.to_owned(),
                prefix: "198.51.100.0/24".to_owned(),
            },
        ));
    }
    assert_eq!(properties(&resources, prefix), None);
    assert_eq!(properties(&resources, service_prefix), None);
}
