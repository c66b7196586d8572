//! A step that is over: from what was noted to findings.

use std::time::Duration;

use super::{Playing, Stopped, Watch};
use crate::judge::belief::{self, Claim};
use crate::judge::condition;
use crate::judge::decide::{Decision, decide, quiet_spell};
use crate::judge::detection;
use crate::judge::finding::{Evidence, Figure, Finding, Quantity, Verdict};
use crate::judge::settle;
use crate::judge::state::State;
use crate::judge::{lacp, microsoft, traffic, words};
use crate::measure::{Window, lateness};
use crate::provider::names::UTILISATION_EVENTS;
use crate::record::{Fact, Nanos};
use crate::scenario::{Act, Expect, Expectation, Step};
use crate::time::At;
use crate::topology::{Topology, of_session};

/// Probe losses shown as evidence at most.
const SHOWN_LOSSES: usize = 8;

/// Remedies shown of a settling at most.
const SHOWN_REMEDIES: usize = 4;

/// A step at its end.
pub(super) struct Ending<'p> {
    pub(super) playing: &'p Playing,
    pub(super) state: &'p State,
    pub(super) end: At,
    pub(super) stopped: Option<&'p Stopped>,
}

impl Ending<'_> {
    pub(super) fn settle(&self) -> Finding {
        let Playing { step, model, .. } = self.playing;
        let mut finding = about_step(*step, model, Verdict::Met, "");
        let (Some(decision), Act::Settle { within, except }) =
            (self.playing.settling(self.end), &model.act)
        else {
            return finding;
        };
        let missing = settle::missing(self.state, &self.playing.topology, except);
        let instead = missing
            .as_ref()
            .map_or_else(String::new, |missing| missing.to_string());
        self.conclude(
            &mut finding,
            decision,
            self.playing.started,
            *within,
            &instead,
        );
        if finding.verdict == Verdict::Met {
            finding.observed =
                "light, LACP, BFD, BGP and end-of-RIB on every connection".to_owned();
        }
        if let Some(missing) = missing {
            finding.help = all_remedies(&missing, self.state, &self.playing.topology);
        }
        finding
    }

    pub(super) fn expectation(&self, n: usize) -> Finding {
        let playing = self.playing;
        let expect = &playing.model.expect[n];
        let mut finding = blank(playing.step, Some(n), expect);
        let Some(acted) = playing.acted else {
            let why = match playing.settled {
                Some(_) => "a precondition never came: not everything settled",
                None => "what the step does was never observed to have happened",
            };
            self.unfinished(&mut finding, why);
            return finding;
        };
        match &playing.watches[n] {
            Watch::State(history) => {
                let decision = decide(history, acted, expect.within, expect.stays, self.end);
                let topology = &playing.topology;
                let instead = condition::instead(&expect.what, self.state, topology);
                self.conclude(&mut finding, decision, acted, expect.within, &instead);
                self.block_untried(&mut finding, &expect.what);
                if finding.verdict == Verdict::Missed {
                    finding.help = condition::help(&expect.what, self.state, topology);
                }
                self.explain(&mut finding, &expect.what);
            }
            Watch::Quiet(changes) => self.quiet(&mut finding, changes, acted, expect),
            Watch::Traffic => self.traffic(&mut finding, expect),
        }
        finding
    }

    /// What was not tried was not missed.
    fn block_untried(&self, finding: &mut Finding, what: &Expect) {
        let Playing {
            topology, entries, ..
        } = self.playing;
        let untried = || lacp::untried(what, self.state, topology, entries.iter());
        let failed = matches!(finding.verdict, Verdict::Missed | Verdict::Inconclusive);
        let Some((why, told)) = failed.then(untried).flatten() else {
            return;
        };
        finding.verdict = Verdict::Blocked;
        finding.observed = why;
        let told = told.map(|(line, entry)| Evidence {
            line: *line,
            entry: entry.clone(),
        });
        finding.evidence.extend(told);
    }

    /// Adds what Microsoft's checks say; and where the expectation was missed, the last fact about it and the remedy.
    fn explain(&self, finding: &mut Finding, what: &Expect) {
        if let Expect::Detected { .. } = what {
            self.layers(finding, what);
            return;
        }
        finding.failures = microsoft::failures(what, self.state);
        if finding.verdict != Verdict::Missed {
            return;
        }
        let remedies = microsoft::remedies(&finding.failures);
        if !remedies.is_empty() {
            finding.help = Some(remedies.join("\n"));
        }
        let last = |tells: &dyn Fn(&Fact) -> bool| {
            let mut entries = self.playing.entries.iter().rev();
            let (line, entry) = entries.find(|(_, entry)| tells(&entry.fact))?;
            let (line, entry) = (*line, entry.clone());
            Some(Evidence { line, entry })
        };
        if finding.evidence.is_empty() {
            let told = last(&|fact| microsoft::tells_of(what, fact));
            finding.evidence.extend(told);
        }
        // What is missing may have come, and been unfit.
        let malformed = last(&|fact| condition::is_malformed(what, fact));
        finding.evidence.extend(malformed);
    }

    /// Adds which layer noticed when, whatever was concluded from it.
    fn layers(&self, finding: &mut Finding, what: &Expect) {
        let entries = self.playing.entries.iter();
        let first = entries.filter(|(_, entry)| detection::rests_on(what, self.state, entry));
        finding.evidence = first
            .map(|(line, entry)| Evidence {
                line: *line,
                entry: entry.clone(),
            })
            .collect();
        if finding.verdict == Verdict::Met {
            finding.observed = condition::instead(what, self.state, &self.playing.topology);
        }
    }

    /// Turns the decision on a condition into a verdict that may be believed.
    fn conclude(
        &self,
        finding: &mut Finding,
        decision: Decision,
        clock: At,
        within: Duration,
        instead: &str,
    ) {
        let after_figure = |after: Duration| Figure {
            name: "after".to_owned(),
            value: Quantity::Nanoseconds(Nanos::from(after)),
            limit: Some(Quantity::Nanoseconds(Nanos::from(within))),
        };
        match decision {
            Decision::Met { change, after } => {
                finding.figures.push(after_figure(after));
                finding
                    .evidence
                    .extend(change.line.and_then(|line| self.evidence(line)));
                finding.observed = match (after.is_zero(), change.line) {
                    (true, None) => "already so".to_owned(),
                    // Before the step's clock started, but not before the step.
                    (true, Some(_)) => "at once".to_owned(),
                    (false, _) => format!("after {}", words::duration(after)),
                };
                let limit = within;
                self.settle_verdict(
                    finding,
                    Verdict::Met,
                    Claim::InTime { after, limit },
                    clock + after,
                );
            }
            Decision::Late { change, after, by } => {
                finding.figures.push(after_figure(after));
                finding
                    .evidence
                    .extend(change.line.and_then(|line| self.evidence(line)));
                finding.observed = format!(
                    "after {}, late by {}",
                    words::duration(after),
                    words::duration(by)
                );
                self.settle_verdict(
                    finding,
                    Verdict::Missed,
                    Claim::Excess { by },
                    clock + after,
                );
            }
            Decision::Lapsed {
                change,
                after,
                stayed,
            } => {
                finding.figures.push(after_figure(after));
                let evidence = change.line.and_then(|line| self.evidence(line));
                // At the end it may be so again: then what ended it is told.
                let ended = evidence.as_ref().filter(|_| instead.is_empty());
                let ended = ended.and_then(|evidence| words::fact(&evidence.entry.fact));
                let instead = ended.unwrap_or_else(|| instead.to_owned());
                finding.evidence.extend(evidence);
                let came = match after.is_zero() {
                    true => "it was so".to_owned(),
                    false => format!("after {}", words::duration(after)),
                };
                let stayed = words::duration(stayed);
                finding.observed = format!("{came}, but only for {stayed}: {instead}");
                if instead.is_empty() {
                    finding.observed.truncate(finding.observed.len() - 2);
                }
                self.settle_verdict(finding, Verdict::Missed, Claim::Disturbed, change.at);
            }
            Decision::Never { watched } => {
                let instead = if instead.is_empty() {
                    "it did not stay so"
                } else {
                    instead
                };
                finding.observed = format!("never in {}: {instead}", words::duration(watched));
                let by = watched.saturating_sub(within);
                self.settle_verdict(finding, Verdict::Missed, Claim::Excess { by }, self.end);
            }
            Decision::Pending { .. } => {
                let watched = self.end.since(clock);
                match watched.checked_sub(within).filter(|by| !by.is_zero()) {
                    Some(by) => {
                        finding.observed = format!(
                            "not in {}, when the step ended: {instead}",
                            words::duration(watched)
                        );
                        self.settle_verdict(
                            finding,
                            Verdict::Missed,
                            Claim::Excess { by },
                            self.end,
                        );
                    }
                    None => self.unfinished(finding, "the step ended before this was decided"),
                }
            }
        }
    }

    fn quiet(
        &self,
        finding: &mut Finding,
        changes: &[(At, usize)],
        acted: At,
        expect: &Expectation,
    ) {
        let spell = quiet_spell(changes, acted, expect.within, expect.stays, self.end);
        let lasted = spell.until(self.end).since(spell.begin);
        finding.figures.push(Figure {
            name: "quiet".to_owned(),
            value: Quantity::Nanoseconds(Nanos::from(lasted)),
            limit: Some(Quantity::Nanoseconds(Nanos::from(expect.stays))),
        });
        match spell.broken_by {
            _ if lasted >= expect.stays => {
                finding.verdict = Verdict::Met;
                finding.observed = format!("nothing changed for {}", words::duration(lasted));
            }
            Some((at, line)) => {
                let evidence = self.evidence(line);
                let what = evidence
                    .as_ref()
                    .and_then(|evidence| words::fact(&evidence.entry.fact));
                let what = what.unwrap_or_default();
                finding.observed = format!("after {}: {what}", words::duration(at.since(acted)));
                finding.evidence.extend(evidence);
                self.settle_verdict(finding, Verdict::Missed, Claim::Disturbed, at);
            }
            None => self.unfinished(finding, "the step ended before this was decided"),
        }
    }

    fn traffic(&self, finding: &mut Finding, expect: &Expectation) {
        let playing = self.playing;
        let window = Window {
            begin: playing.started,
            end: self.end,
        };
        let facts = playing.entries.iter().map(|(_, entry)| entry);
        let late = lateness(facts, window);
        let bfd = playing.topology.first_bfd_to_fall();
        let finished = self.stopped.is_none();
        let seen = traffic::Seen {
            entries: &playing.entries,
            before: &playing.before,
            state: self.state,
            window,
        };
        let judged = traffic::judge(expect, &seen, &late, bfd, finished);
        if !finished && judged.verdict != Verdict::Missed {
            self.unfinished(finding, "the step ended before this was decided");
            return;
        }
        finding.verdict = judged.verdict;
        finding.figures = judged.figures;
        finding.observed = judged.observed;
        finding.help = judged.help;
        if let Some((direction, around)) = judged.around {
            let losses = playing.entries.iter().filter(|(_, entry)| {
                matches!(&entry.fact, Fact::ProbeLost { from, to, first_sent, last_sent, .. }
                    if *from == direction.from && *to == direction.to
                        && *first_sent <= around.end && *last_sent >= around.begin)
            });
            finding
                .evidence
                .extend(losses.take(SHOWN_LOSSES).map(|(line, entry)| Evidence {
                    line: *line,
                    entry: entry.clone(),
                }));
        }
    }

    /// Gives a verdict, or `inconclusive` if this host was too late for the claim between the step's start and `until`.
    fn settle_verdict(&self, finding: &mut Finding, verdict: Verdict, claim: Claim, until: At) {
        let window = Window {
            begin: self.playing.started,
            end: until,
        };
        let facts = self.playing.entries.iter().map(|(_, entry)| entry);
        let late = lateness(facts, window);
        finding.verdict = verdict;
        let topology = &self.playing.topology;
        let what = finding
            .expectation
            .map(|n| &self.playing.model.expect[n].what);
        let unknown = what.and_then(|what| {
            let path = matches!(what, Expect::Path { .. } | Expect::RouterRoute { .. });
            let unknown = path.then(|| belief::doubt_of_paths(&late, topology));
            let left_out = || belief::doubt_of_routes(what, &self.playing.left_out, topology);
            unknown.flatten().or_else(left_out)
        });
        let strays = finding.expectation.and_then(|n| self.playing.strays[n]);
        let claim = match (claim, strays) {
            (Claim::Excess { by }, Some(strays)) => Claim::Excess { by: by.min(strays) },
            (claim, _) => claim,
        };
        // A load that is not reached, because probes were sent too late, raises no alarm.
        let of_load = matches!(what, Some(Expect::Event { event, .. }) if UTILISATION_EVENTS.contains(&event.as_str()));
        let claim = match claim {
            Claim::Excess { by } if of_load => Claim::Interrupted { by },
            claim => claim,
        };
        if let Some(doubt) =
            unknown.or_else(|| belief::doubt(claim, what, &late, topology.first_bfd_to_fall()))
        {
            finding.verdict = Verdict::Inconclusive;
            finding.observed = format!("{}, but {doubt}", finding.observed);
        }
    }

    /// It could not be decided: because the lab failed, the run was stopped, or for `otherwise`.
    fn unfinished(&self, finding: &mut Finding, otherwise: &str) {
        match self.stopped {
            Some(Stopped {
                why,
                errored: Some(evidence),
            }) => {
                finding.verdict = Verdict::Errored;
                finding.observed.clone_from(why);
                finding.evidence = vec![evidence.clone()];
            }
            Some(Stopped { why, errored: None }) => {
                finding.verdict = Verdict::Blocked;
                finding.observed.clone_from(why);
            }
            None => {
                finding.verdict = Verdict::Blocked;
                finding.observed = otherwise.to_owned();
            }
        }
    }

    fn evidence(&self, line: usize) -> Option<Evidence> {
        let entries = &self.playing.entries;
        let index = entries
            .binary_search_by_key(&line, |(line, _)| *line)
            .ok()?;
        let entry = entries[index].1.clone();
        Some(Evidence { line, entry })
    }
}

