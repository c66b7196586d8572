//! Our router against five independent implementations of BGP: the matrix of interoperability.
//!
//! Each trial is one scene with one daemon over one address family. The daemon is started by the code that starts it in a lab.
//! A trial fills some cells of the matrix. With `PEERLAB_MATRIX=FILE` the matrix is printed when all are played, and written to
//! the file as Markdown; the run fails if a cell of it is missed or was not played.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use peerlab::bgp::family::Family;
use peerlab::kernel::enter::enter;

#[path = "interop/bed.rs"]
mod bed;
#[path = "interop/daemons/mod.rs"]
mod daemons;
#[path = "interop/malformed.rs"]
mod malformed;
#[path = "interop/readme.rs"]
mod readme;
#[path = "interop/routes.rs"]
mod routes;
#[path = "interop/scenes/mod.rs"]
mod scenes;
#[path = "interop/sheet.rs"]
mod sheet;
#[path = "interop/watch.rs"]
mod watch;
#[path = "interop/wire.rs"]
mod wire;

use daemons::{DUTS, Dut};
use scenes::{SCENES, families, play};

/// Where the matrix goes, when it is wanted.
const MATRIX: &str = "PEERLAB_MATRIX";

/// Why a trial is ignored in a run of all tests.
const AT_LENGTH: &str = "scripts/interop plays it";

/// What is played over IPv6, too, in a run of all tests, which is to be short.
const ALSO_OVER_IPV6: [&str; 5] = [
    "sessions_and_routes",
    "bfd_intervals",
    "bfd_silence_and_disabled",
    "bfd_authentication",
    "bfd_changed_and_disabled_by_it",
];

/// The document of what daemons make of malformed UPDATEs, which is no part of the matrix.
const MALFORMED: &str = "malformed::the_document_is_true";

/// The matrix the README has.
const README: &str = "matrix::the_readme_has_every_cell";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // All bind to fixed ports of their own namespaces, but share the cores.
    arguments.test_threads = Some(1);
    let cannot = match enter() {
        Ok(entered) => {
            entered.signals.release();
            None
        }
        Err(error) => Some(error.to_string()),
    };
    let trials = DUTS.iter().flat_map(trials).map(|trial| match &cannot {
        None => trial,
        Some(why) => trial.with_kind(why).with_ignored_flag(true),
    });
    let lack = cannot
        .clone()
        .or_else(|| malformed::duts().find_map(Dut::lack))
        .or_else(malformed::of_others);
    let aside = is_whole().then(|| "has no part in the matrix".to_owned());
    let refresh = is_whole() || std::env::var_os("REFRESH").is_some();
    let short = (!refresh).then(|| AT_LENGTH.to_owned());
    let unless = |why: Option<String>, trial: Trial| match why {
        Some(why) => trial.with_kind(why).with_ignored_flag(true),
        None => trial,
    };
    let trials = trials.chain([
        unless(
            lack.or(short),
            Trial::test(MALFORMED, malformed::the_document_is_true),
        ),
        Trial::test("matrix::every_cell_counts", sheet::every_cell_counts),
        Trial::test(
            "matrix::an_old_one_is_noticed",
            readme::an_old_one_is_noticed,
        ),
        // What is being written is not judged before.
        unless(aside, Trial::test(README, readme::it_has_every_cell)),
    ]);
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let Some(file) = std::env::var_os(MATRIX) else {
        return conclusion.exit_code();
    };
    let matrix = sheet::matrix();
    println!("{}", matrix.text());
    if let Err(error) = std::fs::write(&file, matrix.markdown()) {
        eprintln!("{}: {error}", file.display());
        return ExitCode::FAILURE;
    }
    if matrix.is_whole() {
        conclusion.exit_code()
    } else {
        ExitCode::FAILURE
    }
}

/// Whether the whole matrix is wanted.
fn is_whole() -> bool {
    std::env::var_os(MATRIX).is_some()
}

fn trials(dut: &'static Dut) -> Vec<Trial> {
    let lack = dut.lack();
    let mut trials = Vec::new();
    for (name, scene, rows) in SCENES {
        for &over in families(rows) {
            let (ours, key) = (lack.clone(), dut.daemon.key());
            let shown = match over {
                Family::Ipv4Unicast => format!("{key}::ipv4::{name}"),
                Family::Ipv6Unicast => format!("{key}::ipv6::{name}"),
            };
            let trial = Trial::test(shown, move || play(dut, (scene, rows), over, ours));
            let fast = over == families(rows)[0] || ALSO_OVER_IPV6.contains(&name);
            // In a matrix, what is not installed is blocked; in a test run, it is ignored.
            trials.push(match &lack {
                _ if is_whole() => trial,
                Some(why) => trial.with_kind(why).with_ignored_flag(true),
                None if !fast => trial.with_kind(AT_LENGTH).with_ignored_flag(true),
                None => trial,
            });
        }
    }
    trials
}
