//! LACPDUs and Marker PDUs as Ethernet frames (IEEE 802.1AX, 6.4.2 and 6.5.3).
//!
//! Frames are whole as they go over a packet socket: destination, source, EtherType, payload, no FCS. Both PDUs
//! have 110 bytes of payload, so every frame made here has 124 bytes.
//!
//! **Invariant:** decoding is total: any bytes give a [`Pdu`] or a [`DecodeError`].

use std::fmt;

/// The Slow Protocols multicast address, the destination of every frame made here.
pub const SLOW_PROTOCOLS: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x02];
/// The Slow Protocols EtherType.
pub const ETHERTYPE: u16 = 0x8809;
/// Length of the frames made here, in bytes.
pub const FRAME_LEN: usize = HEADER_LEN + PAYLOAD_LEN;

const HEADER_LEN: usize = 14;
const PAYLOAD_LEN: usize = 110;
/// The longest untagged Ethernet frame without FCS.
const LONGEST: usize = 1514;

const SUBTYPE_LACP: u8 = 1;
const SUBTYPE_MARKER: u8 = 2;
const VERSION: u8 = 1;
const MARKER_INFORMATION: u8 = 1;
const MARKER_RESPONSE: u8 = 2;

/// An Ethernet frame without FCS.
pub type Frame = [u8; FRAME_LEN];

/// What a frame of the Slow Protocols says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pdu {
    /// A LACPDU.
    Lacp(Lacpdu),
    /// A Marker PDU: its sender wants it answered.
    Marker(Marker),
    /// The answer to a Marker PDU.
    MarkerResponse(Marker),
}

/// A LACPDU (6.4.2.3). "Actor" is its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lacpdu {
    /// The sender.
    pub actor: PortInfo,
    /// What the sender holds of its partner, which is us.
    pub partner: PortInfo,
    /// The longest time the sender's collector holds back a frame, in tens of microseconds.
    pub collector_max_delay: u16,
}

/// One end of a link, as a LACPDU carries it (6.4.2.3, items f to l).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PortInfo {
    /// System priority; the lower goes before.
    pub system_priority: u16,
    /// System identifier, a MAC address; all zero when unknown.
    pub system: [u8; 6],
    /// Operational key: ports of one system with equal keys may aggregate.
    pub key: u16,
    /// Port priority; the lower goes before.
    pub port_priority: u16,
    /// Port number.
    pub port: u16,
    /// Activity, timeout and progress.
    pub state: State,
}

impl PortInfo {
    /// Whether both name the same port of the same aggregation, whatever its progress.
    pub fn same_port(&self, other: &PortInfo) -> bool {
        let progress = |info: &PortInfo| PortInfo {
            state: State::default(),
            ..*info
        };
        progress(self) == progress(other)
    }
}

/// As people read it: `32768 02:00:00:00:00:01 key 1 port 128/3`.
impl fmt::Display for PortInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.system_priority)?;
        write_mac(f, self.system)?;
        write!(
            f,
            " key {} port {}/{}",
            self.key, self.port_priority, self.port
        )
    }
}

/// Actor_State and Partner_State, one octet (6.4.2.3, item l).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct State(pub u8);

impl State {
    /// LACP_Activity: Active LACP, so this end speaks without being spoken to.
    pub const ACTIVITY: State = State(0x01);
    /// LACP_Timeout: Short Timeout, so this end wants a LACPDU a second.
    pub const TIMEOUT: State = State(0x02);
    /// Aggregatable; otherwise the link is Individual.
    pub const AGGREGATION: State = State(0x04);
    /// In sync: the port is attached to the right Aggregator.
    pub const SYNCHRONIZATION: State = State(0x08);
    /// Collecting incoming frames.
    pub const COLLECTING: State = State(0x10);
    /// Distributing outgoing frames.
    pub const DISTRIBUTING: State = State(0x20);
    /// Uses administrative values for its partner.
    pub const DEFAULTED: State = State(0x40);
    /// Its receive machine is EXPIRED.
    pub const EXPIRED: State = State(0x80);

