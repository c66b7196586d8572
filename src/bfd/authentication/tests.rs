//! Sections as they stand in the RFC, signatures made and checked, sequence numbers.

use std::num::{NonZeroU8, NonZeroU32};

use proptest::prelude::*;

use super::*;
use crate::bfd::packet::{Diagnostic, Micros};
use crate::bfd::state::State;

fn packet() -> Packet {
    Packet {
        diagnostic: Diagnostic::None,
        state: State::Up,
        poll: false,
        final_: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: NonZeroU8::new(3).unwrap(),
        my_discriminator: NonZeroU32::new(7).unwrap(),
        your_discriminator: NonZeroU32::new(8),
        desired_min_tx: Micros(50_000),
        required_min_rx: Micros(50_000),
        required_min_echo_rx: Micros(0),
        authentication: None,
    }
}

fn key(id: u8, secret: &str) -> Key {
    Key {
        id,
        secret: Secret::new(secret.as_bytes()).unwrap(),
    }
}

fn with(kind: Kind, key: Key) -> Authentication {
    Authentication {
        kind,
        key,
        other_key: None,
    }
}

fn end(kind: Kind, sequence: u32) -> Authenticator {
    Authenticator::new(with(kind, key(5, "secret")), sequence)
}

/// What a receiver makes of bytes; it goes on from there if they are authentic.
fn hear(receiver: &mut Authenticator, bytes: &[u8]) -> Result<(), Invalid> {
    let packet = Packet::decode(bytes)?;
    receiver.check(bytes, &packet, false)?;
    receiver.accept(&packet.authentication.unwrap());
    Ok(())
}

fn signed(sender: &mut Authenticator, packet: &Packet) -> Datagram {
    let mut datagram = packet.encode();
    sender.sign(&mut datagram, false);
    datagram
}

/// Sections 4.2 to 4.4, byte by byte.
#[test]
fn layout() {
    let mut password = end(Kind::SimplePassword, 0);
    let bytes = signed(&mut password, &packet());
    assert_eq!((bytes[1] & 0x04, bytes[3]), (0x04, 33));
    assert_eq!(bytes[24..], [1, 9, 5, b's', b'e', b'c', b'r', b'e', b't']);
    for (kind, length) in [(Kind::KeyedMd5, 24), (Kind::MeticulousKeyedSha1, 28)] {
        let bytes = signed(&mut end(kind, 0x0102_0303), &packet());
        assert_eq!(usize::from(bytes[3]), 24 + length);
        assert_eq!(bytes.len(), 24 + length);
        let head = [kind as u8, length as u8, 5, 0, 1, 2, 3, 4];
        assert_eq!(bytes[24..32], head);
    }
}

