//! What a session is told before it begins: who it is, what it announces, its times and its choices.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::bgp::family::Families;
use crate::bgp::message::Capabilities;

/// The least SendHoldTime RFC 9687, section 6, suggests.
const LEAST_SEND_HOLD: Duration = Duration::from_secs(480);

/// A session's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionConfig {
    /// Our AS number.
    pub asn: u32,
    /// Our BGP Identifier.
    pub id: Ipv4Addr,
    /// The AS number the neighbour must have; ours for iBGP.
    pub peer_asn: u32,
    /// Never connect, only wait.
    pub passive: bool,
    /// Lose the session when BFD goes down, and withhold our KEEPALIVE in OpenConfirm until it is up again. Before it was up for
    /// the first time nothing waits for it.
    pub use_bfd: bool,
    /// Withhold our KEEPALIVE in OpenConfirm until BFD is up, also from a neighbour without the strict mode capability.
    /// From a neighbour that announces it as we do ([`Capabilities::bfd_strict`]), it is withheld in any case.
    pub bfd_strict: bool,
    /// Do not even connect before BFD is up.
    pub wait_for_bfd: bool,
    /// What our OPEN announces.
    pub capabilities: Capabilities,
    /// Timers.
    pub timers: Timers,
    /// What RFCs leave to us.
    pub options: Options,
    /// Decides the jitter.
    pub seed: u64,
}

/// Times of a session (RFC 4271, section 10).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timers {
    /// Hold time we propose, in whole seconds; zero is off, else at least 3 s.
    pub hold: Duration,
    /// Keepalive time; a third of the negotiated hold time if that is less.
    pub keepalive: Duration,
    /// Time between connection attempts.
    pub connect_retry: Duration,
    /// Time before the first attempt.
    pub connect_delay: Duration,
    /// Rest after a failure; doubled up to 16 times while failures repeat.
    pub idle_hold: Duration,
    /// Hold time until the neighbour's OPEN is here (RFC 4271, section 8.2.2: a large one, 4 minutes).
    pub open_hold: Duration,
    /// How long the neighbour may refuse to read: SendHoldTime (RFC 9687). Zero is off, and less than the negotiated hold
    /// time counts as a second more than that. `None` is the RFC's default, the greater of 8 minutes and two hold times.
    /// Off in any case where the hold time is.
    pub send_hold: Option<Duration>,
}

impl Timers {
    /// The SendHoldTime beside a negotiated hold time (RFC 9687, sections 4.4 and 6); `None` is off.
    pub fn send_hold(&self, hold: Option<Duration>) -> Option<Duration> {
        let hold = hold?;
        match self.send_hold {
            None => Some(LEAST_SEND_HOLD.max(2 * hold)),
            Some(Duration::ZERO) => None,
            Some(time) => Some(time.max(hold + Duration::from_secs(1))),
        }
    }
}

impl Default for Timers {
    fn default() -> Timers {
        Timers {
            hold: Duration::from_secs(180),
            keepalive: Duration::from_secs(60),
            connect_retry: Duration::from_secs(5),
            connect_delay: Duration::ZERO,
            idle_hold: Duration::from_millis(100),
            open_hold: Duration::from_secs(240),
            send_hold: None,
        }
    }
}

/// Where RFCs leave a choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// DelayOpen and DelayOpenTime (RFC 4271, section 8.1.1): give the neighbour this long for the first OPEN.
    pub delay_open: Option<Duration>,
    /// DampPeerOscillations: rest longer while failures repeat. Where the neighbour ended the session for long (Cease /
    /// Administrative Shutdown, Peer De-configured, Connection Rejected or Out of Resources) that is so in any case
    /// (RFC 4486, section 4); where it misses a capability, the rest is the longest at once (RFC 5492, section 5).
    pub damp_peer_oscillations: bool,
    /// CollisionDetectEstablishedState: a new connection may replace an established one, by the rule of section 6.8.
    pub collision_detect_established: bool,
    /// The least hold time we accept; zero accepts any, and none at all.
    pub minimum_hold: Duration,
    /// Families without which the neighbour is refused. One common family is always wanted.
    pub required_families: Families,
    /// Refuse a neighbour that has no role (RFC 9234, section 4.2, strict mode).
    pub require_role: bool,
    /// How long BFD may take to come up where the hold time is off (draft-ietf-idr-bgp-bfd-strict-mode).
    pub bfd_hold: Duration,
    /// A BFD that shares fate with the neighbour's control plane goes down when that restarts, too: keep the routes then, as
    /// RFC 5882, section 4.3.2, allows. Off, a BFD that goes down ends a graceful session for good.
    pub bfd_check_control_plane: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            delay_open: None,
            damp_peer_oscillations: true,
            collision_detect_established: false,
            minimum_hold: Duration::ZERO,
            required_families: Families::NONE,
            require_role: false,
            bfd_hold: Duration::from_secs(30),
            bfd_check_control_plane: false,
        }
    }
}
