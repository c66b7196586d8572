//! The lab's answers.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Answer, Destination, Name, Of, Request, What};
use crate::bgp::family::Family;
use crate::binding::Daemon;
use crate::kernel::counters;
use crate::kernel::join::Namespaces;
use crate::kernel::netlink::Netlink;
use crate::kernel::nexthop::Fib;
use crate::lab::counters::members;
use crate::lab::window::Window;
use crate::line::{End, LagStatus};
use crate::record::MemberCounters;
use crate::router::driver::RouterHandle;
use crate::router::{Router, SessionIndex};
use crate::source::{closest, list};
use crate::topology::session_name;
use crate::view::{self, ConnectionLine, History, Overview, RouterLine, routes};

/// What answers are made from. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub name: Name,
    pub window: Window,
    pub history: Rc<RefCell<History>>,
}

/// What is answered first, and what comes after it.
pub(super) enum Reply {
    /// One line, and the namespaces that go with it.
    Line(Box<Answer>, Option<Namespaces>),
    /// Routes, a page at a time.
    Pages(Pages),
}

/// Nothing is there of that name.
struct Absent {
    message: String,
    help: Option<String>,
}

impl From<Absent> for Reply {
    fn from(Absent { message, help }: Absent) -> Reply {
        Answer::Wrong { message, help }.into()
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        Reply::Line(Box::new(answer), None)
    }
}

/// The routes of a table that were not sent yet. A page is looked at when the one before it was taken, so that a client
/// that does not read costs the prefixes alone, and a slow one disturbs nobody.
pub(super) struct Pages {
    router: RouterHandle,
    table: routes::Table,
    prefixes: Arc<[IpNet]>,
    next: usize,
}

impl Pages {
    /// The next page; `None` after the last one.
    pub async fn next(&mut self) -> Option<Answer> {
        let (begin, end) = (self.next, self.prefixes.len().min(self.next + routes::PAGE));
        if begin >= end {
            return None;
        }
        self.next = end;
        let (table, prefixes) = (self.table, self.prefixes.clone());
        let look = move |router: &Router, _: &Fib| {
            let page = prefixes.get(begin..end).unwrap_or_default();
            routes::page(router, table, page)
        };
        self.router.inspect(look).await.map(Answer::Routes)
    }
}

impl Known {
    /// Answers one question.
    pub async fn answer(&self, request: Request) -> Reply {
        self.try_answer(request).await.unwrap_or_else(Reply::from)
    }

    async fn try_answer(&self, request: Request) -> Result<Reply, Absent> {
        Ok(match request {
            Request::Overview => Answer::Overview(self.overview().await).into(),
            Request::Show(what) => return self.show(what).await,
            Request::Enter { place } => return self.place(&place),
            Request::Down => Answer::End.into(),
        })
    }

    async fn show(&self, what: What) -> Result<Reply, Absent> {
        let answer = match what {
            What::Sessions { router } => Answer::Sessions(self.sessions(router).await?),
            What::Session(of) => {
                let (handle, index) = self.session(&of)?;
                let now = self.window.clock.now();
                let detail = handle.inspect(move |router, _| view::session(router, index, now));
                let detail = detail.await.flatten().ok_or_else(|| ended(&of.router))?;
                let told = detail.told(&self.history.borrow(), now);
                Answer::Session(Box::new(told))
            }
            What::Routes { router } => {
                let handle = self.router(&router)?;
                return self.routes(handle, routes::Table::Used).await;
            }
            What::Received(of) => return self.table(&of, routes::Table::Received).await,
            What::Accepted(of) => return self.table(&of, routes::Table::Accepted).await,
            What::Refused(of) => return self.table(&of, routes::Table::Refused).await,
            What::Advertised(of) => return self.table(&of, routes::Table::Advertised).await,
            What::Route {
                router,
                destination,
            } => self.route(&router, destination).await?,
            What::Bfd { router, session } => {
                let (router, session) = (router.as_deref(), session.as_deref());
                Answer::Bfd(self.bfd(router, session).await?)
            }
            What::Lacp { router } => Answer::Lacp(self.lags(router.as_deref()).await?),
            What::Policy(of) => {
                let (handle, index) = self.session(&of)?;
                let policies = handle.inspect(move |router, _| view::policies(router, index));
                let policies = policies.await.flatten();
                Answer::Policy(policies.ok_or_else(|| ended(&of.router))?)
            }
        };
        Ok(answer.into())
    }

