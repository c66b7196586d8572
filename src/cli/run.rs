//! `peerlab run SCENARIO…`: builds the lab of each scenario, plays it, and says which expectations held.

pub(super) mod files;
pub(super) mod gallery;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::LocalSet;

use self::files::Loaded;
use self::gallery::Gallery;
use super::{LAB_FAILED, WRONG_FILES, bmp, fail, signals};
use crate::device::DeviceError;
use crate::kernel::enter::{self, HeldSignals};
use crate::kernel::uml;
use crate::lab::Besides;
use crate::registry::live::Servers;
use crate::registry::service::Reach;
use crate::report::{Played, Report};
use crate::run::{self, Ending};
use crate::source::Diagnostic;

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
    /// Leave this scenario of the folders out; may be given again.
    #[arg(long, value_name = "SCENARIO")]
    pub except: Vec<PathBuf>,
    /// Write record.jsonl, report.json and junit.xml into this folder, and what the edges heard and had as MRT:
    /// SCENARIO/updates.EDGE.mrt and SCENARIO/rib.EDGE.mrt.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Capture the frames on the members' cables, as they are at Microsoft's end, into this
    /// folder: SCENARIO/CONNECTION.MEMBER.pcap.
    #[arg(long, value_name = "DIR")]
    pub pcap: Option<PathBuf>,
    /// Tell the monitoring of the edges' sessions to the BMP collector at this address (RFC 7854).
    #[arg(long, value_name = "HOST:PORT")]
    pub bmp: Option<String>,
    /// Whose network the lab is built in: this machine's kernel, or a user-mode Linux that is booted for it (2 s), which
    /// has all a lab can use.
    #[arg(long, value_enum, default_value_t, value_name = "KERNEL")]
    pub kernel: Kernel,
}

/// The kernel a lab is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Kernel {
    /// This machine's.
    #[default]
    Host,
    /// User-mode Linux with this machine's files.
    Uml,
}

/// Plays the scenarios and returns the exit number.
pub fn run(arguments: &RunArguments) -> u8 {
    let mut loaded = match files::load(
        &arguments.scenarios,
        &arguments.except,
        arguments.binding.as_deref(),
    ) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            anstream::eprintln!("{}", mistakes.render(true));
            return WRONG_FILES;
        }
    };
    if arguments.kernel == Kernel::Uml && !uml::is_here() {
        return inside_uml(arguments, &loaded);
    }
    if let Err(error) = check_devices(&loaded) {
        anstream::eprintln!("error: {error}");
        return WRONG_FILES;
    }
    let collector = match bmp::resolve(arguments.bmp.as_deref()) {
        Ok(collector) => collector,
        Err(mistake) => return fail(mistake, WRONG_FILES),
    };
    let record = match arguments
        .report
        .as_deref()
        .map(gallery::open_record)
        .transpose()
    {
        Ok(record) => record,
        Err(error) => {
            anstream::eprintln!("error: failed to {error}");
            return LAB_FAILED;
        }
    };
    let servers = servers(&loaded);
    let (held, servers, bmp) = match enter::enter() {
        Ok(entered) => {
            let outside = Reach::Outside(Arc::new(entered.outside));
            let bmp = bmp::over(&outside, collector);
            (entered.signals, servers.over(outside), bmp)
        }
        Err(error) => {
            anstream::eprintln!("error: failed to {error}");
            return LAB_FAILED;
        }
    };
    loaded.leave_out_what_the_kernel_lacks();
    // Threads only after that: the kernel lets no process with threads into new namespaces.
    let gallery =
        Gallery::start(arguments.report.clone(), record).map_err(|error| error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("start the runtime: {error}"));
    match gallery.and_then(|gallery| Ok((gallery, runtime?))) {
        Ok((gallery, runtime)) => {
            let besides = Besides {
                pcap: arguments.pcap.clone(),
                mrt: arguments.report.clone(),
                bmp,
            };
            let played = play_all(loaded, &servers, gallery, &besides, held);
            runtime.block_on(LocalSet::new().run_until(played))
        }
        Err(error) => {
            anstream::eprintln!("error: failed to {error}");
            LAB_FAILED
        }
    }
}

/// Plays the same with the same arguments inside user-mode Linux.
fn inside_uml(arguments: &RunArguments, loaded: &Loaded) -> u8 {
    let registries: Vec<String> = servers_of(loaded).collect();
    let servers: Vec<&str> = (arguments.bmp.iter().chain(&registries))
        .map(String::as_str)
        .collect();
    if !servers.is_empty() {
        let servers = servers.join(", ");
        let message = format!("{servers} cannot be reached from inside user-mode Linux");
        let note = "it has no network but that of the lab, which holds registries that are files";
        let help = match (&arguments.bmp, registries.is_empty()) {
            (Some(_), true) => "play without `--bmp`, or without `--kernel uml`",
            (Some(_), false) => {
                "play without `--bmp` and name files in `[peer.registry]` instead of servers, or play without `--kernel uml`"
            }
            (None, _) => {
                "name files in `[peer.registry]` instead of servers, or play without `--kernel uml`"
            }
        };
        let mistake = Diagnostic::error(message).note(note).help(help);
        return fail(mistake, WRONG_FILES);
    }
    super::uml::again()
}

/// Lets the devices read their configurations, each binding once.
fn check_devices(loaded: &Loaded) -> Result<(), DeviceError> {
    let mut checked = Vec::new();
    for (rehearsal, _) in &loaded.rehearsals {
        if !checked.contains(&&rehearsal.binding) {
            run::check_devices(rehearsal)?;
            checked.push(&rehearsal.binding);
        }
    }
    Ok(())
}

/// The registries that are servers, with their addresses as they are outside.
fn servers(loaded: &Loaded) -> Servers {
    Servers::resolve(servers_of(loaded))
}

/// The registries that are servers, as `host:port`.
fn servers_of(loaded: &Loaded) -> impl Iterator<Item = String> {
    let topologies = loaded.rehearsals.iter().map(|(r, _)| &r.topology);
    topologies.flat_map(|topology| topology.peer.registry.servers())
}

async fn play_all(
    loaded: Loaded,
    servers: &Servers,
    mut gallery: Gallery,
    besides: &Besides,
    held: HeldSignals,
) -> u8 {
    let (_, mut interrupted) = signals::heard();
    held.release();
    for note in &loaded.left_out {
        gallery.note(note);
    }
    let mut scenarios = Vec::new();
    for (rehearsal, sources) in &loaded.rehearsals {
        let binding = sources
            .binding
            .as_ref()
            .map(|binding| binding.path.as_str());
        gallery.begin(&rehearsal.scenario, binding);
        let (findings, ending) = run::play(
            rehearsal,
            sources,
            servers,
            besides,
            &mut gallery,
            &mut interrupted,
        )
        .await;
        for finding in findings.findings.iter().skip(gallery.shown) {
            gallery.finding(finding);
        }
        if let Some(first) = gallery.first.take() {
            let played = Played::new(&first.fact, &rehearsal.scenario, findings);
            gallery.end(&played);
            scenarios.push(played);
        }
        if ending == Ending::Interrupted {
            break;
        }
    }
    let report = Report::of(scenarios);
    if gallery.close(&report) {
        report.exit
    } else {
        LAB_FAILED
    }
}
