//! What is written is read again by `routes`; a collector that reads late hears the latest; why a session went down.

use std::collections::BTreeMap;

use bytes::BytesMut;
use ipnet::{IpNet, Ipv4Net};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::bgp::family::Family;
use crate::bgp::message::{
    Capabilities, Open, write_announcements, write_end_of_rib, write_keepalive, write_notification,
    write_open, write_withdrawals,
};
use crate::bgp::notification::Notification;
use crate::bgp::session::Direction;
use crate::router::{SessionIndex, SessionSpec};
use crate::routes::{self, Format, read};

const CONN: Conn = Conn {
    direction: Direction::Incoming,
    serial: 7,
};
const NOW: Stamp = Stamp {
    seconds: 1_700_000_000,
    micros: 250_000,
};

fn config() -> RouterConfig {
    let address = |last| Ipv4Addr::new(192, 0, 2, last);
    let spec = |name: &str, last| {
        SessionSpec::new(name, name, address(last + 1), address(last), 31, 64_500)
    };
    RouterConfig {
        name: "ams-edge-1".to_owned(),
        asn: 8075,
        router_id: Ipv4Addr::new(10, 0, 0, 1),
        sessions: vec![spec("ams-1", 0), spec("ams-3", 4)],
        originate: Vec::new(),
        multipath: 1,
        options: crate::router::RouterOptions::default(),
    }
}

fn net(n: u8) -> Nlri {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(198, 51, n, 0), 24)).into()
}

fn attributes(med: u32) -> Arc<Attributes> {
    let mut set = Attributes::originated(Ipv4Addr::new(192, 0, 2, 0));
    set.as_path = vec![64_500, 4_200_000_000];
    set.communities = vec![8075 << 16 | 8007];
    set.med = Some(med);
    Arc::new(set)
}

fn dialect() -> Dialect {
    Dialect::plain(false)
}

/// A station and what is done to it.
struct Scene {
    station: Station,
}

impl Scene {
    fn new() -> Scene {
        let station = Station::new(&config(), true);
        Scene { station }
    }

    fn hear(&mut self, what: Observed) {
        let session = SessionIndex(0);
        self.station.hear(NOW, Monitored { session, what });
    }

    fn received(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let mut bytes = BytesMut::new();
        write(&mut bytes);
        // In pieces, as TCP gives them.
        for piece in bytes.chunks(7) {
            let bytes = Bytes::copy_from_slice(piece);
            self.hear(Observed::Received { conn: CONN, bytes });
        }
    }

    fn sent(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let mut bytes = BytesMut::new();
        write(&mut bytes);
        let bytes = bytes.freeze();
        self.hear(Observed::Sent { conn: CONN, bytes });
    }

    fn up(&mut self) {
        let capabilities = Capabilities::of(Family::Ipv4Unicast);
        self.confirm(&capabilities, &capabilities);
        self.received(write_keepalive);
        self.hear(Observed::State(State::Established));
        self.hear(Observed::Up {
            peer_id: Ipv4Addr::new(10, 0, 0, 9),
            dialect: dialect(),
        });
    }

    /// Both OPENs, ours and the neighbour's, and our KEEPALIVE: the neighbour's makes the session Established.
    fn confirm(&mut self, ours: &Capabilities, theirs: &Capabilities) {
        let open = |asn, capabilities: &Capabilities| Open {
            asn,
            hold_time: 180,
            id: Ipv4Addr::new(10, 0, 0, 9),
            capabilities: capabilities.clone(),
        };
        self.hear(Observed::State(State::Connect));
        self.hear(Observed::Opened {
            conn: CONN,
            local: 179,
            remote: 40_321,
        });
        self.sent(|out| write_open(out, &open(8075, ours)));
        self.hear(Observed::State(State::OpenSent));
        self.received(|out| write_open(out, &open(64_500, theirs)));
        self.hear(Observed::State(State::OpenConfirm));
        self.sent(write_keepalive);
    }

    /// The neighbour announces a route, and import policy takes it or not.
    fn announce(&mut self, nlri: Nlri, med: u32, accepted: bool) {
        let received = attributes(med);
        let of = received.clone();
        self.received(|out| write_announcements(out, &of, &[nlri], dialect()).expect("short"));
        let imported = accepted.then(|| {
            let mut imported = Attributes::clone(&received);
            imported.local_pref = Some(300);
            imported.med = None;
            Arc::new(imported)
        });
        self.hear(Observed::Route {
            nlri,
            received: Some(received),
            imported,
        });
    }

    fn withdraw(&mut self, nlri: Nlri) {
        self.received(|out| write_withdrawals(out, &[nlri], dialect()));
        self.hear(Observed::Route {
            nlri,
            received: None,
            imported: None,
        });
    }

