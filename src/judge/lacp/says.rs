//! What the partner of a member says of itself, against what it shall say.

use std::time::Duration;

use crate::judge::state::MemberView;
use crate::judge::words;
use crate::record::{LacpEarlyData, LacpHeard, Nanos};
use crate::scenario::LacpSays;

/// The first thing that is otherwise, as the predicate of a sentence about the partner.
pub(super) fn differs(wanted: &LacpSays, view: Option<&MemberView>) -> Option<String> {
    if *wanted == LacpSays::default() {
        return None;
    }
    let Some((view, heard)) = view.and_then(|view| Some((view, view.heard.as_ref()?))) else {
        let data = view.and_then(|view| view.early_data.as_ref());
        let data = data.map(|data| format!(", and {}", forwarded(data)));
        return Some(format!("is not heard{}", data.unwrap_or_default()));
    };
    let in_sync = || in_sync(wanted.in_sync_within?, view);
    let early = || early(wanted.distributes_early?, view, heard);
    said(wanted, heard).or_else(in_sync).or_else(early)
}

fn said(wanted: &LacpSays, heard: &LacpHeard) -> Option<String> {
    let unlike = |bit, wanted: Option<bool>| wanted.is_some_and(|it| it != heard.says(bit));
    let word = |bit, yes: &'static str, no| if heard.says(bit) { yes } else { no };
    if unlike("active", wanted.active) {
        return Some(format!("is {}", word("active", "active", "passive")));
    }
    if unlike("short-timeout", wanted.short_timeout) {
        let is = word("short-timeout", "short", "long");
        return Some(format!("says that its timeout is {is}"));
    }
    let system = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
    if (wanted.system).is_some_and(|mac| system(mac) != heard.system) {
        return Some(format!("says system {}", heard.system));
    }
    if wanted.key.is_some_and(|key| key != heard.key) {
        return Some(format!("says key {}", heard.key));
    }
    let other_port = wanted.port.is_some_and(|port| port != heard.port);
    other_port.then(|| format!("says port {}", heard.port))
}

fn in_sync(limit: Duration, view: &MemberView) -> Option<String> {
    let Some(after) = view.in_sync.map(Duration::from) else {
        return Some("was never in sync since light came".to_owned());
    };
    (after > limit).then(|| format!("was in sync {} after light came", words::duration(after)))
}

fn early(wanted: bool, view: &MemberView, heard: &LacpHeard) -> Option<String> {
    match (wanted, &view.early_data) {
        (true, Some(_)) => return None,
        (false, Some(data)) => return Some(forwarded(data)),
        (_, None) => {}
    }
    let is = match (view.early, heard.early) {
        (true, _) if wanted => return None,
        (true, _) => "said that it distributes before it had heard that this end collects",
        (false, None) => "did not show whether it distributes early: this end is the kernel's bond",
        (false, Some(_)) if !wanted => return None,
        (false, Some(_)) => {
            "did not say that it distributes before it had heard that this end collects, nor sent data"
        }
    };
    Some(is.to_owned())
}

/// Data that came early, as the predicate of a sentence about the partner.
fn forwarded(data: &LacpEarlyData) -> String {
    early_data(data.frames, &[data.before], &data.first)
}

