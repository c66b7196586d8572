//! The routing registries of a lab: what they say, that they fall silent, and for how long their last word is good.
//!
//! A registry that does not answer is believed until its answer expires (RFC 8210, section 6, for the RPKI); after that
//! nothing is known, and nothing is invalid.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::bgp::origin_validation::VrpTable;
use crate::provider::registries::{Known, Registries as Answers};
use crate::record::{Fact, Recorder};
use crate::registry::files;
use crate::registry::irr::Irr;
use crate::registry::irr_live::{Dialect, Questions};
use crate::registry::live::{Servers, Update};
use crate::registry::rtr::client::Event;
use crate::registry::slurm::Slurm;
use crate::scenario::{RegistrySource, Setting};
use crate::source::Diagnostics;
use crate::time::At;
use crate::topology::{IrrSource, RegistrySources, RpkiSource};

/// How long a lab waits for the first word of servers before it is built.
const PATIENCE: Duration = Duration::from_secs(5);
const LATE: &str = "it has not answered within 5 s";

/// The registries.
pub(super) struct Registries {
    irr: Option<Registry<Irr>>,
    rpki: Option<Registry<VrpTable>>,
    /// Exceptions to the RPKI.
    slurm: Option<Slurm>,
    /// How long an answer is good when no other comes.
    expire: Duration,
    recorder: Recorder,
}

/// One of them.
struct Registry<T> {
    /// `irr` or `rpki`.
    kind: &'static str,
    source: String,
    /// What it said last; the RPKI without its exceptions.
    said: Option<Arc<T>>,
    /// When it said so, or confirmed it, last.
    at: At,
    /// Serial number of an RTR cache.
    serial: Option<u32>,
    /// Since when it has not answered, and why.
    lost: Option<(At, String)>,
    /// Since when a step keeps it from answering; what it tells meanwhile waits.
    silenced: Option<At>,
    expired: bool,
    /// From a server.
    live: Option<mpsc::Receiver<Update<T>>>,
    /// The first update, until it is taken.
    first: Option<Update<T>>,
}

/// What can be counted.
trait Entries {
    fn entries(&self) -> u64;
}

impl Entries for Irr {
    fn entries(&self) -> u64 {
        self.objects().count() as u64
    }
}

impl Entries for VrpTable {
    fn entries(&self) -> u64 {
        self.len() as u64
    }
}

impl Registries {
    /// Reads what the topology names, and asks servers. Those that are slow are not waited for: they are heard when
    /// they answer.
    ///
    /// # Errors
    /// A file is not what it was when the topology was read.
    pub async fn read(
        sources: &RegistrySources,
        servers: &Servers,
        questions: Questions,
        recorder: &Recorder,
    ) -> Result<Registries, Diagnostics> {
        let mut registries = Registries {
            irr: None,
            rpki: None,
            slurm: sources.slurm.as_deref().map(files::slurm).transpose()?,
            expire: sources.expire,
            recorder: recorder.clone(),
        };
        let clock = recorder.clock();
        registries.irr = match &sources.irr {
            None => None,
            Some(IrrSource::File(path)) => Some(registries.open("irr", path, files::irr(path)?)),
            Some(IrrSource::Irrd(server)) => {
                let server = server.to_string();
                let live = servers.irr(&server, Dialect::Irrd, questions, clock);
                Some(Registry::follow("irr", format!("irrd {server}"), live))
            }
            Some(IrrSource::Whois(server)) => {
                let server = server.to_string();
                let live = servers.irr(&server, Dialect::Whois, questions, clock);
                Some(Registry::follow("irr", format!("whois {server}"), live))
            }
        };
        registries.rpki = match &sources.rpki {
            None => None,
            Some(RpkiSource::File(path)) => Some(registries.open("rpki", path, files::vrps(path)?)),
            Some(RpkiSource::Rtr(server)) => {
                let server = server.to_string();
                let live = servers.rpki(&server, clock);
                Some(Registry::follow("rpki", format!("rtr {server}"), live))
            }
        };
        let Registries { irr, rpki, .. } = &mut registries;
        let first = async {
            tokio::join!(first(irr.as_mut()), first(rpki.as_mut()));
        };
        // Who is late is heard later.
        let _ = timeout(PATIENCE, first).await;
        registries.time_passes(clock.now());
        let now = clock.now();
        if let Some(irr) = &mut registries.irr
            && irr.is_late(now)
        {
            tell(recorder, irr, "lost", LATE);
        }
        if let Some(rpki) = &mut registries.rpki
            && rpki.is_late(now)
        {
            tell(recorder, rpki, "lost", LATE);
        }
        Ok(registries)
    }

