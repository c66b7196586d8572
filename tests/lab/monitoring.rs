//! The edges' monitoring: MRT files and a BMP stream of a run, read by independent programs and by our own readers.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use libtest_mimic::{Failed, Trial};
use peerlab::routes::{self, Direction, Format};

use crate::play::{Ended, PATIENCE, Someone};
use crate::scenarios::unless;

const SCENARIO: &str = "prefixes/peer-policies";
const DUAL_STACK: &str = "bgp/ipv6";
const SESSION_OPTIONS: &str = "bgp/session-options";

pub fn trials() -> Vec<Trial> {
    let lacks = |program: &str| {
        let there = Command::new("which").arg(program).output();
        let there = there.is_ok_and(|output| output.status.success());
        (!there).then(|| format!("{program} is not installed"))
    };
    vec![
        unless(
            lacks("bgpdump"),
            Trial::test("monitoring::mrt_is_read_by_bgpdump", bgpdump),
        ),
        unless(
            lacks("tshark").or_else(|| lacks("text2pcap")),
            Trial::test("monitoring::bmp_is_read_by_tshark", tshark),
        ),
        unless(
            lacks("tshark").or_else(|| lacks("text2pcap")),
            Trial::test(
                "monitoring::a_kept_lab_of_both_families_is_read_by_tshark",
                kept,
            ),
        ),
        Trial::test("monitoring::a_dead_collector_harms_nobody", dead),
    ]
}

fn play(scenario: &str, folder: &Path, collector: &str) -> Result<Ended, Failed> {
    play_file(&format!("scenarios/{scenario}.toml"), folder, collector)
}

fn play_file(file: &str, folder: &Path, collector: &str) -> Result<Ended, Failed> {
    let report = folder.display().to_string();
    let ended = Someone::present().play(&["run", file, "--report", &report, "--bmp", collector])?;
    ended.check(matches!(ended.number(), Some(0 | 5)), "an undisturbed run")?;
    Ok(ended)
}

/// The prefixes received, as our own reader tells them.
fn received(bytes: &[u8], format: Format) -> Result<BTreeSet<String>, Failed> {
    let dump = routes::read(bytes, format, &|_| true)?;
    let tables = dump.tables.iter();
    let received = tables.filter(|table| table.session.direction == Direction::Received);
    let prefixes = received.flat_map(|table| table.routes.keys());
    Ok(prefixes.map(ToString::to_string).collect())
}

fn bgpdump() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    play(SCENARIO, folder.path(), "127.0.0.1:9")?;
    let paths = [
        (
            "ams-edge-1",
            "64500",
            ["198.51.100.0/24", "203.0.113.0/24", "203.0.113.128/25"].as_slice(),
        ),
        (
            "ams-edge-2",
            "64500 64500 64500",
            &["198.51.100.0/24", "203.0.113.0/24"],
        ),
    ];
    for (edge, path, prefixes) in paths {
        let file = |kind: &str| {
            folder
                .path()
                .join(SCENARIO)
                .join(format!("{kind}.{edge}.mrt"))
        };
        let lines = dumped(&file("rib"))?;
        let told: Vec<&str> = lines
            .lines()
            .filter_map(|line| line.split('|').nth(5))
            .collect();
        if told != prefixes {
            return Err(format!("{edge} has {prefixes:?}, bgpdump reads {lines}").into());
        }
        let wanted = format!("|203.0.113.0/24|{path}|IGP|");
        let marked = lines
            .lines()
            .any(|l| l.contains(&wanted) && l.contains("|8075:8007|"));
        let trace = dumped(&file("updates"))?;
        let established = trace.lines().filter(|line| line.ends_with("|5|6"));
        if !marked || established.count() != 1 || !trace.contains(&wanted) {
            return Err(format!("bgpdump reads of {edge}:\n{lines}\n{trace}").into());
        }
        let ours: BTreeSet<String> = prefixes.iter().map(ToString::to_string).collect();
        for kind in ["rib", "updates"] {
            let read = received(&std::fs::read(file(kind))?, Format::Mrt)?;
            if read != ours {
                return Err(format!("{kind} of {edge} is read as {read:?}").into());
            }
        }
    }
    bgpdump_of_ipv6()?;
    bgpdump_of_session_options()
}

/// IPv6 sessions and prefixes in both kinds of files.
fn bgpdump_of_ipv6() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    play(DUAL_STACK, folder.path(), "127.0.0.1:9")?;
    for kind in ["rib", "updates"] {
        let file = format!("{DUAL_STACK}/{kind}.ams-edge-1.mrt");
        let text = dumped(&folder.path().join(file))?;
        let wanted = "|2001:db8:8075::|64500|2001:db8:5bc::/48|64500|IGP|2001:db8:8075::|";
        if !text.contains(wanted) {
            return Err(format!("bgpdump reads of {kind}:\n{text}").into());
        }
    }
    Ok(())
}

