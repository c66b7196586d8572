//! How fast labs of 4, 50, 200 and 1000 routers are built and dropped, beside the bare netlink loop (rawlab.c) and
//! mininet, all in the same run and in turn.
//!
//! Pairs of routers, two plain links each. Both times are taken inside the programs, so that the start of a process
//! counts for nobody. One JSON line for each figure; times are in seconds.
//! `cargo bench --bench lab [-- N…]` takes only these sizes.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use peerlab::kernel::apply::Network;
use peerlab::kernel::enter::{enter, need_descriptors};
use peerlab::kernel::link::{self, VethEnd};
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::plan::{LinkEnd, Plan, Work};
use support::figure::{self, Against};

/// Routers, runs of ours and of rawlab, runs of mininet.
const SIZES: [(usize, usize, usize); 4] = [(4, 21, 3), (50, 11, 3), (200, 7, 1), (1000, 3, 1)];
/// What counts as dropping a lab at once, seconds.
const AT_ONCE: f64 = 0.010;

fn main() -> ExitCode {
    let result = enter().map_err(anyhow::Error::from).and_then(|entered| {
        entered.signals.release();
        bench()
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: failed to {error:#}");
            ExitCode::from(4)
        }
    }
}

fn bench() -> Result<()> {
    let only: Vec<usize> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    let directory = tempfile::tempdir()?;
    let rawlab = compile(directory.path())?;
    let mininet = Command::new("/usr/bin/python3")
        .args([
            "-c",
            "import sys; sys.path.append('/usr/lib/python3/dist-packages'); import mininet.net",
        ])
        .output()
        .is_ok_and(|output| output.status.success());
    for (routers, runs, mininet_runs) in SIZES {
        if !only.is_empty() && !only.contains(&routers) {
            continue;
        }
        need_descriptors(3 * routers as u64 + 100)?;
        let plan = plan(routers);
        let (mut ours, mut raw, mut other) = (Vec::new(), Vec::new(), Vec::new());
        // The first round warms the kernel's caches for both, and is not counted.
        for run in 0..=runs {
            let (a, b) = (build_and_drop(&plan)?, run_rawlab(&rawlab, routers)?);
            if run > 0 {
                ours.push(a);
                raw.push(b);
            }
        }
        for _ in 0..if mininet { mininet_runs } else { 0 } {
            other.push(run_mininet(routers)?);
        }
        let of = |times: &[[f64; 2]], at: usize| -> Vec<f64> {
            times.iter().map(|times| times[at]).collect()
        };
        let name = format!("lab/{routers}");
        let (build, drop) = (of(&ours, 0), of(&ours, 1));
        let rawlab = of(&raw, 0);
        figure::print(
            &format!("{name}/build"),
            "s",
            &build,
            Against::Peer("rawlab.c", &rawlab),
        );
        figure::print(&format!("{name}/drop"), "s", &drop, Against::Limit(AT_ONCE));
        for (what, at, ours) in [("build", 0, &build), ("drop", 1, &drop)] {
            let name = format!("{name}/{what}/mininet");
            if mininet {
                figure::print(&name, "s", ours, Against::Peer("mininet", &of(&other, at)));
            } else {
                figure::skipped(&name, "mininet is not installed: apt-get install mininet");
            }
        }
    }
    Ok(())
}

/// Seconds of building and of dropping.
fn build_and_drop(plan: &Plan) -> Result<[f64; 2]> {
    let start = Instant::now();
    let network = Network::build(plan)?;
    let build = start.elapsed().as_secs_f64();
    ensure!(
        network.index("p1", "eth1").is_some(),
        "build the network: it lacks a link"
    );
    let start = Instant::now();
    drop(network);
    let drop = start.elapsed().as_secs_f64();
    kernel_is_idle()?;
    Ok([build, drop])
}

fn run_rawlab(program: &Path, routers: usize) -> Result<[f64; 2]> {
    let output = Command::new(program).arg(routers.to_string()).output()?;
    let times = two_numbers(&output).context("run rawlab")?;
    kernel_is_idle()?;
    Ok(times.map(|nanos| nanos / 1e9))
}

fn run_mininet(routers: usize) -> Result<[f64; 2]> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/mininet_lab.py");
    let output = Command::new("/usr/bin/python3")
        .arg(script)
        .arg(routers.to_string())
        .output()?;
    let times = two_numbers(&output).context("run mininet")?;
    kernel_is_idle()?;
    Ok(times)
}

fn two_numbers(output: &std::process::Output) -> Result<[f64; 2]> {
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    <[f64; 2]>::try_from(numbers)
        .ok()
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn compile(directory: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rawlab.c");
    let program = directory.join("rawlab");
    let status = Command::new("cc")
        .arg("-O2")
        .arg("-o")
        .arg(&program)
        .arg(source)
        .status()
        .context("start cc (apt install gcc)")?;
    ensure!(status.success(), "compile rawlab.c");
    Ok(program)
}

/// Waits until the kernel has taken away all dropped namespaces, so that nobody pays for what ran before.
///
/// The kernel drops namespaces in batches, one batch after the other. A link whose other end is in a dropped namespace
/// goes in the middle of a batch, so when a second one goes, the first batch is over.
fn kernel_is_idle() -> Result<()> {
    for _ in 0..2 {
        let (kept, dropped) = (Namespace::new()?, Namespace::new()?);
        let mut netlink = Netlink::open_in(&kept)?;
        let end = |index| VethEnd {
            name: "canary",
            index,
            mac: None,
        };
        link::add_veth(&mut netlink, "kept", end(10), end(11), dropped.fd());
        netlink.commit()?;
        drop(dropped);
        let start = Instant::now();
        while link::list(&mut netlink)?.len() > 1 {
            ensure!(
                start.elapsed().as_secs() < 60,
                "wait for the kernel: namespaces do not go"
            );
            std::thread::yield_now();
        }
    }
    Ok(())
}

/// Pairs of routers, two links each.
fn plan(routers: usize) -> Plan {
    let mut work = Vec::new();
    for pair in 0..routers / 2 {
        for side in ["e", "p"] {
            work.push(Work::Namespace {
                name: format!("{side}{pair}"),
                forwarding: true,
                ipv6: false,
            });
        }
        for link in 0..2 {
            let end = |side: usize| LinkEnd {
                namespace: format!("{}{pair}", ["e", "p"][side]),
                name: format!("eth{link}"),
                index: (100 + (pair * 2 + link) * 2 + side) as u32,
                mac: None,
            };
            work.push(Work::Veth {
                a: end(0),
                b: end(1),
            });
        }
        for (side, letter) in ["e", "p"].into_iter().enumerate() {
            let namespace = format!("{letter}{pair}");
            let address = |link: &str, base: u32, prefix_len| Work::Address {
                namespace: namespace.clone(),
                link: link.to_owned(),
                address: std::net::Ipv4Addr::from(base).into(),
                prefix_len,
            };
            work.push(address(
                "lo",
                0xac10_0000 + ((side as u32) << 16) + pair as u32,
                32,
            ));
            for link in 0..2 {
                let name = format!("eth{link}");
                let number = ((pair * 2 + link) * 2 + side) as u32;
                work.push(address(&name, 0x0a00_0000 + number, 31));
                work.push(Work::Up {
                    namespace: namespace.clone(),
                    link: name,
                });
            }
        }
    }
    Plan { work }
}