    const NAMES: [(State, &'static str); 8] = [
        (State::ACTIVITY, "active"),
        (State::TIMEOUT, "short-timeout"),
        (State::AGGREGATION, "aggregatable"),
        (State::SYNCHRONIZATION, "in-sync"),
        (State::COLLECTING, "collecting"),
        (State::DISTRIBUTING, "distributing"),
        (State::DEFAULTED, "defaulted"),
        (State::EXPIRED, "expired"),
    ];

    /// Whether every bit of `bits` is set.
    pub const fn has(self, bits: State) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// With `bits` set or cleared.
    #[must_use]
    pub const fn with(self, bits: State, set: bool) -> State {
        if set {
            State(self.0 | bits.0)
        } else {
            State(self.0 & !bits.0)
        }
    }

    /// Whether `bits` are the same in both.
    pub(crate) const fn agrees(self, other: State, bits: State) -> bool {
        (self.0 ^ other.0) & bits.0 == 0
    }
}

/// The names of the bits that are set: `active aggregatable in-sync`.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (bit, name) in State::NAMES {
            if self.has(bit) {
                write!(f, "{between}{name}")?;
                between = " ";
            }
        }
        Ok(())
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x} ({self})", self.0)
    }
}

/// What a Marker PDU and its answer carry (6.5.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Port number of the end that asked.
    pub requester_port: u16,
    /// System of the end that asked.
    pub requester_system: [u8; 6],
    /// Chosen by the end that asked.
    pub transaction: u32,
}

/// Why bytes are no PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Less than a header and 110 bytes.
    #[error("the frame has {0} bytes, {FRAME_LEN} are the least")]
    Short(usize),
    /// More than Ethernet carries.
    #[error("the frame has {0} bytes, {LONGEST} are the most")]
    Oversize(usize),
    /// Not addressed to the Slow Protocols.
    #[error("the destination is not the Slow Protocols address")]
    Destination,
    /// Another protocol.
    #[error("the EtherType is {0:#06x}, not {ETHERTYPE:#06x}")]
    EtherType(u16),
    /// Neither LACP nor Marker.
    #[error("the Slow Protocols subtype is {0}, neither LACP (1) nor Marker (2)")]
    Subtype(u8),
    /// A TLV whose length is not the one it must have.
    #[error("the {tlv} TLV says it has {found} bytes, it must have {expected}")]
    TlvLength {
        /// Which: `actor`, `partner`, `collector` or `marker`.
        tlv: &'static str,
        /// Length it must have, in bytes.
        expected: u8,
        /// Length it says.
        found: u8,
    },
    /// A Marker PDU that neither asks nor answers.
    #[error("the marker TLV has type {0}, neither Marker Information (1) nor Marker Response (2)")]
    MarkerType(u8),
}

/// Reads a frame.
///
/// Version and LACPDU TLV types are not looked at, as 6.4.9 (recordPDU) demands, so a later version is read as
/// version 1; lengths may be validated, and are. Bytes after the 110th are ignored.
///
/// # Errors
///
/// When the bytes are no frame of the two protocols.
pub fn decode(bytes: &[u8]) -> Result<Pdu, DecodeError> {
    if bytes.len() > LONGEST {
        return Err(DecodeError::Oversize(bytes.len()));
    }
    let frame: &Frame = bytes.first_chunk().ok_or(DecodeError::Short(bytes.len()))?;
    if frame[..6] != SLOW_PROTOCOLS {
        return Err(DecodeError::Destination);
    }
    let payload = &frame[HEADER_LEN..];
    match (read_u16(frame, 12), payload[0]) {
        (ETHERTYPE, SUBTYPE_LACP) => decode_lacp(payload).map(Pdu::Lacp),
        (ETHERTYPE, SUBTYPE_MARKER) => decode_marker(payload),
        (ETHERTYPE, subtype) => Err(DecodeError::Subtype(subtype)),
        (ethertype, _) => Err(DecodeError::EtherType(ethertype)),
    }
}

