//! Cables that carry, but badly: what `[[impair]]` of a topology and the step `impair` of a scenario say, in the same words.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::Connection;
use crate::source::{
    Bandwidth, Duration as RawDuration, Located, Mistakes, Names, Share, Span, in_words,
};

/// The longest delay.
const DELAY_LONGEST: Duration = Duration::from_secs(10);

/// Cables that are impaired, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impaired {
    /// Connections.
    pub connections: Vec<String>,
    /// Of the one connection this member alone, counted from 1.
    pub member: Option<u8>,
    /// Which way.
    pub towards: Towards,
    /// How.
    pub how: Impairment,
}

/// A direction of a cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Towards {
    /// What Microsoft receives.
    Microsoft,
    /// What the peer receives.
    Peer,
    /// Both directions, each by itself. The default.
    #[default]
    Both,
}

/// What a direction of a cable does to frames; the default does nothing to any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Impairment {
    /// Frames that are lost.
    pub loss: Share,
    /// Frames that arrive twice.
    pub duplication: Share,
    /// Frames that are not delayed, and so overtake others.
    pub reordering: Share,
    /// Frames of which one bit is flipped.
    pub corruption: Share,
    /// How much later frames arrive.
    pub delay: Duration,
    /// How far the delay of each frame differs from it at most, evenly spread; never more than the delay.
    pub jitter: Duration,
    /// How many Mbit/s pass; frames beyond it wait a moment and then are lost.
    pub rate_mbps: Option<u32>,
}

/// Cables that carry, but badly. What was said of a direction before is replaced.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("oneOf" = ["connection", "member"].map(|cable| json!({ "required": [cable] }))))]
pub(crate) struct RawImpaired {
    /// A connection, a list of them, or "all": every member by itself.
    pub connection: Option<Located<Names>>,
    /// One member, counted from 1: "ams-1/1".
    pub member: Option<Located<String>>,
    /// What "microsoft" receives, or the "peer"; "both" if not given.
    pub towards: Option<Towards>,
    /// Frames that are lost, for example "10%".
    pub loss: Option<Located<Share>>,
    /// Frames that arrive twice (needs netem).
    pub duplication: Option<Located<Share>>,
    /// Frames that are not delayed, and so overtake others (needs netem, and a delay).
    pub reordering: Option<Located<Share>>,
    /// Frames of which one bit is flipped (needs netem).
    pub corruption: Option<Located<Share>>,
    /// How much later frames arrive: at most "10s" (needs netem).
    pub delay: Option<Located<RawDuration>>,
    /// How far the delay of each frame differs from it at most; never more than the delay (needs netem).
    pub jitter: Option<Located<RawDuration>>,
    /// How much passes, for example "10Mbps"; frames beyond it wait a moment and then are lost.
    pub rate: Option<Located<Bandwidth>>,
}

impl Impaired {
    /// What a table says of these connections and members; `None` after a mistake.
    pub(crate) fn of(
        raw: &Located<RawImpaired>,
        connections: &[Connection],
        members: &[String],
        mistakes: &mut Mistakes,
    ) -> Option<Impaired> {
        let (at, raw) = (raw.span, &raw.value);
        let keys = [
            ("connection", raw.connection.is_some()),
            ("member", raw.member.is_some()),
        ];
        let message = "connections are impaired, or one member";
        let target = mistakes.exactly_one(at, &keys, message, "nothing is impaired here");
        let how = Impairment::of(raw, at, mistakes);
        if !target {
            return None;
        }
        let all = || connections.iter().map(|connection| connection.name.clone());
        let (connections, member) = match (&raw.connection, &raw.member) {
            (Some(names), _) if names.value == Names::One("all".to_owned()) => {
                (all().collect(), None)
            }
            (Some(names), _) => {
                let valid: Vec<String> = all().collect();
                (mistakes.several(names, "connection", &valid)?, None)
            }
            (None, name) => {
                let name = name.as_ref()?;
                if !mistakes.known(name, "member", members.iter().map(String::as_str)) {
                    return None;
                }
                let (connection, member) = name.value.split_once('/')?;
                (vec![connection.to_owned()], Some(member.parse().ok()?))
            }
        };
        Some(Impaired {
            connections,
            member,
            towards: raw.towards.unwrap_or_default(),
            how: how?,
        })
    }

    /// The cables as a file writes them: `ams-1, ams-2` or `ams-1/1`.
    pub fn cables(&self) -> String {
        let member = self.member.map(|member| format!("/{member}"));
        format!(
            "{}{}",
            self.connections.join(", "),
            member.unwrap_or_default()
        )
    }
}

/// The members there are, as a file writes them.
pub(super) fn members_of(connections: &[Connection]) -> Vec<String> {
    let members = connections.iter().flat_map(|connection| {
        (1..=connection.members.len()).map(|n| format!("{}/{n}", connection.name))
    });
    members.collect()
}

