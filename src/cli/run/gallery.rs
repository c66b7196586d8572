//! Where a run is shown and kept: the terminal and the report folder, served by a thread of their own.
//!
//! A terminal that is held up (a pager, Ctrl-S, a slow connection) or a slow disk must not hold up the routers, which
//! share a thread with the run. So the run only hands things over, and hears of an error the next time it does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use crate::judge::{Finding, Judge};
use crate::record::{Entry, LinesError, Noted, Writer};
use crate::report::{self, Played, RECORD, Report, Terminal};
use crate::run::Audience;
use crate::scenario::Scenario;
use crate::time::At;

/// What is handed over.
enum Show {
    Begin(Box<Scenario>, Option<String>),
    Entry(Noted),
    Waiting(Vec<String>),
    Finding(Box<Finding>),
    End(Box<Played>),
    Note(String),
    Close(Box<Report>),
}

/// The run's end of the gallery.
pub struct Gallery {
    shows: mpsc::Sender<Show>,
    errors: mpsc::Receiver<LinesError>,
    thread: JoinHandle<bool>,
    /// The first entry of the present run.
    pub first: Option<Entry>,
    /// Findings of the present run that were shown.
    pub shown: usize,
    waiting: Vec<String>,
}

/// What the thread serves.
struct Served {
    terminal: Terminal<anstream::Stdout>,
    folder: Option<PathBuf>,
    record: Option<Writer>,
    errors: mpsc::Sender<LinesError>,
}

/// Why nothing can be shown or kept.
#[derive(Debug, thiserror::Error)]
pub enum GalleryError {
    /// The folder cannot be made.
    #[error("make the folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The record cannot be made.
    #[error(transparent)]
    Record(#[from] LinesError),
    /// No thread.
    #[error("start the report thread: {0}")]
    Thread(std::io::Error),
}

/// The record in its folder, empty.
pub fn open_record(folder: &Path) -> Result<Writer, GalleryError> {
    fs::create_dir_all(folder).map_err(|source| GalleryError::Folder {
        path: folder.to_owned(),
        source,
    })?;
    Ok(Writer::create(&folder.join(RECORD))?)
}

impl Gallery {
    /// Starts the thread.
    pub fn start(folder: Option<PathBuf>, record: Option<Writer>) -> Result<Gallery, GalleryError> {
        let (shows, orders) = mpsc::channel();
        let (failures, errors) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("report".to_owned())
            .spawn(move || {
                let mut served = Served {
                    terminal: Terminal::stdout(),
                    folder,
                    record,
                    errors: failures,
                };
                let mut kept = true;
                for show in orders {
                    kept &= served.show(show);
                }
                kept
            })
            .map_err(GalleryError::Thread)?;
        Ok(Gallery {
            shows,
            errors,
            thread,
            first: None,
            shown: 0,
            waiting: Vec::new(),
        })
    }

    /// A scenario begins.
    pub fn begin(&mut self, scenario: &Scenario, binding: Option<&str>) {
        self.shown = 0;
        let binding = binding.map(str::to_owned);
        self.tell(Show::Begin(Box::new(scenario.clone()), binding));
    }

    /// A finding of the present run.
    pub fn finding(&mut self, finding: &Finding) {
        self.shown += 1;
        self.tell(Show::Finding(Box::new(finding.clone())));
    }

    /// A scenario is over.
    pub fn end(&self, played: &Played) {
        self.tell(Show::End(Box::new(played.clone())));
    }

    /// A sentence of the program itself.
    pub fn note(&self, text: &str) {
        self.tell(Show::Note(text.to_owned()));
    }

    /// Shows the summary and writes the report; whether all of it could be kept.
    pub fn close(self, report: &Report) -> bool {
        self.tell(Show::Close(Box::new(report.clone())));
        drop(self.shows);
        // A panic of the thread has told itself.
        self.thread.join().unwrap_or(false)
    }

    /// Shows what was handed over, and returns when that is done; there is no summary.
    pub fn leave(self) {
        drop(self.shows);
        // A panic of the thread has told itself.
        let _ = self.thread.join();
    }

    fn tell(&self, show: Show) {
        // Fails only when the thread is gone, which its end will tell.
        let _ = self.shows.send(show);
    }
}

impl Audience for Gallery {
    fn entry(&mut self, entry: &Noted, judge: &mut Judge<'_>) -> Result<(), LinesError> {
        if matches!(entry.fact, crate::record::Fact::Run { .. }) {
            self.first = Some(Entry::clone(entry));
        }
        self.tell(Show::Entry(entry.clone()));
        while let Some(finding) = judge.poll().cloned() {
            self.finding(&finding);
        }
        self.errors.try_recv().map_or(Ok(()), Err)
    }

    fn tick(&mut self, now: At, judge: &mut Judge<'_>) {
        let waiting = judge.waiting(now);
        if waiting != self.waiting {
            self.waiting.clone_from(&waiting);
            self.tell(Show::Waiting(waiting));
        }
    }

    fn in_uml(&self) -> String {
        "peerlab run --kernel uml".to_owned()
    }
}

impl Served {
    /// Shows and keeps one thing; `false` when it could not be kept.
    fn show(&mut self, show: Show) -> bool {
        match show {
            Show::Begin(scenario, binding) => self.terminal.begin(&scenario, binding.as_deref()),
            Show::Entry(entry) => {
                self.terminal.entry(&entry);
                if let Some(Err(error)) = self.record.as_mut().map(|record| record.write(&entry)) {
                    let _ = self.errors.send(error);
                    return false;
                }
            }
            Show::Waiting(waiting) => self.terminal.waiting(&waiting),
            Show::Finding(finding) => self.terminal.finding(&finding),
            Show::End(played) => self.terminal.end(&played),
            Show::Note(text) => self.terminal.note(&text),
            Show::Close(report) => return self.close(&report),
        }
        true
    }

    fn close(&mut self, report: &Report) -> bool {
        self.terminal.summary(report);
        let written = self
            .folder
            .as_deref()
            .map(|folder| report::write(report, folder));
        if let Some(Err(error)) = written {
            anstream::eprintln!("error: failed to {error}");
            return false;
        }
        true
    }
}
