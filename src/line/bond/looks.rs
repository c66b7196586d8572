//! When the kernel is asked how a bond is. Each look is as many questions as it has ports, and all BFD and LACP wait for the answers.
//!
//! **Invariant:** whatever a partner says or does to its links: in any second no more than ten looks because of LACPDUs, and ten
//! because of links besides ten on credit.

use std::time::Duration;

use crate::time::At;

/// The kernel's state machines run every 100 ms: after something happened they are asked again so soon, until nothing changes.
const SOON: Duration = Duration::from_millis(100);
/// They tell of links and of members that begin or end to carry; of anything else they are asked so often.
const REST: Duration = Duration::from_secs(1);
/// A look at once costs [`SOON`], of which so much may be owed: all that one cut does to links is seen when it happens.
const CREDIT: Duration = Duration::from_secs(1);

/// The looks at a bond.
#[derive(Debug)]
pub(super) struct Looks {
    last: At,
    next: At,
    /// Looks at once are paid for then.
    paid: At,
    /// There was news since the last look.
    stirred: bool,
}

impl Looks {
    /// The first is due now.
    pub fn new(now: At) -> Looks {
        Looks {
            last: now,
            next: now,
            paid: now,
            stirred: true,
        }
    }

    /// A LACPDU says something new: a look, but not so soon after the last.
    pub fn lacpdu(&mut self) {
        self.stirred = true;
        self.next = self.next.min(self.last + SOON);
    }

    /// The kernel tells of a link: a look at once.
    pub fn link(&mut self, now: At) {
        self.lacpdu();
        let paid = self.paid.max(now);
        if paid < now + CREDIT {
            self.paid = paid + SOON;
            self.next = self.next.min(now);
        }
    }

    /// There was a look.
    pub fn looked(&mut self, now: At, changed: bool) {
        let again = std::mem::take(&mut self.stirred) || changed;
        self.last = now;
        self.next = now + if again { SOON } else { REST };
    }

    /// When the next is due.
    pub fn next(&self) -> At {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The milliseconds of this time in which there is a look at a bond that does not change, and what is told in each.
    fn looks(millis: u64, mut news: impl FnMut(u64, &mut Looks)) -> Vec<u64> {
        let mut looks = Looks::new(At::ZERO);
        let mut found = Vec::new();
        for milli in 0..millis {
            let now = At::from_millis(milli);
            news(milli, &mut looks);
            if looks.next() <= now {
                looks.looked(now, false);
                found.push(milli);
            }
        }
        found
    }

    #[test]
    fn a_bond_at_rest_is_looked_at_once_a_second() {
        assert_eq!(looks(3000, |_, _| ()), [0, 100, 1100, 2100]);
    }

    #[test]
    fn what_happens_to_a_bond_at_rest_is_seen_at_once_and_looked_after() {
        let lacpdu = looks(2000, |milli, looks| {
            if milli == 500 {
                looks.lacpdu();
            }
        });
        assert_eq!(lacpdu, [0, 100, 500, 600, 1600]);
        // Eight members go dark, and then the bond.
        let cut = looks(2000, |milli, looks| {
            if (500..509).contains(&milli) {
                looks.link(At::from_millis(milli));
            }
        });
        let seen: Vec<u64> = [0, 100].into_iter().chain(500..509).collect();
        assert_eq!(cut, [&seen[..], &[608, 1608]].concat());
    }

    #[test]
    fn no_partner_makes_us_look_oftener_than_that() {
        let lacpdus = looks(10_000, |_, looks| looks.lacpdu());
        assert_eq!(lacpdus.len(), 100);
        let links = looks(10_000, |milli, looks| looks.link(At::from_millis(milli)));
        assert!((100..=210).contains(&links.len()), "{}", links.len());
        let both = looks(10_000, |milli, looks| {
            looks.link(At::from_millis(milli));
            looks.lacpdu();
        });
        assert_eq!(both, links);
    }
}