/// The digest is that of the whole packet with the key, padded with zeroes, in its place (section 6.7.3).
#[test]
fn digest() {
    let bytes = signed(&mut end(Kind::KeyedMd5, 0), &packet());
    let mut keyed = bytes[..32].to_vec();
    keyed.extend(b"secret\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(bytes[32..], md5(&keyed));
    let bytes = signed(&mut end(Kind::KeyedSha1, 0), &packet());
    let mut keyed = bytes[..32].to_vec();
    keyed.extend(b"secret\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(bytes[32..], sha1(&keyed));
}

#[test]
fn each_kind_understands_itself_and_no_other() {
    for kind in Kind::ALL {
        for other in Kind::ALL {
            let bytes = signed(&mut end(kind, 1), &packet());
            let heard = hear(&mut end(other, 1), &bytes);
            let expected = match kind == other {
                true => Ok(()),
                false => Err(Invalid::AuthenticationType),
            };
            assert_eq!(heard, expected, "{kind:?} at {other:?}");
        }
    }
}

#[test]
fn another_secret_and_another_key_are_refused_and_told_apart() {
    for kind in Kind::ALL {
        let bytes = signed(&mut end(kind, 1), &packet());
        let mut wrong = Authenticator::new(with(kind, key(5, "Secret")), 1);
        let expected = match kind {
            Kind::SimplePassword => Invalid::Password,
            _ => Invalid::Digest,
        };
        assert_eq!(hear(&mut wrong, &bytes), Err(expected), "{kind:?}");
        let mut strange = Authenticator::new(with(kind, key(6, "secret")), 1);
        let strange = hear(&mut strange, &bytes);
        assert_eq!(strange, Err(Invalid::AuthenticationKey));
    }
    // A longer password that begins alike is another one.
    let bytes = signed(&mut end(Kind::SimplePassword, 1), &packet());
    let config = with(Kind::SimplePassword, key(5, "secrets"));
    let heard = hear(&mut Authenticator::new(config, 1), &bytes);
    assert_eq!(heard, Err(Invalid::Password));
}

#[test]
fn a_second_key_is_accepted_while_keys_are_exchanged() {
    for kind in Kind::ALL {
        let mut receiver = Authenticator::new(
            Authentication {
                other_key: Some(key(6, "new")),
                ..with(kind, key(5, "secret"))
            },
            1,
        );
        let mut new = Authenticator::new(with(kind, key(6, "new")), 1);
        let old = signed(&mut end(kind, 0), &packet());
        assert_eq!(hear(&mut receiver, &old), Ok(()));
        let new = signed(&mut new, &packet());
        assert_eq!(hear(&mut receiver, &new), Ok(()), "{kind:?}");
    }
}

/// Sections 6.7.3 and 6.7.4: from the last number, or the one after it, to three times Detect Mult beyond.
#[test]
fn the_window_of_sequence_numbers() {
    for (kind, repeated) in [
        (Kind::KeyedMd5, Ok(())),
        (Kind::KeyedSha1, Ok(())),
        (Kind::MeticulousKeyedMd5, Err(Invalid::Sequence)),
        (Kind::MeticulousKeyedSha1, Err(Invalid::Sequence)),
    ] {
        // Across the end of the numbers, too.
        for start in [100, u32::MAX - 3] {
            let mut receiver = end(kind, 0);
            let first = signed(&mut end(kind, start.wrapping_sub(1)), &packet());
            assert_eq!(hear(&mut receiver, &first), Ok(()));
            for (ahead, expected) in [
                (0, repeated),
                (1, Ok(())),
                (9, Ok(())),
                (10, Err(Invalid::Sequence)),
                (u32::MAX, Err(Invalid::Sequence)),
            ] {
                let sequence = start.wrapping_add(ahead).wrapping_sub(1);
                let bytes = signed(&mut end(kind, sequence), &packet());
                let decoded = Packet::decode(&bytes).unwrap();
                let checked = receiver.check(&bytes, &decoded, false);
                assert_eq!(checked, expected, "{kind:?} {ahead} ahead of {start}");
                assert_eq!(receiver.check(&bytes, &decoded, true), Ok(()));
            }
        }
    }
}

/// The number grows with every packet, or only with one that says something else.
#[test]
fn sequence_numbers_sent() {
    let other = Packet {
        poll: true,
        ..packet()
    };
    for (kind, expected) in [
        (Kind::KeyedMd5, [1, 1, 2, 3, 3]),
        (Kind::MeticulousKeyedMd5, [1, 2, 3, 4, 5]),
        (Kind::KeyedSha1, [1, 1, 2, 3, 3]),
        (Kind::MeticulousKeyedSha1, [1, 2, 3, 4, 5]),
    ] {
        let mut sender = end(kind, 0);
        let packets = [packet(), packet(), other, packet(), packet()];
        let sent = packets.map(|packet| {
            let bytes = signed(&mut sender, &packet);
            Packet::decode(&bytes)
                .unwrap()
                .authentication
                .unwrap()
                .sequence
        });
        assert_eq!(sent, expected, "{kind:?}");
    }
}

/// A stranger's packet does not decide which numbers are believed.
#[test]
fn a_forged_first_packet_is_forgotten() {
    let kind = Kind::MeticulousKeyedSha1;
    let mut receiver = end(kind, 0);
    let mut forger = Authenticator::new(with(kind, key(5, "guess")), 5_000_000);
    let forged = signed(&mut forger, &packet());
    assert_eq!(hear(&mut receiver, &forged), Err(Invalid::Digest));
    let bytes = signed(&mut end(kind, 1), &packet());
    assert_eq!(hear(&mut receiver, &bytes), Ok(()));
}

#[test]
fn a_secret_is_never_shown() {
    let config = with(Kind::SimplePassword, key(5, "hush"));
    let mut authenticator = Authenticator::new(config, 1);
    let bytes = signed(&mut authenticator, &packet());
    let packet = Packet::decode(&bytes).unwrap();
    for text in [
        format!("{config:?}"),
        format!("{authenticator:?}"),
        format!("{packet:?}"),
    ] {
        assert!(!text.contains("hush"), "{text}");
    }
    assert_eq!(Secret::new(b""), None);
    assert_eq!(Secret::new(&[1; 21]), None);
}

#[test]
fn sections_that_are_none() {
    let refused = |section: &[u8]| Section::decode(section).unwrap_err();
    for short in [&[][..], &[1], &[4, 28]] {
        assert_eq!(refused(short), Invalid::AuthenticationLength);
    }
    assert_eq!(refused(&[0, 9, 1, 2]), Invalid::AuthenticationType);
    assert_eq!(refused(&[6, 9, 1, 2]), Invalid::AuthenticationType);
    // No password, one that is too long, one that ends beyond the packet.
    assert_eq!(refused(&[1, 3, 1, 2]), Invalid::AuthenticationLength);
    assert_eq!(
        refused(&[[1, 20].as_slice(), &[9; 30]].concat()),
        Invalid::AuthenticationLength
    );
    assert_eq!(refused(&[1, 6, 1, 2]), Invalid::AuthenticationLength);
    for (code, length) in [(2, 23), (3, 28), (4, 24), (5, 29)] {
        let section = [[code, length].as_slice(), &[9; 30]].concat();
        assert_eq!(refused(&section), Invalid::AuthenticationLength);
    }
}

proptest! {
    /// Any change of a signed packet is found.
    #[test]
    fn no_byte_can_be_changed(place in 0..52usize, flip in 1..=255u8, which in 1..5usize) {
        let kind = Kind::ALL[which];
        let bytes = signed(&mut end(kind, 1), &packet());
        let mut changed = bytes.to_vec();
        let place = place % changed.len();
        // The reserved byte is covered by the digest as well.
        changed[place] ^= flip;
        prop_assert!(hear(&mut end(kind, 1), &changed).is_err());
    }

    #[test]
    fn any_section_is_read_or_refused(section in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(decoded) = Section::decode(&section) {
            let (bytes, length) = decoded.encode();
            prop_assert_eq!(Section::decode(&bytes[..length]), Ok(decoded));
        }
    }
}
