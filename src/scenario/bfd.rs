//! What a step orders of BFD sessions.

use std::fmt;

use crate::bfd::{Misbehaviour, Timers};
use crate::source::in_words;

/// What is ordered of a BFD session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BfdOrder {
    /// Go to AdminDown (RFC 5880, section 6.8.16).
    Disable,
    /// Leave AdminDown.
    Enable,
    /// Other intervals or another multiplier.
    Timers {
        /// From now on.
        timers: Timers,
        /// With a Poll Sequence, as it must be (section 6.8.3).
        poll: bool,
    },
    /// Misbehave in this way and no other; with the default behave.
    Misbehave(Misbehaviour),
}

impl fmt::Display for BfdOrder {
    /// In words, for example `sends nothing`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BfdOrder::Disable => f.write_str("disabled"),
            BfdOrder::Enable => f.write_str("enabled"),
            BfdOrder::Timers { timers, poll } => {
                let interval = in_words(timers.desired_min_tx.duration());
                let without = if *poll { "" } else { ", without a Poll" };
                write!(f, "{interval} x {}{without}", timers.detect_multiplier)
            }
            BfdOrder::Misbehave(how) => f.write_str(&misbehaviour(how)),
        }
    }
}

fn misbehaviour(how: &Misbehaviour) -> String {
    let late = (!how.delay.is_zero()).then(|| format!("packets {} late", in_words(how.delay)));
    let jitter =
        (!how.jitter.is_zero()).then(|| format!("packets up to {} late", in_words(how.jitter)));
    let pace = how
        .pace
        .map(|pace| format!("sends every {}", in_words(pace.duration())));
    let ttl = how.ttl.map(|ttl| format!("TTL {ttl}"));
    let wrong = how
        .wrong
        .map(|wrong| format!("wrong packets ({})", wrong.name()));
    let silent = how.silent.then(|| "sends nothing".to_owned());
    let all: Vec<String> = [silent, late, jitter, pace, ttl, wrong]
        .into_iter()
        .flatten()
        .collect();
    match all.is_empty() {
        true => "behaves".to_owned(),
        false => all.join(", "),
    }
}
