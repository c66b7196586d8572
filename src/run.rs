//! Plays a scenario on a lab, step by step, and gathers the record.
//!
//! The record's entries go to three places in the same order: the file, the judge, the terminal. The judge decides
//! when a step is over; nothing here knows what an expectation means.
//!
//! **Invariant:** every step that is started is ended or the run is over; whatever happens, the lab is taken down.

mod host;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use self::host::HostWatch;
use crate::binding::Device;
use crate::device::{self, DeviceError};
use crate::judge::settle::{PHASES, Phase};
use crate::judge::{Findings, Judge};
use crate::lab::{Acted, Besides, Lab, LabError};
use crate::record::{Entries, Fact, LinesError, Noted, Recorder, SourceText};
use crate::registry::live::Servers;
use crate::scenario::{Act, Rehearsal};
use crate::time::{At, Clock};

/// How long a run waits for the routes that follow from settling.
const ROUTES: Duration = Duration::from_secs(2);
/// How often the audience hears that time passes.
const TICK: Duration = Duration::from_millis(200);
/// The same while a lab is only kept, where nobody waits for anything.
const REST: Duration = Duration::from_secs(60);

/// Who wants to see the record while it grows: the file and the terminal.
pub trait Audience {
    /// The next entry, which the judge has taken already.
    ///
    /// # Errors
    /// It could not be kept. This is told once.
    fn entry(&mut self, entry: &Noted, judge: &mut Judge<'_>) -> Result<(), LinesError>;

    /// Time passes without an entry.
    fn tick(&mut self, now: At, judge: &mut Judge<'_>);

    /// The lab is built, and nothing is settled yet.
    fn built(&mut self, _lab: &Lab) {}

    /// All steps were played. Whether the lab is to be kept as it is, until a signal asks for its end: its entries go on
    /// coming then, but the judge hears them no more, so that it does not grow for ever.
    fn keeps(&mut self, _judge: &mut Judge<'_>) -> bool {
        false
    }

    /// The command that does the same in user-mode Linux, whose kernel lacks nothing.
    fn in_uml(&self) -> String;
}

/// What a signal or a failure did to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The scenario was played.
    Played,
    /// A signal ended it; no further scenario is played.
    Interrupted,
}

/// Plays a scenario from the building of its lab to its end.
///
/// `interrupted` becomes ready with the name of the signal that asks the run to end. What is kept
/// besides the record goes into folders named after the scenario. Registries that are servers are asked by `servers`.
pub async fn play(
    rehearsal: &Rehearsal,
    sources: &Sources,
    servers: &Servers,
    besides: &Besides,
    audience: &mut dyn Audience,
    interrupted: &mut UnboundedReceiver<&'static str>,
) -> (Findings, Ending) {
    let clock = Clock::start();
    let (recorder, entries) = Recorder::new(clock);
    recorder.at(At::ZERO, sources.fact(clock));
    let mut stage = Stage {
        lab: None,
        judge: Judge::new(&rehearsal.scenario, &rehearsal.topology),
        clock,
        recorder,
        entries,
        audience,
        interrupted,
        ending: Ending::Played,
        kept: false,
    };
    let own = |folder: &PathBuf| folder.join(&rehearsal.scenario.name);
    let besides = Besides {
        pcap: besides.pcap.as_ref().map(own),
        mrt: besides.mrt.as_ref().map(own),
        bmp: besides.bmp.clone(),
    };
    match stage.whole(rehearsal, servers, &besides).await {
        Ok(()) => {}
        Err(error) if error.is_lack() => stage.blocked(stage.why(&error)),
        Err(error) => stage.recorder.now(Fact::Errored {
            text: error.to_string(),
        }),
    }
    stage.drain();
    (stage.judge.finish(), stage.ending)
}

/// Lets every device of a binding read its configuration, before anything is built.
///
/// # Errors
/// The first configuration that is refused, in the device's own words. A device that is not installed is no mistake
/// of the files: what needs it is blocked when it is played.
pub fn check_devices(rehearsal: &Rehearsal) -> Result<(), DeviceError> {
    let secrets = &rehearsal.topology.secrets;
    for (router, device) in &rehearsal.binding.routers {
        match device {
            Device::Simulated => {}
            Device::Daemon { daemon, config } => {
                match device::check(router, *daemon, config, secrets) {
                    Err(error) if !error.is_lack() => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
        }
    }
    Ok(())
}

/// The files of a rehearsal as they go into the record.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The scenario.
    pub scenario: SourceText,
    /// The topology.
    pub topology: SourceText,
    /// The binding, if any.
    pub binding: Option<SourceText>,
    /// Kernel, CPUs, user.
    pub host: String,
}

impl Sources {
    fn fact(&self, clock: Clock) -> Fact {
        Fact::Run {
            peerlab: env!("CARGO_PKG_VERSION").to_owned(),
            started: clock.wall().to_string(),
            scenario: self.scenario.clone(),
            topology: self.topology.clone(),
            binding: self.binding.clone(),
            host: self.host.clone(),
        }
    }
}

/// A run in progress.
struct Stage<'a> {
    lab: Option<Lab>,
    judge: Judge<'a>,
    clock: Clock,
    recorder: Recorder,
    entries: Entries,
    audience: &'a mut dyn Audience,
    interrupted: &'a mut UnboundedReceiver<&'static str>,
    ending: Ending,
    /// All steps were played, and the lab stays.
    kept: bool,
}

impl Stage<'_> {
    async fn whole(
        &mut self,
        rehearsal: &Rehearsal,
        servers: &Servers,
        besides: &Besides,
    ) -> Result<(), LabError> {
        let up = Lab::up(
            &rehearsal.topology,
            &rehearsal.binding,
            &rehearsal.scenario,
            servers,
            &self.recorder,
            besides,
        );
        let lab = tokio::select! {
            biased;
            lab = up => lab?,
            // Only while registries are asked: nothing is built yet.
            signal = self.interrupted.recv() => {
                self.interrupt(signal.unwrap_or("SIGTERM"));
                return Ok(());
            }
        };
        self.audience.built(&lab);
        self.lab = Some(lab);
        self.took("build", At::ZERO);
        let watch = HostWatch::start(self.recorder.clone());
        self.steps(rehearsal).await;
        drop(watch);
        if self.ending == Ending::Played && self.audience.keeps(&mut self.judge) {
            self.kept = true;
            while self.ending == Ending::Played {
                self.wait(None).await;
            }
        }
        let ended = self.clock.now();
        if let Some(lab) = self.lab.take() {
            lab.down().await;
        }
        self.took("down", ended);
        // A signal that came in the meantime ends the run too; it may still be on its way from its handler.
        let heard = timeout(Duration::from_millis(1), self.interrupted.recv()).await;
        if let Ok(Some(signal)) = heard
            && self.ending == Ending::Played
        {
            self.interrupt(signal);
        }
        Ok(())
    }

