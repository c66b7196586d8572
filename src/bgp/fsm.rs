//! The state machine of one connection (RFC 4271, section 8.2.2) as one total table.
//!
//! A session runs it twice, for the connection it opens and for the one the neighbour opens, so that a collision
//! (section 6.8) is two machines in a half-open state and nothing special. Where a guard decides, it is part of the
//! event: `OpenHeld` is an OPEN whose answer must wait, for BFD or for the end of a collision.
//!
//! **Invariant:** [`step`] is pure and has no catch-all arm; every state answers every event.

use std::fmt;

use Action::*;
use Event as E;
use State as S;

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

    /// Whether there is a TCP connection in this state.
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

/// What can happen to a machine; the numbers are the RFC's (section 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// 1, 3: start by connecting.
    Start,
    /// 1, 3 with a delay before the first attempt.
    StartDelayed,
    /// 4, 5: start by waiting for the neighbour.
    StartPassive,
    /// 2, 8: stop; the notification to send is given.
    Stop,
    /// 9: time for another connection attempt.
    RetryExpired,
    /// 10: nothing was heard for the hold time.
    HoldExpired,
    /// 11: time for a KEEPALIVE.
    KeepaliveExpired,
    /// Nothing could be sent for the send hold time (RFC 9687).
    SendHoldExpired,
    /// 16, 17: a TCP connection is there.
    ConnectionMade,
    /// 18: the attempt failed, or the connection is gone.
    ConnectionLost,
    /// 19: an acceptable OPEN.
    Open,
    /// 19, but our KEEPALIVE must wait.
    OpenHeld,
    /// Our KEEPALIVE need not wait any more.
    Released,
    /// The same, and the neighbour's KEEPALIVE came in the meantime.
    ReleasedConfirmed,
    /// 26: KEEPALIVE.
    Keepalive,
    /// 26 while ours must wait.
    KeepaliveHeld,
    /// 27: UPDATE.
    Update,
    /// ROUTE-REFRESH (RFC 2918).
    RouteRefresh,
    /// 24, 25: NOTIFICATION.
    Notification,
    /// 21, 22, 28: a faulty message; the notification to send is given.
    MessageError,
    /// 23: the other connection is kept.
    Collision,
    /// BFD went down (RFC 5882, section 4.3).
    BfdDown,
    /// The link lost carrier.
    InterfaceDown,
    /// The router dies without a word.
    Crash,
}

impl Event {
    /// All events.
    pub const ALL: [Event; 24] = [
        E::Start,
        E::StartDelayed,
        E::StartPassive,
        E::Stop,
        E::RetryExpired,
        E::HoldExpired,
        E::KeepaliveExpired,
        E::SendHoldExpired,
        E::ConnectionMade,
        E::ConnectionLost,
        E::Open,
        E::OpenHeld,
        E::Released,
        E::ReleasedConfirmed,
        E::Keepalive,
        E::KeepaliveHeld,
        E::Update,
        E::RouteRefresh,
        E::Notification,
        E::MessageError,
        E::Collision,
        E::BfdDown,
        E::InterfaceDown,
        E::Crash,
    ];
}

/// What is to be done, before the state changes. Closing connections and stopping timers is not listed:
/// it follows from the state that is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Give up the attempt under way.
    Abandon,
    /// Open a connection.
    Connect,
    /// Take the new connection as this machine's, dropping an older one.
    Adopt,
    /// Close the new connection.
    Refuse,
    /// Send our OPEN.
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
    /// Send all routes again.
    Refresh,
    /// Send the notification that is given.
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

const fn to(next: State, actions: &'static [Action]) -> Step {
    Step { next, actions }
}

/// The table.
pub fn step(state: State, event: Event) -> Step {
    match state {
        S::Idle => idle(event),
        S::Connect => connect(event),
        S::Active => active(event),
        S::OpenSent => open_sent(event),
        S::OpenConfirm => open_confirm(event),
        S::Established => established(event),
    }
}

fn idle(event: Event) -> Step {
    match event {
        E::Start => to(S::Connect, &[Connect]),
        E::StartDelayed | E::StartPassive => to(S::Active, &[]),
        E::ConnectionMade => to(S::Idle, &[Refuse]),
        E::Stop
        | E::RetryExpired
        | E::HoldExpired
        | E::KeepaliveExpired
        | E::SendHoldExpired
        | E::ConnectionLost
        | E::Open
        | E::OpenHeld
        | E::Released
        | E::ReleasedConfirmed
        | E::Keepalive
        | E::KeepaliveHeld
        | E::Update
        | E::RouteRefresh
        | E::Notification
        | E::MessageError
        | E::Collision
        | E::BfdDown
        | E::InterfaceDown
        | E::Crash => to(S::Idle, &[]),
    }
}

fn connect(event: Event) -> Step {
    match event {
        E::Start
        | E::StartDelayed
        | E::StartPassive
        | E::Released
        | E::ReleasedConfirmed
        | E::BfdDown => to(S::Connect, &[]),
        E::RetryExpired => to(S::Connect, &[Abandon, Connect]),
        E::ConnectionMade => to(S::OpenSent, &[Adopt, SendOpen]),
        // The RFC goes to Idle without a DelayOpenTimer; an attempt that failed is no fault of the neighbour's
        // that would call for peer oscillation damping, so we wait for the next attempt as with one.
        E::ConnectionLost => to(S::Active, &[]),
        E::Stop
        | E::HoldExpired
        | E::KeepaliveExpired
        | E::SendHoldExpired
        | E::Open
        | E::OpenHeld
        | E::Keepalive
        | E::KeepaliveHeld
        | E::Update
        | E::RouteRefresh
        | E::Notification
        | E::MessageError
        | E::Collision
        | E::InterfaceDown
        | E::Crash => to(S::Idle, &[]),
    }
}

