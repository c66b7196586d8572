//! What the other end of each BFD session was seen to do: what it said, how it kept time, how soon it noticed silence, and
//! whether BGP followed BFD.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::{BfdHeard, BfdRhythm, Entry, Fact, Nanos};
use crate::time::At;

/// The other end of a BFD session in one run, as one router saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BfdPartner {
    /// The router that saw it.
    pub router: String,
    /// The BGP session it guards, or the member of a LAG it is on: `ams-1/1`.
    pub session: String,
    /// What it said last.
    pub said: Option<BfdHeard>,
    /// Its rhythm for each interval that was in force, in the order of their first use.
    pub rhythms: Vec<BfdRhythm>,
    /// Polls it answered.
    pub answered: u32,
    /// The longest it took to answer one.
    pub slowest_answer: Nanos,
    /// Changes of its intervals without a Poll.
    pub unasked: u32,
    /// It asked for Demand mode (the D bit).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub demanded: bool,
    /// Its detections of our silence: how long after our last packet it told, and its Detection Time.
    pub detected: Vec<(Nanos, Nanos)>,
    /// Losses of the session at this router: how long after each its BGP session was lost; none if it was not.
    pub bgp_followed: Vec<Option<Nanos>>,
}

/// What is known of a session while its entries are read.
#[derive(Default)]
struct Walk {
    partner: BfdPartner,
    up: bool,
    established: bool,
    /// When BFD was lost, if BGP has yet to follow.
    lost: Option<At>,
}

/// What each router saw of the other ends of its BFD sessions.
pub fn bfd_partners<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<BfdPartner> {
    let mut walks: BTreeMap<(String, String), Walk> = BTreeMap::new();
    for entry in entries {
        let (router, session) = match &entry.fact {
            Fact::Bfd {
                router, connection, ..
            }
            | Fact::BfdHeard {
                router, connection, ..
            }
            | Fact::BfdRhythm {
                router, connection, ..
            }
            | Fact::BfdAnswered {
                router, connection, ..
            } => (router, connection),
            Fact::Bgp {
                router, session, ..
            } => (router, session),
            _ => continue,
        };
        let walk = walks.entry((router.clone(), session.clone()));
        walk.or_default().take(entry);
    }
    let with_bfd = walks.into_iter().filter_map(|((router, session), walk)| {
        walk.partner.said.is_some().then_some(BfdPartner {
            router,
            session,
            ..walk.partner
        })
    });
    with_bfd.collect()
}

