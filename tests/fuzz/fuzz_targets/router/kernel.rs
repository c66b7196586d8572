//! The kernel's routes, as a router changes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use peerlab::router::{Fib, LocRib, NextHop};

#[derive(Default)]
pub struct Kernel {
    pub routes: BTreeMap<IpNet, Arc<[NextHop]>>,
    /// It has routes of before a restart.
    keeps: bool,
}

impl Kernel {
    /// Does what the router wants, which has these routes in use by then.
    pub fn change(&mut self, fib: Fib, used: LocRib<'_>) {
        match fib {
            Fib::NextHopDown { session } => {
                let lost = |hop: &NextHop| hop.session == session;
                for hops in self.routes.values_mut() {
                    if hops.iter().any(lost) && !hops.iter().all(lost) {
                        *hops = hops.iter().filter(|hop| !lost(hop)).cloned().collect();
                    }
                }
            }
            Fib::Move { from, to } => {
                let moved = self.routes.values_mut().filter(|hops| **hops == from);
                moved.for_each(|hops| *hops = to.clone());
            }
            Fib::Replace { prefix, next_hops } => {
                assert!(!next_hops.is_empty());
                self.routes.insert(prefix, next_hops);
            }
            Fib::Remove { prefix } => {
                self.routes.remove(&prefix);
            }
            Fib::Keep => self.keeps = true,
            Fib::Sweep => {
                self.keeps = false;
                self.routes.retain(|prefix, _| used.get(prefix).is_some());
            }
        }
    }

    /// It has the routes in use, unless it keeps others over a restart.
    pub fn is_right(&self, used: LocRib<'_>) {
        if !self.keeps {
            assert_eq!(used.len(), self.routes.len(), "{:?}", self.routes);
            for route in used.iter() {
                assert_eq!(self.routes.get(&route.prefix), Some(route.next_hops));
            }
        }
    }
}
