//! The state machine of one connection (RFC 4271, section 8.2.2) as one total table.
//!
//! A session runs it twice, for the connection it opens and for the one the neighbour opens, so that a collision
//! (section 6.8) is two machines in a half-open state and nothing special. Every event of section 8.1 is here, the
//! optional ones too. Where a guard decides, it is part of the event, as the RFC has it for event 20: `OpenHeld` is an
//! OPEN whose answer must wait, for BFD or for the end of a collision. The rows are in `table.rs`.
//!
//! **Invariant:** [`step`] is pure and has no catch-all arm; every state answers every event.

use std::fmt;

use Event as E;
use State as S;

mod table;

pub use table::step;

/// The states (RFC 4271, section 8.2.2).
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

impl State {
    /// All states.
    pub const ALL: [State; 6] = [
        S::Idle,
        S::Connect,
        S::Active,
        S::OpenSent,
        S::OpenConfirm,
        S::Established,
    ];

    /// How far a session has come: of its two machines the one further on gives the session's state.
    pub fn progress(self) -> u8 {
        match self {
            S::Idle => 0,
            S::Active => 1,
            S::Connect => 2,
            S::OpenSent => 3,
            S::OpenConfirm => 4,
            S::Established => 5,
        }
    }

    /// Whether there is always a TCP connection in this state. With DelayOpen there may be one before.
    pub fn is_connected(self) -> bool {
        self.progress() >= S::OpenSent.progress()
    }
}

impl fmt::Display for State {
    /// The RFC's name, for example `OpenSent`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What can happen to a machine: the events of section 8.1 under their numbers, and ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// 1: started by hand.
    ManualStart,
    /// 2: stopped by hand; the notification to send is given.
    ManualStop,
    /// 3: started because what stood in the way is gone.
    AutomaticStart,
    /// 4: as 1, but wait for the neighbour to connect.
    ManualStartPassive,
    /// 5: as 3, but wait for the neighbour to connect.
    AutomaticStartPassive,
    /// 6: to be started again, but after a rest.
    AutomaticStartDamped,
    /// 7: as 6, but then wait for the neighbour to connect.
    AutomaticStartDampedPassive,
    /// 8: stopped by something that is not a hand: too many prefixes, another configuration; the notification is given.
    AutomaticStop,
    /// 9: time for another connection attempt.
    ConnectRetryTimerExpires,
    /// 10: nothing was heard for the hold time.
    HoldTimerExpires,
    /// 11: time for a KEEPALIVE.
    KeepaliveTimerExpires,
    /// 12: the neighbour had the first word long enough.
    DelayOpenTimerExpires,
    /// 13: the rest is over.
    IdleHoldTimerExpires,
    /// 13, after event 7.
    IdleHoldTimerExpiresPassive,
    /// 14: a valid connection request came. The kernel answers these, so that a session hears of event 17 only.
    TcpConnectionValid,
    /// 15: a request from a wrong place came. The driver closes these connections unread.
    TcpRequestInvalid,
    /// 16: our connection request succeeded.
    TcpRequestAcked,
    /// 16, and DelayOpen is set.
    TcpRequestAckedDelayOpen,
    /// 17: the neighbour connected.
    TcpConnectionConfirmed,
    /// 17, and DelayOpen is set.
    TcpConnectionConfirmedDelayOpen,
    /// 18: the attempt failed, or the connection is gone.
    TcpConnectionFails,
    /// 19: an acceptable OPEN.
    Open,
    /// 19, but our KEEPALIVE must wait.
    OpenHeld,
    /// 20: an acceptable OPEN while the DelayOpenTimer runs.
    OpenDelayed,
    /// 20, but our KEEPALIVE must wait.
    OpenDelayedHeld,
    /// 21: a faulty message header; the notification to send is given.
    HeaderError,
    /// 22: a faulty OPEN, or one we do not accept; the notification to send is given.
    OpenError,
    /// 23: the other connection is kept.
    CollisionDump,
    /// 24: NOTIFICATION of a version error.
    NotificationVersionError,
    /// 25: any other NOTIFICATION.
    Notification,
    /// 26: KEEPALIVE.
    Keepalive,
    /// 26 while ours must wait.
    KeepaliveHeld,
    /// 27: UPDATE.
    Update,
    /// 28: a faulty UPDATE; the notification to send is given.
    UpdateError,
    /// Ours: start with a delay before the first attempt.
    StartDelayed,
    /// Ours: the other machine of the session failed, and both rest.
    Rest,
    /// Ours: our KEEPALIVE need not wait any more.
    Released,
    /// Ours: the same, and the neighbour's KEEPALIVE came in the meantime.
    ReleasedConfirmed,
    /// Ours: nothing could be sent for the send hold time (RFC 9687).
    SendHoldTimerExpires,
    /// Ours: BFD did not come up in time (draft-ietf-idr-bgp-bfd-strict-mode).
    BfdHoldTimerExpires,
    /// Ours: ROUTE-REFRESH (RFC 2918).
    RouteRefresh,
    /// Ours: a faulty ROUTE-REFRESH (RFC 7313, section 5); the notification to send is given.
    RouteRefreshError,
    /// Ours: BFD went down (RFC 5882, section 4.3).
    BfdDown,
    /// Ours: the link lost carrier.
    InterfaceDown,
    /// Ours: a neighbour that can restart gracefully connected anew (RFC 4724, section 5).
    PeerRestarts,
    /// Ours: the router dies without a word.
    Crash,
}

