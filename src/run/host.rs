//! What the host does to a run: its own lateness, and once a second the pressure on the CPUs.
//!
//! Steps and the judge share the run's thread. Simulated routers have one of their own, which runs before this one
//! where the system allows it, and is about as late as this one elsewhere.
//!
// Gap: the routers' thread does not tell its own lateness; `judge::belief` takes this one's for it.

use std::time::Duration;

use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use crate::kernel::pressure::Counters;
use crate::record::{Fact, Recorder};
use crate::time::At;

/// How often the run's thread is asked whether it is on time.
const EVERY: Duration = Duration::from_millis(10);
/// Waking up later than this is a fact. The runtime's timers are a millisecond coarse.
const LATE: Duration = Duration::from_millis(2);
/// How often the pressure is told.
const PRESSURE: Duration = Duration::from_secs(1);

/// Watches until dropped. Must be made inside a tokio `LocalSet`.
#[derive(Debug)]
pub(super) struct HostWatch(JoinHandle<()>);

impl HostWatch {
    pub(super) fn start(recorder: Recorder) -> HostWatch {
        HostWatch(spawn_local(watch(recorder)))
    }
}

impl Drop for HostWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn watch(recorder: Recorder) {
    let clock = recorder.clock();
    let mut sampled: (At, Counters) = (clock.now(), Counters::read());
    let mut due = clock.now() + EVERY;
    loop {
        sleep(due.since(clock.now())).await;
        let now = clock.now();
        if let Some(late) = late(due, now) {
            recorder.at(now, late);
        }
        let elapsed = now.since(sampled.0);
        if elapsed >= PRESSURE {
            let counters = Counters::read();
            let pressure = counters.since(&sampled.1, elapsed);
            sampled = (now, counters);
            recorder.at(
                now,
                Fact::Pressure {
                    cpu_some_percent: pressure.waiting_percent,
                    foreign_percent: pressure.foreign_percent,
                },
            );
        }
        // Not from when it was due: what was missed is told already, and is not caught up.
        due = clock.now() + EVERY;
    }
}

/// The fact that the run woke up at `now` although it was due before, if that matters.
fn late(due: At, now: At) -> Option<Fact> {
    let by = now.since(due);
    (by > LATE).then(|| Fact::Late {
        thread: "run".to_owned(),
        by: by.into(),
    })
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;
    use tokio::time::timeout;

    use super::*;
    use crate::record::Nanos;
    use crate::time::Clock;

    #[test]
    fn only_lateness_that_matters_is_told() {
        let due = At::from_millis(100);
        assert_eq!(late(due, At::from_millis(90)), None);
        assert_eq!(late(due, At::from_millis(102)), None);
        let fact = late(due, At::from_millis(103)).expect("three milliseconds late");
        let by = Nanos(3_000_000);
        assert_eq!(
            fact,
            Fact::Late {
                thread: "run".to_owned(),
                by
            }
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn pressure_is_told_and_ends_with_the_watch() {
        let (recorder, mut entries) = Recorder::new(Clock::start());
        let local = LocalSet::new();
        let watched = local.run_until(async {
            let _watch = HostWatch::start(recorder);
            loop {
                let entry = entries.recv().await.expect("the watch goes on");
                if let Fact::Pressure { .. } = entry.fact {
                    break entry;
                }
            }
        });
        let entry = timeout(Duration::from_secs(30), watched).await;
        let at = entry.expect("within half a minute").at;
        assert!(at >= At::from_millis(1_000), "told at {at}");
        // The only recorder went with the watch.
        let closed = async { while entries.recv().await.is_some() {} };
        let closed = local
            .run_until(timeout(Duration::from_secs(5), closed))
            .await;
        closed.expect("nothing more is told");
    }
}
