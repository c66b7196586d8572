//! `peerlab down`: ends a lab that is kept.

use super::{LAB_FAILED, WRONG_FILES, kept_error};
use crate::kept::{self, KeptError};

/// Ends the lab of this name, or the only one; returns the exit number when nothing of it is left.
pub fn down(name: Option<&str>) -> u8 {
    let ended = kept::find(name).and_then(|lab| lab.end().map(|()| lab));
    match ended {
        Ok(lab) => {
            anstream::println!("{lab} is down");
            0
        }
        Err(error) => {
            let number = match error {
                KeptError::None { .. } => WRONG_FILES,
                _ => LAB_FAILED,
            };
            kept_error(&error, number)
        }
    }
}
