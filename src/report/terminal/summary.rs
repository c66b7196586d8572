//! The end of a run: failover times, requirements, and the sum of verdicts.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{BOLD, DIM, style};
use crate::conformance::Check;
use crate::judge::{self, Carried, PrefixEnded, Verdict, words};
use crate::measure::{BfdPartner, Convergence, LacpPartner, Stage};
use crate::record::{Nanos, Punctuality};
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
        None => format!(
            "{}: not detected before the next change or the end",
            event.fault
        ),
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

/// What the partner of a BFD session did that is worth a line: nothing, if nobody tried it, and it and BGP did everything right.
pub(super) fn bfd(partner: &BfdPartner) -> Vec<String> {
    let mut told = Vec::new();
    for rhythm in &partner.rhythms {
        let outside = rhythm.early.saturating_add(rhythm.late);
        if u64::from(outside) * 100 > u64::from(rhythm.intervals) {
            let rhythm = judge::bfd::rhythm(rhythm);
            told.push(format!("packets {rhythm}{}", through(partner.impaired)));
        }
    }
    if partner.demanded {
        told.push("asked for Demand mode, so this end fell silent".to_owned());
    }
    if partner.unasked > 0 {
        told.push("other intervals without a Poll".to_owned());
    }
    if !partner.discarded.is_empty() {
        let why = partner.discarded.join(", ");
        told.push(format!("packets were discarded: {why}"));
    }
    told.extend(detections(&partner.detected));
    // That BGP followed is worth no line of its own.
    if !told.is_empty() || partner.bgp_followed.contains(&None) {
        told.extend(followed(&partner.bgp_followed));
    }
    if told.is_empty() {
        return told;
    }
    let (router, session) = (&partner.router, &partner.session);
    let name = match words::bfd_name(router, session) {
        name if name == *session => format!("{name} at {router}"),
        name => name.into_owned(),
    };
    told[0] = format!("partner of bfd {name}: {}", told[0]);
    told
}

/// When silence was detected: each time by itself, or of many the range for each detection time.
fn detections(all: &[(Nanos, Nanos)]) -> Vec<String> {
    let mut by_due: BTreeMap<Nanos, Vec<Nanos>> = BTreeMap::new();
    for (after, due) in all {
        by_due.entry(*due).or_default().push(*after);
    }
    let told = by_due.iter().map(|(due, after)| {
        let range = range(after);
        format!("detected silence {range} ({} due)", time(*due))
    });
    told.collect()
}

/// How long after losses of BFD its BGP session was lost.
fn followed(all: &[Option<Nanos>]) -> Vec<String> {
    let after: Vec<Nanos> = all.iter().copied().flatten().collect();
    let not = all.len() - after.len();
    let followed = (!after.is_empty()).then(|| format!("BGP followed BFD {}", range(&after)));
    let not = (not > 0).then(|| match not {
        1 => "BGP did not follow BFD".to_owned(),
        times => format!("BGP did not follow BFD {times} times"),
    });
    followed.into_iter().chain(not).collect()
}

/// One or more times in words: `after 450 ms`, or `3 times, after 450 to 452 ms`.
fn range(times: &[Nanos]) -> String {
    let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) else {
        return "never".to_owned();
    };
    let (least, most) = (time(*least), time(*most));
    match times.len() {
        1 => format!("after {least}"),
        n if least == most => format!("{n} times, after {least}"),
        n => format!("{n} times, after {least} to {most}"),
    }
}

/// What the partners of members did that is worth a line: nothing, if they did everything right. Those of a LAG that did the same
/// are named together.
pub(super) fn lacp(partners: &[LacpPartner]) -> Vec<Vec<String>> {
    let mut lags: Vec<(&LacpPartner, Vec<String>, Vec<String>)> = Vec::new();
    for partner in partners {
        let told = of_member(partner);
        if told.is_empty() {
            continue;
        }
        let name = format!("{}/{}", partner.connection, partner.member);
        let of = |it: &LacpPartner| (it.router.clone(), it.connection.clone());
        let mut same = lags.iter_mut();
        match same.find(|(first, _, said)| of(first) == of(partner) && *said == told) {
            Some((_, members, _)) => members.push(name),
            None => lags.push((partner, vec![name], told)),
        }
    }
    let line = |(first, members, mut told): (&LacpPartner, Vec<String>, Vec<String>)| {
        let which = match members.len() {
            1 => format!("partner of member {}", members[0]),
            _ => format!("partner of members {}", judge::words::list(&members)),
        };
        told[0] = format!("{which} at {}: {}", first.router, told[0]);
        told
    };
    lags.into_iter().map(line).collect()
}

/// That what was heard came through cables that the lab impaired, if so: what is lost there looks late.
fn through(impaired: bool) -> &'static str {
    match impaired {
        true => " (the lab impaired its cables)",
        false => "",
    }
}