impl Walk {
    fn take(&mut self, entry: &Entry) {
        let partner = &mut self.partner;
        match &entry.fact {
            Fact::Bfd { state, .. } => {
                if self.up && state != "up" && self.established {
                    partner.bgp_followed.push(None);
                    self.lost = Some(entry.at);
                }
                self.up = state == "up";
            }
            Fact::Bgp { state, .. } => {
                let established = state == "Established";
                if self.established
                    && !established
                    && let Some(lost) = self.lost.take()
                    && let Some(last) = partner.bgp_followed.last_mut()
                {
                    *last = Some(entry.at.since(lost).into());
                }
                self.established = established;
            }
            Fact::BfdHeard { heard, .. } => {
                partner.unasked += u32::from(heard.unasked);
                partner.demanded |= heard.demand;
                let detected = heard
                    .detected_after
                    .map(|after| (after, heard.detection_time));
                partner.detected.extend(detected);
                partner.said = Some(heard.clone());
            }
            Fact::BfdRhythm { rhythm, .. } => {
                let mut known = partner.rhythms.iter_mut();
                match known.find(|known| known.interval == rhythm.interval) {
                    // The same measurement goes on, or a longer one takes its place.
                    Some(known) if known.intervals <= rhythm.intervals => *known = *rhythm,
                    Some(_) => {}
                    None => partner.rhythms.push(*rhythm),
                }
            }
            Fact::BfdAnswered { after, .. } => {
                partner.answered += 1;
                partner.slowest_answer = partner.slowest_answer.max(*after);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64, fact: Fact) -> Entry {
        let at = At::from_millis(millis);
        Entry { at, fact }
    }

    fn names() -> (String, String) {
        ("edge".to_owned(), "ams-1".to_owned())
    }

    fn bfd(millis: u64, state: &str) -> Entry {
        let ((router, connection), state) = (names(), state.to_owned());
        let fact = Fact::Bfd {
            router,
            connection,
            state,
            diagnostic: String::new(),
            last_received: None,
            detection_time: None,
        };
        at(millis, fact)
    }

    fn bgp(millis: u64, state: &str) -> Entry {
        let ((router, session), state) = (names(), state.to_owned());
        let why = String::new();
        at(
            millis,
            Fact::Bgp {
                router,
                session,
                state,
                why,
            },
        )
    }

    fn heard(millis: u64, detected_after: Option<u64>, unasked: bool) -> Entry {
        let (router, connection) = names();
        let millis_of = |millis: u64| Nanos(millis * 1_000_000);
        let heard = BfdHeard {
            state: "up".to_owned(),
            diagnostic: String::new(),
            desired_min_tx: millis_of(150),
            required_min_rx: millis_of(150),
            multiplier: 3,
            required_min_echo_rx: Nanos(0),
            demand: false,
            control_plane_independent: false,
            authentication: None,
            unasked,
            detected_after: detected_after.map(millis_of),
            detection_time: millis_of(450),
        };
        at(
            millis,
            Fact::BfdHeard {
                router,
                connection,
                heard,
            },
        )
    }

    fn rhythm(millis: u64, interval: u64, intervals: u32) -> Entry {
        let (router, connection) = names();
        let interval = Nanos(interval);
        let rhythm = BfdRhythm {
            interval,
            intervals,
            shortest: interval,
            median: interval,
            p99: interval,
            longest: interval,
            early: 0,
            late: 0,
        };
        at(
            millis,
            Fact::BfdRhythm {
                router,
                connection,
                rhythm,
            },
        )
    }

    #[test]
    fn a_partner_is_summed_up() {
        let (router, connection) = names();
        let after = Nanos(7);
        let answered = at(
            4,
            Fact::BfdAnswered {
                router,
                connection,
                after,
            },
        );
        let entries = [
            heard(1, None, false),
            bfd(1, "up"),
            bgp(2, "Established"),
            answered,
            rhythm(10, 150, 16),
            rhythm(20, 150, 32),
            rhythm(30, 300, 16),
            rhythm(40, 150, 3),
            heard(50, None, true),
            heard(60, Some(451), false),
            bfd(60, "down"),
            bgp(64, "Idle"),
            bfd(100, "up"),
            bgp(110, "Established"),
            bfd(120, "down"),
        ];
        let partners = bfd_partners(&entries);
        assert_eq!(partners.len(), 1);
        let partner = &partners[0];
        assert_eq!(partner.detected, [(Nanos(451_000_000), Nanos(450_000_000))]);
        let intervals: Vec<u32> = partner.rhythms.iter().map(|r| r.intervals).collect();
        assert_eq!(intervals, [32, 16]);
        assert_eq!((partner.answered, partner.unasked), (1, 1));
        assert_eq!(partner.slowest_answer, Nanos(7));
        // The second loss BGP did not follow.
        assert_eq!(partner.bgp_followed, [Some(Nanos(4_000_000)), None]);
    }

    #[test]
    fn a_session_without_bgp_up_has_nothing_that_could_follow() {
        let entries = [
            heard(1, None, false),
            bfd(1, "up"),
            bfd(2, "down"),
            bgp(3, "Idle"),
        ];
        assert!(bfd_partners(&entries)[0].bgp_followed.is_empty());
        // And BGP without BFD has no partner.
        assert_eq!(bfd_partners(&[bgp(1, "Established")]), []);
    }
}
