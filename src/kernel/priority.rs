//! The scheduling of threads that must be on time (sched(7)).

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// What keeps sessions up: BFD and LACP.
pub const LINE: i32 = 3;
/// What measures: probes.
pub const PROBES: i32 = 2;
/// What turns a loss into kernel routes, and what watches them: less, because it may have more to do at once.
pub const ROUTES: i32 = 1;

/// Lets the calling thread run before every ordinary one (`SCHED_FIFO`), and before those of a lower `priority`; the latter only
/// where [`is_granted`].
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE in the host's user namespace, which an ordinary user never has.
pub fn real_time(priority: i32) -> Result<(), Errno> {
    if !is_granted(priority, cpus()) {
        return Ok(());
    }
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the pointer is to a sched_param that outlives the call; 0 is the calling thread.
    let result = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    Errno::result(result).map(drop)
}

/// Whether a thread of that priority is to run in real time where the lab may run on so many CPUs.
///
/// On a single CPU only those of [`LINE`]: ordinary threads of the kernel carry packets (ksoftirqd), on the CPU that sends them, and
/// would wait for all others.
pub fn is_granted(priority: i32, cpus: Option<usize>) -> bool {
    priority >= LINE || cpus != Some(1)
}

/// On how many CPUs the calling thread may run: those of its affinity that are online (sched_getaffinity(2)), as `taskset`
/// and cpusets leave them; `None` where there are more than a thousand.
///
/// Not `available_parallelism`: it is also 1 where a container has the time of one CPU on many, and there ksoftirqd has another.
pub fn cpus() -> Option<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let allows = |cpu: &usize| allowed.is_set(*cpu).unwrap_or(false);
    Some((0..CpuSet::count()).filter(allows).count())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use nix::sched::sched_setaffinity;

    use super::*;

    #[test]
    fn on_a_single_cpu_only_what_keeps_sessions_up_is_in_real_time() {
        for (cpus, granted) in [
            (Some(1), [true, false, false]),
            (Some(2), [true; 3]),
            (Some(64), [true; 3]),
            (None, [true; 3]),
        ] {
            let answers = [LINE, PROBES, ROUTES].map(|priority| is_granted(priority, cpus));
            assert_eq!(answers, granted, "{cpus:?}");
        }
    }

    #[test]
    fn a_thread_that_is_bound_to_a_cpu_has_one() {
        let bound = thread::spawn(|| {
            let here = Pid::from_raw(0);
            let allowed = sched_getaffinity(here).expect("affinity");
            let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu) == Ok(true));
            let mut one = CpuSet::new();
            one.set(first.expect("a CPU")).expect("in range");
            sched_setaffinity(here, &one).expect("a thread may bind itself");
            cpus()
        });
        assert_eq!(bound.join().expect("no panic"), Some(1));
    }
}
