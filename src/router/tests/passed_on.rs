//! Attributes on their way through a router: what nobody here reads is passed on, or not, as RFC 4271, section 5, says.

use bytes::BytesMut;

use super::bed::{address, end, router};
use super::net::{Net, ms};
use crate::bgp::attributes::{Attributes, LargeCommunity, UnknownAttribute};
use crate::bgp::message::{self, code};
use crate::router::SessionIndex;

const FIRST: SessionIndex = SessionIndex(0);
const A: &str = "198.51.100.0/24";

fn attribute(flags: u8, code: u8, value: &'static [u8]) -> UnknownAttribute {
    UnknownAttribute {
        flags,
        code,
        value: value.into(),
    }
}

#[test]
fn what_nobody_knows_is_passed_on_as_partial_if_it_is_transitive() {
    // The hub's first neighbour is played; the other two are an external and an internal one.
    let sessions = vec![
        end("x", 1, 0, 64500),
        end("y", 2, 0, 64501),
        end("z", 3, 0, 8075),
    ];
    let hub = router("hub", 8075, 1, sessions);
    let x = router("x", 64500, 2, vec![end("hub", 1, 1, 8075)]);
    let y = router("y", 64501, 3, vec![end("hub", 2, 1, 8075)]);
    let z = router("z", 8075, 4, vec![end("hub", 3, 1, 8075)]);
    let mut net = Net::new(vec![hub, x, y, z], ms(1));
    net.start();
    net.run(ms(200));
    let status = net.routers[0].session_status(FIRST).expect("a session");
    let dialect = status.negotiated.expect("up").dialect;

    let mut set = Attributes::originated(address(1, 1));
    set.as_path = vec![64500];
    set.large_communities = vec![LargeCommunity {
        global: 64500,
        local_1: 1,
        local_2: 2,
    }];
    set.communities = vec![64500 << 16 | 1];
    set.partial = vec![code::LARGE_COMMUNITIES];
    // Known, but not read.
    let known = attribute(0xc0, code::IPV6_EXTENDED_COMMUNITIES, &[7; 20]);
    let transitive = [
        known.clone(),
        attribute(0xc0, 221, &[1, 2]),
        attribute(0xe0, 222, &[3]),
    ];
    let others = [attribute(0x80, 223, &[4]), attribute(0xa0, 224, &[5])];
    set.unknown = [&transitive[..], &others].concat();
    let mut out = BytesMut::new();
    let prefix = super::net::net(A);
    message::write_announcements(&mut out, &set, &[prefix.into()], dialect).expect("writable");
    net.inject("hub", &out);
    net.run(ms(200));

    let held = |name: &str| {
        let router = &net.routers[net.named(name)];
        let table = router.adj_rib_in(FIRST).expect("a session");
        table
            .get(&prefix)
            .unwrap_or_else(|| panic!("{name} has no route"))
            .clone()
    };
    assert_eq!(held("hub").unknown, transitive, "kept as it came");
    let passed_on = [
        known,
        attribute(0xe0, 221, &[1, 2]),
        attribute(0xe0, 222, &[3]),
    ];
    for name in ["y", "z"] {
        let told = held(name);
        assert_eq!(told.unknown, passed_on, "{name}");
        assert_eq!(told.large_communities, set.large_communities, "{name}");
        assert_eq!(told.partial, set.partial, "{name}");
    }
}