/// Data that came early once or several times, each so long before this end said that it collects, as the predicate of a sentence
/// about the partner.
pub fn early_data(frames: u64, before: &[Option<Nanos>], first: &str) -> String {
    let forwarded = format!("forwarded {}", words::counted(frames, "data frame"));
    let (times, when) = match before {
        [_] => (String::new(), "the first"),
        _ => (format!(", {} times", before.len()), "up to"),
    };
    let longest = before.iter().flatten().max();
    let when = match longest {
        Some(longest) => {
            let longest = words::duration((*longest).into());
            format!(", {when} {longest} before this end said that it collects")
        }
        None => ", while this end did not say that it collects".to_owned(),
    };
    format!("{forwarded}{times}{when} ({first})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(state: &str, early: Option<bool>) -> LacpHeard {
        LacpHeard {
            system_priority: 1,
            system: "02:00:00:00:00:01".to_owned(),
            key: 7,
            port_priority: 1,
            port: 3,
            state: state.to_owned(),
            means_us: Some(true),
            early,
            skipped: 0,
        }
    }

    fn wanted(says: impl Fn(&mut LacpSays)) -> LacpSays {
        let mut wanted = LacpSays::default();
        says(&mut wanted);
        wanted
    }

    #[test]
    fn each_thing_that_is_said_otherwise_is_told() {
        let mut view = MemberView::default();
        let said = |says: &LacpSays, view: &MemberView| differs(says, Some(view));
        let active = wanted(|it| it.active = Some(true));
        assert_eq!(differs(&LacpSays::default(), None), None);
        assert_eq!(said(&active, &view).as_deref(), Some("is not heard"));
        view.heard = Some(heard("active in-sync", Some(false)));
        view.in_sync = Some(Nanos(1_500_000_000));
        let all_as_said = LacpSays {
            active: Some(true),
            short_timeout: Some(false),
            system: Some([2, 0, 0, 0, 0, 1]),
            key: Some(7),
            port: Some(3),
            in_sync_within: Some(Duration::from_millis(1500)),
            distributes_early: Some(false),
        };
        assert_eq!(said(&all_as_said, &view), None);
        let early = |early| wanted(|it| it.distributes_early = Some(early));
        let otherwise = [
            (wanted(|it| it.active = Some(false)), "is active"),
            (
                wanted(|it| it.short_timeout = Some(true)),
                "says that its timeout is long",
            ),
            (
                wanted(|it| it.system = Some([2, 0, 0, 0, 0, 9])),
                "says system 02:00:00:00:00:01",
            ),
            (wanted(|it| it.key = Some(8)), "says key 7"),
            (wanted(|it| it.port = Some(8)), "says port 3"),
            (
                wanted(|it| it.in_sync_within = Some(Duration::from_secs(1))),
                "was in sync 1.5 s after light came",
            ),
            (
                early(true),
                "did not say that it distributes before it had heard that this end collects, nor sent data",
            ),
        ];
        for (wanted, is) in otherwise {
            assert_eq!(said(&wanted, &view).as_deref(), Some(is));
        }
        view.in_sync = None;
        let never = wanted(|it| it.in_sync_within = Some(Duration::MAX));
        let is = "was never in sync since light came";
        assert_eq!(said(&never, &view).as_deref(), Some(is));
        view.heard = Some(heard("active", None));
        let is = "did not show whether it distributes early: this end is the kernel's bond";
        assert_eq!(said(&early(false), &view).as_deref(), Some(is));
        view.early = true;
        assert_eq!(said(&early(true), &view), None);
        let is = "said that it distributes before it had heard that this end collects";
        assert_eq!(said(&early(false), &view).as_deref(), Some(is));
        view.early = false;
        let data = |frames, before| LacpEarlyData {
            frames,
            first: "ARP".to_owned(),
            unheard: true,
            before,
        };
        view.early_data = Some(data(2, Some(Nanos(7_000_000))));
        assert_eq!(said(&early(true), &view), None);
        let is =
            "forwarded 2 data frames, the first 7 ms before this end said that it collects (ARP)";
        assert_eq!(said(&early(false), &view).as_deref(), Some(is));
        view.early_data = Some(data(1, None));
        let is = "forwarded 1 data frame, while this end did not say that it collects (ARP)";
        assert_eq!(said(&early(false), &view).as_deref(), Some(is));
        view.heard = None;
        assert_eq!(
            said(&early(false), &view).as_deref(),
            Some(&*format!("is not heard, and {is}"))
        );
    }

    #[test]
    fn data_that_came_early_several_times_is_told_in_one() {
        let before = [Some(Nanos(1_000_000)), None, Some(Nanos(20_000_000))];
        assert_eq!(
            early_data(5, &before, "ARP"),
            "forwarded 5 data frames, 3 times, up to 20 ms before this end said that it collects (ARP)"
        );
    }
}