    /// Not even the first step can be tried, and so no other.
    fn blocked(&self, why: String) {
        self.recorder.now(Fact::StepStarted { step: 0 });
        self.recorder.now(Fact::StepBlocked { step: 0, why });
        self.recorder.now(Fact::StepEnded { step: 0 });
    }

    /// Why something cannot be tried, and with which kernel it can be.
    fn why(&self, error: &LabError) -> String {
        match error.is_of_kernel() {
            true => format!("{error}, or `{}`", self.audience.in_uml()),
            false => error.to_string(),
        }
    }

    async fn steps(&mut self, rehearsal: &Rehearsal) {
        for (step, planned) in rehearsal.scenario.steps.iter().enumerate() {
            self.drain();
            if self.judge.hopeless().is_some() {
                break;
            }
            self.recorder.now(Fact::StepStarted { step });
            let Some(lab) = &mut self.lab else { break };
            match lab.act(&planned.act).await {
                Ok(Acted::Done) => self.recorder.now(Fact::StepActed { step }),
                Ok(Acted::DoneAt(at)) => self.recorder.at(at, Fact::StepActed { step }),
                Ok(Acted::Impossible(why)) => self.recorder.now(Fact::StepBlocked { step, why }),
                Err(error) if error.is_of_kernel() => {
                    let why = self.why(&error);
                    self.recorder.now(Fact::StepBlocked { step, why });
                }
                Err(error) => self.failed(&error),
            }
            if let Act::Settle { within, except } = &planned.act {
                self.settle(*within, except).await;
            }
            self.until_done().await;
            self.recorder.now(Fact::StepEnded { step });
        }
        self.drain();
    }

