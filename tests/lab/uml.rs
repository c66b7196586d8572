//! Labs inside user-mode Linux: output, reports, exit numbers and signals are as without it, and nothing is left.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::Signal;

use crate::left::Outside;
use crate::play::{PATIENCE, Running, Someone, send};
use crate::scenarios::{INCONCLUSIVE, no_netem, unless};

/// A short scenario without traffic, which a slow kernel plays, too.
const SCENARIO: &str = "scenarios/prefixes/good-path.toml";

pub fn trials() -> Vec<Trial> {
    let here = || plays(&Someone::present());
    let ordinary = || plays(&Someone::ordinary()?);
    vec![
        unless(no_uml(), Trial::test("uml::plays_a_scenario", here)),
        unless(
            no_uml().or_else(Someone::no_ordinary),
            Trial::test("uml::plays_a_scenario::as_ordinary_user", ordinary),
        ),
        unless(
            no_uml(),
            Trial::test("uml::passes_all_through", all_through),
        ),
        unless(no_uml(), Trial::test("uml::passes_signals_on", signals)),
        unless(no_uml(), Trial::test("uml::goes_when_killed", killed)),
        unless(
            no_uml(),
            Trial::test("uml::kernel_bond_carries", kernel_bond),
        ),
        unless(no_uml(), Trial::test("uml::impairs", impairs)),
        Trial::test("uml::says_how_to_have_it", not_installed),
    ]
}

/// Why user-mode Linux cannot be tried here.
fn no_uml() -> Option<String> {
    let asked = Command::new("linux.uml").arg("--version").output();
    asked.err().map(|error| format!("linux.uml: {error}"))
}

fn plays(someone: &Someone) -> Result<(), Failed> {
    let before = Outside::now();
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
    let report = folder.path().join("report");
    let report = report.display().to_string();
    let run = someone.start(&["run", "--kernel", "uml", SCENARIO, "--report", &report])?;
    let mark = run.mark().to_owned();
    let ended = run.end(PATIENCE)?;
    ended.expect(0)?;
    let record = fs::read_to_string(format!("{report}/record.jsonl"))?;
    ended.check(
        record.contains("\"host\":\"user-mode Linux "),
        "a record that tells the host",
    )?;
    // What is written is the user's.
    let owners = [
        fs::metadata(&report)?,
        fs::metadata(format!("{report}/report.json"))?,
    ];
    ended.check(
        owners[0].uid() == owners[1].uid(),
        "one owner of folder and report",
    )?;
    before.nothing_is_left(&mark)
}

/// Streams, arguments, environment, folder and exit number.
fn all_through() -> Result<(), Failed> {
    let words = "pwd; echo \"$1|$ODD\"; seq 200000 | cksum >&2; echo é; exit 7";
    let script = ["sh", "-c", words, "sh", "two  words"];
    let folder = tempfile::tempdir()?;
    let own = |program: &mut Command| {
        program.current_dir(folder.path()).env("ODD", "a\nb");
        program.stdin(Stdio::null()).output()
    };
    let inside = own(Command::new(Someone::present().program())
        .arg("uml")
        .args(script))?;
    let outside = own(Command::new(script[0]).args(&script[1..]))?;
    if inside == outside {
        return Ok(());
    }
    Err(format!("inside {inside:?}, outside {outside:?}").into())
}

fn signals() -> Result<(), Failed> {
    let before = Outside::now();
    let mut run = Someone::present().start(&["run", "--kernel", "uml", SCENARIO])?;
    let mark = run.mark().to_owned();
    run.until_said("good-path")?;
    send(Signal::SIGTERM, run.outer());
    let ended = run.end(PATIENCE)?;
    ended.expect(4)?;
    ended.expect_words("the run was ended by SIGTERM")?;
    before.nothing_is_left(&mark)
}

