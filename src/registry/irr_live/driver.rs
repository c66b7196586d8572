//! Sockets for both sides of a registry.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::Conversation;
use super::question::Asking;
use super::wire::{self, Replies, Reply, WireError};
use super::{Dialect, Questions};
use crate::registry::irr::Irr;
use crate::registry::service::{Place, Reach, Service};
use crate::time::{At, Clock};

/// A connection must be there after this.
const CONNECT: Duration = Duration::from_secs(10);
/// The next bytes of an answer must come after this.
const SILENCE: Duration = Duration::from_secs(30);
/// All answers must be there after this.
const WHOLE: Duration = Duration::from_secs(180);
/// Bytes of all answers together.
const BYTES: usize = 256 << 20;
/// Bytes of a question that is answered.
const LINE: u64 = 4096;
/// Bytes read at once.
const READ: usize = 16 * 1024;

/// Why a registry could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum IrrError {
    /// There is no connection.
    #[error("connect to the routing registry {server}: {source}")]
    Connect {
        /// The server.
        server: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A connection broke.
    #[error("ask the routing registry {server} `{query}`: {source}")]
    Connection {
        /// The server.
        server: SocketAddr,
        /// What was asked.
        query: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server does not answer a question.
    #[error("ask the routing registry {server} `{query}`: it refuses: {words}")]
    Refused {
        /// The server.
        server: SocketAddr,
        /// What was asked.
        query: String,
        /// Its own words.
        words: String,
    },
    /// It is no IRRd, or a broken one.
    #[error(
        "ask the routing registry {server} `{query}`: {source}; does it speak another protocol (`irrd`, `whois`)?"
    )]
    Wire {
        /// The server.
        server: SocketAddr,
        /// What was asked.
        query: String,
        /// What is wrong.
        #[source]
        source: WireError,
    },
    /// It is too slow, or has too much to say.
    #[error("ask the routing registry {server}: {what}")]
    Limit {
        /// The server.
        server: SocketAddr,
        /// Which limit was reached.
        what: String,
    },
}

/// What a registry answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// All objects.
    pub irr: Irr,
    /// The server that was asked.
    pub server: SocketAddr,
    /// When the last answer came: how old this is follows from it.
    pub at: At,
    /// What was not understood or not asked, for people.
    pub notes: Vec<String>,
}

/// Asks a server all that is to be known. Must be called in a tokio runtime with I/O and time.
///
/// # Errors
/// The server cannot be reached, is too slow, or does not answer one of the questions: then nothing is known.
pub async fn fetch(
    server: SocketAddr,
    dialect: Dialect,
    reach: &Reach,
    questions: &Questions,
    clock: Clock,
) -> Result<Fetched, IrrError> {
    let mut asking = Asking::new(dialect, questions);
    let limit = |what: String| IrrError::Limit { server, what };
    let asked = async {
        let mut asker = Asker {
            server,
            reach,
            left: BYTES,
        };
        match dialect {
            Dialect::Irrd => asker.irrd(&mut asking).await,
            Dialect::Whois => asker.whois(&mut asking).await,
        }
    };
    let late = |_| limit(format!("not all was answered within {WHOLE:?}"));
    timeout(WHOLE, asked).await.map_err(late)??;
    let (irr, notes) = asking.finish();
    Ok(Fetched {
        irr,
        server,
        at: clock.now(),
        notes,
    })
}

struct Asker<'a> {
    server: SocketAddr,
    reach: &'a Reach,
    /// Bytes that may still come.
    left: usize,
}

