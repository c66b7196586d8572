//! GoBGP: one process, its API at port 50051 of the router's namespace, where `gobgp` looks for it.
//!
//! It reaches a kernel only through a zebra, and none is started: GoBGP 3.10 panics at the interfaces of FRR 8.4's.

use std::path::Path;
use std::process::Command;

use super::child::{Stage, Until};
use super::{Check, DeviceError, Place, find};

pub(super) fn check(router: &str, config: &Path) -> Result<Check, DeviceError> {
    let mut command = Command::new(find(router, "gobgpd", "gobgpd")?);
    command.args(["-d", "-p", "-f"]).arg(config);
    Ok((command, config.to_owned()))
}

pub(super) fn stages(place: &Place, config: &Path) -> Result<Vec<Stage>, DeviceError> {
    let mut command = place.command(find(&place.router, "gobgpd", "gobgpd")?)?;
    command.args(["-p", "--pprof-disable", "-f"]).arg(config);
    Ok(vec![Stage::new("gobgpd", command, Until::Started)])
}
