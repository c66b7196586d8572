//! Labs inside user-mode Linux: output, reports, exit numbers and signals are as without it, and nothing is left.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::Signal;

use crate::left::Outside;
use crate::play::{PATIENCE, Running, Someone, send};
use crate::scenarios::{conclusive, no_netem, unless};

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
        unless(no_uml(), Trial::test("uml::impairs", impairs)),
        unless(no_uml(), Trial::test("uml::asks_and_mutes_bonds", bonds)),
        Trial::test("uml::says_how_to_have_it", not_installed),
        Trial::test("uml::names_what_it_cannot_reach", out_of_reach),
        Trial::test("uml::keeps_no_lab", keeps_no_lab),
    ]
}

/// Why user-mode Linux cannot be tried here.
pub fn no_uml() -> Option<String> {
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

/// What needs netem is played there; here it is blocked with the reason, and left out of a folder, where there is none.
fn impairs() -> Result<(), Failed> {
    let someone = Someone::present();
    let named = ["delay", "disorder"].map(|name| {
        let root = env!("CARGO_MANIFEST_DIR");
        format!("{root}/scenarios/impairments/{name}.toml")
    });
    conclusive(|| someone.play(&["run", "--kernel", "uml", &named[0], &named[1]]))?.expect(0)?;
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

/// A bond at Microsoft's end, opposite a bond and opposite ours: what its partner sends is measured (a bond there sends up to 1.3 s
/// apart), it asks with markers, and is silent when it is told to.
fn bonds() -> Result<(), Failed> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies");
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("registry"))?;
    for file in ["contoso.rpsl", "contoso.vrps.json"] {
        let file = Path::new("registry").join(file);
        fs::copy(shipped.join(&file), folder.path().join(&file))?;
    }
    let mut topology = fs::read_to_string(shipped.join("one-metro.toml"))?;
    for (connection, peer) in [
        ("[connection.ams-1]", "kernel"),
        ("[connection.ams-2]", "ours"),
    ] {
        let backend = format!("backend = {{ microsoft = \"kernel\", peer = \"{peer}\" }}");
        topology = topology.replace(connection, &format!("{connection}\n{backend}"));
    }
    fs::write(folder.path().join("bonds.toml"), topology)?;
    let scenario = r#"
topology = "bonds.toml"
[[step]]
settle = "30s"
[[step]]
lacp = { connection = "all", order = "send-marker" }
[[step.expect]]
member = "ams-1/2"
at = "partner"
state = "distributing"
answers-marker = true
within = "10s"
[[step.expect]]
member = "ams-2/2"
at = "partner"
state = "distributing"
answers-marker = true
sends-every = "1s"
within = "10s"
[[step]]
lacp = { connection = "all", order = "silence" }
[[step.expect]]
lag = "all"
state = "down"
within = "10s"
[[step]]
lacp = { connection = "all", order = "send-marker" }
[[step]]
lacp = { connection = "all", order = "behave" }
[[step.expect]]
lag = "all"
state = "up"
within = "20s"
"#;
    let file = folder.path().join("scenario.toml");
    fs::write(&file, scenario)?;
    let file = file.display().to_string();
    let report = folder.path().join("report");
    let at = report.display().to_string();
    let ended = Someone::present().play(&["run", "--kernel", "uml", &file, "--report", &at])?;
    ended.expect(0)?;
    // Nobody is asked while the bonds are silent, so nobody is blamed.
    let record = fs::read_to_string(report.join("record.jsonl"))?;
    let silent = record.matches("this end was told to be silent").count();
    ended.check(silent == 4, "four markers that were not sent")
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

/// A collector or a registry outside is told before anything is booted.
fn out_of_reach() -> Result<(), Failed> {
    let someone = Someone::present();
    let ended = someone.play(&[
        "run",
        "--kernel",
        "uml",
        SCENARIO,
        "--bmp",
        "192.0.2.9:1790",
    ])?;
    ended.expect(2)?;
    ended.expect_words("192.0.2.9:1790 cannot be reached from inside user-mode Linux")?;
    ended.expect_words("without `--bmp`")?;
    let folder = tempfile::tempdir()?;
    let text = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/topologies/one-metro.toml"
    ))?;
    let server = "irr = { irrd = \"localhost:4343\" }\nrpki = { rtr = \"[2001:db8::5]:323\" }";
    let text: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("rpki = "))
        .map(|line| {
            if line.starts_with("irr = ") {
                server
            } else {
                line
            }
        })
        .collect();
    fs::write(folder.path().join("servers.toml"), text.join("\n"))?;
    let scenario = folder.path().join("scenario.toml");
    fs::write(
        &scenario,
        "topology = \"servers.toml\"\n[[step]]\nsettle = \"30s\"\n",
    )?;
    let scenario = scenario.display().to_string();
    let ended = someone.play(&["run", "--kernel", "uml", &scenario])?;
    ended.expect(2)?;
    ended.expect_words("localhost:4343, [2001:db8::5]:323 cannot be reached")?;
    ended.expect_words("name files in `[peer.registry]` instead of servers")
}

/// A lab that is kept would be out of reach.
fn keeps_no_lab() -> Result<(), Failed> {
    let topology = "topologies/one-metro.toml";
    let ended = Someone::present().play(&["up", "--kernel", "uml", topology])?;
    ended.expect(2)?;
    ended.expect_words("cannot be kept in the background")?;
    ended.expect_words("peerlab uml sh -c 'peerlab up topologies/one-metro.toml")
}
