//! ExaBGP 4: one process, with the pipes at `/run/exabgp` over which `exabgpcli` speaks with it.
//!
//! It connects, and listens only where a neighbour's configuration says `listen 179;`.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::child::{Stage, Until};
use super::{Check, DeviceError, Place, find};

/// `--test` would also encode its routes again, and fails at some that it announces well. Without its greeting, and without looking for the pipes, which are only there when it runs.
const CHECKS: [(&str, &str); 3] = [
    ("exabgp.log.level", "WARNING"),
    ("exabgp.log.short", "true"),
    ("exabgp.api.cli", "false"),
];

pub(super) fn check(router: &str, config: &Path) -> Result<Check, DeviceError> {
    let mut command = Command::new(find(router, "exabgp", "exabgp")?);
    command.envs(CHECKS).arg("--validate").arg(config);
    Ok((command, config.to_owned()))
}

pub(super) fn furnish(place: &mut Place) -> io::Result<()> {
    let folder = place.run().join("exabgp");
    fs::create_dir(&folder)?;
    for name in ["exabgp.in", "exabgp.out"] {
        mkfifo(&folder.join(name), Mode::S_IRUSR | Mode::S_IWUSR)?;
    }
    Ok(())
}

pub(super) fn stages(place: &Place, config: &Path) -> Result<Vec<Stage>, DeviceError> {
    let mut command = place.command(find(&place.router, "exabgp", "exabgp")?)?;
    // It always changes to a user, and in the lab of an ordinary user there is none but root.
    command.env("exabgp.daemon.user", "root");
    command.env("exabgp.log.short", "true").arg(config);
    Ok(vec![Stage::new("exabgp", command, Until::Started)])
}
