//! The end of a run: failover times, requirements, and the sum of verdicts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{BOLD, DIM, style};
use crate::conformance::Check;
use crate::judge::{self, Carried, PrefixEnded, Verdict, words};
use crate::measure::{BfdPartner, Convergence, LacpPartner, Stage};
use crate::record::Nanos;
use crate::report::{Played, Report};

/// The stages after one fault, the first with the fault's name.
pub(super) fn stages(event: &Convergence) -> Vec<String> {
    let mut stages = vec![match &event.detected {
        Some(stage) => {
            let others = event
                .layers
                .iter()
                .filter(|layer| layer.layer != stage.layer);
            let others: String = others
                .map(|layer| format!(", {}", detected(layer)))
                .collect();
            format!("{}: detected {}{others}", event.fault, detected(stage))
        }
        None => format!("{}: not detected", event.fault),
    }];
    let mut push = |name: &str, stage: &Option<Stage>| {
        if let Some(stage) = stage {
            stages.push(format!("{name} {}", time(stage.after)));
        }
    };
    push("withdrawn", &event.withdrawn);
    push("kernel route", &event.kernel_route);
    for moved in &event.moved {
        let name = format!("{} -> {} moved", moved.from, moved.to);
        stages.push(format!("{name} {}", time(moved.first)));
    }
    if let Some(overhead) = event.bfd_overhead {
        stages.push(format!("BFD {} over its detection time", time(overhead)));
    }
    stages
}

/// What the partner of a BFD session did that is worth a line: nothing, if nobody tried it and it did everything right.
pub(super) fn bfd(partner: &BfdPartner) -> Vec<String> {
    let mut told = Vec::new();
    for rhythm in &partner.rhythms {
        let outside = rhythm.early.saturating_add(rhythm.late);
        if u64::from(outside) * 100 > u64::from(rhythm.intervals) {
            told.push(format!("packets {}", judge::bfd::rhythm(rhythm)));
        }
    }
    if partner.demanded {
        told.push("asked for Demand mode, so this end fell silent".to_owned());
    }
    if partner.unasked > 0 {
        told.push("other intervals without a Poll".to_owned());
    }
    for (after, due) in &partner.detected {
        told.push(format!(
            "detected silence after {} ({} due)",
            time(*after),
            time(*due)
        ));
    }
    if !partner.detected.is_empty() {
        for followed in &partner.bgp_followed {
            told.push(match followed {
                Some(after) => format!("BGP followed {} later", time(*after)),
                None => "BGP did not follow".to_owned(),
            });
        }
    }
    if told.is_empty() {
        return told;
    }
    told[0] = format!(
        "partner of bfd {} at {}: {}",
        partner.session, partner.router, told[0]
    );
    told
}

/// What the partner of a member did that is worth a line: nothing, if it did everything right.
pub(super) fn lacp(partner: &LacpPartner) -> Vec<String> {
    let mut told = Vec::new();
    for rhythm in &partner.rhythms {
        if rhythm.early.saturating_add(rhythm.late) > rhythm.intervals / 16 {
            told.push(format!("LACPDUs {}", judge::lacp::rhythm(rhythm)));
        }
    }
    if partner.distributed_early > 0 {
        told.push("distributed before it heard that this end collects".to_owned());
    }
    if partner.slowest_answer > Nanos(1_000_000_000) {
        let took = time(partner.slowest_answer);
        told.push(format!("answered a marker after {took}"));
    }
    if let Some(first) = told.first_mut() {
        *first = format!(
            "partner of member {}/{} at {}: {first}",
            partner.connection, partner.member, partner.router
        );
    }
    told
}

/// The one member of a LAG whose flows lost packets while those of all others of it lost none: it is the bad one.
pub(super) fn bad_members(traffic: &[Carried]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for Carried {
        traffic, by_member, ..
    } in traffic
    {
        let connection = |member: &str| member.split_once('/').map(|(name, _)| name.to_owned());
        for (member, of) in by_member.iter().filter(|(_, of)| of.lost >= FEW) {
            let Some(own) = connection(member) else {
                continue;
            };
            let mut others = by_member
                .iter()
                .filter(|(other, _)| *other != member && connection(other).as_ref() == Some(&own));
            let alone = others.clone().count() > 0 && others.all(|(_, of)| of.lost == 0);
            let (from, to) = (&traffic.direction.from, &traffic.direction.to);
            if alone {
                let lost = words::counted(of.lost, "packet");
                told.push(format!(
                    "member {member} alone of {own} lost packets: {lost} of its flows from {from} to {to}"
                ));
            }
        }
    }
    told
}

/// Fewer lost packets than this are no sign of a bad member: those on their way when one fails.
const FEW: u64 = 4;

/// The lines of the summary.
pub(super) fn lines(report: &Report, width: usize) -> Vec<String> {
    let mut lines = failover(report, width);
    lines.extend(prefixes(report, width));
    lines.extend(requirements(report, width));
    lines.push(sum(report));
    lines
}

