//! Waiting for a file to be there (inotify(7)).
//!
//! **Invariant:** nothing is opened, so that whoever listens on a socket does not notice that somebody waited for it.

use std::io;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::process::readable;

/// Returns when something is at `path`; its folders need not be there yet. Must be called in a runtime.
///
/// # Errors
/// The kernel gives no more watches.
pub async fn arrival(path: &Path) -> io::Result<()> {
    loop {
        let folder = nearest_folder(path);
        let watch = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let events = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        watch.add_watch(folder, events)?;
        // Only now: what came before the watch is there, what comes after it is told.
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
        if nearest_folder(path) == folder {
            // Whatever it was: it is looked for again.
            readable(watch.into()).await?;
        }
    }
}

/// The folder of a path, or the nearest one above that is there.
fn nearest_folder(path: &Path) -> &Path {
    let mut above = path.ancestors().skip(1);
    let there = above.find(|folder| folder.is_dir());
    there.unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_socket_in_a_folder_that_is_made_later() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("a/b");
        let socket = folder.join("control");
        let soon = |wait| timeout(Duration::from_secs(20), wait);
        let waits = tokio::spawn({
            let socket = socket.clone();
            async move { arrival(&socket).await }
        });
        tokio::task::yield_now().await;
        std::fs::create_dir_all(&folder).expect("made");
        tokio::task::yield_now().await;
        std::fs::write(folder.join("another"), "").expect("made");
        assert!(!waits.is_finished());
        let _listener = UnixListener::bind(&socket).expect("bound");
        soon(waits)
            .await
            .expect("in time")
            .expect("no panic")
            .expect("watched");
        // And at once, when it is there.
        let again = timeout(Duration::from_secs(20), arrival(&socket)).await;
        again.expect("in time").expect("watched");
    }
}
