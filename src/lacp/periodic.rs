//! The periodic transmission machine's transitions (IEEE 802.1AX, 6.4.13, figure 6-19).

use std::time::Duration;

/// Fast_Periodic_Time (6.4.4).
pub const FAST_PERIODIC_TIME: Duration = Duration::from_secs(1);
/// Slow_Periodic_Time (6.4.4).
pub const SLOW_PERIODIC_TIME: Duration = Duration::from_secs(30);

/// State of the periodic transmission machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeriodicState {
    /// Nothing is sent by the clock: no light, or both ends passive.
    NoPeriodic,
    /// One LACPDU a second, because the partner asks for a short timeout.
    FastPeriodic,
    /// One LACPDU every 30 s.
    SlowPeriodic,
    /// One LACPDU now; left at once.
    PeriodicTx,
}

/// What the periodic transmission machine looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeriodicConditions {
    /// port_enabled, and at least one end is active.
    pub speaking: bool,
    /// The partner asks for a short timeout.
    pub partner_short: bool,
    /// periodic_timer expired.
    pub expired: bool,
}

impl PeriodicState {
    /// Every state.
    pub const ALL: [PeriodicState; 4] = [
        PeriodicState::NoPeriodic,
        PeriodicState::FastPeriodic,
        PeriodicState::SlowPeriodic,
        PeriodicState::PeriodicTx,
    ];

    /// The state to enter, `None` to rest.
    pub(crate) const fn next(self, when: PeriodicConditions) -> Option<PeriodicState> {
        use PeriodicState::{FastPeriodic, NoPeriodic, PeriodicTx, SlowPeriodic};
        match (self, when.speaking, when.partner_short, when.expired) {
            (NoPeriodic, false, true | false, true | false) => None,
            (FastPeriodic | SlowPeriodic | PeriodicTx, false, true | false, true | false) => {
                Some(NoPeriodic)
            }
            (NoPeriodic, true, true | false, true | false) => Some(FastPeriodic),
            (FastPeriodic, true, true, false) => None,
            (FastPeriodic, true, true, true) => Some(PeriodicTx),
            (FastPeriodic, true, false, true | false) => Some(SlowPeriodic),
            (SlowPeriodic, true, false, false) => None,
            (SlowPeriodic, true, false, true) => Some(PeriodicTx),
            (SlowPeriodic, true, true, true | false) => Some(PeriodicTx),
            (PeriodicTx, true, true, true | false) => Some(FastPeriodic),
            (PeriodicTx, true, false, true | false) => Some(SlowPeriodic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PeriodicState::{self, FastPeriodic, NoPeriodic, PeriodicTx, SlowPeriodic};
    use super::*;

    #[test]
    fn whole_table() {
        let table = [
            // Speaking: to a partner with long timeout before and after expiry, then with short timeout.
            (NoPeriodic, [Some(FastPeriodic); 4]),
            (
                FastPeriodic,
                [
                    Some(SlowPeriodic),
                    Some(SlowPeriodic),
                    None,
                    Some(PeriodicTx),
                ],
            ),
            (
                SlowPeriodic,
                [None, Some(PeriodicTx), Some(PeriodicTx), Some(PeriodicTx)],
            ),
            (
                PeriodicTx,
                [
                    Some(SlowPeriodic),
                    Some(SlowPeriodic),
                    Some(FastPeriodic),
                    Some(FastPeriodic),
                ],
            ),
        ];
        assert_eq!(table.map(|(state, _)| state), PeriodicState::ALL);
        for (state, row) in table {
            let cases = [(false, false), (false, true), (true, false), (true, true)];
            for ((partner_short, expired), next) in cases.into_iter().zip(row) {
                let mut when = PeriodicConditions {
                    speaking: true,
                    partner_short,
                    expired,
                };
                assert_eq!(state.next(when), next, "{state:?} {when:?}");
                when.speaking = false;
                let quiet = (state != NoPeriodic).then_some(NoPeriodic);
                assert_eq!(state.next(when), quiet, "{state:?} {when:?}");
            }
        }
    }
}
