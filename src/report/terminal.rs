//! A run as a person watches it: one line for each expectation, what is waited for, and a summary at the end.
//!
//! On a terminal the last line tells what is waited for and is drawn over; elsewhere only whole lines are written.
//! Colours are written as escape codes and stripped by the stream (`anstream`) where they do not belong.

mod summary;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::{Played, Report, diagnostic};
use crate::judge::{Figure, Finding, Quantity, Verdict, words};
use crate::record::{Entry, Fact, Failure};
use crate::scenario::Scenario;

/// The widest line.
const WIDTH: usize = 100;
/// Where a line's figure ends.
const FIGURE: usize = 92;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Draws a run as it goes. Errors of the stream are ignored: the report's files and the exit number remain.
#[derive(Debug)]
pub struct Terminal<W: Write> {
    out: W,
    /// The last line may be drawn over.
    live: bool,
    /// Columns.
    width: usize,
    /// A line that may be drawn over stands there.
    pending: bool,
    steps: Vec<String>,
    step: usize,
    phases: Vec<String>,
    /// Why the last finding was blocked or errored: not told again for the next one.
    told: Option<String>,
    /// A step was named, and nothing was found of it yet.
    named: Option<usize>,
}

impl Terminal<anstream::Stdout> {
    /// The standard output; plain when it is no terminal, and also when `NO_COLOR` is set: drawing over a line needs
    /// escape codes.
    pub fn stdout() -> Terminal<anstream::Stdout> {
        let stdout = std::io::stdout();
        let live = stdout.is_terminal()
            && anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        Terminal::to(anstream::stdout(), live)
    }
}

impl<W: Write> Terminal<W> {
    /// Any stream; `live` when its last line can be drawn over.
    pub fn to(out: W, live: bool) -> Terminal<W> {
        Terminal {
            out,
            live,
            width: WIDTH,
            pending: false,
            steps: Vec::new(),
            step: 0,
            phases: Vec::new(),
            told: None,
            named: None,
        }
    }

    /// A scenario begins. `binding` names the binding, if any.
    pub fn begin(&mut self, scenario: &Scenario, binding: Option<&str>) {
        self.steps = scenario.steps.iter().map(words::step).collect();
        self.step = 0;
        self.phases.clear();
        self.told = None;
        self.named = None;
        let topology = scenario.topology.file_stem().unwrap_or_default();
        let topology = topology.to_string_lossy();
        let played = binding.map_or_else(|| "simulated".to_owned(), str::to_owned);
        let name = &scenario.name;
        self.line(&format!(
            "{BOLD}{name}{BOLD:#}   {DIM}{topology}, {played}{DIM:#}"
        ));
        for line in wrapped(&scenario.summary, self.width - 2) {
            self.line(&format!("  {DIM}{line}{DIM:#}"));
        }
    }

    /// A fact came: phases, steps, and what devices say are shown.
    pub fn entry(&mut self, entry: &Entry) {
        match &entry.fact {
            Fact::Phase { phase, took } => {
                let took = words::duration(Duration::from(*took));
                self.phases.push(format!("{phase} {took}"));
                let phases = self.phases.join(" · ");
                self.progress(&phases);
            }
            Fact::StepStarted { step } => {
                self.step = *step;
                self.name_step(*step);
            }
            Fact::Device {
                router,
                event,
                text,
            } if event != "started" && event != "said" => {
                self.line(&format!("  {router} {event}: {text}"));
            }
            Fact::Event {
                event,
                subject,
                summary,
                description,
                ..
            } if event == "RequestRefused" => {
                let text = format!("refused: {subject}: {summary}: {description}");
                for line in wrapped(&text, self.width - 15) {
                    self.line(&format!("{:15}{DIM}{line}{DIM:#}", ""));
                }
            }
            Fact::Collector {
                router,
                address,
                event,
                text,
            } if event != "connected" => {
                let verb = match event.as_str() {
                    "lost" => "lost",
                    _ => "cannot reach",
                };
                self.line(&format!(
                    "  {router} {verb} its BMP collector {address}: {text}"
                ));
            }
            Fact::MonitoringMissed {
                router,
                session,
                count,
            } => self.line(&format!(
                "  {count} messages of {session} at {router} came faster than its monitoring wrote them"
            )),
            Fact::RoutesLeftOut {
                router,
                session,
                count,
            } => self.line(&format!(
                "  {count} facts of routes of {session} at {router} left out: they came faster than they were written, or were more than are kept"
            )),
            Fact::NotTold(left_out) => self.line(&format!(
                "  {} {} of {} at {} left out: they came faster than they are told",
                left_out.count, left_out.what, left_out.session, left_out.router
            )),
            Fact::AutoBackend(at) if !at.kernel => {
                let text = format!(
                    "the LAG {} at {} is ours: {}",
                    at.connection, at.router, at.why
                );
                for line in wrapped(&text, self.width - 2) {
                    self.line(&format!("  {DIM}{line}{DIM:#}"));
                }
            }
            Fact::Interrupted { signal } => self.line(&format!("  ended by {signal}")),
            Fact::Errored { text } => {
                let style = style(Verdict::Errored);
                for line in wrapped(&format!("the lab failed: {text}"), self.width - 2) {
                    self.line(&format!("  {style}{line}{style:#}"));
                }
            }
            _ => {}
        }
    }

