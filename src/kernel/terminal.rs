//! What a terminal tells about itself (ioctl_tty(2)).
//!
//! **Invariant:** the terminal is only asked, never changed.

use std::os::fd::{AsFd, AsRawFd};

nix::ioctl_read_bad! {
    /// Asks for the size of the window.
    window_size, libc::TIOCGWINSZ, libc::winsize
}

/// How many columns it has; `None` when it is no terminal or does not say.
pub fn columns(terminal: &impl AsFd) -> Option<usize> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel writes one `winsize`, and that is what is there.
    unsafe { window_size(terminal.as_fd().as_raw_fd(), &mut size) }.ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
