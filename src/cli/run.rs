//! `peerlab run SCENARIO…`: builds the lab of each scenario, plays it, and says which expectations held.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

use crate::kernel::enter::{self, HeldSignals};
use crate::run::{self, Audience, Ending, Sources};
use crate::scenario::{self, Rehearsal};
use crate::source::Diagnostics;

/// Arguments of `peerlab run`.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// Scenario files, or folders with scenario files.
    #[arg(required = true)]
    pub scenarios: Vec<PathBuf>,
    /// Which device plays each router, in place of what the scenario says.
    #[arg(long, value_name = "FILE")]
    pub binding: Option<PathBuf>,
    /// Folder for record.jsonl, report.json and junit.xml.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

/// Plays the scenarios and returns the exit number.
pub fn run(arguments: &RunArguments) -> u8 {
    let rehearsals = match load(arguments) {
        Ok(rehearsals) => rehearsals,
        Err(mistakes) => {
            anstream::eprintln!("{}", mistakes.render(true));
            return 2;
        }
    };
    let held = match enter::enter() {
        Ok(held) => held,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            return 4;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(LocalSet::new().run_until(play_all(&rehearsals, held))),
        Err(error) => {
            anstream::eprintln!("error: start the runtime: {error}");
            4
        }
    }
}

async fn play_all(rehearsals: &[Rehearsal], held: HeldSignals) -> u8 {
    let mut interrupted = signals();
    held.release();
    let mut verdicts = Vec::new();
    for rehearsal in rehearsals {
        let mut watcher = Printer;
        let (findings, ending) = run::play(
            rehearsal,
            &sources(rehearsal),
            &mut watcher,
            &mut interrupted,
        )
        .await;
        println!("{findings:#?}");
        verdicts.push(findings.verdict());
        if ending == Ending::Interrupted {
            break;
        }
    }
    crate::judge::exit_number(verdicts)
}

struct Printer;
impl Audience for Printer {
    fn entry(&mut self, entry: &crate::record::Entry, _judge: &mut crate::judge::Judge<'_>) {
        println!("{} {:?}", entry.at, entry.fact);
    }
}

fn sources(rehearsal: &Rehearsal) -> Sources {
    Sources {
        scenario: text(&rehearsal.source.path),
        topology: text(&rehearsal.scenario.topology),
        binding: rehearsal.scenario.binding.as_deref().map(text),
        host: String::new(),
    }
}

fn text(path: &Path) -> crate::record::SourceText {
    crate::record::SourceText {
        path: path.display().to_string(),
        text: std::fs::read_to_string(path).unwrap_or_default(),
    }
}

/// The signals that ask the run to end, as they come.
fn signals() -> UnboundedReceiver<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = unbounded_channel();
    for (kind, name) in [
        (SignalKind::interrupt(), "SIGINT"),
        (SignalKind::terminate(), "SIGTERM"),
    ] {
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

fn load(arguments: &RunArguments) -> Result<Vec<Rehearsal>, Diagnostics> {
    let mut mistakes = Diagnostics::default();
    let mut rehearsals = Vec::new();
    for path in &arguments.scenarios {
        match scenario::load(path, arguments.binding.as_deref()) {
            Ok(rehearsal) => rehearsals.push(rehearsal),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.is_empty() {
        Ok(rehearsals)
    } else {
        Err(mistakes)
    }
}