/// The findings of a step that was not played: one for each expectation, or one for a settle.
pub(in crate::judge) fn unplayed(
    step: usize,
    model: &Step,
    why: &str,
    errored: Option<Evidence>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(evidence) = errored {
        findings.push(failed(step, model, why, evidence));
    } else if matches!(model.act, Act::Settle { .. }) {
        findings.push(about_step(step, model, Verdict::Blocked, why));
    }
    for (n, expect) in model.expect.iter().enumerate() {
        let mut finding = blank(step, Some(n), expect);
        finding.verdict = Verdict::Blocked;
        finding.observed = why.to_owned();
        findings.push(finding);
    }
    findings
}

/// The lab failed at a step, or a signal ended the run there.
pub(in crate::judge) fn failed(
    step: usize,
    model: &Step,
    why: &str,
    evidence: Evidence,
) -> Finding {
    let mut finding = about_step(step, model, Verdict::Errored, why);
    finding.evidence.push(evidence);
    finding
}

/// The same verdict on everything in a step, and on the step itself when nothing is expected of it.
pub(super) fn said_of_all(
    step: usize,
    model: &Step,
    verdict: Verdict,
    why: &str,
    evidence: Evidence,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = model
        .expect
        .iter()
        .enumerate()
        .map(|(n, expect)| blank(step, Some(n), expect))
        .collect();
    if findings.is_empty() {
        findings.push(about_step(step, model, verdict, why));
    }
    for finding in &mut findings {
        finding.verdict = verdict;
        finding.observed = why.to_owned();
        finding.evidence = vec![evidence.clone()];
    }
    findings
}

