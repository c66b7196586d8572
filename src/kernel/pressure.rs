//! What the host does to this program: pressure stall information (Documentation/accounting/psi.rst) and the CPU time
//! that other processes take (proc_stat(5), proc_pid_stat(5)).
//!
//! A process of the lab is one that its `/proc` shows: inside the lab's pid namespace these are peerlab and its devices.

use std::fs;
use std::time::Duration;

/// Counters of the host at a moment; two of them tell of the time between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// How long some task waited for a CPU, if the kernel tells.
    waited: Option<Duration>,
    /// CPU time of all, if the kernel tells.
    cpu: Option<CpuTime>,
    /// CPU time of the lab's own processes, in ticks.
    own: u64,
}

/// CPU time of the whole host since its start, in ticks of `USER_HZ`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct CpuTime {
    /// All of it, idle time included.
    all: u64,
    /// Spent by processes, or taken by other machines on the same hardware.
    spent: u64,
}

/// What the host did between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// Share of the time in which some task waited for a CPU, in percent.
    pub waiting_percent: Option<f32>,
    /// Share of all CPU time that others than the lab's processes used, in percent.
    pub foreign_percent: Option<f32>,
}

impl Counters {
    /// Reads them now. What cannot be read is left out.
    pub fn read() -> Counters {
        let text = |path: &str| fs::read_to_string(path).ok();
        Counters {
            waited: text("/proc/pressure/cpu").and_then(|text| waited(&text)),
            cpu: text("/proc/stat").and_then(|text| cpu_time(&text)),
            own: own(),
        }
    }

    /// What happened since `earlier`, `elapsed` ago.
    pub fn since(&self, earlier: &Counters, elapsed: Duration) -> Pressure {
        let waited = self.waited.zip(earlier.waited);
        let cpu = self.cpu.zip(earlier.cpu);
        // A process that ended takes its time with it; that is never counted as negative.
        let own = self.own.saturating_sub(earlier.own);
        Pressure {
            waiting_percent: waited.and_then(|(now, then)| {
                percent(now.saturating_sub(then).as_micros(), elapsed.as_micros())
            }),
            foreign_percent: cpu.and_then(|(now, then)| {
                let spent = now.spent.saturating_sub(then.spent);
                let all = now.all.saturating_sub(then.all);
                percent(spent.saturating_sub(own).into(), all.into())
            }),
        }
    }
}

fn percent(part: u128, whole: u128) -> Option<f32> {
    (whole > 0).then(|| (part as f64 * 100.0 / whole as f64).min(100.0) as f32)
}

/// `total` of the line `some avg10=… avg60=… avg300=… total=MICROSECONDS`.
fn waited(text: &str) -> Option<Duration> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

/// The line `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guests are in user and nice already.
/// Interrupts are counted as nobody's: the lab's own frames cause them too.
fn cpu_time(text: &str) -> Option<CpuTime> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Option<Vec<u64>> = line
        .split_whitespace()
        .map(|word| word.parse().ok())
        .collect();
    let ticks = ticks?;
    let [user, nice, system, _idle, ..] = *ticks else {
        return None;
    };
    // Kernels before 2.6.11 did not tell of stolen time.
    let steal = ticks.get(7).copied().unwrap_or(0);
    let sum = |ticks: &[u64]| ticks.iter().copied().fold(0, u64::saturating_add);
    Some(CpuTime {
        all: sum(&ticks[..ticks.len().min(8)]),
        spent: sum(&[user, nice, system, steal]),
    })
}

/// CPU time of every process that `/proc` shows, in ticks.
fn own() -> u64 {
    let Ok(processes) = fs::read_dir("/proc") else {
        return 0;
    };
    let times = processes.flatten().filter_map(|process| {
        process.file_name().to_str()?.parse::<u32>().ok()?;
        process_time(&fs::read_to_string(process.path().join("stat")).ok()?)
    });
    times.fold(0, u64::saturating_add)
}

/// `utime` and `stime`: fields 14 and 15, counted after the name, which may hold anything.
fn process_time(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_line() {
        let text = "some avg10=97.89 avg60=93.13 avg300=76.30 total=2701289525\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(waited(text), Some(Duration::from_micros(2_701_289_525)));
        for bad in ["", "some", "some total=", "full total=7", "some total=x"] {
            assert_eq!(waited(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn cpu_line() {
        let text = "cpu  100 20 30 400 50 6 7 8 90 1\ncpu0 1 1 1 1\n";
        let time = CpuTime {
            all: 621,
            spent: 158,
        };
        assert_eq!(cpu_time(text), Some(time));
        let old = CpuTime { all: 10, spent: 6 };
        assert_eq!(cpu_time("cpu 1 2 3 4"), Some(old));
        for bad in ["", "cpu", "cpu 1 2 3", "cpu 1 2 3 x", "cpu0 1 2 3 4"] {
            assert_eq!(cpu_time(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn process_with_a_strange_name() {
        let text = "42 (a ) b 9 9) R 1 2 3 4 5 6 7 8 9 10 300 40 0 0 20";
        assert_eq!(process_time(text), Some(340));
        assert_eq!(process_time("42 (a) R 1 2"), None);
        assert_eq!(process_time(""), None);
    }

    #[test]
    fn shares_of_the_time_between() {
        let cpu = |all, spent| Some(CpuTime { all, spent });
        let then = Counters {
            waited: Some(Duration::from_millis(1_000)),
            cpu: cpu(10_000, 500),
            own: 50,
        };
        let now = Counters {
            waited: Some(Duration::from_millis(1_250)),
            cpu: cpu(10_200, 650),
            own: 80,
        };
        let second = Duration::from_secs(1);
        let pressure = now.since(&then, second);
        assert_eq!(pressure.waiting_percent, Some(25.0));
        assert_eq!(pressure.foreign_percent, Some(60.0));
        // A device that ended, a clock that stood still, a kernel that does not tell.
        let ended = Counters { own: 0, ..now };
        assert_eq!(ended.since(&then, second).foreign_percent, Some(75.0));
        assert_eq!(now.since(&now, Duration::ZERO), Pressure::default());
        let silent = Counters::default();
        assert_eq!(silent.since(&then, second), Pressure::default());
    }

    #[test]
    fn this_machine_tells_of_its_cpus() {
        let counters = Counters::read();
        assert!(counters.cpu.is_some_and(|cpu| cpu.all > cpu.spent));
    }
}
