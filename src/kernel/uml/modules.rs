//! The modules of user-mode Linux that labs use, put into the kernel one by one: no modprobe(8), which takes 40 ms each.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

/// Where Debian has them, one folder for each release.
const FOLDER: &str = "/usr/lib/uml/modules";
/// Those that labs use.
const MODULES: [&str; 14] = [
    "ipv6",
    "veth",
    "dummy",
    "bonding",
    "8021q",
    "vrf",
    "sch_ingress",
    "cls_bpf",
    "act_mirred",
    "act_gact",
    "sch_tbf",
    "sch_netem",
    "nf_tables",
    "tcp_diag",
];

/// Loads all that are there. One that is missing is told by what needs it, as everywhere.
pub(super) fn load() -> io::Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let folder = Path::new(FOLDER).join(release.trim());
    let dependencies = fs::read_to_string(folder.join("modules.dep"))?;
    for name in MODULES {
        for file in needed(&dependencies, name) {
            let module = File::open(folder.join(file))?;
            match finit_module(&module, c"", ModuleInitFlags::empty()) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(())
}

/// The files to load for a module, in order, by a `modules.dep`: each line is a file, and what it needs, the last first.
fn needed<'a>(dependencies: &'a str, name: &str) -> Vec<&'a str> {
    let is = |file: &str| {
        let stem = Path::new(file).file_stem();
        stem.is_some_and(|stem| stem == name)
    };
    let mut lines = dependencies.lines().filter_map(|line| line.split_once(':'));
    let Some((file, others)) = lines.find(|(file, _)| is(file)) else {
        return Vec::new();
    };
    let others = others.split_whitespace().rev();
    others.chain([file]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_goes_before_it() {
        let text = "kernel/a/tls.ko:\n\
                    kernel/b/bonding.ko: kernel/a/tls.ko kernel/c/base.ko\n\
                    kernel/b/veth.ko:\n";
        assert_eq!(
            needed(text, "bonding"),
            ["kernel/c/base.ko", "kernel/a/tls.ko", "kernel/b/bonding.ko"]
        );
        assert_eq!(needed(text, "veth"), ["kernel/b/veth.ko"]);
        assert_eq!(needed(text, "eth"), [""; 0]);
    }
}
