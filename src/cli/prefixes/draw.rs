//! The report of `peerlab prefixes` for people.

use std::collections::BTreeSet;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::Report;
use crate::provider::reason::REGISTRY_NOT_CONFIGURED;
use crate::record::{Failure, Severity};
use crate::report::wrapped;
use crate::routes::judge::{Judged, Outcome, Verdict};

/// The widest line.
const WIDTH: usize = 100;
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Draws a report. Colours are stripped by the stream where they do not belong.
pub fn draw(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let name = &report.topology;
    let counted = match report.prefixes.len() {
        1 => "1 prefix".to_owned(),
        more => format!("{more} prefixes"),
    };
    writeln!(out, "{BOLD}{name}{BOLD:#}   {DIM}{counted}{DIM:#}")?;
    let connections = report.connections.iter().map(|received| {
        let name = &received.connection;
        match received.routes {
            None => format!("{name} not known"),
            Some(1) => format!("{name} 1 route"),
            Some(routes) => format!("{name} {routes} routes"),
        }
    });
    dimmed(out, 2, &connections.collect::<Vec<_>>().join(" · "))?;
    let registries = report.registries.iter().map(|asked| match &asked.lost {
        None => format!("{} {}", asked.registry, asked.source),
        Some(why) => format!("{} {} ({why})", asked.registry, asked.source),
    });
    match report.registries.is_empty() {
        true => dimmed(out, 2, "the topology names no registry")?,
        false => dimmed(out, 2, &registries.collect::<Vec<_>>().join(" · "))?,
    }
    let checks: BTreeSet<&str> = report.prefixes.iter().flat_map(unasked).collect();
    let checks: Vec<&str> = checks.into_iter().collect();
    let unasked = format!(
        "not checked, as no registry is named for it: {}",
        checks.join(", ")
    );
    let unasked = (!checks.is_empty()).then_some(unasked);
    for note in report.notes.iter().cloned().chain(unasked) {
        let yellow = AnsiColor::Yellow.on_default();
        for (number, line) in wrapped(&note, WIDTH - 8).iter().enumerate() {
            match number {
                0 => writeln!(out, "  {yellow}note{yellow:#}  {line}")?,
                _ => writeln!(out, "        {line}")?,
            }
        }
    }
    for judged in &report.prefixes {
        writeln!(out)?;
        draw_prefix(judged, out)?;
    }
    summary(report, out)
}

fn draw_prefix(judged: &Judged, out: &mut impl Write) -> io::Result<()> {
    let Judged {
        prefix,
        registered,
        service,
    } = judged;
    let what = format!("registered with {}", registered.parent);
    draw_outcome(prefix, &what, registered, &[], out)?;
    if let Some(service) = service {
        let what = format!("activated under {}", service.parent);
        draw_outcome(prefix, &what, service, &registered.failures, out)?;
    }
    Ok(())
}

/// The checks of a prefix that no registry was named for, which are told once for all prefixes.
fn unasked(judged: &Judged) -> impl Iterator<Item = &str> {
    let outcomes = [Some(&judged.registered), judged.service.as_ref()];
    let failures = outcomes
        .into_iter()
        .flatten()
        .flat_map(|outcome| &outcome.failures);
    failures
        .filter(|failure| is_unasked(failure))
        .map(|failure| failure.check.as_str())
}

fn is_unasked(failure: &Failure) -> bool {
    failure.reason == REGISTRY_NOT_CONFIGURED
}

