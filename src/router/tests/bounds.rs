//! Neighbours that want much for little: what a few octets of theirs may cost.

use super::net::{Net, ms};
use super::policy::{pair, update};
use crate::bgp::family::{Families, Family};
use crate::record::{Fact, Recorder};
use crate::router::{Input, SessionIndex};

const SESSION: SessionIndex = SessionIndex(0);

/// Attributes of a first AS that is not the neighbour's, which makes routes unusable, and communities.
fn unfit(communities: u16) -> Vec<u8> {
    let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf5];
    attributes.extend([0x40, 3, 4, 192, 0, 2, 0]);
    attributes.extend([0xd0, 8]);
    attributes.extend((4 * communities).to_be_bytes());
    attributes.extend((0..communities).flat_map(|n| (0x1f8b_0000 | u32::from(n)).to_be_bytes()));
    attributes
}

fn facts(net: &Net) -> impl Iterator<Item = &Fact> {
    net.facts.iter().map(|(_, fact)| fact)
}

fn refusals(net: &Net) -> usize {
    let refused = |fact: &&Fact| matches!(fact, Fact::RouteRefused { .. });
    facts(net).filter(refused).count()
}

#[test]
fn a_refused_route_is_told_once_of_an_update_that_repeats_it() {
    let mut net = pair(|_, _| {});
    net.facts.clear();
    net.inject("edge", &update(&[], &unfit(500), &[0; 2_000]));
    assert_eq!(refusals(&net), 1);
}

#[test]
fn what_one_input_tells_is_bounded_and_all_is_known_again_without_routes() {
    let mut net = pair(|_, _| {});
    net.facts.clear();
    let updates = (0..16).flat_map(|high| {
        let nlri = (0..=255).flat_map(|low| [16, 20 + high, low]);
        update(&[], &unfit(500), &nlri.collect::<Vec<u8>>())
    });
    net.inject("edge", &updates.collect::<Vec<u8>>());
    let told: usize = facts(&net).map(Fact::weight).sum();
    assert!((1 << 20..=Recorder::SHARE + 1024).contains(&told), "{told}");
    let left_out = facts(&net).find_map(|fact| match fact {
        Fact::RoutesLeftOut { count, .. } => Some(*count),
        _ => None,
    });
    assert_eq!(left_out, Some(16 * 256 - refusals(&net) as u64));
    // Until all is gone nothing is told of single routes; from then on everything is.
    net.facts.clear();
    net.inject("edge", &update(&[], &unfit(1), &[8, 99]));
    assert_eq!(refusals(&net), 0);
    let (session, reason) = (SESSION, "");
    net.input(0, Input::Stop { session, reason });
    net.run(ms(100));
    let empty = |fact: &Fact| matches!(fact, Fact::RouteCount { received: 0, .. });
    assert!(facts(&net).any(empty));
    net.input(0, Input::StartSession { session });
    assert!(net.run_until(ms(60_000), Net::all_established));
    net.facts.clear();
    net.inject("edge", &update(&[], &unfit(1), &[8, 99]));
    assert_eq!(refusals(&net), 1);
}

#[test]
fn unusable_paths_of_a_prefix_are_as_few_as_usable_ones() {
    let mut net = pair(|peer, edge| {
        let family = Families::from(Family::Ipv4Unicast);
        peer.sessions[0].capabilities.add_path_send = family;
        edge.sessions[0].capabilities.add_path_receive = family;
    });
    let held = |net: &Net| net.routers[1].table.sources[0].held;
    let before = held(&net);
    let nlri = (1..=700_u32).flat_map(|id| id.to_be_bytes().into_iter().chain([0]));
    net.inject("edge", &update(&[], &unfit(0), &nlri.collect::<Vec<u8>>()));
    assert_eq!(held(&net) - before, 64);
}
