//! `peerlab show`: what a kept lab looks like, as tables or as JSON.

mod sessions;
mod table;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Subcommand;

use super::{LAB_FAILED, WRONG_FILES, kept_error};
use crate::judge::words;
use crate::kept::{self, Answer, Kept, KeptError, Request};
use crate::kernel::terminal;

/// Arguments of `peerlab show`.
#[derive(Debug, clap::Args)]
pub struct ShowArguments {
    /// The lab, when several are up.
    #[arg(long, global = true, value_name = "NAME")]
    lab: Option<String>,
    /// JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// What to show.
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// The BGP sessions of a router, or of all.
    Sessions {
        /// The router.
        router: Option<String>,
    },
}

/// Shows what is asked for; returns the exit number.
pub fn show(arguments: &ShowArguments) -> u8 {
    let shown = kept::find(arguments.lab.as_deref()).and_then(|lab| {
        let what = arguments.what.clone();
        let what = what.unwrap_or(What::Sessions { router: None });
        let mut page = Page::new(arguments.json);
        what.show(&lab, &mut page)?;
        Ok(page)
    });
    match shown {
        // A closed pipe is the reader's wish.
        Ok(page) => page.print().map_or(0, |()| 0),
        Err(error) => {
            let number = match error {
                KeptError::None { .. } | KeptError::Wrong { .. } => WRONG_FILES,
                _ => LAB_FAILED,
            };
            kept_error(&error, number)
        }
    }
}

impl What {
    fn show(self, lab: &Kept, page: &mut Page) -> Result<(), KeptError> {
        match self {
            What::Sessions { router } => lab.ask(&Request::Sessions { router }, |answer| {
                if let Answer::Sessions(sessions) = answer {
                    page.show(&sessions, |page| {
                        sessions::table(&sessions).write(&mut page.text, page.columns)
                    });
                }
            }),
        }
    }
}

/// What is to be printed.
struct Page {
    json: bool,
    /// Columns of the terminal; none elsewhere, where no line is broken.
    columns: Option<usize>,
    text: Vec<u8>,
}

impl Page {
    fn new(json: bool) -> Page {
        let stdout = io::stdout();
        let columns = stdout.is_terminal().then(|| terminal::columns(&stdout));
        Page {
            json,
            columns: columns.flatten(),
            text: Vec::new(),
        }
    }

    /// As JSON, or as it is drawn.
    fn show(
        &mut self,
        view: &impl serde::Serialize,
        draw: impl FnOnce(&mut Page) -> io::Result<()>,
    ) {
        // Memory takes everything, and every view is JSON.
        if self.json {
            let _ = serde_json::to_writer_pretty(&mut self.text, view);
            self.text.push(b'\n');
        } else {
            let _ = draw(self);
        }
    }

    fn print(&self) -> io::Result<()> {
        anstream::stdout().write_all(&self.text)
    }
}

/// Seconds as people write them.
fn ago(seconds: f64) -> String {
    words::duration(Duration::from_secs_f64(seconds.max(0.0)))
}
