//! The edges' monitoring: traces and table dumps (MRT) in a folder, and a feed to a collector (BMP) outside of the lab.
//!
//! A thread of its own hears what the routers tell, and never lets them wait: it keeps up with them whatever a collector
//! does, and what a collector has yet to hear is bounded by the tables ([`crate::monitor`]).

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{interval, timeout};

use crate::monitor::{Stamp, Station};
use crate::record::{Fact, Recorder};
use crate::registry::service::Reach;
use crate::router::driver::{RouterHandle, Tapped};
use crate::router::{Observed, RouterConfig};
use crate::time::At;

/// From a lost collector to the next try, and the limit of one.
const AGAIN: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(5);
/// A collector that reads nothing for so long is given up.
const STUCK: Duration = Duration::from_secs(10);
/// How often numbers of routes are told.
const STATISTICS: Duration = Duration::from_secs(10);
/// When the lab goes down, what is left to tell has to be told in this time.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A BMP collector, and the way to it.
#[derive(Debug, Clone)]
pub struct Collector {
    /// From where it is reached.
    pub reach: Reach,
    /// Its address.
    pub address: SocketAddr,
}

/// Why monitoring cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum MonitoringError {
    /// A file or its folder could not be made.
    #[error("make {path}: {source}")]
    Make {
        /// Which.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// The thread could not be started.
    #[error("start the monitoring: {0}")]
    Thread(#[source] io::Error),
}

/// Monitoring that goes on until it is dropped.
#[derive(Debug)]
pub struct Monitoring {
    taps: UnboundedSender<Tapped>,
    followed: UnboundedSender<(usize, RouterHandle)>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Monitoring {
    /// Begins for these routers. In `folder`, each gets `updates.ROUTER.mrt`, and `rib.ROUTER.mrt` when it ends.
    ///
    /// # Errors
    /// A file cannot be made, or there is no thread.
    pub fn start(
        routers: Vec<RouterConfig>,
        folder: Option<&Path>,
        collector: Option<Collector>,
        recorder: &Recorder,
    ) -> Result<Monitoring, MonitoringError> {
        let mut files = Vec::new();
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(|error| cannot_make(folder, error))?;
            for config in &routers {
                files.push(Files::create(folder, &config.name)?);
            }
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(MonitoringError::Thread)?;
        let (taps, tapped) = unbounded_channel();
        let (followed, routers_followed) = unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let recorder = recorder.clone();
        let serve = move || {
            let mut files = files.into_iter();
            let watched = routers.iter().map(|config| {
                let files = files.next();
                Rc::new(Watched {
                    station: RefCell::new(Station::new(config, files.is_some())),
                    files: RefCell::new(files),
                    news: Notify::new(),
                    over: watch::Sender::new(false),
                    router: RefCell::new(None),
                })
            });
            let thread = Thread {
                watched: watched.collect(),
                clock: Wall::of(&recorder),
                recorder,
            };
            let heard = (tapped, routers_followed, stopped);
            let served = thread.serve(heard, collector);
            runtime.block_on(LocalSet::new().run_until(served));
        };
        let thread = thread::Builder::new().name("monitoring".into());
        Ok(Monitoring {
            taps,
            followed,
            stop: Some(stop),
            thread: Some(thread.spawn(serve).map_err(MonitoringError::Thread)?),
        })
    }

    /// Hears a router from now on: that of the place `number` among those it was started with.
    pub fn follow(&self, number: usize, router: &RouterHandle) {
        // The thread is there as long as this is.
        let _ = self.followed.send((number, router.clone()));
        router.tap(number, self.taps.clone());
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it was told on standard error.
            let _ = thread.join();
        }
    }
}

fn cannot_make(path: &Path, source: io::Error) -> MonitoringError {
    MonitoringError::Make {
        path: path.to_owned(),
        source,
    }
}

/// Moments of the run as the wall has them.
#[derive(Debug, Clone, Copy)]
struct Wall {
    /// Nanoseconds since 1970 when the run began.
    origin: u64,
}

impl Wall {
    fn of(recorder: &Recorder) -> Wall {
        let clock = recorder.clock();
        let wall = u64::try_from(clock.wall().as_nanosecond()).unwrap_or(0);
        Wall {
            origin: wall.saturating_sub(clock.now().as_nanos()),
        }
    }

    fn stamp(self, at: At) -> Stamp {
        Stamp::from_nanos(self.origin.saturating_add(at.as_nanos()))
    }
}

/// The files of one router.
#[derive(Debug)]
struct Files {
    updates: File,
    rib: File,
}

impl Files {
    fn create(folder: &Path, router: &str) -> Result<Files, MonitoringError> {
        let create = |kind: &str| {
            let path = folder.join(format!("{kind}.{router}.mrt"));
            File::create(&path).map_err(|error| cannot_make(&path, error))
        };
        Ok(Files {
            updates: create("updates")?,
            rib: create("rib")?,
        })
    }
}

/// One router.
#[derive(Debug)]
struct Watched {
    station: RefCell<Station>,
    files: RefCell<Option<Files>>,
    /// There is something for the collector.
    news: Notify,
    /// Nothing more will come.
    over: watch::Sender<bool>,
    /// Whom to ask for a table of which something was missed.
    router: RefCell<Option<RouterHandle>>,
}

struct Thread {
    watched: Vec<Rc<Watched>>,
    clock: Wall,
    recorder: Recorder,
}

impl Thread {
    async fn serve(
        self,
        (mut tapped, mut followed, mut stopped): (
            UnboundedReceiver<Tapped>,
            UnboundedReceiver<(usize, RouterHandle)>,
            oneshot::Receiver<()>,
        ),
        collector: Option<Collector>,
    ) {
        let mut followers = JoinSet::new();
        for watched in &self.watched {
            if let Some(collector) = &collector {
                let follower = Follower {
                    watched: watched.clone(),
                    collector: collector.clone(),
                    clock: self.clock,
                    recorder: self.recorder.clone(),
                };
                followers.spawn_local(follower.follow());
            }
        }
        loop {
            tokio::select! {
                biased;
                Some((number, router)) = followed.recv() => {
                    if let Some(watched) = self.watched.get(number) {
                        *watched.router.borrow_mut() = Some(router);
                    }
                }
                Some(tapped) = tapped.recv() => self.hear(tapped),
                _ = &mut stopped => break,
            }
        }
        let now = self.clock.stamp(self.recorder.clock().now());
        for watched in &self.watched {
            watched.over.send_replace(true);
            let mut station = watched.station.borrow_mut();
            station.statistics(now);
            station.terminate();
            let dump = station.table_dump(now);
            if let Some(files) = watched.files.borrow_mut().as_mut() {
                self.written(files.rib.write_all(&dump), station.name());
            }
            watched.news.notify_one();
        }
        let _ = timeout(LAST_WORDS, followers.join_all()).await;
    }

    fn hear(&self, tapped: Tapped) {
        let Some(watched) = self.watched.get(tapped.router) else {
            return;
        };
        let mut station = watched.station.borrow_mut();
        let session = tapped.monitored.session;
        let router = watched.router.borrow();
        if let Observed::Missed { messages } = tapped.monitored.what {
            self.recorder.now(Fact::MonitoringMissed {
                router: station.name().to_owned(),
                session: router
                    .as_ref()
                    .and_then(|router| router.sessions().get(session.index()).cloned())
                    .unwrap_or_default(),
                count: messages,
            });
        }
        if let (true, Some(router)) = (tapped.wants_anew(), router.as_ref()) {
            router.tell_anew(session);
        }
        station.hear(self.clock.stamp(tapped.at), tapped.monitored.clone());
        let trace = station.take_trace();
        let mut files = watched.files.borrow_mut();
        if let (false, Some(of)) = (trace.is_empty(), files.as_mut())
            && !self.written(of.updates.write_all(&trace), station.name())
        {
            // Told once.
            *files = None;
        }
        if station.has_news() {
            watched.news.notify_one();
        }
    }

    fn written(&self, written: io::Result<()>, router: &str) -> bool {
        if let Err(error) = &written {
            let text = format!("failed to write the MRT files of {router}: {error}");
            self.recorder.now(Fact::Errored { text });
        }
        written.is_ok()
    }
}

/// Tells a collector what happens at one router.
struct Follower {
    watched: Rc<Watched>,
    collector: Collector,
    clock: Wall,
    recorder: Recorder,
}

impl Follower {
    async fn follow(self) {
        let mut told = None;
        let mut over = self.watched.over.subscribe();
        while !*over.borrow() {
            let Collector { reach, address } = &self.collector;
            let connected = tokio::select! {
                connected = timeout(CONNECT, reach.tcp(*address)) => connected,
                _ = over.wait_for(|over| *over) => return,
            };
            let (event, why) = match connected {
                Ok(Ok(stream)) => {
                    self.tell("connected", "");
                    told = None;
                    self.watched.station.borrow_mut().collector_connected();
                    let why = self.feed(stream).await;
                    self.watched.station.borrow_mut().collector_lost();
                    ("lost", why)
                }
                Ok(Err(error)) => ("unreachable", error.to_string()),
                Err(_) => ("unreachable", "no answer".to_owned()),
            };
            if *over.borrow() {
                return;
            }
            let news = Some((event, why));
            if told != news {
                if let Some((event, why)) = &news {
                    self.tell(event, why);
                }
                told = news;
            }
            // Until then, or until there is nothing to tell any more.
            let _ = timeout(AGAIN, over.wait_for(|over| *over)).await;
        }
    }

    fn tell(&self, event: &str, text: &str) {
        self.recorder.now(Fact::Collector {
            router: self.watched.station.borrow().name().to_owned(),
            address: self.collector.address.to_string(),
            event: event.to_owned(),
            text: text.to_owned(),
        });
    }

    /// Says what there is to say until the connection is lost; gives the reason.
    async fn feed(&self, mut stream: TcpStream) -> String {
        let (mut reading, mut writing) = stream.split();
        let mut statistics = interval(STATISTICS);
        let mut ignored = [0; 256];
        loop {
            let now = || self.clock.stamp(self.recorder.clock().now());
            let news = self.watched.station.borrow_mut().news(now());
            if self.watched.station.borrow().collector_overrun() {
                return "it reads too slowly, and hears everything anew".to_owned();
            }
            if !news.is_empty() {
                let bytes = news.concat();
                match timeout(STUCK, writing.write_all(&bytes)).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => return error.to_string(),
                    Err(_) => return format!("it has read nothing for {STUCK:?}"),
                }
            }
            if *self.watched.over.borrow() {
                let _ = writing.shutdown().await;
                return String::new();
            }
            tokio::select! {
                () = self.watched.news.notified() => {}
                _ = statistics.tick() => self.watched.station.borrow_mut().statistics(now()),
                // A collector says nothing; what it says all the same is not heard.
                read = reading.read(&mut ignored) => match read {
                    Ok(0) => return "closed by the collector".to_owned(),
                    Ok(_) => {}
                    Err(error) => return error.to_string(),
                },
            }
        }
    }
}
