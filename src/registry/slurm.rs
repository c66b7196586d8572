//! Local exceptions to the RPKI (SLURM, RFC 8416): VRPs to filter out, and VRPs to add.
//!
//! The parts for BGPsec are accepted and passed over. A member that the RFC does not name is a mistake (section 3.2).

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::vrps::{Mistake, Prefix, checked, checked_length};
use crate::bgp::origin_validation::{Vrp, VrpTable};

/// Exceptions: first filters, then assertions (RFC 8416, section 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slurm {
    /// What is taken away.
    pub filters: Vec<PrefixFilter>,
    /// What is added; their trust anchor is named `slurm`.
    pub assertions: Vec<Vrp>,
}

/// Takes away the VRPs of an AS, or inside a prefix, or both at once (RFC 8416, section 3.3.1). One of them is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixFilter {
    /// VRPs whose prefix is this one or inside it.
    pub prefix: Option<ipnet::IpNet>,
    /// VRPs of this AS.
    pub asn: Option<u32>,
    /// Why.
    pub comment: Option<String>,
}

impl PrefixFilter {
    /// Whether it takes this VRP away.
    pub fn matches(&self, vrp: &Vrp) -> bool {
        self.prefix
            .is_none_or(|prefix| prefix.contains(&vrp.prefix))
            && self.asn.is_none_or(|asn| asn == vrp.asn)
    }
}

impl Slurm {
    /// Reads a file of exceptions.
    ///
    /// # Errors
    /// The first mistake.
    pub fn read(text: &str) -> Result<Slurm, Mistake> {
        let file: File = serde_json::from_str(text)?;
        Ok(Slurm {
            filters: file.validation_output_filters.prefix_filters,
            assertions: file.locally_added_assertions.prefix_assertions,
        })
    }

    /// The table with the exceptions.
    pub fn apply(&self, table: &VrpTable) -> VrpTable {
        let filtered = |vrp: &&Vrp| self.filters.iter().any(|filter| filter.matches(vrp));
        let kept = table.iter().filter(|vrp| !filtered(vrp));
        // First the assertions, so that they give the name to what the RPKI says as well.
        self.assertions.iter().chain(kept).cloned().collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    #[serde(rename = "slurmVersion")]
    _version: Version,
    validation_output_filters: Filters,
    locally_added_assertions: Assertions,
}

/// The only version there is a standard for.
#[derive(Deserialize)]
#[serde(try_from = "u64")]
struct Version;

impl TryFrom<u64> for Version {
    type Error = String;

