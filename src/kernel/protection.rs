//! What the kernel counts of TCP segments it dropped unseen: for their TCP MD5 signature, or their TTL.
//!
//! A neighbour with another key, or further away than TTL security allows, is not refused: nothing is heard of it. The
//! counters (/proc/net/netstat, group `TcpExt`) are of a whole namespace, so they tell that it happens, not to whom.
//!
//! **Invariant:** only reads.

use std::fs;
use std::io;
use std::ops::Sub;

/// Segments dropped in a namespace since it was made, or between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Not signed though a key is set (`TCPMD5NotFound`).
    pub unsigned: u64,
    /// Signed though no key is set (`TCPMD5Unexpected`).
    pub unexpected: u64,
    /// Signed with another key (`TCPMD5Failure`).
    pub mismatched: u64,
    /// From too far away (`TCPMinTTLDrop`).
    pub far: u64,
}

impl Dropped {
    /// What was dropped so far in the namespace of this thread.
    pub fn here() -> io::Result<Dropped> {
        Ok(Dropped::parse(&fs::read_to_string(
            "/proc/thread-self/net/netstat",
        )?))
    }

    /// Reads pairs of lines, names and numbers. What is not there counts as 0.
    fn parse(text: &str) -> Dropped {
        let mut lines = text.lines();
        let mut dropped = Dropped::default();
        while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
            for (name, number) in names.split(' ').zip(numbers.split(' ')) {
                let place = match name {
                    "TCPMD5NotFound" => &mut dropped.unsigned,
                    "TCPMD5Unexpected" => &mut dropped.unexpected,
                    "TCPMD5Failure" => &mut dropped.mismatched,
                    "TCPMinTTLDrop" => &mut dropped.far,
                    _ => continue,
                };
                *place = number.parse().unwrap_or(0);
            }
        }
        dropped
    }

    /// In words; `None` when nothing was dropped.
    pub fn words(&self) -> Option<String> {
        let told: Vec<String> = [
            (self.mismatched, "signed with another TCP MD5 key"),
            (self.unsigned, "without TCP MD5 signature"),
            (self.unexpected, "with a TCP MD5 signature nobody asked for"),
            (self.far, "with too low a TTL"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        (!told.is_empty()).then(|| format!("segments dropped here: {}", told.join(", ")))
    }
}

impl Sub for Dropped {
    type Output = Dropped;

    fn sub(self, before: Dropped) -> Dropped {
        Dropped {
            unsigned: self.unsigned.saturating_sub(before.unsigned),
            unexpected: self.unexpected.saturating_sub(before.unexpected),
            mismatched: self.mismatched.saturating_sub(before.mismatched),
            far: self.far.saturating_sub(before.far),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let text = "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Failure TCPMinTTLDrop\n\
                    TcpExt: 7 1 2 30\nIpExt: InNoRoutes\nIpExt: 0\n";
        let after = Dropped::parse(text);
        let before = Dropped {
            unsigned: 1,
            far: 29,
            ..Dropped::default()
        };
        let words = (after - before).words();
        assert_eq!(
            words.as_deref(),
            Some("segments dropped here: 2 signed with another TCP MD5 key, 1 with too low a TTL")
        );
        assert_eq!((after - after).words(), None);
        assert_eq!(Dropped::parse("one line"), Dropped::default());
    }
}