fn active(event: Event) -> Step {
    match event {
        E::Start
        | E::StartDelayed
        | E::StartPassive
        | E::Released
        | E::ReleasedConfirmed
        | E::ConnectionLost
        | E::BfdDown => to(S::Active, &[]),
        E::RetryExpired => to(S::Connect, &[Connect]),
        E::ConnectionMade => to(S::OpenSent, &[Adopt, SendOpen]),
        E::Stop
        | E::HoldExpired
        | E::KeepaliveExpired
        | E::SendHoldExpired
        | E::Open
        | E::OpenHeld
        | E::Keepalive
        | E::KeepaliveHeld
        | E::Update
        | E::RouteRefresh
        | E::Notification
        | E::MessageError
        | E::Collision
        | E::InterfaceDown
        | E::Crash => to(S::Idle, &[]),
    }
}

fn open_sent(event: Event) -> Step {
    match event {
        E::Start
        | E::StartDelayed
        | E::StartPassive
        | E::Released
        | E::ReleasedConfirmed
        | E::BfdDown => to(S::OpenSent, &[]),
        // A newer connection of the same direction: the neighbour gave up the older one.
        E::ConnectionMade => to(S::OpenSent, &[Adopt, SendOpen]),
        E::ConnectionLost => to(S::Active, &[]),
        E::Open => to(S::OpenConfirm, &[AcceptOpen, SendKeepalive]),
        E::OpenHeld => to(S::OpenConfirm, &[AcceptOpen]),
        E::HoldExpired => to(S::Idle, &[Notify(4, 0)]),
        E::SendHoldExpired => to(S::Idle, &[Notify(8, 0)]),
        E::Stop | E::MessageError => to(S::Idle, &[NotifyGiven]),
        E::Collision => to(S::Idle, &[Notify(6, 7)]),
        E::RetryExpired
        | E::KeepaliveExpired
        | E::Keepalive
        | E::KeepaliveHeld
        | E::Update
        | E::RouteRefresh => to(S::Idle, &[Notify(5, 1)]),
        E::Notification | E::InterfaceDown | E::Crash => to(S::Idle, &[]),
    }
}

fn open_confirm(event: Event) -> Step {
    match event {
        E::Start | E::StartDelayed | E::StartPassive => to(S::OpenConfirm, &[]),
        E::ConnectionMade => to(S::OpenConfirm, &[Refuse]),
        E::Keepalive => to(S::Established, &[RestartHold]),
        E::KeepaliveHeld => to(S::OpenConfirm, &[RestartHold, NoteKeepalive]),
        E::Released => to(S::OpenConfirm, &[SendKeepalive]),
        E::ReleasedConfirmed => to(S::Established, &[SendKeepalive]),
        E::KeepaliveExpired => to(S::OpenConfirm, &[SendKeepalive]),
        E::HoldExpired => to(S::Idle, &[Notify(4, 0)]),
        E::SendHoldExpired => to(S::Idle, &[Notify(8, 0)]),
        E::Stop | E::MessageError => to(S::Idle, &[NotifyGiven]),
        E::Collision => to(S::Idle, &[Notify(6, 7)]),
        E::BfdDown => to(S::Idle, &[Notify(6, 10)]),
        E::RetryExpired | E::Open | E::OpenHeld | E::Update | E::RouteRefresh => {
            to(S::Idle, &[Notify(5, 2)])
        }
        E::ConnectionLost | E::Notification | E::InterfaceDown | E::Crash => to(S::Idle, &[]),
    }
}

fn established(event: Event) -> Step {
    match event {
        E::Start | E::StartDelayed | E::StartPassive | E::Released | E::ReleasedConfirmed => {
            to(S::Established, &[])
        }
        // Section 6.8: a collision with an established connection closes the new one.
        E::ConnectionMade => to(S::Established, &[Refuse]),
        E::Keepalive | E::KeepaliveHeld => to(S::Established, &[RestartHold]),
        E::Update => to(S::Established, &[RestartHold, Deliver]),
        E::RouteRefresh => to(S::Established, &[RestartHold, Refresh]),
        E::KeepaliveExpired => to(S::Established, &[SendKeepalive]),
        E::HoldExpired => to(S::Idle, &[Notify(4, 0)]),
        E::SendHoldExpired => to(S::Idle, &[Notify(8, 0)]),
        E::Stop | E::MessageError => to(S::Idle, &[NotifyGiven]),
        E::Collision => to(S::Idle, &[Notify(6, 7)]),
        E::BfdDown => to(S::Idle, &[Notify(6, 10)]),
        E::RetryExpired | E::Open | E::OpenHeld => to(S::Idle, &[Notify(5, 3)]),
        E::ConnectionLost | E::Notification | E::InterfaceDown | E::Crash => to(S::Idle, &[]),
    }
}

#[cfg(test)]
mod tests;
