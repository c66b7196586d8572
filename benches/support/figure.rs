//! Figures: median, least and greatest of several runs, one JSON line each.

use serde::Serialize;
use serde_json::json;

use super::Outcome;

/// What several runs gave.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// `None` when there are no values.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        } else {
            sorted[middle]
        };
        Some(Spread { median, min, max })
    }
}

/// What ours is compared with.
#[derive(Clone, Copy)]
pub enum Against<'a> {
    /// Another implementation in the same run.
    Peer(&'a str, &'a [f64]),
    /// A limit we set ourselves.
    Limit(f64),
}

/// Prints a figure. The ratio is ours ÷ peer (or limit), of medians: lower is better; none where both are 0. Whether a limit is
/// `kept` is told besides.
pub fn print(name: &str, unit: &str, ours: &[f64], against: Against<'_>) {
    let Some(spread) = Spread::of(ours) else {
        return skipped(name, "no run succeeded");
    };
    let (peer_name, values) = match against {
        Against::Peer(peer, values) => (peer, values),
        Against::Limit(limit) => ("limit", &[limit][..]),
    };
    let Some(peer) = Spread::of(values) else {
        return skipped(name, &format!("no run of {peer_name} succeeded"));
    };
    let kept = match against {
        Against::Peer(..) => None,
        Against::Limit(limit) => Some(spread.median <= limit),
    };
    let line = json!({
        "name": name, "unit": unit, "ours": spread, "peer": peer, "peer-name": peer_name, "kept": kept,
        "ratio": rounded(spread.median / peer.median), "runs": ours.len(), "peer-runs": values.len(), "machine": machine(),
    });
    println!("{line}");
}

/// What this share of the values is not above; `None` when there are none.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

/// Prints the figure of a share of the runs, for example that 99 % of them are not above.
pub fn print_quantile(name: &str, unit: &str, ours: &[f64], share: f64, limit: f64) {
    let Some(value) = quantile(ours, share) else {
        return skipped(name, "no run succeeded");
    };
    let line = json!({
        "name": name, "unit": unit, "ours": Spread::of(&[value]), "peer": Spread::of(&[limit]), "peer-name": "limit",
        "kept": value <= limit, "ratio": rounded(value / limit), "runs": ours.len(), "machine": machine(),
    });
    println!("{line}");
}

/// Three digits that count.
fn rounded(ratio: f64) -> Option<f64> {
    format!("{ratio:.2e}").parse().ok()
}

/// What was not measured, and why.
pub fn skipped(name: &str, why: &str) {
    println!("{}", json!({ "name": name, "skipped": why }));
}

/// Processors, memory, kernel, and how busy the machine was in the last minute.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let word = |text: &str, place: usize| {
        let word = text.split_whitespace().nth(place);
        word.unwrap_or("unknown").to_owned()
    };
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown CPU", |(_, model)| model.trim());
    let kib: u64 = word(&read("/proc/meminfo"), 1).parse().unwrap_or_default();
    format!(
        "{} × {model}, {} GiB, Linux {}, load {}",
        std::thread::available_parallelism().map_or(0, usize::from),
        kib.div_ceil(1 << 20),
        word(&read("/proc/sys/kernel/osrelease"), 0),
        word(&read("/proc/loadavg"), 0),
    )
}

/// CPU time of a process so far, seconds.
pub fn cpu_of(process: u32) -> Outcome<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .ok_or("no process name")?
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 / 100.0)
}

/// Memory of a process (PSS), KiB.
pub fn memory_of(process: u32) -> Outcome<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .ok_or("no Pss")?;
    let number = line.split_whitespace().next().ok_or("no number")?;
    Ok(number.parse()?)
}
