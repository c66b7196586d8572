//! Adj-RIB-In and Adj-RIB-Out of a session (RFC 4271, section 3.2).
//!
//! A route is a prefix and pointers to shared attribute sets: 24 bytes in Adj-RIB-In, 16 in Adj-RIB-Out, and what the
//! table needs around them.
//!
//! **Invariant:** Adj-RIB-In holds routes as they were received, Adj-RIB-Out exactly what the neighbour was told.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::IpNet;

use super::attributes::Attributes;
use super::hash::{Map, Set};
use super::message::Nlri;
use super::prefix_map::PrefixMap;

/// Routes received from a neighbour: as they came, and as import policy lets them in.
#[derive(Debug, Default)]
pub struct AdjRibIn {
    routes: PrefixMap<Received>,
}

/// A received route.
#[derive(Debug, Clone)]
pub struct Received {
    /// As it came.
    pub attributes: Arc<Attributes>,
    /// After import policy; `None` when that refuses it. The same `Arc` where policy changes nothing.
    pub imported: Option<Arc<Attributes>>,
}

impl AdjRibIn {
    /// Takes a route, and says what was there before.
    pub fn insert(&mut self, prefix: IpNet, route: Received) -> Option<Received> {
        self.routes.insert(prefix, route)
    }

    /// Forgets a route; false when there was none.
    pub fn remove(&mut self, prefix: &IpNet) -> bool {
        self.routes.remove(prefix).is_some()
    }

    /// The route to a prefix as it came.
    pub fn get(&self, prefix: &IpNet) -> Option<&Arc<Attributes>> {
        self.routes.get(prefix).map(|route| &route.attributes)
    }

    /// The route to a prefix after import policy.
    pub fn imported(&self, prefix: &IpNet) -> Option<&Arc<Attributes>> {
        self.routes.get(prefix)?.imported.as_ref()
    }

    /// Forgets everything, and says what it was.
    pub fn drain(&mut self) -> impl Iterator<Item = IpNet> + use<> {
        self.routes.drain().map(|(prefix, _)| prefix)
    }

    /// All routes.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &Received)> {
        self.routes.iter()
    }

    /// Number of routes.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

/// Routes announced to a neighbour, and the prefixes to look at again when there is room to write.
#[derive(Debug, Default)]
pub struct AdjRibOut {
    sent: PrefixMap<Arc<Attributes>>,
    queue: VecDeque<IpNet>,
    queued: Set<IpNet>,
    end_of_rib: bool,
}

/// What a neighbour must be told.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// Prefixes withdrawn.
    pub withdrawn: Vec<Nlri>,
    /// Prefixes announced, together where they share attributes.
    pub announced: Vec<(Arc<Attributes>, Vec<Nlri>)>,
}

impl AdjRibOut {
    /// Forgets everything: the session is down, or begins.
    pub fn clear(&mut self) {
        *self = AdjRibOut::default();
    }

    /// The End-of-RIB marker is due once all that is queued is sent.
    pub fn owe_end_of_rib(&mut self) {
        self.end_of_rib = true;
    }

    /// Whether the End-of-RIB marker is due now; only once.
    pub fn take_end_of_rib(&mut self) -> bool {
        self.queue.is_empty() && std::mem::take(&mut self.end_of_rib)
    }

    /// The prefix may have changed. However often it does, it is looked at once.
    pub fn queue(&mut self, prefix: IpNet) {
        if self.queued.insert(prefix) {
            self.queue.push_back(prefix);
        }
    }

    /// Whether there is something to look at, or a marker to send.
    pub fn is_pending(&self) -> bool {
        !self.queue.is_empty() || self.end_of_rib
    }

    /// Everything is to be sent again (RFC 2918). What was told stays known, so that a route which is gone by then
    /// is still withdrawn; but it equals no shared set any more.
    pub fn resend(&mut self) {
        let unlike_any = Arc::new(Attributes::originated(Ipv4Addr::UNSPECIFIED));
        for (prefix, told) in self.sent.iter_mut() {
            *told = unlike_any.clone();
            if self.queued.insert(prefix) {
                self.queue.push_back(prefix);
            }
        }
    }

