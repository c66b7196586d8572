//! Data that comes on a member which must not carry any: the first few frames, and how many there were.

use std::mem::size_of;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use socket2::{Domain, Type};

use super::{Socket, SocketError, Trying, bind_link, ignore_outgoing};
use crate::kernel::bpf::programs;

/// Enough of a frame to say what it is.
const KEPT: u32 = 128;

impl Socket {
    /// Sees data that one link receives (see [`programs::data`]), and keeps the beginnings of the first few frames. All of them are
    /// counted ([`Socket::passed`]), and however many come, who waits for the socket (edge-triggered) is woken for these few alone.
    ///
    /// Frames are seen before filters on ingress. To close it takes milliseconds: the kernel waits for all CPUs.
    pub fn data(link: u32) -> Result<Socket, SocketError> {
        let trying = Trying(|| format!("data on link {link}"));
        let inner = trying.socket(Domain::PACKET, Type::RAW, None)?;
        trying.filter(&inner, &programs::data(KEPT))?;
        trying.timestamps(&inner)?;
        // The kernel makes it its minimum, of two or three frames.
        trying.step("receive buffer", inner.set_recv_buffer_size(1))?;
        trying.step("leave out what is sent", ignore_outgoing(&inner))?;
        trying.step("bind", bind_link(&inner, link, libc::ETH_P_ALL as u16))?;
        Ok(Socket { inner })
    }

    /// How many frames passed the filter of an AF_PACKET socket since this was last asked, also those that it had no room for.
    pub fn passed(&self) -> u32 {
        let mut passed = libc::tpacket_stats {
            tp_packets: 0,
            tp_drops: 0,
        };
        let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: the option writes a tpacket_stats, which the pointer and the length describe, and how long it is.
        let result = unsafe {
            libc::getsockopt(
                self.inner.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut passed).cast(),
                &raw mut length,
            )
        };
        match Errno::result(result) {
            Ok(_) => passed.tp_packets,
            Err(_) => 0,
        }
    }
}
