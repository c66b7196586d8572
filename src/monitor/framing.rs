//! Cuts bytes into BGP messages by their length alone: a monitor passes on what it does not judge.

use bytes::{Bytes, BytesMut};

/// Octets before a message's body (RFC 4271, section 4.1).
pub(super) const HEADER: usize = 19;

/// What was received of a connection and is no whole message yet: at most 65,535 octets.
#[derive(Debug, Default)]
pub(super) struct Framing {
    buffer: BytesMut,
    /// A header made no sense; nothing that follows can be cut.
    lost: bool,
    /// Something is missing: cut again from the next header on.
    seeking: bool,
}

impl Framing {
    /// Something between what was pushed and what comes is missing.
    pub(super) fn missed(&mut self) {
        self.buffer.clear();
        self.seeking = true;
    }

    /// Drops what stands before the next header.
    fn seek(&mut self) {
        let is_header = |window: &[u8]| {
            let length = u16::from_be_bytes([window[16], window[17]]);
            window[..16] == [0xff; 16]
                && (19..u16::MAX).contains(&length)
                && (1..=5).contains(&window[18])
        };
        match self.buffer.windows(HEADER).position(is_header) {
            Some(place) => {
                drop(self.buffer.split_to(place));
                self.seeking = false;
            }
            // A header may have begun.
            None => {
                let end = self.buffer.len().saturating_sub(HEADER - 1);
                drop(self.buffer.split_to(end));
            }
        }
    }

    /// The messages that are whole with these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Bytes> {
        let mut messages = Vec::new();
        if self.lost {
            return messages;
        }
        self.buffer.extend_from_slice(bytes);
        if self.seeking {
            self.seek();
            if self.seeking {
                return messages;
            }
        }
        while let Some(header) = self.buffer.get(..HEADER) {
            let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
            if header[..16] != [0xff; 16] || length < HEADER {
                self.lost = true;
                self.buffer = BytesMut::new();
                break;
            }
            if self.buffer.len() < length {
                break;
            }
            messages.push(self.buffer.split_to(length).freeze());
        }
        messages
    }
}

/// The type of a whole message.
pub(super) fn kind(message: &[u8]) -> u8 {
    message.get(HEADER - 1).copied().unwrap_or(0)
}
