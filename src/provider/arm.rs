//! The Microsoft side of a run as Azure's resource model has it (facts d.2 to d.4, API version 2025-05-01).
//!
//! Every value comes from the record's facts or from the topology. Subscription, resource group and Azure region are
//! nobody's in a lab: ids have a subscription of zeros, and the topology's name as resource group; what a client would
//! have chosen (`location`, `connectionIdentifier`, a prefix's key at its activation) is left out. Microsoft does not
//! support onboarding by this interface (E-10); it is here for what reads it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::record::{Entry, Fact, Message};
use crate::time::At;
use crate::topology::{self, Topology};

/// The resources of a run, as far as its record was read.
#[derive(Debug, Clone)]
pub struct Resources<'a> {
    topology: &'a Topology,
    started: Timestamp,
    asn: (String, String),
    /// `provisioningState` by metro.
    peerings: BTreeMap<&'a str, String>,
    /// By the connection's name.
    connections: BTreeMap<String, ConnectionFact>,
    /// In Mbit/s, where a LAG was augmented or reduced.
    bandwidths: BTreeMap<String, u32>,
    /// By parent peering and prefix.
    registered: BTreeMap<(String, String), RegisteredPrefix>,
    /// By peering and AS number.
    registered_asns: BTreeMap<(String, u32), RegisteredAsn>,
    /// By service and prefix.
    activated: BTreeMap<(String, String), ServicePrefix>,
}

/// What was last told of a connection.
#[derive(Debug, Clone)]
struct ConnectionFact {
    state: String,
    session_state: String,
    error: String,
}

/// A resource with its envelope.
#[derive(Debug, Clone, Serialize)]
pub struct Resource {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind_of_resource: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<Sku>,
    properties: Properties,
}

