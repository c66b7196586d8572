//! Adj-RIB-Out of a session (RFC 4271, section 3.2): what the neighbour was told, and what to look at again.
//!
//! **Invariant:** it holds exactly what the neighbour was told; a prefix waits at most once.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::IpNet;

use super::numbers::{Number, Numbered, Numbers};
use crate::bgp::attributes::Attributes;
use crate::bgp::hash::Map;
use crate::bgp::message::Nlri;

/// Routes announced to a neighbour, and the prefixes to look at again when there is room to write.
#[derive(Debug, Default)]
pub struct AdjRibOut {
    told: Numbered<Told>,
    /// Number of routes announced.
    count: usize,
    queue: VecDeque<Number>,
    end_of_rib: bool,
    refresh: Refresh,
}

/// How far sending everything again has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Refresh {
    #[default]
    No,
    Under,
    /// It was asked for once more, or a thousand times more, before the neighbour had read the first answer.
    Again,
}

/// What a neighbour was told about a prefix.
#[derive(Debug, Default)]
struct Told {
    set: Option<Arc<Attributes>>,
    queued: bool,
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
    pub fn queue(&mut self, number: Number) {
        let told = self.told.place(number);
        if !std::mem::replace(&mut told.queued, true) {
            self.queue.push_back(number);
        }
    }

    /// Whether there is something to look at, or a marker to send.
    pub fn is_pending(&self) -> bool {
        !self.queue.is_empty() || self.end_of_rib
    }

    /// Everything is to be sent again (RFC 2918). What was told stays known, so that a route which is gone by then
    /// is still withdrawn; but it equals no shared set any more.
    ///
    /// A neighbour that asks faster than it reads is answered once more when it has read the answer before.
    pub fn resend(&mut self) {
        if self.refresh != Refresh::No {
            self.refresh = Refresh::Again;
            return;
        }
        self.refresh = Refresh::Under;
        let unlike_any = Arc::new(Attributes::originated(Ipv4Addr::UNSPECIFIED));
        for number in self.told.numbers() {
            let told = self.told.place(number);
            if told.set.is_none() {
                continue;
            }
            told.set = Some(unlike_any.clone());
            if !std::mem::replace(&mut told.queued, true) {
                self.queue.push_back(number);
            }
        }
        if self.queue.is_empty() {
            self.refresh = Refresh::No;
        }
    }

    /// Takes up to `limit` queued prefixes, asks what each is now, and says what the neighbour must be told.
    pub fn changes(
        &mut self,
        limit: usize,
        numbers: &Numbers,
        mut export: impl FnMut(Number, &IpNet) -> Option<Arc<Attributes>>,
    ) -> Changes {
        let mut changes = Changes::default();
        let mut groups: Map<usize, usize> = Map::default();
        for _ in 0..limit {
            let Some(number) = self.queue.pop_front() else {
                break;
            };
            let prefix = numbers.prefix(number);
            let told = self.told.place(number);
            told.queued = false;
            match export(number, &prefix) {
                Some(now) => {
                    if told.set.as_ref().is_some_and(|b| Arc::ptr_eq(b, &now)) {
                        continue;
                    }
                    self.count += usize::from(told.set.is_none());
                    let group = *groups.entry(Arc::as_ptr(&now) as usize).or_insert_with(|| {
                        changes.announced.push((now.clone(), Vec::new()));
                        changes.announced.len() - 1
                    });
                    changes.announced[group].1.push(prefix.into());
                    told.set = Some(now);
                }
                None => {
                    if told.set.take().is_some() {
                        self.count -= 1;
                        changes.withdrawn.push(prefix.into());
                    }
                }
            }
        }
        if self.queue.is_empty() {
            // A large burst is over: give its memory back.
            self.queue.shrink_to(64);
            if std::mem::take(&mut self.refresh) == Refresh::Again {
                self.resend();
            }
        }
        changes
    }

    /// What was announced could not be written: the neighbour does not have it.
    pub fn unsent(&mut self, numbers: &Numbers, nlri: &[Nlri]) {
        for nlri in nlri {
            let number = numbers.find(&nlri.prefix);
            let told = number.and_then(|number| self.told.get_mut(number));
            if told.is_some_and(|told| told.set.take().is_some()) {
                self.count -= 1;
            }
        }
    }

