//! What a cable does to the frames that leave one of its ends: the root queueing discipline of a link, tc-netem(8) and
//! tc-tbf(8).
//!
//! A queue only exists where frames leave a device, so a direction of a cable is impaired where it begins. Filters come
//! first: a frame that a fault drops never waits here. LACPDUs wait as all other frames do.
//!
//! The rate is tbf's, behind netem where both are needed; frames wait for at most `WAIT`.

use std::time::Duration;

use nix::errno::Errno;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};

use super::netlink::{Netlink, NetlinkError};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
/// `TC_H_ROOT`.
const ROOT: u32 = 0xffff_ffff;
/// The handle of the discipline at the root, and of the one behind netem.
const FIRST: u32 = 0x0001_0000;
const SECOND: u32 = 0x0002_0000;
/// The one class of netem: what stands behind it.
const BEHIND_NETEM: u32 = 0x0001_0001;

/// How long a frame waits at most for the rate, before it is lost.
const WAIT: Duration = Duration::from_millis(50);
/// Room for so many bytes at least, however low the rate is: ten frames.
const ROOM: u64 = 15_140;
/// So much may leave at once, however low the rate is: two frames.
const BURST: u64 = 3_028;
/// Frames under way at most: 10 s of a million packets a second would be more than a lab can hold.
const UNDER_WAY: u32 = 100_000;

/// What happens to frames on their way; the default is nothing. Shares are in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// How much later frames arrive.
    pub delay: Duration,
    /// How far the delay of each frame differs from it at most.
    pub jitter: Duration,
    /// Frames that arrive twice.
    pub duplication: u32,
    /// Frames that are not delayed; of use with a delay only.
    pub reordering: u32,
    /// Frames of which one bit is flipped.
    pub corruption: u32,
    /// Bytes a second, frames with their Ethernet headers.
    pub rate: Option<u64>,
}

impl Queue {
    /// Whether netem is needed.
    fn is_netem(&self) -> bool {
        *self
            != Queue {
                rate: self.rate,
                ..Queue::default()
            }
    }
}

/// Lets frames that leave a link wait in such a queue; one that stood there before must have been taken away.
///
/// # Errors
/// What the kernel refused; see [`lacking`]. Nothing stands there then.
pub fn set(netlink: &mut Netlink, link: u32, queue: &Queue) -> Result<(), NetlinkError> {
    let netem = queue.is_netem();
    if netem {
        add(netlink, link, (ROOT, FIRST), "netem", &netem_options(queue));
    }
    if let Some(rate) = queue.rate {
        let place = match netem {
            true => (BEHIND_NETEM, SECOND),
            false => (ROOT, FIRST),
        };
        add(netlink, link, place, "tbf", &tbf_options(rate));
    }
    let set = netlink.commit();
    if set.is_err() {
        // What is refused because it was never there needs no mention.
        let _ = clear(netlink, link);
    }
    set
}

/// Takes away the queue of a link, and all that waits in it.
///
/// # Errors
/// What the kernel refused, as when there is none.
pub fn clear(netlink: &mut Netlink, link: u32) -> Result<(), NetlinkError> {
    let body = message(link, (ROOT, 0));
    netlink.queue_raw(RTM_DELQDISC, 0, &body, move || {
        format!("take away the queue of link {link}")
    });
    netlink.commit()
}

/// The discipline that this kernel does not have, when that is why it refused.
pub fn lacking(error: &NetlinkError) -> Option<&'static str> {
    let mut refusals = error.refusals().iter();
    let refusal = refusals.find(|refusal| refusal.errno == Errno::ENOENT)?;
    let kinds = ["netem", "tbf"];
    kinds
        .into_iter()
        .find(|kind| refusal.operation.contains(kind))
}

fn add(netlink: &mut Netlink, link: u32, place: (u32, u32), kind: &'static str, options: &[u8]) {
    let mut body = message(link, place);
    body.extend(attribute(1, format!("{kind}\0").as_bytes()));
    body.extend(attribute(2, options));
    netlink.queue_raw(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &body, move || {
        format!("add {kind} to link {link}")
    });
}

/// `struct tcmsg`: family, index, handle, parent, info.
fn message(link: u32, (parent, handle): (u32, u32)) -> Vec<u8> {
    let words = [0, link, handle, parent, 0];
    words.into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// `struct tc_netem_qopt` (latency, limit, loss, gap, duplicate, jitter), then attributes.
fn netem_options(queue: &Queue) -> Vec<u8> {
    const TCA_NETEM_REORDER: u16 = 3;
    const TCA_NETEM_CORRUPT: u16 = 4;
    const TCA_NETEM_LATENCY64: u16 = 10;
    const TCA_NETEM_JITTER64: u16 = 11;
    // Every frame may overtake, as iproute2 has it.
    let gap = u32::from(queue.reordering > 0);
    let words = [0, UNDER_WAY, 0, gap, probability(queue.duplication), 0];
    let mut options: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    for (kind, share) in [
        (TCA_NETEM_REORDER, queue.reordering),
        (TCA_NETEM_CORRUPT, queue.corruption),
    ] {
        // A probability, and no correlation with the frame before.
        if share > 0 {
            let words = [probability(share), 0];
            let words: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
            options.extend(attribute(kind, &words));
        }
    }
    for (kind, time) in [
        (TCA_NETEM_LATENCY64, queue.delay),
        (TCA_NETEM_JITTER64, queue.jitter),
    ] {
        let nanos = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        options.extend(attribute(kind, &nanos.to_ne_bytes()));
    }
    options
}

/// `struct tc_tbf_qopt`: two rates of 12 bytes, limit, buffer, mtu; the rate in bytes a second stands last in its own.
fn tbf_options(rate: u64) -> Vec<u8> {
    const TCA_TBF_PARMS: u16 = 1;
    const TCA_TBF_RATE64: u16 = 4;
    const TCA_TBF_BURST: u16 = 6;
    let share = |time: Duration| (u128::from(rate) * time.as_micros() / 1_000_000) as u64;
    let limit = share(WAIT).max(ROOM);
    let burst = share(WAIT / 10).max(BURST);
    let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_ne_bytes();
    let mut parameters = [0; 36];
    parameters[8..12].copy_from_slice(&word(rate));
    parameters[24..28].copy_from_slice(&word(limit));
    let mut options = attribute(TCA_TBF_PARMS, &parameters);
    options.extend(attribute(TCA_TBF_BURST, &word(burst)));
    options.extend(attribute(TCA_TBF_RATE64, &rate.to_ne_bytes()));
    options
}

/// A share in millionths as the kernel draws: of 2^32 - 1.
fn probability(millionths: u32) -> u32 {
    let share = u64::from(millionths.min(1_000_000));
    (share * u64::from(u32::MAX) / 1_000_000) as u32
}

/// A netlink attribute, padded to 4 bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
