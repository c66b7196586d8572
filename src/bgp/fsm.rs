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

/// Declares the events, each with its number in brackets; none for ours.
macro_rules! events {
    ($($(#[$doc:meta])* [$($number:literal)?] $name:ident,)+) => {
        /// What can happen to a machine: the events of section 8.1 under their numbers, and ours.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event {
            $($(#[$doc])* $name,)+
        }

        impl Event {
            /// All events.
            pub const ALL: &[Event] = &[$(Event::$name),+];

            /// The number of section 8.1, or of RFC 9687, section 4.2; `None` for ours.
            pub fn number(self) -> Option<u8> {
                let number: &[u8] = match self {
                    $(Event::$name => &[$($number)?],)+
                };
                number.first().copied()
            }
        }
    };
}

events! {
    /// 1: started by hand.
    [1] ManualStart,
    /// 2: stopped by hand; the notification to send is given.
    [2] ManualStop,
    /// 3: started because what stood in the way is gone.
    [3] AutomaticStart,
    /// 4: as 1, but wait for the neighbour to connect.
    [4] ManualStartPassive,
    /// 5: as 3, but wait for the neighbour to connect.
    [5] AutomaticStartPassive,
    /// 6: to be started again, but after a rest.
    [6] AutomaticStartDamped,
    /// 7: as 6, but then wait for the neighbour to connect.
    [7] AutomaticStartDampedPassive,
    /// 8: stopped by something that is not a hand: too many prefixes, another configuration; the notification is given.
    [8] AutomaticStop,
    /// 9: time for another connection attempt.
    [9] ConnectRetryTimerExpires,
    /// 10: nothing was heard for the hold time.
    [10] HoldTimerExpires,
    /// 11: time for a KEEPALIVE.
    [11] KeepaliveTimerExpires,
    /// 12: the neighbour had the first word long enough.
    [12] DelayOpenTimerExpires,
    /// 13: the rest is over.
    [13] IdleHoldTimerExpires,
    /// 13, after event 7.
    [13] IdleHoldTimerExpiresPassive,
    /// 14: a valid connection request came. The kernel answers these, so that a session hears of event 17 only.
    [14] TcpConnectionValid,
    /// 15: a request from a wrong place came. The driver closes these connections unread.
    [15] TcpRequestInvalid,
    /// 16: our connection request succeeded.
    [16] TcpRequestAcked,
    /// 16, and DelayOpen is set.
    [16] TcpRequestAckedDelayOpen,
    /// 17: the neighbour connected.
    [17] TcpConnectionConfirmed,
    /// 17, and DelayOpen is set.
    [17] TcpConnectionConfirmedDelayOpen,
    /// 18: the attempt failed, or the connection is gone.
    [18] TcpConnectionFails,
    /// 19: an acceptable OPEN.
    [19] Open,
    /// 19, but our KEEPALIVE must wait.
    [19] OpenHeld,
    /// 20: an acceptable OPEN while the DelayOpenTimer runs.
    [20] OpenDelayed,
    /// 20, but our KEEPALIVE must wait.
    [20] OpenDelayedHeld,
    /// 21: a faulty message header; the notification to send is given.
    [21] HeaderError,
    /// 22: a faulty OPEN, or one we do not accept; the notification to send is given.
    [22] OpenError,
    /// 23: the other connection is kept.
    [23] CollisionDump,
    /// 24: NOTIFICATION of a version error.
    [24] NotificationVersionError,
    /// 25: any other NOTIFICATION.
    [25] Notification,
    /// 26: KEEPALIVE.
    [26] Keepalive,
    /// 26 while ours must wait.
    [26] KeepaliveHeld,
    /// 27: UPDATE.
    [27] Update,
    /// 28: a faulty UPDATE; the notification to send is given.
    [28] UpdateError,
    /// 29 (RFC 9687): nothing could be sent for the send hold time.
    [29] SendHoldTimerExpires,
    /// Ours: start with a delay before the first attempt.
    [] StartDelayed,
    /// Ours: the other machine of the session failed, and both rest.
    [] Rest,
    /// Ours: our KEEPALIVE need not wait any more.
    [] Released,
    /// Ours: the same, and the neighbour's KEEPALIVE came in the meantime.
    [] ReleasedConfirmed,
    /// Ours: BFD did not come up in time (draft-ietf-idr-bgp-bfd-strict-mode).
    [] BfdHoldTimerExpires,
    /// Ours: ROUTE-REFRESH (RFC 2918).
    [] RouteRefresh,
    /// Ours: a faulty ROUTE-REFRESH (RFC 7313, section 5); the notification to send is given.
    [] RouteRefreshError,
    /// Ours: BFD went down (RFC 5882, section 4.3).
    [] BfdDown,
    /// Ours: the link lost carrier.
    [] InterfaceDown,
    /// Ours: a neighbour that can restart gracefully connected anew (RFC 4724, section 5).
    [] PeerRestarts,
    /// Ours: the router dies without a word.
    [] Crash,
}

impl Event {
    /// The type of the message that is this event; a state machine error names it (RFC 6608, section 4).
    pub fn message_type(self) -> Option<u8> {
        match (self, self.number()) {
            (_, Some(19 | 20 | 22)) => Some(1),
            (_, Some(27 | 28)) => Some(2),
            (_, Some(24 | 25)) => Some(3),
            (_, Some(26)) => Some(4),
            (E::RouteRefresh | E::RouteRefreshError, _) => Some(5),
            _ => None,
        }
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
    /// Send Finite State Machine Error with this subcode, and the type of the message nobody expected.
    Unexpected(u8),
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
