//! Stories of a prefix: what is received, and the events it makes.

use std::path::PathBuf;

use super::*;
use crate::provider::names;
use crate::source::Source;
use crate::topology;

const PREFIX: &str = "198.51.100.0/24";

struct Story {
    events: Events,
    observed: Observed,
}

impl Story {
    /// A prefix under a service with primary `amsterdam`.
    fn new(backup: Option<&str>) -> Story {
        let mut story = Story::unwatched();
        let prefix = PREFIX.parse().expect("a prefix");
        let facts = story
            .events
            .watch(prefix, "amsterdam", backup, &story.observed);
        assert!(facts.is_empty());
        story
    }

    fn unwatched() -> Story {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("topologies");
        let path = folder.join("two-metros.toml");
        let text = std::fs::read_to_string(&path).expect("a topology of this repository");
        let topology = topology::parse(&Source::new(path, text)).expect("it is right");
        Story {
            events: Events::default(),
            observed: Observed::new(&topology),
        }
    }

    /// `ams-1 64500` announces, `ams-1 -` withdraws, `ams-1 !64500 {1,2}` comes with an AS_SET; what that tells.
    fn tell(&mut self, told: &str) -> Vec<String> {
        let (session, path) = told.split_once(' ').expect("a session and a path");
        let (router, session) = (
            self.observed
                .connection(session)
                .expect("a connection")
                .edge
                .clone(),
            session.to_owned(),
        );
        let prefix = PREFIX.parse().expect("a prefix");
        let fact = match (path, path.strip_prefix('!')) {
            ("-", _) => Fact::RouteWithdrawn {
                router,
                session,
                prefix,
                why: String::new(),
            },
            (_, Some(path)) => Fact::RouteRefused {
                router,
                session,
                prefix,
                as_path: path.into(),
                communities: crate::record::Common::default(),
                reason: "as-set".to_owned(),
            },
            (path, None) => Fact::RouteReceived {
                router,
                session,
                prefix,
                as_path: path.into(),
                communities: crate::record::Common::default(),
                med: None,
            },
        };
        match self.observed.apply(&fact) {
            Some(change) => lines(&self.events.changed(&self.observed, &change)),
            None => Vec::new(),
        }
    }
}

fn lines(facts: &[Fact]) -> Vec<String> {
    let line = |fact: &Fact| match fact {
        Fact::Event {
            event,
            level,
            subject,
            description,
            ..
        } => {
            assert_eq!(subject, PREFIX);
            assert!(names::EVENTS.contains(&event.as_str()) && !description.is_empty());
            format!("{event} {level}")
        }
        other => panic!("no event: {other:?}"),
    };
    facts.iter().map(line).collect()
}

const ANNOUNCED: &str = "PrefixAnnouncementEvent Information";
const WITHDRAWN: &str = "PrefixWithdrawalEvent Warning";
const PATH: &str = "PrefixActivePath Information";
const ORIGIN: &str = "PrefixOriginAsChangeEvent Critical";
const BACKUP_ANNOUNCED: &str = "PrefixBackupRouteAnnouncementEvent Information";
const BACKUP_WITHDRAWN: &str = "PrefixBackupRouteWithdrawalEvent Warning";
const BACKUP_PATH: &str = "PrefixBackupPath Information";
const BACKUP_ORIGIN: &str = "PrefixBackupRouteOriginAsChangeEvent Error";

#[test]
fn table() {
    let none: &[&str] = &[];
    let stories: &[&[(&str, &[&str])]] = &[
        // Every session tells, and the path changes with each.
        &[
            ("ams-1 64500", &[ANNOUNCED, PATH]),
            ("ams-1 64500", none),
            ("ams-2 64500", &[ANNOUNCED, PATH]),
            ("ams-2 -", &[WITHDRAWN, PATH]),
            ("ams-2 -", none),
            ("ams-1 -", &[WITHDRAWN]),
            ("ams-1 64500", &[ANNOUNCED, PATH]),
        ],
        // The backup location has events of its own.
        &[
            ("fra-1 64500", &[BACKUP_ANNOUNCED, BACKUP_PATH]),
            ("fra-2 64500", &[BACKUP_ANNOUNCED, BACKUP_PATH]),
            ("fra-1 -", &[BACKUP_WITHDRAWN, BACKUP_PATH]),
            ("fra-2 -", &[BACKUP_WITHDRAWN]),
        ],
        // A longer path beside the best changes nothing; instead of the best it does.
        &[
            ("ams-1 64500", &[ANNOUNCED, PATH]),
            ("ams-2 64501 64500", &[ANNOUNCED]),
            ("ams-2 64502 64500", none),
            ("ams-1 -", &[WITHDRAWN, PATH]),
            ("ams-2 64503 64500", &[PATH]),
        ],
        // The origin, across a withdrawal, in the other session, and in the backup location.
        &[
            ("ams-1 64500", &[ANNOUNCED, PATH]),
            ("ams-1 64500 64501", &[ORIGIN, PATH]),
            ("ams-1 -", &[WITHDRAWN]),
            ("ams-1 64500 64501", &[ANNOUNCED, PATH]),
            ("ams-1 -", &[WITHDRAWN]),
            ("ams-1 64500", &[ANNOUNCED, ORIGIN, PATH]),
            ("ams-2 64501", &[ANNOUNCED, ORIGIN, PATH]),
            ("ams-2 64501", none),
            (
                "fra-1 64501",
                &[BACKUP_ANNOUNCED, BACKUP_ORIGIN, BACKUP_PATH],
            ),
            ("fra-1 64500", &[BACKUP_ORIGIN, BACKUP_PATH]),
        ],
        // A route with an AS_SET is treated as withdrawn (RFC 9774).
        &[
            ("ams-1 !64500 {64501,64502}", none),
            ("ams-1 64500", &[ANNOUNCED, PATH]),
            ("ams-1 !64500 {64501,64502}", &[WITHDRAWN]),
        ],
    ];
    for story in stories {
        let mut told = Story::new(Some("frankfurt"));
        for (happening, events) in *story {
            assert_eq!(told.tell(happening), *events, "{happening} in {story:?}");
        }
    }
}

#[test]
fn without_a_backup_other_locations_tell_nothing() {
    let mut story = Story::new(None);
    assert!(story.tell("fra-1 64500").is_empty());
    assert!(story.tell("fra-1 -").is_empty());
    // Nor do they say what the origin is.
    assert_eq!(story.tell("ams-1 64501"), [ANNOUNCED, PATH]);
}

#[test]
fn only_watched_prefixes_have_events() {
    let mut story = Story::unwatched();
    assert!(story.tell("ams-1 64500").is_empty());
    assert!(story.tell("fra-1 64501").is_empty());
    let prefix = PREFIX.parse().expect("a prefix");
    let facts = story
        .events
        .watch(prefix, "amsterdam", Some("frankfurt"), &story.observed);
    assert_eq!(lines(&facts), [PATH, BACKUP_PATH], "what is there already");
    assert_eq!(story.tell("ams-1 64501"), [ORIGIN, PATH]);
    assert!(
        story
            .events
            .changed(&story.observed, &Change::Link(0))
            .is_empty()
    );
    story.events.forget(prefix);
    assert!(story.tell("ams-1 -").is_empty());
}
