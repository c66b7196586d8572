//! Entering namespaces, and that nothing is left of it after any end.
//!
//! Each test starts this program again in a role, which is played in the inner process.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use nix::poll::ppoll;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;
use peerlab::kernel::apply::Network;
use peerlab::kernel::enter::Entered;
use peerlab::kernel::outside::Outside;

use tokio::io::AsyncReadExt as _;

use crate::build;

/// Environment variable with the role of an inner process.
pub const ROLE: &str = "PEERLAB_TEST_ROLE";
/// Environment variable with the address of a server outside.
const SERVER: &str = "PEERLAB_TEST_SERVER";
/// Environment variable with a text unique to one process tree; every process of a lab inherits it.
const TREE: &str = "PEERLAB_TEST_TREE";
/// Kills at random moments.
const KILLS: usize = 60;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome = Result<(), Failed>;

pub fn tests() -> Vec<Trial> {
    let ordinary = Trial::test("inside::same_for_root_and_ordinary_user", same_for_everyone);
    let ordinary = match other_user() {
        Ok(_) => ordinary,
        Err(reason) => ordinary.with_kind(reason).with_ignored_flag(true),
    };
    vec![
        ordinary,
        Trial::test("inside::exit_number_is_passed_through", exit_number),
        Trial::test("inside::death_by_signal_is_a_failed_lab", death),
        Trial::test("inside::signals_are_passed_on_and_held", signals),
        Trial::test("inside::orphans_are_reaped", orphans),
        Trial::test("inside::sockets_come_from_outside", sockets_from_outside),
        Trial::test("inside::nothing_is_left_after_kill", kill_at_random_moments),
    ]
}

/// What the inner process does.
pub fn play(role: &str, entered: Entered) -> ExitCode {
    match role {
        "three" => return ExitCode::from(3),
        "killed" => {
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
        "describe" => println!("{}", describe()),
        "signals" => return hear_signals(entered),
        "orphans" => return orphans_leave_no_zombie(),
        "lab" => lab(),
        "outside" => return speak_outside(&entered.outside),
        _ => return ExitCode::from(99),
    }
    ExitCode::SUCCESS
}

fn start(role: &str, tree: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env(ROLE, role).env(TREE, tree);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a role to its end: exit number, stdout, stderr.
fn outcome(mut command: Command) -> Result<(Option<i32>, String, String), Failed> {
    let output = command.spawn()?.wait_with_output()?;
    Ok((
        output.status.code(),
        String::from_utf8(output.stdout)?,
        String::from_utf8(output.stderr)?,
    ))
}

/// Asks `condition` again and again until it gives something or patience ends.
fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> Result<T, Failed> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if Instant::now() > deadline {
            return Err(format!("waited {PATIENCE:?} in vain: {what}").into());
        }
        std::thread::yield_now();
    }
}

/// The identity of an ordinary user that exists here.
fn other_user() -> Result<u32, String> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let length = map
        .split_whitespace()
        .nth(2)
        .and_then(|length| length.parse::<u64>().ok());
    if length.unwrap_or(0) > 65534 {
        Ok(65534)
    } else {
        Err("only one user exists in this user namespace".into())
    }
}

/// What a lab sees of itself, as text.
fn describe() -> String {
    let links = Command::new("ip")
        .args(["-br", "link"])
        .output()
        .expect("ip is installed");
    let links = String::from_utf8_lossy(&links.stdout).into_owned();
    let mut run: Vec<_> = fs::read_dir("/run")
        .expect("/run is there")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "user" && name != "media")
        .collect();
    run.sort();
    let processes = processes().filter(|pid| {
        !fs::read(format!("/proc/{pid}/cmdline"))
            .unwrap_or_default()
            .is_empty()
    });
    let report = std::env::temp_dir().join(std::env::var(TREE).expect("a tree"));
    let built = Network::build(&build::plan()).map(|network| network.namespaces.len());
    format!(
        "user {}; pid {}; processes {}; links {}; run {run:?}; writable {}; tmp {}; lab {built:?}",
        nix::unistd::geteuid(),
        std::process::id(),
        processes.count(),
        links
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" "),
        fs::write("/run/test", "").is_ok(),
        fs::read_to_string(report).unwrap_or_default(),
    )
}

