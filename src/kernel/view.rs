//! Files of its own for a program: mounts that only it and its children see (mount_namespaces(7)).
//!
//! A daemon with fixed paths (`/run/frr`, `/etc/passwd`) finds there what it was given, and two of them do not meet.
//!
//! **Invariant:** nothing is mounted but in the mount namespace of the program that is about to start.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// What a program sees in place of what is there.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// What is shown, and over which path, in the order in which it is done.
    binds: Vec<(CString, CString)>,
}

impl View {
    /// Shows a file over a file, or a directory over a directory. Both must exist when the program starts.
    ///
    /// # Errors
    /// A path with a zero byte.
    pub fn show(&mut self, shown: &Path, over: &Path) -> io::Result<()> {
        let path = |path: &Path| CString::new(path.as_os_str().as_bytes());
        self.binds.push((path(shown)?, path(over)?));
        Ok(())
    }

    /// A mount namespace with this view, for a program that is to look at what others with this view made.
    ///
    /// # Errors
    /// The kernel gives no thread, or refuses a mount.
    pub fn namespace(&self) -> io::Result<OwnedFd> {
        thread::scope(|scope| {
            let made = thread::Builder::new()
                .name("view".into())
                .spawn_scoped(scope, || {
                    enter(&self.binds)?;
                    Ok(File::open("/proc/thread-self/ns/mnt")?.into())
                })?;
            made.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Makes `command` start its program with this view.
    ///
    /// Where a user namespace forbids setgroups(2) (user_namespaces(7)), the call does nothing and succeeds: daemons end
    /// when it fails, and there is no other group to drop to.
    pub fn enter_on_exec(&self, command: &mut Command) {
        let binds = self.binds.clone();
        let forbidden = std::fs::read_to_string("/proc/self/setgroups")
            .is_ok_and(|setgroups| setgroups.trim() == "deny");
        // SAFETY: between fork and exec the closure makes system calls on values made before the fork; it allocates
        // nothing and takes no lock.
        unsafe {
            command.pre_exec(move || {
                enter(&binds)?;
                if forbidden {
                    pretend_setgroups()?;
                }
                Ok(())
            });
        }
    }
}

/// Moves the calling process, or thread, into a mount namespace with this view.
fn enter(binds: &[(CString, CString)]) -> io::Result<()> {
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NONE, c"/", NONE, private, NONE)?;
    for (shown, over) in binds {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(shown.as_c_str()), over.as_c_str(), NONE, flags, NONE)?;
    }
    Ok(())
}

/// Makes setgroups(2) succeed without doing anything, for this process and its children (seccomp(2)).
///
/// It guards nothing, so the architecture of a call is not looked at.
fn pretend_setgroups() -> io::Result<()> {
    let word = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let number = std::mem::offset_of!(libc::seccomp_data, nr) as u32;
    let mut program = [
        word(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, number),
        word(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            libc::SYS_setgroups as u32,
        ),
        // An errno of 0 is success.
        word(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO),
        word(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program outlives the call, which copies it; its length is that of the array.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            std::ptr::from_ref(&program),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
