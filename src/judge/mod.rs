//! Expectations and facts in, findings out: one pure value for the live run and for a kept record.
//!
//! ```text
//! let mut judge = Judge::new(&scenario, &topology).after(lines_before);
//! loop {                                  // the run, for every entry in the order in which it goes to the record
//!     judge.take(&entry);
//!     while let Some(finding) = judge.poll() { terminal.finding(finding) }
//!     let progress = judge.progress(now); // also when `progress.wake` has come without an entry
//!     if progress.done { record StepEnded, take it too, and begin the next step }
//!     if judge.hopeless().is_some() { record StepEnded, take it, and play no further step }
//! }
//! let findings = judge.finish();
//! ```
//!
//! The run writes, and gives to [`Judge::take`], for every step: [`Fact::StepStarted`]; then [`Fact::StepActed`] when what
//! it does was observed to have happened (at once for `send`, `stop`, `hold`; a `settle` needs none), or
//! [`Fact::StepBlocked`]; and [`Fact::StepEnded`] when [`Judge::progress`] says `done`. Findings of a step are final when
//! its `StepEnded` was taken, and depend on nothing but the entries up to it, in their order: [`judge`] on the kept record
//! gives the same. `now` must not be earlier than the last entry taken.
//!
//! - The clock of a step is its `StepActed`; `within` and `stays` count from there. A `settle` itself counts from
//!   `StepStarted`; its clock, for what is expected after it, is the moment when everything had settled.
//! - A condition that already holds is met at once (and must stay). An unmet condition is watched for a
//!   [`grace`](decide::grace) after its limit, to say how late it came.
//! - Quiet begins with the clock or with a change within `within` of it, and lasts for `stays`.
//! - Traffic is judged over the whole step, from `StepStarted` to `StepEnded`. The step lasts at least `stays`, until every
//!   other expectation is decided and the traffic has then been calm for [`traffic::calm_time`], or until the grace after
//!   its limit is over.
//! - A `hold` lasts its time, a `send` until every direction has its first tally (at most 1 s).
//! - After a settle that was missed or a step that was blocked every later expectation is blocked.
//! - [`belief`] says when a verdict is inconclusive.
//!
//! **Invariant:** no clock, no I/O; the same entries give the same findings.

pub mod belief;
pub mod bfd;
pub mod condition;
pub mod decide;
pub mod detection;
mod finding;
mod impaired;
pub mod lacp;
pub mod microsoft;
mod session;
pub mod settle;
mod sieve;
pub mod state;
mod step;
pub mod traffic;
pub mod wiring;
pub mod words;

#[cfg(test)]
mod tests;

pub use finding::{
    Carried, Evidence, Figure, Finding, Findings, PhaseTook, PrefixEnded, Quantity, Verdict,
    exit_number,
};
pub use state::State;

use std::collections::VecDeque;

use crate::measure;
use crate::record::{Entry, Fact, Nanos};
use crate::scenario::{Act, Scenario};
use crate::time::At;
use crate::topology::Topology;
use impaired::Impairments;
use sieve::Sieve;
use step::Playing;

/// Judges one run of one scenario, entry by entry.
#[derive(Debug, Clone)]
pub struct Judge<'a> {
    scenario: &'a Scenario,
    topology: &'a Topology,
    state: State,
    /// The line of the last entry taken.
    lines: usize,
    first: Option<At>,
    now: At,
    playing: Option<Playing>,
    /// The first step that has no findings yet.
    next_step: usize,
    findings: Vec<Finding>,
    fresh: VecDeque<usize>,
    /// Why nothing further can be tried, if so.
    hopeless: Option<Hopeless>,
    /// Entries that are measured at the end; probe losses, which may be many, are left out, and most of many routes.
    slim: Vec<Entry>,
    sieve: Sieve,
    traffic: Vec<Carried>,
    /// What was wrong with cables at the end of some step.
    wiring: Vec<String>,
}

/// Why nothing further can be tried.
#[derive(Debug, Clone)]
struct Hopeless {
    why: String,
    /// The lab failed or a signal came, and no finding says so yet.
    errored: Option<Evidence>,
}

/// How far the current step is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The step may be ended.
    pub done: bool,
    /// When to ask again if no entry comes before.
    pub wake: Option<At>,
    /// Expectations of the step that are not decided yet.
    pub waiting: Vec<usize>,
}

