//! Each step of the decision alone, and the whole against a naive model.

use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::bgp::attributes::Origin;

#[derive(Debug, Clone)]
struct Route {
    attributes: Attributes,
    external: bool,
    id: u8,
    address: u8,
    path_id: u32,
    cost: u32,
}

impl Route {
    fn new(id: u8) -> Route {
        let mut attributes = Attributes::originated(Ipv4Addr::new(10, 0, 0, id));
        attributes.as_path = vec![64500];
        Route {
            attributes,
            external: true,
            id,
            address: id,
            path_id: 0,
            cost: 0,
        }
    }

    fn with(id: u8, change: impl FnOnce(&mut Route)) -> Route {
        let mut route = Route::new(id);
        change(&mut route);
        route
    }

    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            attributes: &self.attributes,
            external: self.external,
            peer_id: Ipv4Addr::new(10, 0, 0, self.id),
            peer_address: Ipv4Addr::new(192, 0, 2, self.address).into(),
            path_id: self.path_id,
            cost: self.cost,
        }
    }
}

fn decide(routes: &[Route], limit: usize) -> (Vec<usize>, Option<Reason>) {
    let mut equal: Vec<usize> = (0..routes.len()).collect();
    let multipath = Multipath { limit, relax: true };
    let reason = choose(&mut equal, multipath, |index| routes[index].candidate());
    (equal, reason)
}

/// The second route wins for this reason, in either order.
fn second_wins(first: Route, second: Route, reason: Reason) {
    let routes = [first, second];
    assert_eq!(decide(&routes, 1), (vec![1], Some(reason)), "{routes:?}");
    let [first, second] = routes;
    let routes = [second, first];
    assert_eq!(decide(&routes, 1), (vec![0], Some(reason)), "{routes:?}");
    let candidates: Vec<_> = routes.iter().map(Route::candidate).collect();
    assert_eq!(explain(&candidates), [None, Some(reason)]);
}

#[test]
fn nothing_wins_where_nothing_is() {
    assert_eq!(decide(&[], 8), (vec![], None));
}

#[test]
fn an_only_route_wins() {
    assert_eq!(
        decide(&[Route::new(1)], 8),
        (vec![0], Some(Reason::OnlyRoute))
    );
}

#[test]
fn each_step_decides() {
    let first = Route::new(1);
    let second = |change: fn(&mut Route)| Route::with(2, change);
    second_wins(
        first.clone(),
        second(|r| r.attributes.local_pref = Some(101)),
        Reason::LocalPref,
    );
    second_wins(
        Route::with(1, |r| r.attributes.as_path.push(1)),
        Route::new(2),
        Reason::AsPathLength,
    );
    second_wins(
        Route::with(1, |r| r.attributes.origin = Origin::Incomplete),
        second(|r| r.attributes.origin = Origin::Egp),
        Reason::Origin,
    );
    second_wins(
        Route::with(1, |r| r.attributes.med = Some(10)),
        second(|r| r.attributes.med = Some(9)),
        Reason::Med,
    );
    second_wins(
        Route::with(1, |r| r.external = false),
        Route::new(2),
        Reason::ExternalOverInternal,
    );
    second_wins(
        Route::with(1, |r| r.cost = 20),
        second(|r| r.cost = 10),
        Reason::InteriorCost,
    );
    second_wins(Route::new(3), Route::new(2), Reason::RouterId);
    second_wins(
        Route::with(1, |r| {
            r.attributes.cluster_list = vec![Ipv4Addr::LOCALHOST];
        }),
        Route::with(2, |r| r.id = 1),
        Reason::ClusterListLength,
    );
    second_wins(
        Route::with(1, |r| r.address = 9),
        Route::with(1, |r| r.address = 8),
        Reason::PeerAddress,
    );
    second_wins(
        Route::with(1, |r| r.path_id = 2),
        Route::with(1, |r| r.path_id = 1),
        Reason::PathId,
    );
}

#[test]
fn med_counts_only_within_a_neighbouring_as() {
    let a = Route::with(1, |r| r.attributes.med = Some(10));
    let b = Route::with(2, |r| r.attributes.as_path = vec![64501]);
    assert_eq!(decide(&[a, b], 8), (vec![0, 1], Some(Reason::RouterId)));
}

#[test]
fn who_lost_to_a_third_route_says_so() {
    let med = |id, med, asn| {
        Route::with(id, |r| {
            r.attributes.med = Some(med);
            r.attributes.as_path = vec![asn];
        })
    };
    let routes = [med(1, 0, 1), med(2, 10, 2), med(3, 5, 2), med(4, 1, 1)];
    let candidates: Vec<_> = routes.iter().map(Route::candidate).collect();
    assert_eq!(
        explain(&candidates),
        [
            None,
            Some(Reason::MedOfAnother),
            Some(Reason::RouterId),
            Some(Reason::Med)
        ]
    );
}

#[test]
fn a_missing_med_is_the_best() {
    second_wins(
        Route::with(1, |r| r.attributes.med = Some(1)),
        Route::new(2),
        Reason::Med,
    );
}