    /// Shows what is waited for, on a terminal.
    pub fn waiting(&mut self, waiting: &[String]) {
        if self.live && !waiting.is_empty() {
            let text = format!("waiting for {}", words::list(waiting));
            self.progress(&text);
        }
    }

    /// A finding became final.
    pub fn finding(&mut self, finding: &Finding) {
        // A step that was not played was not named either.
        if finding.expectation.is_some() || finding.step != self.step {
            self.name_step(finding.step);
        }
        let style = style(finding.verdict);
        let verdict = finding.verdict.word();
        let indent = if finding.expectation.is_some() {
            17
        } else {
            15
        };
        let expected = wrapped(&finding.expected, self.width - indent - 2);
        let (figure, rest) = match finding.verdict {
            Verdict::Met => (figures(finding), None),
            _ => (String::new(), Some(&finding.observed)),
        };
        // The verdict's word is coloured, the rest of the line is not.
        let mut left = format!(
            "  {style}{verdict}{style:#}{:gap$}",
            "",
            gap = indent - 2 - verdict.len()
        );
        let last = expected.last().map_or(0, |line| line.chars().count());
        let room = FIGURE.saturating_sub(indent + last);
        let beside = figure.chars().count() + 2 <= room.max(2);
        for (n, line) in expected.iter().enumerate() {
            match n + 1 == expected.len() && beside {
                true => self.line(&format!("{left}{line}{figure:>room$}")),
                false => self.line(&format!("{left}{line}")),
            }
            left = " ".repeat(indent + 2);
        }
        if !beside && !figure.is_empty() {
            self.line(&format!("{figure:>FIGURE$}"));
        }
        let repeats = consequence(finding) && self.told.as_ref() == rest;
        self.told = rest.cloned();
        if let Some(rest) = rest.filter(|_| !repeats) {
            for line in wrapped(rest, self.width - 19) {
                self.line(&format!("{:19}{line}", ""));
            }
        }
        if finding.expectation.is_none() && !self.phases.is_empty() {
            let phases = std::mem::take(&mut self.phases);
            self.dimmed(17, &phases);
        }
    }

    /// A scenario is over: the stages after each fault, and everything that was not met drawn at its line.
    pub fn end(&mut self, played: &Played) {
        for event in &played.findings.convergence {
            self.dimmed(2, &summary::stages(event));
        }
        for partner in &played.findings.bfd {
            self.dimmed(2, &summary::bfd(partner));
        }
        for partners in summary::lacp(&played.findings.lacp) {
            self.dimmed(2, &partners);
        }
        for member in summary::bad_members(&played.findings.traffic) {
            let style = style(Verdict::Inconclusive);
            self.line(&format!("  {style}{member}{style:#}"));
        }
        for fault in &played.findings.wiring {
            let style = style(Verdict::Inconclusive);
            for line in wrapped(fault, self.width - 4) {
                self.line(&format!("  {style}{line}{style:#}"));
            }
        }
        self.ailing(played);
        let mut drawn: Vec<&str> = Vec::new();
        // Several expectations of one prefix rest on the same checks, which are drawn once.
        let mut shown: Vec<Vec<Failure>> = Vec::new();
        for finding in &played.findings.findings {
            // What follows from one cause is drawn once, where it was met first.
            if consequence(finding) {
                let follows = finding.evidence.is_empty() && finding.help.is_none();
                if follows || drawn.contains(&finding.observed.as_str()) {
                    continue;
                }
                drawn.push(&finding.observed);
            }
            let mut finding = finding.clone();
            if shown.contains(&finding.failures) {
                finding.failures.clear();
                finding.help = Some("see the checks above".to_owned());
            } else if finding.verdict != Verdict::Met && !finding.failures.is_empty() {
                shown.push(finding.failures.clone());
            }
            if let Some(diagnostic) = diagnostic(&finding, &played.source) {
                self.line("");
                let drawn = diagnostic.render(true);
                self.raw(drawn.trim_end());
            }
        }
        self.line("");
    }

