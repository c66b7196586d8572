//! What Microsoft announces to the peer of a lab: how many routes, and which of them are not AS8075's own or belong to
//! one metro.
//!
//! All prefixes are the lab's own ([`MICROSOFT_RANGE`]): /24 after /24, the one of Teams first. Of 280 there are
//! 19 that a customer's AS originates behind AS8075 (BYOASN, FLT-05), and 4 that are announced in one metro alone,
//! more specific than a /19 that is announced everywhere (POL-09).

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::of_topology::{MICROSOFT_RANGE, MICROSOFT_RANGE_IPV6};

/// Who originates what a customer brought with an AS of its own. It stands for any of AS-MICROSOFT, and is one of
/// Microsoft's, so that no filter for private or documentation numbers refuses it.
pub const BYOASN: u32 = 8069;
/// One route in so many is a customer's.
const BYOASN_EVERY: usize = 14;
/// One route in so many is a regional specific, but no more than [`SPECIFICS`].
const REGIONAL_EVERY: u16 = 70;
/// Regional specifics of a metro at most.
const SPECIFICS: usize = 4;
/// Around all regional specifics: 32 prefixes of length 24.
const REGIONAL_RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 19, 224, 0), 19);

/// A prefix and the AS path behind AS8075.
pub type Route<Net = Ipv4Net> = (Net, Vec<u32>);

/// The routes of a metro's sessions, the one of Teams first; `region` counts metros from 0, `count` is at most 512.
pub fn routes(count: u16, region: usize) -> Vec<Route> {
    let specifics = specifics(count, region);
    let around = (!specifics.is_empty()).then_some(REGIONAL_RANGE);
    let apart = specifics.len() + usize::from(around.is_some());
    let ordinary = subnets(MICROSOFT_RANGE).filter(|prefix| !specifics.contains(prefix));
    let ordinary = ordinary.take(usize::from(count).saturating_sub(apart));
    let own = |prefix: Ipv4Net| (prefix, Vec::new());
    let ordinary = ordinary
        .enumerate()
        .map(|(place, prefix)| (prefix, origin(place)));
    ordinary
        .chain(around.into_iter().chain(specifics.iter().copied()).map(own))
        .collect()
}

/// The IPv6 routes of every session, the one of Teams first; `count` is at most 512. All are /48, and the same share of them
/// a customer's as of IPv4; no metro has any of its own.
pub fn ipv6_routes(count: u16) -> Vec<Route<IpNet>> {
    let subnets = MICROSOFT_RANGE_IPV6.subnets(48).into_iter().flatten();
    let routes = subnets.take(usize::from(count)).enumerate();
    routes
        .map(|(place, prefix)| (prefix.into(), origin(place)))
        .collect()
}

/// The AS path behind AS8075 of a route in this place: most are Microsoft's own.
fn origin(place: usize) -> Vec<u32> {
    match place % BYOASN_EVERY == BYOASN_EVERY - 1 {
        true => vec![BYOASN],
        false => Vec::new(),
    }
}

/// Eight metros have specifics of their own; the ninth shares those of the first.
fn specifics(count: u16, region: usize) -> Vec<Ipv4Net> {
    let number = usize::from(count / REGIONAL_EVERY).min(SPECIFICS);
    let own = subnets(REGIONAL_RANGE).skip(region % 8).step_by(8);
    own.take(number).collect()
}

fn subnets(range: Ipv4Net) -> impl Iterator<Item = Ipv4Net> {
    range.subnets(24).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::super::of_topology::TEAMS_PREFIX;
    use super::*;

    #[test]
    fn as_many_routes_as_asked_for_each_once_and_inside_the_range() {
        for count in [1, 2, 69, 70, 280, 308, 322, 511, 512] {
            for region in 0..9 {
                let routes = routes(count, region);
                assert_eq!(routes.len(), usize::from(count), "{count} in {region}");
                let mut prefixes: Vec<Ipv4Net> = routes.iter().map(|route| route.0).collect();
                assert_eq!(prefixes[0], TEAMS_PREFIX);
                prefixes.sort();
                prefixes.dedup();
                assert_eq!(prefixes.len(), usize::from(count));
                assert!(prefixes.iter().all(|p| MICROSOFT_RANGE.contains(p)));
            }
        }
    }

    #[test]
    fn some_routes_are_of_a_customers_as_and_some_of_one_metro() {
        let (here, there) = (routes(280, 0), routes(280, 1));
        let customers = |routes: &[Route]| routes.iter().filter(|r| r.1 == [BYOASN]).count();
        assert_eq!((customers(&here), customers(&there)), (19, 19));
        let others: Vec<&Route> = here.iter().filter(|route| !there.contains(route)).collect();
        assert_eq!(others.len(), 4);
        // Without its metro a specific is still reached by what is around it.
        let around = (REGIONAL_RANGE, Vec::new());
        assert!(here.contains(&around) && there.contains(&around));
        assert!(others.iter().all(|route| REGIONAL_RANGE.contains(&route.0)));
        // Growth adds, and changes nothing that is there.
        for region in 0..3 {
            let (before, after) = (routes(280, region), routes(322, region));
            assert!(before.iter().all(|route| after.contains(route)));
        }
    }
}
