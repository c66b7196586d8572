//! The mux machine's transitions, with independent control (IEEE 802.1AX, 6.4.15, figure 6-21).
//!
//! Independent control collects first and distributes once the partner collects, so that no frame is sent to an
//! end that would drop it.

use std::fmt;

use super::select::Selected;

/// State of the mux machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MuxState {
    /// Not part of the Aggregator.
    Detached,
    /// Waiting for other ports that may join at the same time, or held in standby.
    Waiting,
    /// Part of the Aggregator, waiting for the partner to be in sync.
    Attached,
    /// Takes frames, waiting for the partner to collect.
    Collecting,
    /// Takes and sends frames.
    Distributing,
}

/// What the mux machine looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MuxConditions {
    /// The selection logic's answer.
    pub selected: Selected,
    /// The port need wait no longer.
    pub ready: bool,
    /// Partner_Oper_Port_State.Synchronization.
    pub partner_sync: bool,
    /// Partner_Oper_Port_State.Collecting.
    pub partner_collecting: bool,
}

impl MuxState {
    /// Every state.
    pub const ALL: [MuxState; 5] = [
        MuxState::Detached,
        MuxState::Waiting,
        MuxState::Attached,
        MuxState::Collecting,
        MuxState::Distributing,
    ];

    /// The standard's name, for example `COLLECTING`.
    pub const fn name(self) -> &'static str {
        match self {
            MuxState::Detached => "DETACHED",
            MuxState::Waiting => "WAITING",
            MuxState::Attached => "ATTACHED",
            MuxState::Collecting => "COLLECTING",
            MuxState::Distributing => "DISTRIBUTING",
        }
    }

    /// The state to enter, `None` to rest. No step goes further than one state, so distribution always
    /// ends before collection does.
    pub(crate) const fn next(self, when: MuxConditions) -> Option<MuxState> {
        use super::select::Selected::{Selected, Standby, Unselected};
        use MuxState::{Attached, Collecting, Detached, Distributing, Waiting};
        match (self, when.selected) {
            (Detached, Unselected(_)) => None,
            (Detached, Selected | Standby(_)) => Some(Waiting),
            (Waiting, Unselected(_)) => Some(Detached),
            (Waiting, Standby(_)) => None,
            (Waiting, Selected) if when.ready => Some(Attached),
            (Waiting, Selected) => None,
            (Attached, Unselected(_) | Standby(_)) => Some(Detached),
            (Attached, Selected) if when.partner_sync => Some(Collecting),
            (Attached, Selected) => None,
            (Collecting, Unselected(_) | Standby(_)) => Some(Attached),
            (Collecting, Selected) if !when.partner_sync => Some(Attached),
            (Collecting, Selected) if when.partner_collecting => Some(Distributing),
            (Collecting, Selected) => None,
            (Distributing, Unselected(_) | Standby(_)) => Some(Collecting),
            (Distributing, Selected) if !when.partner_sync || !when.partner_collecting => {
                Some(Collecting)
            }
            (Distributing, Selected) => None,
        }
    }
}

impl fmt::Display for MuxState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::MuxState::{self, Attached, Collecting, Detached, Distributing, Waiting};
    use super::*;
    use crate::lacp::select::Obstacle;

    /// Columns of a row: the partner neither in sync nor collecting, collecting only, in sync only, both.
    type Row = [Option<MuxState>; 4];

    fn check(state: MuxState, selected: Selected, ready: bool, row: Row) {
        let partner = [(false, false), (false, true), (true, false), (true, true)];
        for ((partner_sync, partner_collecting), next) in partner.into_iter().zip(row) {
            let when = MuxConditions {
                selected,
                ready,
                partner_sync,
                partner_collecting,
            };
            assert_eq!(state.next(when), next, "{state} {when:?}");
        }
    }

    #[test]
    fn whole_table() {
        let unselected = Selected::Unselected(Obstacle::NotHeard);
        let standby = Selected::Standby(Obstacle::Held);
        for ready in [false, true] {
            check(Detached, unselected, ready, [None; 4]);
            check(Waiting, unselected, ready, [Some(Detached); 4]);
            check(Attached, unselected, ready, [Some(Detached); 4]);
            check(Collecting, unselected, ready, [Some(Attached); 4]);
            check(Distributing, unselected, ready, [Some(Collecting); 4]);

            check(Detached, standby, ready, [Some(Waiting); 4]);
            check(Waiting, standby, ready, [None; 4]);
            check(Attached, standby, ready, [Some(Detached); 4]);
            check(Collecting, standby, ready, [Some(Attached); 4]);
            check(Distributing, standby, ready, [Some(Collecting); 4]);

            let selected = Selected::Selected;
            check(Detached, selected, ready, [Some(Waiting); 4]);
            check(Waiting, selected, ready, [ready.then_some(Attached); 4]);
            let attached = [None, None, Some(Collecting), Some(Collecting)];
            check(Attached, selected, ready, attached);
            let collecting = [Some(Attached), Some(Attached), None, Some(Distributing)];
            check(Collecting, selected, ready, collecting);
            let back = Some(Collecting);
            check(Distributing, selected, ready, [back, back, back, None]);
        }
    }
}
