//! The scheduling of threads that must be on time (sched(7)).

use nix::errno::Errno;

/// What keeps sessions up: BFD and LACP.
pub const LINE: i32 = 3;
/// What measures: probes.
pub const PROBES: i32 = 2;
/// What turns a loss into kernel routes, and what watches them: less, because it may have more to do at once.
pub const ROUTES: i32 = 1;

/// Lets the calling thread run before every ordinary one (`SCHED_FIFO`), and before those of a lower `priority`.
///
/// On a single CPU only [`LINE`]: ordinary threads of the kernel carry packets (ksoftirqd), and would wait for all others.
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE in the host's user namespace, which an ordinary user never has.
pub fn real_time(priority: i32) -> Result<(), Errno> {
    if priority < LINE && std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() == 1) {
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
