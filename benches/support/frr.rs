//! FRR as the peer to compare with: zebra, bfdd and, where routes are wanted, bgpd for each router, timers at their fastest.
//!
//! FRR wants its files in places that belong to the host, and a group `frrvty`. The mounts it gets instead are those
//! of this process's own mount namespace, so it can run only after [`peerlab::kernel::enter::enter`].

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
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

/// Running daemons, which end with the pid namespace, and their files.
pub struct Frrs {
    folder: TempDir,
    /// The names of the files, less their ends.
    daemons: Vec<String>,
}

/// Starts FRR on every router of a bed.
pub fn start(bed: &Bed, bfd_ms: u64) -> Outcome<Frrs> {
    let mut frrs = Frrs::new()?;
    let profile = format!(
        "bfd\n profile fast\n  detect-multiplier 3\n  receive-interval {bfd_ms}\n  transmit-interval {bfd_ms}\n"
    );
    // All zebras first: a client that misses its zebra comes back only after ten seconds.
    for daemons in [&["zebra"][..], &["bfdd", "bgpd"]] {
        for (pair, side, namespace) in bed.routers() {
            let name = format!("{}{pair}", ["e", "p"][side]);
            for daemon in daemons {
                let text = match *daemon {
                    "bgpd" => bgpd(pair, side)?,
                    "bfdd" => profile.clone(),
                    _ => String::new(),
                };
                frrs.run(daemon, &name, namespace, &text)?;
            }
        }
    }
    Ok(frrs)
}

impl Frrs {
    /// None yet, and the places they want.
    pub fn new() -> Outcome<Frrs> {
        let folder = tempfile::tempdir()?;
        make_room(folder.path())?;
        Ok(Frrs {
            folder,
            daemons: Vec::new(),
        })
    }

    /// Starts a daemon of a router with its configuration; it has opened its sockets when this returns.
    pub fn run(
        &mut self,
        daemon: &str,
        router: &str,
        namespace: &Namespace,
        configuration: &str,
    ) -> Outcome<()> {
        // FRR makes the last folder of the path only for its own user.
        fs::create_dir_all(Path::new("/run/frr").join(router))?;
        self.daemons.push(format!("{router}.{daemon}"));
        fs::write(self.path("conf"), configuration)?;
        let log = fs::File::create(self.path("log"))?;
        let mut command = Command::new(Path::new(DAEMONS).join(daemon));
        command
            .args(["-d", "-u", "root", "-g", "root", "-P", "0", "-N", router])
            .arg("-i")
            .arg(self.path("pid"))
            .arg("-f")
            .arg(self.path("conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        namespace.enter_on_exec(&mut command)?;
        let status = command.status()?;
        if !status.success() {
            let words = fs::read_to_string(self.path("log"))?;
            return Err(format!("{daemon} of {router}: {status}: {}", words.trim()).into());
        }
        Ok(())
    }

    /// A file of the daemon that was started last.
    fn path(&self, end: &str) -> PathBuf {
        let name = self.daemons.last().map_or("", String::as_str);
        self.folder.path().join(format!("{name}.{end}"))
    }

    /// CPU time of all of them so far, seconds.
    pub fn cpu(&self) -> Outcome<f64> {
        let pids = self.daemons.iter().map(|name| {
            let pid = fs::read_to_string(self.folder.path().join(format!("{name}.pid")))?;
            super::figure::cpu_of(pid.trim().parse()?)
        });
        pids.sum()
    }
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
