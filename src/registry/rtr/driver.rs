//! Sockets for both sides of RTR.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::Intervals;
use super::cache::{Answer, Cache, Connection};
use super::client::{Client, Input, Output, Update};
use crate::bgp::origin_validation::VrpTable;
use crate::registry::service::{Place, Reach, Service};
use crate::time::{At, Clock};

/// Bytes read at once.
const READ: usize = 16 * 1024;
/// A router or cache that does not take for so long what is written is given up.
const WRITING: Duration = Duration::from_secs(30);
/// Updates that wait to be taken; a cache that changes faster is read slower.
const UPDATES: usize = 16;

/// Follows a cache from now on, until the receiver is dropped. Must be called in a tokio runtime with I/O and time.
pub fn follow(cache: SocketAddr, reach: Reach, clock: Clock) -> mpsc::Receiver<Update> {
    let (updates, taken) = mpsc::channel(UPDATES);
    tokio::spawn(async move {
        tokio::select! {
            () = drive(cache, &reach, clock, &updates) => {}
            () = updates.closed() => {}
        }
    });
    taken
}

async fn drive(cache: SocketAddr, reach: &Reach, clock: Clock, updates: &mpsc::Sender<Update>) {
    let mut client = Client::default();
    let mut stream: Option<TcpStream> = None;
    let mut connecting = false;
    let mut buffer = vec![0; READ];
    client.handle(clock.now(), Input::Start);
    loop {
        let mut failed = None;
        while let Some(output) = client.poll() {
            match output {
                Output::Connect => connecting = true,
                Output::Write(bytes) => {
                    if let Some(stream) = &mut stream {
                        failed = failed.or(write(stream, &bytes).await.err());
                    }
                }
                Output::Close => {
                    connecting = false;
                    stream = None;
                }
                Output::Update(update) => {
                    if updates.send(update).await.is_err() {
                        return;
                    }
                }
            }
        }
        if let Some(error) = failed.filter(|_| stream.is_some()) {
            stream = None;
            client.handle(clock.now(), Input::Closed(&error.to_string()));
            continue;
        }
        tokio::select! {
            made = reach.tcp(cache), if connecting => {
                connecting = false;
                match made {
                    Ok(made) => {
                        stream = Some(made);
                        client.handle(clock.now(), Input::Connected);
                    }
                    Err(error) => client.handle(clock.now(), Input::Closed(&error.to_string())),
                }
            }
            read = read(stream.as_mut(), &mut buffer) => match read {
                Ok(0) => {
                    stream = None;
                    client.handle(clock.now(), Input::Closed("the cache closed the connection"));
                }
                Ok(count) => client.handle(clock.now(), Input::Bytes(&buffer[..count])),
                Err(error) => {
                    stream = None;
                    client.handle(clock.now(), Input::Closed(&error.to_string()));
                }
            },
            () = until(client.deadline(), clock) => client.handle(clock.now(), Input::Deadline),
        }
    }
}

async fn read(stream: Option<&mut TcpStream>, buffer: &mut [u8]) -> io::Result<usize> {
    match stream {
        Some(stream) => stream.read(buffer).await,
        None => std::future::pending().await,
    }
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    tokio::time::timeout(WRITING, stream.write_all(bytes))
        .await
        .unwrap_or_else(|late| Err(late.into()))
}

async fn until(deadline: Option<At>, clock: Clock) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(clock.now())).await,
        None => std::future::pending().await,
    }
}

/// A cache in the lab, for the routers under test; dropped, it ends.
#[derive(Debug)]
pub struct Server {
    service: Service,
    cache: watch::Sender<Arc<Cache>>,
    intervals: Intervals,
}

impl Server {
    /// Begins to serve a table; `asked` hears who asks for what. Must be called in a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn start(
        place: Place,
        table: Arc<VrpTable>,
        intervals: Intervals,
        asked: impl Fn(SocketAddr, &str) + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let (cache, current) = watch::channel(Arc::new(Cache::new(session(), table, intervals)));
        let asked = Arc::new(asked);
        let serve = move |stream| serve(stream, current.clone(), Arc::clone(&asked));
        let service = Service::start(place, serve)?;
        Ok(Server {
            service,
            cache,
            intervals,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// The serial number of the present table.
    pub fn serial(&self) -> u32 {
        self.cache.borrow().serial()
    }

    /// Serves another table from now on, and tells the routers; `false` when it is the same.
    pub fn replace(&self, table: Arc<VrpTable>) -> bool {
        self.cache
            .send_if_modified(|cache| match cache.next(table) {
                Some(next) => {
                    *cache = Arc::new(next);
                    true
                }
                None => false,
            })
    }

    /// The cache dies: its port and its connections are closed.
    pub async fn die(&self) {
        self.service.die().await;
    }

    /// The cache comes back after [`Server::die`], in a new session, with the table it has.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub async fn live(&self) -> io::Result<()> {
        let table = Arc::clone(self.cache.borrow().table());
        let anew = Arc::new(Cache::new(session(), table, self.intervals));
        self.cache.send_replace(anew);
        self.service.live().await
    }
}

/// A session ID unlike the last one, for which chance is good enough (RFC 8210, section 5.1).
fn session() -> u16 {
    RandomState::new().hash_one(0) as u16
}

/// One router. It is read on only when it has taken its answer, so that it cannot pile up answers here.
async fn serve(
    mut stream: TcpStream,
    mut current: watch::Receiver<Arc<Cache>>,
    asked: Arc<impl Fn(SocketAddr, &str)>,
) {
    let Ok(router) = stream.peer_addr() else {
        return;
    };
    let mut connection = Connection::default();
    let mut buffer = vec![0; READ];
    current.mark_unchanged();
    loop {
        // Not marked as seen: a change while an answer is written is still told.
        let cache = Arc::clone(&current.borrow());
        let answer = connection.answer(&cache);
        if let Some(question) = connection.asked() {
            asked(router, &question);
        }
        let send: Bytes = match answer {
            Some(Answer::Send(bytes)) => bytes,
            Some(Answer::Last(bytes)) => {
                let _ = write(&mut stream, &bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Some(Answer::Close) => return,
            None => tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(count @ 1..) => {
                        connection.push(&buffer[..count]);
                        continue;
                    }
                    Ok(0) | Err(_) => return,
                },
                changed = current.changed() => match changed {
                    Ok(()) => {
                        let cache = Arc::clone(&current.borrow_and_update());
                        connection.notify(&cache).unwrap_or_default()
                    }
                    Err(_) => return,
                },
            },
        };
        if write(&mut stream, &send).await.is_err() {
            return;
        }
    }
}