#[test]
fn equal_routes_are_used_together_up_to_the_limit() {
    let routes = [Route::new(3), Route::new(1), Route::new(2)];
    assert_eq!(decide(&routes, 8).0, [1, 2, 0]);
    assert_eq!(decide(&routes, 2).0, [1, 2]);
    assert_eq!(decide(&routes, 0).0, [1]);
}

/// Section 9.1.2.2 as it reads: a route is out when another one is better in the step, step by step.
fn naive(routes: &[Route]) -> (Vec<usize>, usize) {
    type Better = fn(&Route, &Route) -> bool;
    let steps: [Better; 6] = [
        |a, b| a.attributes.local_pref.unwrap_or(100) > b.attributes.local_pref.unwrap_or(100),
        |a, b| a.attributes.as_path.len() < b.attributes.as_path.len(),
        |a, b| a.attributes.origin < b.attributes.origin,
        |a, b| {
            a.attributes.as_path.first() == b.attributes.as_path.first()
                && a.attributes.med.unwrap_or(0) < b.attributes.med.unwrap_or(0)
        },
        |a, b| a.external && !b.external,
        |a, b| a.cost < b.cost,
    ];
    let mut left: Vec<usize> = (0..routes.len()).collect();
    for better in steps {
        let out: Vec<usize> = left
            .iter()
            .copied()
            .filter(|&i| left.iter().any(|&j| better(&routes[j], &routes[i])))
            .collect();
        left.retain(|i| !out.contains(i));
    }
    let best = left
        .iter()
        .copied()
        .min_by_key(|&i| {
            let r = &routes[i];
            (r.id, r.attributes.cluster_list.len(), r.address, r.path_id)
        })
        .expect("someone is left");
    (left, best)
}

prop_compose! {
    fn route()(
        local_pref in proptest::option::of(99..102_u32),
        as_path in vec(1..4_u32, 0..3),
        origin in prop_oneof![Just(Origin::Igp), Just(Origin::Egp)],
        med in proptest::option::of(0..3_u32),
        external in any::<bool>(),
        clusters in 0..3_usize,
        cost in 0..3_u32,
        id in 1..4_u8,
        address in 1..3_u8,
    ) -> Route {
        Route::with(id, |r| {
            r.address = address;
            r.attributes.local_pref = local_pref;
            r.attributes.as_path = as_path;
            r.attributes.origin = origin;
            r.attributes.med = med;
            r.attributes.cluster_list = vec![Ipv4Addr::LOCALHOST; clusters];
            r.external = external;
            r.cost = cost;
        })
    }
}

proptest! {
    #[test]
    fn as_the_naive_model(mut routes in vec(route(), 1..8)) {
        for (path_id, route) in (0..).zip(&mut routes) {
            route.path_id = path_id;
        }
        let (mut equal, _) = decide(&routes, 100);
        let (naive_equal, naive_best) = naive(&routes);
        prop_assert_eq!(equal[0], naive_best);
        equal.sort_unstable();
        prop_assert_eq!(equal, naive_equal);
    }

    #[test]
    fn the_order_does_not_matter(routes in vec(route(), 1..8), rotation in 0..8_usize) {
        let mut routes = routes;
        for (path_id, route) in (0..).zip(&mut routes) {
            route.path_id = path_id;
        }
        let paths = |routes: &[Route]| {
            let (equal, reason) = decide(routes, 3);
            (equal.into_iter().map(|i| routes[i].path_id).collect::<Vec<_>>(), reason)
        };
        let before = paths(&routes);
        let middle = rotation % routes.len();
        routes.rotate_left(middle);
        prop_assert_eq!(paths(&routes), before);
    }
}

#[test]
fn routes_with_other_paths_are_used_together_only_when_that_is_wanted() {
    let of = |id, path: [u32; 2]| Route::with(id, |r| r.attributes.as_path = path.to_vec());
    let (own, same_neighbour, other) = ([64500, 64510], [64500, 64511], [64501, 64510]);
    let routes = [of(1, own), of(2, own), of(3, same_neighbour), of(4, other)];
    for (relax, expected) in [(true, &[0, 1, 2, 3][..]), (false, &[0, 1])] {
        let mut equal = vec![3, 2, 1, 0];
        let multipath = Multipath { limit: 8, relax };
        choose(&mut equal, multipath, |index| routes[index].candidate());
        assert_eq!(equal, expected);
    }
}

#[test]
fn each_of_a_ranking_is_the_best_of_the_rest() {
    let long = Route::with(1, |r| r.attributes.as_path = vec![64500, 64500]);
    let routes = [long, Route::new(3), Route::new(2)];
    let mut keys = vec![0, 1, 2];
    rank(&mut keys, 8, |index| routes[index].candidate());
    assert_eq!(keys, [2, 1, 0]);
    let mut keys = vec![0, 1, 2];
    rank(&mut keys, 2, |index| routes[index].candidate());
    assert_eq!(keys, [2, 1]);
}
