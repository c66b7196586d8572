//! Graceful restart (RFC 4724): ours, and that of neighbours; graceful shutdown (RFC 8326); refreshes with marks (RFC 7313).
//!
//! **Invariant:** while a choice of routes is deferred, no neighbour is told anything and the kernel's routes stay.

use super::config::SessionIndex;
use super::io::{Fib, Output};
use super::{Router, session};
use crate::bgp::family::{Families, Family};
use crate::bgp::session::{Negotiated, RefreshMark};
use crate::record::Fact;
use crate::time::At;

/// A router that has restarted waits for its neighbours' routes before it chooses (section 4.1).
#[derive(Debug)]
pub(super) struct Deferral {
    /// The Selection_Deferral_Timer.
    pub until: At,
    /// Sessions whose End-of-RIB markers are missing, and of which families; all before OPENs were exchanged.
    waiting: Vec<(SessionIndex, Families)>,
}

impl Router {
    /// The router's BGP is gone, and its kernel routes stay, or go with it.
    pub(super) fn halt(&mut self, now: At, forwarding: bool) {
        for index in 0..self.peers.len() {
            if self.table.sources[index].holds(Families::ALL) {
                self.record_all_withdrawn(index, "restart");
            }
        }
        let gone = self.table.clear();
        if forwarding {
            self.deferral = None;
            self.outputs.push_back(Output::Fib(Fib::Keep));
        } else {
            self.forget_kept();
            for number in gone {
                let prefix = self.table.numbers.prefix(number);
                self.outputs.push_back(Output::Fib(Fib::Remove { prefix }));
            }
        }
        self.all(now, |_| Some(session::Input::Crash));
        // What a process leaves open the kernel closes.
        for message in &mut self.messages {
            if let Output::Close { abort, .. } = message {
                *abort = false;
            }
        }
        self.halted = true;
    }

    /// What the kernel kept over a restart that is not over is nobody's any more.
    pub(super) fn forget_kept(&mut self) {
        if self.deferral.take().is_some() || self.halted {
            self.outputs.push_back(Output::Fib(Fib::Sweep));
        }
    }

    /// The router is back with the kernel routes it had: its sessions begin anew.
    pub(super) fn restart(&mut self, now: At, preserved: Families) {
        if !self.halted {
            self.halt(now, true);
        }
        self.halted = false;
        let running = self.peers.iter().filter(|peer| !peer.stopped);
        let waiting = running.map(|peer| (peer.index, Families::ALL)).collect();
        self.all(now, |_| Some(session::Input::Restarted { preserved }));
        self.deferral = Some(Deferral {
            until: now + self.config.options.selection_deferral,
            waiting,
        });
        self.all(now, |p| (!p.stopped).then_some(session::Input::Start));
        self.select_when_due(now);
    }

    fn record_all_withdrawn(&mut self, index: usize, why: &str) {
        let session = self.peers[index].index;
        for number in self.table.prefixes_of(session, Families::ALL) {
            if self.table.paths(number).any(|path| path.session == session) {
                self.record_withdrawn(index, self.table.numbers.prefix(number), why);
            }
        }
    }

    /// A session is up: what is stale of families whose forwarding the neighbour did not preserve is void (section 4.2).
    pub(super) fn established(&mut self, index: usize, negotiated: &Negotiated) {
        let graceful = negotiated.capabilities.graceful_restart;
        let dialect = negotiated.dialect;
        let peer = &mut self.peers[index];
        peer.up = true;
        peer.families = dialect.families;
        peer.add_path = dialect.add_path_receive;
        peer.reset(dialect.add_path_send);
        peer.restarts = graceful.is_some();
        let session = peer.index;
        let source = &mut self.table.sources[index];
        let renamed = std::mem::replace(&mut source.peer_id, negotiated.peer_id);
        if source.holds(Families::ALL) {
            let preserved = graceful.map_or(Families::NONE, |g| g.families.and(g.preserved));
            for family in Family::ALL {
                if !preserved.contains(family) {
                    self.sweep_stale(index, family, "not preserved over the restart");
                }
            }
            if renamed != negotiated.peer_id {
                self.decide_all_of(session);
            }
        }
        if let Some(deferral) = &mut self.deferral {
            // Nobody waits for one who restarts, too, or sends no markers.
            let marks = graceful.filter(|graceful| !graceful.restarting);
            let awaited = marks.map_or(Families::NONE, |_| dialect.families);
            for (of, families) in &mut deferral.waiting {
                if *of == session {
                    *families = families.and(awaited);
                }
            }
        }
        self.advertise_all(index);
    }

    /// The End-of-RIB marker of a family came.
    pub(super) fn ended_rib(&mut self, index: usize, family: Family) {
        self.peers[index].ended_ribs.insert(family);
        let why = "not announced again after the restart";
        self.sweep_stale(index, family, why);
        self.tell_stale(index, 0, "end-of-RIB");
        let session = self.peers[index].index;
        if let Some(deferral) = &mut self.deferral {
            for (of, families) in &mut deferral.waiting {
                if *of == session {
                    families.remove(family);
                }
            }
        }
    }

    /// Ends the deferral when all markers are here, or the time is over.
    pub(super) fn select_when_due(&mut self, now: At) {
        let due = self.deferral.as_ref().is_some_and(|deferral| {
            deferral.until <= now || deferral.waiting.iter().all(|(_, f)| f.is_empty())
        });
        if !due {
            return;
        }
        self.deferral = None;
        for number in self.table.all() {
            self.decide(number, true);
        }
        self.outputs.push_back(Output::Fib(Fib::Sweep));
    }

