//! Facts of a run, in one order, on one clock; and their JSON lines.
//!
//! Everything a verdict rests on is an [`Entry`]. Threads hand facts to the run through a [`Recorder`];
//! measuring and judging read nothing else, so a kept record can be judged again.
//!
//! **Invariant:** a fact says what was observed, never what was concluded.

mod bfd;
mod common;
mod fact;
mod lines;
mod parts;
mod recorder;

pub use bfd::BfdChange;
pub use common::Common;
pub use fact::Fact;
pub use lines::{LinesError, Reader, Writer, read};
pub use parts::{
    AutoBackend, BfdDiscardReason, BfdDiscarded, BfdHeard, BfdRhythm, Failure, FrameCount,
    InService, LacpEarlyData, LacpHeard, LacpRhythm, LacpSeen, MalformedUpdate, MemberCounters,
    Message, MicroBfd, Nanos, NotTold, Punctuality, Refused, Severity, SourceText,
};
pub use recorder::{Entries, Noted, Recorder};

use serde::{Deserialize, Serialize};

use crate::time::At;

/// One fact and its moment. In JSON the fact's keys stand beside `at` (nanoseconds).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was observed, as close to the kernel as could be had.
    pub at: At,
    /// What was observed.
    #[serde(flatten)]
    pub fact: Fact,
}