    fn try_from(version: u64) -> Result<Version, String> {
        match version {
            1 => Ok(Version),
            other => Err(format!("SLURM version {other} is not version 1 (RFC 8416)")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filters {
    prefix_filters: Vec<PrefixFilter>,
    #[serde(rename = "bgpsecFilters")]
    _bgpsec: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Assertions {
    #[serde(deserialize_with = "assertions")]
    prefix_assertions: Vec<Vrp>,
    #[serde(rename = "bgpsecAssertions")]
    _bgpsec: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFilter {
    prefix: Option<Prefix>,
    asn: Option<u32>,
    comment: Option<String>,
}

impl TryFrom<RawFilter> for PrefixFilter {
    type Error = String;

    fn try_from(raw: RawFilter) -> Result<PrefixFilter, String> {
        if raw.prefix.is_none() && raw.asn.is_none() {
            return Err("a filter needs `prefix` or `asn`".to_owned());
        }
        Ok(PrefixFilter {
            prefix: raw.prefix.map(|prefix| prefix.0),
            asn: raw.asn,
            comment: raw.comment,
        })
    }
}

impl<'de> Deserialize<'de> for PrefixFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked::<D, RawFilter, PrefixFilter>(deserializer)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawAssertion {
    asn: u32,
    prefix: Prefix,
    max_prefix_length: Option<u8>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

struct Assertion(Vrp);

impl TryFrom<RawAssertion> for Assertion {
    type Error = String;

    fn try_from(raw: RawAssertion) -> Result<Assertion, String> {
        let prefix = raw.prefix.0;
        let max_length = raw.max_prefix_length.unwrap_or(prefix.prefix_len());
        Ok(Assertion(Vrp {
            prefix,
            max_length: checked_length(prefix, max_length)?,
            asn: raw.asn,
            trust_anchor: None,
        }))
    }
}

impl<'de> Deserialize<'de> for Assertion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked::<D, RawAssertion, Assertion>(deserializer)
    }
}

/// The assertions with the name of their trust anchor.
fn assertions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vrp>, D::Error> {
    let name: Arc<str> = "slurm".into();
    let assertions = Vec::<Assertion>::deserialize(deserializer)?;
    let named = assertions.into_iter().map(|Assertion(vrp)| Vrp {
        trust_anchor: Some(Arc::clone(&name)),
        ..vrp
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The full example of RFC 8416, section 3.5, with its BGPsec parts.
    const EXAMPLE: &str = r#"{
  "slurmVersion": 1,
  "validationOutputFilters": {
    "prefixFilters": [
      { "prefix": "192.0.2.0/24", "comment": "All VRPs encompassed by prefix" },
      { "asn": 64496, "comment": "All VRPs matching ASN" },
      { "prefix": "198.51.100.0/24", "asn": 64497, "comment": "All VRPs encompassed by prefix, matching ASN" }
    ],
    "bgpsecFilters": [ { "asn": 64496, "comment": "All keys for ASN" } ]
  },
  "locallyAddedAssertions": {
    "prefixAssertions": [
      { "asn": 64496, "prefix": "198.51.100.0/24", "comment": "My other important route" },
      { "asn": 64496, "prefix": "2001:DB8::/32", "maxPrefixLength": 48, "comment": "My other important de-aggregated routes" }
    ],
    "bgpsecAssertions": [ { "asn": 64496, "SKI": "AA", "routerPublicKey": "AA" } ]
  }
}"#;

    #[test]
    fn the_example_of_the_rfc_filters_and_adds() {
        let slurm = Slurm::read(EXAMPLE).expect("the example");
        let table = super::super::vrps::read(
            "AS1,192.0.2.0/25,25,ripe\nAS1,192.0.0.0/16,24,ripe\nAS64496,203.0.113.0/24,24,ripe\n\
             AS64497,198.51.100.128/25,25,ripe\nAS64498,198.51.100.0/24,24,ripe\n",
        );
        let after = slurm.apply(&table.expect("rows"));
        let shown: Vec<String> = after.iter().map(Vrp::to_string).collect();
        assert_eq!(
            shown,
            [
                "192.0.0.0/16-24 AS1 (ripe)",
                "198.51.100.0/24 AS64496 (slurm)",
                "198.51.100.0/24 AS64498 (ripe)",
                "2001:db8::/32-48 AS64496 (slurm)",
            ]
        );
        assert_eq!(slurm.apply(&after), after);
    }

    #[test]
    fn what_the_rfc_does_not_name_is_a_mistake() {
        let with = |old: &str, new: &str| EXAMPLE.replacen(old, new, 1);
        for (text, told) in [
            (
                with("\"slurmVersion\": 1", "\"slurmVersion\": 2"),
                "line 2: SLURM version 2 is not version 1 (RFC 8416)",
            ),
            (
                with("\"asn\": 64496, \"comment\": \"All VRPs matching ASN\"", ""),
                "line 6: a filter needs `prefix` or `asn`",
            ),
            (
                with("\"maxPrefixLength\": 48", "\"maxPrefixLength\": 31"),
                "line 14: the maxLength 31 does not fit 2001:db8::/32",
            ),
            (
                with("192.0.2.0/24", "192.0.2.1/24"),
                "line 5: `192.0.2.1/24` is not a prefix without host bits",
            ),
            (
                with("\"comment\": \"All VRPs m", "\"remark\": \"All VRPs m"),
                "line 6: unknown field `remark`, expected one of `prefix`, `asn`, `comment`",
            ),
            (
                with(
                    "\"bgpsecFilters\": [ { \"asn\": 64496, \"comment\": \"All keys for ASN\" } ]",
                    "\"x\": []",
                ),
                "line 9: unknown field `x`, expected `prefixFilters` or `bgpsecFilters`",
            ),
        ] {
            let mistake = Slurm::read(&text).expect_err("wrong");
            assert_eq!(mistake.to_string(), told, "{text}");
        }
    }
}