/// AS numbers of two octets; with path identifiers, too, where both ends have several paths.
fn bgpdump_of_session_options() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    play(SESSION_OPTIONS, folder.path(), "127.0.0.1:9")?;
    let route = "A|192.0.2.2|64500|198.51.100.0/24";
    let of = folder.path().join(SESSION_OPTIONS);
    trace_has(&of, &format!("BGP4MP_ET|{route}|64500|IGP|"))?;

    let root = env!("CARGO_MANIFEST_DIR");
    let registry = format!("{root}/topologies/registry");
    symlink(registry, folder.path().join("registry"))?;
    let one_way = "graceful-restart = \"60s\" }";
    let both_ways = "graceful-restart = \"60s\", add-path = \"both\" }";
    for (file, to, from, into) in [
        (
            "topologies/one-metro-session-options.toml",
            "add-path.toml",
            one_way,
            both_ways,
        ),
        (
            "scenarios/bgp/session-options.toml",
            "several.toml",
            "\"one-metro-session-options\"",
            "\"add-path.toml\"",
        ),
    ] {
        let text = std::fs::read_to_string(Path::new(root).join(file))?;
        std::fs::write(folder.path().join(to), text.replace(from, into))?;
    }
    let scenario = folder.path().join("several.toml").display().to_string();
    play_file(&scenario, folder.path(), "127.0.0.1:9")?;
    let of = folder.path().join("several");
    trace_has(&of, &format!("BGP4MP_ET_AP|{route}|1|64500|IGP|"))
}

/// That bgpdump reads all of a trace, with this line but for its time, and our own reader the prefix.
fn trace_has(folder: &Path, wanted: &str) -> Result<(), Failed> {
    let file = folder.join("updates.ams-edge-2.mrt");
    let text = dumped(&file)?;
    let untimed = |line: &str| {
        let mut fields: Vec<&str> = line.split('|').collect();
        fields.remove(1.min(fields.len() - 1));
        fields.join("|")
    };
    let found = text.lines().any(|line| untimed(line).starts_with(wanted));
    let read = received(&std::fs::read(&file)?, Format::Mrt)?;
    match found && !text.contains("Error") && read.contains("198.51.100.0/24") {
        true => Ok(()),
        false => Err(format!("{read:?}, and bgpdump reads:\n{text}").into()),
    }
}

fn dumped(file: &Path) -> Result<String, Failed> {
    let output = Command::new("bgpdump").arg("-m").arg(file).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// All that both edges tell a collector; one connection for each.
fn collect(listener: TcpListener) -> JoinHandle<std::io::Result<Vec<Vec<u8>>>> {
    thread::spawn(move || {
        let mut streams = [listener.accept()?.0, listener.accept()?.0];
        let read = streams.iter_mut().map(|stream| {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).map(|_| bytes)
        });
        read.collect()
    })
}

fn tshark() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let collected = collect(listener);
    play(SCENARIO, folder.path(), &address)?;
    let streams = collected.join().map_err(|_| "the collector panicked")??;
    for stream in &streams {
        let read = received(stream, Format::Bmp)?;
        if !read.contains("198.51.100.0/24") {
            return Err(format!("the stream is read as {read:?}").into());
        }
        let pcap = as_pcap(folder.path(), stream)?;
        let types = fields(&pcap, "bmp.type", "bmp")?;
        let types: BTreeSet<&str> = types.split([',', '\n']).map(str::trim).collect();
        for kind in ["0", "1", "3", "4", "5"] {
            if !types.contains(kind) {
                return Err(format!("no message of type {kind}: {types:?}").into());
            }
        }
    }
    Ok(())
}

/// A BMP stream as frames in a file, which tshark has nothing to find fault with.
fn as_pcap(folder: &Path, stream: &[u8]) -> Result<PathBuf, Failed> {
    let mut dump = String::from("0000");
    for byte in stream {
        let _ = write!(dump, " {byte:02x}");
    }
    let (text, pcap) = (folder.join("bmp.txt"), folder.join("bmp.pcap"));
    std::fs::write(&text, dump + "\n")?;
    let made = Command::new("text2pcap")
        .args(["-q", "-T", "40000,11019"])
        .args([&text, &pcap])
        .output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    match fields(&pcap, "frame.number", "_ws.malformed")?.trim() {
        "" => Ok(pcap),
        _ => Err("the stream is malformed".into()),
    }
}

/// The messages of a stream: type, flags of the peer (none without a peer), and what follows the per-peer header.
fn messages(stream: &[u8]) -> Vec<(u8, u8, &[u8])> {
    let mut messages = Vec::new();
    let mut rest = stream;
    while let [3, a, b, c, d, kind, ..] = *rest {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let (message, more) = rest.split_at(length.min(rest.len()));
        let (flags, begin) = match kind {
            0..=3 => (message[7], 48),
            _ => (0, 6),
        };
        messages.push((kind, flags, message.get(begin..).unwrap_or_default()));
        rest = more;
    }
    messages
}

const INITIATION: u8 = 4;
const TERMINATION: u8 = 5;
const IPV6: u8 = 0x80;
const POST_POLICY: u8 = 0x40;

