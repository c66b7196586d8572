//! FRR with an integrated frr.conf: zebra first, then the daemons that register with it, then `vtysh -b`, which gives each
//! of them its part of the file.
//!
//! A daemon that does not find zebra tries again only after 10 seconds: it is started when zebra listens.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::child::{Stage, Until};
use super::place::secret_copy;
use super::{Check, DeviceError, Place, find};

/// Where distributions put FRR's daemons, which are in nobody's PATH.
const FOLDERS: [&str; 3] = ["/usr/lib/frr", "/usr/libexec/frr", "/usr/local/sbin"];
/// The daemons beside zebra.
const DAEMONS: [&str; 3] = ["bgpd", "bfdd", "staticd"];

/// `vtysh` reads a vtysh.conf first, and an ordinary user may not read the host's.
pub(super) fn check(router: &str, config: &Path, folder: &Path) -> Result<Check, DeviceError> {
    let files = |source| DeviceError::Files {
        router: router.to_owned(),
        source,
    };
    let vtysh = find(router, "vtysh", "frr")?;
    daemon(router, "bgpd")?;
    fs::write(folder.join("vtysh.conf"), "").map_err(files)?;
    let mut command = Command::new(vtysh);
    command.arg("--config_dir").arg(folder).arg("-C");
    command.arg("-f").arg(config);
    Ok((command, config.to_owned()))
}

pub(super) fn furnish(place: &mut Place, config: &Path) -> io::Result<()> {
    place.accounts(&["frr"], &["frr", "frrvty"])?;
    fs::create_dir(place.run().join("frr"))?;
    let etc = place.folder_over("/etc/frr")?;
    secret_copy(config, &etc.join("frr.conf"))?;
    fs::write(etc.join("vtysh.conf"), "service integrated-vtysh-config\n")
}

pub(super) fn stages(place: &Place) -> Result<Vec<Stage>, DeviceError> {
    let there = |name: &str| Until::There(place.run().join("frr").join(name));
    let stage = |name: &'static str, until| -> Result<Stage, DeviceError> {
        let mut command = place.command(daemon(&place.router, name)?)?;
        command.args(["--log", "stdout"]);
        Ok(Stage::new(name, command, until))
    };
    let mut stages = vec![stage("zebra", there("zserv.api"))?];
    for name in DAEMONS {
        stages.push(stage(name, Until::Started)?);
    }
    for name in ["zebra"].iter().chain(&DAEMONS) {
        stages.push(Stage::wait(there(&format!("{name}.vty"))));
    }
    let mut vtysh = place.command(find(&place.router, "vtysh", "frr")?)?;
    vtysh.arg("-b");
    stages.push(Stage::new("vtysh", vtysh, Until::Succeeded));
    Ok(stages)
}

fn daemon(router: &str, name: &'static str) -> Result<PathBuf, DeviceError> {
    let places = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    places
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| DeviceError::NotInstalled {
            router: router.to_owned(),
            program: name,
            package: "frr",
        })
}
