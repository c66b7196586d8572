//! `peerlab up TOPOLOGY`: builds a lab, settles it, and keeps it until `peerlab down`.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use nix::unistd::geteuid;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{LocalSet, spawn_local};

use super::check::Kind;
use super::run::Kernel;
use super::run::files::{host, sources};
use super::run::gallery::Gallery;
use super::{BLOCKED, LAB_FAILED, WRONG_FILES, bmp, fail, signals, toml_files};
use crate::judge::{Judge, Verdict};
use crate::kept::{self, Name, Server};
use crate::kernel::background::{self, Front};
use crate::kernel::enter::{self, HeldSignals};
use crate::kernel::outside::Outside;
use crate::kernel::unix;
use crate::lab::{Besides, Lab};
use crate::record::{Fact, LinesError, Noted};
use crate::registry::live::Servers;
use crate::registry::service::Reach;
use crate::run::{self, Audience, Ending, Sources};
use crate::scenario::{self, Rehearsal};
use crate::source::{Diagnostic, Diagnostics};
use crate::time::At;
use crate::view::History;

/// Arguments of `peerlab up`.
#[derive(Debug, clap::Args)]
pub struct UpArguments {
    /// Topology file.
    pub topology: PathBuf,
    /// Which device plays each router; without it, all are simulated.
    #[arg(long, value_name = "FILE")]
    pub binding: Option<PathBuf>,
    /// The lab's name, by which the other commands know it; without it, the topology's.
    #[arg(long)]
    pub name: Option<String>,
    /// Tell the monitoring of the edges' sessions to the BMP collector at this address (RFC 7854).
    #[arg(long, value_name = "HOST:PORT")]
    pub bmp: Option<String>,
    /// Whose network the lab is built in: this machine's kernel. A lab in user-mode Linux lives as long as a command there.
    #[arg(long, value_enum, default_value_t, value_name = "KERNEL", hide = true)]
    pub kernel: Kernel,
    /// Stay in the foreground until Ctrl-C.
    #[arg(long)]
    pub foreground: bool,
}

/// A lab inside user-mode Linux has no socket outside, and ends with the command that user-mode Linux was booted for.
fn not_in_uml(topology: &Path) -> Diagnostic {
    let message = "a lab in user-mode Linux cannot be kept in the background";
    let note =
        "it would be reached from inside alone, and ends with the command that was started there";
    let help = format!("do all inside: `{}`", in_uml(topology));
    Diagnostic::error(message).note(note).help(help)
}

/// What is done with a lab, inside.
fn in_uml(topology: &Path) -> String {
    let topology = topology.display();
    format!("peerlab uml sh -c 'peerlab up {topology} && peerlab show lacp; peerlab down'")
}

/// Brings the lab up; returns the exit number.
pub fn up(arguments: &UpArguments) -> u8 {
    if arguments.kernel == Kernel::Uml {
        return fail(not_in_uml(&arguments.topology), WRONG_FILES);
    }
    let (rehearsal, name) = match load(arguments) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            anstream::eprintln!("{}", mistakes.render(true));
            return WRONG_FILES;
        }
    };
    if let Err(error) = run::check_devices(&rehearsal) {
        anstream::eprintln!("error: {error}");
        return WRONG_FILES;
    }
    let collector = match bmp::resolve(arguments.bmp.as_deref()) {
        Ok(collector) => collector,
        Err(mistake) => return fail(mistake, WRONG_FILES),
    };
    let sources = sources(&rehearsal, arguments.binding.as_deref(), &host());
    let servers = Servers::resolve(rehearsal.topology.peer.registry.servers());
    let alone = kept::labs().is_ok_and(|labs| labs.is_empty());
    let socket = match unix::claim(&kept::socket_name(geteuid(), &name)) {
        Ok(socket) => socket,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let message = format!("the lab `{name}` is up already");
            let help = format!(
                "end it with `peerlab down {name}`, or give this one another name with `--name`"
            );
            return fail(Diagnostic::error(message).help(help), WRONG_FILES);
        }
        Err(error) => {
            let message = format!("failed to take the name `{name}`: {error}");
            return fail(Diagnostic::error(message), LAB_FAILED);
        }
    };
    // From here on this is another process, unless it stays in the foreground.
    let front = match arguments.foreground {
        true => None,
        false => match background::split() {
            Ok(front) => Some(front),
            Err(error) => {
                let message = format!("failed to go into the background: {error}");
                return fail(Diagnostic::error(message), LAB_FAILED);
            }
        },
    };
    // Before the lab is entered: the process outside is the one that clients see, and whose end they wait for.
    if let Err(error) = unix::open(&socket) {
        let message = format!("failed to listen as `{name}`: {error}");
        return fail(Diagnostic::error(message), LAB_FAILED);
    }
    let entered = match enter::enter() {
        Ok(entered) => entered,
        Err(error) => {
            anstream::eprintln!("error: failed to {error}");
            return LAB_FAILED;
        }
    };
    let outside = Arc::new(entered.outside);
    let keeping = Keeping {
        name,
        alone,
        socket,
        front,
        outside: outside.clone(),
    };
    let reach = Reach::Outside(outside);
    let besides = Besides {
        bmp: bmp::over(&reach, collector),
        ..Besides::default()
    };
    let files = (&rehearsal, &sources);
    let servers = servers.over(reach);
    let kept = keep(files, &servers, &besides, keeping, entered.signals);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(LocalSet::new().run_until(kept)),
        Err(error) => {
            anstream::eprintln!("error: failed to start the runtime: {error}");
            LAB_FAILED
        }
    }
}

