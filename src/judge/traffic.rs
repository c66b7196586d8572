//! Probe traffic: when it is calm enough to be judged, and the judgement.

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::{Figure, Quantity, Verdict};
use super::state::State;
use super::{belief, words};
use crate::measure::{self, Direction, Lateness, OfMember, Traffic, Window};
use crate::record::{Entry, Nanos};
use crate::scenario::{Confined, Expect, Expectation, Quality};
use crate::source::Share;
use crate::time::At;
use crate::topology::BfdTimers;

/// The least time without loss after which traffic is called calm.
const CALM: Duration = Duration::from_millis(250);

/// What was seen of traffic in a step.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Its entries, with their lines.
    pub entries: &'a [(usize, Entry)],
    /// The way of each flow when it began, to the member, by direction.
    pub before: &'a BTreeMap<(String, String), BTreeMap<u16, String>>,
    /// How all is now.
    pub state: &'a State,
    /// From its beginning until now.
    pub window: Window,
}

/// What befell the flows of each member.
type ByMember = BTreeMap<String, OfMember>;

/// What is said of a traffic expectation.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Figures of the worst direction.
    pub figures: Vec<Figure>,
    /// What was observed.
    pub observed: String,
    /// What would help.
    pub help: Option<String>,
    /// The longest interruption of the worst direction, for the evidence.
    pub around: Option<(Direction, Window)>,
}

/// How long a direction must be without loss: every flow has sent several packets by then.
pub fn calm_time(direction: &Direction) -> Duration {
    CALM.max(direction.turn() * 4)
}

/// Whether all traffic of an expectation is calm and goes where it should, `since` being when the step's other
/// expectations were decided.
pub fn calm(
    expect: &Expectation,
    entries: &[(usize, Entry)],
    state: &State,
    window: Window,
    since: At,
) -> bool {
    let Expect::Traffic {
        flows,
        interrupted_at_most,
        lost_at_most,
        quality,
        confined,
        via,
    } = &expect.what
    else {
        return true;
    };
    let bounds_loss = quality.bounds_loss() || confined.lost_only_on.is_some();
    let lossy = bounds_loss && interrupted_at_most.is_none() && lost_at_most.is_none();
    let directions: Option<Vec<Direction>> = flows
        .iter()
        .map(|(from, to)| direction(state, from, to))
        .collect();
    let Some(directions) = directions else {
        // Nothing is being sent: waiting would not help.
        return true;
    };
    directions.iter().all(|direction| {
        let goes_right = match via {
            Some(via) => goes(state, direction, via),
            None => true,
        };
        if lossy {
            // There is no end of the loss to wait for.
            return goes_right;
        }
        let facts = entries.iter().map(|(_, entry)| entry);
        let tail = measure::tail(facts, direction, window);
        let (Some(calm_since), Some(told_until)) = (tail.calm_since, tail.told_until) else {
            return false;
        };
        tail.missing == 0
            && goes_right
            && told_until >= calm_since.max(since) + calm_time(direction)
    })
}

