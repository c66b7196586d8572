//! Programs a lab can use, asked for their version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Feature, Finding, Need};

/// Places that are searched after PATH: administrators' programs are not in an ordinary user's PATH.
const ALSO: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/lib/frr"];

/// Name, program, arguments that make it say its version, Debian package, what it serves.
const PROGRAMS: &[(&str, &str, &[&str], &str, &str)] = &[
    (
        "bird",
        "bird",
        &["--version"],
        "bird2",
        "play a router with BIRD",
    ),
    (
        "frr bgpd",
        "/usr/lib/frr/bgpd",
        &["--version"],
        "frr",
        "play a router with FRR",
    ),
    (
        "frr bfdd",
        "/usr/lib/frr/bfdd",
        &["--version"],
        "frr",
        "play a router with FRR and BFD",
    ),
    (
        "gobgp",
        "gobgpd",
        &["--version"],
        "gobgpd",
        "play a router with GoBGP",
    ),
    (
        "openbgpd",
        "/usr/sbin/bgpd",
        &["-V"],
        "openbgpd",
        "play a router with OpenBGPD",
    ),
    (
        "exabgp",
        "exabgp",
        &["--version"],
        "exabgp",
        "play a router with ExaBGP",
    ),
    (
        "tshark",
        "tshark",
        &["--version"],
        "tshark",
        "check frames with an independent decoder in its tests",
    ),
    (
        "iperf3",
        "iperf3",
        &["--version"],
        "iperf3",
        "measure the throughput of a LAG",
    ),
    (
        "user-mode-linux",
        "linux.uml",
        &["--version"],
        "user-mode-linux",
        "play scenarios on a kernel with bonding and netem",
    ),
];

/// Asks all programs.
pub fn programs() -> Vec<Feature> {
    PROGRAMS
        .iter()
        .map(|(name, program, arguments, package, serves)| Feature {
            name,
            need: Need::Sometimes,
            finding: ask(program, arguments),
            serves,
            remedy: format!("apt-get install {package}"),
        })
        .collect()
}

fn ask(program: &str, arguments: &[&str]) -> Finding {
    let Some(path) = find(program) else {
        return Finding::Missing("not installed".to_owned());
    };
    let output = Command::new(&path)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => {
            let words = [output.stdout, output.stderr].concat();
            let words = String::from_utf8_lossy(&words);
            match version(&words) {
                Some(version) => Finding::Present(version.to_owned()),
                None if output.status.success() => Finding::Present(String::new()),
                None => Finding::Missing(format!(
                    "{} says: {}",
                    path.display(),
                    words.lines().next().unwrap_or("nothing")
                )),
            }
        }
        Err(error) => Finding::Missing(format!("{}: {error}", path.display())),
    }
}

/// Where a program is: in PATH, or where administrators' programs are.
pub fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(ALSO.iter().map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|path| Path::is_file(path))
}

/// The first word that is a version: digits with a dot between them.
fn version(words: &str) -> Option<&str> {
    words
        .split(|c: char| c.is_whitespace() || c == ',' || c == '(')
        .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
        .map(|word| word.strip_prefix('v').unwrap_or(word))
        .find(|word| {
            word.starts_with(|c: char| c.is_ascii_digit())
                && word
                    .split_once('.')
                    .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (words, expected) in [
            ("BIRD version 2.0.12\n", "2.0.12"),
            (
                "bgpd version 8.4.4\nCopyright 1996-2005 Kunihiro Ishiguro",
                "8.4.4",
            ),
            (
                "TShark (Wireshark) 4.0.17 (Git v4.0.17 packaged as",
                "4.0.17",
            ),
            ("iperf 3.12 (cJSON 1.7.15)", "3.12"),
            ("6.1.176\n", "6.1.176"),
            ("OpenBGPD 7.7\n", "7.7"),
            ("ExaBGP : 4.2.21\nPython : 3.11", "4.2.21"),
        ] {
            assert_eq!(version(words), Some(expected), "{words}");
        }
        assert_eq!(version("usage: bgpd [-cdnv] [-D macro=value]"), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_missing() {
        let finding = ask("peerlab-no-such-program", &[]);
        assert_eq!(finding, Finding::Missing("not installed".into()));
    }
}
