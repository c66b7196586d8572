//! The timer of one router.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Sleep;

use crate::time::At;

/// One timer, set anew only when it would ring too late: most deadlines move away before they come.
#[derive(Default)]
pub(super) struct Alarm {
    armed: Option<(At, Pin<Box<Sleep>>)>,
}

impl Alarm {
    /// Ready when `deadline` has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: At, deadline: Option<At>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        if deadline <= now {
            return Poll::Ready(());
        }
        loop {
            let (at, sleep) = match &mut self.armed {
                Some((at, sleep)) if *at <= deadline => (*at, sleep),
                armed => {
                    let sleep = Box::pin(tokio::time::sleep(deadline.since(now)));
                    let (at, sleep) = armed.insert((deadline, sleep));
                    (*at, sleep)
                }
            };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = None;
            if at == deadline {
                return Poll::Ready(());
            }
        }
    }
}