    async fn route(&self, name: &str, destination: Destination) -> Result<Answer, Absent> {
        let handle = self.router(name)?;
        let looked = handle.inspect(move |router, _| {
            let (asked, exact) = match destination {
                Destination::Prefix(prefix) => (prefix, true),
                Destination::Address(address) => (IpNet::from(address), false),
            };
            let around = router.covering(&asked);
            let wanted = if exact { Some(asked) } else { around };
            (
                wanted.and_then(|prefix| view::route(router, &prefix)),
                around,
            )
        });
        let (route, around) = looked.await.ok_or_else(|| ended(name))?;
        let to = match destination {
            Destination::Prefix(prefix) => prefix.to_string(),
            Destination::Address(address) => address.to_string(),
        };
        let help = match around {
            Some(around) => format!("the nearest around it is {around}"),
            None => format!("`peerlab show routes {name}` lists what it uses"),
        };
        match route {
            Some(route) => Ok(Answer::Route(Box::new(route))),
            None => Err(Absent {
                message: format!("`{name}` has no route to {to}"),
                help: Some(help),
            }),
        }
    }

    async fn overview(&self) -> Overview {
        let sessions = self.sessions(None).await.unwrap_or_default();
        let lags = self.lags(None).await.unwrap_or_default();
        let bfd = self.bfd(None, None).await.unwrap_or_default();
        let mut routers = Vec::new();
        for (name, handle) in self.window.routers.iter() {
            let look = |router: &Router, _: &Fib| (router.config().asn, router.loc_rib().len());
            let looked = handle.inspect(look).await;
            let own = sessions.iter().filter(|session| session.router == *name);
            let states: Vec<&str> = own.map(|session| session.state.as_str()).collect();
            routers.push(RouterLine {
                router: name.clone(),
                played_by: "peerlab".to_owned(),
                asn: looked.map(|(asn, _)| asn),
                established: states.iter().filter(|s| **s == "Established").count(),
                sessions: states.len(),
                routes: looked.map_or(0, |(_, routes)| routes),
            });
        }
        routers.extend(
            self.window
                .devices
                .iter()
                .map(|(name, (daemon, _))| RouterLine {
                    router: name.clone(),
                    played_by: daemon.to_string(),
                    asn: None,
                    established: 0,
                    sessions: 0,
                    routes: 0,
                }),
        );
        routers.sort_by(|a, b| a.router.cmp(&b.router));
        let connections = self.window.layout.connections.iter().map(|connection| {
            let (name, edge) = (&connection.name, &connection.edge.router);
            let at_edge = |lag: &&view::Lag| lag.router == *edge && lag.connection == *name;
            let lag = lags.iter().find(at_edge);
            ConnectionLine::new((name, edge, &connection.peer.router), lag, &bfd, &sessions)
        });
        let now = self.window.clock.now();
        Overview {
            lab: self.name.to_string(),
            up_for: now.since(crate::time::At::ZERO).as_millis() as f64 / 1e3,
            routers,
            connections: connections.collect(),
            failures: self.history.borrow().failures(now),
        }
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

    /// A table of a session.
    async fn table(
        &self,
        of: &Of,
        table: fn(SessionIndex) -> routes::Table,
    ) -> Result<Reply, Absent> {
        let (handle, index) = self.session(of)?;
        self.routes(handle, table(index)).await
    }

    async fn routes(&self, handle: &RouterHandle, table: routes::Table) -> Result<Reply, Absent> {
        let prefixes = handle.inspect(move |router, _| routes::prefixes(router, table));
        let mut prefixes = prefixes.await.ok_or_else(|| ended(handle.name()))?;
        // A million takes a tenth of a second, in which nobody else need wait.
        let sorted = tokio::task::spawn_blocking(move || {
            prefixes.sort_unstable();
            prefixes
        });
        Ok(Reply::Pages(Pages {
            router: handle.clone(),
            table,
            prefixes: sorted.await.unwrap_or_default().into(),
            next: 0,
        }))
    }

    async fn lags(&self, router: Option<&str>) -> Result<Vec<view::Lag>, Absent> {
        let mut lags = Vec::new();
        for end in self.ends(router)? {
            // An end without a LAG has no answer.
            if let Ok(status) = self.window.line.inspect_lag(end.clone()).await {
                let now = self.window.clock.now();
                let carried = self.carried(&end, &status);
                let history = self.history.borrow();
                lags.push(view::lag(&end, &status, &carried, &history, now));
            }
        }
        Ok(lags)
    }

    /// What the members of a LAG have carried; nothing where the kernel does not tell.
    fn carried(&self, end: &End, status: &LagStatus) -> Vec<MemberCounters> {
        let connection = self.window.layout.connection(&end.connection);
        let ends = connection.map(|connection| [&connection.edge, &connection.peer]);
        let lag = ends
            .into_iter()
            .flatten()
            .find(|lag| lag.router == end.router);
        let counted = lag.and_then(|lag| {
            let place = self.window.namespaces.get(&lag.line_card)?;
            let links = counters::read(&mut Netlink::open_in(place).ok()?).ok()?;
            Some(members(lag, &links, Some(status)))
        });
        counted.unwrap_or_default()
    }

    /// The BFD sessions that are ours, of all routers, of one, or this one.
    async fn bfd(
        &self,
        router: Option<&str>,
        session: Option<&str>,
    ) -> Result<Vec<view::Bfd>, Absent> {
        let mut sessions = Vec::new();
        let over_links = self.ends(router);
        if let Some(device) = router.and_then(|router| self.played_by(router, asked_for_bfd)) {
            return Err(device);
        }
        for link in over_links
            .iter()
            .flatten()
            .cloned()
            .chain(self.inside(router))
        {
            let over_the_lag = Family::ALL.map(|family| End {
                connection: session_name(&link.connection, family),
                ..link.clone()
            });
            let members = self.window.layout.connection(&link.connection);
            let members = members.map_or(0, |connection| connection.edge.members.len() as u8);
            let on_members = (1..=members).map(|member| link.of_member(member));
            for end in over_the_lag.into_iter().chain(on_members) {
                if let Ok(status) = self.window.line.inspect_bfd(end.clone()).await {
                    let now = self.window.clock.now();
                    sessions.push(view::bfd(&end, &status, &self.history.borrow(), now));
                }
            }
        }
        if sessions.is_empty() {
            over_links?;
        }
        let (Some(router), Some(wanted)) = (router, session) else {
            return Ok(sessions);
        };
        let place = sessions.iter().position(|one| one.session == wanted);
        let Some(place) = place else {
            let names: Vec<&str> = sessions.iter().map(|one| one.session.as_str()).collect();
            let place = format!("at `{router}`");
            return Err(absent("BFD session", &place, wanted, &names));
        };
        Ok(vec![sessions.swap_remove(place)])
    }

    /// The ends of iBGP inside both networks, or of that at a router, which BFD over several hops may guard (RFC 5883).
    fn inside(&self, router: Option<&str>) -> impl Iterator<Item = End> {
        let layout = &self.window.layout;
        let edges = layout.edges.iter().map(|edge| ("wan", &edge.name));
        let peers = layout.peers.iter().map(|peer| ("core", &peer.name));
        let ends = edges.chain(peers).flat_map(|(hub, border)| {
            [(hub, border.as_str()), (border.as_str(), hub)].map(|(router, connection)| End {
                router: router.to_owned(),
                connection: connection.to_owned(),
            })
        });
        ends.filter(move |end| router.is_none_or(|router| end.router == router))
    }

    /// The ends of all connections, or of those at a router, Microsoft's first.
    fn ends(&self, router: Option<&str>) -> Result<Vec<End>, Absent> {
        let ends = self
            .window
            .layout
            .connections
            .iter()
            .flat_map(|connection| {
                [&connection.edge, &connection.peer].map(|end| End {
                    router: end.router.clone(),
                    connection: connection.name.clone(),
                })
            });
        let all: Vec<End> = ends.collect();
        let Some(router) = router else {
            return Ok(all);
        };
        let own: Vec<End> = all
            .iter()
            .filter(|end| end.router == router)
            .cloned()
            .collect();
        if own.is_empty() {
            let mut names: Vec<&str> = all.iter().map(|end| end.router.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            return Err(absent(
                "router with a connection",
                "in this lab",
                router,
                &names,
            ));
        }
        Ok(own)
    }

    /// A simulated router.
    fn router(&self, name: &str) -> Result<&RouterHandle, Absent> {
        if let Some(router) = self.window.routers.get(name) {
            return Ok(router);
        }
        if let Some(device) = self.played_by(name, asked_for_routes) {
            return Err(device);
        }
        let names: Vec<&str> = self.window.routers.keys().map(String::as_str).collect();
        Err(absent("router", "in this lab", name, &names))
    }

    /// That a router is played by a daemon, and how that one is asked.
    fn played_by(&self, name: &str, asked: fn(Daemon) -> &'static str) -> Option<Absent> {
        let (daemon, _) = self.window.devices.get(name)?;
        Some(Absent {
            message: format!("`{name}` is played by {daemon}, which peerlab cannot look into"),
            help: Some(format!(
                "ask it itself: `peerlab exec {name} -- {}`",
                asked(*daemon)
            )),
        })
    }

    /// A session of a simulated router.
    fn session(&self, of: &Of) -> Result<(&RouterHandle, SessionIndex), Absent> {
        let router = &of.router;
        let handle = self.router(router)?;
        let names = || handle.sessions().iter().map(String::as_str);
        let Some(name) = &of.session else {
            return Err(Absent {
                message: format!("`{router}` has several sessions, and none is named"),
                help: Some(format!("there are {}", list(names()))),
            });
        };
        let index = handle.session(name).ok_or_else(|| {
            let names: Vec<&str> = names().collect();
            absent("session", &format!("at `{router}`"), name, &names)
        })?;
        Ok((handle, index))
    }

    fn place(&self, name: &str) -> Result<Reply, Absent> {
        let Some(namespace) = self.window.namespaces.get(name) else {
            let names: Vec<&str> = self.window.namespaces.keys().map(String::as_str).collect();
            return Err(absent("router or other place", "in this lab", name, &names));
        };
        let mut place = Namespaces::here(namespace).map_err(cannot_open)?;
        // A daemon has files of its own, and its tools look for its sockets there.
        if let Some((_, device)) = self.window.devices.get(name) {
            place.mount = device.mount_namespace().map_err(cannot_open)?;
        }
        Ok(Reply::Line(Box::new(Answer::Place), Some(place)))
    }
}

fn cannot_open(error: io::Error) -> Absent {
    Absent {
        message: format!("the lab cannot open its namespaces: {error}"),
        help: Some("it may have too many files open (`ulimit -n`)".to_owned()),
    }
}

fn ended(router: &str) -> Absent {
    Absent {
        message: format!("`{router}` has ended: the lab is going down"),
        help: None,
    }
}

/// How a daemon is asked for its sessions and routes.
fn asked_for_routes(daemon: Daemon) -> &'static str {
    match daemon {
        Daemon::Bird => "birdc show route all",
        Daemon::Frr => "vtysh -c 'show bgp summary'",
        Daemon::Gobgp => "gobgp neighbor",
        Daemon::Openbgpd => "bgpctl show",
        Daemon::Exabgp => "exabgpcli show neighbor summary",
    }
}

/// How it is asked for BFD; those without any have nothing to tell.
fn asked_for_bfd(daemon: Daemon) -> &'static str {
    match daemon {
        Daemon::Bird => "birdc show bfd sessions",
        Daemon::Frr => "vtysh -c 'show bfd peers'",
        Daemon::Gobgp | Daemon::Openbgpd | Daemon::Exabgp => asked_for_routes(daemon),
    }
}

/// The nearest name, or all there are.
fn absent(kind: &str, place: &str, name: &str, names: &[&str]) -> Absent {
    let help = match closest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", list(names.iter().copied())),
    };
    Absent {
        message: format!("there is no {kind} `{name}` {place}"),
        help: Some(help),
    }
}
