//! How often something may be done or told.

use std::time::Duration;

use super::At;

/// So many at once, and from then on one more in each interval.
#[derive(Debug, Clone)]
pub struct Allowance {
    interval: Duration,
    /// All but one of those at once.
    credit: Duration,
    /// What was done is paid for then.
    paid: At,
}

impl Allowance {
    /// `at_once` at once, at least one, and from then on one more in each interval.
    pub fn new(at_once: u32, interval: Duration) -> Allowance {
        Allowance {
            interval,
            credit: interval * at_once.saturating_sub(1),
            paid: At::ZERO,
        }
    }

    /// The moment from which it may be done once more.
    pub fn free_at(&self) -> At {
        let credit = u64::try_from(self.credit.as_nanos()).unwrap_or(u64::MAX);
        At::from_nanos(self.paid.as_nanos().saturating_sub(credit))
    }

    /// It was done.
    pub fn note(&mut self, now: At) {
        self.paid = self.paid.max(now) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_at_once_and_then_one_in_each_interval() {
        let mut allowance = Allowance::new(3, Duration::from_millis(100));
        let mut done = Vec::new();
        for millis in (0..500).chain(2_000..2_150) {
            let now = At::from_millis(millis);
            // Twice a millisecond, if it may.
            for _ in 0..2 {
                if allowance.free_at() <= now {
                    allowance.note(now);
                    done.push(millis);
                }
            }
        }
        // Three at once, again after a rest.
        let expected = [0, 0, 1, 100, 200, 300, 400, 2000, 2000, 2001, 2100];
        assert_eq!(done, expected);
    }
}
