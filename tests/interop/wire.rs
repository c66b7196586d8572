//! What goes over the session, message by message, as our router tells it of a monitored session.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use peerlab::bgp::message::{Dialect, Framer, Message};
use peerlab::router::driver::Tapped;
use peerlab::router::{Conn, Observed};
use tokio::sync::mpsc::UnboundedReceiver;

/// What one end told the other.
#[derive(Debug, Default)]
pub struct Told {
    /// Prefixes with their next hops, as often as they were told.
    pub routes: Vec<(IpNet, IpAddr)>,
    /// ROUTE-REFRESH messages.
    pub refreshes: usize,
    /// NOTIFICATION messages: code and subcode.
    pub notifications: Vec<(u8, u8)>,
}

impl Told {
    /// The prefixes, each once.
    pub fn prefixes(&self) -> BTreeSet<IpNet> {
        self.routes.iter().map(|(prefix, _)| *prefix).collect()
    }
}

/// One direction of a connection.
struct Stream {
    conn: Conn,
    ours: bool,
    framer: Framer,
}

/// Both directions of a session.
pub struct Wire {
    taps: UnboundedReceiver<Tapped>,
    streams: Vec<Stream>,
    /// How UPDATEs read; before that is known nothing is read.
    dialect: Option<Dialect>,
    /// By the daemon, since [`Wire::forget`].
    pub received: Told,
    /// By us.
    pub sent: Told,
}

impl Wire {
    pub fn new(taps: UnboundedReceiver<Tapped>) -> Wire {
        Wire {
            taps,
            streams: Vec::new(),
            dialect: None,
            received: Told::default(),
            sent: Told::default(),
        }
    }

    /// Counts from here.
    pub fn forget(&mut self) {
        self.listen();
        self.received = Told::default();
        self.sent = Told::default();
    }

    /// Takes what was told meanwhile.
    pub fn listen(&mut self) {
        while let Ok(tapped) = self.taps.try_recv() {
            match &tapped.monitored.what {
                Observed::Received { conn, bytes } => self.push(*conn, false, bytes),
                Observed::Sent { conn, bytes } => self.push(*conn, true, bytes),
                Observed::Up { dialect, .. } => self.dialect = Some(*dialect),
                Observed::Closed { conn, .. } => {
                    self.streams.retain(|stream| stream.conn != *conn);
                }
                _ => {}
            }
            self.read();
        }
    }

    /// Whether AS numbers in paths have two octets (RFC 6793).
    pub fn is_in_two_octets(&self) -> bool {
        self.dialect.is_some_and(|dialect| !dialect.four_octet)
    }

    fn push(&mut self, conn: Conn, ours: bool, bytes: &[u8]) {
        let is_it = |stream: &&mut Stream| stream.conn == conn && stream.ours == ours;
        match self.streams.iter_mut().find(is_it) {
            Some(stream) => stream.framer.push(bytes),
            None => {
                let mut framer = Framer::default();
                framer.push(bytes);
                self.streams.push(Stream { conn, ours, framer });
            }
        }
    }

    fn read(&mut self) {
        let Some(dialect) = self.dialect else {
            return;
        };
        for stream in &mut self.streams {
            let told = if stream.ours {
                &mut self.sent
            } else {
                &mut self.received
            };
            while let Ok(Some(message)) = stream.framer.next(dialect) {
                match message {
                    Message::Update(update) => {
                        for announced in &update.announced {
                            let next_hop = announced.attributes.next_hop;
                            let prefixes = announced.nlri.iter().map(|nlri| nlri.prefix);
                            told.routes
                                .extend(prefixes.map(|prefix| (prefix, next_hop)));
                        }
                    }
                    Message::RouteRefresh(_) => told.refreshes += 1,
                    Message::Notification(last) => {
                        told.notifications.push((last.code, last.subcode));
                    }
                    Message::Open(_) | Message::Keepalive => {}
                }
            }
        }
    }
}
