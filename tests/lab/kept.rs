//! A lab that is kept: `up`, `show`, `exec`, `down` as a user types them, and whatever can go wrong between.

use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use crate::left::{self, Outside};
use crate::play::{BIRD, Ended, PATIENCE, Running, Someone, send};
use crate::scenarios::{no_bird, unless};

const TOPOLOGY: &str = "topologies/one-metro.toml";

pub fn trials() -> Vec<Trial> {
    let present = || whole_life(&Someone::present());
    let ordinary = || whole_life(&Someone::ordinary()?);
    vec![
        Trial::test("kept::whole_life", present),
        unless(
            Someone::no_ordinary(),
            Trial::test("kept::whole_life::as_ordinary_user", ordinary),
        ),
        Trial::test("kept::kill_leaves_nothing", kill_leaves_nothing),
        Trial::test("kept::interrupted_before_it_has_settled", interrupted),
        Trial::test("kept::in_the_foreground", foreground),
        Trial::test("kept::what_is_inside_ends_with_it", ends_inside),
        Trial::test("kept::clients_that_say_nothing_or_nonsense", nonsense),
        unless(
            no_bird(),
            Trial::test("kept::a_router_that_is_not_ours", bird),
        ),
    ]
}

/// A lab that is up. Dropped, it is taken down.
struct Up<'a> {
    someone: &'a Someone,
    name: String,
    /// As [`Running::mark`].
    mark: String,
    /// What it said while it came up.
    ended: Ended,
}

impl<'a> Up<'a> {
    /// Brings one up under a name of its own: other labs may be up on this machine.
    fn start(someone: &'a Someone, more: &[&str]) -> Result<Up<'a>, Failed> {
        let name = name();
        let arguments = [&["up", TOPOLOGY, "--name", &name], more].concat();
        let run = someone.start(&arguments)?;
        let mark = run.mark().to_owned();
        // Its streams are at their end as well: nothing holds the terminal.
        let ended = run.end(PATIENCE)?;
        Ok(Up {
            someone,
            name,
            mark,
            ended,
        })
    }

    fn show(&self, what: &[&str]) -> Result<Ended, Failed> {
        let lab = ["show", "--lab", &self.name];
        self.someone.play(&[&lab[..], what].concat())
    }

    fn exec(&self, router: &str, command: &[&str]) -> Result<Ended, Failed> {
        let lab = ["exec", "--lab", &self.name, router, "--"];
        self.someone.play(&[&lab[..], command].concat())
    }

    fn down(&self) -> Result<Ended, Failed> {
        self.someone.play(&["down", &self.name])
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        if !left::processes(&self.mark).is_empty() {
            let _ = self.down();
        }
    }
}

fn name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{number}", std::process::id())
}

fn whole_life(someone: &Someone) -> Result<(), Failed> {
    let before = Outside::now();
    let up = Up::start(someone, &[])?;
    up.ended.expect(0)?;
    up.ended.expect_words("end-of-rib")?;
    up.ended.expect_words(&format!("{} is up", up.name))?;

    let sessions = up.show(&["sessions", "ams-edge-1"])?;
    sessions.expect(0)?;
    sessions.expect_words("192.0.2.0 64500 Established")?;
    let sessions = up.show(&["sessions", "--json"])?;
    let json: Vec<serde_json::Value> = serde_json::from_str(&sessions.words)?;
    let established = json.iter().filter(|one| one["state"] == "Established");
    sessions.check(established.count() == 16, "16 sessions that are up")?;

    shows_all(&up)?;

    up.exec("ams-pe-1", &["sh", "-c", "ip -br address; exit 7"])?
        .expect(7)?;
    let inside = up.exec("ams-pe-1", &["ip", "-br", "address", "show", "ams-1"])?;
    inside.expect_words("192.0.2.0/31")?;
    up.exec("teams", &["sh", "-c", "kill -9 $$"])?
        .expect(128 + 9)?;
    up.exec("core", &["/no-such-command"])?.expect(127)?;
    passes_streams_through(&up)?;

    let again = someone.play(&["up", TOPOLOGY, "--name", &up.name])?;
    again.expect(2)?;
    again.expect_words("is up already")?;
    let unknown = up.exec("ams-pe-3", &["true"])?;
    unknown.expect(125)?;
    unknown.expect_words("did you mean `ams-pe-")?;
    let unknown = up.show(&["sessions", "wann"])?;
    unknown.expect(2)?;
    unknown.expect_words("did you mean `wan`?")?;
    let unknown = someone.play(&["down", &format!("{}x", up.name)])?;
    unknown.expect(2)?;
    unknown.expect_words(&format!("did you mean `{}`?", up.name))?;

    // Another one beside it disturbs neither.
    let other = Up::start(someone, &[])?;
    other.ended.expect(0)?;
    other.down()?.expect(0)?;
    before_is_left(&before, &up, &other)?;
    up.show(&["sessions"])?.expect(0)?;
    let down = up.down()?;
    down.expect(0)?;
    // Not soon: now.
    down.check(left::processes(&up.mark).is_empty(), "no process left")?;
    before.nothing_is_left(&up.mark)
}

