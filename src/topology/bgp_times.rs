//! The times of a BGP session, and the choices that RFCs leave to it: keys of the same tables as those of `bgp.rs`.

use std::time::Duration;

use super::bgp::RawBgp;
use crate::bgp::family::Families;
use crate::bgp::session::{Options, Timers};
use crate::source::{Duration as RawDuration, Located, Mistakes, in_words};

/// A shorter time between attempts would leave no time for anything else.
const SHORTEST: Duration = Duration::from_millis(10);
const SECOND: Duration = Duration::from_secs(1);
/// As long as the neighbour may wait for an OPEN (RFC 4271, section 8.2.2, suggests so).
const DELAY_LONGEST: Duration = Duration::from_secs(240);

/// These times, where the file does not say otherwise.
pub(super) fn timers(default: Timers, raw: &Located<RawBgp>, mistakes: &mut Mistakes) -> Timers {
    let given = &raw.value;
    let mut at_least = |least, key, what, default| at_least(least, key, what, default, mistakes);
    let timers = Timers {
        keepalive: value(given.keepalive, default.keepalive),
        hold: value(given.hold, default.hold),
        connect_retry: at_least(
            SHORTEST,
            given.connect_retry,
            "connect retry time",
            default.connect_retry,
        ),
        connect_delay: value(given.connect_delay, default.connect_delay),
        idle_hold: at_least(
            SHORTEST,
            given.idle_hold,
            "idle hold time",
            default.idle_hold,
        ),
        open_hold: at_least(SECOND, given.open_hold, "open hold time", default.open_hold),
        send_hold: given.send_hold.map(|key| key.value.0).or(default.send_hold),
    };
    hold(&timers, raw, mistakes);
    keepalive(&timers, raw, mistakes);
    send_hold(&timers, given, mistakes);
    timers
}

/// What the session chooses, where the file does not say otherwise.
pub(super) fn options(default: Options, raw: &RawBgp, mistakes: &mut Mistakes) -> Options {
    if let Some(key) = raw.delay_open
        && key.value.0 > DELAY_LONGEST
    {
        let message = format!("nobody waits {} for an OPEN", in_words(key.value.0));
        let label = format!("at most {}", in_words(DELAY_LONGEST));
        let diagnostic = mistakes.error(key.span, message, label);
        mistakes
            .push(diagnostic.note("RFC 4271, section 8.2.2: a hold time of 4 minutes in OpenSent"));
    }
    Options {
        delay_open: match raw.delay_open {
            Some(key) => Some(key.value.0).filter(|delay| !delay.is_zero()),
            None => default.delay_open,
        },
        damp_peer_oscillations: or(raw.damp_peer_oscillations, default.damp_peer_oscillations),
        collision_detect_established: or(
            raw.collision_detect_established,
            default.collision_detect_established,
        ),
        minimum_hold: value(raw.minimum_hold, default.minimum_hold),
        required_families: match raw.require_families {
            Some(key) if key.value => Families::ALL,
            Some(_) => Families::NONE,
            None => default.required_families,
        },
        require_role: or(raw.require_role, default.require_role),
        bfd_hold: at_least(
            SECOND,
            raw.bfd_hold,
            "BFD hold time",
            default.bfd_hold,
            mistakes,
        ),
        bfd_check_control_plane: or(raw.bfd_check_control_plane, default.bfd_check_control_plane),
    }
}

/// A least hold time that none can have, or that nobody can offer.
pub(super) fn minimum_hold(timers: &Timers, raw: &RawBgp, mistakes: &mut Mistakes) {
    let Some(key) = raw.minimum_hold else {
        return;
    };
    let least = key.value.0;
    if !is_hold_time(least) {
        let message = format!("a least hold time of {} is not possible", in_words(least));
        let label = "whole seconds, 3s to 65535s, or 0s for any";
        let diagnostic = mistakes.error(key.span, message, label);
        mistakes.push(diagnostic.note("RFC 4271, section 4.2"));
    } else if least > timers.hold {
        let message = format!(
            "a least hold time of {} refuses everybody: this end proposes {}",
            in_words(least),
            in_words(timers.hold)
        );
        let label = "not longer than `hold`";
        let diagnostic = mistakes.error(key.span, message, label);
        mistakes.push(diagnostic.note("RFC 4271, section 4.2: the shorter one of both counts"));
    }
}

