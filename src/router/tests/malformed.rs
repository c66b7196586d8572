//! UPDATEs with faults: RFC 7606, section 8, wants them told.

use bytes::BytesMut;

use super::net::{self, Net, ms};
use super::policy::{pair, update};
use crate::bgp::attributes::Attributes;
use crate::bgp::message::malformed::{Malformation, write_malformed};
use crate::bgp::message::{Dialect, Nlri};
use crate::record::{Fact, MalformedUpdate};
use crate::router::{Input, Originated, OriginatedAttributes, SessionIndex, Sessions};

const SESSION: SessionIndex = SessionIndex(0);
const C: &str = "192.0.2.0/24";

fn malformation(name: &str) -> &'static Malformation {
    Malformation::named(name).expect("a malformation")
}

/// An UPDATE of `peer` to `edge`, broken in this way.
fn broken(name: &str, prefixes: &[&str]) -> BytesMut {
    let set = Attributes {
        as_path: vec![64500],
        ..Attributes::originated([192, 0, 2, 0])
    };
    let nlri: Vec<Nlri> = prefixes
        .iter()
        .map(|prefix| net::net(prefix).into())
        .collect();
    let mut update = BytesMut::new();
    let dialect = Dialect::plain(false);
    write_malformed(&mut update, malformation(name), &set, &nlri, dialect).expect("fits");
    update
}

/// Takes what was told of malformed UPDATEs.
fn told(net: &mut Net) -> Vec<MalformedUpdate> {
    let facts = std::mem::take(&mut net.facts).into_iter();
    let told = facts.filter_map(|(_, fact)| match fact {
        Fact::MalformedUpdate(update) => Some(update),
        _ => None,
    });
    told.collect()
}

fn edges(fault: &str, prefixes: u32, first: &str) -> MalformedUpdate {
    MalformedUpdate {
        router: "edge".to_owned(),
        session: "ams-1".to_owned(),
        faults: vec![fault.to_owned()],
        prefixes,
        first: Some(net::net(first)),
    }
}

#[test]
fn an_attribute_that_is_left_out_is_told_once_and_counted() {
    const FAULT: &str = "AGGREGATOR: wrong length: attribute discard (RFC 7606, section 7.7)";
    let mut net = pair(|_, _| {});
    told(&mut net);
    let update = broken("aggregator-length", &[C, "192.0.3.0/24"]);
    net.inject("edge", &update);
    assert_eq!(told(&mut net), [edges(FAULT, 2, C)]);
    assert_eq!(net.via("edge", C), ["ams-1"], "the routes stay");
    net.inject("edge", &update.repeat(100));
    assert_eq!(told(&mut net), []);
    net.inject("edge", &broken("aggregator-length", &[C]));
    assert_eq!(told(&mut net), [edges(FAULT, 1, C)]);
    let seen = net.routers[1].malformed(SESSION).expect("some");
    assert_eq!((seen.count, seen.fault), (102, FAULT));
    // To a session that begins everything is new.
    let (session, reason) = (SESSION, "");
    net.input(0, Input::Reset { session, reason });
    assert!(net.run_until(ms(60_000), |net| !net.all_established()));
    assert!(net.run_until(ms(60_000), Net::all_established));
    net.inject("edge", &update);
    assert_eq!(told(&mut net), [edges(FAULT, 2, C)]);
    assert!(net.routers[0].malformed(SESSION).is_none(), "nobody else");
}

#[test]
fn a_route_that_counts_as_withdrawn_says_which_attribute_was_wrong() {
    let mut net = pair(|_, _| {});
    told(&mut net);
    for (name, fault) in [
        (
            "communities-length",
            "COMMUNITIES: wrong length: treat-as-withdraw (RFC 7606, section 7.8)",
        ),
        (
            "origin-value",
            "ORIGIN: invalid value: treat-as-withdraw (RFC 7606, section 7.1)",
        ),
    ] {
        net.inject("edge", &broken(name, &[C]));
        assert_eq!(told(&mut net), [edges(fault, 1, C)]);
        let table = net.routers[1].adj_rib_in(SESSION).expect("a session");
        let prefix = net::net(C);
        let mut paths = table.paths(&prefix);
        let path = paths.next().expect("it stays visible");
        let reason = path.refused.map(AsRef::as_ref);
        assert_eq!(
            (reason, path.fault),
            (Some("malformed-attribute"), Some(fault))
        );
        let explained = net.routers[1].explain(&net::net(C));
        assert_eq!(explained[0].fault, Some(fault));
    }
    // An AS path that begins with another AS is found by the router, not by the reader.
    let other = [
        &[0x40, 1, 1, 0][..],
        &[0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf5],
        &[0x40, 3, 4, 192, 0, 2, 0],
    ];
    net.inject("edge", &update(&[], &other.concat(), &[24, 192, 0, 2]));
    let fault = "AS_PATH: begins with another AS than the neighbour's: treat-as-withdraw (RFC 4271, section 6.3)";
    assert_eq!(told(&mut net), [edges(fault, 1, C)]);
}

/// Whoever sends a malformed UPDATE has withdrawn nothing, and is not said to have.
#[test]
fn what_counts_as_withdrawn_is_not_said_to_be_withdrawn_by_the_peer() {
    let mut net = pair(|_, _| {});
    net.facts.clear();
    let prefix = net::net("198.51.100.0/24");
    let attributes = OriginatedAttributes {
        malformed: Some(malformation("origin-value")),
        ..OriginatedAttributes::default()
    };
    let sessions = Sessions::All;
    net.input(
        0,
        Input::Announce(Originated {
            prefix,
            attributes,
            sessions,
        }),
    );
    net.run(ms(100));
    let withdrawn = net.facts.iter().filter_map(|(_, fact)| match fact {
        Fact::RouteWithdrawn { why, .. } => Some(why.as_str()),
        _ => None,
    });
    let fault = "ORIGIN: invalid value: treat-as-withdraw (RFC 7606, section 7.1)";
    assert_eq!(withdrawn.collect::<Vec<_>>(), [fault]);
}

/// One attribute a thousand times over, or a different fault in each of many UPDATEs: what is kept and told of it is bounded.
#[test]
fn many_faults_are_told_in_few_words() {
    let mut net = pair(|_, _| {});
    told(&mut net);
    let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf4];
    attributes.extend([0x40, 3, 4, 192, 0, 2, 0]);
    attributes.extend([0x40, 1, 1, 0].repeat(900));
    net.inject("edge", &update(&[], &attributes, &[24, 192, 0, 2]));
    let fault = "ORIGIN: repeated: attribute discard (RFC 7606, section 3.g)";
    assert_eq!(told(&mut net), [edges(fault, 1, C)]);
    // Attributes that nobody knows, each of them twice.
    attributes.truncate(20);
    attributes.extend((50..=120).flat_map(|code| [0xc0, code, 0, 0xc0, code, 0]));
    net.inject("edge", &update(&[], &attributes, &[24, 192, 0, 2]));
    let told = told(&mut net);
    assert!(
        matches!(&told[..], [update] if update.faults.len() == 8),
        "{told:?}"
    );
}
