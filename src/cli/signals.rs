//! The signals that ask a lab to end.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The names of the signals as they come; and where else a wish to end can be put. Must be called inside a tokio `LocalSet`.
pub fn heard() -> (
    UnboundedSender<&'static str>,
    UnboundedReceiver<&'static str>,
) {
    let (sender, receiver) = unbounded_channel();
    let kinds = [
        (SignalKind::interrupt(), "SIGINT"),
        (SignalKind::terminate(), "SIGTERM"),
        (SignalKind::hangup(), "SIGHUP"),
        (SignalKind::quit(), "SIGQUIT"),
    ];
    for (kind, name) in kinds {
        // Without a handler the signal ends the program at once, which leaves nothing either.
        if let Ok(mut stream) = signal(kind) {
            let sender = sender.clone();
            tokio::task::spawn_local(async move {
                while stream.recv().await.is_some() {
                    let _ = sender.send(name);
                }
            });
        }
    }
    (sender, receiver)
}
