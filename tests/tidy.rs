//! Keeps the rooms in order: who may import whom, who must stay pure, headers and lengths of files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import. A room that is not listed here does not exist.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("source", &[]),
    ("lacp", &["time"]),
    ("bfd", &["time"]),
    ("bgp", &["time"]),
    ("record", &["time"]),
    ("registry", &["bgp", "kernel", "source", "time"]),
    ("policy", &["bgp", "source"]),
    (
        "topology",
        &["bfd", "bgp", "source", "plan", "policy", "registry"],
    ),
    ("binding", &["source", "topology"]),
    ("conformance", &[]),
    (
        "scenario",
        &[
            "bfd",
            "bgp",
            "lacp",
            "source",
            "topology",
            "binding",
            "conformance",
            "plan",
            "provider",
            "registry",
        ],
    ),
    ("plan", &["topology"]),
    (
        "provider",
        &[
            "bgp", "plan", "policy", "record", "registry", "source", "time", "topology",
        ],
    ),
    (
        "routes",
        &["bgp", "provider", "record", "source", "time", "topology"],
    ),
    ("kernel", &["plan", "record", "time"]),
    ("router", &["bgp", "kernel", "record", "time"]),
    ("monitor", &["bgp", "router"]),
    ("line", &["lacp", "bfd", "kernel", "record", "time"]),
    ("device", &["binding", "kernel", "record", "source"]),
    ("probe", &["kernel", "record", "time"]),
    (
        "lab",
        &[
            "bfd", "bgp", "binding", "device", "kernel", "lacp", "line", "monitor", "plan",
            "probe", "provider", "record", "registry", "router", "scenario", "source", "time",
            "topology",
        ],
    ),
    ("measure", &["record", "time", "topology"]),
    (
        "judge",
        &[
            "bgp", "measure", "provider", "record", "scenario", "source", "time", "topology",
        ],
    ),
    (
        "report",
        &[
            "conformance",
            "judge",
            "measure",
            "record",
            "scenario",
            "source",
        ],
    ),
    (
        "run",
        &[
            "binding", "device", "judge", "kernel", "lab", "record", "registry", "scenario", "time",
        ],
    ),
    (
        "view",
        &[
            "bfd", "bgp", "lacp", "line", "record", "router", "time", "topology",
        ],
    ),
    (
        "kept",
        &[
            "bgp", "binding", "kernel", "lab", "line", "record", "router", "source", "time",
            "topology", "view",
        ],
    ),
    (
        "cli",
        &[
            "device", "binding", "judge", "kept", "kernel", "lab", "plan", "provider", "record",
            "registry", "report", "routes", "run", "scenario", "source", "time", "topology",
            "view",
        ],
    ),
];

/// Rooms that talk to nobody: the protocols, and everything after the record.
const PURE: &[&str] = &[
    "lacp",
    "bfd",
    "bgp",
    "policy",
    "registry",
    "router",
    "monitor",
    "plan",
    "provider",
    "routes",
    "measure",
    "judge",
    "conformance",
    "view",
];
/// The I/O of otherwise pure rooms.
const DRIVERS: &[&str] = &[
    "src/router/driver",
    "src/registry/files",
    "src/registry/live",
    "src/registry/service",
    "src/registry/rtr/driver",
    "src/registry/irr_live/driver",
];
/// Words a pure file must not contain.
const IMPURE: &[&str] = &[
    "std::time::Instant",
    "Instant::now",
    "SystemTime",
    "clock_gettime",
    "std::fs",
    "std::env",
    "std::thread",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "tokio::",
    "socket2::",
    "nix::",
    "libc::",
    "println!",
];
const LONGEST: usize = 600;

fn files() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join("src"), root.join("tests"), root.join("benches")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                // Where cargo-fuzz builds.
                if !path.ends_with("fuzz/target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                let path = path.strip_prefix(root).expect("below the root").to_owned();
                found.push((path, text));
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "found only {} source files", found.len());
    found
}

/// The room of a file below `src/`; `None` for `lib.rs`, `main.rs` and tests.
fn room(path: &Path) -> Option<String> {
    let below = path.strip_prefix("src").ok()?;
    let first = below.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib" && name != "main").then(|| name.to_owned())
}

