//! One step while it is played, and its findings when it is over.

mod ending;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::condition;
use super::decide::{Decision, History, decide, grace, quiet_spell};
use super::finding::{Carried, Evidence, Finding, Verdict};
use super::settle;
use super::sieve::Sieve;
use super::state::State;
use super::{Progress, microsoft, traffic};
use crate::measure::{self, Window, ways};
use crate::record::{Entry, Fact};
use crate::scenario::{Act, Expect, Expectation, Step};
use crate::time::At;
use crate::topology::Topology;

use ending::{Ending, about_step, said_of_all};
pub(super) use ending::{failed, unplayed};

/// How long a `send` waits for the first tally of each direction, and for the way of each of its flows.
const FIRST_TALLY: Duration = Duration::from_secs(1);

/// A step that is being played.
#[derive(Debug, Clone)]
pub(super) struct Playing {
    pub(super) step: usize,
    model: Step,
    topology: Topology,
    started: At,
    acted: Option<At>,
    blocked: Option<(String, Evidence)>,
    /// The step's entries with their record lines; of many routes those that count.
    entries: Vec<(usize, Entry)>,
    sieve: Sieve,
    watches: Vec<Watch>,
    /// By how much packets of a partner missed the rhythm that is expected, at most, for each expectation.
    strays: Vec<Option<Duration>>,
    /// Whether all is settled, for a `settle`.
    settled: Option<History>,
    /// The way each direction's flows went when the step began, to the member.
    before: BTreeMap<(String, String), BTreeMap<u16, String>>,
    /// Sessions of which facts of routes were left out while it was played or before, as (router, session).
    left_out: BTreeSet<(String, String)>,
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
        let watch = |expect: &Expectation| match &expect.what {
            Expect::Traffic { .. } => Watch::Traffic,
            Expect::Quiet => Watch::Quiet(Vec::new()),
            what => Watch::State(History::new(
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
            sieve: Sieve::default(),
            watches: model.expect.iter().map(watch).collect(),
            strays: vec![None; model.expect.len()],
            settled,
            before: state
                .probes()
                .map(|(from, to, probe)| ((from.to_owned(), to.to_owned()), probe.places.clone()))
                .collect(),
            left_out: state
                .left_out()
                .map(|(router, session)| (router.to_owned(), session.to_owned()))
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
            Fact::RoutesLeftOut {
                router, session, ..
            } => {
                self.left_out.insert((router.clone(), session.clone()));
            }
            _ => {}
        }
        let mut kept = self.sieve.keeps(entry);
        if let (Some(history), Act::Settle { except, .. }) = (&mut self.settled, &self.model.act) {
            let settled = settle::missing(state, &self.topology, except).is_none();
            kept |= history.note(entry.at, settled, line);
            self.acted = self.settled_at(entry.at);
        }
        let watches = self.watches.iter_mut().zip(&mut self.strays);
        for ((watch, strays), expect) in watches.zip(&self.model.expect) {
            match watch {
                Watch::State(history) if condition::matters(&entry.fact) => {
                    let holds = condition::holds(&expect.what, state, &self.topology);
                    if !holds {
                        *strays = condition::strays(&expect.what, state, &self.topology);
                    }
                    kept |= history.note(entry.at, holds, line);
                    kept |= microsoft::tells_of(&expect.what, &entry.fact);
                }
                Watch::Quiet(changes) if disturbs(&entry.fact) => changes.push((entry.at, line)),
                Watch::State(_) | Watch::Traffic | Watch::Quiet(_) => {}
            }
        }
        if kept {
            self.entries.push((line, entry.clone()));
        }
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
        running.all(|(from, to, probe)| {
            let seen = probe.places.len() == usize::from(probe.flows);
            seen && self.entries.iter().any(|(_, entry)| {
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
            let before = self.before(from, to);
            Some(Carried {
                step: self.step,
                traffic: measure::traffic(facts.clone(), &direction, window),
                by_member: measure::by_member(facts, &direction, window, &before),
                before: connections(&before),
                after: ways(&probe.via),
            })
        });
        directions.collect()
    }

    /// The way a direction's flows went when the step began, to the member.
    fn before(&self, from: &str, to: &str) -> BTreeMap<u16, String> {
        let before = self.before.get(&(from.to_owned(), to.to_owned()));
        before.cloned().unwrap_or_default()
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
        let all = |verdict: fn(Verdict) -> bool| findings.iter().all(|f| verdict(f.verdict));
        match &stopped {
            Some(Stopped {
                why,
                errored: Some(evidence),
            }) if all(|verdict| verdict != Verdict::Errored) => {
                let mut finding = about_step(self.step, &self.model, Verdict::Errored, why);
                finding.evidence.push(evidence.clone());
                findings.push(finding);
            }
            // What was cut off is no success, even if all that was expected had been met.
            Some(Stopped { why, errored: None }) if all(|verdict| verdict == Verdict::Met) => {
                findings.push(about_step(self.step, &self.model, Verdict::Blocked, why));
            }
            Some(_) | None => {}
        }
        (findings, hopeless)
    }
}

/// The ways without their members.
fn connections(places: &BTreeMap<u16, String>) -> BTreeMap<String, usize> {
    let connection = |place: &String| match place.split_once('/') {
        Some((connection, _)) => connection.to_owned(),
        None => place.clone(),
    };
    let via = places
        .iter()
        .map(|(flow, place)| (*flow, connection(place)));
    ways(&via.collect())
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
        Watch::Traffic => None,
    }
}

/// Whether a fact breaks the quiet.
fn disturbs(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Lag { .. }
            | Fact::Member { .. }
            | Fact::Bfd { .. }
            | Fact::MicroBfd { .. }
            | Fact::Bgp { .. }
    )
}
