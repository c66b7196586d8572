//! Every NOTIFICATION of the table that is sent of our own accord, brought about; and that no other is.

use super::*;
use crate::bgp::family::Families;
use crate::bgp::message::faults::{Treatment, rule};
use crate::bgp::message::malformed::MALFORMATIONS;
use crate::bgp::message::{Role, code};
use crate::bgp::notification::codes::{KNOWN, Sent};

/// What the router decides, and the session only says: `src/router/tests/notifications.rs` brings them about.
const OF_THE_ROUTER: [(u8, u8); 3] = [(6, 1), (6, 4), (6, 8)];

#[test]
fn what_is_said_to_be_sent_is_sent_in_that_situation() {
    for known in KNOWN {
        let pair = (known.code, known.subcode);
        let expected = match known.sent {
            Sent::When(_) if !OF_THE_ROUTER.contains(&pair) => vec![pair],
            Sent::When(_) | Sent::Never(_) => Vec::new(),
        };
        let mut sent = brought_about(pair);
        sent.dedup();
        assert_eq!(sent, expected, "{known:?}");
    }
}

/// Whether the table says when a NOTIFICATION is sent.
pub fn is_sent(notification: &Notification) -> bool {
    let codes = (notification.code, notification.subcode);
    KNOWN
        .iter()
        .any(|known| (known.code, known.subcode) == codes && matches!(known.sent, Sent::When(_)))
}

