//! One step while it is played, and its findings when it is over.

use std::collections::BTreeMap;
use std::time::Duration;

use super::belief::{self, Claim};
use super::condition;
use super::decide::{Decision, History, decide, grace};
use super::finding::{Carried, Evidence, Figure, Finding, Quantity, Verdict};
use super::settle;
use super::state::State;
use super::{Progress, traffic, words};
use crate::measure::{self, Window, lateness, ways};
use crate::record::{Entry, Fact, Nanos};
use crate::scenario::{Act, Expect, Expectation, Step};
use crate::time::At;
use crate::topology::Topology;

/// How long a `send` waits for the first tally of each direction.
const FIRST_TALLY: Duration = Duration::from_secs(1);
/// Probe losses shown as evidence at most.
const SHOWN_LOSSES: usize = 8;

/// A step that is being played.
#[derive(Debug, Clone)]
pub(super) struct Playing {
    pub(super) step: usize,
    model: Step,
    topology: Topology,
    started: At,
    acted: Option<At>,
    blocked: Option<(String, Evidence)>,
    /// The step's entries with their record lines.
    entries: Vec<(usize, Entry)>,
    watches: Vec<Watch>,
    /// Whether all is settled, for a `settle`.
    settled: Option<History>,
    /// The way each direction's flows went when the step began.
    before: BTreeMap<(String, String), BTreeMap<String, usize>>,
    /// When everything but traffic was decided.
    others_decided: Option<At>,
    /// The number of entries when traffic was last looked at, and what was seen.
    calm: Option<(usize, bool)>,
}

/// What is noted of one expectation while its step is played.
#[derive(Debug, Clone)]
enum Watch {
    /// An expectation on the state.
    State(History),
    /// Traffic: measured from the entries.
    Traffic,
    /// Quiet: the changes, with their lines.
    Quiet(Vec<(At, usize)>),
    /// It cannot be judged, and why.
    Unjudgeable(&'static str),
}

/// Why a step was ended before its time.
#[derive(Debug, Clone)]
pub(super) struct Stopped {
    pub(super) why: String,
    pub(super) errored: Option<Evidence>,
}

impl Playing {
    pub(super) fn new(
        step: usize,
        model: &Step,
        topology: &Topology,
        started: At,
        state: &State,
    ) -> Playing {
        let watch =
            |expect: &Expectation| match (&expect.what, condition::unjudgeable(&expect.what)) {
                (_, Some(why)) => Watch::Unjudgeable(why),
                (Expect::Traffic { .. }, None) => Watch::Traffic,
                (Expect::Quiet, None) => Watch::Quiet(Vec::new()),
                (what, None) => Watch::State(History::new(
                    started,
                    condition::holds(what, state, topology),
                )),
            };
        let settled = match &model.act {
            Act::Settle { except, .. } => {
                let settled = settle::missing(state, topology, except).is_none();
                Some(History::new(started, settled))
            }
            _ => None,
        };
        Playing {
            step,
            model: model.clone(),
            topology: topology.clone(),
            started,
            acted: None,
            blocked: None,
            entries: Vec::new(),
            watches: model.expect.iter().map(watch).collect(),
            settled,
            before: state
                .probes()
                .map(|(from, to, probe)| ((from.to_owned(), to.to_owned()), ways(&probe.via)))
                .collect(),
            others_decided: None,
            calm: None,
        }
    }

    /// The step as the scenario has it.
    pub(super) fn model(&self) -> &Step {
        &self.model
    }

    /// Notes an entry, `state` being the state after it.
    pub(super) fn note(&mut self, line: usize, entry: &Entry, state: &State) {
        match &entry.fact {
            Fact::StepActed { step } if *step == self.step && self.settled.is_none() => {
                self.acted.get_or_insert(entry.at);
            }
            Fact::StepBlocked { step, why } if *step == self.step => {
                let evidence = Evidence {
                    line,
                    entry: entry.clone(),
                };
                self.blocked.get_or_insert((why.clone(), evidence));
            }
            _ => {}
        }
        if let (Some(history), Act::Settle { except, .. }) = (&mut self.settled, &self.model.act) {
            let settled = settle::missing(state, &self.topology, except).is_none();
            history.note(entry.at, settled, line);
            self.acted = self.settled_at(entry.at);
        }
        for (watch, expect) in self.watches.iter_mut().zip(&self.model.expect) {
            match watch {
                Watch::State(history) if condition::matters(&entry.fact) => {
                    let holds = condition::holds(&expect.what, state, &self.topology);
                    history.note(entry.at, holds, line);
                }
                Watch::Quiet(changes) if disturbs(&entry.fact) => changes.push((entry.at, line)),
                Watch::State(_) | Watch::Traffic | Watch::Quiet(_) | Watch::Unjudgeable(_) => {}
            }
        }
        self.entries.push((line, entry.clone()));
    }