    fn open<T: Entries>(&self, kind: &'static str, path: &Path, said: T) -> Registry<T> {
        let registry = Registry {
            kind,
            source: path.display().to_string(),
            said: Some(Arc::new(said)),
            at: self.recorder.clock().now(),
            serial: None,
            lost: None,
            silenced: None,
            expired: false,
            live: None,
            first: None,
        };
        self.tell(&registry, "read", "");
        registry
    }

    /// What they say now.
    pub fn answers(&self) -> Answers {
        let excepted = |table: &Arc<VrpTable>| match &self.slurm {
            Some(slurm) => Arc::new(slurm.apply(table)),
            None => table.clone(),
        };
        Answers {
            irr: self.irr.as_ref().map(|irr| irr.known(Arc::clone)),
            rpki: self.rpki.as_ref().map(|rpki| rpki.known(excepted)),
        }
    }

    /// Changes one. True when what they say may be something else now.
    ///
    /// # Errors
    /// A file is not what it was when the scenario was read.
    pub fn set(&mut self, setting: &Setting) -> Result<(), Diagnostics> {
        let now = self.recorder.clock().now();
        let mut changed = None;
        match setting {
            Setting::Irr(source) => {
                let said = file(source).map(|path| files::irr(path)).transpose()?;
                let irr = self.irr.get_or_insert_with(|| Registry::new("irr"));
                changed = irr.set(now, source, said).map(|event| (event, "irr"));
            }
            Setting::Rpki(source) => {
                let said = file(source).map(|path| files::vrps(path)).transpose()?;
                let rpki = self.rpki.get_or_insert_with(|| Registry::new("rpki"));
                changed = rpki.set(now, source, said).map(|event| (event, "rpki"));
            }
            Setting::Slurm(path) => {
                self.slurm = Some(files::slurm(path)?);
                changed = Some(("changed", "rpki"));
            }
            Setting::MicrosoftRoutes(_) => {}
        }
        match (changed, &self.irr, &self.rpki) {
            (Some((event, "irr")), Some(irr), _) => self.tell(irr, event, ""),
            (Some((event, "rpki")), _, Some(rpki)) => self.tell(rpki, event, ""),
            _ => {}
        }
        Ok(())
    }

    /// When the next answer expires.
    pub fn deadline(&self) -> Option<At> {
        let irr = self.irr.as_ref().and_then(|irr| irr.expires(self.expire));
        let rpki = self
            .rpki
            .as_ref()
            .and_then(|rpki| rpki.expires(self.expire));
        irr.into_iter().chain(rpki).min()
    }

    /// Hears servers, and forgets what has expired; true when they may say something else now.
    pub fn time_passes(&mut self, now: At) -> bool {
        let mut heard = false;
        if let Some(irr) = &mut self.irr {
            heard |= irr.hear(now, &self.recorder);
        }
        if let Some(rpki) = &mut self.rpki {
            heard |= rpki.hear(now, &self.recorder);
        }
        let irr = self
            .irr
            .as_mut()
            .is_some_and(|irr| irr.forget(now, self.expire));
        let rpki = self
            .rpki
            .as_mut()
            .is_some_and(|rpki| rpki.forget(now, self.expire));
        if let Some(irr) = self.irr.as_ref().filter(|_| irr) {
            self.tell(irr, "expired", "nothing is known from here on");
        }
        if let Some(rpki) = self.rpki.as_ref().filter(|_| rpki) {
            self.tell(rpki, "expired", "nothing is valid or invalid from here on");
        }
        heard || irr || rpki
    }

    fn tell<T: Entries>(&self, registry: &Registry<T>, event: &str, text: &str) {
        tell(&self.recorder, registry, event, text);
    }
}

fn tell<T: Entries>(recorder: &Recorder, registry: &Registry<T>, event: &str, text: &str) {
    let known = registry.said.as_ref().filter(|_| !registry.expired);
    recorder.now(Fact::Registry {
        registry: registry.kind.to_owned(),
        source: registry.source.clone(),
        event: event.to_owned(),
        entries: known.map_or(0, |said| said.entries()),
        serial: registry.serial,
        text: text.to_owned(),
    });
}

