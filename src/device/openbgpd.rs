//! OpenBGPD: one process that starts three more, its control socket at `/run/openbgpd/bgpd.sock.0`, where Debian's
//! `bgpctl` looks for it.
//!
//! It refuses a configuration that others may read, so it is shown a copy of its own in the place of the user's file. It
//! confines its processes to the home of its user, which Debian puts at `/run/openbgpd`.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::child::{Stage, Until};
use super::place::secret_copy;
use super::{Check, DeviceError, Place, find};

pub(super) fn check(router: &str, config: &Path, folder: &Path) -> Result<Check, DeviceError> {
    let mut command = Command::new(find(router, "bgpd", "openbgpd")?);
    let read = folder.join("bgpd.conf");
    secret_copy(config, &read).map_err(|source| DeviceError::Files {
        router: router.to_owned(),
        source,
    })?;
    command.arg("-n").arg("-f").arg(&read);
    Ok((command, read))
}

pub(super) fn furnish(place: &mut Place, config: &Path) -> io::Result<()> {
    place.accounts(&["_openbgpd", "_bgpd"], &["_openbgpd", "_bgpd"])?;
    fs::create_dir(place.run().join("openbgpd"))?;
    place.secret_copy_over(config)
}

/// In the foreground, where it logs to standard error.
pub(super) fn stages(place: &Place, config: &Path) -> Result<Vec<Stage>, DeviceError> {
    let mut command = place.command(find(&place.router, "bgpd", "openbgpd")?)?;
    command.args(["-d", "-v", "-f"]).arg(config);
    Ok(vec![Stage::new("bgpd", command, Until::Started)])
}
