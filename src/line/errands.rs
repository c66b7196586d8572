//! What would make the line thread late is done on a thread of its own: opening and closing the sockets that see early data.
//!
//! To close such a socket takes 10 ms and longer, since the kernel waits for all CPUs (`synchronize_net`); BFD would miss that.

use std::io;
use std::sync::{Arc, mpsc};

use super::{Asker, Command, End};
use crate::kernel::namespace::Namespace;
use crate::kernel::socket::Socket;

/// Something to do.
#[derive(Debug)]
pub(super) enum Errand {
    /// Close a socket.
    Close(Socket),
    /// Open a socket that sees data on a member of a LAG, counted from 0, and hand it over.
    Open {
        end: End,
        member: u8,
        link: u32,
        place: Arc<Namespace>,
    },
}

/// Where errands are given. Those of a thread that is gone are left undone.
pub(super) type Errands = mpsc::Sender<Errand>;

/// Starts the thread; it ends when nobody can give it anything any more.
pub(super) fn start(asker: Asker) -> io::Result<Errands> {
    let (errands, given) = mpsc::channel();
    std::thread::Builder::new()
        .name("line-errands".into())
        .spawn(move || {
            while let Ok(errand) = given.recv() {
                run(errand, &asker);
            }
        })?;
    Ok(errands)
}

fn run(errand: Errand, asker: &Asker) {
    match errand {
        Errand::Close(socket) => drop(socket),
        Errand::Open {
            end,
            member,
            link,
            place,
        } => {
            let opened = place.run(|| Socket::data(link));
            let socket = match opened {
                Ok(Ok(socket)) => Ok(socket),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            asker.tell(Command::DataSocket(end, member, socket));
        }
    }
}
