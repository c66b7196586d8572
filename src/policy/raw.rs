//! Policies as TOML has them. Every key is optional here; `parse.rs` says what is missing.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::source::{Located, Names, Numbers, Table, Word, Words};

/// Named policies: each a list of rules, which are tried in order.
pub(crate) type RawPolicies = Table<Vec<Located<RawRule>>>;
/// Named sets of prefixes, or of AS numbers.
pub(crate) type RawSets = Table<Located<Words>>;

/// One rule of a policy: what all must hold of a route, what is changed in it, and where it ends. Matches see the route as
/// it came; changes are made when it is accepted.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawRule {
    /// The rule counts only while this is so: `inactive` (the connection exchanges no routes yet), or what the switch `rpki`
    /// of [microsoft.policy] says: `rpki-drop-invalid`, `rpki-require-valid`.
    #[serde(rename = "if")]
    pub circumstance: Option<Located<String>>,
    /// Address family: `ipv4` or `ipv6`.
    pub family: Option<Located<String>>,
    /// The prefix is one of these: "198.51.100.0/24", "10.0.0.0/8+" (and all inside it), "203.0.113.0/24{25,32}" (those
    /// inside it of these lengths), or the name of a set: one of [prefix-set], or `bogons`, `peer`, `microsoft`,
    /// `activated-in-primary`, `activated-in-backup`, `activated-elsewhere`.
    pub prefix: Option<Located<Names>>,
    /// Length of the prefix: 24, "25..32", "25.." or "..7".
    pub prefix_length: Option<Located<Word>>,
    /// Number of AS numbers in the path, repeated ones counted: 3, "1..3", "4..".
    pub as_path_length: Option<Located<Word>>,
    /// One of these AS numbers is in the path: 12076, "64512..65534", or the name of a set: one of [asn-set], or `private`,
    /// `special`, `peer`, `microsoft`.
    pub as_path_contains: Option<Located<Words>>,
    /// The last AS number of the path is one of these.
    pub origin_asn: Option<Located<Words>>,
    /// The route has one of these communities: "8075:8007", "8075:*", "8075:8007:0" (a large one), "rt:8075:8007" (an
    /// extended one), or a name such as `graceful-shutdown` or `no-export`.
    pub community: Option<Located<Names>>,
    /// What the RPKI says about prefix and origin: `valid`, `invalid`, `invalid-as`, `invalid-length`, `not-found`.
    pub rpki: Option<Located<Names>>,
    /// What stands in it does not all hold.
    pub not: Option<Box<Located<RawRule>>>,
    /// All holds of at least one of these.
    pub any: Option<Located<Vec<Located<RawRule>>>>,

    /// These communities and no others, of any kind. Made before any are removed or added.
    pub set_communities: Option<Located<Names>>,
    /// Removes communities, also all alike: "8075:*".
    pub remove_communities: Option<Located<Names>>,
    /// Adds communities.
    pub add_communities: Option<Located<Names>>,
    /// LOCAL_PREF.
    pub local_preference: Option<Located<u32>>,
    /// MULTI_EXIT_DISC: a number, or "remove".
    pub med: Option<Located<Word>>,
    /// Puts the router's own AS number in front of the path so many times, or these AS numbers, the nearest first.
    pub prepend: Option<Located<Numbers>>,

    /// The route is used, or announced.
    pub accept: Option<Located<bool>>,
    /// It is not, for this reason: a name of your own, such as `not-our-customer`.
    pub reject: Option<Located<String>>,
    /// The policy of this name decides.
    pub apply: Option<Located<String>>,
}
