//! Min-links as a matrix: every LAG of 1 to 8 members, every min-links, every number of members with light.

use std::time::Duration;

use proptest::prelude::*;

use crate::lacp::wire::{Wire, config};

/// Two ends of so many members, of which so many must distribute; the cables are dark.
fn pair(members: u8, min_links: [u8; 2]) -> Wire {
    let [mut one, mut other] = [config(1, members), config(2, members)];
    (one.min_links, other.min_links) = (min_links[0], min_links[1]);
    Wire::pair(&one, &other)
}

/// Long enough for whatever follows from light that came or went, well below any timeout.
const SOON: Duration = Duration::from_secs(2);

fn check(wire: &Wire, lit: u8, min_links: [u8; 2], what: &str) {
    for (lag, min_links) in wire.lags.iter().zip(min_links) {
        assert_eq!(lag.distributing(), lit, "{what}");
        assert_eq!(lag.carrier(), lit >= min_links, "{what}");
    }
}

#[test]
fn a_lag_has_carrier_with_as_many_members_as_it_must_have() {
    for members in 1..=8_u8 {
        for min_links in 1..=members {
            let min_links = [min_links; 2];
            let mut wire = pair(members, min_links);
            // From none to all of them, and back.
            let up = (0..=members).map(|lit| (lit, true));
            let down = (0..members).rev().map(|lit| (lit, false));
            for (lit, rising) in up.chain(down) {
                match (lit, rising) {
                    (0, true) => {}
                    (_, true) => wire.light(usize::from(lit) - 1, true),
                    (_, false) => wire.light(usize::from(lit), false),
                }
                wire.run_for(SOON);
                let what = format!("{lit} of {members}, min-links {}", min_links[0]);
                check(&wire, lit, min_links, &what);
            }
            // It came once and went once at each end.
            assert_eq!((wire.carriers(0).len(), wire.carriers(1).len()), (2, 2));
        }
    }
}

#[test]
fn the_two_ends_may_ask_for_different_numbers() {
    for here in 1..=4 {
        for there in 1..=4 {
            let min_links = [here, there];
            let mut wire = pair(4, min_links);
            wire.light_all(true);
            for lit in (0..=4_u8).rev() {
                wire.run_for(SOON);
                check(&wire, lit, min_links, &format!("{lit} of 4, {min_links:?}"));
                if lit > 0 {
                    wire.light(usize::from(lit) - 1, false);
                }
            }
        }
    }
}

proptest! {
    /// Whichever members have light: it is their number that counts.
    #[test]
    fn any_members_will_do(
        lights in prop::collection::vec(any::<[bool; 8]>(), 1..6),
        min_links in 1..=8_u8,
    ) {
        let mut wire = pair(8, [min_links; 2]);
        let mut before = [false; 8];
        for lit in lights {
            for cable in (0..8).filter(|cable| lit[*cable] != before[*cable]) {
                wire.light(cable, lit[cable]);
            }
            before = lit;
            wire.run_for(SOON);
            let count = lit.iter().filter(|up| **up).count() as u8;
            check(&wire, count, [min_links; 2], &format!("{lit:?}, min-links {min_links}"));
        }
    }
}