fn killed() -> Result<(), Failed> {
    let before = Outside::now();
    let command = |words: &str| {
        let arguments = ["uml", "sh", "-c", words];
        Someone::present().start(&arguments)
    };
    // While it boots, and while it runs.
    let booting = command("sleep 100")?;
    let mut running = command("echo begun; sleep 100")?;
    running.until_said("begun")?;
    for run in [booting, running] {
        let mark = run.mark().to_owned();
        send(Signal::SIGKILL, run.outer());
        over(run)?;
        before.nothing_is_left(&mark)?;
    }
    Ok(())
}

fn over(run: Running) -> Result<(), Failed> {
    let ended = run.end(PATIENCE)?;
    ended.check(ended.number().is_none(), "an end by the signal")
}

/// Routes and their traffic come over LAGs of the kernel's: one with ours, one with another of the kernel's.
fn kernel_bond() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let topologies = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies");
    let registry = format!("{topologies}/registry");
    symlink(registry, folder.path().join("registry"))?;
    let text = fs::read_to_string(format!("{topologies}/one-metro.toml"))?;
    let text = text
        .replace(
            "[connection.ams-1]",
            "[connection.ams-1]\nbackend.peer = \"kernel\"",
        )
        .replace(
            "[connection.ams-2]",
            "[connection.ams-2]\nbackend = { microsoft = \"auto\", peer = \"kernel\" }",
        );
    fs::write(folder.path().join("bonds.toml"), text)?;
    let text = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/scenarios/prefixes/good-path.toml"
    ))?;
    let scenario = folder.path().join("scenario.toml");
    fs::write(&scenario, text.replace("\"one-metro\"", "\"bonds.toml\""))?;
    let scenario = scenario.display().to_string();
    let someone = Someone::present();
    someone
        .play(&["run", "--kernel", "uml", &scenario])?
        .expect(0)?;
    if bonding_is_here() {
        return Ok(());
    }
    let ended = someone.play(&["run", &scenario])?;
    ended.expect(3)?;
    ended.expect_words("it has no bonding driver")
}

/// What needs netem is played there; here it is blocked with the reason, and left out of a folder, where there is none.
fn impairs() -> Result<(), Failed> {
    let someone = Someone::present();
    let named = ["delay", "disorder"].map(|name| {
        let root = env!("CARGO_MANIFEST_DIR");
        format!("{root}/scenarios/impairments/{name}.toml")
    });
    let ended = someone.play(&["run", "--kernel", "uml", &named[0], &named[1]])?;
    // Its clock is too coarse for some claims when the machine is busy.
    if ended.number() != INCONCLUSIVE {
        ended.expect(0)?;
    }
    if no_netem().is_none() {
        return Ok(());
    }
    let ended = someone.play(&["run", &named[0]])?;
    ended.expect(3)?;
    ended.expect_words("this kernel has no netem")?;
    let folder = tempfile::tempdir()?;
    for name in &named {
        let text = fs::read_to_string(name)?;
        let topology = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/one-metro.toml");
        let text = text.replace("\"one-metro\"", &format!("{topology:?}"));
        let file = Path::new(name).file_name().unwrap_or_default();
        fs::write(folder.path().join(file), text)?;
    }
    let bring_up = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/bring-up.toml");
    let folder = folder.path().display().to_string();
    let ended = someone.play(&["run", bring_up, &folder])?;
    ended.expect(0)?;
    ended.expect_words("is left out: this kernel has no netem")
}

fn bonding_is_here() -> bool {
    let attempt = "link add type bond mode 802.3ad";
    let mut command = Command::new("unshare");
    command.args(["-rn", "ip"]).args(attempt.split(' '));
    command.output().is_ok_and(|output| output.status.success())
}

fn not_installed() -> Result<(), Failed> {
    let someone = Someone::present();
    let mut command = someone.command(&["run", "--kernel", "uml", SCENARIO]);
    command.env("PATH", "/nonexistent");
    let ended = Running::start(command)?.end(PATIENCE)?;
    ended.expect(3)?;
    ended.expect_words("user-mode Linux is not installed")?;
    ended.expect_words("apt-get install user-mode-linux")
}
