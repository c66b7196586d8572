//! The edges' monitoring: MRT files and a BMP stream of a run, read by independent programs and by our own readers.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use libtest_mimic::{Failed, Trial};
use peerlab::routes::{self, Direction, Format};

use crate::play::{Ended, Someone};
use crate::scenarios::unless;

const SCENARIO: &str = "prefixes/peer-policies";

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
        Trial::test("monitoring::a_dead_collector_harms_nobody", dead),
    ]
}

fn play(folder: &Path, collector: &str) -> Result<Ended, Failed> {
    let file = format!("scenarios/{SCENARIO}.toml");
    let report = folder.display().to_string();
    let ended =
        Someone::present().play(&["run", &file, "--report", &report, "--bmp", collector])?;
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
    play(folder.path(), "127.0.0.1:9")?;
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
    Ok(())
}

fn dumped(file: &Path) -> Result<String, Failed> {
    let output = Command::new("bgpdump").arg("-m").arg(file).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

fn tshark() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    // One connection for each edge.
    let collected = thread::spawn(move || -> std::io::Result<Vec<Vec<u8>>> {
        let mut streams = [listener.accept()?.0, listener.accept()?.0];
        let read = streams.iter_mut().map(|stream| {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).map(|_| bytes)
        });
        read.collect()
    });
    play(folder.path(), &address)?;
    let streams = collected.join().map_err(|_| "the collector panicked")??;
    for (number, stream) in streams.iter().enumerate() {
        let read = received(stream, Format::Bmp)?;
        if !read.contains("203.0.113.0/24") || !read.contains("198.51.100.0/24") {
            return Err(format!("the stream is read as {read:?}").into());
        }
        let mut dump = String::from("0000");
        for byte in stream {
            let _ = write!(dump, " {byte:02x}");
        }
        let (text, pcap) = (
            folder.path().join("bmp.txt"),
            folder.path().join("bmp.pcap"),
        );
        std::fs::write(&text, dump + "\n")?;
        let made = Command::new("text2pcap")
            .args(["-q", "-T", "40000,11019"])
            .args([&text, &pcap])
            .output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
        }
        let types = fields(&pcap, "bmp.type", "bmp")?;
        let types: BTreeSet<&str> = types.split([',', '\n']).map(str::trim).collect();
        for kind in ["0", "3", "4", "5"] {
            if !types.contains(kind) {
                return Err(
                    format!("stream {number} has no message of type {kind}: {types:?}").into(),
                );
            }
        }
        let malformed = fields(&pcap, "frame.number", "_ws.malformed")?;
        if !malformed.trim().is_empty() {
            return Err(format!("stream {number} is malformed").into());
        }
    }
    Ok(())
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
    let ended = play(folder.path(), &listener.local_addr()?.to_string())?;
    drop(listener);
    ended.check(!ended.words.contains("the lab failed"), "no failure")
}