fn is_test(path: &Path) -> bool {
    path.starts_with("tests")
        || path.components().any(|part| part.as_os_str() == "tests")
        || path.ends_with("tests.rs")
}

/// Code without comment lines.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Rooms named in a line as `crate::ROOM` or `crate::{ROOM, ROOM}`.
fn imports(line: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let after = line.split("crate::").skip(1);
    let names = after.flat_map(|rest| match rest.strip_prefix('{') {
        Some(several) => several.split(',').map(|one| word(one.trim())).collect(),
        None => vec![word(rest)],
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// Every import of one room from another: where, who, whom.
fn all_imports() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (path, text) in files() {
        let Some(room) = room(&path) else { continue };
        if is_test(&path) {
            continue;
        }
        for (number, line) in code(&text) {
            for import in imports(line) {
                let is_room = MAY_IMPORT.iter().any(|(name, _)| *name == import);
                if is_room && import != room {
                    let place = format!("{}:{number}", path.display());
                    found.push((place, room.clone(), import));
                }
            }
        }
    }
    found
}

#[test]
fn rooms_import_only_what_they_may() {
    let mut wrong = Vec::new();
    for (place, room, import) in all_imports() {
        match MAY_IMPORT.iter().find(|(name, _)| *name == room) {
            Some((_, allowed)) if allowed.contains(&import.as_str()) => {}
            Some(_) => wrong.push(format!("{place}: {room} must not import {import}")),
            None => wrong.push(format!(
                "{place}: room {room} is not in the table of tests/tidy.rs"
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_permits_nothing_that_nobody_uses() {
    let used: BTreeSet<(String, String)> = all_imports()
        .into_iter()
        .map(|(_, room, import)| (room, import))
        .collect();
    let idle: Vec<String> = MAY_IMPORT
        .iter()
        .flat_map(|(room, allowed)| allowed.iter().map(move |import| (room, import)))
        .filter(|(room, import)| !used.contains(&(room.to_string(), import.to_string())))
        .map(|(room, import)| format!("{room} may import {import}, but does not"))
        .collect();
    assert!(idle.is_empty(), "{}", idle.join("\n"));
}

#[test]
fn pure_rooms_do_no_io() {
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let Some(room) = room(&path) else { continue };
        let driver = DRIVERS
            .iter()
            .any(|driver| path.to_string_lossy().starts_with(driver));
        if !PURE.contains(&room.as_str()) || driver || is_test(&path) {
            continue;
        }
        for (number, line) in code(&text) {
            if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                wrong.push(format!(
                    "{}:{number}: {room} is pure, but has `{word}`",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_kernel_room_is_unsafe_and_only_time_reads_the_clock() {
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let Some(room) = room(&path) else { continue };
        for (number, line) in code(&text) {
            if room != "kernel" && line.contains("unsafe ") {
                wrong.push(format!(
                    "{}:{number}: `unsafe` belongs into the kernel room",
                    path.display()
                ));
            }
            let reads = ["Instant::now", "SystemTime::now", "clock_gettime"];
            if room != "time" && !is_test(&path) && reads.iter().any(|word| line.contains(word)) {
                wrong.push(format!(
                    "{}:{number}: only src/time.rs reads the clock",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    let mut wrong = Vec::new();
    for (path, text) in files() {
        if !text.starts_with("//!") {
            wrong.push(format!("{}: no `//!` header", path.display()));
        }
        let lines = text.lines().count();
        if lines > LONGEST {
            wrong.push(format!(
                "{}: {lines} lines, more than {LONGEST}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_has_an_invariant() {
    let mut wrong = Vec::new();
    for (name, _) in MAY_IMPORT {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let folder = root.join(name).join("mod.rs");
        let file = root.join(format!("{name}.rs"));
        let text = fs::read_to_string(&folder).or_else(|_| fs::read_to_string(&file));
        match text {
            Ok(text) if text.contains("**Invariant") => {}
            Ok(_) => wrong.push(format!("{name}: no **Invariant** in its header")),
            Err(_) => wrong.push(format!("{name}: in the table, but not in src")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_test_sleeps() {
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let sleep = concat!("thread::", "sleep");
        for (number, line) in code(&text) {
            if line.contains(sleep) {
                wrong.push(format!(
                    "{}:{number}: wait for an event with a deadline instead",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
