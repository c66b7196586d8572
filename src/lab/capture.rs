//! Frames on the members' cables, as they are at Microsoft's end, in one pcap file for each member.
//!
//! A frame stands in the file as the cable carries it: what arrives before a fault on this side loses it, what is sent
//! only if no fault has. Times are the kernel's, in nanoseconds.
//!
//! The format is that of libpcap (draft-ietf-opsawg-pcap), which tcpdump and Wireshark read.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{LabError, namespace};
use crate::kernel::apply::Network;
use crate::kernel::bpf::programs;
use crate::kernel::socket::{Received, Socket, SocketError};
use crate::plan::of_topology::Layout;
use crate::record::{Fact, Recorder};
use crate::time::Clock;

/// pcap with nanoseconds, in the byte order of this machine.
const MAGIC: u32 = 0xa1b2_3c4d;
/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;
/// Longer than any frame here.
const LONGEST: u32 = 65_535;

/// Why frames could not be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A file or its folder could not be made.
    #[error("make {path}: {source}")]
    Make {
        /// Which.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// Frames cannot be seen.
    #[error(transparent)]
    Tap(#[from] SocketError),
    /// The thread could not be started.
    #[error("start the capture: {0}")]
    Thread(#[source] io::Error),
}

/// A capture that goes on until it is dropped.
#[derive(Debug)]
pub struct Capture {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Captures on every member of every connection into `folder/CONNECTION.MEMBER.pcap`.
    pub fn start(
        folder: &Path,
        layout: &Layout,
        network: &Network,
        recorder: &Recorder,
    ) -> Result<Capture, LabError> {
        make(folder, fs::create_dir_all(folder))?;
        let clock = recorder.clock();
        let mut members = Vec::new();
        for connection in &layout.connections {
            let place = namespace(network, &connection.edge.line_card)?;
            for ((link, _), number) in connection.edge.members.iter().zip(1..) {
                let tap = place.run(|| Socket::tap(*link, &programs::everything(LONGEST)))?;
                let tap = tap.map_err(CaptureError::from)?;
                let path = folder.join(format!("{}.{number}.pcap", connection.name));
                let file = make(&path, File::create(&path))?;
                members.push(Member {
                    tap,
                    file: make(&path, Pcap::begin(BufWriter::new(file), clock))?,
                    path,
                });
            }
        }
        let (stop, stopped) = UnixStream::pair().map_err(CaptureError::Thread)?;
        let recorder = recorder.clone();
        let thread = thread::Builder::new()
            .name("capture".into())
            .spawn(move || {
                if let Err((path, error)) = write_all(&mut members, &stopped, clock) {
                    let text = format!("failed to write {}: {error}", path.display());
                    recorder.now(Fact::Errored { text });
                }
            })
            .map_err(CaptureError::Thread)?;
        Ok(Capture {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it was told on standard error.
            let _ = thread.join();
        }
    }
}

fn make<T>(path: &Path, made: io::Result<T>) -> Result<T, CaptureError> {
    made.map_err(|source| CaptureError::Make {
        path: path.to_owned(),
        source,
    })
}

/// One member's frames.
struct Member {
    tap: Socket,
    path: PathBuf,
    file: Pcap<BufWriter<File>>,
}

/// Writes frames until the other end of `stopped` is closed, and then those that are still waiting.
fn write_all(
    members: &mut [Member],
    stopped: &UnixStream,
    clock: Clock,
) -> Result<(), (PathBuf, io::Error)> {
    let mut buffer = vec![0; LONGEST as usize];
    loop {
        let mut events: Vec<PollFd<'_>> = members
            .iter()
            .map(|member| PollFd::new(member.tap.as_fd(), PollFlags::POLLIN))
            .collect();
        events.push(PollFd::new(stopped.as_fd(), PollFlags::POLLIN));
        let _ = poll(&mut events, PollTimeout::NONE);
        let over = events.pop().and_then(|event| event.any()).unwrap_or(true);
        for member in &mut *members {
            let mut write = || -> io::Result<()> {
                while let Some(received) = member.tap.receive(&clock, &mut buffer)? {
                    member.file.frame(&received, &buffer)?;
                }
                // What a killed run has seen is in the file.
                member.file.out.flush()
            };
            write().map_err(|error| (member.path.clone(), error))?;
        }
        if over {
            return Ok(());
        }
    }
}

/// A pcap file.
struct Pcap<W: Write> {
    out: W,
    /// Wall-clock nanoseconds of the run's beginning.
    origin: u64,
}

impl<W: Write> Pcap<W> {
    fn begin(mut out: W, clock: Clock) -> io::Result<Pcap<W>> {
        let wall = u64::try_from(clock.wall().as_nanosecond()).unwrap_or(0);
        let origin = wall.saturating_sub(clock.now().as_nanos());
        // Version 2.4; no correction of time zone and accuracy.
        for word in [MAGIC, 2 | 4 << 16, 0, 0, LONGEST, ETHERNET] {
            out.write_all(&word.to_ne_bytes())?;
        }
        Ok(Pcap { out, origin })
    }

    fn frame(&mut self, received: &Received, buffer: &[u8]) -> io::Result<()> {
        let frame = &buffer[..received.length.min(buffer.len())];
        let time = self.origin + received.at.as_nanos();
        let (seconds, nanos) = (time / 1_000_000_000, time % 1_000_000_000);
        let length = frame.len() as u32;
        for word in [seconds as u32, nanos as u32, length, length] {
            self.out.write_all(&word.to_ne_bytes())?;
        }
        self.out.write_all(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::At;

    #[test]
    fn a_file_is_a_heading_and_frames() {
        let mut pcap = Pcap {
            origin: 2_000_000_007,
            ..Pcap::begin(Vec::new(), Clock::start()).unwrap()
        };
        let received = Received {
            length: 3,
            at: At::from_nanos(1_999_999_999),
            ttl: None,
            from: None,
            outgoing: false,
        };
        pcap.frame(&received, &[1, 2, 3, 4]).unwrap();
        let words: Vec<u32> = pcap.out[..40]
            .chunks(4)
            .map(|word| u32::from_ne_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(words[0], 0xa1b2_3c4d);
        assert_eq!(words[4..], [65_535, 1, 4, 6, 3, 3]);
        assert_eq!(pcap.out[40..], [1, 2, 3]);
    }
}
