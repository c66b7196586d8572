//! What the other end of each BFD session was seen to do: what it said, how it kept time, how soon it noticed silence, and
//! whether BGP followed BFD.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::record::{BfdDiscarded, BfdHeard, BfdRhythm, Entry, Fact, Nanos};
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
    /// The lab itself let it be heard badly at some time of the run: cables that lead to this router were impaired.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub impaired: bool,
    /// Polls it answered.
    pub answered: u32,
    /// The longest it took to answer one.
    pub slowest_answer: Nanos,
    /// Changes of its intervals without a Poll.
    pub unasked: u32,
    /// It asked for Demand mode (the D bit).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub demanded: bool,
    /// Why packets of it were discarded, each reason once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discarded: Vec<String>,
    /// Its detections of our silence: how long after our last packet it told, and its Detection Time.
    pub detected: Vec<(Nanos, Nanos)>,
    /// Losses of the session at this router, unless an end disabled it, of which nothing follows (RFC 5882, section 4.2): how long
    /// after each its BGP session was lost for it; none if it was not.
    pub bgp_followed: Vec<Option<Nanos>>,
}

/// What is known of a session while its entries are read.
#[derive(Default)]
struct Walk {
    partner: BfdPartner,
    up: bool,
    established: bool,
    /// When BFD was lost, where BGP has yet to follow: the last losses. A session may be back before BGP has followed.
    lost: Vec<At>,
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
            }
            | Fact::BfdDiscarded(BfdDiscarded {
                router, connection, ..
            }) => (router, connection),
            Fact::Bgp {
                router, session, ..
            } => (router, session),
            _ => continue,
        };
        let walk = walks.entry((router.clone(), session.clone()));
        walk.or_default().take(entry);
    }
    let with_bfd = walks.into_iter().filter_map(|((router, session), walk)| {
        let seen = walk.partner.said.is_some() || !walk.partner.discarded.is_empty();
        seen.then_some(BfdPartner {
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
                let said = partner.said.as_ref();
                let disabled =
                    state == "admin-down" || said.is_some_and(|it| it.state == "admin-down");
                if self.up && state != "up" && self.established && !disabled {
                    partner.bgp_followed.push(None);
                    self.lost.push(entry.at);
                }
                self.up = state == "up";
            }
            Fact::Bgp { state, why, .. } => {
                let established = state == "Established";
                if self.established && !established {
                    let last = partner.bgp_followed.iter_mut().rev();
                    for (followed, lost) in last.zip(self.lost.drain(..).rev()) {
                        let after = entry.at.since(lost);
                        *followed = follows(why, after).then(|| after.into());
                    }
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
            Fact::BfdDiscarded(BfdDiscarded { why, .. }) if !partner.discarded.contains(why) => {
                partner.discarded.push(why.clone());
            }
            _ => {}
        }
    }
}

/// So soon after a loss of BFD a Cease that says no more is taken to be for it.
const FOLLOWS: Duration = Duration::from_secs(1);

/// Whether BGP was lost for BFD, so long after it: an end's own BFD was down, or the other end's. Who does not know RFC 9384 does
/// not tell why it ceases.
fn follows(why: &str, after: Duration) -> bool {
    why.contains("BFD down") || (why == "received Cease" && after <= FOLLOWS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BfdDiscardReason;

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
        let why = if state == "Established" {
            ""
        } else {
            "BFD down"
        };
        bgp_for(millis, state, why)
    }

    fn bgp_for(millis: u64, state: &str, why: &str) -> Entry {
        let ((router, session), state) = (names(), state.to_owned());
        let why = why.to_owned();
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
            unasked,
            detected_after: detected_after.map(millis_of),
            detection_time: millis_of(450),
            ..BfdHeard::saying("up")
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

    /// Who is disabled says so, and what of it is discarded is told, though nothing else is known of it.
    #[test]
    fn bgp_has_not_to_follow_where_an_end_is_disabled() {
        let mut admin_down = heard(4, None, false);
        if let Fact::BfdHeard { heard, .. } = &mut admin_down.fact {
            heard.state = "admin-down".to_owned();
        }
        let entries = [
            heard(1, None, false),
            bfd(1, "up"),
            bgp(2, "Established"),
            bfd(3, "admin-down"),
            bfd(4, "up"),
            admin_down,
            bfd(4, "down"),
        ];
        assert!(bfd_partners(&entries)[0].bgp_followed.is_empty());
    }

    #[test]
    fn why_packets_were_discarded_is_known_of_a_session_that_never_came_up() {
        let discarded = |millis, why: &str| {
            let (router, connection) = names();
            let other = (BfdDiscardReason::Other, why);
            at(millis, BfdDiscarded::of(&router, &connection, other))
        };
        let (ttl, digest) = ("TTL is too low", "authentication digest is wrong");
        let entries = [discarded(1, ttl), discarded(2, digest), discarded(3, ttl)];
        let partners = bfd_partners(&entries);
        assert_eq!(partners[0].discarded, [ttl, digest]);
        assert_eq!(partners[0].said, None);
    }

    #[test]
    fn bgp_follows_several_losses_at_once() {
        let entries = [
            heard(1, None, false),
            bfd(1, "up"),
            bgp(2, "Established"),
            bfd(10, "down"),
            bfd(11, "up"),
            bfd(12, "down"),
            bgp(13, "Idle"),
        ];
        let followed = &bfd_partners(&entries)[0].bgp_followed;
        assert_eq!(*followed, [Some(Nanos(3_000_000)), Some(Nanos(1_000_000))]);
    }

    /// What BGP was lost for minutes later is nothing that BFD did.
    #[test]
    fn bgp_that_is_lost_for_another_reason_does_not_follow() {
        let after = |millis: u64| Some(Nanos(millis * 1_000_000));
        for (why, lost_at, followed) in [
            ("received Cease/administrative shutdown", 13, None),
            ("hold timer expired", 13, None),
            ("received Cease/BFD down", 13, after(3)),
            ("BFD down", 13, after(3)),
            // BIRD does not say why; that it comes at once does.
            ("received Cease", 13, after(3)),
            ("received Cease", 1011, None),
            ("BFD down", 1011, after(1001)),
        ] {
            let entries = [
                heard(1, None, false),
                bfd(1, "up"),
                bgp(2, "Established"),
                bfd(10, "down"),
                bgp_for(lost_at, "Idle", why),
                bfd(2000, "up"),
                bgp(2001, "Established"),
                bfd(2010, "down"),
                bgp(2013, "Idle"),
            ];
            let partner = &bfd_partners(&entries)[0];
            assert_eq!(partner.bgp_followed, [followed, after(3)], "{why}");
        }
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
