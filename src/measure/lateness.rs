//! How late this host was in a window of time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Window;
use crate::record::{Entry, Fact, Nanos};

/// The worst of what the host did to peerlab in a window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lateness {
    /// The latest wake-up of each thread that was ever late by more than a millisecond.
    pub threads: BTreeMap<String, Nanos>,
    /// The latest a probe packet was sent after it was due.
    pub send: Nanos,
    /// The largest share of a second in which some task waited for a CPU, in percent.
    pub waiting_percent: f32,
    /// The largest share of all CPU time that other processes used in a second, in percent.
    pub foreign_percent: f32,
    /// A router of which the kernel told more changes than could be read.
    pub events_lost: Option<String>,
}

/// Reads the lateness off the entries that lie in the window.
///
/// [`Fact::Late`] and [`Fact::Pressure`] tell of the time before them: they count when that time touches the window.
pub fn lateness<'a>(entries: impl IntoIterator<Item = &'a Entry>, window: Window) -> Lateness {
    let mut lateness = Lateness::default();
    for entry in entries {
        match &entry.fact {
            Fact::Late { thread, by } if overlaps(entry, *by, window) => {
                let worst = lateness.threads.entry(thread.clone()).or_default();
                *worst = (*worst).max(*by);
            }
            Fact::ProbeTally { send_late, .. } if window.includes(entry.at) => {
                lateness.send = lateness.send.max(*send_late);
            }
            Fact::Pressure {
                cpu_some_percent,
                foreign_percent,
            } if overlaps(entry, Nanos(1_000_000_000), window) => {
                lateness.waiting_percent = lateness
                    .waiting_percent
                    .max(cpu_some_percent.unwrap_or(0.0));
                lateness.foreign_percent =
                    lateness.foreign_percent.max(foreign_percent.unwrap_or(0.0));
            }
            Fact::EventsLost { router } if window.includes(entry.at) => {
                lateness.events_lost = Some(router.clone());
            }
            _ => {}
        }
    }
    lateness
}

impl Lateness {
    /// The latest of any thread and of the probe sender: by so much a measured time may be wrong.
    pub fn worst(&self) -> Duration {
        let threads = self.threads.values().copied().max().unwrap_or_default();
        Duration::from(threads.max(self.send))
    }

    /// Which it was: `line`, `probe`, `run`, or `the probe sender`.
    pub fn culprit(&self) -> &str {
        let latest = self.threads.iter().max_by_key(|(_, by)| **by);
        match latest {
            Some((thread, by)) if *by >= self.send => thread,
            _ => "the probe sender",
        }
    }
}

/// Whether the stretch of length `length` that ends at the entry touches the window.
fn overlaps(entry: &Entry, length: Nanos, window: Window) -> bool {
    let end = entry.at.as_nanos();
    let begin = end.saturating_sub(length.0);
    begin <= window.end.as_nanos() && window.begin.as_nanos() <= end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::At;

    fn late(at: u64, thread: &str, by: u64) -> Entry {
        Entry {
            at: At::from_millis(at),
            fact: Fact::Late {
                thread: thread.into(),
                by: Nanos(by * 1_000_000),
            },
        }
    }

    #[test]
    fn worst_of_the_window_only() {
        let entries = [
            late(90, "line", 50),
            late(150, "line", 20),
            late(160, "run", 30),
            // Began inside, told after the end.
            late(220, "probe", 40),
            late(900, "line", 300),
        ];
        let window = Window {
            begin: At::from_millis(100),
            end: At::from_millis(200),
        };
        let lateness = lateness(&entries, window);
        assert_eq!(lateness.worst(), Duration::from_millis(40));
        assert_eq!(lateness.culprit(), "probe");
        assert_eq!(lateness.threads["line"], Nanos(20_000_000));
    }
}