/// A message with its header.
fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).expect("short");
    [&[0xff; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

const ORIGIN: [u8; 4] = [0x40, 1, 1, 0];
const AS_PATH: [u8; 9] = [0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf4];
const NEXT_HOP: [u8; 7] = [0x40, 3, 4, 192, 0, 2, 1];

fn update(attributes: &[u8], prefixes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(attributes.len()).expect("short");
    framed(
        2,
        &[&[0, 0][..], &length.to_be_bytes(), attributes, prefixes].concat(),
    )
}

/// A route of each family.
fn route(family: Family) -> Vec<u8> {
    match family {
        Family::Ipv4Unicast => update(
            &[&ORIGIN[..], &AS_PATH, &NEXT_HOP].concat(),
            &[24, 198, 51, 100],
        ),
        Family::Ipv6Unicast => {
            let next_hop = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets();
            let reach = [
                &[0x80, 14, 26, 0, 2, 1, 16][..],
                &next_hop,
                &[0, 32, 0x20, 1, 0x0d, 0xb8],
            ];
            update(&[&ORIGIN[..], &AS_PATH, &reach.concat()].concat(), &[])
        }
    }
}

/// The NOTIFICATIONs a session sends when it is in the situation that calls for this one.
fn brought_about(of: (u8, u8)) -> Vec<(u8, u8)> {
    match of {
        // What a message has to be like, whatever the session: told after our OPEN.
        (1, 1) => after_our_open(&[0; 19]),
        (1, 2) => after_our_open(&framed(4, &[0])),
        (1, 3) => after_our_open(&framed(9, &[])),
        (2, 0) => after_our_open(&changed_open(|open| open[30] = 200)),
        (2, 1) => after_our_open(&changed_open(|open| open[19] = 3)),
        (2, 4) => after_our_open(&changed_open(|open| open[29] = 1)),
        (5, 1) => after_our_open(&keepalive_bytes()),
        (2, 2) => after_opens(|_| {}, |open| open.asn = 64501),
        (2, 3) => after_opens(|_| {}, |open| open.id = Ipv4Addr::UNSPECIFIED),
        (2, 6) => after_opens(|_| {}, |open| open.hold_time = 2),
        (2, 7) => after_opens(
            |_| {},
            |open| open.capabilities.families = Families::NONE.with(Family::Ipv6Unicast),
        ),
        (2, 11) => after_opens(
            |c| c.capabilities.role = Some(Role::Peer),
            |open| {
                open.capabilities.role = Some(Role::Customer);
            },
        ),
        (3, subcode) => {
            let ends = MALFORMATIONS.iter().filter(|malformation| {
                let rule = rule(malformation.attribute, malformation.fault);
                (rule.treatment, rule.subcode) == (Treatment::Reset, subcode)
            });
            ends.flat_map(|malformation| {
                let family = match malformation.attribute {
                    code::MP_REACH_NLRI | code::MP_UNREACH_NLRI => Family::Ipv6Unicast,
                    _ => Family::Ipv4Unicast,
                };
                let only = Capabilities::of(family);
                let (mut bench, conn) = Bench::negotiated(
                    |c| c.capabilities = only.clone(),
                    |open| open.capabilities = only.clone(),
                );
                bench.take();
                bench.bytes(conn, &malformation.apply(&route(family)));
                Some(bench.notified().unwrap_or_default())
            })
            .collect()
        }
        (4, 0) => established(|bench, _| bench.pass(Duration::from_secs(180))),
        (5, 2) => {
            let mut bench = Bench::new(|_| {});
            bench.input(Input::Start);
            let conn = bench.connect();
            bench.open(conn, |_| {});
            bench.bytes(conn, &route(Family::Ipv4Unicast));
            bench.notified().into_iter().collect()
        }
        (5, 3) => established(|bench, conn| bench.open(conn, |_| {})),
        (6, 2) => established(|bench, _| bench.input(Input::Stop { reason: "" })),
        (6, 5) => {
            let mut bench = Bench::new(|_| {});
            bench.accept();
            bench.notified().into_iter().collect()
        }
        (6, 7) => {
            let mut bench = Bench::new(|_| {});
            bench.input(Input::Start);
            bench.connect();
            // The neighbour's identifier is the higher one, and so its connection is kept.
            let conn = bench.accept();
            bench.open(conn, |_| {});
            bench.notified().into_iter().collect()
        }
        (6, 9) => {
            let restarts = Some(graceful());
            let (mut bench, _) = Bench::negotiated(
                |c| c.capabilities.graceful_restart = restarts,
                |open| open.capabilities.graceful_restart = restarts,
            );
            bench.input(Input::Stop { reason: "" });
            bench.notified().into_iter().collect()
        }
        (6, 10) => {
            let (mut bench, _) = Bench::established(|c| c.use_bfd = true);
            bench.input(Input::BfdUp);
            bench.input(BFD_DOWN);
            bench.notified().into_iter().collect()
        }
        (7, 1) => {
            let (mut bench, conn) = Bench::negotiated(
                |c| c.capabilities.enhanced_route_refresh = true,
                |open| open.capabilities.enhanced_route_refresh = true,
            );
            bench.bytes(conn, &framed(5, &[0, 1, 1, 1, 0]));
            bench.notified().into_iter().collect()
        }
        (8, 0) => established(|bench, conn| {
            let (out, _) = bench.session.writer().expect("established");
            out.extend_from_slice(&route(Family::Ipv4Unicast));
            for _ in 0..480 {
                bench.pass(ms(1_000));
                bench.bytes(conn, &keepalive_bytes());
            }
        }),
        _ => Vec::new(),
    }
}

/// The neighbour's first message is this one.
fn after_our_open(bytes: &[u8]) -> Vec<(u8, u8)> {
    let mut bench = Bench::new(|_| {});
    bench.input(Input::Start);
    let conn = bench.connect();
    bench.bytes(conn, bytes);
    bench.notified().into_iter().collect()
}

/// The neighbour's OPEN, with octets changed.
fn changed_open(change: impl FnOnce(&mut [u8])) -> BytesMut {
    let mut bytes = open_bytes(|_| {});
    change(&mut bytes);
    bytes
}

fn after_opens(
    configure: impl FnOnce(&mut SessionConfig),
    change: impl FnOnce(&mut Open),
) -> Vec<(u8, u8)> {
    let mut bench = Bench::new(configure);
    bench.input(Input::Start);
    let conn = bench.connect();
    bench.open(conn, change);
    bench.notified().into_iter().collect()
}

fn established(then: impl FnOnce(&mut Bench, Conn)) -> Vec<(u8, u8)> {
    let (mut bench, conn) = Bench::established(|_| {});
    bench.take();
    then(&mut bench, conn);
    bench.notified().into_iter().collect()
}
