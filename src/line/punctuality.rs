//! How late our periodic packets leave: from when they were due to when the kernel handed them to the link.
//!
//! **Invariant:** its size does not depend on how many packets are counted; a quantile is never less than what it stands for,
//! and at most a sixteenth more.

use std::time::Duration;

use crate::record::{self, Fact, Recorder};

/// Steps within a doubling.
const STEPS: usize = 16;
/// Up to 2³² µs, over an hour.
const DOUBLINGS: usize = 32;

/// Whose packets they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Lacp,
    Bfd,
}

/// The lateness of all packets of a thread.
#[derive(Debug, Default)]
pub(super) struct Punctuality {
    lacp: Latenesses,
    bfd: Latenesses,
}

impl Punctuality {
    /// A packet left so late; by the kernel's stamp, or by the program's clock.
    pub fn count(&mut self, protocol: Protocol, late: Duration, kernel_stamped: bool) {
        let latenesses = match protocol {
            Protocol::Lacp => &mut self.lacp,
            Protocol::Bfd => &mut self.bfd,
        };
        latenesses.count(late);
        latenesses.kernel_stamped += u64::from(kernel_stamped);
    }

    /// Tells all that was counted, also that nothing was.
    pub fn tell(&self, recorder: &Recorder) {
        for (protocol, of) in [("lacp", &self.lacp), ("bfd", &self.bfd)] {
            recorder.now(Fact::Punctuality {
                protocol: protocol.to_owned(),
                figures: of.figures(),
            });
        }
    }
}

/// A histogram: linear below [`STEPS`] µs, then [`STEPS`] places for each doubling.
#[derive(Debug)]
struct Latenesses {
    places: Box<[u64]>,
    packets: u64,
    kernel_stamped: u64,
    longest: Duration,
}

impl Default for Latenesses {
    fn default() -> Latenesses {
        Latenesses {
            places: vec![0; STEPS * DOUBLINGS].into(),
            packets: 0,
            kernel_stamped: 0,
            longest: Duration::ZERO,
        }
    }
}

impl Latenesses {
    fn count(&mut self, late: Duration) {
        let micros = late.as_nanos().div_ceil(1000);
        let place = place(u32::try_from(micros).unwrap_or(u32::MAX));
        self.places[place] += 1;
        self.packets += 1;
        self.longest = self.longest.max(late);
    }

    fn figures(&self) -> record::Punctuality {
        record::Punctuality {
            packets: self.packets,
            kernel_stamped: self.kernel_stamped,
            p50: self.quantile(500).into(),
            p99: self.quantile(990).into(),
            p999: self.quantile(999).into(),
            longest: self.longest.into(),
        }
    }

    /// So many of a thousand packets were no later.
    fn quantile(&self, permille: u64) -> Duration {
        let wanted = (u128::from(self.packets) * u128::from(permille)).div_ceil(1000);
        let mut seen = 0;
        for (place, count) in self.places.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= wanted {
                return Duration::from_micros(bound(place)).min(self.longest);
            }
        }
        self.longest
    }
}

fn place(micros: u32) -> usize {
    let steps = STEPS as u32;
    if micros < steps {
        return micros as usize;
    }
    let shift = micros.ilog2() - STEPS.ilog2();
    let within = (micros >> shift) - steps;
    ((shift + 1) * steps + within) as usize
}

/// The largest number of microseconds that is counted in a place.
fn bound(place: usize) -> u64 {
    let (doubling, within) = (place / STEPS, (place % STEPS) as u64);
    match doubling.checked_sub(1) {
        None => within,
        Some(shift) => ((STEPS as u64 + within + 1) << shift) - 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Nanos;
    use crate::time::Clock;

    proptest! {
        #[test]
        fn a_place_holds_what_is_at_most_a_sixteenth_less_than_its_bound(micros: u32) {
            let bound = bound(place(micros));
            prop_assert!(bound >= u64::from(micros));
            prop_assert!(bound - u64::from(micros) <= u64::from(micros) / STEPS as u64);
        }
    }

    /// As when a run is short, or the kernel's bonds speak LACP.
    #[test]
    fn where_nothing_left_that_is_told() {
        let (recorder, mut told) = Recorder::new(Clock::start());
        let mut punctuality = Punctuality::default();
        punctuality.count(Protocol::Bfd, Duration::from_micros(3), true);
        punctuality.tell(&recorder);
        let told = std::iter::from_fn(|| told.try_recv().ok());
        let told: Vec<_> = told.map(|noted| noted.fact.clone()).collect();
        let of = |protocol: &str, packets| {
            let late = Nanos(packets * 3_000);
            Fact::Punctuality {
                protocol: protocol.to_owned(),
                figures: record::Punctuality {
                    packets,
                    kernel_stamped: packets,
                    p50: late,
                    p99: late,
                    p999: late,
                    longest: late,
                },
            }
        };
        assert_eq!(told, [of("lacp", 0), of("bfd", 1)]);
    }

    #[test]
    fn quantiles_are_of_all_packets() {
        let mut latenesses = Latenesses::default();
        for micros in 1..=1000 {
            latenesses.count(Duration::from_micros(micros));
        }
        let within = |permille, least: u64| {
            let found = latenesses.quantile(permille).as_micros() as u64;
            assert!(
                (least..=least + least / 16).contains(&found),
                "{permille}: {found}"
            );
        };
        within(500, 500);
        within(990, 990);
        within(999, 999);
        assert_eq!(latenesses.quantile(1000), Duration::from_millis(1));
        assert_eq!(Latenesses::default().quantile(500), Duration::ZERO);
    }
}