/// The files, and the lab's name.
fn load(arguments: &UpArguments) -> Result<(Rehearsal, Name), Diagnostics> {
    let topology = &arguments.topology;
    toml_files::of_kind(topology, Kind::Topology)?;
    if let Some(binding) = &arguments.binding {
        toml_files::of_kind(binding, Kind::Binding)?;
    }
    let mut rehearsal = scenario::settling(topology, arguments.binding.as_deref())?;
    let named = arguments.name.clone().unwrap_or_else(|| {
        let stem = topology.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    });
    let name = named.parse::<Name>().map_err(|error| {
        let diagnostic = Diagnostic::error(error.to_string());
        diagnostic.help("give it one with `--name NAME`")
    })?;
    rehearsal.scenario.name = name.to_string();
    Ok((rehearsal, name))
}

/// How the lab is kept.
struct Keeping {
    name: Name,
    /// No other lab of this user is up.
    alone: bool,
    socket: OwnedFd,
    front: Option<Front>,
    outside: Arc<Outside>,
}

async fn keep(
    (rehearsal, sources): (&Rehearsal, &Sources),
    servers: &Servers,
    besides: &Besides,
    keeping: Keeping,
    held: HeldSignals,
) -> u8 {
    let (end, mut interrupted) = signals::heard();
    held.release();
    let mut gallery = match Gallery::start(None, None) {
        Ok(gallery) => gallery,
        Err(error) => {
            anstream::eprintln!("error: failed to {error}");
            return LAB_FAILED;
        }
    };
    let binding = sources.binding.as_ref();
    let binding = binding.map(|binding| binding.path.as_str());
    gallery.begin(&rehearsal.scenario, binding);
    let mut keeper = Keeper {
        gallery: Some(gallery),
        history: Rc::default(),
        server: None,
        keeping: Some(keeping),
        end,
        topology: rehearsal.scenario.topology.clone(),
    };
    let (findings, ending) = run::play(
        rehearsal,
        sources,
        servers,
        besides,
        &mut keeper,
        &mut interrupted,
    )
    .await;
    match keeper.gallery.take() {
        // It was never kept.
        Some(gallery) => {
            gallery.leave();
            let worst = findings
                .findings
                .iter()
                .map(|finding| finding.verdict)
                .max();
            match (ending, worst) {
                (Ending::Played, Some(Verdict::Blocked)) => BLOCKED,
                _ => LAB_FAILED,
            }
        }
        None => 0,
    }
}

/// The audience of a lab that is kept: the terminal until it has settled, then those who ask.
struct Keeper {
    gallery: Option<Gallery>,
    history: Rc<RefCell<History>>,
    server: Option<Server>,
    /// Until it is kept.
    keeping: Option<Keeping>,
    end: UnboundedSender<&'static str>,
    topology: PathBuf,
}

impl Audience for Keeper {
    fn in_uml(&self) -> String {
        in_uml(&self.topology)
    }

    fn entry(&mut self, entry: &Noted, judge: &mut Judge<'_>) -> Result<(), LinesError> {
        self.history.borrow_mut().take(entry);
        match &mut self.gallery {
            Some(gallery) if !matches!(entry.fact, Fact::Run { .. }) => gallery.entry(entry, judge),
            _ => Ok(()),
        }
    }

    fn tick(&mut self, now: At, judge: &mut Judge<'_>) {
        if let Some(gallery) = &mut self.gallery {
            gallery.tick(now, judge);
        }
    }

    fn built(&mut self, lab: &Lab) {
        let Some(keeping) = &self.keeping else {
            return;
        };
        let window = lab.window();
        let history = self.history.clone();
        let socket = keeping.socket.try_clone();
        let (name, end) = (keeping.name.clone(), self.end.clone());
        let server = socket.and_then(|socket| Server::start(name, socket, window, history, end));
        match server {
            Ok(server) => self.server = Some(server),
            Err(error) => self.note(&format!("failed to answer questions: {error}")),
        }
    }

    fn keeps(&mut self, judge: &mut Judge<'_>) -> bool {
        let worst = judge.findings().iter().map(|finding| finding.verdict).max();
        let number = match worst {
            Some(Verdict::Met) => 0,
            Some(Verdict::Missed) => 1,
            Some(Verdict::Inconclusive) => 5,
            Some(Verdict::Blocked | Verdict::Errored) | None => return false,
        };
        let Some(keeping) = self.keeping.take() else {
            return false;
        };
        self.note(&keeping.words(number == 0));
        if let Some(gallery) = self.gallery.take() {
            gallery.leave();
        }
        if let Some(front) = keeping.front {
            spawn_local(async move {
                // Should it hold the terminal for longer, that harms nobody.
                let _ = keeping.outside.let_go().await;
                front.release(number);
            });
        }
        true
    }
}

impl Keeper {
    fn note(&self, text: &str) {
        if let Some(gallery) = &self.gallery {
            gallery.note(text);
        }
    }
}

impl Keeping {
    /// What the user is told at last.
    fn words(&self, settled: bool) -> String {
        let name = &self.name;
        let settled = if settled { "" } else { ", but not settled" };
        let (lab, down) = match self.alone {
            true => (String::new(), String::new()),
            false => (format!(" --lab {name}"), format!(" {name}")),
        };
        let end = match self.front {
            Some(_) => format!("`peerlab down{down}`"),
            None => "Ctrl-C".to_owned(),
        };
        format!(
            "{name} is up{settled}: look with `peerlab show{lab}`, enter with `peerlab exec{lab} ROUTER -- COMMAND`, \
             end it with {end}"
        )
    }
}
