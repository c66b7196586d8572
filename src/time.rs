//! Moments of a run, and the only reader of the clock.
//!
//! Every fact of a run carries an [`At`]: nanoseconds of `CLOCK_MONOTONIC` since the run began.
//! Protocol cores take `At` as an argument; only drivers hold a [`Clock`].
//!
//! **Invariant:** no other room calls `Instant::now`, `SystemTime::now` or `clock_gettime`.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

mod allowance;

pub use allowance::Allowance;

/// A moment of a run: nanoseconds since the run's clock was started.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct At(u64);

impl At {
    /// The moment the run began.
    pub const ZERO: At = At(0);

    /// The moment `nanos` nanoseconds after the run began.
    pub const fn from_nanos(nanos: u64) -> At {
        At(nanos)
    }

    /// The moment `millis` milliseconds after the run began.
    pub const fn from_millis(millis: u64) -> At {
        At(millis * 1_000_000)
    }

    /// Nanoseconds since the run began.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: At) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for At {
    type Output = At;

    fn add(self, rhs: Duration) -> At {
        At(self
            .0
            .saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:06} s",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000 / 1_000
        )
    }
}

/// The clock of one run. Copies of it agree, on every thread.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: u64,
}

impl Clock {
    /// Starts the clock: the present moment becomes [`At::ZERO`].
    pub fn start() -> Clock {
        Clock {
            origin: read(ClockId::CLOCK_MONOTONIC),
        }
    }

    /// The present moment.
    pub fn now(&self) -> At {
        At(read(ClockId::CLOCK_MONOTONIC).saturating_sub(self.origin))
    }

    /// The moment of a kernel timestamp that was made before now, in `CLOCK_REALTIME`; never in the future.
    ///
    /// The offset between the two clocks is read anew each time, so that a step of the wall clock
    /// falsifies at most the packets in flight. If it goes back, they arrive now: nothing is due early for them.
    pub fn at_realtime(&self, seconds: i64, nanos: i64) -> At {
        let reading = self.reading();
        reading.at_realtime(seconds, nanos).min(reading.now)
    }

    /// What both clocks say now, for many timestamps that were or will be made about now: reading them is a system call on some
    /// kernels.
    pub fn reading(&self) -> Reading {
        Reading {
            realtime: read(ClockId::CLOCK_REALTIME),
            now: self.now(),
        }
    }

    /// The `CLOCK_MONOTONIC` reading of a moment, in nanoseconds, for `timerfd` with absolute time.
    pub fn monotonic_nanos(&self, at: At) -> u64 {
        self.origin.saturating_add(at.0)
    }

    /// The present wall-clock time, for the heading of a report.
    pub fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(read(ClockId::CLOCK_REALTIME)))
            .unwrap_or_default()
    }
}

/// What both clocks said at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    realtime: u64,
    now: At,
}

impl Reading {
    /// The moment of a kernel timestamp, as [`Clock::at_realtime`]; the moment of this reading without one.
    pub fn at(&self, stamp: Option<(i64, i64)>) -> At {
        stamp.map_or(self.now, |(seconds, nanos)| {
            self.at_realtime(seconds, nanos)
        })
    }

    fn at_realtime(&self, seconds: i64, nanos: i64) -> At {
        let stamp =
            u64::try_from(seconds).unwrap_or(0) * 1_000_000_000 + u64::try_from(nanos).unwrap_or(0);
        let now = self.now.0;
        At(match stamp.checked_sub(self.realtime) {
            Some(later) => now.saturating_add(later),
            None => now.saturating_sub(self.realtime - stamp),
        })
    }
}

/// Reads a kernel clock in nanoseconds. These two clocks cannot fail on Linux.
fn read(clock: ClockId) -> u64 {
    let spec = clock_gettime(clock).expect("CLOCK_MONOTONIC and CLOCK_REALTIME always exist");
    Duration::from(spec).as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_before_the_wall_clock_went_back_is_received_now() {
        let clock = Clock::start();
        let hour_ahead = clock.wall().as_second() + 3600;
        let at = clock.at_realtime(hour_ahead, 0);
        assert!(at <= clock.now(), "{at}");
    }

    #[test]
    fn one_reading_serves_timestamps_before_and_after_it() {
        let reading = Reading {
            realtime: 1_700_000_000_500_000_000,
            now: At::from_millis(2_000),
        };
        for (stamp, at) in [
            (Some((1_700_000_000, 400_000_000)), 1_900),
            (Some((1_700_000_000, 500_000_000)), 2_000),
            (Some((1_700_000_001, 0)), 2_500),
            (Some((0, 0)), 0),
            (None, 2_000),
        ] {
            assert_eq!(reading.at(stamp), At::from_millis(at), "{stamp:?}");
        }
    }
}
