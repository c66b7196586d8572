//! The scheduling of threads that must be on time (sched(7)).

use nix::errno::Errno;

/// Lets the calling thread run before every ordinary one (`SCHED_FIFO`, lowest priority of it).
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE in the host's user namespace, which an ordinary user never has.
pub fn real_time() -> Result<(), Errno> {
    let parameters = libc::sched_param { sched_priority: 1 };
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
