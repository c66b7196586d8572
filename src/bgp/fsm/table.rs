//! The rows: for each state what every event leads to. `Differs` marks what is not as the RFC says, and why.
//!
//! **Invariant:** no catch-all arm, and nothing but data.

use super::Action::*;
use super::Event as E;
use super::State as S;
use super::{Action, Event, State, Step};

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
        E::ManualStart | E::AutomaticStart => to(S::Connect, &[ZeroRetries, Connect]),
        E::ManualStartPassive | E::AutomaticStartPassive | E::StartDelayed => {
            to(S::Active, &[ZeroRetries])
        }
        // How oscillations are damped is left to us: by a rest that grows.
        E::AutomaticStartDamped | E::AutomaticStartDampedPassive => to(S::Idle, &[IdleHold]),
        E::IdleHoldTimerExpires => to(S::Connect, &[Connect]),
        E::IdleHoldTimerExpiresPassive => to(S::Active, &[]),
        E::TcpRequestAcked
        | E::TcpRequestAckedDelayOpen
        | E::TcpConnectionConfirmed
        | E::TcpConnectionConfirmedDelayOpen => to(S::Idle, &[Refuse]),
        E::ManualStop
        | E::AutomaticStop
        | E::ConnectRetryTimerExpires
        | E::HoldTimerExpires
        | E::KeepaliveTimerExpires
        | E::DelayOpenTimerExpires
        | E::TcpConnectionValid
        | E::TcpRequestInvalid
        | E::TcpConnectionFails
        | E::Open
        | E::OpenHeld
        | E::OpenDelayed
        | E::OpenDelayedHeld
        | E::HeaderError
        | E::OpenError
        | E::CollisionDump
        | E::NotificationVersionError
        | E::Notification
        | E::Keepalive
        | E::KeepaliveHeld
        | E::Update
        | E::UpdateError
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
        | E::Crash => to(S::Idle, &[]),
    }
}

fn connect(event: Event) -> Step {
    match event {
        E::ManualStart
        | E::AutomaticStart
        | E::ManualStartPassive
        | E::AutomaticStartPassive
        | E::AutomaticStartDamped
        | E::AutomaticStartDampedPassive
        | E::StartDelayed
        | E::TcpConnectionValid
        | E::TcpRequestInvalid
        | E::Released
        | E::ReleasedConfirmed
        | E::BfdHoldTimerExpires
        | E::BfdDown => to(S::Connect, &[]),
        // Differs: the RFC says so of the notification in Active only; with DelayOpen there is a connection here, too.
        E::ManualStop => to(S::Idle, &[NotifyGiven, ZeroRetries]),
        E::ConnectRetryTimerExpires => to(S::Connect, &[Abandon, Connect]),
        E::DelayOpenTimerExpires => to(S::OpenSent, &[SendOpen]),
        E::TcpRequestAcked | E::TcpConnectionConfirmed => to(S::OpenSent, &[Adopt, SendOpen]),
        E::TcpRequestAckedDelayOpen | E::TcpConnectionConfirmedDelayOpen => {
            to(S::Connect, &[Adopt, DelayOpen])
        }
        // Differs: the RFC goes to Idle when the DelayOpenTimer does not run. An attempt that failed is no oscillation,
        // so we wait for the next attempt as with that timer.
        E::TcpConnectionFails => to(S::Active, &[]),
        E::OpenDelayed => to(S::OpenConfirm, &[SendOpen, AcceptOpen, SendKeepalive]),
        E::OpenDelayedHeld => to(S::OpenConfirm, &[SendOpen, AcceptOpen]),
        // SendNOTIFICATIONwithoutOPEN is always on.
        E::HeaderError | E::OpenError => to(S::Idle, &[NotifyGiven, CountRetry]),
        // Without DelayOpen there is no connection to hear this on: always as when the timer runs.
        E::NotificationVersionError => to(S::Idle, &[]),
        E::AutomaticStop => to(S::Idle, &[NotifyGiven, CountRetry]),
        // Differs: an attempt that is no longer needed did not fail.
        E::CollisionDump => to(S::Idle, &[]),
        E::HoldTimerExpires
        | E::KeepaliveTimerExpires
        | E::IdleHoldTimerExpires
        | E::IdleHoldTimerExpiresPassive
        | E::Open
        | E::OpenHeld
        | E::Notification
        | E::Keepalive
        | E::KeepaliveHeld
        | E::Update
        | E::UpdateError
        | E::RouteRefresh
        | E::RouteRefreshError
        | E::SendHoldTimerExpires => to(S::Idle, &[CountRetry]),
        E::Rest | E::InterfaceDown | E::PeerRestarts | E::Crash => to(S::Idle, &[]),
    }
}

