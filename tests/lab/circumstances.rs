//! Bad circumstances: each has a clear message, the right exit number, and nothing is left.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use crate::left::{self, Outside};
use crate::phases::SCENARIO;
use crate::play::{BIRD, Ended, PATIENCE, Running, Someone, send};
use crate::scenarios::{no_bird, unless};

pub fn trials() -> Vec<Trial> {
    let nobody = Someone::no_ordinary();
    vec![
        Trial::test("circumstance::unknown_scenario", unknown_scenario),
        Trial::test("circumstance::report_cannot_be_made", report_cannot_be_made),
        Trial::test("circumstance::disk_is_full", disk_is_full),
        Trial::test("circumstance::nobody_reads_the_output", nobody_reads),
        Trial::test("circumstance::too_few_descriptors", too_few_descriptors),
        unless(
            nobody,
            Trial::test("circumstance::no_user_namespaces", no_user_namespaces),
        ),
        Trial::test("circumstance::no_route_refresh", no_route_refresh),
        Trial::test("circumstance::bird_is_not_installed", bird_is_not_installed),
        unless(
            no_bird(),
            Trial::test("circumstance::bird_refuses_its_configuration", bird_refuses),
        ),
        unless(no_bird(), Trial::test("circumstance::bird_dies", bird_dies)),
        unless(
            no_bird(),
            Trial::test("circumstance::bird_names_a_next_hop_nobody_has", nowhere),
        ),
    ]
}

fn unknown_scenario() -> Result<(), Failed> {
    let ended = Someone::present().play(&["run", "scenarios/no-such.toml"])?;
    ended.expect(2)?;
    ended.expect_words("cannot read `scenarios/no-such.toml`")
}

fn report_cannot_be_made() -> Result<(), Failed> {
    let ended = Someone::present().play(&["run", SCENARIO, "--report", "/proc/no-such"])?;
    ended.expect(4)?;
    ended.expect_words("failed to make the folder /proc/no-such")
}

/// A file system in memory, full after 16 KiB, that only the program sees.
fn disk_is_full() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let report = folder.path().display().to_string();
    let mount = format!("mount -n -t tmpfs -o size=16k none {report}");
    let ended = in_mounts(&mount, &["run", SCENARIO, "--report", &report])?;
    ended.expect(4)?;
    ended.expect_words("the lab failed: failed to write the record")?;
    ended.expect_words("No space left on device")
}

/// The verdict does not depend on whether anybody reads.
fn nobody_reads() -> Result<(), Failed> {
    let someone = Someone::present();
    let command = wrapped(
        &someone,
        "exec \"$0\" \"$@\" >/dev/full",
        &["run", SCENARIO],
    );
    let ended = run(command)?;
    ended.check(matches!(ended.number(), Some(0 | 5)), "exit number 0")
}

fn too_few_descriptors() -> Result<(), Failed> {
    let someone = Someone::present();
    let limited = "ulimit -Sn 100 && ulimit -Hn 100 && exec \"$0\" \"$@\"";
    let ended = run(wrapped(&someone, limited, &["run", SCENARIO]))?;
    ended.expect(4)?;
    ended.expect_words("the hard limit is 100; raise it with `ulimit -Hn")
}

/// An ordinary user in a user namespace that allows no further one.
fn no_user_namespaces() -> Result<(), Failed> {
    let someone = Someone::ordinary()?;
    let forbid = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let inner = wrapped(&someone, forbid, &["run", SCENARIO]);
    let mut command = someone.wrap("unshare");
    command.args(["--user", "--map-current-user", "--keep-caps"]);
    command.arg(inner.get_program()).args(inner.get_args());
    let ended = run(command)?;
    ended.expect(4)?;
    ended.expect_words("sysctl -w user.max_user_namespaces=")
}

/// What is not there cannot be tried: blocked.
fn bird_is_not_installed() -> Result<(), Failed> {
    let hide = "for f in $(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v bird); \
                do mount -n --bind /dev/null $f || exit 99; done";
    let ended = in_mounts(hide, &["run", SCENARIO, "--binding", BIRD])?;
    ended.expect(3)?;
    ended.expect_words("start bird for router ams-pe-1: not found in PATH")?;
    ended.expect_words("apt-get install bird2")
}

/// A neighbour that never said it can be asked for its routes again cannot be.
fn no_route_refresh() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let topologies = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies");
    symlink(
        format!("{topologies}/registry"),
        folder.path().join("registry"),
    )?;
    let text = fs::read_to_string(format!("{topologies}/one-metro.toml"))?;
    let without = "[router.ams-pe-2]\nbgp = { route-refresh = false }";
    let text = text.replace("[router.ams-pe-2]", without);
    fs::write(folder.path().join("without.toml"), text)?;
    let scenario = folder.path().join("scenario.toml");
    let steps = "topology = \"without.toml\"\n[[step]]\nsettle = \"30s\"\n\
                 [[step]]\nrefresh = \"ams-1\"\n[[step]]\nrefresh = \"all\"\n";
    fs::write(&scenario, steps)?;
    let scenario = scenario.display().to_string();
    let ended = Someone::present().play(&["run", &scenario])?;
    ended.expect(3)?;
    ended.expect_words("the neighbour on ams-2 does not announce route refresh (RFC 2918)")
}

