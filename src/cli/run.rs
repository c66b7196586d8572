//! `peerlab run SCENARIO…`: builds the lab of each scenario, plays it, and says which expectations held.

mod files;

use std::fs;
use std::path::PathBuf;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

use self::files::Loaded;
use crate::judge::Judge;
use crate::kernel::enter::{self, HeldSignals};
use crate::record::{Entry, Fact, LinesError, Writer};
use crate::report::{self, Played, RECORD, Report, Terminal};
use crate::run::{self, Audience, Ending};
use crate::time::At;

/// Exit number for wrong files or usage.
const WRONG_FILES: u8 = 2;
/// Exit number when the lab failed.
const LAB_FAILED: u8 = 4;

/// Arguments of `peerlab run`.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// Scenario files, or folders with scenario files.
    #[arg(required = true)]
    pub scenarios: Vec<PathBuf>,
    /// Which device plays each router, in place of what the scenario says. Of a folder, only the
    /// scenarios that it fits are played.
    #[arg(long, value_name = "FILE")]
    pub binding: Option<PathBuf>,
    /// Write record.jsonl, report.json and junit.xml into this folder.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

/// Plays the scenarios and returns the exit number.
pub fn run(arguments: &RunArguments) -> u8 {
    let loaded = match files::load(&arguments.scenarios, arguments.binding.as_deref()) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            anstream::eprintln!("{}", mistakes.render(true));
            return WRONG_FILES;
        }
    };
    let mut gallery = match Gallery::open(arguments.report.as_deref().map(PathBuf::from)) {
        Ok(gallery) => gallery,
        Err(text) => {
            anstream::eprintln!("error: {text}");
            return LAB_FAILED;
        }
    };
    for note in &loaded.left_out {
        gallery.terminal.note(note);
    }
    let held = match enter::enter() {
        Ok(held) => held,
        Err(error) => {
            anstream::eprintln!("error: failed to {error}");
            return LAB_FAILED;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let played = play_all(loaded, gallery, held);
            runtime.block_on(LocalSet::new().run_until(played))
        }
        Err(error) => {
            anstream::eprintln!("error: failed to start the runtime: {error}");
            LAB_FAILED
        }
    }
}

async fn play_all(loaded: Loaded, mut gallery: Gallery, held: HeldSignals) -> u8 {
    let mut interrupted = signals();
    held.release();
    let mut scenarios = Vec::new();
    for (rehearsal, sources) in &loaded.rehearsals {
        let binding = sources
            .binding
            .as_ref()
            .map(|binding| binding.path.as_str());
        gallery.terminal.begin(&rehearsal.scenario, binding);
        let (findings, ending) =
            run::play(rehearsal, sources, &mut gallery, &mut interrupted).await;
        for finding in findings.findings.iter().skip(gallery.shown) {
            gallery.terminal.finding(finding);
        }
        if let Some(first) = gallery.first.take() {
            let played = Played::new(&first.fact, &rehearsal.scenario, findings);
            gallery.terminal.end(&played);
            scenarios.push(played);
        }
        gallery.shown = 0;
        if ending == Ending::Interrupted {
            break;
        }
    }
    gallery.close(&Report::of(scenarios))
}

/// Where a run is shown and kept: the terminal and the report folder.
struct Gallery {
    terminal: Terminal<anstream::Stdout>,
    folder: Option<PathBuf>,
    record: Option<Writer>,
    /// The first entry of the present run.
    first: Option<Entry>,
    /// Findings of the present run that were shown.
    shown: usize,
}

impl Gallery {
    fn open(folder: Option<PathBuf>) -> Result<Gallery, String> {
        let record = match &folder {
            Some(folder) => {
                fs::create_dir_all(folder).map_err(|error| {
                    format!("failed to make the folder {}: {error}", folder.display())
                })?;
                let writer = Writer::create(&folder.join(RECORD));
                Some(writer.map_err(|error| format!("failed to {error}"))?)
            }
            None => None,
        };
        let terminal = Terminal::stdout();
        Ok(Gallery {
            terminal,
            folder,
            record,
            first: None,
            shown: 0,
        })
    }

    /// Shows the summary and writes the report; returns the exit number.
    fn close(mut self, report: &Report) -> u8 {
        self.terminal.summary(report);
        let Some(folder) = self.folder else {
            return report.exit;
        };
        if let Err(error) = report::write(report, &folder) {
            anstream::eprintln!("error: failed to {error}");
            return LAB_FAILED;
        }
        if self.record.is_some_and(|record| record.broken()) {
            LAB_FAILED
        } else {
            report.exit
        }
    }
}

impl Audience for Gallery {
    fn entry(&mut self, entry: &Entry, judge: &mut Judge<'_>) -> Result<(), LinesError> {
        if matches!(entry.fact, Fact::Run { .. }) {
            self.first = Some(entry.clone());
        }
        self.terminal.entry(entry);
        while let Some(finding) = judge.poll() {
            self.terminal.finding(finding);
            self.shown += 1;
        }
        match &mut self.record {
            Some(record) => record.write(entry),
            None => Ok(()),
        }
    }

    fn tick(&mut self, now: At, judge: &mut Judge<'_>) {
        self.terminal.tick(now, judge);
    }
}

/// The signals that ask the run to end, as they come.
fn signals() -> UnboundedReceiver<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = unbounded_channel();
    let kinds = [
        (SignalKind::interrupt(), "SIGINT"),
        (SignalKind::terminate(), "SIGTERM"),
        (SignalKind::hangup(), "SIGHUP"),
        (SignalKind::quit(), "SIGQUIT"),
    ];
    for (kind, name) in kinds {
        // Without a handler the signal ends the program at once, which leaves nothing either.
        if let Ok(mut stream) = signal(kind) {
            let sender = sender.clone();
            tokio::task::spawn_local(async move {
                while stream.recv().await.is_some() {
                    let _ = sender.send(name);
                }
            });
        }
    }
    receiver
}