/// Judges a traffic expectation over the whole window of its step. In a step that was not `finished`, only limits that
/// were already exceeded count.
pub fn judge(
    expect: &Expectation,
    seen: &Seen<'_>,
    lateness: &Lateness,
    bfd: BfdTimers,
    finished: bool,
) -> Judged {
    let Seen {
        entries,
        before,
        state,
        window,
    } = *seen;
    let Expect::Traffic {
        flows,
        interrupted_at_most,
        lost_at_most,
        quality,
        confined,
        via,
    } = &expect.what
    else {
        return blocked("no traffic is expected here".to_owned(), None);
    };
    let mut measured = Vec::new();
    let mut by_member: Vec<ByMember> = Vec::new();
    for (from, to) in flows {
        let Some(direction) = direction(state, from, to) else {
            let help = format!(
                "send traffic in a step before: send = {{ from = \"{from}\", to = \"{to}\" }}"
            );
            return blocked(
                format!("no probe traffic goes from {from} to {to}"),
                Some(help),
            );
        };
        let facts = entries.iter().map(|(_, entry)| entry);
        let traffic = measure::traffic(facts.clone(), &direction, window);
        let ways = before.get(&(from.clone(), to.clone()));
        let ways = ways.cloned().unwrap_or_default();
        by_member.push(measure::by_member(facts, &direction, window, &ways));
        if traffic.sent == 0 {
            return blocked(
                format!("no probe packet was counted from {from} to {to} in this step"),
                None,
            );
        }
        measured.push(traffic);
    }
    let Some(worst) = measured
        .iter()
        .max_by_key(|traffic| (traffic.interruption(), traffic.lost_at_all()))
    else {
        return blocked("no direction is named".to_owned(), None);
    };
    let lost = measured.iter().map(Traffic::lost_at_all).max().unwrap_or(0);
    let mut figures = vec![Figure {
        name: "interrupted".to_owned(),
        value: Quantity::Nanoseconds(Nanos::from(worst.interruption())),
        limit: interrupted_at_most.map(|limit| Quantity::Nanoseconds(Nanos::from(limit))),
    }];
    figures.push(Figure {
        name: "lost".to_owned(),
        value: Quantity::Packets(lost),
        limit: lost_at_most.map(Quantity::Packets),
    });

    // Each fault with the doubt in it; going elsewhere is no matter of time, but sessions that fell by themselves are.
    let mut faults: Vec<(String, Option<String>)> = Vec::new();
    let mut doubt_of_success = None;
    let doubt = |claim| belief::doubt(claim, Some(&expect.what), lateness, bfd);
    if let Some(limit) = *interrupted_at_most {
        let interrupted = worst.interruption();
        match interrupted.checked_sub(limit).filter(|by| !by.is_zero()) {
            Some(by) => {
                let fault = format!(
                    "{} was interrupted for {}, {} more than allowed",
                    name(worst),
                    words::duration(interrupted),
                    words::duration(by)
                );
                faults.push((fault, doubt(belief::Claim::Interrupted { by })));
            }
            None => doubt_of_success = doubt(belief::Claim::Carried { interrupted, limit }),
        }
    }
    if let Some(limit) = *lost_at_most
        && lost > limit
    {
        let over = lost - limit;
        let fault = format!(
            "{} lost, {over} more than allowed{}",
            words::counted(lost, "packet"),
            lost_where(&by_member)
        );
        let by = Duration::from(worst.direction.every) * u32::try_from(over).unwrap_or(u32::MAX);
        faults.push((fault, doubt(belief::Claim::Interrupted { by })));
    }
    for traffic in measured.iter().filter(|_| finished) {
        if via
            .as_ref()
            .is_some_and(|via| !goes(state, &traffic.direction, via))
        {
            let to_the_member = via.iter().flatten().any(|way| way.contains('/'));
            let ways = ways(state, traffic, to_the_member);
            let fault = format!("{} goes over {ways}", name(traffic));
            faults.push((fault, doubt(belief::Claim::Disturbed)));
        }
    }
    for traffic in &measured {
        for (fault, by) in quality_faults(quality, traffic, finished) {
            let doubt = by.and_then(|by| doubt(belief::Claim::Interrupted { by }));
            faults.push((fault, doubt));
        }
    }
    for (traffic, by_member) in measured.iter().zip(&by_member) {
        let faults_elsewhere = elsewhere(confined, traffic, by_member);
        faults.extend(faults_elsewhere.into_iter().map(|fault| (fault, None)));
    }
    let missing: u64 = measured.iter().map(|traffic| traffic.missing).sum();
    if missing > 0 && finished && !quality.bounds_loss() && confined.lost_only_on.is_none() {
        let by = Duration::from(worst.direction.every) * u32::try_from(missing).unwrap_or(u32::MAX);
        let missing = words::counted(missing, "packet");
        faults.push((
            format!("{missing} had not arrived when the step ended"),
            doubt(belief::Claim::Interrupted { by }),
        ));
    }

    let around = worst.longest.map(|longest| {
        let window = Window {
            begin: longest.begin,
            end: longest.end,
        };
        (worst.direction.clone(), window)
    });
    let mut summary = summary(state, &measured, quality);
    summary.push_str(&lost_where(&by_member));
    let what: Vec<&str> = faults.iter().map(|(what, _)| what.as_str()).collect();
    let what = what.join("; ");
    // One fault beyond doubt is enough.
    let certain = faults.iter().any(|(_, doubt)| doubt.is_none());
    let doubt_of_fault = faults.iter().find_map(|(_, doubt)| doubt.as_ref());
    let (verdict, observed) = match (certain, doubt_of_fault, doubt_of_success) {
        (true, _, _) => (Verdict::Missed, what),
        (false, Some(doubt), _) => (Verdict::Inconclusive, format!("{what}, but {doubt}")),
        (false, None, Some(doubt)) => (Verdict::Inconclusive, format!("{summary}, but {doubt}")),
        (false, None, None) => (Verdict::Met, summary),
    };
    Judged {
        verdict,
        figures,
        observed,
        help: None,
        around,
    }
}

