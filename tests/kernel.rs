//! The kernel room against the real kernel, with `ip -j` as the independent witness.
//!
//! Everything happens in namespaces that this program makes for itself.

use std::process::ExitCode;

use libtest_mimic::Arguments;

#[path = "kernel/build.rs"]
mod build;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests = [build::tests()].into_iter().flatten().collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}