    /// When a `settle` did what it is for, in time.
    fn settled_at(&self, now: At) -> Option<At> {
        match self.settling(now)? {
            Decision::Met { after, .. } => Some(self.started + after),
            Decision::Pending { .. }
            | Decision::Late { .. }
            | Decision::Lapsed { .. }
            | Decision::Never { .. } => None,
        }
    }

    /// How a `settle` goes, counted from its start.
    fn settling(&self, now: At) -> Option<Decision> {
        let Act::Settle { within, .. } = &self.model.act else {
            return None;
        };
        let history = self.settled.as_ref()?;
        Some(decide(history, self.started, *within, Duration::ZERO, now))
    }

    /// How far the step is.
    pub(super) fn progress(&mut self, state: &State, now: At) -> Progress {
        if self.blocked.is_some() {
            return Progress {
                done: true,
                ..Progress::default()
            };
        }
        let Some(acted) = self.acted else {
            let settling = self.settling(now);
            return Progress {
                // A settle that was missed.
                done: settling
                    .as_ref()
                    .is_some_and(|d| !matches!(d, Decision::Pending { .. })),
                wake: settling.and_then(Decision::until),
                waiting: (0..self.watches.len()).collect(),
            };
        };
        let mut wake: Option<At> = None;
        let mut waiting = Vec::new();
        let mut soonest = |at: At| wake = Some(wake.map_or(at, |wake| wake.min(at)));
        let mut busy = false;
        for (n, (watch, expect)) in self.watches.iter().zip(&self.model.expect).enumerate() {
            if let Some(until) = pending(watch, expect, acted, now) {
                until.into_iter().for_each(&mut soonest);
                waiting.push(n);
            }
        }
        match &self.model.act {
            Act::Hold { time, .. } if now < acted + *time => {
                soonest(acted + *time);
                busy = true;
            }
            Act::Send { .. } if now < acted + FIRST_TALLY && !self.all_tallied(state) => {
                soonest(acted + FIRST_TALLY);
                busy = true;
            }
            _ => {}
        }
        let others_done = waiting.is_empty() && !busy;
        if others_done {
            let since = *self.others_decided.get_or_insert(now);
            let until = self.traffic_pending(state, acted, since, now);
            for (n, at) in until {
                soonest(at);
                waiting.push(n);
            }
        } else {
            waiting.extend(self.traffic_expectations().map(|(n, _)| n));
        }
        Progress {
            done: others_done && waiting.is_empty(),
            wake,
            waiting,
        }
    }

    /// Traffic expectations that are not calm yet, and until when they are waited for.
    fn traffic_pending(
        &mut self,
        state: &State,
        acted: At,
        since: At,
        now: At,
    ) -> Vec<(usize, At)> {
        let window = Window {
            begin: self.started,
            end: now,
        };
        let seen = self.entries.len();
        let calm = match self.calm {
            Some((counted, calm)) if counted == seen => calm,
            _ => self
                .traffic_expectations()
                .all(|(_, e)| traffic::calm(e, &self.entries, state, window, since)),
        };
        self.calm = Some((seen, calm));
        self.traffic_expectations()
            .filter_map(|(n, expect)| {
                let Expect::Traffic {
                    interrupted_at_most,
                    ..
                } = &expect.what
                else {
                    return None;
                };
                let limit = interrupted_at_most.unwrap_or_default().max(expect.within);
                let give_up = since.max(acted + limit) + grace(limit);
                let least = acted + expect.stays;
                match now {
                    now if now < least => Some((n, least)),
                    now if calm || now >= give_up => None,
                    _ => Some((n, give_up)),
                }
            })
            .collect()
    }

