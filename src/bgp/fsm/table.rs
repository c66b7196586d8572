//! The rows: what every event leads to in each state. `Differs` marks what is not as RFC 4271, section 8.2.2, says, and why;
//! `departures.md` lists it all.
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
#[rustfmt::skip]
pub fn step(state: State, event: Event) -> Step {
    let stay = |actions| to(state, actions);
    match (state, event) {
        // Starting. How oscillations are damped (6, 7 and 13 in Idle) is left to us: by a rest that grows.
        (S::Idle, E::ManualStart | E::AutomaticStart) => to(S::Connect, &[ZeroRetries, Connect]),
        (S::Idle, E::ManualStartPassive | E::AutomaticStartPassive | E::StartDelayed) => to(S::Active, &[ZeroRetries]),
        (S::Idle, E::AutomaticStartDamped | E::AutomaticStartDampedPassive) => stay(&[IdleHold]),
        (S::Idle, E::IdleHoldTimerExpires) => to(S::Connect, &[Connect]),
        (S::Idle, E::IdleHoldTimerExpiresPassive) => to(S::Active, &[]),
        (
            S::Connect | S::Active | S::OpenSent | S::OpenConfirm | S::Established,
            E::ManualStart | E::AutomaticStart | E::ManualStartPassive | E::AutomaticStartPassive | E::StartDelayed
            | E::AutomaticStartDamped | E::AutomaticStartDampedPassive,
        ) => stay(&[]),

        // Stopping. Differs in Connect: the RFC tells the neighbour in Active only (2), or not even there (8); with
        // DelayOpen there is a connection in both.
        (S::Idle, E::ManualStop | E::AutomaticStop) => stay(&[]),
        (S::Connect | S::Active | S::OpenSent | S::OpenConfirm | S::Established, E::ManualStop) =>
            to(S::Idle, &[NotifyGiven, ZeroRetries]),
        (S::Connect | S::Active | S::OpenSent | S::OpenConfirm | S::Established, E::AutomaticStop) =>
            to(S::Idle, &[NotifyGiven, CountRetry]),

        // Connections.
        (_, E::TcpConnectionValid | E::TcpRequestInvalid) => stay(&[]),
        (S::Connect | S::Active, E::TcpRequestAcked | E::TcpConnectionConfirmed) => to(S::OpenSent, &[Adopt, SendOpen]),
        (S::Connect | S::Active, E::TcpRequestAckedDelayOpen | E::TcpConnectionConfirmedDelayOpen) =>
            stay(&[Adopt, DelayOpen]),
        // Differs: a second connection of the other direction is the other machine's, which tracks it until its OPEN
        // (section 6.8). A newer one of the same direction means that the neighbour gave up the older one; once that one
        // brought an OPEN, it is the better one.
        (
            S::OpenSent,
            E::TcpRequestAcked | E::TcpRequestAckedDelayOpen
            | E::TcpConnectionConfirmed | E::TcpConnectionConfirmedDelayOpen,
        ) => stay(&[Adopt, SendOpen]),
        (
            S::Idle | S::OpenConfirm | S::Established,
            E::TcpRequestAcked | E::TcpRequestAckedDelayOpen
            | E::TcpConnectionConfirmed | E::TcpConnectionConfirmedDelayOpen,
        ) => stay(&[Refuse]),
        // Differs in Connect: the RFC goes to Idle when the DelayOpenTimer does not run. An attempt that failed is no
        // oscillation, so we wait for the next attempt as with that timer.
        (S::Connect | S::OpenSent, E::TcpConnectionFails) => to(S::Active, &[]),
        (S::Active | S::OpenConfirm | S::Established, E::TcpConnectionFails) => to(S::Idle, &[CountRetry]),

        // Timers.
        (S::Connect, E::ConnectRetryTimerExpires) => stay(&[Abandon, Connect]),
        (S::Active, E::ConnectRetryTimerExpires) => to(S::Connect, &[Connect]),
        (S::Connect | S::Active, E::DelayOpenTimerExpires) => to(S::OpenSent, &[SendOpen]),
        (S::OpenConfirm | S::Established, E::KeepaliveTimerExpires) => stay(&[SendKeepalive]),
        (S::OpenSent | S::OpenConfirm | S::Established, E::HoldTimerExpires) => to(S::Idle, &[Notify(4, 0), CountRetry]),
        (S::Established, E::SendHoldTimerExpires) => to(S::Idle, &[Notify(8, 0), CountRetry]),

        // Messages where they belong.
        (S::Connect | S::Active, E::OpenDelayed) => to(S::OpenConfirm, &[SendOpen, AcceptOpen, SendKeepalive]),
        (S::Connect | S::Active, E::OpenDelayedHeld) => to(S::OpenConfirm, &[SendOpen, AcceptOpen]),
        (S::OpenSent, E::Open) => to(S::OpenConfirm, &[AcceptOpen, SendKeepalive]),
        (S::OpenSent, E::OpenHeld) => to(S::OpenConfirm, &[AcceptOpen]),
        (S::OpenConfirm, E::Keepalive) => to(S::Established, &[RestartHold]),
        (S::OpenConfirm, E::KeepaliveHeld) => stay(&[RestartHold, NoteKeepalive]),
        (S::OpenConfirm, E::Released) => stay(&[SendKeepalive]),
        (S::OpenConfirm, E::ReleasedConfirmed) => to(S::Established, &[SendKeepalive]),
        (S::Established, E::Keepalive | E::KeepaliveHeld) => stay(&[RestartHold]),
        (S::Established, E::Update) => stay(&[RestartHold, Deliver]),
        (S::Established, E::RouteRefresh) => stay(&[Refresh]),

        // Faulty messages. SendNOTIFICATIONwithoutOPEN is always on.
        // Differs for 21 in Established: the RFC says state machine error, but its section 6.1 wants the header's error told.
        (S::Connect | S::Active | S::OpenSent | S::OpenConfirm, E::HeaderError | E::OpenError)
        | (S::Established, E::HeaderError | E::UpdateError | E::RouteRefreshError) =>
            to(S::Idle, &[NotifyGiven, CountRetry]),

        // NOTIFICATIONs. In Connect and Active always as when the DelayOpenTimer runs: else there is no connection to
        // hear one on. Differs for 25 in OpenSent: the RFC answers with a state machine error, but the neighbour closed
        // the connection with its own NOTIFICATION (section 6.4).
        (S::Connect | S::Active | S::OpenSent | S::OpenConfirm, E::NotificationVersionError) => to(S::Idle, &[]),
        (S::OpenSent | S::OpenConfirm, E::Notification)
        | (S::Established, E::Notification | E::NotificationVersionError) => to(S::Idle, &[CountRetry]),

        // Collisions. Differs: nothing failed, the other connection goes on, so nothing is counted.
        (S::Connect | S::Active, E::CollisionDump) => to(S::Idle, &[]),
        (S::OpenSent | S::OpenConfirm | S::Established, E::CollisionDump) => to(S::Idle, &[Notify(6, 7)]),

        // BFD. In Connect, Active and OpenSent it has no say yet.
        (S::OpenConfirm | S::Established, E::BfdDown) | (S::OpenConfirm, E::BfdHoldTimerExpires) =>
            to(S::Idle, &[Notify(6, 10), CountRetry]),
        (S::Connect | S::Active | S::OpenSent, E::BfdDown | E::BfdHoldTimerExpires)
        | (S::Established, E::BfdHoldTimerExpires) => stay(&[]),

        // Other events of ours.
        (S::Connect | S::Active, E::Rest) => to(S::Idle, &[]),
        (S::OpenSent | S::OpenConfirm | S::Established, E::Rest) => stay(&[]),
        (S::Connect | S::Active | S::OpenSent | S::Established, E::Released | E::ReleasedConfirmed) => stay(&[]),
        // The new connection is another machine's, or this one's next.
        (S::Established, E::PeerRestarts) => to(S::Active, &[]),
        (S::Connect | S::Active | S::OpenSent | S::OpenConfirm, E::PeerRestarts)
        | (S::Connect | S::Active | S::OpenSent | S::OpenConfirm | S::Established, E::InterfaceDown | E::Crash) =>
            to(S::Idle, &[]),

        // Nothing else happens in Idle.
        (
            S::Idle,
            E::ConnectRetryTimerExpires | E::HoldTimerExpires | E::KeepaliveTimerExpires | E::DelayOpenTimerExpires
            | E::SendHoldTimerExpires | E::BfdHoldTimerExpires | E::TcpConnectionFails | E::Open | E::OpenHeld
            | E::OpenDelayed | E::OpenDelayedHeld | E::HeaderError | E::OpenError | E::CollisionDump
            | E::NotificationVersionError | E::Notification | E::Keepalive | E::KeepaliveHeld | E::Update | E::UpdateError
            | E::Rest | E::Released | E::ReleasedConfirmed | E::RouteRefresh | E::RouteRefreshError | E::BfdDown
            | E::InterfaceDown | E::PeerRestarts | E::Crash,
        ) => stay(&[]),
        // Before OPENs, what has no place ends the attempt without a word.
        (
            S::Connect | S::Active,
            E::HoldTimerExpires | E::KeepaliveTimerExpires | E::IdleHoldTimerExpires | E::IdleHoldTimerExpiresPassive
            | E::SendHoldTimerExpires | E::Open | E::OpenHeld | E::Notification | E::Keepalive | E::KeepaliveHeld
            | E::Update | E::UpdateError | E::RouteRefresh | E::RouteRefreshError,
        ) => to(S::Idle, &[CountRetry]),
        // Afterwards it is a state machine error: of no message (RFC 6608: unspecific) ...
        (
            S::OpenSent | S::OpenConfirm | S::Established,
            E::ConnectRetryTimerExpires | E::DelayOpenTimerExpires | E::IdleHoldTimerExpires
            | E::IdleHoldTimerExpiresPassive,
        )
        | (S::OpenSent | S::OpenConfirm, E::SendHoldTimerExpires)
        | (S::OpenSent, E::KeepaliveTimerExpires) => to(S::Idle, &[Notify(5, 0), CountRetry]),
        // ... or of one. Differs for 19 in OpenConfirm and Established, as RFC 6608 does: a collision is found with the OPEN
        // of the other connection; a second OPEN on the same one is out of place.
        (
            S::OpenSent,
            E::OpenDelayed | E::OpenDelayedHeld | E::Keepalive | E::KeepaliveHeld | E::Update | E::UpdateError
            | E::RouteRefresh | E::RouteRefreshError,
        ) => to(S::Idle, &[Unexpected(1), CountRetry]),
        (
            S::OpenConfirm,
            E::Open | E::OpenHeld | E::OpenDelayed | E::OpenDelayedHeld | E::Update | E::UpdateError | E::RouteRefresh
            | E::RouteRefreshError,
        ) => to(S::Idle, &[Unexpected(2), CountRetry]),
        (S::Established, E::Open | E::OpenHeld | E::OpenDelayed | E::OpenDelayedHeld | E::OpenError) =>
            to(S::Idle, &[Unexpected(3), CountRetry]),
    }
}
