//! Plays beside each other, and those that want the machine for themselves.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The right of this process to play, for as long as anyone here holds it. The plays of other processes know of it by locks
/// on files.
#[derive(Debug)]
pub struct Turn {
    _place: File,
}

/// What this process has already, so that a second play of it never waits for the first.
static OURS: Mutex<Weak<Turn>> = Mutex::new(Weak::new());

/// Beside others: a lab is idle most of the time.
pub fn beside_others() -> io::Result<Arc<Turn>> {
    take(File::lock_shared)
}

/// Alone, as soon as those that play have ended. Nothing of this process may be playing.
pub fn alone() -> io::Result<Arc<Turn>> {
    take(File::lock)
}

/// Who waits for a place holds the door, so that who wants to be alone is not passed by others for ever.
fn take(lock: impl Fn(&File) -> io::Result<()>) -> io::Result<Arc<Turn>> {
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(turn) = ours.upgrade() {
        return Ok(turn);
    }
    let open = |name| File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    let door = open("plays.door")?;
    door.lock()?;
    let place = open("plays.place")?;
    lock(&place)?;
    let turn = Arc::new(Turn { _place: place });
    *ours = Arc::downgrade(&turn);
    Ok(turn)
}
