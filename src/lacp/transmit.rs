//! The transmit machine's limit: three LACPDUs in any Fast_Periodic_Time (IEEE 802.1AX, 6.4.16).
//!
//! Need To Transmit is a flag, so all that changes before a LACPDU may leave is told by that one.

use super::periodic::FAST_PERIODIC_TIME;
use crate::time::At;

/// Most LACPDUs in any [`FAST_PERIODIC_TIME`].
pub const LIMIT: usize = 3;

/// When the last LACPDUs of a port were sent, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent([Option<At>; LIMIT]);

impl Sent {
    /// The moment from which one more may be sent.
    pub fn free_at(&self) -> At {
        self.0[0].map_or(At::ZERO, |oldest| oldest + FAST_PERIODIC_TIME)
    }

    /// One was sent.
    pub fn note(&mut self, now: At) {
        self.0.rotate_left(1);
        self.0[LIMIT - 1] = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_any_second() {
        let mut sent = Sent::default();
        let mut times = Vec::new();
        for millis in 0..4000 {
            let now = At::from_millis(millis);
            if now >= sent.free_at() {
                sent.note(now);
                times.push(millis);
            }
        }
        let expected: Vec<u64> = (0..4)
            .flat_map(|s| (0..3).map(move |i| s * 1000 + i))
            .collect();
        assert_eq!(times, expected);
    }
}
