//! What the registries that a topology names say now: files are read, servers are asked over the host's network.
//!
//! A server that does not answer is no mistake of the files: what depends on it is not decided.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::Asked;
use super::sources::Failed;
use crate::bgp::origin_validation::VrpTable;
use crate::provider::registries::{Known, Registries};
use crate::registry::files;
use crate::registry::rtr::client::Event;
use crate::registry::rtr::driver;
use crate::registry::service::Reach;
use crate::time::{At, Clock};
use crate::topology::{IrrSource, RegistrySources, RpkiSource, Server};

/// How long a cache may take until its first table is whole.
const PATIENCE: Duration = Duration::from_secs(30);

/// What registries say, and which were asked.
pub struct Said {
    /// For the checks.
    pub known: Registries,
    /// For the report.
    pub asked: Vec<Asked>,
}

/// Asks the registries that a topology names.
///
/// # Errors
/// Mistakes in files.
pub fn ask(sources: &RegistrySources) -> Result<Said, Failed> {
    let mut known = Registries::default();
    match &sources.irr {
        None => {}
        Some(IrrSource::File(path)) => {
            let irr = Arc::new(files::irr(path)?);
            known.irr = Some(Known::new(path.display().to_string(), irr, At::ZERO));
        }
        Some(IrrSource::Irrd(server) | IrrSource::Whois(server)) => {
            // Gap: routing registries that are servers are asked by a lab only.
            let why = "peerlab prefixes asks no whois server yet; use a file";
            known.irr = Some(Known::unavailable(server.to_string(), why, At::ZERO));
        }
    }
    if let Some(rpki) = &sources.rpki {
        let mut rpki = match rpki {
            RpkiSource::File(path) => {
                let table = Arc::new(files::vrps(path)?);
                Known::new(path.display().to_string(), table, At::ZERO)
            }
            RpkiSource::Rtr(server) => runtime()?.block_on(cache(server)),
        };
        if let Some((slurm, table)) = sources.slurm.as_ref().zip(rpki.data.as_mut()) {
            *table = Arc::new(files::slurm(slurm)?.apply(table));
        }
        known.rpki = Some(rpki);
    }
    let irr = known.irr.as_ref().map(|irr| asked("irr", irr));
    let rpki = known.rpki.as_ref().map(|rpki| asked("rpki", rpki));
    let asked = irr.into_iter().chain(rpki).collect();
    Ok(Said { known, asked })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().map_err(Failed::Asking)
}

/// The first table of an RTR cache.
async fn cache(server: &Server) -> Known<VrpTable> {
    let source = format!("rtr {server}");
    let clock = Clock::start();
    let table = async {
        let address = address(server).await.map_err(|error| error.to_string())?;
        let mut updates = driver::follow(address, Reach::Here, clock);
        match updates.recv().await {
            Some(update) if update.event == Event::Read => Ok(update.table),
            Some(update) => Err(update.text),
            None => Err("it tells nothing".to_owned()),
        }
    };
    let late = || {
        Err(format!(
            "it has not told everything within {} s",
            PATIENCE.as_secs()
        ))
    };
    match timeout(PATIENCE, table).await.unwrap_or_else(|_| late()) {
        Ok(table) => Known::new(source, table, clock.now()),
        Err(why) => Known::unavailable(source, why, clock.now()),
    }
}

async fn address(server: &Server) -> io::Result<SocketAddr> {
    let mut addresses = lookup_host((server.host.as_str(), server.port)).await?;
    addresses
        .next()
        .ok_or_else(|| io::Error::other("its name has no address"))
}

fn asked<T>(registry: &'static str, known: &Known<T>) -> Asked {
    Asked {
        registry,
        source: known.source.clone(),
        lost: known.lost.clone(),
    }
}