/// A mistake in the carrier's own file is a mistake in the files, told in BIRD's words.
fn bird_refuses() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let binding = folder.path().join("binding.toml");
    let config = folder.path().join("bird.conf");
    fs::write(&config, "router id 192.0.2.1;\nprotokoll device {}\n")?;
    fs::write(
        &binding,
        "[router.ams-pe-1]\ndevice = \"bird\"\nconfig = \"bird.conf\"\n",
    )?;
    let binding = binding.display().to_string();
    let ended = Someone::present().play(&["run", SCENARIO, "--binding", &binding])?;
    ended.expect(2)?;
    ended.expect_words("bird rejects the configuration")?;
    ended.expect_words("bird.conf:2:")?;
    ended.expect_words("syntax error")
}

/// RFC 4271, section 6.3: the route is ignored, the session goes on, and whoever waits for the route is told why it is not used.
fn nowhere() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let of_router = |router: &str| format!("topologies/bindings/one-metro-bird/{router}.conf");
    let good = "bgp_community.add((8075, 8007));";
    let config = fs::read_to_string(of_router("ams-pe-1"))?;
    let bad = config.replace(
        good,
        &format!("{good}\n  if net = 203.0.113.0/24 then bgp_next_hop = 203.0.113.77;"),
    );
    fs::write(folder.path().join("ams-pe-1.conf"), bad)?;
    fs::copy(of_router("ams-pe-2"), folder.path().join("ams-pe-2.conf"))?;
    let binding = folder.path().join("binding.toml");
    let routers = ["ams-pe-1", "ams-pe-2"].map(|router| {
        format!("[router.{router}]\ndevice = \"bird\"\nconfig = \"{router}.conf\"\n")
    });
    fs::write(&binding, routers.concat())?;
    let binding = binding.display().to_string();
    let scenario = "tests/fixtures/lab/next-hop-nobody-has.toml";
    let report = folder.path().display().to_string();
    let ended =
        Someone::present().play(&["run", scenario, "--binding", &binding, "--report", &report])?;
    // One expectation is there to be missed.
    ended.expect(1)?;
    ended.expect_words("1 missed")?;
    ended.expect_words("203.0.113.0/24 is refused on ams-1 (next-hop-unreachable)")
}

fn bird_dies() -> Result<(), Failed> {
    let before = Outside::now();
    let mut run = Someone::present().start(&["run", SCENARIO, "--binding", BIRD])?;
    let mark = run.mark().to_owned();
    run.until_said("send teams <-> sbc")?;
    let bird = run.until("there is a BIRD", |run| {
        let mut processes = left::processes(run.mark()).into_iter();
        processes.find(|pid| left::command(*pid).contains("ams-pe-2.conf"))
    })?;
    send(Signal::SIGKILL, bird);
    let ended = run.end(PATIENCE)?;
    ended.expect(4)?;
    ended.expect_words("router ams-pe-2: BIRD ended by itself: signal: 9 (SIGKILL)")?;
    before.nothing_is_left(&mark)
}

/// `sh -c SCRIPT peerlab ARGUMENTS`; the script runs `"$0" "$@"`.
fn wrapped(someone: &Someone, script: &str, arguments: &[&str]) -> Command {
    let mut command = someone.wrap("sh");
    command.args(["-c", script]);
    command.arg(someone.program()).args(arguments);
    command
}

/// Plays after a script has mounted something that only this program sees; `mount -n`, as no other program shall hear of it
/// in /run/mount.
fn in_mounts(script: &str, arguments: &[&str]) -> Result<Ended, Failed> {
    let someone = Someone::present();
    let inner = wrapped(
        &someone,
        &format!("{{ {script}; }} && exec \"$0\" \"$@\""),
        arguments,
    );
    let mut command = someone.wrap("unshare");
    let own: &[&str] = if geteuid().is_root() {
        &["--mount"]
    } else {
        &["--user", "--map-root-user", "--mount"]
    };
    command.args(own).arg(inner.get_program());
    command.args(inner.get_args().map(OsString::from));
    run(command)
}

/// From its start to its end, with nothing left.
fn run(command: Command) -> Result<Ended, Failed> {
    let before = Outside::now();
    let run = Running::start(command)?;
    let mark = run.mark().to_owned();
    let ended = run.end(PATIENCE)?;
    before.nothing_is_left(&mark)?;
    Ok(ended)
}