/// Every kind of view is there, as a table and as JSON.
fn shows_all(up: &Up) -> Result<(), Failed> {
    let voice = "198.51.100.0/24";
    for (what, words) in [
        (&[][..], "ams-1 ams-edge-1 ams-pe-1 up 2/2 up Established"),
        (&["session", "ams-edge-1", "ams-1"], "BFD strict"),
        (&["routes", "wan"], "198.51.100.0/24"),
        (&["received", "ams-pe-1", "ams-1"], "198.18.0.0/24"),
        (&["accepted", "ams-edge-1", "ams-1"], "64500 8075:8007"),
        (&["refused", "ams-edge-1", "ams-1"], "no routes"),
        (&["advertised", "ams-pe-1", "ams-1"], voice),
        (&["route", "wan", voice], "chosen over via ams-edge-2"),
        (&["route", "wan", "198.51.100.9"], "198.51.100.0/24 in wan"),
        (&["bfd", "ams-edge-1"], "192.0.2.0 up"),
        (
            &["bfd", "ams-edge-1", "ams-1"],
            "it wants sends every 150 ms, receives every 150 ms, multiplier 3",
        ),
        (&["lacp", "ams-pe-1"], "CURRENT DISTRIBUTING"),
        (&["policy", "ams-edge-1", "ams-1"], "reject bogon-prefix"),
    ] {
        let table = up.show(what)?;
        table.expect(0)?;
        table.expect_words(words)?;
        let json = up.show(&[what, &["--json"]].concat())?;
        json.expect(0)?;
        serde_json::from_str::<serde_json::Value>(&json.words)?;
    }
    let all = up.show(&["routes", "core", "--json"])?;
    let all: Vec<serde_json::Value> = serde_json::from_str(&all.words)?;
    up.ended.check(all.len() == 280, "280 routes")?;
    for (what, help) in [
        (
            &["session", "ams-edge-1", "ams-11"][..],
            "did you mean `ams-1`?",
        ),
        (
            &["route", "wan", "192.0.2.0/24"],
            "`peerlab show routes wan` lists",
        ),
        (
            &["route", "wan", "198.51.100.0/25"],
            "the nearest around it is 198.51.100.0/24",
        ),
        (&["session", "ams-edge-1"], "there are `ams-1`, `wan`"),
        (
            &["bfd", "core"],
            "there are `ams-edge-1`, `ams-edge-2`, `ams-pe-1`, `ams-pe-2`",
        ),
    ] {
        let wrong = up.show(what)?;
        wrong.expect(2)?;
        wrong.expect_words(help)?;
    }
    Ok(())
}

/// Nothing of the other lab is left, and the first one is there.
fn before_is_left(before: &Outside, up: &Up, other: &Up) -> Result<(), Failed> {
    before.nothing_is_left(&other.mark)?;
    let there = left::processes(&up.mark).len();
    up.ended.check(there == 3, "three processes of the lab")
}

/// What goes in comes out, on each of the streams.
fn passes_streams_through(up: &Up) -> Result<(), Failed> {
    let script = "cat; echo to-stderr >&2";
    let lab = ["exec", "--lab", &up.name, "wan", "--", "sh", "-c", script];
    let mut command = up.someone.command(&lab);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(b"through\n")?;
    }
    let output = child.wait_with_output()?;
    let words = (&output.stdout[..], &output.stderr[..]);
    if words == (b"through\n", b"to-stderr\n") && output.status.success() {
        Ok(())
    } else {
        Err(format!("streams: {output:?}").into())
    }
}