fn of_member(partner: &LacpPartner) -> Vec<String> {
    let mut told = Vec::new();
    for rhythm in &partner.rhythms {
        if rhythm.early.saturating_add(rhythm.late) > rhythm.intervals / 16 {
            let rhythm = judge::lacp::rhythm(rhythm);
            told.push(format!("LACPDUs {rhythm}{}", through(partner.impaired)));
        }
    }
    if partner.distributed_early > 0 {
        told.push("said that it distributes before it had heard that this end collects".to_owned());
    }
    if let Some(data) = &partner.early_data {
        told.push(judge::lacp::early_data(
            data.frames,
            &data.before,
            &data.first,
        ));
    }
    let asked = partner.asked.saturating_sub(partner.under_way);
    if partner.answered < asked {
        let missing = asked - partner.answered;
        told.push(format!("left {missing} of {asked} markers unanswered"));
    }
    if partner.slowest_answer > Nanos(1_000_000_000) {
        let took = time(partner.slowest_answer);
        told.push(format!("answered a marker after {took}"));
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
    lines.extend(host(report, width));
    lines.push(sum(report));
    lines
}

/// How late our packets left: of several scenarios the worst of each figure.
fn host(report: &Report, width: usize) -> Vec<String> {
    let mut worst: BTreeMap<&str, Punctuality> = BTreeMap::new();
    for played in &report.scenarios {
        for (protocol, of) in &played.findings.lateness.packets {
            let known = worst.entry(protocol).or_default();
            *known = Punctuality {
                packets: known.packets + of.packets,
                kernel_stamped: known.kernel_stamped + of.kernel_stamped,
                p50: known.p50.max(of.p50),
                p99: known.p99.max(of.p99),
                p999: known.p999.max(of.p999),
                longest: known.longest.max(of.longest),
            };
        }
    }
    let told = worst.iter().map(|(protocol, of)| {
        if of.packets == 0 {
            return format!("  {protocol:<5} none of ours was due");
        }
        let [p50, p99, p999] = [of.p50, of.p99, of.p999].map(time);
        let text = format!("{p50} (p50), {p99} (p99), {p999} (p99.9) late");
        let stamped = of.kernel_stamped.saturating_mul(100) / of.packets;
        let packets = of.packets;
        let text =
            format!("  {protocol:<5} {text}, of {packets}; {stamped} % stamped by the kernel");
        cut(&text, width)
    });
    let told: Vec<String> = told.collect();
    let head = match report.scenarios.len() {
        1 => "how late this host let packets leave",
        _ => "how late this host let packets leave, at worst",
    };
    let head = (!told.is_empty()).then(|| format!("{BOLD}{head}{BOLD:#}"));
    let end = (!told.is_empty()).then(String::new);
    head.into_iter().chain(told).chain(end).collect()
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
                interrupted(played, event.step..=event.until_step.max(event.step)),
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

/// The longest interruption of any direction in these steps.
fn interrupted(played: &Played, steps: RangeInclusive<usize>) -> Option<String> {
    let carried = played
        .findings
        .traffic
        .iter()
        .filter(|carried| steps.contains(&carried.step));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever was silent: our end, which was told to be, or a cable.
    #[test]
    fn that_bgp_did_not_follow_bfd_is_told_of_every_loss() {
        let followed_at = |router: &str, session: &str, after: &[Option<u64>]| {
            let after = after
                .iter()
                .map(|after| after.map(|ms| Nanos(ms * 1_000_000)));
            bfd(&BfdPartner {
                router: router.to_owned(),
                session: session.to_owned(),
                bgp_followed: after.collect(),
                ..BfdPartner::default()
            })
        };
        let followed = |after: &[Option<u64>]| followed_at("edge", "ams-1", after);
        for (router, session, name) in [
            ("wan", "edge/ipv6", "wan/edge/ipv6"),
            ("pe", "core", "pe/core"),
            ("edge", "ams-1/2", "ams-1/2 at edge"),
        ] {
            let expected = format!("partner of bfd {name}: BGP did not follow BFD");
            assert_eq!(followed_at(router, session, &[None]), [expected]);
        }
        let begin = "partner of bfd ams-1 at edge: BGP";
        assert_eq!(followed(&[]), [""; 0]);
        assert_eq!(followed(&[Some(3)]), [""; 0]);
        assert_eq!(followed(&[None]), [format!("{begin} did not follow BFD")]);
        assert_eq!(
            followed(&[None, Some(3), None]),
            [
                format!("{begin} followed BFD after 3 ms"),
                "BGP did not follow BFD 2 times".to_owned()
            ]
        );
    }

    /// A packet that the lab lost is no jitter of the partner.
    #[test]
    fn a_rhythm_through_impaired_cables_is_told_as_such() {
        let ms = |millis: u64| Nanos(millis * 1_000_000);
        let rhythm = crate::record::BfdRhythm {
            interval: ms(150),
            intervals: 100,
            shortest: ms(113),
            median: ms(130),
            p99: ms(280),
            longest: ms(280),
            early: 0,
            late: 5,
        };
        for (impaired, end) in [
            (true, "jitter (the lab impaired its cables)"),
            (false, "jitter"),
        ] {
            let told = bfd(&BfdPartner {
                rhythms: vec![rhythm],
                impaired,
                ..BfdPartner::default()
            });
            assert!(told[0].ends_with(end), "{told:?}");
        }
    }

    #[test]
    fn partners_of_a_lag_that_did_the_same_are_named_together() {
        let partner = |connection: &str, member, early| LacpPartner {
            router: "edge".to_owned(),
            connection: connection.to_owned(),
            member,
            distributed_early: early,
            ..LacpPartner::default()
        };
        let slow = LacpPartner {
            asked: 4,
            under_way: 1,
            answered: 2,
            slowest_answer: Nanos(2_000_000_000),
            ..partner("a", 4, 1)
        };
        let partners = [
            partner("a", 1, 1),
            partner("a", 2, 0),
            partner("a", 3, 2),
            slow,
            partner("b", 1, 1),
        ];
        let early = "said that it distributes before it had heard that this end collects";
        let told = lacp(&partners);
        assert_eq!(
            told,
            [
                vec![format!("partner of members a/1 and a/3 at edge: {early}")],
                vec![
                    format!("partner of member a/4 at edge: {early}"),
                    "left 1 of 3 markers unanswered".to_owned(),
                    "answered a marker after 2 s".to_owned()
                ],
                vec![format!("partner of member b/1 at edge: {early}")],
            ]
        );
    }
}