    /// Prefixes that failed or warn at the end although nobody expected it.
    fn ailing(&mut self, played: &Played) {
        for prefix in played.findings.prefixes.iter().filter(|p| p.unexpected) {
            let style = style(Verdict::Inconclusive);
            let lines = wrapped(
                &format!("{} at the end", summary::prefix(prefix)),
                self.width - 4,
            );
            for (n, line) in lines.iter().enumerate() {
                let indent = if n == 0 { 2 } else { 4 };
                self.line(&format!("{:indent$}{style}{line}{style:#}", ""));
            }
        }
    }

    /// All is over: requirements, failover times, and the sum of verdicts.
    pub fn summary(&mut self, report: &Report) {
        for line in summary::lines(report, self.width) {
            self.line(&line);
        }
    }

    /// A sentence of the program itself, for example that the record could not be written.
    pub fn note(&mut self, text: &str) {
        self.line(text);
    }

    /// The stream.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn name_step(&mut self, step: usize) {
        if self.named == Some(step) {
            return;
        }
        self.named = Some(step);
        let Some(text) = self.steps.get(step).cloned() else {
            return;
        };
        // A settle is a line of its own when it is over.
        if text.starts_with("settle") {
            self.progress(&text);
        } else {
            self.line(&format!("  {:<12} {BOLD}{text}{BOLD:#}", ""));
        }
    }

    /// Items with dots between, dimmed; no item is broken.
    fn dimmed(&mut self, indent: usize, items: &[String]) {
        for line in filled(items, self.width - indent) {
            self.line(&format!("{:indent$}{DIM}{line}{DIM:#}", ""));
        }
    }

    fn progress(&mut self, text: &str) {
        if !self.live {
            return;
        }
        let text: String = text.chars().take(self.width - 4).collect();
        // Without wrapping: a narrow terminal cuts the line, which can then be drawn over.
        let _ = write!(self.out, "\r\x1b[2K\x1b[?7l  {DIM}{text}{DIM:#}\x1b[?7h");
        let _ = self.out.flush();
        self.pending = true;
    }

    fn line(&mut self, text: &str) {
        self.raw(text.trim_end());
    }

    fn raw(&mut self, text: &str) {
        if std::mem::take(&mut self.pending) {
            let _ = write!(self.out, "\r\x1b[2K");
        }
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }
}

/// The colour of a verdict.
fn style(verdict: Verdict) -> Style {
    let colour = match verdict {
        Verdict::Met => AnsiColor::Green,
        Verdict::Inconclusive | Verdict::Blocked => AnsiColor::Yellow,
        Verdict::Missed | Verdict::Errored => AnsiColor::Red,
    };
    Style::new().fg_color(Some(colour.into())).bold()
}

/// A met finding's figures, short.
fn figures(finding: &Finding) -> String {
    if matches!(finding.observed.as_str(), "already so" | "at once") {
        return finding.observed.clone();
    }
    let figures: Vec<String> = finding.figures.iter().map(figure).collect();
    figures.join(", ")
}

fn figure(figure: &Figure) -> String {
    match (figure.name.as_str(), figure.value) {
        (_, Quantity::Nanoseconds(time)) => words::duration(time.into()),
        (name, Quantity::Packets(packets)) => format!("{packets} {name}"),
    }
}

/// Whether a finding says less about the device than about why nothing could be found out.
fn consequence(finding: &Finding) -> bool {
    matches!(finding.verdict, Verdict::Blocked | Verdict::Errored)
}

/// Lines of at most `width` characters, broken between words.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    joined(text.split_whitespace(), " ", width)
}

/// Lines of at most `width` characters, broken between items.
fn filled(items: &[String], width: usize) -> Vec<String> {
    joined(items.iter().map(String::as_str), " · ", width)
}

fn joined<'a>(pieces: impl Iterator<Item = &'a str>, between: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        let room = between.chars().count() + piece.chars().count();
        match lines.last_mut() {
            Some(line) if line.chars().count() + room <= width => {
                line.push_str(between);
                line.push_str(piece);
            }
            _ => lines.push(piece.to_owned()),
        }
    }
    lines
}
