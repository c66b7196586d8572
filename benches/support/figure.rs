//! Figures: median, least and greatest of several runs, one JSON line each.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Outcome;

/// What several runs gave.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
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

/// The value below which a share of the values lies.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

/// What ours is compared with.
pub enum Against<'a> {
    /// Another implementation in the same run.
    Peer(&'a str, &'a [f64]),
    /// A limit we set ourselves.
    Limit(f64),
}

/// Prints a figure. The ratio is ours ÷ peer (or limit), of medians: lower is better.
pub fn print(name: &str, unit: &str, ours: &[f64], against: Against<'_>) {
    let spread = Spread::of(ours);
    let mut line = json!({ "name": name, "unit": unit, "ours": spread, "runs": ours.len(), "machine": machine() });
    let base = match against {
        Against::Peer(peer, values) => {
            let theirs = Spread::of(values);
            line["peer"] = json!(theirs);
            line["peer-name"] = json!(peer);
            theirs.map(|theirs| theirs.median)
        }
        Against::Limit(limit) => {
            line["limit"] = json!(limit);
            Some(limit)
        }
    };
    line["ratio"] = match (spread, base) {
        (Some(ours), Some(base)) => json!((ours.median / base * 1000.0).round() / 1000.0),
        _ => Value::Null,
    };
    println!("{line}");
}

/// What was not measured, and why.
pub fn skipped(name: &str, why: &str) {
    println!("{}", json!({ "name": name, "skipped": why }));
}

/// Processors, kernel and memory.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model.trim());
    let memory = read("/proc/meminfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        })
        .unwrap_or_default();
    format!(
        "{} × {model}, {} GiB, Linux {}",
        std::thread::available_parallelism().map_or(0, usize::from),
        memory.div_ceil(1 << 20),
        read("/proc/sys/kernel/osrelease").trim(),
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
