//! A connection as the neighbour at its other end has it.

use std::collections::BTreeSet;

use ipnet::IpNet;
use peerlab::bgp::message::{Dialect, Framer, Message};
use peerlab::router::Conn;

/// A connection of a session, and what the neighbour heard on it.
pub struct Wire {
    pub session: usize,
    pub conn: Conn,
    pub told: BTreeSet<(IpNet, u32)>,
    /// Bytes that the kernel has not taken.
    pub unwritten: usize,
}

impl Wire {
    /// The neighbour reads what the router wrote: whole messages, without a fault.
    pub fn hear(&mut self, bytes: &[u8], dialect: Dialect) {
        let mut framer = Framer::default();
        framer.push(bytes);
        while let Some(message) = framer.next(dialect).expect("a message in order") {
            let Message::Update(update) = message else {
                continue;
            };
            assert!(update.malformed.is_empty(), "{:?}", update.malformed);
            for nlri in update.withdrawn {
                let known = self.told.remove(&(nlri.prefix, nlri.path_id));
                assert!(known, "{} was never told", nlri.prefix);
            }
            for nlri in update.announced.into_iter().flat_map(|part| part.nlri) {
                self.told.insert((nlri.prefix, nlri.path_id));
            }
        }
    }
}
