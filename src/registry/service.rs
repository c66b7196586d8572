//! A TCP server that can die and come back while the rest goes on, and the ways to reach one.
//!
//! Each connection is a task of its own, which lives no longer than its server.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::kernel::namespace::Namespace;
use crate::kernel::outside::Outside;

/// Connections at the same time; more wait in the kernel.
const CONNECTIONS: usize = 256;
/// A listener that fails (no more open files) is tried again after this.
const AGAIN: Duration = Duration::from_millis(200);

/// Where a server listens: opened anew each time it comes back.
#[derive(Debug, Clone)]
pub enum Place {
    /// At an address of the network this thread is in.
    Here(SocketAddr),
    /// At a port of all IPv4 addresses of a namespace.
    In(Arc<Namespace>, u16),
}

impl Place {
    fn listen(&self) -> io::Result<TcpListener> {
        let listener = match self {
            Place::Here(address) => std::net::TcpListener::bind(address)?,
            Place::In(namespace, port) => {
                let bind = || std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port));
                namespace.run(bind).map_err(io::Error::other)??
            }
        };
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }
}

/// How a server is reached.
#[derive(Clone)]
pub enum Reach {
    /// From the network this thread is in.
    Here,
    /// From the network outside of the lab.
    Outside(Arc<Outside>),
}

impl Reach {
    /// Connects; the caller sets the limit of time.
    pub async fn tcp(&self, server: SocketAddr) -> io::Result<TcpStream> {
        let stream = match self {
            Reach::Here => TcpStream::connect(server).await?,
            Reach::Outside(outside) => outside.tcp(server).await?,
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reach::Here => "Here",
            Reach::Outside(_) => "Outside",
        })
    }
}

enum Command {
    Die(oneshot::Sender<()>),
    Live(oneshot::Sender<io::Result<()>>),
}

/// A running TCP server; dropped, it ends.
#[derive(Debug)]
pub struct Service {
    commands: mpsc::UnboundedSender<Command>,
    address: SocketAddr,
}

impl Service {
    /// Listens, and gives each connection to `serve`. Must be called in a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn start<Served>(
        mut place: Place,
        serve: impl Fn(TcpStream) -> Served + Send + 'static,
    ) -> io::Result<Service>
    where
        Served: Future<Output = ()> + Send + 'static,
    {
        let listener = place.listen()?;
        let address = listener.local_addr()?;
        if let Place::Here(asked) = &mut place {
            // Port 0 stands for any; it must come back at the same.
            *asked = address;
        }
        let (commands, asked) = mpsc::unbounded_channel();
        tokio::spawn(run(place, listener, asked, serve));
        Ok(Service { commands, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and all connections, as when the server's process is killed.
    pub async fn die(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Die(done)).is_ok() {
            let _ = wait.await;
        }
    }

    /// Opens the port again after [`Service::die`].
    ///
    /// # Errors
    /// The port cannot be opened.
    pub async fn live(&self) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        let gone = || io::Error::other("the runtime of the server is gone");
        self.commands
            .send(Command::Live(done))
            .map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }
}

async fn run<Served>(
    place: Place,
    listener: TcpListener,
    mut commands: mpsc::UnboundedReceiver<Command>,
    serve: impl Fn(TcpStream) -> Served,
) where
    Served: Future<Output = ()> + Send + 'static,
{
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut refused = false;
    loop {
        let room = connections.len() < CONNECTIONS;
        tokio::select! {
            command = commands.recv() => match command {
                None => return,
                Some(Command::Die(done)) => {
                    listener = None;
                    connections.shutdown().await;
                    let _ = done.send(());
                }
                Some(Command::Live(done)) => {
                    let opened = match listener {
                        Some(_) => Ok(()),
                        None => place.listen().map(|opened| listener = Some(opened)),
                    };
                    let _ = done.send(opened);
                }
            },
            accepted = accept(listener.as_ref(), refused), if room => {
                refused = accepted.is_err();
                match accepted {
                    Ok(stream) => {
                        connections.spawn(serve(stream));
                    }
                    Err(error) => tracing::warn!("accept a connection: {error}"),
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The next connection. After one that the kernel refused, it rests first; commands are heard meanwhile.
async fn accept(listener: Option<&TcpListener>, refused: bool) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => {
            if refused {
                tokio::time::sleep(AGAIN).await;
            }
            let (stream, _) = listener.accept().await?;
            // One that is gone already is found out by who serves it.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        None => std::future::pending().await,
    }
}
