//! What a step orders of BFD sessions.

use crate::bfd::{Misbehaviour, Order};
use crate::source::in_words;

/// What is ordered of a BFD session, in words: for example `sends nothing`.
pub fn bfd_order(order: Order) -> String {
    match order {
        Order::Disable => "disabled".to_owned(),
        Order::Enable => "enabled".to_owned(),
        Order::Timers { change, poll } => {
            let interval = change.desired_min_tx.map(|it| in_words(it.duration()));
            let multiplier = change.detect_multiplier;
            let timers = match (interval, multiplier) {
                (Some(interval), Some(multiplier)) => format!("{interval} x {multiplier}"),
                (Some(interval), None) => format!("interval {interval}"),
                (None, Some(multiplier)) => format!("multiplier {multiplier}"),
                (None, None) => "the same timers".to_owned(),
            };
            timers + if poll { "" } else { ", without a Poll" }
        }
        Order::Misbehave(how) => misbehaviour(&how),
    }
}

fn misbehaviour(how: &Misbehaviour) -> String {
    let [delay, latest] = [how.delay, how.delay + how.jitter].map(in_words);
    let late = match (how.delay.is_zero(), how.jitter.is_zero()) {
        (true, true) => None,
        (false, true) => Some(format!("packets {delay} late")),
        (true, false) => Some(format!("packets up to {latest} late")),
        (false, false) => Some(format!("packets {delay} to {latest} late")),
    };
    let pace = how
        .pace
        .map(|pace| format!("sends every {}", in_words(pace.duration())));
    let ttl = how.ttl.map(|ttl| format!("TTL {ttl}"));
    let wrong = how
        .wrong
        .map(|wrong| format!("wrong packets ({})", wrong.name()));
    let silent = how.silent.then(|| "sends nothing".to_owned());
    let demand = how.demand.then(|| "asks for Demand mode".to_owned());
    let all: Vec<String> = [silent, late, pace, ttl, wrong, demand]
        .into_iter()
        .flatten()
        .collect();
    match all.is_empty() {
        true => "behaves".to_owned(),
        false => all.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn how_late_packets_are() {
        let order = |delay, jitter| {
            bfd_order(Order::Misbehave(Misbehaviour {
                delay: Duration::from_millis(delay),
                jitter: Duration::from_millis(jitter),
                ..Misbehaviour::default()
            }))
        };
        assert_eq!(order(0, 0), "behaves");
        assert_eq!(order(50, 0), "packets 50ms late");
        assert_eq!(order(0, 20), "packets up to 20ms late");
        assert_eq!(order(50, 20), "packets 50ms to 70ms late");
    }
}
