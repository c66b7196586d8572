//! A run as a person watches it: one line for each expectation, what is waited for, and a summary at the end.
//!
//! On a terminal the last line tells what is waited for and is drawn over; elsewhere only whole lines are written.
//! Colours are written as escape codes and stripped by the stream (`anstream`) where they do not belong.

mod summary;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::{Played, Report, diagnostic};
use crate::judge::{Figure, Finding, Judge, Quantity, Verdict, words};
use crate::record::{Entry, Fact};
use crate::scenario::Scenario;
use crate::time::At;

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
    /// A step was named, and nothing was found of it yet.
    named: Option<usize>,
}

impl Terminal<anstream::Stdout> {
    /// The standard output; plain when it is no terminal or `NO_COLOR` is set.
    pub fn stdout() -> Terminal<anstream::Stdout> {
        let live = std::io::stdout().is_terminal();
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
            named: None,
        }
    }

    /// A scenario begins. `binding` names the binding, if any.
    pub fn begin(&mut self, scenario: &Scenario, binding: Option<&str>) {
        self.steps = scenario.steps.iter().map(words::step).collect();
        self.step = 0;
        self.phases.clear();
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

    /// Time passes: shows what is waited for, on a terminal.
    pub fn tick(&mut self, now: At, judge: &mut Judge<'_>) {
        if !self.live {
            return;
        }
        let waiting = judge.waiting(now);
        if !waiting.is_empty() {
            let text = format!("waiting for {}", words::list(&waiting));
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
        let expected = match finding.expectation {
            Some(_) => format!("  {}", finding.expected),
            None => finding.expected.clone(),
        };
        let (figure, rest) = match finding.verdict {
            Verdict::Met => (figures(finding), None),
            _ => (String::new(), Some(&finding.observed)),
        };
        let begin = format!("  {verdict:<12} {expected}");
        let text = padded(&begin, &figure);
        // The verdict's word is coloured, the rest of the line is not.
        let word = format!("  {style}{verdict}{style:#}");
        self.line(&format!("{word}{}", &text[2 + verdict.len()..]));
        if let Some(rest) = rest {
            for line in wrapped(rest, self.width - 19) {
                self.line(&format!("{:19}{line}", ""));
            }
        }
        if finding.expectation.is_none() && !self.phases.is_empty() {
            let phases = self.phases.join(" · ");
            self.phases.clear();
            for line in wrapped(&phases, self.width - 17) {
                self.line(&format!("{:17}{DIM}{line}{DIM:#}", ""));
            }
        }
    }

    /// A scenario is over: the stages after each fault, and everything that was not met drawn at its line.
    pub fn end(&mut self, played: &Played) {
        for event in &played.findings.convergence {
            let line = summary::stages(event);
            for line in wrapped(&line, self.width - 2) {
                self.line(&format!("  {DIM}{line}{DIM:#}"));
            }
        }
        for finding in &played.findings.findings {
            // What follows from something else is told where that is.
            if finding.verdict == Verdict::Blocked
                && finding.evidence.is_empty()
                && finding.help.is_none()
            {
                continue;
            }
            if let Some(diagnostic) = diagnostic(finding, &played.source) {
                self.line("");
                let drawn = diagnostic.render(true);
                self.raw(drawn.trim_end());
            }
        }
        self.line("");
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

    fn progress(&mut self, text: &str) {
        if !self.live {
            return;
        }
        let text: String = text.chars().take(self.width - 4).collect();
        let _ = write!(self.out, "\r\x1b[2K  {DIM}{text}{DIM:#}");
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
    if finding.observed == "already so" {
        return finding.observed.clone();
    }
    let figures: Vec<String> = finding.figures.iter().map(figure).collect();
    figures.join(", ")
}

fn figure(figure: &Figure) -> String {
    match (figure.name.as_str(), figure.value) {
        ("after" | "quiet", Quantity::Nanoseconds(time)) => words::duration(time.into()),
        ("lost", Quantity::Packets(packets)) => format!("{packets} lost"),
        (name, Quantity::Nanoseconds(time)) => format!("{name} {}", words::duration(time.into())),
        (name, Quantity::Packets(packets)) => {
            format!("{name} {}", words::counted(packets, "packet"))
        }
    }
}

/// `begin`, and `end` pushed to the column of figures; at least two spaces between.
fn padded(begin: &str, end: &str) -> String {
    if end.is_empty() {
        return begin.to_owned();
    }
    let used = begin.chars().count() + end.chars().count();
    let gap = FIGURE.saturating_sub(used).max(2);
    format!("{begin}{:gap$}{end}", "")
}

/// Lines of at most `width` characters, broken between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
