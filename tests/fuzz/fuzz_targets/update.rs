//! A stream of BGP messages, in any dialect: whatever is announced or withdrawn can be so again, and
//! means the same in every attribute.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use peerlab::bgp::attributes::Attributes;
use peerlab::bgp::family::{Families, Family};
use peerlab::bgp::message::{
    Dialect, Framer, Message, Update, write_announcements, write_withdrawals,
};

/// The first byte says which dialect; both directions have the same.
fn dialect(bits: u8) -> Dialect {
    let is_set = |bit: u8| bits & 1 << bit != 0;
    let add_path = if is_set(0) {
        Families::IPV4
    } else {
        Families::NONE
    };
    Dialect {
        four_octet: is_set(1),
        internal: is_set(2),
        extended_message: is_set(3),
        extended_receive: is_set(3),
        extended_next_hop: is_set(4),
        families: if is_set(5) {
            Family::Ipv6Unicast.into()
        } else {
            Family::ALL.into_iter().collect()
        },
        add_path_receive: add_path,
        add_path_send: add_path,
        ..Dialect::plain(false)
    }
}

fn announce_again(update: &Update, dialect: Dialect) {
    for announced in &update.announced {
        let mut out = BytesMut::new();
        // Attributes that filled a whole message may be too long for one with MP_REACH_NLRI.
        let written =
            write_announcements(&mut out, &announced.attributes, &announced.nlri, dialect);
        if written.is_err() {
            assert!(out.is_empty());
            continue;
        }
        let mut framer = Framer::default();
        framer.push(&out);
        let mut prefixes = Vec::new();
        while let Some(message) = framer.next(dialect).expect("our own message") {
            let Message::Update(again) = message else {
                panic!("not an UPDATE: {message:?}");
            };
            assert!(again.malformed.is_empty(), "{:?}", again.malformed);
            for part in again.announced {
                assert_eq!(ordered(&part.attributes), ordered(&announced.attributes));
                prefixes.extend(part.nlri);
            }
        }
        assert_eq!(prefixes, announced.nlri);
    }
}

/// We write attributes by their type codes, whatever order they came in.
fn ordered(attributes: &Attributes) -> Attributes {
    let mut attributes = attributes.clone();
    attributes.unknown.sort_by_key(|attribute| attribute.code);
    attributes.partial.sort();
    attributes
}

fn withdraw_again(update: &Update, dialect: Dialect) {
    let mut out = BytesMut::new();
    write_withdrawals(&mut out, &update.withdrawn, dialect);
    let mut framer = Framer::default();
    framer.push(&out);
    let mut withdrawn = Vec::new();
    while let Some(message) = framer.next(dialect).expect("our own message") {
        let Message::Update(again) = message else {
            panic!("not an UPDATE: {message:?}");
        };
        withdrawn.extend(again.withdrawn);
    }
    assert_eq!(withdrawn, update.withdrawn);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&bits, stream)) = bytes.split_first() else {
        return;
    };
    let dialect = dialect(bits);
    let mut framer = Framer::default();
    for piece in stream.chunks(1 + usize::from(bits)) {
        framer.push(piece);
        loop {
            match framer.next(dialect) {
                Ok(Some(Message::Update(update))) => {
                    announce_again(&update, dialect);
                    withdraw_again(&update, dialect);
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(
            framer.pending()
                < if dialect.extended_message {
                    65_535
                } else {
                    4096
                }
        );
    }
});
