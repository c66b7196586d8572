//! `peerlab doctor`: what this machine can do, what each missing thing means, and how to get it.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::kernel::enter::enter;
use crate::kernel::feature::{Feature, Finding, Need, attempt, neighbours, program};

/// Tries everything and prints it; returns the exit number: 0, or 3 when no lab can be built here.
///
/// Must be called before any thread is started: the kernel's features are tried inside namespaces of our own.
pub fn doctor() -> u8 {
    let programs = program::programs();
    let neighbours = neighbours::neighbours();
    let entered = enter();
    let mut features = vec![attempt::namespaces(&entered)];
    if let Ok(entered) = entered {
        entered.signals.release();
        features.extend(attempt::kernel());
    }
    features.push(neighbours);
    features.extend(programs);
    // A closed pipe is the reader's wish.
    let _ = print(&features, &mut anstream::stdout());
    if features.iter().any(stops_labs) {
        3
    } else {
        0
    }
}

fn stops_labs(feature: &Feature) -> bool {
    feature.need == Need::Always && !feature.is_present()
}

/// Writes one line for each feature, and what follows from what is missing.
pub fn print(features: &[Feature], out: &mut impl Write) -> io::Result<()> {
    let width = features.iter().map(|feature| feature.name.len()).max();
    let width = width.unwrap_or(0);
    let green = AnsiColor::Green.on_default();
    let (red, yellow) = (
        AnsiColor::Red.on_default().bold(),
        AnsiColor::Yellow.on_default(),
    );
    let dim = Style::new().dimmed();
    for feature in features {
        let Feature {
            name,
            need,
            finding,
            serves,
            remedy,
        } = feature;
        match finding {
            Finding::Present(detail) => {
                let line = format!("{name:width$}  {green}yes{green:#}  {detail}");
                writeln!(out, "  {}", line.trim_end())?;
            }
            Finding::Missing(reason) => {
                let (colour, without) = match need {
                    Need::Always => (red, "no lab can be built: peerlab cannot"),
                    Need::Sometimes => (yellow, "without it peerlab cannot"),
                };
                writeln!(out, "  {name:width$}  {colour}no{colour:#}   {reason}")?;
                let indent = " ".repeat(width + 9);
                writeln!(out, "{indent}{without} {serves}")?;
                writeln!(out, "{indent}{dim}to get it: {remedy}{dim:#}")?;
            }
        }
    }
    let stopping: Vec<&str> = features
        .iter()
        .filter(|feature| stops_labs(feature))
        .map(|feature| feature.name)
        .collect();
    if stopping.is_empty() {
        writeln!(out, "\n{green}Labs can be built on this machine.{green:#}")
    } else {
        let names = stopping.join(", ");
        writeln!(
            out,
            "\n{red}No lab can be built on this machine: {names} missing.{red:#}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(name: &'static str, need: Need, finding: Finding) -> Feature {
        Feature {
            name,
            need,
            finding,
            serves: "make cables",
            remedy: "modprobe veth".into(),
        }
    }

    fn text(features: &[Feature]) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        print(features, &mut out).expect("a vector takes everything");
        String::from_utf8(out.into_inner()).expect("text")
    }

    #[test]
    fn what_is_missing_says_what_it_means_and_how_to_get_it() {
        let bird = feature("bird", Need::Sometimes, Finding::Present("2.0.12".into()));
        let netem = feature("netem", Need::Sometimes, Finding::Missing("unknown".into()));
        insta::assert_snapshot!(text(&[bird, netem]), @r"
          bird   yes  2.0.12
          netem  no   unknown
                      without it peerlab cannot make cables
                      to get it: modprobe veth

        Labs can be built on this machine.
        ");
    }

    #[test]
    fn a_machine_without_veth_builds_no_lab() {
        let veth = feature(
            "veth",
            Need::Always,
            Finding::Missing("Unknown device type".into()),
        );
        assert!(text(&[veth]).ends_with("No lab can be built on this machine: veth missing.\n"));
    }
}