fn active(event: Event) -> Step {
    match event {
        E::ManualStart
        | E::AutomaticStart
        | E::ManualStartPassive
        | E::AutomaticStartPassive
        | E::AutomaticStartDamped
        | E::AutomaticStartDampedPassive
        | E::StartDelayed
        | E::TcpConnectionValid
        | E::TcpRequestInvalid
        | E::Released
        | E::ReleasedConfirmed
        | E::BfdHoldTimerExpires
        | E::BfdDown => to(S::Active, &[]),
        E::ManualStop => to(S::Idle, &[NotifyGiven, ZeroRetries]),
        E::ConnectRetryTimerExpires => to(S::Connect, &[Connect]),
        E::DelayOpenTimerExpires => to(S::OpenSent, &[SendOpen]),
        E::TcpRequestAcked | E::TcpConnectionConfirmed => to(S::OpenSent, &[Adopt, SendOpen]),
        E::TcpRequestAckedDelayOpen | E::TcpConnectionConfirmedDelayOpen => {
            to(S::Active, &[Adopt, DelayOpen])
        }
        E::TcpConnectionFails => to(S::Idle, &[CountRetry]),
        E::OpenDelayed => to(S::OpenConfirm, &[SendOpen, AcceptOpen, SendKeepalive]),
        E::OpenDelayedHeld => to(S::OpenConfirm, &[SendOpen, AcceptOpen]),
        E::HeaderError | E::OpenError | E::AutomaticStop => to(S::Idle, &[NotifyGiven, CountRetry]),
        E::NotificationVersionError => to(S::Idle, &[]),
        // Differs: as in Connect.
        E::CollisionDump => to(S::Idle, &[]),
        E::HoldTimerExpires
        | E::KeepaliveTimerExpires
        | E::IdleHoldTimerExpires
        | E::IdleHoldTimerExpiresPassive
        | E::Open
        | E::OpenHeld
        | E::Notification
        | E::Keepalive
        | E::KeepaliveHeld
        | E::Update
        | E::UpdateError
        | E::RouteRefresh
        | E::RouteRefreshError
        | E::SendHoldTimerExpires => to(S::Idle, &[CountRetry]),
        E::Rest | E::InterfaceDown | E::PeerRestarts | E::Crash => to(S::Idle, &[]),
    }
}

fn open_sent(event: Event) -> Step {
    match event {
        E::ManualStart
        | E::AutomaticStart
        | E::ManualStartPassive
        | E::AutomaticStartPassive
        | E::AutomaticStartDamped
        | E::AutomaticStartDampedPassive
        | E::StartDelayed
        | E::TcpConnectionValid
        | E::TcpRequestInvalid
        | E::Rest
        | E::Released
        | E::ReleasedConfirmed
        | E::BfdHoldTimerExpires
        | E::BfdDown => to(S::OpenSent, &[]),
        // Differs: a second connection of the other direction is the other machine's. A newer one of the same direction
        // means that the neighbour gave up the older one.
        E::TcpRequestAcked
        | E::TcpRequestAckedDelayOpen
        | E::TcpConnectionConfirmed
        | E::TcpConnectionConfirmedDelayOpen => to(S::OpenSent, &[Adopt, SendOpen]),
        E::TcpConnectionFails => to(S::Active, &[]),
        E::Open => to(S::OpenConfirm, &[AcceptOpen, SendKeepalive]),
        E::OpenHeld => to(S::OpenConfirm, &[AcceptOpen]),
        E::ManualStop => to(S::Idle, &[NotifyGiven, ZeroRetries]),
        E::AutomaticStop | E::HeaderError | E::OpenError => to(S::Idle, &[NotifyGiven, CountRetry]),
        E::HoldTimerExpires => to(S::Idle, &[Notify(4, 0), CountRetry]),
        E::SendHoldTimerExpires => to(S::Idle, &[Notify(8, 0), CountRetry]),
        // Differs: the session did not fail, the other connection goes on.
        E::CollisionDump => to(S::Idle, &[Notify(6, 7)]),
        E::NotificationVersionError => to(S::Idle, &[]),
        // Differs: the RFC answers with a state machine error, but the neighbour closed the connection with its own
        // NOTIFICATION (section 6.4).
        E::Notification => to(S::Idle, &[CountRetry]),
        E::ConnectRetryTimerExpires
        | E::KeepaliveTimerExpires
        | E::DelayOpenTimerExpires
        | E::IdleHoldTimerExpires
        | E::IdleHoldTimerExpiresPassive
        | E::OpenDelayed
        | E::OpenDelayedHeld
        | E::Keepalive
        | E::KeepaliveHeld
        | E::Update
        | E::UpdateError
        | E::RouteRefresh
        | E::RouteRefreshError => to(S::Idle, &[Notify(5, 1), CountRetry]),
        E::InterfaceDown | E::PeerRestarts | E::Crash => to(S::Idle, &[]),
    }
}

