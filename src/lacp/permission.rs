//! Whether the other end of a member may send data on it: what it was told of this end, and what it shows to have heard.
//!
//! It may distribute once a LACPDU told it that this end collects (IEEE 802.1AX, 6.4.15), and until it has heard of the contrary.
//!
//! **Invariant:** pure; in doubt it may. A frame on its way, a LACPDU that was lost and a light that went out unnoticed make
//! nobody guilty.

use std::time::Duration;

use super::pdu::{Lacpdu, State};
use crate::time::At;

/// After it was told to stop, or light went out, the other end may go on for so long; and who says nothing may have heard as late.
pub const GRACE: Duration = Duration::from_secs(1);

/// One end of a member.
#[derive(Debug, Clone, Default)]
pub struct Permission {
    told: Option<Told>,
    shown: Shown,
    spared_until: At,
}

/// What was said to the other end since light came.
#[derive(Debug, Clone, Copy)]
struct Told {
    first: At,
    collecting: bool,
    /// At some time that this end collects.
    ever: bool,
}

/// What its last LACPDU said that it has heard.
#[derive(Debug, Clone, Copy, Default)]
enum Shown {
    /// There was none since light came.
    #[default]
    Nothing,
    /// This end collects.
    Collecting,
    /// It does not, said then.
    NotCollecting(At),
}

impl Permission {
    /// A LACPDU of this end leaves.
    pub fn told(&mut self, now: At, pdu: &Lacpdu) {
        let collecting = pdu.actor.state.has(State::COLLECTING);
        let told = self.told.get_or_insert(Told {
            first: now,
            collecting,
            ever: false,
        });
        if told.collecting && !collecting {
            self.spared_until = now + GRACE;
            // What it said before this left says nothing of it.
            self.shown = Shown::Collecting;
        }
        told.collecting = collecting;
        told.ever |= collecting;
    }

    /// A LACPDU of the other end came.
    pub fn shown(&mut self, at: At, pdu: &Lacpdu) {
        self.shown = match (pdu.partner.state.has(State::COLLECTING), self.shown) {
            (true, _) => Shown::Collecting,
            (false, Shown::NotCollecting(since)) => Shown::NotCollecting(since),
            (false, Shown::Nothing | Shown::Collecting) => Shown::NotCollecting(at),
        };
    }

    /// There is no light.
    pub fn dark(&mut self, now: At) {
        if self.told.is_some_and(|told| told.ever) {
            self.spared_until = now + GRACE;
        }
        (self.told, self.shown) = (None, Shown::Nothing);
    }

    /// From when on it may send no data, as far as is known now; `None` if it may, or may believe so.
    pub fn missing_since(&self) -> Option<At> {
        let told = self.told.filter(|told| !told.collecting)?;
        let since = match self.shown {
            Shown::NotCollecting(at) => at.max(told.first),
            Shown::Collecting if told.ever => return None,
            // It never spoke, or has heard what was never said; unless that was before this end began.
            Shown::Nothing | Shown::Collecting => told.first + GRACE,
        };
        Some(since.max(self.spared_until))
    }

    /// It was told that it may.
    pub fn is_given(&self) -> bool {
        self.told.is_some_and(|told| told.collecting)
    }

    /// Nothing of it was heard since light came.
    pub fn is_unheard(&self) -> bool {
        matches!(self.shown, Shown::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lacp::PortInfo;

    /// A LACPDU of an end that collects or not, and has heard that the other does or not.
    fn pdu(collects: bool, heard: bool) -> Lacpdu {
        let end = |collecting| PortInfo {
            state: State::ACTIVITY.with(State::COLLECTING, collecting),
            ..PortInfo::default()
        };
        Lacpdu {
            actor: end(collects),
            partner: end(heard),
            collector_max_delay: 0,
        }
    }

    const AT: fn(u64) -> At = At::from_millis;

    fn told(permission: &mut Permission, at: u64, collecting: bool) {
        permission.told(AT(at), &pdu(collecting, false));
    }

    fn shown(permission: &mut Permission, at: u64, collecting: bool) {
        permission.shown(AT(at), &pdu(true, collecting));
    }

    #[test]
    fn it_is_missing_from_what_the_other_end_has_heard_until_this_end_collects() {
        let mut it = Permission::default();
        assert_eq!(it.missing_since(), None, "nothing was said to it");
        shown(&mut it, 5, false);
        assert_eq!(it.missing_since(), None);
        told(&mut it, 10, false);
        assert_eq!(it.missing_since(), Some(AT(10)));
        told(&mut it, 20, true);
        assert!(it.is_given());
        assert_eq!(it.missing_since(), None);
        // What is on its way says nothing.
        shown(&mut it, 21, false);
        assert_eq!(it.missing_since(), None);
    }

    #[test]
    fn who_is_told_to_stop_may_go_on_until_it_has_heard_it_and_a_second() {
        let mut it = Permission::default();
        told(&mut it, 10, true);
        // It distributes from now on, and tells of that 30 s later.
        shown(&mut it, 11, false);
        told(&mut it, 5_000, false);
        assert_eq!(it.missing_since(), None, "a fault may drop what it is told");
        shown(&mut it, 5_001, true);
        assert_eq!(it.missing_since(), None);
        shown(&mut it, 5_002, false);
        assert_eq!(it.missing_since(), Some(AT(6_000)));
        shown(&mut it, 7_000, false);
        assert_eq!(it.missing_since(), Some(AT(6_000)), "it is not news");
        told(&mut it, 8_000, true);
        told(&mut it, 9_000, false);
        shown(&mut it, 12_000, false);
        assert_eq!(it.missing_since(), Some(AT(12_000)));
    }

    /// A static LAG, and one whose LACPDUs say what it never heard.
    #[test]
    fn who_says_nothing_or_what_is_not_true_is_waited_for_a_second() {
        let mut it = Permission::default();
        told(&mut it, 10, false);
        told(&mut it, 900, false);
        assert_eq!(it.missing_since(), Some(AT(1_010)));
        assert!(it.is_unheard());
        shown(&mut it, 1_500, true);
        assert_eq!(it.missing_since(), Some(AT(1_010)));
        assert!(!it.is_unheard());
        shown(&mut it, 1_600, false);
        assert_eq!(it.missing_since(), Some(AT(1_600)));
    }

    #[test]
    fn a_light_that_goes_out_for_a_moment_may_be_unnoticed() {
        let mut it = Permission::default();
        it.dark(AT(1));
        told(&mut it, 10, true);
        it.dark(AT(100));
        assert_eq!(it.missing_since(), None);
        told(&mut it, 200, false);
        shown(&mut it, 201, false);
        assert_eq!(it.missing_since(), Some(AT(1_100)));
        it.dark(AT(9_000));
        told(&mut it, 9_500, false);
        shown(&mut it, 9_501, false);
        assert_eq!(
            it.missing_since(),
            Some(AT(9_501)),
            "it never collected since"
        );
    }
}