/// Whichever of its processes is killed: all go, nothing is left, and the name is free.
fn kill_leaves_nothing() -> Result<(), Failed> {
    let before = Outside::now();
    let someone = Someone::present();
    for victim in 0..3 {
        let up = Up::start(&someone, &[])?;
        up.ended.expect(0)?;
        let processes = left::processes(&up.mark);
        up.ended.check(processes.len() == 3, "three processes")?;
        send(Signal::SIGKILL, processes[victim]);
        before.nothing_is_left(&up.mark)?;
        let gone = up.show(&[])?;
        gone.expect(2)?;
        gone.expect_words("failed to find the lab")?;
    }
    Ok(())
}

/// Ctrl-C reaches the lab through the command that waits for it.
fn interrupted() -> Result<(), Failed> {
    let before = Outside::now();
    let name = name();
    let mut run = Someone::present().start(&["up", TOPOLOGY, "--name", &name])?;
    let mark = run.mark().to_owned();
    run.until_said(&name)?;
    send(Signal::SIGINT, run.outer());
    let ended = run.end(PATIENCE)?;
    match ended.number() {
        Some(4) => before.nothing_is_left(&mark),
        // It had settled already: the signal came too late for the command, and maybe in time for the lab.
        Some(0) => {
            let down = Someone::present().play(&["down", &name])?;
            down.check(matches!(down.number(), Some(0 | 2)), "down, or gone")?;
            before.nothing_is_left(&mark)
        }
        _ => ended.expect(4),
    }
}

fn foreground() -> Result<(), Failed> {
    let before = Outside::now();
    let name = name();
    let someone = Someone::present();
    let mut run: Running = someone.start(&["up", TOPOLOGY, "--foreground", "--name", &name])?;
    let mark = run.mark().to_owned();
    run.until_said("end it with Ctrl-C")?;
    someone.play(&["show", "--lab", &name])?.expect(0)?;
    send(Signal::SIGINT, run.outer());
    run.end(PATIENCE)?.expect(0)?;
    before.nothing_is_left(&mark)
}

fn ends_inside() -> Result<(), Failed> {
    let someone = Someone::present();
    let up = Up::start(&someone, &[])?;
    let lab = ["exec", "--lab", &up.name, "core", "--"];
    let command = ["sh", "-c", "echo inside; sleep 1000"];
    let mut inside = someone.start(&[&lab[..], &command].concat())?;
    inside.until_said("inside")?;
    up.down()?.expect(0)?;
    inside.end(PATIENCE)?.expect(128 + 9)
}

/// More clients than are served at a time, that say nothing or what nobody understands: others are answered all the same.
fn nonsense() -> Result<(), Failed> {
    let someone = Someone::present();
    let up = Up::start(&someone, &[])?;
    let address = format!("peerlab/{}/{}", geteuid(), up.name);
    let address = SocketAddr::from_abstract_name(address)?;
    let silent: Vec<UnixStream> = (0..12)
        .map(|_| UnixStream::connect_addr(&address))
        .collect::<Result<_, _>>()?;
    for text in [
        &b"\n"[..],
        b"{}\n",
        b"{\"ask\":\"nothing\"}\n",
        &[0xff; 100_000],
    ] {
        let mut client = UnixStream::connect_addr(&address)?;
        client.set_write_timeout(Some(Duration::from_secs(10)))?;
        // It may be refused in the middle.
        let _ = client.write_all(text);
    }
    up.show(&["sessions"])?.expect(0)?;
    drop(silent);
    up.down()?.expect(0)
}

fn bird() -> Result<(), Failed> {
    let someone = Someone::present();
    let up = Up::start(&someone, &["--binding", BIRD])?;
    up.ended.expect(0)?;
    // It is where birdc looks for it: each BIRD has a /run of its own.
    let protocols = up.exec("ams-pe-1", &["birdc", "show", "protocols"])?;
    protocols.expect(0)?;
    protocols.expect_words("Established")?;
    let asked = up.show(&["sessions", "ams-pe-1"])?;
    asked.expect(2)?;
    asked.expect_words("`ams-pe-1` is played by BIRD")?;
    asked.expect_words("`peerlab exec ams-pe-1 -- birdc show route all`")?;
    up.down()?.expect(0)
}
