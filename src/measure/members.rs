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
/// of each when the window began.
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
    for entry in entries.clone() {
        if let Fact::ProbeVia {
            from,
            to,
            flow,
            via,
            member,
        } = &entry.fact
            && (from, to) == (&direction.from, &direction.to)
            && window.includes(entry.at)
        {
            let way = ways.entry(*flow).or_default();
            way.push((entry.at, place(via, *member)));
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
        // A flow of which nothing was delivered before took its first way then.
        let at = way.partition_point(|(since, _)| *since <= run.first);
        let way = way.get(at.saturating_sub(1));
        let place = way.map_or("an unknown way", |(_, place)| place);
        members.entry(place.to_owned()).or_default().lost += run.count;
    }
    members
}
