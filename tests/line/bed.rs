//! What the tests stand on: a network, the line thread, and its record.

use std::num::{NonZeroU8, NonZeroU32};
use std::process::Command;
use std::time::Duration;

use libtest_mimic::Failed;
use peerlab::bfd::{Config, Timers};
use peerlab::kernel::apply::Network;
use peerlab::kernel::namespace::Namespace;
use peerlab::line::{BfdSpec, End, Line, LineEvent, Reach};
use peerlab::plan::{LinkEnd, Plan, Work};
use peerlab::record::{Entries, Entry, Fact, Recorder};
use peerlab::time::{At, Clock};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);

/// A network, and the thread that speaks on it.
pub struct Bed {
    pub network: Network,
    pub line: Line,
    pub clock: Clock,
    pub events: UnboundedReceiver<LineEvent>,
    entries: Entries,
    /// Every fact so far.
    pub seen: Vec<Entry>,
    /// Facts before this one are history.
    mark: usize,
    runtime: Runtime,
}

impl Bed {
    pub fn new(work: Vec<Work>) -> Result<Bed, Failed> {
        let network = Network::build(&Plan { work })?;
        let clock = Clock::start();
        let (recorder, entries) = Recorder::new(clock);
        let (sender, events) = tokio::sync::mpsc::unbounded_channel();
        Ok(Bed {
            network,
            line: Line::start(recorder, sender)?,
            clock,
            events,
            entries,
            seen: Vec::new(),
            mark: 0,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?,
        })
    }

    pub fn namespace(&self, name: &str) -> &Namespace {
        self.network.namespace(name).expect("the plan makes it")
    }

    /// What was recorded so far is history from now on.
    pub fn mark(&mut self) -> At {
        while let Ok(entry) = self.entries.try_recv() {
            self.seen.push(entry);
        }
        self.mark = self.seen.len();
        self.clock.now()
    }

    /// The first fact since the mark for which `is` holds.
    pub fn wait(
        &mut self,
        what: &str,
        within: Duration,
        is: impl Fn(&Fact) -> bool,
    ) -> Result<Entry, Failed> {
        let mut next = self.mark;
        let deadline = self.clock.now() + within;
        loop {
            if let Some(found) = self.seen[next..].iter().find(|entry| is(&entry.fact)) {
                return Ok(found.clone());
            }
            next = self.seen.len();
            let left = deadline.since(self.clock.now());
            let entries = &mut self.entries;
            let entry = self
                .runtime
                .block_on(async { timeout(left, entries.recv()).await });
            match entry {
                Ok(Some(entry)) => self.seen.push(entry),
                Ok(None) => return Err("the line thread is gone".into()),
                Err(_) => {
                    return Err(
                        format!("{what} did not happen in {within:?}: {:#?}", self.seen).into(),
                    );
                }
            }
        }
    }

    /// Waits until no fact for which `is` holds was recorded for a time; fails when one is.
    pub fn quiet(
        &mut self,
        what: &str,
        time: Duration,
        is: impl Fn(&Fact) -> bool,
    ) -> Result<(), Failed> {
        match self.wait(what, time, is) {
            Ok(entry) => Err(format!("{what}: {entry:?}").into()),
            Err(_) => Ok(()),
        }
    }

    pub fn wait_bfd(&mut self, router: &str, state: &str) -> Result<Entry, Failed> {
        let what = format!("BFD {state} at {router}");
        self.wait(&what, SOON, |fact| is_bfd(fact, router, state))
    }

    /// The answer to a question to the thread.
    pub fn answer<T>(&self, question: tokio::sync::oneshot::Receiver<T>) -> Result<T, Failed> {
        Ok(self
            .runtime
            .block_on(async { timeout(SOON, question).await })??)
    }

    /// The latest the thread woke up since the mark.
    pub fn latest(&mut self) -> Duration {
        while let Ok(entry) = self.entries.try_recv() {
            self.seen.push(entry);
        }
        let late = self.seen[self.mark..]
            .iter()
            .filter_map(|entry| match &entry.fact {
                Fact::Late { by, .. } => Some(Duration::from(*by)),
                _ => None,
            });
        late.max().unwrap_or_default()
    }

    pub fn ip(&self, namespace: &str, arguments: &str) -> Result<String, Failed> {
        run(self.namespace(namespace), "ip", arguments)
    }
}

pub fn run(namespace: &Namespace, program: &str, arguments: &str) -> Result<String, Failed> {
    let mut command = Command::new(program);
    command.args(arguments.split(' '));
    namespace.enter_on_exec(&mut command)?;
    let output = command.output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{program} {arguments}: {words}").into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

pub fn is_bfd(fact: &Fact, at: &str, wanted: &str) -> bool {
    matches!(fact, Fact::Bfd { router, state, .. } if router == at && state == wanted)
}

/// Routers `a` and `b`, joined by one cable that has the connection's name.
pub fn cable() -> Vec<Work> {
    let end = |namespace: &str, index| LinkEnd {
        namespace: namespace.into(),
        name: "x-1".into(),
        index,
        mac: None,
    };
    let namespace = |name: &str| Work::Namespace {
        name: name.into(),
        forwarding: true,
        ipv6: false,
    };
    let mut work = vec![namespace("a"), namespace("b")];
    work.push(Work::Veth {
        a: end("a", 101),
        b: end("b", 102),
    });
    for (router, last) in [("a", 0), ("b", 1)] {
        work.push(Work::Clsact {
            namespace: router.into(),
            link: "x-1".into(),
        });
        work.push(Work::Address {
            namespace: router.into(),
            link: "x-1".into(),
            address: [192, 0, 2, last].into(),
            prefix_len: 31,
        });
        work.push(Work::Up {
            namespace: router.into(),
            link: "x-1".into(),
        });
    }
    work
}

/// The session of connection `x-1` at router `a` (192.0.2.0) or `b` (192.0.2.1).
pub fn session(router: &str, link: u32, interval: Duration) -> BfdSpec {
    let ours = u8::from(router == "b");
    BfdSpec {
        end: end(router),
        reach: Reach::OneHop {
            device: "x-1".into(),
            link,
        },
        local: [192, 0, 2, ours].into(),
        remote: [192, 0, 2, 1 - ours].into(),
        config: Config::single_hop(
            NonZeroU32::MIN.saturating_add(u32::from(ours) + 7),
            Timers::symmetric(interval, THREE),
            u64::from(ours),
        ),
    }
}

pub const THREE: NonZeroU8 = NonZeroU8::new(3).unwrap();

pub fn end(router: &str) -> End {
    End {
        router: router.into(),
        connection: "x-1".into(),
    }
}

impl Bed {
    pub fn add_bfd(&self, spec: BfdSpec) -> Result<(), Failed> {
        let namespace = self.namespace(&spec.end.router);
        Ok(self.line.add_bfd(namespace, spec)?)
    }
}
