//! `peerlab show`: what a kept lab looks like, as tables or as JSON.

mod draw;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use clap::Subcommand;
use ipnet::IpNet;
use serde::Serialize;

use self::draw::RoutesOf;
use super::{LAB_FAILED, WRONG_FILES, kept_error};
use crate::kept::{self, Answer, Kept, KeptError, Request, Table};
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

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// The BGP sessions of a router, or of all.
    Sessions {
        /// The router.
        router: Option<String>,
    },
    /// One BGP session: state and why, timers, capabilities, counts, the last NOTIFICATIONs.
    Session(Of),
    /// The routes a router uses, and the step of the decision that chose each.
    Routes {
        /// The router.
        router: String,
    },
    /// The routes received on a session, as they came.
    Received(Of),
    /// Those that import policy accepts, as it makes them.
    Accepted(Of),
    /// Those that are refused, with the reasons.
    Refused(Of),
    /// The routes advertised on a session.
    Advertised(Of),
    /// One route: all its attributes, who told it, and why each of them won or lost.
    Route {
        /// The router.
        router: String,
        /// The prefix, for example 198.51.100.0/24.
        prefix: IpNet,
    },
    /// BFD sessions: states, intervals, packets.
    Bfd {
        /// The router.
        router: Option<String>,
    },
    /// LAGs and their members: states, partners, LACPDUs.
    Lacp {
        /// The router.
        router: Option<String>,
    },
    /// The policies of a session, as they are now.
    Policy(Of),
}

/// A session of a router.
#[derive(Debug, Clone, clap::Args)]
struct Of {
    /// The router.
    router: String,
    /// The session, by its connection's name; inside the WAN and the peer's core, the neighbour's.
    session: String,
}

/// Shows what is asked for; returns the exit number.
pub fn show(arguments: &ShowArguments) -> u8 {
    let mut page = Page::new(arguments.json);
    let lab = kept::find(arguments.lab.as_deref());
    let shown = lab.and_then(|lab| match arguments.what.clone() {
        Some(what) => what.show(&lab, &mut page),
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

impl What {
    fn show(self, lab: &Kept, page: &mut Page) -> Result<(), KeptError> {
        let table = |of: Of, table| Request::Routes {
            router: of.router,
            table,
            session: Some(of.session),
        };
        let request = match self {
            What::Sessions { router } => Request::Sessions { router },
            What::Session(Of { router, session }) => Request::Session { router, session },
            What::Bfd { router } => Request::Bfd { router },
            What::Lacp { router } => Request::Lacp { router },
            What::Policy(Of { router, session }) => Request::Policy { router, session },
            What::Route { router, prefix } => Request::Route { router, prefix },
            What::Routes { router } => {
                page.routes = RoutesOf::Used;
                Request::Routes {
                    router,
                    table: Table::Used,
                    session: None,
                }
            }
            What::Refused(of) => {
                page.routes = RoutesOf::Refused;
                table(of, Table::Refused)
            }
            What::Received(of) => table(of, Table::Received),
            What::Accepted(of) => table(of, Table::Accepted),
            What::Advertised(of) => table(of, Table::Advertised),
        };
        let streamed = matches!(request, Request::Routes { .. });
        if streamed {
            page.begin_routes();
        }
        page.ask(lab, &request)?;
        if streamed {
            page.end_routes();
            let _ = page.print();
        }
        Ok(())
    }
}

/// What is printed.
struct Page {
    json: bool,
    /// Columns of the terminal; none elsewhere, where no line is broken.
    columns: Option<usize>,
    /// What was not printed yet.
    text: Vec<u8>,
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
            routes: RoutesOf::Other,
            count: 0,
            widths: Vec::new(),
        }
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