pub(super) fn about_step(step: usize, model: &Step, verdict: Verdict, observed: &str) -> Finding {
    Finding {
        step,
        expectation: None,
        span: model.span,
        expected: words::step(model),
        verdict,
        figures: Vec::new(),
        observed: observed.to_owned(),
        help: None,
        evidence: Vec::new(),
        failures: Vec::new(),
    }
}

fn blank(step: usize, expectation: Option<usize>, expect: &Expectation) -> Finding {
    Finding {
        step,
        expectation,
        span: expect.span,
        expected: words::expectation(expect),
        verdict: Verdict::Blocked,
        figures: Vec::new(),
        observed: String::new(),
        help: None,
        evidence: Vec::new(),
        failures: Vec::new(),
    }
}

/// What would help the connections that are missing, each thing once.
fn all_remedies(missing: &settle::Missing, state: &State, topology: &Topology) -> Option<String> {
    let mut remedies: Vec<String> = Vec::new();
    for name in &missing.connections {
        let (connection, family) = of_session(name);
        let mut connections = topology.connections.iter();
        let Some(connection) = connections.find(|c| c.name == connection) else {
            continue;
        };
        for remedy in condition::remedies(state, topology, connection, family) {
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
    }
    let more = remedies.len().saturating_sub(SHOWN_REMEDIES);
    remedies.truncate(SHOWN_REMEDIES);
    if more > 0 {
        remedies.push(format!("and {more} more"));
    }
    (!remedies.is_empty()).then(|| remedies.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::settle::{Missing, Phase};

    #[test]
    fn what_helps_is_told_of_each_connection_once() {
        let path = std::path::Path::new("topologies/one-metro-four-members.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let told = |names: &[&str]| {
            let connections = names.iter().map(|name| (*name).to_owned()).collect();
            let phase = Phase::Bgp;
            all_remedies(
                &Missing { phase, connections },
                &State::default(),
                &topology,
            )
        };
        let of = |name: &str, router: &str| {
            format!(
                "no LACP partner was heard: make the members of {name} a LAG with LACP on {router}"
            )
        };
        let (one, two) = (of("ams-1", "ams-pe-1"), of("ams-2", "ams-pe-2"));
        assert_eq!(told(&["core and ams-pe-1"]), None);
        let both = ["ams-1", "ams-1/ipv6", "core and ams-pe-1", "ams-2"];
        assert_eq!(told(&both), Some(format!("{one}; {two}")));
    }
}
