//! BIRD 2 as the peer to compare with: the same topology, its timers at their fastest.

use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use peerlab::kernel::namespace::Namespace;
use tempfile::TempDir;

use super::bed::{Bed, address_of, router_id};
use super::{ASNS, Outcome, announced};

/// BIRDs, and the folder of their files; killed when dropped.
pub struct Birds {
    children: Vec<Child>,
    folder: TempDir,
}

/// Whether BIRD is there.
pub fn installed() -> bool {
    Command::new("bird").arg("--version").output().is_ok()
}

/// Configurations written, not yet started.
pub struct Ready {
    folder: TempDir,
    routers: Vec<(String, Arc<Namespace>)>,
}

/// Writes the configurations, so that starting measures BIRD alone.
pub fn prepare(bed: &Bed, bfd_ms: u64) -> Outcome<Ready> {
    let folder = tempfile::tempdir()?;
    let mut routers = Vec::new();
    for (pair, side, namespace) in bed.routers() {
        let name = format!("{}{pair}", ["e", "p"][side]);
        std::fs::write(
            folder.path().join(format!("{name}.conf")),
            configuration(pair, side, bfd_ms)?,
        )?;
        routers.push((name, Arc::clone(namespace)));
    }
    Ok(Ready { folder, routers })
}

fn configuration(pair: usize, side: usize, bfd_ms: u64) -> Outcome<String> {
    let mut text = String::new();
    writeln!(
        text,
        "log stderr all;\nrouter id {};",
        router_id(pair, side)
    )?;
    writeln!(text, "protocol device {{ scan time 10; }}")?;
    writeln!(
        text,
        "protocol kernel {{ scan time 60; merge paths on limit 2; ipv4 {{ import none; export where source = RTS_BGP; }}; }}"
    )?;
    writeln!(
        text,
        "protocol bfd {{ interface \"l*\" {{ interval {bfd_ms} ms; multiplier 3; }}; }}"
    )?;
    writeln!(text, "protocol static {{ ipv4;")?;
    for prefix in announced(side) {
        writeln!(text, "  route {prefix} blackhole;")?;
    }
    writeln!(text, "}}")?;
    for link in 0..2 {
        writeln!(
            text,
            "protocol bgp b{link} {{ local {} as {}; neighbor {} as {}; bfd on; connect delay time 1; connect retry time 1; \
             error wait time 1,2; ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }}; }}",
            address_of(pair, link, side),
            ASNS[side],
            address_of(pair, link, 1 - side),
            ASNS[1 - side],
        )?;
    }
    Ok(text)
}

impl Ready {
    /// Starts them all, one after another.
    pub fn start(self) -> Outcome<Birds> {
        let mut birds = Birds::new(self.folder);
        for (name, namespace) in &self.routers {
            birds.start(name, namespace)?;
        }
        Ok(birds)
    }
}

impl Birds {
    /// None yet. The folder has, or will have, `NAME.conf` for each.
    pub fn new(folder: TempDir) -> Birds {
        Birds {
            children: Vec::new(),
            folder,
        }
    }

    /// The file of one of them that ends like this.
    pub fn path(&self, name: &str, end: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.{end}"))
    }

    /// Starts one, which reads `NAME.conf`, listens at `NAME.ctl` and logs to `NAME.log`.
    pub fn start(&mut self, name: &str, namespace: &Namespace) -> Outcome<()> {
        let mut command = Command::new("bird");
        command
            .arg("-f")
            .arg("-c")
            .arg(self.path(name, "conf"))
            .arg("-s")
            .arg(self.path(name, "ctl"))
            .stdin(Stdio::null())
            .stderr(Stdio::from(File::create(self.path(name, "log"))?));
        self.children.push(namespace.spawn(command)?);
        Ok(())
    }

    /// CPU time of all of them so far, seconds.
    pub fn cpu(&self) -> Outcome<f64> {
        let each = self.children.iter();
        each.map(|child| super::figure::cpu_of(child.id())).sum()
    }

    /// Memory of all of them (PSS), KiB.
    pub fn memory(&self) -> Outcome<f64> {
        let each = self.children.iter();
        each.map(|child| super::figure::memory_of(child.id())).sum()
    }
}

impl Drop for Birds {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}