impl Event {
    /// All events.
    pub const ALL: [Event; 46] = [
        E::ManualStart,
        E::ManualStop,
        E::AutomaticStart,
        E::ManualStartPassive,
        E::AutomaticStartPassive,
        E::AutomaticStartDamped,
        E::AutomaticStartDampedPassive,
        E::AutomaticStop,
        E::ConnectRetryTimerExpires,
        E::HoldTimerExpires,
        E::KeepaliveTimerExpires,
        E::DelayOpenTimerExpires,
        E::IdleHoldTimerExpires,
        E::IdleHoldTimerExpiresPassive,
        E::TcpConnectionValid,
        E::TcpRequestInvalid,
        E::TcpRequestAcked,
        E::TcpRequestAckedDelayOpen,
        E::TcpConnectionConfirmed,
        E::TcpConnectionConfirmedDelayOpen,
        E::TcpConnectionFails,
        E::Open,
        E::OpenHeld,
        E::OpenDelayed,
        E::OpenDelayedHeld,
        E::HeaderError,
        E::OpenError,
        E::CollisionDump,
        E::NotificationVersionError,
        E::Notification,
        E::Keepalive,
        E::KeepaliveHeld,
        E::Update,
        E::UpdateError,
        E::StartDelayed,
        E::Rest,
        E::Released,
        E::ReleasedConfirmed,
        E::SendHoldTimerExpires,
        E::BfdHoldTimerExpires,
        E::RouteRefresh,
        E::RouteRefreshError,
        E::BfdDown,
        E::InterfaceDown,
        E::PeerRestarts,
        E::Crash,
    ];

    /// The number of section 8.1; `None` for ours.
    pub fn number(self) -> Option<u8> {
        Some(match self {
            E::ManualStart => 1,
            E::ManualStop => 2,
            E::AutomaticStart => 3,
            E::ManualStartPassive => 4,
            E::AutomaticStartPassive => 5,
            E::AutomaticStartDamped => 6,
            E::AutomaticStartDampedPassive => 7,
            E::AutomaticStop => 8,
            E::ConnectRetryTimerExpires => 9,
            E::HoldTimerExpires => 10,
            E::KeepaliveTimerExpires => 11,
            E::DelayOpenTimerExpires => 12,
            E::IdleHoldTimerExpires | E::IdleHoldTimerExpiresPassive => 13,
            E::TcpConnectionValid => 14,
            E::TcpRequestInvalid => 15,
            E::TcpRequestAcked | E::TcpRequestAckedDelayOpen => 16,
            E::TcpConnectionConfirmed | E::TcpConnectionConfirmedDelayOpen => 17,
            E::TcpConnectionFails => 18,
            E::Open | E::OpenHeld => 19,
            E::OpenDelayed | E::OpenDelayedHeld => 20,
            E::HeaderError => 21,
            E::OpenError => 22,
            E::CollisionDump => 23,
            E::NotificationVersionError => 24,
            E::Notification => 25,
            E::Keepalive | E::KeepaliveHeld => 26,
            E::Update => 27,
            E::UpdateError => 28,
            E::StartDelayed
            | E::Rest
            | E::Released
            | E::ReleasedConfirmed
            | E::SendHoldTimerExpires
            | E::BfdHoldTimerExpires
            | E::RouteRefresh
            | E::RouteRefreshError
            | E::BfdDown
            | E::InterfaceDown
            | E::PeerRestarts
            | E::Crash => return None,
        })
    }
}

/// What is to be done, before the state changes. Closing connections and stopping timers is not listed:
/// it follows from the state that is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Set the ConnectRetryCounter to zero.
    ZeroRetries,
    /// Add one to the ConnectRetryCounter, and damp peer oscillations.
    CountRetry,
    /// Start the IdleHoldTimer, if it does not run.
    IdleHold,
    /// Give up the attempt under way.
    Abandon,
    /// Open a connection.
    Connect,
    /// Take the new connection as this machine's, dropping an older one.
    Adopt,
    /// Start the DelayOpenTimer.
    DelayOpen,
    /// Close the new connection.
    Refuse,
    /// Send our OPEN; the hold timer begins large.
    SendOpen,
    /// Use what the neighbour's OPEN proposes.
    AcceptOpen,
    /// Send a KEEPALIVE.
    SendKeepalive,
    /// Note that the neighbour's KEEPALIVE has come.
    NoteKeepalive,
    /// Restart the hold timer.
    RestartHold,
    /// Work in the UPDATE.
    Deliver,
    /// Do what the ROUTE-REFRESH says.
    Refresh,
    /// Send the notification that is given, if there is a connection.
    NotifyGiven,
    /// Send a NOTIFICATION with code and subcode.
    Notify(u8, u8),
}

/// What follows from an event: the next state, and what is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The state to enter.
    pub next: State,
    /// What is to be done before.
    pub actions: &'static [Action],
}

#[cfg(test)]
mod tests;