    /// Takes up to `limit` queued prefixes, asks what each is now, and says what the neighbour must be told.
    pub fn changes(
        &mut self,
        limit: usize,
        mut export: impl FnMut(&IpNet) -> Option<Arc<Attributes>>,
    ) -> Changes {
        let mut changes = Changes::default();
        let mut groups: Map<usize, usize> = Map::default();
        for _ in 0..limit {
            let Some(prefix) = self.queue.pop_front() else {
                break;
            };
            self.queued.remove(&prefix);
            match export(&prefix) {
                Some(now) => {
                    if self.sent.get(&prefix).is_some_and(|b| Arc::ptr_eq(b, &now)) {
                        continue;
                    }
                    let group = *groups.entry(Arc::as_ptr(&now) as usize).or_insert_with(|| {
                        changes.announced.push((now.clone(), Vec::new()));
                        changes.announced.len() - 1
                    });
                    changes.announced[group].1.push(prefix.into());
                    self.sent.insert(prefix, now);
                }
                None => {
                    if self.sent.remove(&prefix).is_some() {
                        changes.withdrawn.push(prefix.into());
                    }
                }
            }
        }
        if self.queue.is_empty() {
            // A large burst is over: give its memory back.
            self.queue.shrink_to(64);
            self.queued.shrink_to(64);
        }
        changes
    }

    /// What was announced could not be written: the neighbour does not have it.
    pub fn unsent(&mut self, nlri: &[Nlri]) {
        for nlri in nlri {
            self.sent.remove(&nlri.prefix);
        }
    }

    /// What the neighbour was told about a prefix.
    pub fn get(&self, prefix: &IpNet) -> Option<&Arc<Attributes>> {
        self.sent.get(prefix)
    }

    /// All the neighbour was told.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &Arc<Attributes>)> {
        self.sent.iter()
    }

    /// Number of routes announced.
    pub fn len(&self) -> usize {
        self.sent.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(n: u8) -> IpNet {
        IpNet::new(Ipv4Addr::new(20, 0, n, 0).into(), 24).expect("24 is a length")
    }

    fn set(n: u32) -> Arc<Attributes> {
        let mut set = Attributes::originated(Ipv4Addr::LOCALHOST);
        set.med = Some(n);
        Arc::new(set)
    }

    #[test]
    fn prefixes_with_the_same_attributes_go_together() {
        let (a, b) = (set(1), set(2));
        let mut out = AdjRibOut::default();
        for n in 0..4 {
            out.queue(net(n));
        }
        let pick = |p: &IpNet| {
            let even = *p == net(0) || *p == net(2);
            Some(if even { a.clone() } else { b.clone() })
        };
        let changes = out.changes(100, pick);
        let expected = vec![
            (a.clone(), vec![net(0).into(), net(2).into()]),
            (b.clone(), vec![net(1).into(), net(3).into()]),
        ];
        assert_eq!(changes.announced, expected);
        assert_eq!(out.len(), 4);
    }

    #[test]
    fn what_was_told_is_not_told_again_and_flaps_cost_one_look() {
        let a = set(1);
        let mut out = AdjRibOut::default();
        for _ in 0..1000 {
            out.queue(net(1));
        }
        let mut looks = 0;
        let changes = out.changes(100, |_| {
            looks += 1;
            Some(a.clone())
        });
        assert_eq!((looks, changes.announced.len()), (1, 1));
        out.queue(net(1));
        assert_eq!(out.changes(100, |_| Some(a.clone())), Changes::default());
        // Never told: nothing to withdraw.
        out.queue(net(2));
        assert_eq!(out.changes(100, |_| None), Changes::default());
        out.queue(net(1));
        assert_eq!(out.changes(100, |_| None).withdrawn, [net(1).into()]);
        assert!(out.is_empty());
    }

    #[test]
    fn a_refresh_sends_everything_and_still_withdraws_what_is_gone() {
        let a = set(1);
        let mut out = AdjRibOut::default();
        out.queue(net(1));
        out.queue(net(2));
        out.changes(100, |_| Some(a.clone()));
        out.resend();
        let changes = out.changes(100, |p| (*p == net(1)).then(|| a.clone()));
        assert_eq!(changes.announced, [(a, vec![net(1).into()])]);
        assert_eq!(changes.withdrawn, [net(2).into()]);
    }

    #[test]
    fn the_end_of_rib_marker_comes_once_and_last() {
        let mut out = AdjRibOut::default();
        out.queue(net(1));
        out.queue(net(2));
        out.owe_end_of_rib();
        out.changes(1, |_| None);
        assert!(!out.take_end_of_rib());
        out.changes(1, |_| None);
        assert!(out.take_end_of_rib());
        assert!(!out.take_end_of_rib());
        assert!(!out.is_pending());
    }
}