fn same_for_everyone() -> Outcome {
    let nobody = other_user()?;
    let tree = format!("describe-{}", std::process::id());
    let report = std::env::temp_dir().join(&tree);
    fs::write(&report, "is reachable")?;
    let root = outcome(start("describe", &tree))?;
    let mut command = start("describe", &tree);
    command.uid(nobody).gid(nobody);
    let ordinary = outcome(command)?;
    fs::remove_file(&report)?;
    assert_eq!(
        root.1.trim(),
        "user 0; pid 2; processes 2; links lo UNKNOWN; run []; writable true; tmp is reachable; lab Ok(2)",
        "{}",
        root.2
    );
    assert_eq!(root, ordinary);
    assert!(!fs::exists("/run/test")?, "/run of the lab is its own");
    Ok(())
}

fn exit_number() -> Outcome {
    assert_eq!(outcome(start("three", "three"))?.0, Some(3));
    Ok(())
}

fn death() -> Outcome {
    let (number, _, stderr) = outcome(start("killed", "killed"))?;
    assert_eq!(number, Some(4));
    assert_eq!(
        stderr,
        "peerlab: SIGKILL ended the lab; nothing of it is left\n"
    );
    Ok(())
}

/// Waits until a signal is held, lets it through, and says which came.
fn hear_signals(entered: Entered) -> ExitCode {
    let wanted = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    println!("ready");
    let pending = wait_for("a held signal", || {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let shared = status
            .lines()
            .find_map(|line| line.strip_prefix("ShdPnd:"))?;
        let set = u64::from_str_radix(shared.trim(), 16).ok()?;
        (set != 0).then_some(set)
    });
    let signal = wanted.wait().expect("the set is valid");
    println!("{} held {}", signal.as_str(), pending.is_ok());
    entered.signals.release();
    println!("released");
    // The default action is in force now.
    loop {
        std::thread::park();
    }
}

fn signals() -> Outcome {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut child = start("signals", "signals").spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("stdout")?).lines();
        let mut next = || lines.next().and_then(Result::ok).unwrap_or_default();
        assert_eq!(next(), "ready");
        let outer = Pid::from_raw(child.id() as i32);
        kill(outer, signal)?;
        assert_eq!(next(), format!("{} held true", signal.as_str()));
        assert_eq!(next(), "released");
        kill(outer, signal)?;
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .ok_or("stderr")?
            .read_to_string(&mut stderr)?;
        assert_eq!(child.wait()?.code(), Some(4));
        assert!(stderr.contains(signal.as_str()), "{stderr}");
    }
    Ok(())
}

