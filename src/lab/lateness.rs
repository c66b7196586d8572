//! How late a thread that runs tasks wakes up.

use std::time::Duration;

use tokio::time::sleep;

use crate::record::{Fact, Recorder};
use crate::time::At;

/// How often a thread is asked whether it is on time.
const EVERY: Duration = Duration::from_millis(10);
/// Waking up later than this is a fact. The runtime's timers are a millisecond coarse.
const LATE: Duration = Duration::from_millis(2);

/// Tells it of the thread that runs this task, for as long as it does.
pub async fn tell(recorder: Recorder, thread: &'static str) {
    let clock = recorder.clock();
    loop {
        // Not from when the last was due: what was missed is told already, and is not caught up.
        let due = clock.now() + EVERY;
        sleep(EVERY).await;
        let now = clock.now();
        if let Some(late) = late(thread, due, now) {
            recorder.at(now, late);
        }
    }
}

/// The fact that a thread woke up at `now` although it was due before, if that matters.
fn late(thread: &str, due: At, now: At) -> Option<Fact> {
    let by = now.since(due);
    (by > LATE).then(|| Fact::Late {
        thread: thread.to_owned(),
        by: by.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Nanos;

    #[test]
    fn only_lateness_that_matters_is_told() {
        let due = At::from_millis(100);
        assert_eq!(late("run", due, At::from_millis(90)), None);
        assert_eq!(late("run", due, At::from_millis(102)), None);
        let fact = late("run", due, At::from_millis(103)).expect("three milliseconds late");
        let by = Nanos(3_000_000);
        assert_eq!(
            fact,
            Fact::Late {
                thread: "run".to_owned(),
                by
            }
        );
    }
}