    /// Records each phase of settling as it is completed, until all are or the time is over.
    async fn settle(&mut self, within: Duration, except: &[String]) {
        let mut began = self.clock.now();
        let limit = began + within;
        let mut next = 0;
        loop {
            self.drain();
            let missing = self.judge.unsettled(except).map(|missing| missing.phase);
            let complete = |phase: &Phase| missing.is_none_or(|missing| missing > *phase);
            while let Some(phase) = PHASES.get(next).copied().filter(complete) {
                self.took(phase.name(), began);
                began = self.clock.now();
                next += 1;
            }
            if missing.is_none() {
                return self.routes(except).await;
            }
            if self.judge.hopeless().is_some() || self.clock.now() >= limit {
                return;
            }
            self.wait(Some(limit)).await;
        }
    }

    /// Waits a moment for the routes that follow from what was settled.
    ///
    /// A peer that does not announce what it should never gets there; what is expected of its routes will tell.
    async fn routes(&mut self, except: &[String]) {
        let began = self.clock.now();
        let limit = began + ROUTES;
        while !self.judge.routed(except) {
            if self.judge.hopeless().is_some() || self.clock.now() >= limit {
                return;
            }
            self.wait(Some(limit)).await;
        }
        self.took("routes", began);
    }

    /// Waits until the judge says that the step is decided.
    async fn until_done(&mut self) {
        loop {
            self.drain();
            let progress = self.judge.progress(self.clock.now());
            if progress.done {
                if let Some(lab) = &mut self.lab
                    && let Err(error) = lab.last_counts().await
                {
                    self.failed(&error);
                }
                return;
            }
            self.wait(progress.wake).await;
        }
    }

    /// Waits for an entry, a signal, or a moment.
    async fn wait(&mut self, until: Option<At>) {
        let now = self.clock.now();
        self.audience.tick(now, &mut self.judge);
        let microsoft = self.lab.as_ref().and_then(Lab::deadline);
        let until = until.into_iter().chain(microsoft).min();
        let tick = if self.kept { REST } else { TICK };
        let wait = until.map_or(tick, |at| at.since(now).min(tick));
        tokio::select! {
            biased;
            signal = self.interrupted.recv() => self.interrupt(signal.unwrap_or("SIGTERM")),
            entry = timeout(wait, self.entries.next()) => {
                if let Ok(Some(entry)) = entry {
                    self.take(&entry);
                }
            }
        }
        let now = self.clock.now();
        if let Some(lab) = &mut self.lab
            && let Err(error) = lab.time_passes(now).await
        {
            self.failed(&error);
        }
    }

    fn failed(&self, error: &LabError) {
        let text = error.to_string();
        self.recorder.now(Fact::Errored { text });
    }

    fn interrupt(&mut self, signal: &'static str) {
        self.ending = Ending::Interrupted;
        self.recorder.now(Fact::Interrupted {
            signal: signal.to_owned(),
        });
        self.drain();
    }

    /// Takes every entry there is.
    fn drain(&mut self) {
        while let Ok(entry) = self.entries.try_next() {
            self.take(&entry);
        }
    }

    fn take(&mut self, entry: &Noted) {
        if !self.kept {
            self.judge.take(entry);
        }
        if let Some(lab) = &mut self.lab
            && let Err(error) = lab.hear(entry)
        {
            self.failed(&error);
        }
        if let Err(error) = self.audience.entry(entry, &mut self.judge) {
            let text = format!("failed to {error}");
            self.recorder.now(Fact::Errored { text });
        }
    }

    fn took(&mut self, phase: &str, since: At) {
        let took = self.clock.now().since(since).into();
        self.recorder.now(Fact::Phase {
            phase: phase.to_owned(),
            took,
        });
        self.drain();
    }
}