impl Asker<'_> {
    async fn connect(&self) -> Result<TcpStream, IrrError> {
        let server = self.server;
        let connected = timeout(CONNECT, self.reach.tcp(server)).await;
        let connected = connected.unwrap_or_else(|late| Err(late.into()));
        connected.map_err(|source| IrrError::Connect { server, source })
    }

    /// One question after another on one connection: an IRRd 4.5 leaves some of several at once unanswered.
    async fn irrd(&mut self, asking: &mut Asking) -> Result<(), IrrError> {
        let mut stream = self.connect().await?;
        let mut replies = Replies::default();
        let hello = concat!("!!\n!npeerlab ", env!("CARGO_PKG_VERSION"), "\n");
        self.ask(&mut stream, &mut replies, hello).await?;
        while let Some(query) = asking.poll() {
            let line = query.line(Dialect::Irrd);
            let reply = self.ask(&mut stream, &mut replies, &line).await?;
            asking.take(&query, &reply);
        }
        // Whether it hears that is its own affair.
        let _ = write(&mut stream, "!q\n").await;
        Ok(())
    }

    /// Writes lines of which the last is answered, and gives the answer.
    async fn ask(
        &mut self,
        stream: &mut TcpStream,
        replies: &mut Replies,
        lines: &str,
    ) -> Result<Reply, IrrError> {
        let server = self.server;
        let query = lines.lines().last().unwrap_or_default();
        let broken = |source| self.broken(query, source);
        write(stream, lines).await.map_err(broken)?;
        let mut buffer = [0; READ];
        loop {
            let taken = replies.take().map_err(|source| IrrError::Wire {
                server,
                query: query.to_owned(),
                source,
            })?;
            if let Some(reply) = taken {
                return self.unless_refused(reply, query);
            }
            let count = self.read(stream, &mut buffer, query).await?;
            if count == 0 {
                let closed =
                    io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection");
                return Err(self.broken(query, closed));
            }
            replies.push(&buffer[..count]);
        }
    }

    /// One connection for each question, whose answer ends with it.
    async fn whois(&mut self, asking: &mut Asking) -> Result<(), IrrError> {
        while let Some(query) = asking.poll() {
            let line = query.line(Dialect::Whois);
            let asked = line.trim_end();
            let mut stream = self.connect().await?;
            write(&mut stream, &line)
                .await
                .map_err(|source| self.broken(asked, source))?;
            let mut text = Vec::new();
            let mut buffer = [0; READ];
            loop {
                match self.read(&mut stream, &mut buffer, asked).await? {
                    0 => break,
                    count => text.extend_from_slice(&buffer[..count]),
                }
            }
            let reply = wire::whois(&String::from_utf8_lossy(&text));
            let reply = self.unless_refused(reply, asked)?;
            asking.take(&query, &reply);
        }
        Ok(())
    }

    async fn read(
        &mut self,
        stream: &mut TcpStream,
        buffer: &mut [u8],
        query: &str,
    ) -> Result<usize, IrrError> {
        let read = timeout(SILENCE, stream.read(buffer)).await;
        let read = read.unwrap_or_else(|late| Err(late.into()));
        let count = read.map_err(|source| self.broken(query, source))?;
        self.left = self
            .left
            .checked_sub(count)
            .ok_or_else(|| IrrError::Limit {
                server: self.server,
                what: format!("its answers are longer than {BYTES} bytes"),
            })?;
        Ok(count)
    }

    fn unless_refused(&self, reply: Reply, query: &str) -> Result<Reply, IrrError> {
        match reply {
            Reply::Refused(words) => Err(IrrError::Refused {
                server: self.server,
                query: query.to_owned(),
                words,
            }),
            Reply::Text(_) | Reply::Nothing => Ok(reply),
        }
    }

    fn broken(&self, query: &str, source: io::Error) -> IrrError {
        IrrError::Connection {
            server: self.server,
            query: query.to_owned(),
            source,
        }
    }
}

async fn write(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    timeout(SILENCE, stream.write_all(text.as_bytes()))
        .await
        .unwrap_or_else(|late| Err(late.into()))
}

/// A registry in the lab, for the routers under test and their tools; dropped, it ends.
#[derive(Debug)]
pub struct Server {
    service: Service,
    irr: watch::Sender<Arc<Irr>>,
}

impl Server {
    /// Begins to answer from these objects. Must be called in a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn start(place: Place, irr: Arc<Irr>) -> io::Result<Server> {
        let (irr, current) = watch::channel(irr);
        let service = Service::start(place, move |stream| serve(stream, current.clone()))?;
        Ok(Server { service, irr })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// Answers from other objects from now on.
    pub fn replace(&self, irr: Arc<Irr>) {
        self.irr.send_replace(irr);
    }

    /// The registry dies: its port and its connections are closed.
    pub async fn die(&self) {
        self.service.die().await;
    }

    /// It comes back after [`Server::die`].
    ///
    /// # Errors
    /// The port cannot be opened.
    pub async fn live(&self) -> io::Result<()> {
        self.service.live().await
    }
}

/// One asker. The next question is read when the last answer was taken.
async fn serve(mut stream: TcpStream, current: watch::Receiver<Arc<Irr>>) {
    let mut conversation = Conversation::default();
    let (read, mut write_half) = stream.split();
    let mut lines = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut lines).take(LINE);
        match timeout(conversation.idle, bounded.read_until(b'\n', &mut line)).await {
            Ok(Ok(1..)) if line.ends_with(b"\n") => {}
            // Too long, or over.
            _ => return,
        }
        let irr = Arc::clone(&current.borrow());
        let said = conversation.hear(&irr, &String::from_utf8_lossy(&line));
        let written = timeout(SILENCE, write_half.write_all(said.text.as_bytes())).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
        if !said.more {
            let _ = write_half.shutdown().await;
            return;
        }
    }
}
