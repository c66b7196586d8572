//! A lab that is kept: `up`, `show`, `exec`, `down` as a user types them, and whatever can go wrong between.

use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use crate::left::{self, Outside};
use crate::play::{BIRD, Ended, PATIENCE, Running, Someone, send};
use crate::scenarios::{no_bird, no_netem, unless};

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
        Trial::test("kept::bfd_inside_both_networks", bfd_inside),
        unless(
            no_python(),
            Trial::test("kept::echo_packets_of_bfd_come_back", echoes),
        ),
        unless(
            no_netem().map_or_else(|| Some("this kernel has netem".to_owned()), |_| None),
            Trial::test("kept::what_a_kernel_lacks_blocks_it", blocked),
        ),
        Trial::test("kept::in_the_foreground", foreground),
        Trial::test("kept::what_is_inside_ends_with_it", ends_inside),
        Trial::test("kept::clients_that_say_nothing_or_nonsense", nonsense),
        unless(
            no_bird(),
            Trial::test("kept::a_router_that_is_not_ours", bird),
        ),
    ]
}

fn no_python() -> Option<String> {
    let there = Command::new("python3").arg("--version").output().is_ok();
    (!there).then(|| "there is no python3".to_owned())
}

/// Sends ten UDP packets to port 3785 of its own address by way of the neighbour on a device, and counts those that come back with
/// one hop less. Arguments: the device, the own address, the neighbour's.
const ECHO: &str = r#"
import ipaddress, json, socket, struct, subprocess, sys, time
device, own, neighbour = sys.argv[1:]
known = json.loads(subprocess.check_output(["ip", "-j", "neigh", "show", neighbour, "dev", device]))
link = bytes.fromhex(known[0]["lladdr"].replace(":", ""))
address = ipaddress.ip_address(own).packed
words = lambda data: sum(struct.unpack(f"!{len(data) // 2}H", data))
def folded(total):
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def udp(n):
    data = b"echo%02d" % n
    head = struct.pack("!HHH", 49152, 3785, 8 + len(data))
    total = words(address * 2) + 17 + 8 + len(data) + words(head + data)
    return head + struct.pack("!H", folded(total)) + data
def packet(n):
    body = udp(n)
    if len(address) == 16:
        return 0x86dd, struct.pack("!IHBB", 6 << 28, len(body), 17, 255) + address * 2 + body
    head = struct.pack("!BBHHHBBH", 0x45, 0xc0, 20 + len(body), n, 0, 255, 17, 0) + address * 2
    return 0x0800, head[:10] + struct.pack("!H", folded(words(head))) + head[12:] + body
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
wire.bind((device, 3))
wire.settimeout(5)
for n in range(10):
    kind, data = packet(n)
    wire.sendto(data, (device, kind, 0, 0, link))
back = set()
end = time.monotonic() + 5
while len(back) < 10 and time.monotonic() < end:
    data, (_, kind, where, _, _) = wire.recvfrom(2048)
    hops = data[7 if kind == 0x86dd else 8]
    if where == socket.PACKET_HOST and data[-6:-2] == b"echo" and hops == 254: back.add(data[-2:])
print(len(back), "came back")
"#;

/// An edge returns Echo packets (RFC 5881, section 4): they are its neighbour's to itself, and its kernel forwards them.
fn echoes() -> Result<(), Failed> {
    let someone = Someone::present();
    let up = Up::start_of("topologies/one-metro-every-bfd.toml", &someone, &[])?;
    up.ended.expect(0)?;
    for (router, device, own, neighbour) in [
        ("ams-pe-1", "ams-1", "192.0.2.0", "192.0.2.1"),
        ("ams-pe-2", "ams-2", "192.0.2.2", "192.0.2.3"),
        ("ams-pe-2", "ams-2", "2001:db8:8075::2", "2001:db8:8075::3"),
    ] {
        let sent = up.exec(router, &["python3", "-c", ECHO, device, own, neighbour])?;
        sent.expect(0)?;
        sent.expect_words("10 came back")?;
    }
    up.down()?.expect(0)
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
        Up::start_of(TOPOLOGY, someone, more)
    }

    fn start_of(topology: &str, someone: &'a Someone, more: &[&str]) -> Result<Up<'a>, Failed> {
        let name = name();
        let arguments = [&["up", topology, "--name", &name], more].concat();
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

/// A lab that this kernel cannot build as its topology has it is not kept, which is no failure of the lab.
fn blocked() -> Result<(), Failed> {
    let before = Outside::now();
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("registry"))?;
    for file in ["contoso.rpsl", "contoso.vrps.json"] {
        let file = Path::new("registry").join(file);
        std::fs::copy(
            Path::new("topologies").join(&file),
            folder.path().join(&file),
        )?;
    }
    let text = std::fs::read_to_string(TOPOLOGY)?;
    let topology = folder.path().join("late.toml");
    std::fs::write(
        &topology,
        text + "[[impair]]\nconnection = \"all\"\ndelay = \"5ms\"\n",
    )?;
    let someone = Someone::present();
    let up = Up::start_of(&topology.to_string_lossy(), &someone, &[])?;
    up.ended.expect(3)?;
    up.ended.expect_words("this kernel has no netem")?;
    let inside = format!("or `peerlab uml sh -c 'peerlab up {} ", topology.display());
    up.ended.expect_words(&inside)?;
    let words = &up.ended.words;
    up.ended.check(
        !words.contains("--kernel uml"),
        "no option that `up` refuses",
    )?;
    before.nothing_is_left(&up.mark)
}

/// BFD over several hops is shown beside that of connections, and of `wan` and `core`, too.
fn bfd_inside() -> Result<(), Failed> {
    let someone = Someone::present();
    let up = Up::start_of("topologies/one-metro-bfd.toml", &someone, &[])?;
    up.ended.expect(0)?;
    let all = up.show(&["bfd", "--json"])?;
    let all: Vec<serde_json::Value> = serde_json::from_str(&all.words)?;
    let is_up = all.iter().all(|one| one["state"] == "up");
    // Both ends of two connections, and of two links inside each network.
    up.ended
        .check(is_up && all.len() == 12, "12 sessions that are up")?;
    up.show(&["bfd", "core"])?.expect_words("core ams-pe-1")?;
    up.show(&["bfd", "wan", "ams-edge-2"])?
        .expect_words("it wants sends every 150 ms")?;
    up.down()?.expect(0)
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
