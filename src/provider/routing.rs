//! What an edge accepts from the peer, with which preference, and what it announces: policies made from what the
//! Microsoft side has concluded.
//!
//! Facts a.4, BGP-07, E-01, E-21, PFX-09, PFX-11, PFX-19 and appendix 2. Whether a route carries 8075:8007 has no part
//! in this: it decides whether a prefix can be verified, not whether its route is used.

use std::sync::Arc;

use ipnet::Ipv4Net;

use super::reason;
use crate::bgp::origin_validation::{Validity, VrpTable};
use crate::bgp::policy::{AsnRanges, Change, Match, Policy, PrefixRange, PrefixSet, Rule, Verdict};
use crate::registry::special::{self, AsnUse};
use crate::topology::{Rpki, Service, Topology};

/// ExpressRoute's AS, never accepted on a peering (FLT-04).
const EXPRESSROUTE: u32 = 12_076;
/// LOCAL_PREF where nothing was activated: egress is then ordinary, over any metro (PFX-09).
const ORDINARY: u32 = 100;
/// LOCAL_PREF of activated prefixes in the primary location of their service.
const PRIMARY: u32 = 300;
/// LOCAL_PREF of activated prefixes in the backup location of their service.
const BACKUP: u32 = 200;
/// Longest prefix that is used without activation (E-01).
const LONGEST_UNACTIVATED: u8 = 24;
/// Shorter prefixes than this no network has (V-01 has no lower bound; this is ours).
const SHORTEST: u8 = 8;

/// What decides the policies of an edge's session with the peer.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The connection exchanges routes: it is `Active`.
    pub active: bool,
    /// Prefixes activated under a service whose primary location this metro is.
    pub primary: Vec<Ipv4Net>,
    /// Prefixes activated under a service whose backup location this metro is.
    pub backup: Vec<Ipv4Net>,
    /// Prefixes activated under a service that has nothing to do with this metro.
    pub elsewhere: Vec<Ipv4Net>,
    /// What the RPKI says, if it says anything.
    pub vrps: Option<Arc<VrpTable>>,
}

/// Tables of VRPs are large: another table counts as another, whatever is in it.
impl PartialEq for Inputs {
    fn eq(&self, other: &Inputs) -> bool {
        let same_vrps = match (&self.vrps, &other.vrps) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        };
        same_vrps
            && (self.active, &self.primary, &self.backup, &self.elsewhere)
                == (
                    other.active,
                    &other.primary,
                    &other.backup,
                    &other.elsewhere,
                )
    }
}

impl Inputs {
    /// The inputs of a connection in a metro, from the prefixes that are activated.
    pub fn of<'a>(
        active: bool,
        metro: &str,
        activated: impl Iterator<Item = (Ipv4Net, &'a Service)>,
        vrps: Option<Arc<VrpTable>>,
    ) -> Inputs {
        let mut inputs = Inputs {
            active,
            primary: Vec::new(),
            backup: Vec::new(),
            elsewhere: Vec::new(),
            vrps,
        };
        for (prefix, service) in activated {
            let place = if service.primary == metro {
                &mut inputs.primary
            } else if service.backup.as_deref() == Some(metro) {
                &mut inputs.backup
            } else {
                &mut inputs.elsewhere
            };
            place.push(prefix);
        }
        inputs
    }

    /// What everything comes to once all endpoints of a topology are activated under its first service, as it is when a
    /// scenario starts onboarded.
    pub fn onboarded(topology: &Topology, metro: &str) -> Inputs {
        let service = topology.services.first();
        let prefixes = topology.endpoints.iter().map(|endpoint| endpoint.prefix);
        let activated = service
            .into_iter()
            .flat_map(|s| prefixes.clone().map(move |p| (p, s)));
        Inputs::of(true, metro, activated, None)
    }

    /// What is announced to the peer.
    pub fn export(&self) -> Policy {
        match self.active {
            true => Policy::default(),
            false => Policy::deny_all(),
        }
    }

