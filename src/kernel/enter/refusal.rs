//! Why a machine refuses namespaces and mounts, as sentences with a remedy.

use std::fs;
use std::path::Path;

use nix::errno::Errno;

use super::EnterError;

/// A sysctl that can forbid user namespaces to ordinary users: its name, the value that forbids, one that allows, and
/// whose switch it is.
const SWITCHES: [(&str, &str, &str, &str); 3] = [
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "1",
        "0",
        "AppArmor (Ubuntu 23.10 and later)",
    ),
    (
        "kernel.unprivileged_userns_clone",
        "0",
        "1",
        "the kernel (Debian's switch)",
    ),
    (
        "user.max_user_namespaces",
        "0",
        "15000",
        "the limit of user namespaces",
    ),
];

/// An unshare(2) that failed.
pub(super) fn unshare(errno: Errno) -> EnterError {
    EnterError::Unshare {
        errno,
        why: why(errno, &|name| {
            let path = Path::new("/proc/sys").join(name.replace('.', "/"));
            Some(fs::read_to_string(path).ok()?.trim().to_owned())
        }),
    }
}

/// A mount(2) that failed.
pub(super) fn mount(what: &'static str) -> impl FnOnce(Errno) -> EnterError {
    move |errno| EnterError::Mount {
        what,
        errno,
        why: match errno {
            Errno::EPERM | Errno::EACCES => in_container().unwrap_or_else(as_root),
            _ => as_root(),
        },
    }
}

fn why(errno: Errno, sysctl: &dyn Fn(&str) -> Option<String>) -> String {
    match errno {
        Errno::EINVAL => {
            "this kernel lacks user, pid or network namespaces: CONFIG_USER_NS, CONFIG_PID_NS, \
             CONFIG_NET_NS"
                .to_owned()
        }
        Errno::EPERM | Errno::EACCES | Errno::ENOSPC | Errno::EUSERS => {
            for (name, forbids, allows, who) in SWITCHES {
                if sysctl(name).as_deref() == Some(forbids) {
                    return format!(
                        "{who} forbids them to ordinary users: \
                         `sysctl -w {name}={allows}` as root, or start peerlab as root"
                    );
                }
            }
            match errno {
                Errno::ENOSPC => "the limits user.max_user_namespaces, user.max_pid_namespaces, \
                     user.max_net_namespaces or user.max_mnt_namespaces are reached: raise them with \
                     sysctl as root"
                    .to_owned(),
                Errno::EUSERS => {
                    "user namespaces are nested too deeply here: start peerlab further outside"
                        .to_owned()
                }
                _ => in_container().unwrap_or_else(as_root),
            }
        }
        _ => as_root(),
    }
}

fn as_root() -> String {
    "start peerlab as root".to_owned()
}

/// What helps when this is a container.
fn in_container() -> Option<String> {
    let marks = ["/.dockerenv", "/run/.containerenv"];
    marks.iter().any(|mark| Path::new(mark).exists()).then(|| {
        "this container forbids them: start it with `--privileged`, or with \
         `--security-opt seccomp=unconfined --security-opt apparmor=unconfined \
         --security-opt systempaths=unconfined`"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_that_forbid_are_named() {
        for (name, forbids, _, _) in SWITCHES {
            let only = |asked: &str| (asked == name).then(|| forbids.to_owned());
            let text = why(Errno::EPERM, &only);
            assert!(
                text.contains(&format!("sysctl -w {name}=")),
                "{name}: {text}"
            );
        }
        let none = |_: &str| None;
        assert!(why(Errno::ENOSPC, &none).contains("limits"));
        assert!(why(Errno::EINVAL, &none).contains("CONFIG_USER_NS"));
    }
}
