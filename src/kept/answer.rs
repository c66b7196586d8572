//! The lab's answers.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::{Answer, Request};
use crate::kernel::join::Namespaces;
use crate::lab::window::Window;
use crate::router::driver::RouterHandle;
use crate::source::{closest, list};
use crate::view::{self, History};

/// What answers are made from. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub window: Window,
    pub history: Rc<RefCell<History>>,
}

/// An answer's line, and the namespaces that go with it.
pub(super) type Line = (Answer, Option<Namespaces>);

/// Nothing is there of that name.
struct Absent {
    message: String,
    help: String,
}

impl From<Absent> for Line {
    fn from(absent: Absent) -> Line {
        let help = Some(absent.help);
        let message = absent.message;
        (Answer::Wrong { message, help }, None)
    }
}

impl Known {
    /// Answers one question.
    pub async fn answer(&self, request: Request) -> Line {
        self.try_answer(request).await.unwrap_or_else(Line::from)
    }

    async fn try_answer(&self, request: Request) -> Result<Line, Absent> {
        let answer = match request {
            Request::Sessions { router } => Answer::Sessions(self.sessions(router).await?),
            Request::Enter { place } => return self.place(&place),
            Request::Down => Answer::End,
        };
        Ok((answer, None))
    }

    async fn sessions(&self, router: Option<String>) -> Result<Vec<view::Session>, Absent> {
        let routers: Vec<&RouterHandle> = match router {
            Some(name) => vec![self.router(&name)?],
            None => self.window.routers.values().collect(),
        };
        let mut sessions = Vec::new();
        for router in routers {
            // One that has ended has no sessions.
            let of_router = router.inspect(|router, _| view::sessions(router)).await;
            let (history, now) = (self.history.borrow(), self.window.clock.now());
            let told = of_router.into_iter().flatten();
            sessions.extend(told.map(|session| session.told(&history, now)));
        }
        Ok(sessions)
    }

    /// A simulated router.
    fn router(&self, name: &str) -> Result<&RouterHandle, Absent> {
        if let Some(router) = self.window.routers.get(name) {
            return Ok(router);
        }
        if let Some((device, _)) = self.window.devices.get(name) {
            return Err(Absent {
                message: format!("`{name}` is played by {device}, which peerlab cannot look into"),
                help: format!("ask it itself: `peerlab exec {name} -- COMMAND`"),
            });
        }
        let names = self.window.routers.keys().map(String::as_str);
        Err(absent("router", name, names))
    }

    fn place(&self, name: &str) -> Result<Line, Absent> {
        let Some(namespace) = self.window.namespaces.get(name) else {
            let names = self.window.namespaces.keys().map(String::as_str);
            return Err(absent("router or other place", name, names));
        };
        let mut place = Namespaces::here(namespace).map_err(cannot_open)?;
        // A daemon has files of its own, and its tools look for its sockets there.
        if let Some((_, device)) = self.window.devices.get(name) {
            place.mount = device.mount_namespace().map_err(cannot_open)?;
        }
        Ok((Answer::Place, Some(place)))
    }
}

fn cannot_open(error: io::Error) -> Absent {
    Absent {
        message: format!("the lab cannot open its namespaces: {error}"),
        help: "it may have too many files open (`ulimit -n`)".to_owned(),
    }
}

/// The nearest name, or all there are.
fn absent<'a>(kind: &str, name: &str, names: impl Iterator<Item = &'a str> + Clone) -> Absent {
    let help = match closest(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", list(names)),
    };
    Absent {
        message: format!("there is no {kind} `{name}` in this lab"),
        help,
    }
}
