//! What the other end of each member was seen to do: what it said, how it kept time, how soon it was in sync.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::record::{Entry, Fact, LacpHeard, LacpRhythm, LacpSeen, Nanos};
use crate::time::At;

/// The other end of a member in one run, as one router saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LacpPartner {
    /// The router that saw it.
    pub router: String,
    /// The connection.
    pub connection: String,
    /// The member, counted from 1.
    pub member: u8,
    /// What it said last.
    pub said: Option<LacpHeard>,
    /// Its rhythm for each interval it was asked for, the longest measurement.
    pub rhythms: Vec<LacpRhythm>,
    /// The lab itself let it be heard badly at some time of the run: cables that lead to this router were impaired.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub impaired: bool,
    /// Markers sent to it.
    pub asked: u32,
    /// Markers it answered.
    pub answered: u32,
    /// Markers sent so shortly before the end that their answers may have been on the way.
    #[serde(default)]
    pub under_way: u32,
    /// The longest it took to answer one.
    pub slowest_answer: Nanos,
    /// After each light: how long until it was first heard, said that it was in sync, and that it distributed.
    pub came_up: Vec<ComingUp>,
    /// So often it began to say that it distributes before it had heard that this end collects.
    pub distributed_early: u32,
    /// Data that it sent before it was told that this end collects, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_data: Option<EarlyData>,
}

/// Data that a partner sent before it was told that this end collects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EarlyData {
    /// All frames.
    pub frames: u64,
    /// The first frame, in words.
    pub first: String,
    /// Each time, the first frame came so long before this end said that it collects; none when it did not come to that.
    pub before: Vec<Option<Nanos>>,
}

/// How a partner came up after light, each since then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ComingUp {
    /// Its first LACPDU.
    pub heard: Option<Nanos>,
    /// It said that it was in sync.
    pub in_sync: Option<Nanos>,
    /// It said that it distributed.
    pub distributing: Option<Nanos>,
    /// This end distributed.
    pub we_distribute: Option<Nanos>,
}

#[derive(Default)]
struct Walk {
    partner: LacpPartner,
    light: Option<At>,
    /// It sends data early now.
    sends: bool,
    /// When the markers were sent that are not answered.
    unanswered: Vec<At>,
}

/// Who never answered is given so much time.
const ANSWER: Duration = Duration::from_secs(1);

/// What each router saw of the other ends of its members.
pub fn lacp_partners<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<LacpPartner> {
    let mut walks: BTreeMap<(String, String, u8), Walk> = BTreeMap::new();
    let mut end = At::ZERO;
    for entry in entries {
        end = end.max(entry.at);
        let (Fact::Light {
            router,
            connection,
            member,
            ..
        }
        | Fact::Member {
            router,
            connection,
            member,
            ..
        }
        | Fact::LacpPartner {
            router,
            connection,
            member,
            ..
        }) = &entry.fact
        else {
            continue;
        };
        let key = (router.clone(), connection.clone(), *member);
        walks.entry(key).or_default().take(entry);
    }
    let heard = walks
        .into_iter()
        .filter(|(_, Walk { partner, .. })| partner.said.is_some() || partner.early_data.is_some());
    heard
        .map(|((router, connection, member), walk)| LacpPartner {
            router,
            connection,
            member,
            under_way: walk.under_way(end),
            ..walk.partner
        })
        .collect()
}

impl Walk {
    fn under_way(&self, end: At) -> u32 {
        let patience = ANSWER.max(self.partner.slowest_answer.into());
        let young = self.unanswered.iter();
        young.filter(|sent| end.since(**sent) <= patience).count() as u32
    }

    fn answered(&mut self, marker: Option<usize>, after: Nanos) {
        if let Some(marker) = marker {
            self.unanswered.remove(marker);
        }
        self.partner.answered += 1;
        self.partner.slowest_answer = self.partner.slowest_answer.max(after);
    }