    fn traffic_expectations(&self) -> impl Iterator<Item = (usize, &Expectation)> {
        let expectations = self.model.expect.iter().enumerate();
        expectations.filter(|(_, expect)| matches!(expect.what, Expect::Traffic { .. }))
    }

    fn all_tallied(&self, state: &State) -> bool {
        let mut running = state.probes().filter(|(_, _, probe)| probe.running);
        running.all(|(from, to, _)| {
            self.entries.iter().any(|(_, entry)| {
                matches!(&entry.fact, Fact::ProbeTally { from: f, to: t, .. } if f == from && t == to)
            })
        })
    }

    /// What every direction that is being sent went through.
    pub(super) fn carried(&self, state: &State, end: At) -> Vec<Carried> {
        let window = Window {
            begin: self.started,
            end,
        };
        let directions = state.probes().filter_map(|(from, to, probe)| {
            let direction = traffic::direction(state, from, to)?;
            let facts = self.entries.iter().map(|(_, entry)| entry);
            let before = self.before.get(&(from.to_owned(), to.to_owned()));
            Some(Carried {
                step: self.step,
                traffic: measure::traffic(facts, &direction, window),
                before: before.cloned().unwrap_or_default(),
                after: ways(&probe.via),
            })
        });
        directions.collect()
    }

    /// The findings of the step, which ends at `end`; and why nothing further can be tried, if so.
    pub(super) fn end(
        self,
        state: &State,
        end: At,
        stopped: Option<Stopped>,
    ) -> (Vec<Finding>, Option<String>) {
        if let Some((why, evidence)) = &self.blocked {
            let findings = said_of_all(
                self.step,
                &self.model,
                Verdict::Blocked,
                why,
                evidence.clone(),
            );
            return (
                findings,
                Some(format!("step {} could not be tried: {why}", self.step + 1)),
            );
        }
        let ending = Ending {
            playing: &self,
            state,
            end,
            stopped: stopped.as_ref(),
        };
        let mut findings = Vec::new();
        let mut hopeless = None;
        if self.settled.is_some() {
            let finding = ending.settle();
            if !matches!(finding.verdict, Verdict::Met | Verdict::Inconclusive) {
                hopeless = Some(format!("a precondition never came: {}", finding.observed));
            }
            findings.push(finding);
        }
        for n in 0..self.watches.len() {
            findings.push(ending.expectation(n));
        }
        if findings.iter().all(|f| f.verdict != Verdict::Errored)
            && let Some(Stopped {
                why,
                errored: Some(evidence),
            }) = &stopped
        {
            let mut finding = about_step(self.step, &self.model, Verdict::Errored, why);
            finding.evidence.push(evidence.clone());
            findings.push(finding);
        }
        (findings, hopeless)
    }
}

/// A step at its end.
struct Ending<'p> {
    playing: &'p Playing,
    state: &'p State,
    end: At,
    stopped: Option<&'p Stopped>,
}

