//! The kernel room against the real kernel, with `ip -j` as the independent witness.
//!
//! The program enters namespaces of its own before it tests anything, as peerlab does, so that the tests are the same
//! for root and for an ordinary user. Tests of entering itself start this program once more, in a role.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use peerlab::kernel::enter::enter;

#[path = "kernel/build.rs"]
mod build;
#[path = "kernel/feature.rs"]
mod feature;
#[path = "kernel/inside.rs"]
mod inside;
#[path = "kernel/watch.rs"]
mod watch;

fn main() -> ExitCode {
    let tests = || {
        let rooms = [
            build::tests(),
            feature::tests(),
            inside::tests(),
            watch::tests(),
        ];
        rooms.into_iter().flatten()
    };
    let entered = match enter() {
        Ok(entered) => entered,
        Err(error) => {
            let ignored = |test: Trial| test.with_kind(error.to_string()).with_ignored_flag(true);
            let arguments = Arguments::from_args();
            return libtest_mimic::run(&arguments, tests().map(ignored).collect()).exit_code();
        }
    };
    if let Some(role) = std::env::var_os(inside::ROLE) {
        return inside::play(&role.to_string_lossy(), entered);
    }
    entered.signals.release();
    libtest_mimic::run(&Arguments::from_args(), tests().collect()).exit_code()
}