fn draw_outcome(
    prefix: &str,
    what: &str,
    outcome: &Outcome,
    told: &[Failure],
    out: &mut impl Write,
) -> io::Result<()> {
    let style = style(outcome.verdict());
    let state = &outcome.state;
    let gap = 10_usize.saturating_sub(state.len());
    let key = outcome
        .key
        .as_ref()
        .map(|key| format!("   {DIM}key {key}{DIM:#}"));
    let key = key.unwrap_or_default();
    writeln!(
        out,
        "  {style}{state}{style:#}{:gap$}{prefix:<18}  {what}{key}",
        ""
    )?;
    if let Some(message) = &outcome.message {
        let heading = &message.heading;
        let whose = match message.documented {
            true => "the portal shows",
            false => "no text is documented; here",
        };
        writeln!(out, "{:12}{DIM}{whose}:{DIM:#} {BOLD}{heading}{BOLD:#}", "")?;
        for line in wrapped(&message.text, WIDTH - 14) {
            writeln!(out, "{:14}{line}", "")?;
        }
    }
    for failure in outcome
        .failures
        .iter()
        .filter(|failure| !is_unasked(failure))
    {
        let same = |other: &Failure| {
            (&other.reason, &other.text, other.severity)
                == (&failure.reason, &failure.text, failure.severity)
        };
        draw_failure(failure, told.iter().any(same), out)?;
    }
    Ok(())
}

/// A failure; one that was told of the same prefix before in its first line only.
fn draw_failure(failure: &Failure, told: bool, out: &mut impl Write) -> io::Result<()> {
    let (word, colour) = match failure.severity {
        Severity::Fail => ("fails", AnsiColor::Red),
        Severity::Warn => ("warns", AnsiColor::Yellow),
        Severity::Unchecked => ("unchecked", AnsiColor::Yellow),
    };
    let colour = colour.on_default();
    let Failure {
        reason,
        check,
        text,
        evidence,
        nearest,
        remedy,
        config,
        connection,
        ..
    } = failure;
    let gap = 10_usize.saturating_sub(word.len());
    let mut more = check.clone();
    let words = connection.iter().map(String::as_str);
    for word in words.chain(told.then_some("as above")) {
        more.push_str("  ");
        more.push_str(word);
    }
    writeln!(
        out,
        "    {colour}{word}{colour:#}{:gap$}{BOLD}{reason}{BOLD:#}  {DIM}{more}{DIM:#}",
        ""
    )?;
    if told {
        return Ok(());
    }
    said(out, "", text)?;
    for seen in evidence {
        said(out, "seen", seen)?;
    }
    if let Some(nearest) = nearest {
        said(out, "passes", nearest)?;
    }
    said(out, "remedy", remedy)?;
    for line in config {
        writeln!(out, "{:24}{line}", "")?;
    }
    Ok(())
}

/// A sentence behind a dimmed word.
fn said(out: &mut impl Write, word: &str, text: &str) -> io::Result<()> {
    for (number, line) in wrapped(text, WIDTH - 22).iter().enumerate() {
        let word = if number == 0 { word } else { "" };
        writeln!(out, "{:14}{DIM}{word:<8}{DIM:#}{line}", "")?;
    }
    Ok(())
}

fn summary(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let count = |verdict| {
        report
            .prefixes
            .iter()
            .filter(|judged| judged.verdict() == verdict)
            .count()
    };
    let parts = [Verdict::Failed, Verdict::Undecided, Verdict::Verified].map(|verdict| {
        let style = style(verdict);
        let word = match verdict {
            Verdict::Failed => "failed",
            Verdict::Undecided => "undecided",
            Verdict::Verified => "verified",
        };
        let count = count(verdict);
        (count > 0).then(|| format!("{style}{count} {word}{style:#}"))
    });
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => writeln!(
            out,
            "\nno prefix was judged: the topology has no endpoint; use --prefix or --all"
        ),
        false => writeln!(out, "\n{}", parts.join(", ")),
    }
}

fn dimmed(out: &mut impl Write, indent: usize, text: &str) -> io::Result<()> {
    for line in wrapped(text, WIDTH - indent) {
        writeln!(out, "{:indent$}{DIM}{line}{DIM:#}", "")?;
    }
    Ok(())
}

fn style(verdict: Verdict) -> Style {
    let colour = match verdict {
        Verdict::Verified => AnsiColor::Green,
        Verdict::Undecided => AnsiColor::Yellow,
        Verdict::Failed => AnsiColor::Red,
    };
    Style::new().fg_color(Some(colour.into())).bold()
}
