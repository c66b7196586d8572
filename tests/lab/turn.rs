//! Plays beside each other, and those that want the machine for themselves.

use std::fs::File;
use std::io;
use std::path::Path;

/// The right to play, for as long as it lives. The plays of other processes know of it by locks on files.
pub struct Turn {
    _place: File,
}

/// Beside others: a lab is idle most of the time.
pub fn beside_others() -> io::Result<Turn> {
    take(File::lock_shared)
}

/// Alone, as soon as those that play have ended.
pub fn alone() -> io::Result<Turn> {
    take(File::lock)
}

/// Who waits for a place holds the door, so that who wants to be alone is not passed by others for ever.
fn take(lock: impl Fn(&File) -> io::Result<()>) -> io::Result<Turn> {
    let open = |name| File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    let door = open("plays.door")?;
    door.lock()?;
    let place = open("plays.place")?;
    lock(&place)?;
    Ok(Turn { _place: place })
}