/// Leaves orphans behind, and waits until init has reaped them.
fn orphans_leave_no_zombie() -> ExitCode {
    for _ in 0..10 {
        let status = Command::new("sh").args(["-c", "true & true &"]).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
    let alone = wait_for("only init and this process are there", || {
        (processes().count() == 2).then_some(())
    });
    if alone.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn orphans() -> Outcome {
    let (number, _, stderr) = outcome(start("orphans", "orphans"))?;
    assert_eq!(number, Some(0), "{stderr}");
    Ok(())
}

/// Speaks with a server outside: by itself it cannot, with a socket from outside it can, several at once.
fn speak_outside(outside: &Outside) -> ExitCode {
    let server: SocketAddr = std::env::var(SERVER)
        .expect("a server")
        .parse()
        .expect("an address");
    let by_itself = TcpStream::connect(server).map_err(|error| error.kind());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let greet = async || {
        let mut connection = outside.tcp(server).await?;
        let mut greeting = String::new();
        connection.read_to_string(&mut greeting).await?;
        io::Result::Ok(greeting)
    };
    let heard = runtime.expect("a runtime").block_on(async {
        let nobody = outside.tcp(([127, 0, 0, 1], 1).into()).await;
        (
            tokio::join!(greet(), greet()),
            nobody.map_err(|error| error.kind()).map(drop),
        )
    });
    println!("{:?} {heard:?}", by_itself.map(drop));
    ExitCode::SUCCESS
}

fn sockets_from_outside() -> Outcome {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let server = TcpListener::bind(address)?;
        let mut command = start("outside", "outside");
        command.env(SERVER, server.local_addr()?.to_string());
        let child = command.spawn()?;
        for _ in 0..2 {
            server.accept()?.0.write_all(b"welcome")?;
        }
        let output = child.wait_with_output()?;
        assert_eq!(
            String::from_utf8(output.stdout)?,
            "Err(ConnectionRefused) ((Ok(\"welcome\"), Ok(\"welcome\")), Err(ConnectionRefused))\n",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// A lab with processes in its namespaces, one of them an orphan in a session of its own; says when it is ready.
fn lab() {
    let network = Network::build(&build::plan()).expect("the plan can be built");
    let a = network.namespace("a").expect("a namespace");
    let mut daemon = Command::new("setsid");
    daemon.args(["--fork", "sleep", "1000"]);
    let _ = a.spawn(daemon).expect("setsid starts").wait();
    let mut program = Command::new("sleep");
    program.arg("1000");
    let mut child = a.spawn(program).expect("sleep starts");
    println!("ready");
    let _ = child.wait();
}

fn kill_at_random_moments() -> Outcome {
    let before = outside();
    for trial in 0..KILLS {
        let tree = format!("kill-{}-{trial}", std::process::id());
        let mut child = start("lab", &tree).spawn()?;
        // The last third is killed when it is ready, the others at a moment before or around that.
        if trial >= KILLS * 2 / 3 {
            let mut ready = String::new();
            BufReader::new(child.stdout.as_mut().ok_or("stdout")?).read_line(&mut ready)?;
            assert_eq!(ready, "ready\n");
            // A process that is just being executed shows no environment.
            wait_for("outer, init, inner, a child and a daemon", || {
                (of_tree(&tree).len() == 5).then_some(())
            })?;
        } else {
            let micros = random() % 25_000;
            let moment = TimeSpec::from_duration(Duration::from_micros(micros));
            let _ = ppoll(&mut [], Some(moment), None);
        }
        let victim = victim(&child, trial % 3);
        let _ = kill(victim, Signal::SIGKILL);
        child.wait()?;
        wait_for("no process of the lab is left", || {
            of_tree(&tree).is_empty().then_some(())
        })?;
    }
    assert_eq!(outside(), before);
    Ok(())
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// The outer process (0), init (1) or the inner process (2); the last of them that is there already.
fn victim(child: &Child, generation: usize) -> Pid {
    let mut pid = child.id() as i32;
    for _ in 0..generation {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        match children
            .unwrap_or_default()
            .split_whitespace()
            .next()
            .map(str::parse)
        {
            Some(Ok(next)) => pid = next,
            _ => break,
        }
    }
    Pid::from_raw(pid)
}

/// Numbers of all processes that /proc shows.
fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Processes of a tree, zombies left out: those have no environment any more.
fn of_tree(tree: &str) -> Vec<u32> {
    let mark = format!("{TREE}={tree}\0").into_bytes();
    processes()
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.windows(mark.len()).any(|window| window == mark)
        })
        .collect()
}

/// What a lab could leave behind in the place it was started in.
fn outside() -> String {
    let links = Command::new("ip")
        .args(["-br", "link"])
        .output()
        .expect("ip is installed");
    let listing = |path: &str| -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    format!(
        "{} {:?} {:?} {}",
        String::from_utf8_lossy(&links.stdout),
        listing("/run"),
        listing("/etc"),
        fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(),
    )
}
