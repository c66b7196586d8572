//! The routing registries of a lab: what they say, that they fall silent, and for how long their last word is good.
//!
//! A registry that does not answer is believed until its answer expires (RFC 8210, section 6, for the RPKI); after that
//! nothing is known, and nothing is invalid.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::bgp::origin_validation::VrpTable;
use crate::provider::registries::{Known, Registries as Answers};
use crate::record::{Fact, Recorder};
use crate::registry::files;
use crate::registry::irr::Irr;
use crate::registry::slurm::Slurm;
use crate::scenario::{RegistrySource, Setting};
use crate::source::Diagnostics;
use crate::time::At;
use crate::topology::{IrrSource, RegistrySources, RpkiSource};

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
    /// Since when it has not answered, and why.
    lost: Option<(At, String)>,
    expired: bool,
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
    /// Reads what the topology names.
    ///
    /// # Errors
    /// A file is not what it was when the topology was read.
    pub fn read(sources: &RegistrySources, recorder: &Recorder) -> Result<Registries, Diagnostics> {
        let mut registries = Registries {
            irr: None,
            rpki: None,
            slurm: sources.slurm.as_deref().map(files::slurm).transpose()?,
            expire: sources.expire,
            recorder: recorder.clone(),
        };
        if let Some(IrrSource::File(path)) = &sources.irr {
            let registry = registries.open("irr", path, files::irr(path)?);
            registries.irr = Some(registry);
        }
        if let Some(RpkiSource::File(path)) = &sources.rpki {
            let registry = registries.open("rpki", path, files::vrps(path)?);
            registries.rpki = Some(registry);
        }
        Ok(registries)
    }

    fn open<T: Entries>(&self, kind: &'static str, path: &Path, said: T) -> Registry<T> {
        let registry = Registry {
            kind,
            source: path.display().to_string(),
            said: Some(Arc::new(said)),
            at: self.recorder.clock().now(),
            lost: None,
            expired: false,
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

    /// Forgets what has expired; true when something has.
    pub fn time_passes(&mut self, now: At) -> bool {
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
        irr || rpki
    }

    fn tell<T: Entries>(&self, registry: &Registry<T>, event: &str, text: &str) {
        let known = registry.said.as_ref().filter(|_| !registry.expired);
        self.recorder.now(Fact::Registry {
            registry: registry.kind.to_owned(),
            source: registry.source.clone(),
            event: event.to_owned(),
            entries: known.map_or(0, |said| said.entries()),
            serial: None,
            text: text.to_owned(),
        });
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
            lost: None,
            expired: false,
        }
    }

    fn set(&mut self, now: At, source: &RegistrySource, said: Option<T>) -> Option<&'static str> {
        match source {
            RegistrySource::File(path) => {
                self.source = path.display().to_string();
                self.said = said.map(Arc::new);
                self.at = now;
                self.lost = None;
                self.expired = false;
                Some("changed")
            }
            RegistrySource::Dead if self.lost.is_none() => {
                self.at = now;
                self.lost = Some((now, "it does not answer".to_owned()));
                Some("lost")
            }
            RegistrySource::Live if self.lost.take().is_some() => {
                self.at = now;
                self.expired = false;
                Some("back")
            }
            RegistrySource::Dead | RegistrySource::Live => None,
        }
    }

    fn known(&self, data: impl Fn(&Arc<T>) -> Arc<T>) -> Known<T> {
        Known {
            source: self.source.clone(),
            data: self.said.as_ref().filter(|_| !self.expired).map(data),
            lost: self.lost.as_ref().map(|(_, why)| why.clone()),
            at: self.at,
        }
    }

    fn expires(&self, after: Duration) -> Option<At> {
        let (since, _) = self.lost.as_ref().filter(|_| !self.expired)?;
        Some(*since + after)
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