fn open_confirm(event: Event) -> Step {
    match event {
        E::ManualStart
        | E::AutomaticStart
        | E::ManualStartPassive
        | E::AutomaticStartPassive
        | E::AutomaticStartDamped
        | E::AutomaticStartDampedPassive
        | E::StartDelayed
        | E::TcpConnectionValid
        | E::TcpRequestInvalid
        | E::Rest => to(S::OpenConfirm, &[]),
        // Differs: as in OpenSent, but here the older connection is the better one.
        E::TcpRequestAcked
        | E::TcpRequestAckedDelayOpen
        | E::TcpConnectionConfirmed
        | E::TcpConnectionConfirmedDelayOpen => to(S::OpenConfirm, &[Refuse]),
        E::Keepalive => to(S::Established, &[RestartHold]),
        E::KeepaliveHeld => to(S::OpenConfirm, &[RestartHold, NoteKeepalive]),
        E::Released => to(S::OpenConfirm, &[SendKeepalive]),
        E::ReleasedConfirmed => to(S::Established, &[SendKeepalive]),
        E::KeepaliveTimerExpires => to(S::OpenConfirm, &[SendKeepalive]),
        E::ManualStop => to(S::Idle, &[NotifyGiven, ZeroRetries]),
        E::AutomaticStop | E::HeaderError | E::OpenError => to(S::Idle, &[NotifyGiven, CountRetry]),
        E::HoldTimerExpires => to(S::Idle, &[Notify(4, 0), CountRetry]),
        E::SendHoldTimerExpires => to(S::Idle, &[Notify(8, 0), CountRetry]),
        // Differs: as in OpenSent.
        E::CollisionDump => to(S::Idle, &[Notify(6, 7)]),
        E::BfdDown | E::BfdHoldTimerExpires => to(S::Idle, &[Notify(6, 10), CountRetry]),
        // Differs in 19: collisions are decided with the OPEN of the other machine; a second OPEN of the same connection is
        // out of place.
        E::ConnectRetryTimerExpires
        | E::DelayOpenTimerExpires
        | E::IdleHoldTimerExpires
        | E::IdleHoldTimerExpiresPassive
        | E::Open
        | E::OpenHeld
        | E::OpenDelayed
        | E::OpenDelayedHeld
        | E::Update
        | E::UpdateError
        | E::RouteRefresh
        | E::RouteRefreshError => to(S::Idle, &[Notify(5, 2), CountRetry]),
        E::TcpConnectionFails | E::Notification => to(S::Idle, &[CountRetry]),
        E::NotificationVersionError | E::InterfaceDown | E::PeerRestarts | E::Crash => {
            to(S::Idle, &[])
        }
    }
}

fn established(event: Event) -> Step {
    match event {
        E::ManualStart
        | E::AutomaticStart
        | E::ManualStartPassive
        | E::AutomaticStartPassive
        | E::AutomaticStartDamped
        | E::AutomaticStartDampedPassive
        | E::StartDelayed
        | E::TcpConnectionValid
        | E::TcpRequestInvalid
        | E::Rest
        | E::Released
        | E::ReleasedConfirmed
        | E::BfdHoldTimerExpires => to(S::Established, &[]),
        // Differs: tracked by the other machine until its OPEN, if at all (section 6.8).
        E::TcpRequestAcked
        | E::TcpRequestAckedDelayOpen
        | E::TcpConnectionConfirmed
        | E::TcpConnectionConfirmedDelayOpen => to(S::Established, &[Refuse]),
        E::Keepalive | E::KeepaliveHeld => to(S::Established, &[RestartHold]),
        E::Update => to(S::Established, &[RestartHold, Deliver]),
        E::RouteRefresh => to(S::Established, &[RestartHold, Refresh]),
        E::KeepaliveTimerExpires => to(S::Established, &[SendKeepalive]),
        E::ManualStop => to(S::Idle, &[NotifyGiven, ZeroRetries]),
        // Differs in 21: the RFC says state machine error here, but its section 6.1 wants the header's error told.
        E::AutomaticStop | E::HeaderError | E::UpdateError | E::RouteRefreshError => {
            to(S::Idle, &[NotifyGiven, CountRetry])
        }
        E::HoldTimerExpires => to(S::Idle, &[Notify(4, 0), CountRetry]),
        E::SendHoldTimerExpires => to(S::Idle, &[Notify(8, 0), CountRetry]),
        // Differs: as in OpenSent.
        E::CollisionDump => to(S::Idle, &[Notify(6, 7)]),
        E::BfdDown => to(S::Idle, &[Notify(6, 10), CountRetry]),
        E::ConnectRetryTimerExpires
        | E::DelayOpenTimerExpires
        | E::IdleHoldTimerExpires
        | E::IdleHoldTimerExpiresPassive
        | E::Open
        | E::OpenHeld
        | E::OpenDelayed
        | E::OpenDelayedHeld
        | E::OpenError => to(S::Idle, &[Notify(5, 3), CountRetry]),
        E::TcpConnectionFails | E::Notification | E::NotificationVersionError => {
            to(S::Idle, &[CountRetry])
        }
        // The new connection is another machine's, or this one's next.
        E::PeerRestarts => to(S::Active, &[]),
        E::InterfaceDown | E::Crash => to(S::Idle, &[]),
    }
}