    /// What the neighbour was told about a prefix.
    pub fn get(&self, number: Number) -> Option<&Arc<Attributes>> {
        self.told.get(number)?.set.as_ref()
    }

    /// Whether a prefix is known here: told, or to be looked at.
    pub fn knows(&self, number: Number) -> bool {
        let told = self.told.get(number);
        told.is_some_and(|told| told.queued || told.set.is_some())
    }

    /// All the neighbour was told.
    pub fn iter(&self) -> impl Iterator<Item = (Number, &Arc<Attributes>)> {
        let told = self.told.iter();
        told.filter_map(|(number, told)| Some((number, told.set.as_ref()?)))
    }

    /// Number of routes announced.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.count == 0
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

    struct Out {
        numbers: Numbers,
        out: AdjRibOut,
    }

    impl Out {
        fn queued(nets: &[u8]) -> Out {
            let mut all = Out {
                numbers: Numbers::default(),
                out: AdjRibOut::default(),
            };
            nets.iter().for_each(|&n| all.queue(n));
            all
        }

        fn queue(&mut self, n: u8) {
            self.out.queue(self.numbers.number(net(n)));
        }

        fn changes(
            &mut self,
            limit: usize,
            mut export: impl FnMut(&IpNet) -> Option<Arc<Attributes>>,
        ) -> Changes {
            self.out
                .changes(limit, &self.numbers, |_, prefix| export(prefix))
        }
    }

    #[test]
    fn prefixes_with_the_same_attributes_go_together() {
        let (a, b) = (set(1), set(2));
        let mut out = Out::queued(&[0, 1, 2, 3]);
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
        assert_eq!(out.out.len(), 4);
    }

    #[test]
    fn what_was_told_is_not_told_again_and_flaps_cost_one_look() {
        let a = set(1);
        let mut out = Out::queued(&[1; 1000]);
        let mut looks = 0;
        let changes = out.changes(100, |_| {
            looks += 1;
            Some(a.clone())
        });
        assert_eq!((looks, changes.announced.len()), (1, 1));
        out.queue(1);
        assert_eq!(out.changes(100, |_| Some(a.clone())), Changes::default());
        // Never told: nothing to withdraw.
        out.queue(2);
        assert_eq!(out.changes(100, |_| None), Changes::default());
        out.queue(1);
        assert_eq!(out.changes(100, |_| None).withdrawn, [net(1).into()]);
        assert!(out.out.is_empty());
    }

    #[test]
    fn a_refresh_sends_everything_and_still_withdraws_what_is_gone() {
        let a = set(1);
        let mut out = Out::queued(&[1, 2]);
        out.changes(100, |_| Some(a.clone()));
        out.out.resend();
        let changes = out.changes(100, |p| (*p == net(1)).then(|| a.clone()));
        assert_eq!(changes.announced, [(a, vec![net(1).into()])]);
        assert_eq!(changes.withdrawn, [net(2).into()]);
        assert_eq!(out.out.len(), 1);
    }

    #[test]
    fn refreshes_asked_for_before_the_answer_was_read_are_answered_once() {
        let a = set(1);
        let mut out = Out::queued(&[1, 2]);
        out.changes(100, |_| Some(a.clone()));
        for _ in 0..1000 {
            out.out.resend();
        }
        for _ in 0..2 {
            let changes = out.changes(100, |_| Some(a.clone()));
            assert_eq!(changes.announced.len(), 1);
        }
        assert!(!out.out.is_pending());
        // With nothing to send the next one is no repetition.
        out.out.resend();
        assert!(out.out.is_pending());
    }

    #[test]
    fn the_end_of_rib_marker_comes_once_and_last() {
        let mut out = Out::queued(&[1, 2]);
        out.out.owe_end_of_rib();
        out.changes(1, |_| None);
        assert!(!out.out.take_end_of_rib());
        out.changes(1, |_| None);
        assert!(out.out.take_end_of_rib());
        assert!(!out.out.take_end_of_rib());
        assert!(!out.out.is_pending());
    }
}
