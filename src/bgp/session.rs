//! A BGP session.

/// The states of a session (RFC 4271, section 8.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Refuses all connections.
    Idle,
    /// Waits for its connection attempt to succeed.
    Connect,
    /// Waits for the neighbour to connect, or for the next attempt.
    Active,
    /// Sent its OPEN.
    OpenSent,
    /// Received the neighbour's OPEN.
    OpenConfirm,
    /// Exchanges routes.
    Established,
}

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// We did.
    Outgoing,
    /// The neighbour did.
    Incoming,
}

/// One TCP connection of a session. Events of a connection the session no longer has are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conn {
    /// Who opened it. The session chooses the serial of an outgoing one, the driver that of an incoming one.
    pub direction: Direction,
    /// Tells it apart from earlier ones of the same session and direction.
    pub serial: u32,
}
