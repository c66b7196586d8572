//! The RPKI-to-Router protocol, version 1 (RFC 8210) and version 0 (RFC 6810): how a router learns VRPs from a cache.
//!
//! Two values without I/O, [`client::Client`] and [`cache::Cache`], and [`driver`], which gives them sockets. The client
//! asks the validator of the reader's choice; the cache serves the routers of a lab.
//!
//! The wire format is a library's (`rustbgpd-rpki`, exactly pinned), behind [`pdu`]. Its own client is not used: it needs
//! a version that RFC 6810 caches do not speak, a clock and a task of its own, and hides what happened.

pub mod cache;
pub mod client;
pub mod driver;
pub mod pdu;

use std::time::Duration;

/// Port of an RTR cache over plain TCP (RFC 8210, section 9.1 has 323; this is what validators use without privileges).
pub const PORT: u16 = 3323;

/// When a router asks again, and how long it may use what it has (RFC 8210, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// From one successful answer to the next question: 1 s to 1 day.
    pub refresh: Duration,
    /// From a failure to the next try: 1 s to 2 hours.
    pub retry: Duration,
    /// From the last successful answer until the data is forgotten: 10 minutes to 2 days.
    pub expire: Duration,
}

impl Intervals {
    /// The defaults of RFC 8210, section 6, which also hold for version 0, where a cache cannot tell any.
    pub const DEFAULT: Intervals = Intervals {
        refresh: Duration::from_secs(3600),
        retry: Duration::from_secs(600),
        expire: Duration::from_secs(7200),
    };

    /// For a rehearsal: the shortest expiry that is allowed, and a router that comes back soon.
    pub const REHEARSAL: Intervals = Intervals {
        refresh: Duration::from_secs(60),
        retry: Duration::from_secs(5),
        expire: Duration::from_secs(600),
    };

    /// From seconds as they are in End of Data, each moved into what is allowed; expiry is later than both others.
    pub fn from_seconds(refresh: u32, retry: u32, expire: u32) -> Intervals {
        let seconds =
            |value: u32, least, most| Duration::from_secs(value.clamp(least, most).into());
        let refresh = seconds(refresh, 1, 86_400);
        let retry = seconds(retry, 1, 7200);
        let later = refresh.max(retry) + Duration::from_secs(1);
        Intervals {
            refresh,
            retry,
            expire: seconds(expire, 600, 172_800).max(later),
        }
    }
}