/// Writes a frame from the port whose address is `source`.
pub fn encode(pdu: &Pdu, source: [u8; 6]) -> Frame {
    let mut frame = [0; FRAME_LEN];
    frame[..6].copy_from_slice(&SLOW_PROTOCOLS);
    frame[6..12].copy_from_slice(&source);
    frame[12..14].copy_from_slice(&ETHERTYPE.to_be_bytes());
    let payload = &mut frame[HEADER_LEN..];
    payload[1] = VERSION;
    match pdu {
        Pdu::Lacp(pdu) => {
            payload[0] = SUBTYPE_LACP;
            write_info(&mut payload[2..22], 1, &pdu.actor);
            write_info(&mut payload[22..42], 2, &pdu.partner);
            payload[42..44].copy_from_slice(&[3, 16]);
            payload[44..46].copy_from_slice(&pdu.collector_max_delay.to_be_bytes());
        }
        Pdu::Marker(marker) => write_marker(payload, MARKER_INFORMATION, marker),
        Pdu::MarkerResponse(marker) => write_marker(payload, MARKER_RESPONSE, marker),
    }
    // The terminator TLV and what is reserved are zero already.
    frame
}

fn decode_lacp(payload: &[u8]) -> Result<Lacpdu, DecodeError> {
    check_length("actor", 20, payload[3])?;
    check_length("partner", 20, payload[23])?;
    check_length("collector", 16, payload[43])?;
    Ok(Lacpdu {
        actor: read_info(&payload[2..22]),
        partner: read_info(&payload[22..42]),
        collector_max_delay: read_u16(payload, 44),
    })
}

fn decode_marker(payload: &[u8]) -> Result<Pdu, DecodeError> {
    check_length("marker", 16, payload[3])?;
    let marker = Marker {
        requester_port: read_u16(payload, 4),
        requester_system: read_mac(payload, 6),
        transaction: u32::from(read_u16(payload, 12)) << 16 | u32::from(read_u16(payload, 14)),
    };
    match payload[2] {
        MARKER_INFORMATION => Ok(Pdu::Marker(marker)),
        MARKER_RESPONSE => Ok(Pdu::MarkerResponse(marker)),
        other => Err(DecodeError::MarkerType(other)),
    }
}

fn check_length(tlv: &'static str, expected: u8, found: u8) -> Result<(), DecodeError> {
    if found == expected {
        return Ok(());
    }
    Err(DecodeError::TlvLength {
        tlv,
        expected,
        found,
    })
}

/// Reads an actor or partner TLV of 20 bytes.
fn read_info(tlv: &[u8]) -> PortInfo {
    PortInfo {
        system_priority: read_u16(tlv, 2),
        system: read_mac(tlv, 4),
        key: read_u16(tlv, 10),
        port_priority: read_u16(tlv, 12),
        port: read_u16(tlv, 14),
        state: State(tlv[16]),
    }
}

fn write_info(tlv: &mut [u8], kind: u8, info: &PortInfo) {
    tlv[..2].copy_from_slice(&[kind, 20]);
    tlv[2..4].copy_from_slice(&info.system_priority.to_be_bytes());
    tlv[4..10].copy_from_slice(&info.system);
    tlv[10..12].copy_from_slice(&info.key.to_be_bytes());
    tlv[12..14].copy_from_slice(&info.port_priority.to_be_bytes());
    tlv[14..16].copy_from_slice(&info.port.to_be_bytes());
    tlv[16] = info.state.0;
}

fn write_marker(payload: &mut [u8], kind: u8, marker: &Marker) {
    payload[0] = SUBTYPE_MARKER;
    payload[2..4].copy_from_slice(&[kind, 16]);
    payload[4..6].copy_from_slice(&marker.requester_port.to_be_bytes());
    payload[6..12].copy_from_slice(&marker.requester_system);
    payload[12..16].copy_from_slice(&marker.transaction.to_be_bytes());
}

fn read_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn read_mac(bytes: &[u8], at: usize) -> [u8; 6] {
    std::array::from_fn(|i| bytes[at + i])
}

/// Writes a MAC address as people do, with colons.
pub(crate) fn write_mac(f: &mut fmt::Formatter<'_>, mac: [u8; 6]) -> fmt::Result {
    let [a, b, c, d, e, g] = mac;
    write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
}

#[cfg(test)]
mod tests;