/// The bounds of quality that a direction does not keep, and by how much it is too slow. In a step that was not
/// `finished`, what is too little may still become enough.
fn quality_faults(
    quality: &Quality,
    traffic: &Traffic,
    finished: bool,
) -> Vec<(String, Option<Duration>)> {
    let share = |part: u64| Share::of(part, traffic.sent);
    let (name, lost) = (name(traffic), share(traffic.lost_at_all()));
    let slowest = Duration::from(traffic.slowest);
    let mut faults = Vec::new();
    if let Some(by) = quality
        .delay_at_most
        .and_then(|most| slowest.checked_sub(most))
        && !by.is_zero()
    {
        let slowest = words::duration(slowest);
        faults.push((format!("{name} took {slowest} at the slowest"), Some(by)));
    }
    if !finished {
        return faults;
    }
    // Of a share that is too great, more packets may yet make a smaller one.
    if quality.loss_at_most.is_some_and(|most| lost > most) {
        faults.push((format!("{name} lost {lost}, too much"), None));
    }
    let few = |least: Option<Share>, share: Share| least.is_some_and(|least| share < least);
    if few(quality.loss_at_least, lost) {
        faults.push((format!("{name} lost {lost}, too little"), None));
    }
    if quality.delay_at_least.is_some_and(|least| slowest < least) {
        let slowest = words::duration(slowest);
        faults.push((format!("{name} took no more than {slowest}"), None));
    }
    for (least, part, what) in [
        (
            quality.duplicated_at_least,
            traffic.duplicated,
            "arrived twice",
        ),
        (
            quality.reordered_at_least,
            traffic.reordered,
            "came out of order",
        ),
    ] {
        if few(least, share(part)) {
            let part = words::counted(part, "packet");
            faults.push((format!("of {name} {part} {what}, too few"), None));
        }
    }
    faults
}

/// What befell flows of other members than those to which it is confined.
fn elsewhere(confined: &Confined, traffic: &Traffic, by_member: &ByMember) -> Vec<String> {
    let mut faults = Vec::new();
    let others = |of: &Option<Vec<String>>, member: &String| {
        of.as_ref().is_some_and(|members| !members.contains(member))
    };
    for (member, OfMember { lost, moved, flows }) in by_member {
        if *lost > 0 && others(&confined.lost_only_on, member) {
            let lost = words::counted(*lost, "packet");
            faults.push(format!("{} lost {lost} on {member}", name(traffic)));
        }
        if *moved > 0 && others(&confined.moved_only_from, member) {
            let flow = |count: u16| words::counted(count.into(), "flow");
            // Of those that came to it later, more may move on than there were.
            let moved = match moved <= flows {
                true => format!("{moved} of {}", flow(*flows)),
                false => flow(*moved),
            };
            faults.push(format!("{moved} of {} moved from {member}", name(traffic)));
        }
    }
    faults
}

/// Where packets were lost, if some members lost none: `, all on ams-1/2`.
fn lost_where(directions: &[ByMember]) -> String {
    let mut members: BTreeMap<&str, u64> = BTreeMap::new();
    for (member, of) in directions.iter().flatten() {
        if member.contains('/') {
            *members.entry(member).or_default() += of.lost;
        }
    }
    let all = members.len();
    members.retain(|_, lost| *lost > 0);
    let names: Vec<&str> = members.into_keys().collect();
    match names.len() {
        lossy if lossy > 0 && lossy < all => format!(", all on {}", words::list(&names)),
        _ => String::new(),
    }
}

/// The direction as it is being sent, if it is.
pub fn direction(state: &State, from: &str, to: &str) -> Option<Direction> {
    let view = state.probe(from, to)?;
    view.running.then(|| Direction {
        from: from.to_owned(),
        to: to.to_owned(),
        every: view.every,
        flows: view.flows,
    })
}

fn goes(state: &State, direction: &Direction, via: &[String]) -> bool {
    let Some(view) = state.probe(&direction.from, &direction.to) else {
        return false;
    };
    let to_the_member = via.iter().any(|way| way.contains('/'));
    let ways = if to_the_member {
        &view.places
    } else {
        &view.via
    };
    let ways: Vec<String> = measure::ways(ways).into_keys().collect();
    let mut wanted = via.to_vec();
    wanted.sort();
    wanted.dedup();
    ways == wanted
}

