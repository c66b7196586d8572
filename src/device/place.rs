//! Where a device runs: its router's network namespace, with files of its own.
//!
//! `/run`, `/var/tmp` and `/var/log` are empty when it starts, so daemons and their tools find each other at their usual
//! paths, two routers do not meet, and nothing is left on the host.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::kernel::namespace::{Namespace, NamespaceError};
use crate::kernel::view::View;

/// Folder of all devices' files; `/run` is the lab's own.
const DEVICES: &str = "/run/devices";

/// A router's namespace and files.
#[derive(Debug)]
pub struct Place {
    /// The router.
    pub router: String,
    namespace: Arc<Namespace>,
    folder: PathBuf,
    view: View,
}

impl Place {
    /// Empty folders. What a device of this name had before is gone.
    pub(super) fn new(router: &str, namespace: &Arc<Namespace>) -> io::Result<Place> {
        let folder = Path::new(DEVICES).join(router);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut place = Place {
            router: router.to_owned(),
            namespace: Arc::clone(namespace),
            folder,
            view: View::default(),
        };
        place.folder_over("/var/tmp")?;
        place.folder_over("/var/log")?;
        fs::create_dir_all(place.run())?;
        Ok(place)
    }

    /// What the device sees as `/run`, as the lab sees it.
    pub(super) fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Shows an empty folder, which is returned, over one of the host's.
    pub(super) fn folder_over(&mut self, path: &str) -> io::Result<PathBuf> {
        let folder = self.stand_in(path);
        fs::create_dir_all(&folder)?;
        // A host that lacks it has nothing to be kept clean.
        if Path::new(path).is_dir() {
            self.view.show(&folder, Path::new(path))?;
        }
        Ok(folder)
    }

    /// Shows the present content of a file over it, readable for its user alone.
    pub(super) fn secret_copy_over(&mut self, path: &Path) -> io::Result<()> {
        let copy = self.stand_in(&path.to_string_lossy());
        copy.parent().map_or(Ok(()), fs::create_dir_all)?;
        secret_copy(path, &copy)?;
        self.view.show(&copy, path)
    }

    /// Makes these users and groups root's. Daemons want to find them, and drop their rights to theirs.
    pub(super) fn accounts(&mut self, users: &[&str], groups: &[&str]) -> io::Result<()> {
        let files = [
            ("/etc/passwd", users, ":x:0:0::/run:/usr/sbin/nologin"),
            ("/etc/group", groups, ":x:0:"),
        ];
        for (path, names, line) in files {
            let text = fs::read_to_string(path)?;
            let copy = self.stand_in(path);
            copy.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&copy, roots(&text, names, line))?;
            fs::set_permissions(&copy, Permissions::from_mode(0o644))?;
            self.view.show(&copy, Path::new(path))?;
        }
        Ok(())
    }

    /// A program, to be run as on this router: in its namespace and with its files. It is in a process group of its own:
    /// what a terminal sends at Ctrl-C is for peerlab, which takes the lab down in order.
    ///
    /// # Errors
    /// There is no descriptor left for the namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command, NamespaceError> {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(program);
        command.process_group(0);
        self.namespace.enter_on_exec(&mut command)?;
        let view = self.whole_view().map_err(NamespaceError::Enter)?;
        view.enter_on_exec(&mut command);
        Ok(command)
    }

    /// A mount namespace in which all files are as its processes see them.
    ///
    /// # Errors
    /// The kernel makes none.
    pub fn mount_namespace(&self) -> io::Result<OwnedFd> {
        self.whole_view()?.namespace()
    }

    fn whole_view(&self) -> io::Result<View> {
        let mut view = self.view.clone();
        // Last, as it hides the folder that all others are in.
        view.show(&self.run(), Path::new("/run"))?;
        Ok(view)
    }

    /// Where what is shown over a path is kept.
    fn stand_in(&self, path: &str) -> PathBuf {
        self.folder.join("over").join(path.trim_start_matches('/'))
    }
}

/// Copies a file so that its user alone can read it.
pub(super) fn secret_copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    io::copy(&mut File::open(from)?, &mut options.open(to)?)?;
    Ok(())
}

/// A passwd(5) or group(5) file with the numbers of these names 0; a name that is missing gets `line`.
fn roots(text: &str, names: &[&str], line: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for name in names {
        let is_its = |line: &&mut String| line.split(':').next() == Some(name);
        match lines.iter_mut().find(is_its) {
            Some(found) => {
                let mut fields: Vec<&str> = found.split(':').collect();
                // passwd has a user's and a group's number, group(5) only its own.
                let numbers = if fields.len() > 4 { 2..4 } else { 2..3 };
                for field in fields.get_mut(numbers).into_iter().flatten() {
                    *field = "0";
                }
                *found = fields.join(":");
            }
            None => lines.push(format!("{name}{line}")),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::roots;

    #[test]
    fn accounts_become_roots() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nfrr:x:105:109::/run/frr:/bin/false\n";
        assert_eq!(
            roots(passwd, &["frr", "exabgp"], ":x:0:0::/run:/bin/false"),
            "root:x:0:0:root:/root:/bin/sh\nfrr:x:0:0::/run/frr:/bin/false\nexabgp:x:0:0::/run:/bin/false\n"
        );
        let group = "frrvty:x:108:frr,me\n";
        assert_eq!(roots(group, &["frrvty"], ":x:0:"), "frrvty:x:0:frr,me\n");
    }
}
