//! The members of LAGs: what they carried, and what befell the flows that went over each.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::traffic::Seen;
use super::{Direction, Window};
use crate::record::{Entry, Fact, MemberCounters};
use crate::time::At;

/// A member in one run, as one router counted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MemberTraffic {
    /// The router that counted.
    pub router: String,
    /// The connection.
    pub connection: String,
    /// Until the end of the run.
    #[serde(flatten)]
    pub counted: MemberCounters,
    /// The most bits a second either way, over the time between two counts.
    pub busiest: u64,
}

/// What each member carried, as each of its routers counted it.
pub fn member_traffic<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<MemberTraffic> {
    let mut members: BTreeMap<(&str, &str, u8), (At, MemberTraffic)> = BTreeMap::new();
    for entry in entries {
        let Fact::LagCounters {
            router,
            connection,
            members: counters,
        } = &entry.fact
        else {
            continue;
        };
        for counted in counters {
            let fresh = || {
                let fresh = MemberTraffic {
                    router: router.clone(),
                    connection: connection.clone(),
                    counted: *counted,
                    busiest: 0,
                };
                (entry.at, fresh)
            };
            let key = (router.as_str(), connection.as_str(), counted.member);
            let (at, member) = members.entry(key).or_insert_with(fresh);
            let before = &member.counted;
            let octets = [
                (before.sent.octets, counted.sent.octets),
                (before.received.octets, counted.received.octets),
            ];
            let most = octets.map(|(before, now)| now.saturating_sub(before));
            let rate = rate(most.into_iter().max().unwrap_or(0), entry.at.since(*at));
            member.busiest = member.busiest.max(rate);
            (*at, member.counted) = (entry.at, *counted);
        }
    }
    members.into_values().map(|(_, member)| member).collect()
}

/// Bits a second; none over less than a tenth of one, in which a burst would look like a load.
fn rate(octets: u64, over: Duration) -> u64 {
    match u64::try_from(over.as_millis()) {
        Ok(millis @ 100..) => octets.saturating_mul(8_000) / millis,
        _ => 0,
    }
}

/// A way in full: `ams-1/2`, or `internet`.
pub fn place(via: &str, member: Option<u8>) -> String {
    match member {
        Some(member) => format!("{via}/{member}"),
        None => via.to_owned(),
    }
}

/// What befell the flows of one direction that went over one member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OfMember {
    /// Flows that went over it when the window began, or first.
    pub flows: u16,
    /// Packets of its flows that were lost. One that came after a later one of its flow counts.
    pub lost: u64,
    /// Flows that went over it and took another way then.
    pub moved: u16,
}

/// What befell the flows of a direction in a window, by the member they went over at that moment; `before` is the way
/// of each when the window began. What a flow lost before anything of it was delivered was lost on `an unknown way`.
pub fn by_member<'a>(
    entries: impl IntoIterator<Item = &'a Entry> + Clone,
    direction: &Direction,
    window: Window,
    before: &BTreeMap<u16, String>,
) -> BTreeMap<String, OfMember> {
    let mut ways: BTreeMap<u16, Vec<(At, String)>> = BTreeMap::new();
    for (flow, place) in before {
        ways.insert(*flow, vec![(At::ZERO, place.clone())]);
    }
    let ours = |from, to| (from, to) == (&direction.from, &direction.to);
    for entry in entries.clone() {
        match &entry.fact {
            Fact::ProbeVia {
                from,
                to,
                flow,
                via,
                member,
            } if ours(from, to) && window.includes(entry.at) => {
                let way = ways.entry(*flow).or_default();
                way.push((entry.at, place(via, *member)));
            }
            // Other flows have these numbers from now on.
            Fact::ProbeStarted { from, to, .. } if ours(from, to) => ways.clear(),
            _ => {}
        }
    }
    let mut members: BTreeMap<String, OfMember> = BTreeMap::new();
    for way in ways.values() {
        if let Some((_, first)) = way.first() {
            members.entry(first.clone()).or_default().flows += 1;
        }
        for pair in way.windows(2).filter(|pair| pair[0].1 != pair[1].1) {
            members.entry(pair[0].1.clone()).or_default().moved += 1;
        }
    }
    for run in &Seen::of(entries, direction, window).runs {
        let way = ways.get(&run.flow).map_or(&[][..], Vec::as_slice);
        let at = way.partition_point(|(since, _)| *since <= run.first);
        let way = at.checked_sub(1).and_then(|before| way.get(before));
        let place = way.map_or("an unknown way", |(_, place)| place);
        members.entry(place.to_owned()).or_default().lost += run.count;
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{FrameCount, Nanos};

    fn at(millis: u64, fact: Fact) -> Entry {
        let at = At::from_millis(millis);
        Entry { at, fact }
    }

    fn ends() -> (String, String) {
        ("teams".to_owned(), "sbc".to_owned())
    }

    fn via(millis: u64, flow: u16, member: u8) -> Entry {
        let (from, to) = ends();
        let (via, member) = ("ams-1".to_owned(), Some(member));
        let fact = Fact::ProbeVia {
            from,
            to,
            flow,
            via,
            member,
        };
        at(millis, fact)
    }

    fn lost(millis: u64, flow: u16, sent: u64, count: u64) -> Entry {
        let (from, to) = ends();
        let fact = Fact::ProbeLost {
            from,
            to,
            flow,
            count,
            first_sent: At::from_millis(sent),
            last_sent: At::from_millis(sent + (count - 1) * 4),
            next_received: None,
        };
        at(millis, fact)
    }

    #[test]
    fn losses_belong_to_the_member_a_flow_went_over_when_they_were_sent() {
        let (from, to) = ends();
        let direction = Direction {
            from,
            to,
            every: Nanos(1_000_000),
            flows: 4,
        };
        let window = Window {
            begin: At::from_millis(100),
            end: At::from_millis(1000),
        };
        let before = [(0, "ams-1/1"), (1, "ams-1/2"), (2, "ams-1/2")];
        let before = before.map(|(flow, place)| (flow, place.to_owned())).into();
        let entries = [
            via(50, 2, 1),
            lost(200, 1, 150, 2),
            via(200, 1, 1),
            lost(300, 1, 250, 1),
            lost(400, 3, 350, 3),
            via(410, 3, 2),
            via(500, 1, 2),
        ];
        let members = by_member(&entries, &direction, window, &before);
        let of = |flows, lost, moved| OfMember { flows, lost, moved };
        let expected = [
            ("ams-1/1", of(1, 1, 1)),
            ("ams-1/2", of(3, 2, 1)),
            ("an unknown way", of(0, 3, 0)),
        ];
        let expected = expected.map(|(name, of)| (name.to_owned(), of)).into();
        assert_eq!(members, expected);
    }

    #[test]
    fn the_busiest_second_is_that_of_the_busier_way() {
        let counted = |sent, received| {
            let octets = |octets| FrameCount {
                octets,
                ..FrameCount::default()
            };
            let members = vec![MemberCounters {
                member: 1,
                sent: octets(sent),
                received: octets(received),
            }];
            let (router, connection) = ("ams-edge-1".to_owned(), "ams-1".to_owned());
            Fact::LagCounters {
                router,
                connection,
                members,
            }
        };
        let entries = [
            at(0, counted(1000, 0)),
            at(1000, counted(2000, 500)),
            at(1001, counted(50_000, 500)),
            at(3001, counted(50_000, 4500)),
        ];
        let members = member_traffic(&entries);
        assert_eq!(members.len(), 1);
        assert_eq!(members[0].busiest, 16_000);
        assert_eq!(members[0].counted.sent.octets, 50_000);
    }
}