impl Ending<'_> {
    fn settle(&self) -> Finding {
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
            let topology = &self.playing.topology;
            finding.help = topology
                .connections
                .iter()
                .filter(|c| missing.connections.contains(&c.name))
                .find_map(|c| condition::remedy(self.state, topology, c));
        }
        finding
    }

    fn expectation(&self, n: usize) -> Finding {
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
            Watch::Unjudgeable(why) => {
                finding.verdict = Verdict::Blocked;
                finding.observed = (*why).to_owned();
            }
            Watch::State(history) => {
                let decision = decide(history, acted, expect.within, expect.stays, self.end);
                let topology = &playing.topology;
                let instead = condition::instead(&expect.what, self.state, topology);
                self.conclude(&mut finding, decision, acted, expect.within, &instead);
                if finding.verdict == Verdict::Missed {
                    finding.help = condition::help(&expect.what, self.state, topology);
                }
            }
            Watch::Quiet(changes) => self.quiet(&mut finding, changes, acted, expect),
            Watch::Traffic => self.traffic(&mut finding, expect),
        }
        finding
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
                finding.observed = match after.is_zero() {
                    true => "already so".to_owned(),
                    false => format!("after {}", words::duration(after)),
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
                finding
                    .evidence
                    .extend(change.line.and_then(|line| self.evidence(line)));
                finding.observed = format!(
                    "after {}, but only for {}: {instead}",
                    words::duration(after),
                    words::duration(stayed)
                );
                if instead.is_empty() {
                    finding.observed.truncate(finding.observed.len() - 2);
                }
                self.settle_verdict(finding, Verdict::Missed, Claim::Disturbed, change.at);
            }
            Decision::Never { watched } => {
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
                    .map(|evidence| change_words(&evidence.entry.fact));
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
        let bfd = playing.topology.profile.bfd;
        let judged = traffic::judge(expect, &playing.entries, self.state, window, &late, bfd);
        if let (Some(_), Verdict::Met | Verdict::Blocked) = (self.stopped, judged.verdict) {
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
        if let Some(doubt) = belief::doubt(claim, &late, self.playing.topology.profile.bfd) {
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
pub(super) fn unplayed(
    step: usize,
    model: &Step,
    why: &str,
    errored: Option<Evidence>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(evidence) = errored {
        let mut finding = about_step(step, model, Verdict::Errored, why);
        finding.evidence.push(evidence);
        findings.push(finding);
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

/// The same verdict on everything in a step, and on the step itself when nothing is expected of it.
fn said_of_all(
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

fn about_step(step: usize, model: &Step, verdict: Verdict, observed: &str) -> Finding {
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
    }
}

/// Whether an expectation is undecided, and until when at most. Traffic is not asked here.
fn pending(watch: &Watch, expect: &Expectation, acted: At, now: At) -> Option<Option<At>> {
    match watch {
        Watch::State(history) => match decide(history, acted, expect.within, expect.stays, now) {
            Decision::Pending { until } => Some(until),
            Decision::Met { .. }
            | Decision::Late { .. }
            | Decision::Lapsed { .. }
            | Decision::Never { .. } => None,
        },
        Watch::Quiet(changes) => {
            let spell = quiet_spell(changes, acted, expect.within, expect.stays, now);
            let pending = spell.broken_by.is_none() && now < spell.begin + expect.stays;
            pending.then_some(Some(spell.begin + expect.stays))
        }
        Watch::Traffic | Watch::Unjudgeable(_) => None,
    }
}

/// A time without changes.
struct Spell {
    begin: At,
    /// The change that ended it, with its line.
    broken_by: Option<(At, usize)>,
}

impl Spell {
    fn until(&self, now: At) -> At {
        self.broken_by.map_or(now, |(at, _)| at)
    }
}

/// The first spell of quiet that begins within `within` of the clock and lasts for `stays`; failing that, the last that could.
fn quiet_spell(
    changes: &[(At, usize)],
    clock: At,
    within: Duration,
    stays: Duration,
    now: At,
) -> Spell {
    let mut spell = Spell {
        begin: clock,
        broken_by: None,
    };
    for (at, line) in changes.iter().filter(|(at, _)| *at >= clock && *at <= now) {
        if at.since(spell.begin) >= stays {
            break;
        }
        if *at > clock + within {
            spell.broken_by.get_or_insert((*at, *line));
            break;
        }
        spell.begin = *at;
    }
    spell
}

/// Whether a fact breaks the quiet.
fn disturbs(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Lag { .. } | Fact::Member { .. } | Fact::Bfd { .. } | Fact::Bgp { .. }
    )
}

fn change_words(fact: &Fact) -> String {
    match fact {
        Fact::Lag {
            router,
            connection,
            up,
            ..
        } => format!("{router}: lag {connection} {}", words::up_down(*up)),
        Fact::Member {
            router,
            connection,
            member,
            receive,
            distributing,
            ..
        } => format!(
            "{router}: member {connection}.{member} {} ({receive})",
            words::up_down(*distributing)
        ),
        Fact::Bfd {
            router,
            connection,
            state,
            ..
        } => format!("{router}: bfd {connection} {state}"),
        Fact::Bgp {
            router,
            session,
            state,
            why,
        } if why.is_empty() => format!("{router}: session {session} {state}"),
        Fact::Bgp {
            router,
            session,
            state,
            why,
        } => format!("{router}: session {session} {state} ({why})"),
        _ => String::new(),
    }
}