/// Waits until a server has said something.
async fn first<T>(registry: Option<&mut Registry<T>>) {
    if let Some(registry) = registry
        && let Some(live) = &mut registry.live
    {
        registry.first = live.recv().await;
    }
}

impl<T: Entries> Registry<T> {
    /// Takes what its server has told; true when that was something.
    fn hear(&mut self, now: At, recorder: &Recorder) -> bool {
        let mut heard = false;
        while let Some(update) = self.next() {
            match update.event {
                Event::Read | Event::Changed | Event::Back => {
                    self.said = update.said;
                    self.serial = update.serial;
                    self.at = now;
                    self.lost = None;
                    self.expired = false;
                }
                Event::Lost => self.lost = Some((now, update.text.clone())),
                // The topology's own expiry came before.
                Event::Expired if self.expired => continue,
                Event::Expired => self.expired = true,
            }
            tell(recorder, self, update.event.name(), &update.text);
            heard = true;
        }
        heard
    }
}

impl<T> Registry<T> {
    /// One that was not named before, and says nothing yet.
    fn new(kind: &'static str) -> Registry<T> {
        Registry {
            kind,
            source: "no source".to_owned(),
            said: None,
            at: At::ZERO,
            serial: None,
            lost: None,
            silenced: None,
            expired: false,
            live: None,
            first: None,
        }
    }

    /// One that is a server.
    fn follow(kind: &'static str, source: String, live: mpsc::Receiver<Update<T>>) -> Registry<T> {
        Registry {
            source,
            live: Some(live),
            ..Registry::new(kind)
        }
    }

    /// The next word of its server, unless a step keeps it from being heard.
    fn next(&mut self) -> Option<Update<T>> {
        if self.silenced.is_some() {
            return None;
        }
        let first = self.first.take();
        first.or_else(|| self.live.as_mut()?.try_recv().ok())
    }

    /// Whether its server has not said anything yet, for which it is lost from now on.
    fn is_late(&mut self, now: At) -> bool {
        let late = self.live.is_some() && self.said.is_none() && self.lost.is_none();
        if late {
            self.lost = Some((now, LATE.to_owned()));
        }
        late
    }

    fn set(&mut self, now: At, source: &RegistrySource, said: Option<T>) -> Option<&'static str> {
        match source {
            RegistrySource::File(path) => {
                *self = Registry {
                    source: path.display().to_string(),
                    said: said.map(Arc::new),
                    at: now,
                    ..Registry::new(self.kind)
                };
                Some("changed")
            }
            RegistrySource::Dead if self.silenced.is_none() => {
                if self.live.is_none() {
                    // A file is as good as its last day.
                    self.at = now;
                }
                self.silenced = Some(now);
                self.lost.is_none().then_some("lost")
            }
            RegistrySource::Live if self.silenced.take().is_some() && self.lost.is_none() => {
                if self.live.is_none() {
                    self.at = now;
                }
                self.expired = false;
                Some("back")
            }
            RegistrySource::Dead | RegistrySource::Live => None,
        }
    }

    fn known(&self, data: impl Fn(&Arc<T>) -> Arc<T>) -> Known<T> {
        let silenced = self.silenced.map(|_| "it does not answer");
        let lost = self.lost.as_ref().map(|(_, why)| why.as_str());
        Known {
            source: self.source.clone(),
            data: self.said.as_ref().filter(|_| !self.expired).map(data),
            lost: lost.or(silenced).map(str::to_owned),
            at: self.at,
        }
    }

    fn expires(&self, after: Duration) -> Option<At> {
        self.said.as_ref().filter(|_| !self.expired)?;
        let lost = self.lost.as_ref().map(|(since, _)| *since);
        let since = lost.into_iter().chain(self.silenced).min()?;
        Some(since + after)
    }

    fn forget(&mut self, now: At, after: Duration) -> bool {
        let due = self.expires(after).is_some_and(|at| at <= now);
        self.expired |= due;
        due
    }
}

fn file(source: &RegistrySource) -> Option<&PathBuf> {
    match source {
        RegistrySource::File(path) => Some(path),
        RegistrySource::Dead | RegistrySource::Live => None,
    }
}