/// A table of the stages after each fault.
fn failover(report: &Report, width: usize) -> Vec<String> {
    let heads = ["detected", "withdrawn", "route", "moved", "interrupted"];
    let mut rows: Vec<(String, [String; 5])> = Vec::new();
    for played in &report.scenarios {
        for event in &played.findings.convergence {
            let first = event.moved.iter().map(|moved| moved.first).max();
            let cells = [
                event.detected.as_ref().map(detected),
                event.withdrawn.as_ref().map(|stage| time(stage.after)),
                event.kernel_route.as_ref().map(|stage| time(stage.after)),
                first.map(time),
                interrupted(played, event.step),
            ];
            // The scenario's name says enough when there is one fault in it.
            let label = match played.findings.convergence.len() {
                1 => played.name.clone(),
                _ => format!("{}: {}", played.name, event.fault),
            };
            rows.push((
                label,
                cells.map(|cell| cell.unwrap_or_else(|| "-".to_owned())),
            ));
        }
    }
    if rows.is_empty() {
        return Vec::new();
    }
    let mut columns = heads.map(|head| head.chars().count());
    for (_, cells) in &rows {
        for (column, cell) in columns.iter_mut().zip(cells) {
            *column = (*column).max(cell.chars().count());
        }
    }
    let used: usize = columns.iter().map(|column| column + 2).sum();
    let longest = rows.iter().map(|(label, _)| label.chars().count()).max();
    let room = width
        .saturating_sub(used + 2)
        .min(longest.unwrap_or(0).max(8));
    let row = |label: &str, cells: &[String]| {
        let mut line = format!("  {:<room$}", cut(label, room));
        for (column, cell) in columns.iter().zip(cells) {
            line.push_str(&format!("  {cell:>column$}"));
        }
        line
    };
    let head = row("failover", &heads.map(str::to_owned));
    let mut lines = vec![format!(
        "{BOLD}{}{BOLD:#}",
        head.replacen("  failover", "failover  ", 1)
    )];
    lines.extend(rows.iter().map(|(label, cells)| row(label, cells)));
    lines.push(String::new());
    lines
}

/// A prefix and what became of it, for example `registered prefix 203.0.113.0/24 Failed: missing-community on ams-1`.
pub(super) fn prefix(ended: &PrefixEnded) -> String {
    let object = words::object(ended.object);
    let result = judge::microsoft::result(&ended.state, &ended.failures);
    format!("{object} {} {result}", ended.prefix)
}

/// In every scenario that was about prefixes: what became of them. One that ended Verified needs no line.
fn prefixes(report: &Report, width: usize) -> Vec<String> {
    let ended = |played: &Played| {
        let prefixes = played.findings.prefixes.iter();
        let told = prefixes.filter(|ended| ended.state != "Verified");
        told.map(prefix).collect::<Vec<String>>()
    };
    let rows: Vec<(&str, Vec<String>)> = (report.scenarios.iter())
        .map(|played| (played.name.as_str(), ended(played)))
        .filter(|(_, prefixes)| !prefixes.is_empty())
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let longest = rows.iter().map(|(name, _)| name.chars().count()).max();
    let room = longest.unwrap_or(0).min(width / 3);
    let mut lines = vec![format!("{BOLD}prefixes not Verified at the end{BOLD:#}")];
    for (name, prefixes) in rows {
        for (n, prefix) in prefixes.iter().enumerate() {
            let name = if n == 0 {
                cut(name, room)
            } else {
                String::new()
            };
            let prefix = cut(prefix, width.saturating_sub(room + 4));
            lines.push(format!("  {name:<room$}  {prefix}"));
        }
    }
    lines.push(String::new());
    lines
}

/// The longest interruption of any direction in a step.
fn interrupted(played: &Played, step: usize) -> Option<String> {
    let carried = played
        .findings
        .traffic
        .iter()
        .filter(|carried| carried.step == step);
    let longest = carried.map(|carried| carried.traffic.interruption()).max();
    longest.map(words::duration)
}

/// Every requirement that was proven, and how many were not.
fn requirements(report: &Report, width: usize) -> Vec<String> {
    let proven = report
        .requirements
        .iter()
        .filter_map(|proven| Some((proven, proven.verdict?)));
    let mut lines: Vec<String> = proven
        .map(|(proven, verdict)| {
            let style = style(verdict);
            let word = verdict.word();
            let begin = format!("{:<8}{:<10}", proven.id, proven.level.word());
            let text = cut(&proven.text, width - 34);
            format!("  {begin}{style}{word:<12}{style:#}  {text}")
        })
        .collect();
    if lines.is_empty() {
        return lines;
    }
    lines.insert(0, format!("{BOLD}requirements{BOLD:#}"));
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for proven in report
        .requirements
        .iter()
        .filter(|proven| proven.verdict.is_none())
    {
        let reason = match proven.check {
            Check::Live | Check::Played => "live, by scenarios that were not played",
            other => other.words(),
        };
        *open.entry(reason).or_default() += 1;
    }
    let open: Vec<String> = open
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    for line in super::wrapped(&format!("others: {}", open.join(", ")), width - 2) {
        lines.push(format!("  {DIM}{line}{DIM:#}"));
    }
    lines.push(String::new());
    lines
}

/// `12 expectations in 2 scenarios, 14.2 s: 11 met, 1 missed`.
fn sum(report: &Report) -> String {
    let counts = report.counts();
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    let took: Duration = report
        .scenarios
        .iter()
        .map(|played| Duration::from(played.findings.took))
        .sum();
    let verdicts: Vec<String> = counts
        .iter()
        .rev()
        .map(|(verdict, count)| {
            let style = style(*verdict);
            format!("{style}{count} {}{style:#}", verdict.word())
        })
        .collect();
    let verdicts = match verdicts.is_empty() {
        true => {
            let style = style(Verdict::Blocked);
            format!("{style}nothing was played{style:#}")
        }
        false => verdicts.join(", "),
    };
    format!(
        "{} in {}, {}: {verdicts}",
        words::counted(all as u64, "expectation"),
        words::counted(report.scenarios.len() as u64, "scenario"),
        words::duration(took),
    )
}

fn detected(stage: &Stage) -> String {
    format!("{} ({})", time(stage.after), stage.layer)
}

fn time(nanos: Nanos) -> String {
    words::duration(nanos.into())
}

/// At most `width` characters; what is cut is marked.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    kept
}
