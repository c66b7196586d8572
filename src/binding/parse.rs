//! From the raw binding to the model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::raw::{RawBinding, RawDevice, RawRouter};
use super::{Binding, Daemon, Device};
use crate::source::{Diagnostics, Located, Mistakes, Source, read};
use crate::topology::Topology;

/// Reads and parses a binding file; with a topology, its router names are checked too.
///
/// # Errors
/// Every mistake in the file, or that it cannot be read.
pub fn load(path: &Path, topology: Option<&Topology>) -> Result<Binding, Diagnostics> {
    parse(&Source::read(path)?, topology)
}

/// Parses a binding; with a topology, its router names are checked too.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn parse(source: &Arc<Source>, topology: Option<&Topology>) -> Result<Binding, Diagnostics> {
    let (raw, mut mistakes) = read::<RawBinding>(source);
    let binding = raw.and_then(|raw| {
        let mut routers = Vec::new();
        for (name, router) in &raw.router.0 {
            if let Some(topology) = topology {
                let valid = topology.routers.iter().map(|router| router.name.as_str());
                mistakes.known(name, "router", valid);
            }
            routers.push(
                device(name, router, &mut mistakes).map(|device| (name.value.clone(), device)),
            );
        }
        let stem = source.path.file_stem().unwrap_or_default();
        Some(Binding {
            name: stem.to_string_lossy().into_owned(),
            routers: routers.into_iter().collect::<Option<_>>()?,
        })
    });
    mistakes.finish(binding)
}

fn device(name: &Located<String>, raw: &RawRouter, mistakes: &mut Mistakes) -> Option<Device> {
    let owner = format!("router `{}`", name.value);
    let example = "device = \"bird\"";
    let kind = mistakes.require(raw.device, name.span, &owner, "device", example)?;
    match kind.value {
        RawDevice::Simulated => {
            if let Some(config) = &raw.config {
                let message = "a simulated router has no configuration file";
                mistakes.push(mistakes.error(config.span, message, "not used"));
            }
            Some(Device::Simulated)
        }
        RawDevice::Bird => daemon(Daemon::Bird, name, raw, mistakes),
        RawDevice::Frr => daemon(Daemon::Frr, name, raw, mistakes),
        RawDevice::Gobgp => daemon(Daemon::Gobgp, name, raw, mistakes),
        RawDevice::Openbgpd => daemon(Daemon::Openbgpd, name, raw, mistakes),
        RawDevice::Exabgp => daemon(Daemon::Exabgp, name, raw, mistakes),
        RawDevice::Container | RawDevice::Interface | RawDevice::Command => {
            let text = mistakes.source().text[mistakes.source().range(kind.span)].to_owned();
            let message = format!("the device {text} is not supported yet");
            let diagnostic = mistakes.error(kind.span, message, "not yet");
            mistakes.push(
                diagnostic
                    .note("supported: `simulated`, `bird`, `frr`, `gobgp`, `openbgpd`, `exabgp`"),
            );
            None
        }
    }
}

/// A daemon with its configuration file.
fn daemon(
    daemon: Daemon,
    name: &Located<String>,
    raw: &RawRouter,
    mistakes: &mut Mistakes,
) -> Option<Device> {
    let example = match daemon {
        Daemon::Bird => "config = \"…/bird.conf\"",
        Daemon::Frr => "config = \"…/frr.conf\"",
        Daemon::Gobgp => "config = \"…/gobgpd.toml\"",
        Daemon::Openbgpd => "config = \"…/bgpd.conf\"",
        Daemon::Exabgp => "config = \"…/exabgp.conf\"",
    };
    let owner = format!("router `{}`", name.value);
    let config = raw.config.as_ref();
    let config = mistakes.require(config, name.span, &owner, "config", example)?;
    let config = config_file(config, mistakes)?;
    Some(Device::Daemon { daemon, config })
}

/// The absolute path of a configuration file that exists.
fn config_file(config: &Located<String>, mistakes: &mut Mistakes) -> Option<PathBuf> {
    let folder = mistakes.source().path.parent().unwrap_or(Path::new(""));
    let path = folder.join(&config.value);
    let file = std::path::absolute(&path)
        .ok()
        .filter(|path| path.is_file());
    if file.is_none() {
        let message = format!("there is no file `{}`", path.display());
        let diagnostic = mistakes.error(config.span, message, "relative to this file");
        mistakes.push(diagnostic);
    }
    file
}
