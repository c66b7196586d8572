//! What is expected of traffic over cables that carry badly.

use std::time::Duration;

use super::raw::RawExpect;
use crate::source::{Located, Mistakes, Share, in_words, list};

/// Bounds for what each direction of traffic suffers in a step; the default bounds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quality {
    /// At least this share of what was sent is lost.
    pub loss_at_least: Option<Share>,
    /// At most this share of what was sent is lost.
    pub loss_at_most: Option<Share>,
    /// The slowest packet takes at least so long.
    pub delay_at_least: Option<Duration>,
    /// The slowest packet takes at most so long.
    pub delay_at_most: Option<Duration>,
    /// At least this share of what was sent arrives twice.
    pub duplicated_at_least: Option<Share>,
    /// At least this share of what was sent arrives after a later packet of its flow.
    pub reordered_at_least: Option<Share>,
}

/// The members to whose flows a disturbance of traffic is confined; the default confines nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Confined {
    /// Only flows that went over these, for example `ams-1/2`, lose packets.
    pub lost_only_on: Option<Vec<String>>,
    /// Only flows that went over these take another way.
    pub moved_only_from: Option<Vec<String>>,
}

impl Confined {
    /// In words, each by itself.
    pub fn words(&self) -> Vec<String> {
        let words = |what: &str, members: &Option<Vec<String>>| {
            let members = members.as_ref()?.iter().map(String::as_str);
            Some(format!("{what} {}", list(members)))
        };
        let all = [
            words("lost only on", &self.lost_only_on),
            words("moved only from", &self.moved_only_from),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Quality {
    pub(super) fn of(raw: &RawExpect, mistakes: &mut Mistakes) -> Quality {
        let share = |given: Option<Located<Share>>| given.map(|given| given.value);
        let quality = Quality {
            loss_at_least: share(raw.loss_at_least),
            loss_at_most: share(raw.loss_at_most),
            delay_at_least: raw.delay_at_least.map(|time| time.value.0),
            delay_at_most: raw.delay_at_most.map(|time| time.value.0),
            duplicated_at_least: share(raw.duplicated_at_least),
            reordered_at_least: share(raw.reordered_at_least),
        };
        let Quality {
            loss_at_least,
            loss_at_most,
            delay_at_least,
            delay_at_most,
            ..
        } = quality;
        let loss = raw
            .loss_at_most
            .filter(|_| loss_at_least.is_some() && loss_at_least > loss_at_most);
        let delay = raw
            .delay_at_most
            .filter(|_| delay_at_least.is_some() && delay_at_least > delay_at_most);
        let spans = [loss.map(|loss| loss.span), delay.map(|delay| delay.span)];
        for span in spans.into_iter().flatten() {
            let message = "nothing can be at least this much and at most that";
            mistakes.push(mistakes.error(span, message, "less than the least"));
        }
        quality
    }

    /// Whether loss is expected, so that nobody waits for its end.
    pub fn bounds_loss(&self) -> bool {
        self.loss_at_least.is_some() || self.loss_at_most.is_some()
    }

    /// In words, each bound by itself, for example `at least 8% lost`.
    pub fn words(&self) -> Vec<String> {
        let share = |at: &str, share: Option<Share>, what: &str| {
            share.map(|share| format!("{at} {share} {what}"))
        };
        let time = |at: &str, time: Option<Duration>| {
            time.map(|time| format!("slowest {at} {}", in_words(time)))
        };
        let all = [
            share("at least", self.loss_at_least, "lost"),
            share("at most", self.loss_at_most, "lost"),
            time("at least", self.delay_at_least),
            time("at most", self.delay_at_most),
            share("at least", self.duplicated_at_least, "twice"),
            share("at least", self.reordered_at_least, "reordered"),
        ];
        all.into_iter().flatten().collect()
    }
}
