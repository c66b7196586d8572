//! What the host does to a run: its own lateness, and once a second the pressure on the CPUs.
//!
//! Steps and the judge share the run's thread. Simulated routers have one of their own, which tells its own lateness
//! (`lab/control_plane.rs`).

use std::time::Duration;

use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use crate::kernel::pressure::Counters;
use crate::lab::lateness;
use crate::record::{Fact, Recorder};
use crate::time::At;

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
    tokio::join!(lateness::tell(recorder.clone(), "run"), pressure(recorder));
}

async fn pressure(recorder: Recorder) {
    let clock = recorder.clock();
    let mut sampled: (At, Counters) = (clock.now(), Counters::read());
    loop {
        sleep(PRESSURE).await;
        let now = clock.now();
        let counters = Counters::read();
        let pressure = counters.since(&sampled.1, now.since(sampled.0));
        sampled = (now, counters);
        recorder.at(
            now,
            Fact::Pressure {
                cpu_some_percent: pressure.waiting_percent,
                foreign_percent: pressure.foreign_percent,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;
    use tokio::time::timeout;

    use super::*;
    use crate::time::Clock;

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
