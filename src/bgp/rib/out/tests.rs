//! What is told of prefixes that change, and when.

use super::*;

fn net(n: u8) -> IpNet {
    IpNet::new(Ipv4Addr::new(20, 0, n, 0).into(), 24).expect("24 is a length")
}

fn set(n: u32) -> Arc<Attributes> {
    let mut set = Attributes::originated(Ipv4Addr::LOCALHOST);
    set.med = Some(n);
    Arc::new(set)
}

const ROOM: usize = 128 << 10;

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
        prefixes: usize,
        mut export: impl FnMut(&IpNet) -> Option<Arc<Attributes>>,
    ) -> Changes {
        let octets = ROOM;
        let limit = Limit { prefixes, octets };
        self.out.changes(limit, &self.numbers, |_, prefix, now| {
            now.extend(export(prefix).map(|set| (0, set)));
        })
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
    out.out.resend(Family::Ipv4Unicast);
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
        out.out.resend(Family::Ipv4Unicast);
    }
    for _ in 0..2 {
        let changes = out.changes(100, |_| Some(a.clone()));
        assert_eq!(changes.announced.len(), 1);
    }
    assert!(!out.out.is_pending());
    // With nothing to send the next one is no repetition.
    out.out.resend(Family::Ipv4Unicast);
    assert!(out.out.is_pending());
}

/// However much there is of another family, neither is it looked through nor told.
#[test]
fn a_refresh_of_a_family_is_no_matter_of_the_other_s_routes() {
    let a = set(1);
    let ipv6: IpNet = "2001:db8::/32".parse().expect("a prefix");
    let family = Family::Ipv6Unicast;
    for several in [Families::NONE, Families::ALL] {
        let mut out = Out::queued(&[]);
        out.out.clear(several);
        (0..100).for_each(|n| out.queue(n));
        out.changes(100, |_| Some(a.clone()));
        out.out.resend(family);
        assert!(!out.out.is_pending());
        let number = out.numbers.number(ipv6);
        out.out.queue(number);
        out.changes(100, |_| Some(a.clone()));
        assert_eq!(out.out.told.numbers_of(family).len(), 1);
        out.out.resend(family);
        let changes = out.changes(100, |_| Some(a.clone()));
        assert_eq!(changes.announced, [(a.clone(), vec![ipv6.into()])]);
        out.out.queue(number);
        out.changes(100, |_| None);
        assert_eq!(out.out.len(), 100);
        // There is a place for it still, but nothing to tell: it is not even begun.
        out.out.resend(family);
        assert!(out.out.refreshing.is_empty() && !out.out.is_pending());
    }
}

#[test]
fn what_is_renewed_is_told_once_more() {
    let a = set(1);
    let mut out = Out::queued(&[1, 2]);
    out.changes(100, |_| Some(a.clone()));
    out.out.renew(out.numbers.number(net(1)));
    assert!(!out.out.is_pending(), "until it is looked at");
    for told in [1, 0] {
        out.queue(1);
        let changes = out.changes(100, |_| Some(a.clone()));
        assert_eq!(changes.announced.len(), told);
    }
    assert_eq!(out.out.len(), 2);
}

#[test]
fn several_paths_of_a_prefix_are_told_and_withdrawn_one_by_one() {
    let (a, b) = (set(1), set(2));
    let mut out = Out::queued(&[]);
    out.out.clear(Family::Ipv4Unicast.into());
    let path = |path_id| Nlri {
        prefix: net(1),
        path_id,
    };
    let mut look = |paths: &[(u32, &Arc<Attributes>)]| {
        out.queue(1);
        let now = paths.iter().map(|&(id, set)| (id, set.clone()));
        let now: Vec<_> = now.collect();
        let Out { out, numbers } = &mut out;
        let (prefixes, octets) = (9, ROOM);
        let limit = Limit { prefixes, octets };
        let changes = out.changes(limit, numbers, |_, _, list| list.extend(now.clone()));
        (changes, out.len())
    };
    let announced = |list: &[(&Arc<Attributes>, u32)], withdrawn: &[u32]| Changes {
        announced: list
            .iter()
            .map(|&(set, id)| (set.clone(), vec![path(id)]))
            .collect(),
        withdrawn: withdrawn.iter().map(|&id| path(id)).collect(),
    };
    let both = look(&[(7, &a), (9, &b)]);
    assert_eq!(both, (announced(&[(&a, 7), (&b, 9)], &[]), 2));
    assert_eq!(look(&[(7, &a), (9, &b)]), (Changes::default(), 2));
    assert_eq!(look(&[(9, &b), (4, &a)]), (announced(&[(&a, 4)], &[7]), 2));
    assert_eq!(look(&[(9, &a)]), (announced(&[(&a, 9)], &[4]), 1));
    assert_eq!(look(&[]), (announced(&[], &[9]), 0));
}

#[test]
fn what_is_taken_up_at_once_is_as_much_as_there_is_room_to_write() {
    let long = |n: u32| {
        let mut set = Attributes::clone(&set(n));
        set.communities = (0..900).collect();
        Arc::new(set)
    };
    let taken = |of: &dyn Fn(u32) -> Arc<Attributes>| {
        let nets: Vec<u8> = (0..=255).collect();
        let (mut out, mut n) = (Out::queued(&nets), 0);
        let changes = out.changes(usize::MAX, |_| {
            n += 1;
            Some(of(n))
        });
        let taken = changes.announced.iter().map(|(_, nlri)| nlri.len());
        let taken: usize = taken.sum();
        assert_eq!(taken == nets.len(), !out.out.is_queued());
        taken
    };
    let shared = (set(1), long(1));
    assert_eq!(taken(&|_| shared.0.clone()), 256);
    assert_eq!(taken(&set), 256);
    let few = 20..40;
    assert!(few.contains(&taken(&|_| shared.1.clone())));
    assert!(few.contains(&taken(&long)));
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
