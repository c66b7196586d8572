//! What the registries that a topology names say now: files are read, servers are asked over the host's network.
//!
//! A server that does not answer is no mistake of the files: what depends on it is not decided.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::Asked;
use super::sources::Failed;
use crate::provider::registries::{Known, Registries};
use crate::registry::files;
use crate::registry::irr::Irr;
use crate::registry::irr_live::{Dialect, Questions};
use crate::registry::live::{Servers, Update};
use crate::time::{At, Clock};
use crate::topology::{IrrSource, RegistrySources, RpkiSource, Server};

/// How long a server may take until it has told everything.
const PATIENCE: Duration = Duration::from_secs(30);

/// What registries say, and which were asked.
pub struct Said {
    /// For the checks.
    pub known: Registries,
    /// For the report.
    pub asked: Vec<Asked>,
}

/// Asks the registries that a topology names; of a routing registry that is a server only what is in question.
///
/// # Errors
/// Mistakes in files.
pub fn ask(sources: &RegistrySources, questions: Questions) -> Result<Said, Failed> {
    let servers = Servers::resolve(sources.servers());
    let clock = Clock::start();
    let mut known = Registries::default();
    match &sources.irr {
        None => {}
        Some(IrrSource::File(path)) => {
            let irr = Arc::new(files::irr(path)?);
            known.irr = Some(Known::new(path.display().to_string(), irr, At::ZERO));
        }
        Some(IrrSource::Irrd(server)) => {
            let asked = irr(&servers, server, Dialect::Irrd, questions, clock);
            known.irr = Some(runtime()?.block_on(asked));
        }
        Some(IrrSource::Whois(server)) => {
            let asked = irr(&servers, server, Dialect::Whois, questions, clock);
            known.irr = Some(runtime()?.block_on(asked));
        }
    }
    if let Some(rpki) = &sources.rpki {
        let mut rpki = match rpki {
            RpkiSource::File(path) => {
                let table = Arc::new(files::vrps(path)?);
                Known::new(path.display().to_string(), table, At::ZERO)
            }
            RpkiSource::Rtr(server) => {
                let asked = async {
                    let updates = servers.rpki(&server.to_string(), clock);
                    first(format!("rtr {server}"), updates, clock).await
                };
                runtime()?.block_on(asked)
            }
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

async fn irr(
    servers: &Servers,
    server: &Server,
    dialect: Dialect,
    questions: Questions,
    clock: Clock,
) -> Known<Irr> {
    let word = match dialect {
        Dialect::Irrd => "irrd",
        Dialect::Whois => "whois",
    };
    let updates = servers.irr(&server.to_string(), dialect, questions, clock);
    first(format!("{word} {server}"), updates, clock).await
}

/// The first word of a server.
async fn first<T>(source: String, mut updates: Receiver<Update<T>>, clock: Clock) -> Known<T> {
    let why = match timeout(PATIENCE, updates.recv()).await {
        Ok(Some(Update {
            said: Some(said), ..
        })) => return Known::new(source, said, clock.now()),
        Ok(Some(update)) => update.text,
        Ok(None) => "it tells nothing".to_owned(),
        Err(_) => format!("it has not told everything within {} s", PATIENCE.as_secs()),
    };
    Known::unavailable(source, why, clock.now())
}

fn asked<T>(registry: &'static str, known: &Known<T>) -> Asked {
    Asked {
        registry,
        source: known.source.clone(),
        lost: known.lost.clone(),
    }
}
