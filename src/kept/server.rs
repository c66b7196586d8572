//! The lab's end: takes connections and answers each its one question.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;

use super::answer::{Known, Reply};
use super::protocol::LONGEST_REQUEST;
use super::{Answer, Name, Request};
use crate::kernel::join::Namespaces;
use crate::kernel::unix::{self, Peer};
use crate::lab::window::Window;
use crate::view::History;

/// Clients at a time; the others wait to be accepted.
const CLIENTS: usize = 8;
/// A question is there at once, or it is none.
const ASKING: Duration = Duration::from_secs(2);
/// How long a client may not read.
const READING: Duration = Duration::from_secs(20);

/// The lab listens. Dropped, it listens no more.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<()>,
}

impl Server {
    /// Answers for a lab of this name on a socket that is open ([`unix::open`]). Who asks for the lab's end is heard on `end`. Must be called
    /// inside a tokio `LocalSet`.
    ///
    /// # Errors
    /// The socket cannot be watched.
    pub fn start(
        name: Name,
        socket: OwnedFd,
        window: Window,
        history: Rc<RefCell<History>>,
        end: UnboundedSender<&'static str>,
    ) -> io::Result<Server> {
        let listener = UnixListener::from_std(socket.into())?;
        let known = Known {
            name,
            window,
            history,
        };
        let task = spawn_local(async move {
            let free = Arc::new(Semaphore::new(CLIENTS));
            // It is never closed.
            while let Ok(seat) = free.clone().acquire_owned().await {
                // What fails is the client's connection; there is nothing else that could.
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let (known, end) = (known.clone(), end.clone());
                spawn_local(async move {
                    if let Err(error) = serve(stream, &known, &end).await {
                        tracing::debug!(%error, "a client was given up");
                    }
                    drop(seat);
                });
            }
        });
        Ok(Server { task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: UnixStream,
    known: &Known,
    end: &UnboundedSender<&'static str>,
) -> io::Result<()> {
    if Peer::of(&stream)?.uid != geteuid() {
        return say(&mut stream, &Answer::wrong("this lab is another user's")).await;
    }
    let request = match timeout(ASKING, question(&mut stream)).await {
        Ok(request) => request?,
        Err(_) => return Ok(()),
    };
    let Some(request) = request else {
        let wrong =
            Answer::wrong("the lab does not understand: another version of peerlab keeps it");
        return say(&mut stream, &wrong).await;
    };
    tracing::debug!(?request, "asked");
    if request == Request::Down {
        let _ = end.send("`peerlab down`");
    }
    match known.answer(request).await {
        Reply::Line(answer, None) => say(&mut stream, &answer).await?,
        Reply::Line(answer, Some(place)) => pass(&mut stream, &answer, &place).await?,
        Reply::Pages(mut pages) => {
            while let Some(page) = pages.next().await {
                say(&mut stream, &page).await?;
            }
        }
    }
    say(&mut stream, &Answer::End).await
}

/// One line, if it is a question.
async fn question(stream: &mut UnixStream) -> io::Result<Option<Request>> {
    let mut text = Vec::new();
    let mut limited = stream.take(LONGEST_REQUEST as u64);
    while !text.ends_with(b"\n") {
        if limited.read_buf(&mut text).await? == 0 {
            break;
        }
    }
    Ok(serde_json::from_slice(&text).ok())
}

/// Sends a line, the first bytes of it with the namespaces.
async fn pass(stream: &mut UnixStream, answer: &Answer, place: &Namespaces) -> io::Result<()> {
    let text = line(answer)?;
    let passed = place.descriptors().map(AsFd::as_fd);
    let send = stream.async_io(Interest::WRITABLE, || unix::send(stream, &text, &passed));
    let sent = timeout(READING, send).await??;
    write(stream, text.get(sent..).unwrap_or_default()).await
}

async fn say(stream: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    let text = line(answer)?;
    write(stream, &text).await
}

async fn write(stream: &mut UnixStream, text: &[u8]) -> io::Result<()> {
    timeout(READING, stream.write_all(text)).await?
}

fn line(answer: &Answer) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    Ok(text)
}

impl Answer {
    fn wrong(message: &str) -> Answer {
        Answer::Wrong {
            message: message.to_owned(),
            help: None,
        }
    }
}
