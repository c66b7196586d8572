//! What others see of the table.
//!
//! **Invariant:** nothing is changed here.

use std::sync::Arc;

use ipnet::IpNet;

use super::paths::{Path, PathRef};
use super::{SetId, Table, candidate};
use crate::bgp::attributes::Attributes;
use crate::bgp::decision::{self, Multipath, Reason};
use crate::bgp::message::Nlri;
use crate::bgp::policy;
use crate::bgp::rib::AdjRibOut;
use crate::bgp::rib::numbers::{Number, Numbers};
use crate::router::{NextHop, SessionIndex};

/// The routes received on a session (Adj-RIB-In), those refused included.
#[derive(Debug, Clone, Copy)]
pub struct AdjRibIn<'a> {
    pub(in crate::router) table: &'a Table,
    pub(in crate::router) session: SessionIndex,
}

/// A received route.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Prefix.
    pub prefix: IpNet,
    /// Path identifier (RFC 7911); 0 without.
    pub path_id: u32,
    /// As it came; `None` when it counts as withdrawn because of its attributes (RFC 7606).
    pub attributes: Option<&'a Arc<Attributes>>,
    /// After import policy; `None` when that refuses the route.
    pub imported: Option<&'a Arc<Attributes>>,
    /// Why it is not used: by import policy, or because its next hop cannot be reached.
    pub refused: Option<&'a policy::Reason>,
    /// What was wrong with its attributes, and how that was treated (RFC 7606).
    pub fault: Option<&'a str>,
    /// Kept from before the session was lost, or not yet refreshed (RFC 4724, RFC 7313).
    pub stale: bool,
}

impl<'a> AdjRibIn<'a> {
    /// All routes, those that count as withdrawn because of their attributes included.
    pub fn iter(self) -> impl Iterator<Item = Received<'a>> {
        let all = self.table.all();
        all.flat_map(move |number| {
            let paths = self.table.paths(number);
            let ours = paths.filter(move |path| path.session == self.session);
            ours.map(move |path| self.received(number, path))
        })
    }

    /// The routes to a prefix: one, or with ADD-PATH (RFC 7911) several.
    pub fn paths(self, prefix: &IpNet) -> impl Iterator<Item = Received<'a>> {
        let number = self.table.numbers.find(prefix);
        number.into_iter().flat_map(move |number| {
            let paths = self.table.paths(number);
            let ours = paths.filter(move |path| path.session == self.session);
            ours.map(move |path| self.received(number, path))
        })
    }

    /// The route to a prefix as it came.
    pub fn get(self, prefix: &IpNet) -> Option<&'a Arc<Attributes>> {
        self.paths(prefix).find_map(|route| route.attributes)
    }

    /// The route to a prefix after import policy.
    pub fn imported(self, prefix: &IpNet) -> Option<&'a Arc<Attributes>> {
        self.paths(prefix).find_map(|route| route.imported)
    }

    /// Why a route to a prefix is refused, be it by policy, because it is malformed or because its next hop cannot be reached.
    pub fn refused(self, prefix: &IpNet) -> Option<&'a policy::Reason> {
        self.paths(prefix).find_map(|route| route.refused)
    }

    /// Number of routes, without those that count as withdrawn.
    pub fn len(self) -> usize {
        let source = self.table.sources.get(self.session.index());
        source.map_or(0, |source| source.all_received() as usize)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn received(self, number: Number, path: &'a Path) -> Received<'a> {
        Received {
            prefix: self.table.numbers.prefix(number),
            path_id: path.path_id,
            attributes: path.received.as_ref(),
            imported: path.imported.as_ref(),
            refused: self.table.refusal(path.fate),
            fault: self.table.fault(path.fate),
            stale: self.table.is_stale(number, path),
        }
    }
}

/// The routes in use (Loc-RIB).
#[derive(Debug, Clone, Copy)]
pub struct LocRib<'a> {
    pub(in crate::router) table: &'a Table,
}

/// The route in use for a prefix.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'a> {
    /// Prefix.
    pub prefix: IpNet,
    /// The session the best route came from.
    pub from: SessionIndex,
    /// Its path identifier (RFC 7911); 0 without.
    pub path_id: u32,
    /// It is kept over the loss of its session, or not yet refreshed (RFC 4724, RFC 7313).
    pub stale: bool,
    /// Its attributes.
    pub attributes: &'a Arc<Attributes>,
    /// Next hops of it and of those equal to it.
    pub next_hops: &'a Arc<[NextHop]>,
    /// The step of the decision that chose it.
    pub reason: Reason,
}

impl<'a> LocRib<'a> {
    /// The route in use for a prefix.
    pub fn get(self, prefix: &IpNet) -> Option<Selected<'a>> {
        self.selected(self.table.numbers.find(prefix)?)
    }

    /// All routes in use.
    pub fn iter(self) -> impl Iterator<Item = Selected<'a>> {
        let all = self.table.all();
        all.filter_map(move |number| self.selected(number))
    }

    /// Number of routes in use.
    pub fn len(self) -> usize {
        self.table.used
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn selected(self, number: Number) -> Option<Selected<'a>> {
        let table = self.table;
        let best = table.best(number)?;
        let set: SetId = table.set(number);
        Some(Selected {
            prefix: table.numbers.prefix(number),
            from: best.session,
            path_id: best.path_id,
            stale: table.is_stale(number, best),
            attributes: best.imported.as_ref()?,
            next_hops: table.hops.of(set)?,
            reason: table.reason(number)?,
        })
    }
}

impl Table {
    /// The step of the decision that chose the best path of a prefix.
    fn reason(&self, number: Number) -> Option<Reason> {
        let mut places: Vec<PathRef> = self.usable(number);
        let one = Multipath {
            limit: 1,
            relax: true,
        };
        decision::choose(&mut places, one, |at| {
            candidate(&self.paths, &self.sources, &self.hops, at)
        })
    }
}

/// The routes announced on a session (Adj-RIB-Out).
#[derive(Debug, Clone, Copy)]
pub struct Advertised<'a> {
    pub(in crate::router) numbers: &'a Numbers,
    pub(in crate::router) out: &'a AdjRibOut,
}

impl<'a> Advertised<'a> {
    /// What the neighbour was told about a prefix.
    pub fn get(self, prefix: &IpNet) -> Option<&'a Arc<Attributes>> {
        self.out.get(self.numbers.find(prefix)?)
    }

    /// What the neighbour was told about a prefix, with path identifiers (RFC 7911); 0 without.
    pub fn paths(self, prefix: &IpNet) -> impl Iterator<Item = (u32, &'a Arc<Attributes>)> {
        let number = self.numbers.find(prefix);
        number
            .into_iter()
            .flat_map(move |number| self.out.paths(number))
    }

    /// All the neighbour was told, with path identifiers (RFC 7911); 0 without.
    pub fn iter(self) -> impl Iterator<Item = (Nlri, &'a Arc<Attributes>)> {
        let told = self.out.iter();
        told.map(move |(number, path_id, set)| {
            let prefix = self.numbers.prefix(number);
            (Nlri { prefix, path_id }, set)
        })
    }

    /// Whether something is still to be looked at, or told.
    pub fn is_pending(self) -> bool {
        self.out.is_pending()
    }

    /// Number of routes announced.
    pub fn len(self) -> usize {
        self.out.len()
    }

    /// Whether none is.
    pub fn is_empty(self) -> bool {
        self.out.is_empty()
    }
}