    fn take(&mut self, entry: &Entry) {
        let since = self.light.map(|light| Nanos::from(entry.at.since(light)));
        let partner = &mut self.partner;
        match &entry.fact {
            Fact::Light { up, .. } => {
                self.light = up.then_some(entry.at);
                self.sends &= *up;
                if *up {
                    partner.came_up.push(ComingUp::default());
                }
            }
            Fact::Member { distributing, .. } => {
                if let Some(last) = partner.came_up.last_mut().filter(|_| *distributing) {
                    last.we_distribute = last.we_distribute.or(since);
                }
            }
            Fact::LacpPartner { seen, .. } => match seen {
                LacpSeen::Says(heard) => {
                    let early = |heard: &LacpHeard| heard.early == Some(true);
                    let before = partner.said.as_ref().is_some_and(early);
                    partner.distributed_early += u32::from(early(heard) && !before);
                    if let Some(last) = partner.came_up.last_mut() {
                        let first = |at: Option<Nanos>, is: bool| at.or(since.filter(|_| is));
                        last.heard = first(last.heard, true);
                        last.in_sync = first(last.in_sync, heard.says("in-sync"));
                        last.distributing = first(last.distributing, heard.says("distributing"));
                    }
                    partner.said = Some(heard.clone());
                }
                LacpSeen::Rhythm(rhythm) => {
                    let mut known = partner.rhythms.iter_mut();
                    match known.find(|known| known.interval == rhythm.interval) {
                        Some(known) if known.intervals <= rhythm.intervals => *known = *rhythm,
                        Some(_) => {}
                        None => partner.rhythms.push(*rhythm),
                    }
                }
                LacpSeen::MarkerSent => {
                    partner.asked += 1;
                    self.unanswered.push(entry.at);
                }
                LacpSeen::MarkerAnswered(after) => {
                    self.answered(self.unanswered.len().checked_sub(1), *after);
                }
                LacpSeen::EarlierMarkerAnswered(after) => {
                    // Entries come some µs after what they tell.
                    let far = |sent: &At| entry.at.since(*sent).abs_diff((*after).into());
                    let sent = self.unanswered.iter().enumerate();
                    let nearest = sent.min_by_key(|(_, sent)| far(sent));
                    self.answered(nearest.map(|(index, _)| index), *after);
                }
                LacpSeen::NoMarker(_) => {}
                LacpSeen::EarlyData(seen) => {
                    let data = partner.early_data.get_or_insert_default();
                    if data.before.is_empty() {
                        data.first.clone_from(&seen.first);
                    }
                    if !self.sends {
                        data.before.push(None);
                    }
                    data.frames = data.frames.saturating_add(seen.frames);
                    if let Some(last) = data.before.last_mut() {
                        *last = seen.before;
                    }
                    self.sends = seen.before.is_none();
                }
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::LacpEarlyData;

    fn at(millis: u64, fact: Fact) -> Entry {
        let at = At::from_millis(millis);
        Entry { at, fact }
    }

    fn seen(millis: u64, seen: LacpSeen) -> Entry {
        let (router, connection, member) = ("edge".to_owned(), "ams-1".to_owned(), 1);
        at(
            millis,
            Fact::LacpPartner {
                router,
                connection,
                member,
                seen,
            },
        )
    }

    fn says(millis: u64, state: &str) -> Entry {
        let heard = LacpHeard {
            system_priority: 1,
            system: String::new(),
            key: 1,
            port_priority: 1,
            port: 1,
            state: state.to_owned(),
            means_us: Some(true),
            early: Some(state.ends_with("early")),
            skipped: 0,
        };
        seen(millis, LacpSeen::Says(heard))
    }

    fn early(millis: u64, frames: u64, before: Option<Nanos>) -> Entry {
        let data = LacpEarlyData {
            frames,
            first: format!("frame at {millis}"),
            unheard: false,
            before,
        };
        seen(millis, LacpSeen::EarlyData(data))
    }

    fn light(millis: u64, up: bool) -> Entry {
        let (router, connection, member) = ("edge".to_owned(), "ams-1".to_owned(), 1);
        at(
            millis,
            Fact::Light {
                router,
                connection,
                member,
                up,
            },
        )
    }

    fn member(millis: u64, distributing: bool) -> Entry {
        at(
            millis,
            Fact::Member {
                router: "edge".to_owned(),
                connection: "ams-1".to_owned(),
                member: 1,
                receive: "CURRENT".to_owned(),
                collecting: distributing,
                distributing,
                partner: String::new(),
            },
        )
    }

    #[test]
    fn a_partner_is_summed_up() {
        let rhythm = |intervals| {
            LacpSeen::Rhythm(LacpRhythm {
                interval: Nanos(1),
                intervals,
                shortest: Nanos(1),
                median: Nanos(1),
                longest: Nanos(1),
                early: 0,
                late: 0,
            })
        };
        let entries = [
            light(10, true),
            says(11, "active"),
            says(12, "active in-sync"),
            says(14, "active in-sync collecting distributing"),
            member(15, true),
            seen(20, rhythm(2)),
            seen(30, rhythm(4)),
            seen(30, LacpSeen::MarkerSent),
            seen(31, LacpSeen::MarkerAnswered(Nanos(7))),
            seen(32, LacpSeen::MarkerSent),
            early(35, 2, None),
            early(36, 1, Some(Nanos(9))),
            early(37, 4, None),
            light(40, false),
            early(41, 1, None),
            member(40, false),
            light(50, true),
            says(52, "active in-sync collecting distributing early"),
            says(
                53,
                "active in-sync collecting distributing short-timeout early",
            ),
        ];
        let [partner] = &lacp_partners(&entries)[..] else {
            panic!("one partner");
        };
        let ms = |millis: u64| Some(Nanos(millis * 1_000_000));
        assert_eq!(partner.rhythms.len(), 1);
        assert_eq!((partner.asked, partner.answered), (2, 1));
        assert_eq!(partner.under_way, 1);
        assert_eq!(partner.slowest_answer, Nanos(7));
        let first = partner.came_up[0];
        assert_eq!((first.heard, first.in_sync), (ms(1), ms(2)));
        assert_eq!((first.distributing, first.we_distribute), (ms(4), ms(5)));
        assert_eq!(partner.came_up[1].distributing, ms(2));
        assert_eq!(partner.distributed_early, 1);
        let data = partner.early_data.as_ref().unwrap();
        assert_eq!((data.frames, &*data.first), (8, "frame at 35"));
        assert_eq!(data.before, [Some(Nanos(9)), None, None]);
    }

    #[test]
    fn answers_that_may_be_under_way_at_the_end_are_not_missing() {
        let second = 1000;
        let took = Nanos(3_000_000_000);
        let at_the_end = |end: u64| {
            let entries = [
                says(0, "active"),
                seen(second, LacpSeen::MarkerSent),
                seen(2 * second, LacpSeen::MarkerSent),
                seen(4 * second, LacpSeen::EarlierMarkerAnswered(took)),
                light(end, false),
            ];
            let [partner] = &lacp_partners(&entries)[..] else {
                panic!("one partner");
            };
            assert_eq!((partner.asked, partner.answered), (2, 1));
            partner.under_way
        };
        assert_eq!(at_the_end(5 * second), 1, "as slow as the first");
        assert_eq!(at_the_end(5 * second + 1), 0);

        let never = |end| {
            let entries = [
                says(0, "active"),
                seen(second, LacpSeen::MarkerSent),
                light(end, false),
            ];
            lacp_partners(&entries)[0].under_way
        };
        assert_eq!([never(2 * second), never(2 * second + 1)], [1, 0]);
    }

    #[test]
    fn who_speaks_no_lacp_and_sends_data_is_told_of() {
        let told = lacp_partners(&[light(1, true), early(2, 3, None)]);
        let frames = told
            .iter()
            .map(|it| it.early_data.as_ref().map(|data| data.frames));
        assert_eq!(frames.collect::<Vec<_>>(), [Some(3)]);
        assert_eq!(lacp_partners(&[light(1, true)]), []);
    }
}
