//! FRR as the peer to compare with: zebra, bfdd and bgpd for each router, timers at their fastest.
//!
//! FRR wants its files in places that belong to the host, and a group `frrvty`. The mounts it gets instead are those
//! of this process's own mount namespace, so it can run only after [`peerlab::kernel::enter::enter`].

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use peerlab::kernel::namespace::Namespace;
use tempfile::TempDir;

use super::bed::{Bed, address_of, router_id};
use super::{ASNS, Outcome, announced};

const DAEMONS: &str = "/usr/lib/frr";

/// Whether FRR is there.
pub fn installed() -> bool {
    ["zebra", "bfdd", "bgpd"].map(|daemon| Path::new(DAEMONS).join(daemon).exists()) == [true; 3]
}

/// The files of running daemons, which end with the pid namespace.
pub struct Frrs {
    _folder: TempDir,
}

/// Starts FRR on every router of a bed: all zebras first, because a client that misses its zebra comes back only after
/// ten seconds. A daemon's start returns when it has opened its sockets.
pub fn start(bed: &Bed, bfd_ms: u64) -> Outcome<Frrs> {
    let folder = tempfile::tempdir()?;
    make_room(folder.path())?;
    for daemons in [&["zebra"][..], &["bfdd", "bgpd"]] {
        for (pair, side, namespace) in bed.routers() {
            let name = format!("{}{pair}", ["e", "p"][side]);
            // FRR makes the last folder of the path only for its own user.
            fs::create_dir_all(Path::new("/run/frr").join(&name))?;
            for daemon in daemons {
                let path = |end: &str| folder.path().join(format!("{name}.{daemon}.{end}"));
                let text = match *daemon {
                    "bgpd" => bgpd(pair, side)?,
                    "bfdd" => bfdd(bfd_ms),
                    _ => String::new(),
                };
                fs::write(path("conf"), text)?;
                run(daemon, &name, namespace, &path)?;
            }
        }
    }
    Ok(Frrs { _folder: folder })
}

fn run(
    daemon: &str,
    name: &str,
    namespace: &Namespace,
    path: &dyn Fn(&str) -> std::path::PathBuf,
) -> Outcome<()> {
    let log = fs::File::create(path("log"))?;
    let mut command = Command::new(Path::new(DAEMONS).join(daemon));
    command
        .args(["-d", "-u", "root", "-g", "root", "-P", "0", "-N", name])
        .arg("-i")
        .arg(path("pid"))
        .arg("-f")
        .arg(path("conf"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    namespace.enter_on_exec(&mut command)?;
    let status = command.status()?;
    if !status.success() {
        let words = fs::read_to_string(path("log"))?;
        return Err(format!("{daemon} of {name}: {status}: {}", words.trim()).into());
    }
    Ok(())
}

/// Gives FRR its places and its group. /run is private already.
fn make_room(folder: &Path) -> Outcome<()> {
    const NONE: Option<&str> = None;
    let groups = fs::read_to_string("/etc/group")?;
    let mut text: String = groups
        .lines()
        .filter(|line| !line.starts_with("frrvty:"))
        .flat_map(|line| [line, "\n"])
        .collect();
    text.push_str("frrvty:x:0:root\n");
    let group = folder.join("group");
    fs::write(&group, text)?;
    mount(Some(&group), "/etc/group", NONE, MsFlags::MS_BIND, NONE)?;
    mount(NONE, "/var/tmp", Some("tmpfs"), MsFlags::empty(), NONE)?;
    Ok(())
}

fn bfdd(bfd_ms: u64) -> String {
    format!(
        "bfd\n profile fast\n  detect-multiplier 3\n  receive-interval {bfd_ms}\n  transmit-interval {bfd_ms}\n"
    )
}

fn bgpd(pair: usize, side: usize) -> Outcome<String> {
    let mut text = String::new();
    writeln!(text, "router bgp {}", ASNS[side])?;
    writeln!(text, " bgp router-id {}", router_id(pair, side))?;
    writeln!(text, " no bgp ebgp-requires-policy")?;
    writeln!(text, " no bgp network import-check")?;
    for link in 0..2 {
        let neighbor = address_of(pair, link, 1 - side);
        writeln!(text, " neighbor {neighbor} remote-as {}", ASNS[1 - side])?;
        writeln!(text, " neighbor {neighbor} timers connect 1")?;
        writeln!(text, " neighbor {neighbor} bfd profile fast")?;
    }
    writeln!(text, " address-family ipv4 unicast")?;
    for prefix in announced(side) {
        writeln!(text, "  network {prefix}")?;
    }
    writeln!(text, "  maximum-paths 2")?;
    Ok(text)
}