/// Off, or what an OPEN can tell (RFC 4271, section 4.2).
fn is_hold_time(time: Duration) -> bool {
    let seconds = time.as_secs();
    time.subsec_nanos() == 0 && (seconds == 0 || (3..=65_535).contains(&seconds))
}

fn hold(timers: &Timers, raw: &Located<RawBgp>, mistakes: &mut Mistakes) {
    if let Some(hold) = raw.value.hold
        && !is_hold_time(timers.hold)
    {
        let message = format!("a hold time of {} is not possible", in_words(timers.hold));
        let label = "whole seconds, 3s to 65535s, or 0s for none";
        let diagnostic = mistakes.error(hold.span, message, label);
        mistakes.push(diagnostic.note("RFC 4271, section 4.2"));
    }
}

fn keepalive(timers: &Timers, raw: &Located<RawBgp>, mistakes: &mut Mistakes) {
    if timers.hold.is_zero() {
        if let Some(keepalive) = raw.value.keepalive {
            let message = "without a hold time nothing is kept alive";
            let diagnostic = mistakes.error(keepalive.span, message, "of no use");
            mistakes.push(diagnostic.note("RFC 4271, section 4.4"));
        }
    } else if timers.keepalive.is_zero() || timers.keepalive >= timers.hold {
        let span = raw.value.keepalive.map_or(raw.span, |key| key.span);
        let message = format!(
            "the keepalive time of {} does not keep a hold time of {} alive",
            in_words(timers.keepalive),
            in_words(timers.hold)
        );
        let label = "shorter than the hold time, and not zero";
        let diagnostic = mistakes.error(span, message, label);
        let note = "RFC 4271, section 10, suggests a third of the hold time";
        mistakes.push(diagnostic.note(note));
    }
}

/// A send hold time would count as another one, or not at all.
fn send_hold(timers: &Timers, raw: &RawBgp, mistakes: &mut Mistakes) {
    let Some(key) = raw.send_hold.filter(|key| !key.value.0.is_zero()) else {
        return;
    };
    let time = in_words(key.value.0);
    let (message, label) = if timers.hold.is_zero() {
        let message = "without a hold time there is no send hold time".to_owned();
        (message, "of no use")
    } else if key.value.0 <= timers.hold {
        let hold = in_words(timers.hold);
        let message =
            format!("a send hold time of {time} is not longer than the hold time of {hold}");
        (message, "longer than the hold time, or 0s for none")
    } else {
        return;
    };
    let diagnostic = mistakes.error(key.span, message, label);
    mistakes.push(diagnostic.note("RFC 9687, sections 4.4 and 6"));
}

/// A time that must not be too short.
fn at_least(
    least: Duration,
    key: Option<Located<RawDuration>>,
    what: &str,
    default: Duration,
    mistakes: &mut Mistakes,
) -> Duration {
    if let Some(key) = key
        && key.value.0 < least
    {
        let message = format!("{} is no {what}", in_words(key.value.0));
        let label = format!("at least {}", in_words(least));
        mistakes.push(mistakes.error(key.span, message, label));
    }
    value(key, default)
}

fn value(key: Option<Located<RawDuration>>, default: Duration) -> Duration {
    key.map_or(default, |key| key.value.0)
}

/// A key, or what counts without it.
pub(super) fn or<T: Copy>(key: Option<Located<T>>, default: T) -> T {
    key.map_or(default, |key| key.value)
}
