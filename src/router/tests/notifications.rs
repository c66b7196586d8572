//! The NOTIFICATIONs that a router decides on, each in the situation the table of them names (`src/bgp/notification/codes.rs`).

use std::time::Duration;

use super::bed::{end, originated, router};
use super::net::{Net, ms};
use crate::bgp::notification::Notification;
use crate::router::{
    Input, MaximumPrefixes, Originated, OriginatedAttributes, RouterConfig, SessionIndex,
};

const FIRST: SessionIndex = SessionIndex(0);

/// `b`, changed by a function, hears 2,000 routes of `a`, each with attributes of its own; then `then` happens.
fn sent(change: impl FnOnce(&mut RouterConfig), then: impl FnOnce(&mut Net)) -> Option<(u8, u8)> {
    let mut a = router("a", 64500, 1, vec![end("ab", 1, 0, 8075)]);
    a.originate = (0..2_000_u32)
        .map(|n| Originated {
            attributes: OriginatedAttributes {
                med: Some(n),
                ..OriginatedAttributes::default()
            },
            ..originated(&format!("20.{}.{}.0/24", n >> 8, n & 255))
        })
        .collect();
    let mut b = router("b", 8075, 2, vec![end("ab", 1, 1, 64500)]);
    b.sessions[0].passive = true;
    change(&mut b);
    let mut net = Net::new(vec![a, b], ms(1));
    net.start();
    net.run(Duration::from_secs(1));
    then(&mut net);
    net.run(ms(100));
    let status = net.routers[1].session_status(FIRST)?;
    let codes = |notification: &Notification| (notification.code, notification.subcode);
    status.notification_sent.map(|(_, sent)| codes(sent))
}

#[test]
fn a_router_ends_a_session_for_too_many_routes_too_much_memory_or_by_hand() {
    assert_eq!(sent(|_| {}, |_| {}), None);
    let few = |b: &mut RouterConfig| {
        b.sessions[0].maximum_prefixes = Some(MaximumPrefixes {
            limit: 1_999,
            warn_at: 100,
            warning_only: false,
            restart_after: None,
        });
    };
    assert_eq!(sent(few, |_| {}), Some((6, 1)));
    let small = |b: &mut RouterConfig| b.options.memory = 100_000;
    assert_eq!(sent(small, |_| {}), Some((6, 8)));
    let reset = |net: &mut Net| {
        let (session, reason) = (FIRST, "");
        net.input(1, Input::Reset { session, reason });
    };
    assert_eq!(sent(|_| {}, reset), Some((6, 4)));
}