/// A member such as `ams-1/1`.
pub(super) fn of_member(
    name: &Located<String>,
    connections: &[Connection],
    mistakes: &mut Mistakes,
) -> Option<(String, u8)> {
    let valid = members_of(connections);
    if !mistakes.known(name, "member", valid.iter().map(String::as_str)) {
        return None;
    }
    let (connection, member) = name.value.split_once('/')?;
    Some((connection.to_owned(), member.parse().ok()?))
}

impl Impairment {
    fn of(raw: &RawImpaired, at: Span, mistakes: &mut Mistakes) -> Option<Impairment> {
        let share = |given: Option<Located<Share>>| given.map(|given| given.value);
        let time = |given: Option<Located<RawDuration>>| given.map(|given| given.value.0);
        let how = Impairment {
            loss: share(raw.loss).unwrap_or_default(),
            duplication: share(raw.duplication).unwrap_or_default(),
            reordering: share(raw.reordering).unwrap_or_default(),
            corruption: share(raw.corruption).unwrap_or_default(),
            delay: time(raw.delay).unwrap_or_default(),
            jitter: time(raw.jitter).unwrap_or_default(),
            rate_mbps: raw.rate.map(|rate| rate.value.0),
        };
        let mut good = true;
        let mut wrong = |span: Span, message: String, label: &str, help: &str| {
            let diagnostic = mistakes.error(span, message, label);
            mistakes.push(diagnostic.help(help));
            good = false;
        };
        if let Some(delay) = raw.delay.filter(|_| how.delay > DELAY_LONGEST) {
            let message = format!("a delay of {} is not possible", in_words(how.delay));
            let longest = format!("at most {}", in_words(DELAY_LONGEST));
            wrong(
                delay.span,
                message,
                &longest,
                "to lose everything, break it: `fail`",
            );
        }
        if let Some(jitter) = raw.jitter.filter(|_| how.jitter > how.delay) {
            let message = match how.delay.is_zero() {
                true => "a jitter without a delay".to_owned(),
                false => format!(
                    "the jitter is longer than the delay {}",
                    in_words(how.delay)
                ),
            };
            let help = format!("add `delay = \"{}\"`, or more", in_words(how.jitter));
            wrong(
                jitter.span,
                message,
                "no frame arrives before it was sent",
                &help,
            );
        }
        if let Some(reordering) = raw
            .reordering
            .filter(|_| how.delay.is_zero() && !how.reordering.is_zero())
        {
            let message = "reordering without a delay".to_owned();
            let label = "frames that are not delayed overtake those that are";
            wrong(reordering.span, message, label, "add `delay = \"10ms\"`");
        }
        if how == Impairment::default() && good && !mistakes.is_struck(at, None) {
            let diagnostic = mistakes.error(at, "nothing is impaired here", "");
            mistakes.push(diagnostic.note(
                "one or more of `loss`, `duplication`, `reordering`, `corruption`, `delay`, `jitter`, `rate`",
            ));
            return None;
        }
        good.then_some(how)
    }

    /// The queueing disciplines that the kernel must have for it: a rate takes tbf (tc-tbf(8)), loss none, the rest netem
    /// (tc-netem(8)).
    pub fn needs(&self) -> impl Iterator<Item = &'static str> {
        let without_netem = Impairment {
            loss: self.loss,
            rate_mbps: self.rate_mbps,
            ..Impairment::default()
        };
        let netem = (*self != without_netem).then_some("netem");
        let tbf = self.rate_mbps.map(|_| "tbf");
        netem.into_iter().chain(tbf)
    }
}

impl fmt::Display for Impairment {
    /// In words, for example `10% lost, 20ms late ± 5ms, 10Mbps`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share =
            |share: Share, what: &str| (!share.is_zero()).then(|| format!("{share} {what}"));
        let jitter = (!self.jitter.is_zero()).then(|| format!(" ± {}", in_words(self.jitter)));
        let late = (!self.delay.is_zero()).then(|| {
            let jitter = jitter.unwrap_or_default();
            format!("{} late{jitter}", in_words(self.delay))
        });
        let rate = self.rate_mbps.map(|mbps| Bandwidth(mbps).to_string());
        let all = [
            share(self.loss, "lost"),
            share(self.duplication, "twice"),
            share(self.reordering, "reordered"),
            share(self.corruption, "corrupted"),
            late,
            rate,
        ];
        let all: Vec<String> = all.into_iter().flatten().collect();
        f.write_str(&all.join(", "))
    }
}

impl fmt::Display for Impaired {
    /// In words, for example `ams-1 towards the peer: 10% lost`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let towards = match self.towards {
            Towards::Microsoft => " towards Microsoft",
            Towards::Peer => " towards the peer",
            Towards::Both => "",
        };
        write!(f, "{}{towards}: {}", self.cables(), self.how)
    }
}
