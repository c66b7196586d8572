//! The state table of a BFD session (RFC 5880, sections 6.2 and 6.8.6).
//!
//! **Invariant:** [`next`] names every pair of state and event; nothing else decides a state.

use std::fmt;

use super::Diagnostic;

/// The state of a session, in the RFC's encoding (section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Held down by an administrator.
    AdminDown = 0,
    /// Not heard, or just lost.
    Down = 1,
    /// The remote is heard but does not yet hear us.
    Init = 2,
    /// Both hear each other.
    Up = 3,
}

impl State {
    /// Every state, in encoding order.
    pub const ALL: [State; 4] = [State::AdminDown, State::Down, State::Init, State::Up];

    /// The name used in records: `admin-down`, `down`, `init`, `up`.
    pub const fn name(self) -> &'static str {
        match self {
            State::AdminDown => "admin-down",
            State::Down => "down",
            State::Init => "init",
            State::Up => "up",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What may change the state of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A valid packet came, with the remote's state in it.
    Received(State),
    /// The Detection Time passed without a packet (section 6.8.4).
    DetectionExpired,
    /// The administrator disables the session (section 6.8.16).
    AdminDown,
    /// The administrator enables the session (section 6.8.16).
    Enable,
}

/// The state after an event, and the new local diagnostic where the RFC sets one.
///
/// While AdminDown a received packet is discarded before it can change the state (section 6.8.6).
/// Reaching Up clears the diagnostic, which until then tells why the session was last lost.
pub const fn next(state: State, event: Event) -> (State, Option<Diagnostic>) {
    use Diagnostic::{
        AdministrativelyDown, ControlDetectionTimeExpired, NeighborSignaledSessionDown,
    };
    use Event::{DetectionExpired, Enable, Received};
    use State::{Down, Init, Up};
    match (state, event) {
        (State::AdminDown, Received(State::AdminDown | Down | Init | Up)) => {
            (State::AdminDown, None)
        }
        (State::AdminDown, DetectionExpired | Event::AdminDown) => (State::AdminDown, None),
        (State::AdminDown, Enable) => (Down, None),

        (Down, Received(Down)) => (Init, None),
        (Down, Received(Init)) => (Up, Some(Diagnostic::None)),
        (Down, Received(State::AdminDown | Up)) => (Down, None),
        (Down, DetectionExpired | Enable) => (Down, None),
        (Down, Event::AdminDown) => (State::AdminDown, Some(AdministrativelyDown)),

        (Init, Received(State::AdminDown)) => (Down, Some(NeighborSignaledSessionDown)),
        (Init, Received(Down)) => (Init, None),
        (Init, Received(Init | Up)) => (Up, Some(Diagnostic::None)),
        (Init, DetectionExpired) => (Down, Some(ControlDetectionTimeExpired)),
        (Init, Enable) => (Init, None),
        (Init, Event::AdminDown) => (State::AdminDown, Some(AdministrativelyDown)),

        (Up, Received(State::AdminDown | Down)) => (Down, Some(NeighborSignaledSessionDown)),
        (Up, Received(Init | Up)) => (Up, None),
        (Up, DetectionExpired) => (Down, Some(ControlDetectionTimeExpired)),
        (Up, Enable) => (Up, None),
        (Up, Event::AdminDown) => (State::AdminDown, Some(AdministrativelyDown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, one row per state, in the RFC's words.
    #[test]
    fn table() {
        use Diagnostic as D;
        use Event as E;
        use State as S;
        let neighbor = Some(D::NeighborSignaledSessionDown);
        let expired = Some(D::ControlDetectionTimeExpired);
        let admin = Some(D::AdministrativelyDown);
        let cleared = Some(D::None);
        let events = [
            E::Received(S::AdminDown),
            E::Received(S::Down),
            E::Received(S::Init),
            E::Received(S::Up),
            E::DetectionExpired,
            E::AdminDown,
            E::Enable,
        ];
        let table = [
            (
                S::AdminDown,
                [
                    (S::AdminDown, None),
                    (S::AdminDown, None),
                    (S::AdminDown, None),
                    (S::AdminDown, None),
                    (S::AdminDown, None),
                    (S::AdminDown, None),
                    (S::Down, None),
                ],
            ),
            (
                S::Down,
                [
                    (S::Down, None),
                    (S::Init, None),
                    (S::Up, cleared),
                    (S::Down, None),
                    (S::Down, None),
                    (S::AdminDown, admin),
                    (S::Down, None),
                ],
            ),
            (
                S::Init,
                [
                    (S::Down, neighbor),
                    (S::Init, None),
                    (S::Up, cleared),
                    (S::Up, cleared),
                    (S::Down, expired),
                    (S::AdminDown, admin),
                    (S::Init, None),
                ],
            ),
            (
                S::Up,
                [
                    (S::Down, neighbor),
                    (S::Down, neighbor),
                    (S::Up, None),
                    (S::Up, None),
                    (S::Down, expired),
                    (S::AdminDown, admin),
                    (S::Up, None),
                ],
            ),
        ];
        assert_eq!(table.map(|(state, _)| state), State::ALL);
        for (state, row) in table {
            for (event, expected) in events.into_iter().zip(row) {
                assert_eq!(next(state, event), expected, "{state} on {event:?}");
            }
        }
    }
}
