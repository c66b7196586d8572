//! BIRD 2: one process, its control socket at `/run/bird/bird.ctl`, where Debian's `birdc` looks for it.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::child::{Stage, Until};
use super::{Check, DeviceError, Place, find};

const CONTROL: &str = "/run/bird/bird.ctl";

pub(super) fn check(router: &str, config: &Path) -> Result<Check, DeviceError> {
    let mut command = Command::new(find(router, "bird", "bird2")?);
    command.arg("-p").arg("-c").arg(config);
    Ok((command, config.to_owned()))
}

pub(super) fn furnish(place: &mut Place) -> io::Result<()> {
    fs::create_dir(place.run().join("bird"))
}

/// In the foreground, where it logs to standard error if its configuration says so.
pub(super) fn stages(place: &Place, config: &Path) -> Result<Vec<Stage>, DeviceError> {
    let mut command = place.command(find(&place.router, "bird", "bird2")?)?;
    command.args(["-f", "-s", CONTROL, "-c"]).arg(config);
    Ok(vec![Stage::new("bird", command, Until::Started)])
}
