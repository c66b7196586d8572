//! Every check of section 6.8.6 that needs no session, and round trips.

use proptest::prelude::*;

use super::*;

fn packet() -> Packet {
    Packet {
        diagnostic: Diagnostic::NeighborSignaledSessionDown,
        state: State::Up,
        poll: true,
        final_: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: NonZeroU8::new(3).unwrap(),
        my_discriminator: NonZeroU32::new(0x0102_0304).unwrap(),
        your_discriminator: NonZeroU32::new(0x0506_0708),
        desired_min_tx: Micros(300_000),
        required_min_rx: Micros(150_000),
        required_min_echo_rx: Micros(0),
        authentication: None,
    }
}

#[test]
fn layout() {
    let expected = [
        0x23, 0xe0, 3, 24, // version 1, diagnostic 3; Up, Poll; multiplier; length
        1, 2, 3, 4, // my discriminator
        5, 6, 7, 8, // your discriminator
        0x00, 0x04, 0x93, 0xe0, // 300 ms
        0x00, 0x02, 0x49, 0xf0, // 150 ms
        0, 0, 0, 0, // no Echo
    ];
    assert_eq!(*packet().encode(), expected);
    assert_eq!(Packet::decode(&expected), Ok(packet()));
}

/// Decodes the packet after one change to its bytes.
fn after(change: impl FnOnce(&mut Vec<u8>)) -> Result<Packet, Invalid> {
    let mut bytes = packet().encode().to_vec();
    change(&mut bytes);
    Packet::decode(&bytes)
}

#[test]
fn refused() {
    assert_eq!(after(|b| b.truncate(23)), Err(Invalid::Short));
    assert_eq!(after(|b| b.clear()), Err(Invalid::Short));
    assert_eq!(after(|b| b[0] = 0x03), Err(Invalid::Version));
    assert_eq!(after(|b| b[0] = 0x43), Err(Invalid::Version));
    assert_eq!(after(|b| b[3] = 23), Err(Invalid::Length));
    assert_eq!(after(|b| b[3] = 25), Err(Invalid::Length));
    assert_eq!(after(|b| b[2] = 0), Err(Invalid::DetectMultiplier));
    assert_eq!(after(|b| b[1] |= MULTIPOINT), Err(Invalid::Multipoint));
    assert_eq!(after(|b| b[4..8].fill(0)), Err(Invalid::MyDiscriminator));
    assert_eq!(
        after(|b| b[8..12].fill(0)),
        Err(Invalid::YourDiscriminatorZero)
    );
}

/// A packet with an authentication section is read; whether it is wanted the session knows.
#[test]
fn an_authentication_section_is_read_within_length() {
    let with_section = |section: &[u8], length: u8| {
        after(|b| {
            b[1] |= AUTHENTICATION_PRESENT;
            b.extend(section);
            b[3] = length;
        })
    };
    assert_eq!(with_section(&[], 24), Err(Invalid::Length));
    assert_eq!(with_section(&[1], 25), Err(Invalid::Length));
    let refused = Err(Invalid::AuthenticationLength);
    assert_eq!(with_section(&[1, 2], 26), refused);
    // The section must end where Length says at the latest, whatever follows.
    assert_eq!(with_section(&[1, 5, 9, b'h', b'i'], 28), refused);
    let read = with_section(&[1, 5, 9, b'h', b'i', 0xff], 29).unwrap();
    let section = read.authentication.unwrap();
    assert_eq!((section.kind, section.key_id), (Kind::SimplePassword, 9));
    assert_eq!(section.secret, Secret::new(b"hi").unwrap());
    assert_eq!(
        with_section(&[9, 5, 9, 1, 2], 29),
        Err(Invalid::AuthenticationType)
    );
}

#[test]
fn your_discriminator_may_be_zero_while_down() {
    for (flags, state) in [(0x00, State::AdminDown), (0x40, State::Down)] {
        let decoded = after(|b| {
            b[1] = flags;
            b[8..12].fill(0);
        })
        .unwrap();
        assert_eq!((decoded.state, decoded.your_discriminator), (state, None));
    }
}

#[test]
fn bytes_after_length_are_ignored() {
    assert_eq!(after(|b| b.extend([0xff; 40])), Ok(packet()));
}

/// A sender must not set both (section 6.5), but a receiver has no leave to discard it (section 6.8.6).
#[test]
fn poll_and_final_together_are_read() {
    let decoded = after(|b| b[1] |= FINAL).unwrap();
    assert!(decoded.poll && decoded.final_);
}

#[test]
fn micros_never_round_to_zero() {
    assert_eq!(Micros::from(Duration::from_nanos(1)), Micros(1));
    assert_eq!(Micros::from(Duration::from_millis(50)), Micros(50_000));
    assert_eq!(Micros::from(Duration::MAX), Micros(u32::MAX));
}

#[test]
fn diagnostic_codes_round_trip() {
    for code in 0..32 {
        assert_eq!(Diagnostic::from_code(code).code(), code);
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(packet) = Packet::decode(&bytes) {
            // What was understood survives a round trip.
            prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
        }
    }

    /// The same with every kind of authentication section.
    #[test]
    fn sections(kind in 0usize..5, key_id: u8, sequence: u32, secret in proptest::collection::vec(any::<u8>(), 16)) {
        let kind = Kind::ALL[kind];
        let secret = match kind.longest_secret() {
            20 => [secret.as_slice(), &[1; 4]].concat(),
            _ => secret,
        };
        let sequence = if kind == Kind::SimplePassword { 0 } else { sequence };
        let secret = Secret::new(&secret).unwrap();
        let authentication = Some(Section { kind, key_id, sequence, secret });
        let packet = Packet { authentication, ..packet() };
        prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
    }

    /// Bytes that are nearly right reach the later checks, which plain random bytes seldom do.
    #[test]
    fn nearly_right_bytes(at in 0usize..24, value: u8, length in 20usize..30) {
        let mut bytes = packet().encode().to_vec();
        bytes[at] = value;
        bytes.resize(length, 0);
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert!(length >= PACKET_LEN);
            prop_assert_eq!(&packet.encode()[4..], &bytes[4..PACKET_LEN]);
        }
    }
}