    fn decide_all_of(&mut self, session: SessionIndex) {
        for number in self.table.prefixes_of(session, Families::ALL) {
            if self.table.paths(number).any(|path| path.session == session) {
                self.decide(number, false);
            }
        }
    }

    /// What was kept as stale over a restart is void.
    pub(super) fn restart_over(&mut self, index: usize, why: &str) {
        if self.peers[index].up {
            for family in Family::ALL {
                self.sweep_stale(index, family, why);
            }
        } else {
            self.void(index, why);
        }
        self.tell_stale(index, 0, why);
    }

    /// Tells how many routes of a session stay as stale ones, when that is new.
    pub(super) fn tell_stale(&mut self, index: usize, routes: u32, why: &str) {
        let peer = &mut self.peers[index];
        if std::mem::replace(&mut peer.stale, routes) != routes {
            self.facts.push(Fact::StaleRoutes {
                router: self.config.name.clone(),
                session: peer.spec.name.clone(),
                routes,
                why: why.to_owned(),
            });
        }
    }

    /// Routes that were stale for too long are gone (RFC 8538, section 4.1; RFC 7313, section 4).
    pub(super) fn sweep_overdue(&mut self, now: At) {
        for index in 0..self.peers.len() {
            for family in Family::ALL {
                let due = self.peers[index].stale_until[family];
                if due.is_some_and(|at| at <= now) {
                    self.peers[index].refreshed.remove(family);
                    let why = "stale for too long";
                    self.sweep_stale(index, family, why);
                    self.tell_stale(index, 0, why);
                }
            }
        }
    }

    /// The neighbour wants everything of a family again.
    pub(super) fn refresh(&mut self, now: At, index: usize, family: Family, demarcated: bool) {
        let peer = &mut self.peers[index];
        if demarcated && peer.rib_out.owes_end_of_rib() {
            // RFC 7313, section 4: no mark before the End-of-RIB marker.
            peer.refresh_later.insert(family);
            return;
        }
        // However often it is asked for before it is done, it begins once.
        if demarcated && !peer.refreshing.contains(family) {
            let mark = RefreshMark::Begin;
            let begin = session::Input::MarkRefresh { family, mark };
            peer.session.handle(now, begin);
            peer.refreshing.insert(family);
        }
        peer.rib_out.resend(family);
    }

    /// The neighbour begins or ends to send everything of a family again (RFC 7313, section 4). One that restarts
    /// gracefully may begin only after its End-of-RIB marker: what is stale until then must not be taken for refreshed.
    pub(super) fn refresh_marked(&mut self, index: usize, family: Family, mark: RefreshMark) {
        if self.peers[index].spec.record_routes {
            self.facts.push(Fact::RouteRefresh {
                router: self.config.name.clone(),
                session: self.peers[index].spec.name.clone(),
                mark: match mark {
                    RefreshMark::Begin => "begin".to_owned(),
                    RefreshMark::End => "end".to_owned(),
                },
            });
        }
        let peer = &mut self.peers[index];
        match mark {
            RefreshMark::Begin if peer.restarts && !peer.ended_ribs.contains(family) => {}
            RefreshMark::Begin => {
                peer.refreshed.insert(family);
                self.mark_stale(index, family.into());
            }
            RefreshMark::End if peer.refreshed.contains(family) => {
                peer.refreshed.remove(family);
                self.sweep_stale(index, family, "not announced again by a refresh");
            }
            // There was no beginning.
            RefreshMark::End => {}
        }
    }

    /// Begins the refreshes that waited for the End-of-RIB marker; true when there was one.
    pub(super) fn begin_refreshes(&mut self, now: At, index: usize) -> bool {
        let peer = &mut self.peers[index];
        if peer.refresh_later.is_empty() || peer.rib_out.owes_end_of_rib() {
            return false;
        }
        for family in std::mem::take(&mut peer.refresh_later).iter() {
            self.refresh(now, index, family, true);
        }
        true
    }

    /// Marks the end of refreshes that are written; true when there was one.
    pub(super) fn mark_refreshed(&mut self, now: At, index: usize) -> bool {
        let peer = &mut self.peers[index];
        if peer.refreshing.is_empty() || peer.rib_out.is_pending() {
            return false;
        }
        for family in std::mem::take(&mut peer.refreshing).iter() {
            let mark = RefreshMark::End;
            let end = session::Input::MarkRefresh { family, mark };
            peer.session.handle(now, end);
        }
        true
    }

    /// Takes a session out of use before it is shut down at `at`: both ends prefer any other route from now on.
    pub(super) fn drain_session(&mut self, index: usize, at: At, reason: &str) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        peer.draining = Some((at, reason.to_owned()));
        if peer.up {
            peer.queue_all(&self.table);
        }
        self.import_anew(index);
    }

    /// Takes a session back into use.
    pub(super) fn undrain_session(&mut self, index: usize) {
        let peer = self.peers.get_mut(index);
        if peer.is_some_and(|peer| peer.draining.take().is_some()) {
            self.import_anew(index);
            let Router { peers, table, .. } = self;
            if let Some(peer) = peers.get_mut(index).filter(|peer| peer.up) {
                peer.queue_all(table);
            }
        }
    }

    /// Shuts the sessions down whose time has come.
    pub(super) fn stop_drained(&mut self, now: At) {
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            let due = peer.draining.take_if(|(at, _)| *at <= now);
            if let Some((_, reason)) = due {
                peer.stopped = true;
                let reason = reason.as_str();
                peer.session.handle(now, session::Input::Stop { reason });
                self.drain(index);
            }
        }
    }
}
