//! What a lab could leave behind: processes, links, mounts, files in /run and /etc.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use nix::unistd::Pid;

use crate::play::pause;

/// Environment variable by which the processes of one lab are known; its devices inherit it.
pub const MARK: &str = "PEERLAB_TEST_MARK";
/// How long the kernel may take to clear up after the last process.
const SOON: Duration = Duration::from_secs(10);

/// The place a lab is started in, as far as a lab could change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside(BTreeSet<String>);

impl Outside {
    /// How it is now.
    pub fn now() -> Outside {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let links = read("/proc/self/net/dev");
        let links = links
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(link, _)| format!("link {}", link.trim()));
        let mounts = read("/proc/self/mountinfo");
        let mounts = mounts.lines().map(|line| format!("mount {line}"));
        let files = ["/run", "/run/netns", "/var/run", "/etc", "/var/lib"]
            .into_iter()
            .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
            .map(|entry| format!("file {}", entry.path().display()));
        Outside(links.chain(mounts).chain(files).collect())
    }

    /// Waits until nothing is here that was not before, and no process of the lab is left.
    pub fn nothing_is_left(&self, mark: &str) -> Result<(), Failed> {
        let deadline = Instant::now() + SOON;
        loop {
            let now = Outside::now();
            let new: Vec<_> = now.0.difference(&self.0).collect();
            let processes = processes(mark);
            if new.is_empty() && processes.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let processes: Vec<_> = processes.iter().map(|pid| command(*pid)).collect();
                return Err(
                    format!("left after {SOON:?}: {new:?}, processes {processes:?}").into(),
                );
            }
            pause(Duration::from_millis(2));
        }
    }
}

/// The processes of a lab. Zombies are no processes any more: they have no environment.
pub fn processes(mark: &str) -> Vec<Pid> {
    let mark = format!("{MARK}={mark}\0").into_bytes();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.windows(mark.len()).any(|part| part == mark)
        })
        .map(Pid::from_raw)
        .collect()
}

/// The children of a process.
pub fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let of_task = |path: std::path::PathBuf| fs::read_to_string(path.join("children"));
    tasks
        .filter_map(|task| of_task(task.path()).ok())
        .flat_map(|pids| {
            let pids = pids.split_whitespace().filter_map(|pid| pid.parse().ok());
            pids.map(Pid::from_raw).collect::<Vec<_>>()
        })
        .collect()
}

/// Whether a process is pid 1 of a pid namespace below ours (`NSpid` in proc(5)).
pub fn is_first_of_its_own(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let pids: Vec<&str> = pids.into_iter().flat_map(str::split_whitespace).collect();
    pids.len() > 1 && pids.last() == Some(&"1")
}

/// The command line of a process.
pub fn command(pid: Pid) -> String {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid} {}", line.replace('\0', " "))
}
