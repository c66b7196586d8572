//! Known frames, hostile frames, and the identity of decoding what was encoded.

use super::*;
use proptest::prelude::*;

const SOURCE: [u8; 6] = [2, 0, 0, 0, 1, 1];

fn info(seed: u8) -> PortInfo {
    PortInfo {
        system_priority: 0x8000 + u16::from(seed),
        system: [2, 0, 0, 0, 0, seed],
        key: 0x100 + u16::from(seed),
        port_priority: 0x7f00 + u16::from(seed),
        port: u16::from(seed),
        state: State(0x3d),
    }
}

fn lacpdu() -> Lacpdu {
    Lacpdu {
        actor: info(1),
        partner: info(2),
        collector_max_delay: 0x1234,
    }
}

fn marker() -> Marker {
    Marker {
        requester_port: 7,
        requester_system: [2, 0, 0, 0, 0, 9],
        transaction: 0x0102_0304,
    }
}

#[test]
fn a_lacpdu_octet_by_octet() {
    let frame = encode(&Pdu::Lacp(lacpdu()), SOURCE);
    let mut expected = vec![1, 0x80, 0xc2, 0, 0, 2, 2, 0, 0, 0, 1, 1, 0x88, 0x09, 1, 1];
    expected.extend([
        1, 20, 0x80, 1, 2, 0, 0, 0, 0, 1, 1, 1, 0x7f, 1, 0, 1, 0x3d, 0, 0, 0,
    ]);
    expected.extend([
        2, 20, 0x80, 2, 2, 0, 0, 0, 0, 2, 1, 2, 0x7f, 2, 0, 2, 0x3d, 0, 0, 0,
    ]);
    expected.extend([3, 16, 0x12, 0x34]);
    expected.resize(FRAME_LEN, 0);
    assert_eq!(frame.to_vec(), expected);
}

#[test]
fn a_marker_and_its_answer_octet_by_octet() {
    for (pdu, kind) in [
        (Pdu::Marker(marker()), 1),
        (Pdu::MarkerResponse(marker()), 2),
    ] {
        let frame = encode(&pdu, SOURCE);
        let mut expected = vec![1, 0x80, 0xc2, 0, 0, 2, 2, 0, 0, 0, 1, 1, 0x88, 0x09, 2, 1];
        expected.extend([kind, 16, 0, 7, 2, 0, 0, 0, 0, 9, 1, 2, 3, 4]);
        expected.resize(FRAME_LEN, 0);
        assert_eq!(frame.to_vec(), expected);
        assert_eq!(decode(&frame), Ok(pdu));
    }
}

#[test]
fn what_is_not_validated_does_not_matter() {
    let pdu = Pdu::Lacp(lacpdu());
    let mut frame = encode(&pdu, SOURCE).to_vec();
    frame[15] = 2; // version
    frame[16] = 77; // type of the actor TLV
    frame[36] = 78; // type of the partner TLV
    frame[56] = 79; // type of the collector TLV
    frame[73] = 80; // length of the terminator, which a later version puts elsewhere
    frame[33] = 81; // reserved
    frame.extend([0xff; 300]);
    assert_eq!(decode(&frame), Ok(pdu));
}

#[test]
fn every_refusal() {
    let good = encode(&Pdu::Lacp(lacpdu()), SOURCE);
    let broken = |at: usize, byte: u8| {
        let mut frame = good;
        frame[at] = byte;
        decode(&frame).unwrap_err()
    };
    let length = |tlv, expected, found| DecodeError::TlvLength {
        tlv,
        expected,
        found,
    };
    assert_eq!(decode(&[]), Err(DecodeError::Short(0)));
    assert_eq!(decode(&good[..123]), Err(DecodeError::Short(123)));
    assert_eq!(decode(&[0; 1515]), Err(DecodeError::Oversize(1515)));
    assert_eq!(broken(5, 3), DecodeError::Destination);
    assert_eq!(broken(13, 8), DecodeError::EtherType(0x8808));
    assert_eq!(broken(14, 3), DecodeError::Subtype(3));
    assert_eq!(broken(17, 19), length("actor", 20, 19));
    assert_eq!(broken(37, 0), length("partner", 20, 0));
    assert_eq!(broken(57, 255), length("collector", 16, 255));

    let mut frame = encode(&Pdu::Marker(marker()), SOURCE);
    frame[16] = 3;
    assert_eq!(decode(&frame), Err(DecodeError::MarkerType(3)));
    frame[17] = 15;
    assert_eq!(decode(&frame), Err(length("marker", 16, 15)));
}

#[test]
fn text() {
    assert_eq!(
        info(1).to_string(),
        "32769 02:00:00:00:00:01 key 257 port 32513/1"
    );
    assert_eq!(
        State(0x3d).to_string(),
        "active aggregatable in-sync collecting distributing"
    );
    assert_eq!(
        broken_length().to_string(),
        "the actor TLV says it has 3 bytes, it must have 20"
    );
}

fn broken_length() -> DecodeError {
    DecodeError::TlvLength {
        tlv: "actor",
        expected: 20,
        found: 3,
    }
}

prop_compose! {
    fn any_info()(
        system_priority: u16, system: [u8; 6], key: u16, port_priority: u16, port: u16, state: u8,
    ) -> PortInfo {
        PortInfo { system_priority, system, key, port_priority, port, state: State(state) }
    }
}

prop_compose! {
    fn any_marker()(requester_port: u16, requester_system: [u8; 6], transaction: u32) -> Marker {
        Marker { requester_port, requester_system, transaction }
    }
}

fn any_pdu() -> impl Strategy<Value = Pdu> {
    let lacp = (any_info(), any_info(), any::<u16>()).prop_map(|(actor, partner, delay)| {
        Pdu::Lacp(Lacpdu {
            actor,
            partner,
            collector_max_delay: delay,
        })
    });
    prop_oneof![
        lacp,
        any_marker().prop_map(Pdu::Marker),
        any_marker().prop_map(Pdu::MarkerResponse),
    ]
}

proptest! {
    #[test]
    fn decoding_what_was_encoded_is_identity(pdu in any_pdu(), source: [u8; 6]) {
        prop_assert_eq!(decode(&encode(&pdu, source)), Ok(pdu));
    }

    #[test]
    fn any_bytes_are_a_pdu_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..1600)) {
        prop_assert!(decode(&bytes).is_err(), "random bytes do not hit the destination address");
    }

    #[test]
    fn a_damaged_pdu_is_a_pdu_or_an_error(
        pdu in any_pdu(),
        damage in prop::collection::vec((14..FRAME_LEN, any::<u8>()), 0..8),
        len in 0..=FRAME_LEN,
    ) {
        let mut frame = encode(&pdu, SOURCE);
        for (at, byte) in damage {
            frame[at] = byte;
        }
        let decoded = decode(&frame[..len]);
        prop_assert!(len == FRAME_LEN || decoded == Err(DecodeError::Short(len)));
        if let Ok(read) = decoded {
            // What is read can be written, and then means the same.
            prop_assert_eq!(decode(&encode(&read, SOURCE)), Ok(read));
        }
    }
}
