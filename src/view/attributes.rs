//! The attributes of a route, in the words people write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bgp::attributes::{self, Origin};

/// The path attributes of a route. What a route does not have is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Attributes {
    /// NEXT_HOP; `0.0.0.0` or `::` of a route of the router's own, as each session puts in its own address.
    pub next_hop: IpAddr,
    /// The link-local next hop beside it (RFC 2545).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_local: Option<Ipv6Addr>,
    /// AS_PATH, the nearest AS first; an AS_SET is written `{64501,64502}`. Empty inside the originating AS.
    pub as_path: String,
    /// ORIGIN: `IGP`, `EGP`, `incomplete`.
    pub origin: String,
    /// LOCAL_PREF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// Communities of all three kinds: `8075:8007`, `8075:8007:0`, `rt:8075:8007`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<String>,
    /// AGGREGATOR: AS number and address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<String>,
    /// ATOMIC_AGGREGATE.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub atomic_aggregate: bool,
    /// ORIGINATOR_ID (RFC 4456).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST (RFC 4456).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_list: Vec<Ipv4Addr>,
    /// ONLY_TO_CUSTOMER (RFC 9234).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_to_customer: Option<u32>,
    /// Attributes that are passed on without being understood: type code, flags and value in hexadecimal, for example
    /// `99 0xc0 0102`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

impl From<&attributes::Attributes> for Attributes {
    fn from(of: &attributes::Attributes) -> Attributes {
        let mut as_path = of.as_path_text();
        if !of.as_set.is_empty() {
            let set: Vec<String> = of.as_set.iter().map(u32::to_string).collect();
            let gap = if as_path.is_empty() { "" } else { " " };
            as_path = format!("{as_path}{gap}{{{}}}", set.join(","));
        }
        Attributes {
            next_hop: of.next_hop,
            link_local: of.link_local,
            as_path,
            origin: match of.origin {
                Origin::Igp => "IGP",
                Origin::Egp => "EGP",
                Origin::Incomplete => "incomplete",
            }
            .to_owned(),
            local_pref: of.local_pref,
            med: of.med,
            communities: of.community_texts(),
            aggregator: of.aggregator.map(|(asn, id)| format!("AS{asn} {id}")),
            atomic_aggregate: of.atomic_aggregate,
            originator_id: of.originator_id,
            cluster_list: of.cluster_list.clone(),
            only_to_customer: of.only_to_customer,
            unknown: of.unknown.iter().map(unknown).collect(),
        }
    }
}

fn unknown(attribute: &attributes::UnknownAttribute) -> String {
    let value: String = attribute.value.iter().map(|b| format!("{b:02x}")).collect();
    format!("{} {:#04x} {value}", attribute.code, attribute.flags)
}