impl<'a> Judge<'a> {
    /// A judge that has seen nothing yet. Its first entry is the run's [`Fact::Run`].
    pub fn new(scenario: &'a Scenario, topology: &'a Topology) -> Judge<'a> {
        Judge {
            scenario,
            topology,
            state: State::default(),
            lines: 0,
            first: None,
            now: At::ZERO,
            playing: None,
            next_step: 0,
            findings: Vec::new(),
            fresh: VecDeque::new(),
            hopeless: None,
            slim: Vec::new(),
            sieve: Sieve::default(),
            traffic: Vec::new(),
            wiring: Vec::new(),
        }
    }

    /// Lines of the record before this run's first, so that findings can name lines.
    #[must_use]
    pub fn after(mut self, lines: usize) -> Judge<'a> {
        self.lines = lines;
        self
    }

    /// Takes the next entry of the record.
    pub fn take(&mut self, entry: &Entry) {
        self.lines += 1;
        self.first.get_or_insert(entry.at);
        self.now = self.now.max(entry.at);
        self.state.apply(entry.at, &entry.fact);
        let measured = !matches!(entry.fact, Fact::ProbeLost { .. } | Fact::Run { .. });
        if measured && self.sieve.keeps(entry) {
            self.slim.push(entry.clone());
        }
        match &entry.fact {
            Fact::StepStarted { step } => {
                self.end_step();
                self.begin_step(*step, entry);
            }
            Fact::StepEnded { .. } => {
                self.note(entry);
                self.end_step();
            }
            Fact::Errored { text } => {
                self.note(entry);
                self.give_up(text.clone(), Some(self.evidence(entry)));
            }
            Fact::Interrupted { signal } => {
                self.note(entry);
                let why = format!("the run was ended by {signal}");
                self.give_up(why, Some(self.evidence(entry)));
            }
            _ => self.note(entry),
        }
    }

    /// How far the current step is at `now`. Without a step: done.
    pub fn progress(&mut self, now: At) -> Progress {
        let Some(playing) = &mut self.playing else {
            return Progress {
                done: true,
                ..Progress::default()
            };
        };
        let mut progress = playing.progress(&self.state, now);
        progress.done |= self.hopeless.is_some();
        progress
    }

    /// What the current step still waits for, in words.
    pub fn waiting(&mut self, now: At) -> Vec<String> {
        let progress = self.progress(now);
        let Some(playing) = &self.playing else {
            return Vec::new();
        };
        if let Act::Settle { except, .. } = &playing.model().act
            && let Some(missing) = self.unsettled(except)
        {
            let phase = missing.phase.name();
            return vec![format!("{phase} of {}", words::list(&missing.connections))];
        }
        let expect = &playing.model().expect;
        let waiting = progress.waiting.iter().filter_map(|n| expect.get(*n));
        waiting.map(words::expectation).collect()
    }

    /// The next finding that became final.
    pub fn poll(&mut self) -> Option<&Finding> {
        let index = self.fresh.pop_front()?;
        self.findings.get(index)
    }

    /// All findings that are final.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Why no further step can be tried: settling was missed, a step was blocked, the lab failed, or a signal came.
    pub fn hopeless(&self) -> Option<&str> {
        self.hopeless.as_ref().map(|hopeless| hopeless.why.as_str())
    }

    /// The state of the lab as told so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What settling still lacks, for the run's [`Fact::Phase`] and for the person who waits.
    pub fn unsettled(&self, except: &[String]) -> Option<settle::Missing> {
        settle::missing(&self.state, self.topology, except)
    }

    /// Whether packets are forwarded over every connection, which follows settling a moment later.
    pub fn routed(&self, except: &[String]) -> bool {
        settle::routed(&self.state, self.topology, except)
    }

    /// No further entry comes. Steps that were not played are blocked.
    pub fn finish(mut self) -> Findings {
        if self.playing.is_some() {
            self.give_up("the record ends here".to_owned(), None);
            self.end_step();
        }
        if self.next_step < self.scenario.steps.len() && self.hopeless.is_none() {
            self.give_up("the record ends before this step".to_owned(), None);
        }
        self.block_until(self.scenario.steps.len());
        self.say_what_nothing_says();
        let whole = measure::Window {
            begin: self.first.unwrap_or(self.now),
            end: self.now,
        };
        let steps = &self.scenario.steps;
        let only_watches = |step: usize| steps.get(step).is_some_and(|it| it.act.only_watches());
        let mut bfd = measure::bfd_partners(&self.slim);
        let mut lacp = measure::lacp_partners(&self.slim);
        let impairments = Impairments::of(&self.slim, self.scenario, self.topology);
        impairments.mark(&mut bfd, &mut lacp);
        Findings {
            scenario: self.scenario.name.clone(),
            proves: self.scenario.proves.clone(),
            findings: self.findings,
            convergence: measure::convergence(&self.slim, self.topology, only_watches),
            bfd,
            lacp,
            wiring: self.wiring,
            members: measure::member_traffic(&self.slim),
            traffic: self.traffic,
            prefixes: microsoft::ended(&self.state, self.scenario),
            phases: phases(&self.slim),
            lateness: measure::lateness(&self.slim, whole),
            took: Nanos::from(whole.end.since(whole.begin)),
        }
    }

    fn evidence(&self, entry: &Entry) -> Evidence {
        Evidence {
            line: self.lines,
            entry: entry.clone(),
        }
    }

    fn note(&mut self, entry: &Entry) {
        if let Some(playing) = &mut self.playing {
            playing.note(self.lines, entry, &self.state);
        }
    }

    fn begin_step(&mut self, step: usize, entry: &Entry) {
        self.block_until(step);
        if let Some(model) = self.scenario.steps.get(step) {
            let playing = Playing::new(step, model, self.topology, entry.at, &self.state);
            self.playing = Some(playing);
        }
    }

    fn end_step(&mut self) {
        let Some(playing) = self.playing.take() else {
            return;
        };
        self.next_step = playing.step + 1;
        for fault in wiring::faults(&self.state, self.topology) {
            let text = format!("{fault}; {}", fault.remedy());
            if !self.wiring.contains(&text) {
                self.wiring.push(text);
            }
        }
        self.traffic.extend(playing.carried(&self.state, self.now));
        let stopped = self.hopeless.as_mut().map(|hopeless| step::Stopped {
            why: hopeless.why.clone(),
            errored: hopeless.errored.take(),
        });
        let (findings, hopeless) = playing.end(&self.state, self.now, stopped);
        if let Some(why) = hopeless {
            self.give_up(why, None);
        }
        for finding in findings {
            self.push(finding);
        }
    }

    /// Blocks the steps before `until` that have no findings.
    fn block_until(&mut self, until: usize) {
        while self.next_step < until.min(self.scenario.steps.len()) {
            let step = self.next_step;
            self.next_step += 1;
            let model = &self.scenario.steps[step];
            let (why, errored) = match &mut self.hopeless {
                Some(hopeless) => (hopeless.why.clone(), hopeless.errored.take()),
                None => ("this step was not played".to_owned(), None),
            };
            for finding in step::unplayed(step, model, &why, errored) {
                self.push(finding);
            }
        }
    }

    /// What failed when all was decided, while the lab was taken down, is said of the last step.
    fn say_what_nothing_says(&mut self) {
        let Some((evidence, why)) = self.hopeless.as_mut().and_then(|hopeless| {
            let evidence = hopeless.errored.take()?;
            Some((evidence, hopeless.why.clone()))
        }) else {
            return;
        };
        if let Some((last, model)) = self.scenario.steps.iter().enumerate().next_back() {
            self.push(step::failed(last, model, &why, evidence));
        }
    }

    fn push(&mut self, finding: Finding) {
        self.fresh.push_back(self.findings.len());
        self.findings.push(finding);
    }

    /// The first reason stays; a failure of the lab overrides it.
    fn give_up(&mut self, why: String, errored: Option<Evidence>) {
        if self.hopeless.is_none() || errored.is_some() {
            self.hopeless = Some(Hopeless { why, errored });
        }
    }
}

/// The phases that were told, in order.
fn phases(entries: &[Entry]) -> Vec<PhaseTook> {
    let phases = entries.iter().filter_map(|entry| match &entry.fact {
        Fact::Phase { phase, took } => Some(PhaseTook {
            phase: phase.clone(),
            took: *took,
        }),
        _ => None,
    });
    phases.collect()
}

/// Judges a kept run: the entries from its [`Fact::Run`] to the next one or the record's end.
pub fn judge<'e>(
    entries: impl IntoIterator<Item = &'e Entry>,
    scenario: &Scenario,
    topology: &Topology,
) -> Findings {
    let mut judge = Judge::new(scenario, topology);
    for entry in entries {
        judge.take(entry);
    }
    judge.finish()
}