/// `peerlab up --bmp`, both families: what a collector hears from its first message to its last.
fn kept() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let collected = collect(listener);
    let someone = Someone::present();
    let name = format!("test-bmp-{}", std::process::id());
    let topology = "topologies/one-metro-dual-stack.toml";
    let up = someone.play(&["up", topology, "--name", &name, "--bmp", &address])?;
    up.expect(0)?;
    // Both sessions of an edge are lost.
    let lab = ["--lab", name.as_str()];
    let cut = ["ams-pe-1", "--", "ip", "link", "set", "ams-1", "down"];
    someone
        .play(&[&["exec"], &lab[..], &cut].concat())?
        .expect(0)?;
    let sessions = [&["show"], &lab[..], &["session", "ams-edge-1"]].concat();
    for session in ["ams-1", "ams-1/ipv6"] {
        let asked = [&sessions[..], &[session]].concat();
        let deadline = Instant::now() + PATIENCE;
        while someone.play(&asked)?.words.contains("Established for") {
            if Instant::now() > deadline {
                return Err(format!("{session} stays up over a link that is down").into());
            }
        }
    }
    someone.play(&["down", &name])?.expect(0)?;
    let streams = collected.join().map_err(|_| "the collector panicked")??;
    let mut down: Vec<Vec<Vec<u8>>> = Vec::new();
    for stream in &streams {
        as_pcap(folder.path(), stream)?;
        let messages = messages(stream);
        let of = |kind: u8| messages.iter().filter(move |(of, ..)| *of == kind);
        let check = |held: bool, wanted: &str| match held {
            true => Ok(()),
            false => Err(Failed::from(format!("wanted {wanted}: {messages:?}"))),
        };
        let kinds = (messages.first(), messages.last());
        let framed = matches!(kinds, (Some((INITIATION, ..)), Some((TERMINATION, ..))));
        check(framed, "Initiation first and Termination last")?;
        // Peer Up: both families, and real ports behind 16 octets of our address.
        let mut families: Vec<u8> = of(3).map(|(_, flags, _)| *flags).collect();
        families.sort_unstable();
        check(families == [0, IPV6], "a Peer Up for each family")?;
        let port = |body: &[u8], at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        let ports = |body: &[u8]| [port(body, 16), port(body, 18)];
        let real = of(3).all(|(_, _, body)| {
            let ports = ports(body);
            ports.contains(&179) && ports.iter().any(|port| *port > 1023)
        });
        check(real, "port 179 and the other end's")?;
        // Before policy and after it, of each family: the last octets are the prefix.
        for (flags, nlri) in [
            (0, &[24, 198, 51, 100][..]),
            (POST_POLICY, &[24, 198, 51, 100]),
            (IPV6, &[48, 0x20, 1, 0xd, 0xb8, 5, 0xbc]),
            (IPV6 | POST_POLICY, &[48, 0x20, 1, 0xd, 0xb8, 5, 0xbc]),
        ] {
            let mut told = of(0).filter(|(_, of, _)| *of == flags);
            let contains = |body: &[u8]| body.windows(nlri.len()).any(|part| part == nlri);
            let wanted = format!("{nlri:?} with flags {flags:#x}");
            check(told.any(|(_, _, body)| contains(body)), &wanted)?;
        }
        down.push(of(2).map(|(_, _, body)| body.to_vec()).collect());
        let up = 2 - down.last().map_or(0, Vec::len);
        check(of(1).count() >= up, "Statistics of each session that is up")?;
    }
    // One edge has lost both, the other none. We say Cease/BFD Down (RFC 9384), though nobody hears it.
    down.sort_by_key(Vec::len);
    let cease = |body: &Vec<u8>| body[0] == 1 && body[1 + 19..] == [6, 10];
    match &down[..] {
        [none, both] if none.is_empty() && both.len() == 2 && both.iter().all(cease) => Ok(()),
        _ => Err(format!("wanted two Peer Downs for Cease/BFD Down: {down:?}").into()),
    }
}

fn fields(pcap: &Path, field: &str, filter: &str) -> Result<String, Failed> {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(pcap)
        .args([
            "-d",
            "tcp.port==11019,bmp",
            "-Y",
            filter,
            "-T",
            "fields",
            "-e",
            field,
        ])
        .output()?;
    Ok(String::from_utf8(output.stdout)?)
}

/// It accepts, and never reads.
fn dead() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let ended = play(SCENARIO, folder.path(), &listener.local_addr()?.to_string())?;
    ended.check(!ended.words.contains("the lab failed"), "no failure")?;
    let address = listener.local_addr()?.to_string();
    drop(listener);
    let folder = tempfile::tempdir()?;
    let ended = play(SCENARIO, folder.path(), &address)?;
    let told = format!("ams-edge-1 cannot reach its BMP collector {address}");
    ended.check(
        ended.words.contains(&told),
        "who was never there is not lost",
    )?;
    ended.check(!ended.words.contains("lost its BMP"), "nor told as lost")
}