    /// Everything that waits for the collector.
    fn news(&mut self) -> Vec<Bytes> {
        let mut all = Vec::new();
        loop {
            let some = self.station.news(NOW);
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }
}

/// The MEDs of the routes received, as a file tells them.
fn meds(bytes: &[u8], format: Format) -> BTreeMap<IpNet, u32> {
    let dump = read(bytes, format, &|_| true).expect("readable");
    assert_eq!(dump.notes, [""; 0]);
    let tables = dump
        .tables
        .iter()
        .filter(|t| t.session.direction == routes::Direction::Received);
    let routes = tables.flat_map(|table| &table.routes);
    routes
        .map(|(prefix, seen)| {
            assert_eq!(seen.route.as_path.to_string(), "64500 4200000000");
            assert_eq!(seen.route.communities, ["8075:8007"]);
            (IpNet::V4(*prefix), seen.route.med.expect("a MED"))
        })
        .collect()
}

/// Type and flags of BMP messages, `4`, `3`, `0` before policy, `0+` after it; and that their lengths are right.
fn kinds(messages: &[Bytes]) -> Vec<String> {
    let kind = |message: &Bytes| {
        assert_eq!(message[0], 3);
        let length = u32::from_be_bytes([message[1], message[2], message[3], message[4]]);
        assert_eq!(length as usize, message.len());
        let post = matches!(message[5], 0..=3) && message[7] & 0x40 != 0;
        format!("{}{}", message[5], if post { "+" } else { "" })
    };
    messages.iter().map(kind).collect()
}

#[test]
fn a_trace_is_every_message_and_state_in_order() {
    let mut scene = Scene::new();
    scene.up();
    scene.announce(net(1), 5, true);
    scene.sent(|out| write_end_of_rib(out, Family::Ipv4Unicast));
    let trace = scene.station.take_trace();
    let mut subtypes = Vec::new();
    let mut rest = trace.as_slice();
    while let Some((header, body)) = rest.split_first_chunk::<12>() {
        assert_eq!(header[..4], NOW.seconds.to_be_bytes());
        assert_eq!(header[4..6], [0, 17], "BGP4MP_ET");
        let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
        assert_eq!(body[..4], NOW.micros.to_be_bytes());
        // AS numbers of four octets: the neighbour's, ours; then an interface, IPv4, both addresses.
        assert_eq!(body[4..12], [0, 0, 0xfb, 0xf4, 0, 0, 0x1f, 0x8b]);
        assert_eq!(body[12..24], [0, 0, 0, 1, 192, 0, 2, 0, 192, 0, 2, 1]);
        subtypes.push(header[7]);
        rest = &body[length..];
    }
    // 5 is a change of state, 4 received, 7 sent.
    assert_eq!(subtypes, [5, 7, 5, 4, 5, 7, 4, 5, 4, 7]);
    assert_eq!(
        meds(&trace, Format::Mrt),
        BTreeMap::from([(net(1).prefix, 5)])
    );
    assert!(scene.station.take_trace().is_empty(), "taken once");
}

#[test]
fn a_collector_hears_what_there_is_and_then_what_changes() {
    let mut scene = Scene::new();
    scene.up();
    scene.announce(net(1), 1, true);
    scene.announce(net(2), 2, false);
    assert!(!scene.station.has_news(), "nobody listens");
    scene.station.collector_connected();
    let first = scene.news();
    // Initiation, Peer Up; a route before and after policy, one before it alone, and both ends of the table.
    assert_eq!(kinds(&first), ["4", "3", "0", "0+", "0", "0", "0+"]);
    // Behind our address: our port, and the neighbour's.
    assert_eq!(first[1][64..68], [0, 179, 0x9d, 0x81]);
    scene.withdraw(net(1));
    scene.withdraw(net(2));
    let gone = scene.news();
    // Two at once before policy; after it, only what was told is withdrawn.
    assert_eq!(kinds(&gone), ["0", "0+"]);
    assert_eq!(gone[0].len() - gone[1].len(), 4, "one prefix more");
    scene.announce(net(3), 3, true);
    scene.withdraw(net(3));
    assert!(scene.news().is_empty(), "as if it had never been");
    scene.station.statistics(NOW);
    scene.station.terminate();
    assert_eq!(kinds(&scene.news()), ["1", "5"]);
}

#[test]
fn a_peer_goes_down_for_a_reason() {
    let cease = |out: &mut BytesMut| write_notification(out, &Notification::new(6, 2));
    type Loss = fn(&mut Scene, fn(&mut BytesMut));
    let losses: [(u8, usize, Loss); 4] = [
        (1, 21, |scene, cease| scene.sent(cease)),
        (2, 2, |_, _| {}),
        (3, 21, |scene, cease| scene.received(cease)),
        (4, 0, |scene, _| {
            scene.hear(Observed::Closed {
                conn: CONN,
                by_peer: true,
            });
        }),
    ];
    for (reason, data, lose) in losses {
        let mut scene = Scene::new();
        scene.up();
        scene.announce(net(1), 1, true);
        scene.station.collector_connected();
        scene.news();
        lose(&mut scene, cease);
        scene.hear(Observed::State(State::Idle));
        let news = scene.news();
        assert_eq!(kinds(&news), ["2"], "the routes go with the peer");
        assert_eq!(news[0][48], reason);
        assert_eq!(news[0].len(), 49 + data);
        assert!(scene.station.table_dump(NOW).len() < 100, "peers alone");
        // And comes back, with nothing of before.
        scene.up();
        assert_eq!(kinds(&scene.news()), ["3"]);
    }
}

#[test]
fn a_collector_that_does_not_read_costs_no_more_than_the_table() {
    let mut scene = Scene::new();
    scene.up();
    scene.station.collector_connected();
    for n in 0..10_000 {
        scene.announce(net(n as u8), n, n % 3 != 0);
    }
    assert!(!scene.station.collector_overrun());
    let told = scene.news();
    // Initiation and Peer Up, and each of 256 prefixes before policy, most of them after.
    assert!(told.len() < 2 + 2 * 256 + 2, "{}", told.len());
    // Sessions that come and go without end are too much: it begins anew.
    for _ in 0..600 {
        scene.hear(Observed::State(State::Idle));
        scene.up();
    }
    assert!(scene.station.collector_overrun());
    scene.station.collector_lost();
    scene.station.collector_connected();
    assert!(!scene.station.collector_overrun());
    assert_eq!(kinds(&scene.news()), ["4", "3", "0", "0+"]);
}

#[test]
fn path_identifiers_have_subtypes_of_their_own() {
    let mut capabilities = Capabilities::of(Family::Ipv4Unicast);
    capabilities.add_path_receive = Family::Ipv4Unicast.into();
    capabilities.add_path_send = Family::Ipv4Unicast.into();
    let dialect = capabilities.dialect(&capabilities, false);
    let mut scene = Scene::new();
    scene.confirm(&capabilities, &capabilities);
    let peer_id = Ipv4Addr::new(10, 0, 0, 9);
    scene.hear(Observed::Up { peer_id, dialect });
    scene.station.take_trace();
    let nlri = Nlri {
        path_id: 7,
        ..net(1)
    };
    let set = attributes(5);
    let of = set.clone();
    scene.received(|out| write_announcements(out, &of, &[nlri], dialect).expect("short"));
    scene.hear(Observed::Route {
        nlri,
        received: Some(set),
        imported: None,
    });
    let (trace, dump) = (scene.station.take_trace(), scene.station.table_dump(NOW));
    // RFC 8050: BGP4MP_MESSAGE_AS4_ADDPATH, and RIB_IPV4_UNICAST_ADDPATH behind the peers.
    assert_eq!(trace[6..8], [0, 9]);
    let peers = u32::from_be_bytes([dump[8], dump[9], dump[10], dump[11]]) as usize;
    assert_eq!(dump[12 + peers + 6..12 + peers + 8], [0, 8]);
    for bytes in [trace, dump] {
        assert_eq!(
            meds(&bytes, Format::Mrt),
            BTreeMap::from([(net(1).prefix, 5)])
        );
    }
}

/// The first UPDATEs often come in one read with the KEEPALIVE, before the session is said to be up.
#[test]
fn what_comes_with_the_keepalive_reads_as_the_opens_say() {
    let plain = Capabilities::of(Family::Ipv4Unicast);
    let two_octets = Capabilities {
        four_octet: false,
        ..plain.clone()
    };
    let with_path_ids = |capabilities: &Capabilities| Capabilities {
        add_path_receive: Family::Ipv4Unicast.into(),
        add_path_send: Family::Ipv4Unicast.into(),
        ..capabilities.clone()
    };
    let all = with_path_ids(&plain);
    // Subtypes of what is received and of what is sent (RFC 6396, section 4.4; RFC 8050, section 4.1).
    for (theirs, received, sent) in [
        (plain.clone(), 4, 7),
        (two_octets.clone(), 1, 6),
        (with_path_ids(&two_octets), 8, 10),
        (with_path_ids(&plain), 9, 11),
    ] {
        let dialect = all.dialect(&theirs, false);
        let mut scene = Scene::new();
        scene.confirm(&all, &theirs);
        scene.station.take_trace();
        let update = |out: &mut BytesMut| {
            write_announcements(out, &attributes(5), &[net(1)], dialect).expect("short");
        };
        let mut bytes = BytesMut::new();
        write_keepalive(&mut bytes);
        update(&mut bytes);
        let bytes = bytes.freeze();
        scene.hear(Observed::Received { conn: CONN, bytes });
        scene.sent(update);
        let trace = scene.station.take_trace();
        let mut subtypes = Vec::new();
        let mut rest = trace.as_slice();
        while let Some((header, body)) = rest.split_first_chunk::<12>() {
            let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
            subtypes.push(header[7]);
            rest = &body[length as usize..];
        }
        assert_eq!(subtypes, [4, received, sent]);
        assert_eq!(meds(&trace, Format::Mrt).len(), 1);
    }
}

#[test]
fn what_was_missed_is_told_anew() {
    let mut scene = Scene::new();
    scene.up();
    scene.announce(net(1), 1, true);
    scene.station.collector_connected();
    scene.news();
    // A message is missing from its middle on.
    let mut bytes = BytesMut::new();
    write_announcements(&mut bytes, &attributes(2), &[net(2)], dialect()).expect("short");
    let half = bytes.split_to(bytes.len() / 2).freeze();
    scene.hear(Observed::Received {
        conn: CONN,
        bytes: half,
    });
    scene.station.take_trace();
    scene.hear(Observed::Missed { messages: 7 });
    assert!(scene.station.sessions[0].routes.is_empty());
    scene.hear(Observed::Route {
        nlri: net(3),
        received: Some(attributes(3)),
        imported: None,
    });
    scene.hear(Observed::EndOfRib);
    let news = scene.news();
    assert_eq!(kinds(&news), ["2", "3", "0", "0", "0+"]);
    assert_eq!(news[0][48], 5, "it is no more monitored, and not down");
    assert_eq!(
        meds(&scene.station.table_dump(NOW), Format::Mrt),
        BTreeMap::from([(net(3).prefix, 3)])
    );
    // What comes begins in the middle of a message; the trace goes on with the next.
    let mut rest = BytesMut::from(&[0xff, 7, 0, 3][..]);
    write_keepalive(&mut rest);
    rest[..1].fill(0xff);
    scene.hear(Observed::Received {
        conn: CONN,
        bytes: rest.freeze(),
    });
    scene.announce(net(4), 4, true);
    let trace = scene.station.take_trace();
    assert_eq!(
        meds(&trace, Format::Mrt),
        BTreeMap::from([(net(4).prefix, 4)])
    );
}

#[test]
fn garbage_ends_what_can_be_cut_and_nothing_else() {
    let mut scene = Scene::new();
    for serial in 0..1_000 {
        let conn = Conn {
            direction: Direction::Incoming,
            serial,
        };
        let bytes = Bytes::from_static(&[0xaa; 4096]);
        scene.hear(Observed::Received { conn, bytes });
    }
    assert!(scene.station.sessions[0].connections.len() <= MOST_CONNECTIONS);
    assert!(scene.station.take_trace().is_empty());
    scene.up();
    scene.announce(net(1), 1, true);
    assert_eq!(meds(&scene.station.table_dump(NOW), Format::Mrt).len(), 1);
}

/// What happens to a route: its number, announced with a MED and accepted or not, or withdrawn.
fn changes() -> impl Strategy<Value = Vec<(u8, Option<(u32, bool)>)>> {
    vec(
        (0..6_u8, proptest::option::of((0..4_u32, any::<bool>()))),
        0..40,
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(changes in changes(), read_at in vec(any::<bool>(), 40)) {
        let mut scene = Scene::new();
        scene.up();
        scene.station.collector_connected();
        let mut expected = BTreeMap::new();
        let mut stream = Vec::new();
        for ((n, change), reads) in changes.into_iter().zip(read_at) {
            match change {
                Some((med, accepted)) => {
                    scene.announce(net(n), med, accepted);
                    expected.insert(net(n).prefix, med);
                }
                None => {
                    if expected.remove(&net(n).prefix).is_some() {
                        scene.withdraw(net(n));
                    }
                }
            }
            if reads {
                stream.extend(scene.news().concat());
            }
        }
        stream.extend(scene.news().concat());
        prop_assert_eq!(&meds(&scene.station.take_trace(), Format::Mrt), &expected);
        prop_assert_eq!(&meds(&scene.station.table_dump(NOW), Format::Mrt), &expected);
        prop_assert_eq!(&meds(&stream, Format::Bmp), &expected);
    }

    #[test]
    fn any_bytes_are_heard(pieces in vec(vec(any::<u8>(), 0..64), 0..16)) {
        let mut scene = Scene::new();
        scene.station.collector_connected();
        for piece in pieces {
            scene.hear(Observed::Received { conn: CONN, bytes: piece.into() });
        }
        scene.up();
        scene.news();
    }
}
