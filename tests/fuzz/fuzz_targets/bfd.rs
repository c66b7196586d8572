//! BFD control packets (RFC 5880) with their authentication sections: what is read is written again as it was; a session
//! takes any of them, with each kind of authentication and with none.
#![no_main]

use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use peerlab::bfd::{Authentication, Config, Input, Key, Kind, Packet, Secret, Session, Timers};
use peerlab::time::At;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = Packet::decode(bytes) {
        assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
    }
    let timers = Timers::symmetric(Duration::from_millis(50), NonZeroU8::MIN);
    let config = Config::single_hop(NonZeroU32::MIN, timers, 0);
    for kind in [None].into_iter().chain(Kind::ALL.map(Some)) {
        let authentication = kind.map(|kind| Authentication {
            kind,
            key: Key {
                id: 1,
                secret: Secret::new(b"secret").expect("6 bytes"),
            },
            other_key: None,
        });
        let mut session = Session::new(
            Config {
                authentication,
                ..config
            },
            At::ZERO,
        );
        for millis in [0, 1] {
            let at = At::from_millis(millis);
            session.handle(
                at,
                Input::Packet {
                    bytes,
                    ttl: 255,
                    at,
                },
            );
            // A packet causes a bounded number of outputs.
            assert!(std::iter::from_fn(|| session.poll()).count() < 10);
        }
    }
});