    /// What is accepted from the peer.
    pub fn import(&self, topology: &Topology) -> Policy {
        if !self.active {
            return Policy::deny_all();
        }
        let public = topology.documentation_numbers_are_public;
        let mut rules = vec![
            // Microsoft overwrites what it is told (POL-05).
            Rule::set(Vec::new(), vec![Change::Med(None)]),
            Rule::reject(vec![Match::PrefixLength(0..=0)], reason::DEFAULT_ROUTE),
            Rule::reject(
                vec![Match::Any(vec![
                    Match::PrefixLength(1..=SHORTEST - 1),
                    Match::Prefix(Arc::new(bogons(public))),
                ])],
                reason::BOGON_PREFIX,
            ),
            Rule::reject(
                vec![Match::PathContains(Arc::new([EXPRESSROUTE..=EXPRESSROUTE]))],
                reason::AS12076_IN_PATH,
            ),
            Rule::reject(
                vec![Match::PathContains(private_asns())],
                reason::PRIVATE_ASN_IN_PATH,
            ),
            Rule::reject(
                vec![Match::PathContains(special_asns(public))],
                reason::SPECIAL_ASN_IN_PATH,
            ),
        ];
        rules.extend(origin_validation(topology.profile.policy.rpki));
        rules.extend([
            Rule::accept(
                vec![exactly(&self.primary)],
                vec![Change::LocalPref(PRIMARY)],
            ),
            Rule::accept(vec![exactly(&self.backup)], vec![Change::LocalPref(BACKUP)]),
            Rule::reject(
                vec![exactly(&self.elsewhere)],
                reason::NOT_A_LOCATION_OF_THE_SERVICE,
            ),
            Rule::reject(
                vec![Match::PrefixLength(LONGEST_UNACTIVATED + 1..=32)],
                reason::LONGER_THAN_24_NOT_ACTIVATED,
            ),
            Rule::accept(Vec::new(), vec![Change::LocalPref(ORDINARY)]),
        ]);
        Policy {
            vrps: self.vrps.clone(),
            ..Policy::new(rules, Verdict::Accept)
        }
    }
}

/// E-21. Without data nothing is invalid, and nothing valid (RFC 6811, section 2: not found).
fn origin_validation(rpki: Rpki) -> Option<Rule> {
    match rpki {
        Rpki::Off | Rpki::Mark => None,
        Rpki::DropInvalid => Some(Rule::reject(
            vec![Match::Any(vec![
                Match::Rpki(Validity::InvalidAs),
                Match::Rpki(Validity::InvalidLength),
            ])],
            reason::RPKI_INVALID,
        )),
        Rpki::RequireValid => Some(Rule::reject(
            vec![Match::Not(Box::new(Match::Rpki(Validity::Valid)))],
            reason::RPKI_NOT_VALID,
        )),
    }
}

fn exactly(prefixes: &[Ipv4Net]) -> Match {
    let mut set = PrefixSet::default();
    for prefix in prefixes {
        set.insert(&PrefixRange::exact(*prefix));
    }
    Match::Prefix(Arc::new(set))
}

/// What IANA has set aside and nobody may announce.
fn bogons(documentation_is_public: bool) -> PrefixSet {
    let mut set = PrefixSet::default();
    for block in special::bogons(documentation_is_public) {
        set.insert(&PrefixRange::or_longer(block));
    }
    set
}

fn private_asns() -> AsnRanges {
    ranges(|usage| usage == AsnUse::Private)
}

fn special_asns(documentation_is_public: bool) -> AsnRanges {
    ranges(|usage| match usage {
        AsnUse::Reserved => true,
        AsnUse::Documentation => !documentation_is_public,
        AsnUse::Private | AsnUse::Service => false,
    })
}

fn ranges(of: impl Fn(AsnUse) -> bool) -> AsnRanges {
    let rows = special::asns().iter().filter(|row| of(row.usage));
    rows.map(|row| row.first..=row.last).collect()
}

#[cfg(test)]
mod tests;
