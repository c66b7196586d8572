//! What the two ends of a session can do (RFC 5492), and what follows when both can.

use super::{MAX_EXTENDED_LENGTH, MAX_LENGTH};
use crate::bgp::family::{Families, Family};

/// The capabilities of one end, as its OPEN has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Four-octet AS numbers (RFC 6793); off only to play an old speaker.
    pub four_octet: bool,
    /// Address families (RFC 4760). An OPEN that names none is read as IPv4 unicast alone.
    pub families: Families,
    /// Route refresh (RFC 2918).
    pub route_refresh: bool,
    /// Enhanced route refresh (RFC 7313).
    pub enhanced_route_refresh: bool,
    /// Messages up to 65,535 octets (RFC 8654).
    pub extended_message: bool,
    /// IPv4 unicast with IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Graceful restart (RFC 4724).
    pub graceful_restart: Option<GracefulRestart>,
    /// BGP role (RFC 9234).
    pub role: Option<Role>,
    /// A role without a meaning, which fits none (RFC 9234, section 4.2).
    pub unfit_role: bool,
    /// Families in which several paths of a prefix can be received (RFC 7911).
    pub add_path_receive: Families,
    /// Families in which several paths of a prefix can be sent (RFC 7911).
    pub add_path_send: Families,
    /// BFD strict mode (draft-ietf-idr-bgp-bfd-strict-mode).
    pub bfd_strict: bool,
    /// Families of the neighbour that no session here carries, by AFI and SAFI.
    pub other_families: Vec<(u16, u8)>,
    /// Capability codes of the neighbour we have no use for, or whose values make no sense.
    pub ignored: Vec<u8>,
}

impl Capabilities {
    /// What a simulated router announces unless told otherwise: one family, route refresh, four-octet AS numbers.
    pub fn of(family: Family) -> Capabilities {
        Capabilities {
            four_octet: true,
            families: family.into(),
            route_refresh: true,
            ..Capabilities::none()
        }
    }

    /// None at all: what an OPEN without optional parameters says, but for its family.
    pub fn none() -> Capabilities {
        Capabilities {
            four_octet: false,
            families: Families::NONE,
            route_refresh: false,
            enhanced_route_refresh: false,
            extended_message: false,
            extended_next_hop: false,
            graceful_restart: None,
            role: None,
            unfit_role: false,
            add_path_receive: Families::NONE,
            add_path_send: Families::NONE,
            bfd_strict: false,
            other_families: Vec::new(),
            ignored: Vec::new(),
        }
    }

    /// These, on a session that carries no other families.
    pub fn within(&self, families: Families) -> Capabilities {
        let restart = |restart: GracefulRestart| GracefulRestart {
            families: restart.families.and(families),
            preserved: restart.preserved.and(families),
            ..restart
        };
        Capabilities {
            families: self.families.and(families),
            graceful_restart: self.graceful_restart.map(restart),
            add_path_receive: self.add_path_receive.and(families),
            add_path_send: self.add_path_send.and(families),
            ..self.clone()
        }
    }

    /// How messages read between us and a neighbour with these capabilities.
    pub fn dialect(&self, theirs: &Capabilities, internal: bool) -> Dialect {
        Dialect {
            four_octet: self.four_octet && theirs.four_octet,
            internal,
            families: self.families.and(theirs.families),
            extended_message: self.extended_message && theirs.extended_message,
            extended_receive: self.extended_message,
            extended_next_hop: self.extended_next_hop && theirs.extended_next_hop,
            add_path_receive: self.add_path_receive.and(theirs.add_path_send),
            add_path_send: self.add_path_send.and(theirs.add_path_receive),
            enhanced_refresh: self.enhanced_route_refresh && theirs.enhanced_route_refresh,
        }
    }
}

/// The graceful restart capability (RFC 4724, section 3; RFC 8538 for the N bit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GracefulRestart {
    /// The R bit: the speaker has restarted.
    pub restarting: bool,
    /// The N bit: a NOTIFICATION begins a graceful restart, too.
    pub notification: bool,
    /// Restart time in seconds, at most 4095.
    pub time: u16,
    /// Families whose routes are to be kept over a restart.
    pub families: Families,
    /// Those of them with the F bit: forwarding went on.
    pub preserved: Families,
}

/// A BGP role (RFC 9234, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// 0: the other end is our customer.
    Provider,
    /// 1: the other end is a client of our route server.
    RouteServer,
    /// 2: the other end is a route server.
    RouteServerClient,
    /// 3: the other end is our provider.
    Customer,
    /// 4: both ends are equal.
    Peer,
}

impl Role {
    /// All of them, in the order of their codes.
    pub const ALL: [Role; 5] = [
        Role::Provider,
        Role::RouteServer,
        Role::RouteServerClient,
        Role::Customer,
        Role::Peer,
    ];

    /// The value in the capability.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// What was negotiated and decides how messages read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Both ends know four-octet AS numbers (RFC 6793).
    pub four_octet: bool,
    /// iBGP.
    pub internal: bool,
    /// Families both ends carry.
    pub families: Families,
    /// Messages to the neighbour may have 65,535 octets (RFC 8654, section 4).
    pub extended_message: bool,
    /// Messages from the neighbour may: we said so, and it need not have.
    pub extended_receive: bool,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Families whose prefixes come with path identifiers.
    pub add_path_receive: Families,
    /// Families whose prefixes we send with path identifiers.
    pub add_path_send: Families,
    /// A ROUTE-REFRESH has a subtype (RFC 7313); else the octet is reserved (RFC 2918).
    pub enhanced_refresh: bool,
}

impl Dialect {
    /// IPv4 unicast and nothing else, as before any OPEN.
    pub const fn plain(internal: bool) -> Dialect {
        Dialect {
            four_octet: true,
            internal,
            families: Families::IPV4,
            extended_message: false,
            extended_receive: false,
            extended_next_hop: false,
            add_path_receive: Families::NONE,
            add_path_send: Families::NONE,
            enhanced_refresh: false,
        }
    }

    /// The longest message to the neighbour, OPEN and KEEPALIVE apart.
    pub(super) fn longest_sent(self) -> u16 {
        longest(self.extended_message)
    }

    /// The longest message from the neighbour, OPEN and KEEPALIVE apart.
    pub(super) fn longest_received(self) -> u16 {
        longest(self.extended_receive)
    }
}

fn longest(extended: bool) -> u16 {
    if extended {
        MAX_EXTENDED_LENGTH
    } else {
        MAX_LENGTH
    }
}
