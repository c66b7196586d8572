//! `peerlab show`: what a kept lab looks like, as tables or as JSON.

mod draw;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use serde::Serialize;

use self::draw::RoutesOf;
use super::{LAB_FAILED, WRONG_FILES, kept_error};
use crate::kept::{self, Answer, Kept, KeptError, Request, What};
use crate::kernel::terminal;
use crate::view;

/// Arguments of `peerlab show`.
#[derive(Debug, clap::Args)]
pub struct ShowArguments {
    /// The lab, when several are up.
    #[arg(long, global = true, value_name = "NAME")]
    lab: Option<String>,
    /// JSON instead of a table; `peerlab schema show` describes it.
    #[arg(long, global = true)]
    json: bool,
    /// What to show; without it, the lab at a glance.
    #[command(subcommand)]
    what: Option<What>,
}

/// Shows what is asked for; returns the exit number.
pub fn show(arguments: &ShowArguments) -> u8 {
    let mut page = Page::new(arguments.json);
    let lab = kept::find(arguments.lab.as_deref());
    let shown = lab.and_then(|lab| match arguments.what.clone() {
        Some(what) => page.show_of(&lab, what),
        None => page.ask(&lab, &Request::Overview),
    });
    match shown {
        Ok(()) => 0,
        Err(error) => {
            let number = match error {
                KeptError::None { .. } | KeptError::Wrong { .. } => WRONG_FILES,
                _ => LAB_FAILED,
            };
            kept_error(&error, number)
        }
    }
}

/// Which routes a question is answered with, if it is with routes.
fn routes_of(what: &What) -> Option<RoutesOf> {
    match what {
        What::Routes { .. } => Some(RoutesOf::Used),
        What::Refused(_) => Some(RoutesOf::Refused),
        What::Received(_) | What::Accepted(_) | What::Advertised(_) => Some(RoutesOf::Other),
        What::Sessions { .. }
        | What::Session(_)
        | What::Route { .. }
        | What::Bfd { .. }
        | What::Lacp { .. }
        | What::Policy(_) => None,
    }
}

/// What is printed.
struct Page {
    json: bool,
    /// Columns of the terminal; none elsewhere, where no line is broken.
    columns: Option<usize>,
    /// What was not printed yet.
    text: Vec<u8>,
    /// One thing is shown in full, not several in a line each.
    one: bool,
    /// Which routes come.
    routes: RoutesOf,
    /// How many came.
    count: usize,
    /// Widths of their columns so far.
    widths: Vec<usize>,
}

impl Page {
    fn new(json: bool) -> Page {
        let stdout = io::stdout();
        let columns = stdout.is_terminal().then(|| terminal::columns(&stdout));
        Page {
            json,
            columns: columns.flatten(),
            text: Vec::new(),
            one: false,
            routes: RoutesOf::Other,
            count: 0,
            widths: Vec::new(),
        }
    }

    fn show_of(&mut self, lab: &Kept, what: What) -> Result<(), KeptError> {
        let routes = routes_of(&what);
        self.one = matches!(
            what,
            What::Bfd {
                session: Some(_),
                ..
            }
        );
        if let Some(routes) = routes {
            self.routes = routes;
            self.begin_routes();
        }
        self.ask(lab, &Request::Show(what))?;
        if routes.is_some() {
            self.end_routes();
            let _ = self.print();
        }
        Ok(())
    }

    fn ask(&mut self, lab: &Kept, request: &Request) -> Result<(), KeptError> {
        lab.ask(request, |answer| {
            self.answer(answer);
            self.print()
        })
    }

    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Overview(view) => self.show(&view, draw::overview),
            Answer::Sessions(view) => self.show(view.as_slice(), draw::sessions),
            Answer::Session(view) => self.show(view.as_ref(), draw::session),
            Answer::Routes(view) => self.page(&view),
            Answer::Route(view) => self.show(view.as_ref(), draw::route),
            Answer::Bfd(view) => self.show(view.as_slice(), draw::bfd),
            Answer::Lacp(view) => self.show(view.as_slice(), draw::lacp),
            Answer::Policy(view) => self.show(&view, draw::policy),
            Answer::Place | Answer::Wrong { .. } | Answer::End => {}
        }
    }

    fn table(&mut self, table: &table::Table) -> io::Result<()> {
        table.write(&mut self.text, self.columns).map(drop)
    }

    /// As JSON, or as it is drawn.
    fn show<V: Serialize + ?Sized>(
        &mut self,
        view: &V,
        draw: impl FnOnce(&mut Page, &V) -> io::Result<()>,
    ) {
        // Memory takes everything, and every view is JSON.
        if self.json {
            let _ = serde_json::to_writer_pretty(&mut self.text, view);
            self.text.push(b'\n');
        } else {
            let _ = draw(self, view);
        }
    }

    /// A list in JSON is written as it comes: it may be long.
    fn begin_routes(&mut self) {
        if self.json {
            self.text.extend_from_slice(b"[");
        }
    }

    fn page(&mut self, routes: &[view::Route]) {
        if self.json {
            for route in routes {
                let between: &[u8] = if self.count == 0 { b"\n  " } else { b",\n  " };
                self.text.extend_from_slice(between);
                let _ = serde_json::to_writer(&mut self.text, route);
                self.count += 1;
            }
        } else {
            let _ = draw::routes(self, routes);
            self.count += routes.len();
        }
    }

    fn end_routes(&mut self) {
        if self.json {
            self.text.extend_from_slice(b"\n]\n");
        } else if self.count == 0 {
            let _ = writeln!(self.text, "no routes");
        }
    }

    /// Prints what is there. A closed pipe is the reader's wish: what follows is for nobody.
    fn print(&mut self) -> ControlFlow<()> {
        let printed = anstream::stdout().write_all(&self.text);
        self.text.clear();
        match printed {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