fn summary(state: &State, measured: &[Traffic], quality: &Quality) -> String {
    let bounds_delay = quality.delay_at_least.is_some() || quality.delay_at_most.is_some();
    let each: Vec<String> = measured
        .iter()
        .map(|traffic| {
            let mut words = format!(
                "{} lost {} of {}, interrupted {}, over {}",
                name(traffic),
                traffic.lost_at_all(),
                traffic.sent,
                words::duration(traffic.interruption()),
                ways(state, traffic, false)
            );
            for (packets, how) in [
                (traffic.duplicated, "twice"),
                (traffic.reordered, "reordered"),
            ] {
                if packets > 0 {
                    words.push_str(&format!(", {packets} {how}"));
                }
            }
            if bounds_delay {
                let slowest = words::duration(traffic.slowest.into());
                words.push_str(&format!(", slowest {slowest}"));
            }
            words
        })
        .collect();
    each.join("; ")
}

fn name(traffic: &Traffic) -> String {
    format!("{} -> {}", traffic.direction.from, traffic.direction.to)
}

fn ways(state: &State, traffic: &Traffic, to_the_member: bool) -> String {
    let ways: BTreeMap<String, usize> = state
        .probe(&traffic.direction.from, &traffic.direction.to)
        .map(|view| {
            measure::ways(if to_the_member {
                &view.places
            } else {
                &view.via
            })
        })
        .unwrap_or_default();
    let names: Vec<String> = match ways.len() {
        1 => ways.into_keys().collect(),
        _ => ways
            .into_iter()
            .map(|(way, flows)| format!("{way} ({flows} flows)"))
            .collect(),
    };
    words::list(&names)
}

fn blocked(observed: String, help: Option<String>) -> Judged {
    Judged {
        verdict: Verdict::Blocked,
        figures: Vec::new(),
        observed,
        help,
        around: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1000 packets sent: 100 lost, 20 twice, 30 reordered, the slowest after 25 ms.
    fn measured() -> Traffic {
        Traffic {
            direction: Direction {
                from: "teams".to_owned(),
                to: "sbc".to_owned(),
                every: Nanos(1_000_000),
                flows: 64,
            },
            sent: 1000,
            lost: 90,
            missing: 10,
            duplicated: 20,
            reordered: 30,
            slowest: Nanos(25_000_000),
            longest: None,
            episodes: 90,
        }
    }

    #[test]
    fn each_bound_is_kept_to_the_last_packet() {
        let share = |text: &str| Some(text.parse().expect("a share"));
        let millis = |ms| Some(Duration::from_millis(ms));
        type Bound = fn(&mut Quality) -> &mut Option<Share>;
        let shares: [(Bound, &str, &str); 4] = [
            (|q| &mut q.loss_at_least, "10%", "10.1%"),
            (|q| &mut q.loss_at_most, "10%", "9.9%"),
            (|q| &mut q.duplicated_at_least, "2%", "2.1%"),
            (|q| &mut q.reordered_at_least, "3%", "3.1%"),
        ];
        for (bound, kept, missed) in shares {
            for (limit, faults) in [(kept, 0), (missed, 1)] {
                let mut quality = Quality::default();
                *bound(&mut quality) = share(limit);
                let found = |finished| quality_faults(&quality, &measured(), finished).len();
                assert_eq!(found(true), faults, "{quality:?}");
                // A share may yet become greater or smaller.
                assert_eq!(found(false), 0, "unfinished: {quality:?}");
            }
        }
        for (least, most, by) in [
            (millis(25), millis(25), None),
            (millis(26), None, Some(None)),
            (None, millis(20), Some(millis(5))),
        ] {
            let quality = Quality {
                delay_at_least: least,
                delay_at_most: most,
                ..Quality::default()
            };
            let found = quality_faults(&quality, &measured(), true);
            let found = found.first().map(|(_, by)| *by);
            assert_eq!(found, by, "{quality:?}");
        }
    }

    #[test]
    fn flows_that_moved_are_told_of_those_that_were_there() {
        let confined = Confined {
            lost_only_on: None,
            moved_only_from: Some(vec!["a/1".to_owned()]),
        };
        let moved = |flows, moved| {
            let of = OfMember {
                flows,
                lost: 0,
                moved,
            };
            let members = ["a/1", "a/2"].map(|name| (name.to_owned(), of));
            elsewhere(&confined, &measured(), &members.into())
        };
        assert_eq!(moved(3, 2), ["2 of 3 flows of teams -> sbc moved from a/2"]);
        assert_eq!(moved(0, 49), ["49 flows of teams -> sbc moved from a/2"]);
    }
}
