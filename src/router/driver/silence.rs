//! Why a neighbour may not answer: its TCP MD5 key differs, or it is further away than TTL security allows.
//!
//! The kernel drops such segments without a word, at either end, and a connection attempt meets silence. So an attempt of
//! a protected session is given up before the session would, with what can be known.

use std::time::Duration;

use super::Driver;
use crate::kernel::protection::Dropped;
use crate::router::SessionSpec;
use crate::time::At;

/// An attempt that meets silence until then is given up: two repeats of the SYN went unanswered.
const PATIENCE: Duration = Duration::from_secs(3);

/// An attempt without an answer.
pub(super) struct Silence {
    pub(super) until: At,
    /// What the kernel had dropped when the attempt began.
    pub(super) before: Option<Dropped>,
}

/// How long a session's attempt may meet silence: a little less than the session itself would wait; `None` when there
/// is no reason for it that we know of.
pub(super) fn patience(session: &SessionSpec) -> Option<Duration> {
    let protected = session.md5.is_some() || session.ttl_security.is_some();
    // The connect-retry time is shortened by up to a quarter (RFC 4271, section 10).
    protected.then(|| PATIENCE.min(session.timers.connect_retry * 7 / 10))
}

impl Driver {
    /// Why there may be no answer to a connection attempt.
    pub(super) fn silent(&self, place: usize) -> String {
        let connection = &self.connections[place];
        let spec = &self.router.config().sessions[connection.session.index()];
        let mut words = String::from("no answer");
        words += match (&spec.md5, spec.ttl_security) {
            (Some(_), None) => ", as when the neighbour has another TCP MD5 key or none",
            (None, Some(_)) => ", as when the neighbour is too far away or sends with a low TTL",
            (Some(_), Some(_)) => ", as when the TCP MD5 key or the TTL is not what is asked for",
            (None, None) => "",
        };
        let before = connection.silence.as_ref().and_then(|s| s.before);
        let after = self.namespace.run(Dropped::here);
        if let (Some(before), Ok(Ok(after))) = (before, after)
            && let Some(dropped) = (after - before).words()
        {
            words += "; ";
            words += &dropped;
        }
        words
    }
}