#[derive(Debug, Clone, Serialize)]
struct Sku {
    name: &'static str,
    tier: &'static str,
    family: &'static str,
    size: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Properties {
    PeerAsn(PeerAsn),
    Peering(Peering),
    RegisteredPrefix(RegisteredPrefix),
    RegisteredAsn(RegisteredAsn),
    PeeringService(PeeringService),
    ServicePrefix(ServicePrefix),
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct PeerAsn {
    peer_asn: u32,
    peer_name: String,
    validation_state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    error_message: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Peering {
    peering_location: String,
    provisioning_state: String,
    direct: Direct,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Direct {
    use_for_peering_service: bool,
    direct_peering_type: String,
    peer_asn: Id,
    connections: Vec<Connection>,
}

#[derive(Debug, Clone, Serialize)]
struct Id {
    id: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    bandwidth_in_mbps: u32,
    provisioned_bandwidth_in_mbps: u32,
    session_address_provider: &'static str,
    use_for_peering_service: bool,
    microsoft_tracking_id: String,
    #[serde(
        rename = "peeringDBFacilityId",
        skip_serializing_if = "Option::is_none"
    )]
    facility: Option<u32>,
    connection_state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bgp_session: Option<BgpSession>,
    #[serde(skip_serializing_if = "String::is_empty")]
    error_message: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct BgpSession {
    session_prefix_v4: String,
    #[serde(rename = "microsoftSessionIPv4Address")]
    microsoft: String,
    #[serde(rename = "peerSessionIPv4Address")]
    peer: String,
    session_state_v4: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_prefixes_advertised_v4: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_prefixes_advertised_v6: Option<u32>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct RegisteredPrefix {
    prefix: String,
    prefix_validation_state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    peering_service_prefix_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    provisioning_state: &'static str,
}

/// It has no validation state: its key is there at once (E-12).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct RegisteredAsn {
    asn: u32,
    peering_service_prefix_key: String,
    provisioning_state: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct PeeringService {
    peering_service_provider: String,
    provider_primary_peering_location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_backup_peering_location: Option<String>,
    provisioning_state: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServicePrefix {
    prefix: String,
    prefix_validation_state: String,
    learned_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    events: Vec<Event>,
    provisioning_state: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_timestamp: String,
    event_type: String,
    event_summary: String,
    event_level: String,
    event_description: String,
}

impl<'a> Resources<'a> {
    /// Nothing was read yet. `started` is the wall-clock time of [`At::ZERO`] (RFC 3339), as [`Fact::Run`] has it; the
    /// epoch if it is no time.
    pub fn new(topology: &'a Topology, started: &str) -> Resources<'a> {
        Resources {
            topology,
            started: started.parse().unwrap_or_default(),
            asn: ("None".to_owned(), String::new()),
            peerings: BTreeMap::new(),
            connections: BTreeMap::new(),
            bandwidths: BTreeMap::new(),
            registered: BTreeMap::new(),
            registered_asns: BTreeMap::new(),
            activated: BTreeMap::new(),
        }
    }

    /// Takes the next entry of the record.
    pub fn apply(&mut self, entry: &Entry) {
        match &entry.fact {
            Fact::PeerAsn { state, error, .. } => self.asn = (state.clone(), error.clone()),
            Fact::Peering { peering, state, .. } => {
                let metro = self.topology.metros.iter().find(|m| m.name == *peering);
                if let Some(metro) = metro {
                    self.peerings.insert(&metro.name, state.clone());
                }
            }
            Fact::InService(now) => {
                let bandwidth = now.bandwidth_mbps;
                self.bandwidths.insert(now.connection.clone(), bandwidth);
            }
            Fact::Connection {
                connection,
                state,
                session_state,
                error,
                ..
            } => {
                let told = ConnectionFact {
                    state: state.clone(),
                    session_state: session_state.clone(),
                    error: error.clone(),
                };
                self.connections.insert(connection.clone(), told);
            }
            Fact::RegisteredPrefix {
                peering,
                prefix,
                state,
                key,
                message,
                ..
            } => {
                let resource = RegisteredPrefix {
                    prefix: prefix.clone(),
                    prefix_validation_state: state.clone(),
                    peering_service_prefix_key: key.clone(),
                    error_message: message.as_ref().map(text),
                    provisioning_state: "Succeeded",
                };
                let key = (peering.clone(), prefix.clone());
                self.registered.insert(key, resource);
            }
            Fact::ServicePrefix {
                service,
                prefix,
                state,
                learned_type,
                message,
                ..
            } => {
                let key = (service.clone(), prefix.clone());
                let before = self.activated.remove(&key);
                let resource = ServicePrefix {
                    prefix: prefix.clone(),
                    prefix_validation_state: state.clone(),
                    learned_type: learned_type.clone(),
                    error_message: message.as_ref().map(text),
                    events: before.map(|before| before.events).unwrap_or_default(),
                    provisioning_state: "Succeeded",
                };
                self.activated.insert(key, resource);
            }
            Fact::RegisteredAsn { peering, asn, key } => {
                let resource = key.clone().map(|key| RegisteredAsn {
                    asn: *asn,
                    peering_service_prefix_key: key,
                    provisioning_state: "Succeeded",
                });
                let place = (peering.clone(), *asn);
                match resource {
                    Some(resource) => self.registered_asns.insert(place, resource),
                    None => self.registered_asns.remove(&place),
                };
            }
            Fact::PrefixDeleted { object, prefix } if object == "registered-prefix" => {
                self.registered.retain(|(_, other), _| other != prefix);
            }
            Fact::PrefixDeleted { prefix, .. } => {
                self.activated.retain(|(_, other), _| other != prefix);
            }
            Fact::Event {
                event,
                level,
                subject,
                summary,
                description,
            } => {
                let event = Event {
                    event_timestamp: self.wall(entry.at),
                    event_type: event.clone(),
                    event_summary: summary.clone(),
                    event_level: level.clone(),
                    event_description: description.clone(),
                };
                let of_prefix = event.event_type.starts_with("Prefix");
                let prefixes = self.activated.iter_mut();
                for (_, resource) in prefixes.filter(|((_, p), _)| of_prefix && p == subject) {
                    resource.events.push(event.clone());
                }
            }
            _ => {}
        }
    }

    /// All resources there are: peer ASN, peerings with their registered prefixes and ASNs, services with their prefixes.
    pub fn resources(&self) -> Vec<Resource> {
        let mut all: Vec<Resource> = self.peer_asn().into_iter().collect();
        for metro in &self.topology.metros {
            all.extend(self.peering(metro));
            for ((peering, prefix), resource) in &self.registered {
                if *peering == metro.name {
                    let parent = format!("peerings/{peering}/registeredPrefixes");
                    let properties = Properties::RegisteredPrefix(resource.clone());
                    all.push(self.resource(&parent, &name_of(prefix), properties));
                }
            }
        }
        for ((peering, asn), resource) in &self.registered_asns {
            let parent = format!("peerings/{peering}/registeredAsns");
            let properties = Properties::RegisteredAsn(resource.clone());
            all.push(self.resource(&parent, &format!("AS{asn}"), properties));
        }
        for service in &self.topology.services {
            let properties = Properties::PeeringService(PeeringService {
                peering_service_provider: self.topology.peer.name.clone(),
                provider_primary_peering_location: service.primary.clone(),
                provider_backup_peering_location: service.backup.clone(),
                provisioning_state: "Succeeded",
            });
            all.push(self.resource("peeringServices", &service.name, properties));
            for ((of, prefix), resource) in &self.activated {
                if *of == service.name {
                    let parent = format!("peeringServices/{of}/prefixes");
                    let properties = Properties::ServicePrefix(resource.clone());
                    all.push(self.resource(&parent, &name_of(prefix), properties));
                }
            }
        }
        all
    }

    fn peer_asn(&self) -> Option<Resource> {
        let (state, error) = &self.asn;
        let properties = PeerAsn {
            peer_asn: self.topology.peer.asn,
            peer_name: self.topology.peer.name.clone(),
            validation_state: state.clone(),
            error_message: error.clone(),
        };
        let resource = self.resource(
            "peerAsns",
            &self.asn_name(),
            Properties::PeerAsn(properties),
        );
        (state != "None").then_some(resource)
    }

    fn peering(&self, metro: &topology::Metro) -> Option<Resource> {
        let state = self.peerings.get(metro.name.as_str())?;
        let connections = self.topology.connections.iter();
        let connections: Vec<Connection> = connections
            .filter(|connection| connection.metro == metro.name)
            .filter_map(|connection| self.connection(connection, metro.facility))
            .collect();
        let properties = Peering {
            peering_location: metro.name.clone(),
            provisioning_state: state.clone(),
            direct: Direct {
                use_for_peering_service: true,
                direct_peering_type: self.topology.profile.peering_type.clone(),
                peer_asn: Id {
                    id: self.id("peerAsns", &self.asn_name()),
                },
                connections,
            },
        };
        let resource = self.resource("peerings", &metro.name, Properties::Peering(properties));
        (state != "None").then_some(Resource {
            kind: Some("Direct"),
            sku: Some(Sku {
                name: "Premium_Direct_Free",
                tier: "Premium",
                family: "Direct",
                size: "Free",
            }),
            ..resource
        })
    }

    fn connection(
        &self,
        connection: &topology::Connection,
        facility: Option<u32>,
    ) -> Option<Connection> {
        let told = self.connections.get(&connection.name)?;
        let bandwidth = self.bandwidths.get(&connection.name).copied();
        let bandwidth = bandwidth.unwrap_or(connection.bandwidth_mbps);
        let provisioned = match told.state.as_str() {
            "None" => return None,
            "PendingApproval" | "Approved" | "ProvisioningStarted" | "ProvisioningFailed" => 0,
            _ => bandwidth,
        };
        let addresses = connection.addresses;
        let network = ipnet::Ipv4Net::new(addresses.peer, addresses.prefix_len);
        let session = BgpSession {
            session_prefix_v4: network.map_or_else(|_| String::new(), |n| n.trunc().to_string()),
            microsoft: addresses.microsoft.to_string(),
            peer: addresses.peer.to_string(),
            session_state_v4: told.session_state.clone(),
            max_prefixes_advertised_v4: connection.declared.ipv4,
            max_prefixes_advertised_v6: connection.declared.ipv6,
        };
        Some(Connection {
            bandwidth_in_mbps: bandwidth,
            provisioned_bandwidth_in_mbps: provisioned,
            session_address_provider: self.topology.profile.session_address_provider.as_str(),
            use_for_peering_service: true,
            microsoft_tracking_id: format!("peerlab-{}", connection.name),
            facility,
            connection_state: told.state.clone(),
            bgp_session: (told.session_state != "None").then_some(session),
            error_message: told.error.clone(),
        })
    }

    fn asn_name(&self) -> String {
        format!("AS{}", self.topology.peer.asn)
    }

    fn resource(&self, collection: &str, name: &str, properties: Properties) -> Resource {
        Resource {
            id: self.id(collection, name),
            name: name.to_owned(),
            kind_of_resource: match &properties {
                Properties::PeerAsn(_) => "Microsoft.Peering/peerAsns",
                Properties::Peering(_) => "Microsoft.Peering/peerings",
                Properties::RegisteredPrefix(_) => "Microsoft.Peering/peerings/registeredPrefixes",
                Properties::RegisteredAsn(_) => "Microsoft.Peering/peerings/registeredAsns",
                Properties::PeeringService(_) => "Microsoft.Peering/peeringServices",
                Properties::ServicePrefix(_) => "Microsoft.Peering/peeringServices/prefixes",
            },
            kind: None,
            sku: None,
            properties,
        }
    }

    /// Peer ASNs belong to the subscription, all else to a resource group.
    fn id(&self, collection: &str, name: &str) -> String {
        let group = match collection {
            "peerAsns" => String::new(),
            _ => format!("/resourceGroups/{}", self.topology.name),
        };
        format!(
            "/subscriptions/00000000-0000-0000-0000-000000000000{group}/providers/Microsoft.Peering/{collection}/{name}"
        )
    }

    fn wall(&self, at: At) -> String {
        let nanos = i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
        let wall = self.started.checked_add(SignedDuration::from_nanos(nanos));
        wall.unwrap_or(self.started).to_string()
    }
}

/// A prefix as the name of a resource, which has letters, digits, `_`, `.` and `-` and at most 63 of them.
fn name_of(prefix: &str) -> String {
    let good = |c: char| {
        if c.is_ascii_alphanumeric() || ".-".contains(c) {
            c
        } else {
            '_'
        }
    };
    prefix.chars().take(63).map(good).collect()
}

fn text(message: &Message) -> String {
    format!("{}: {}", message.heading, message.text)
}

#[cfg(test)]
mod tests;
