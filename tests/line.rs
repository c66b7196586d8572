//! The line thread against the real kernel: BFD sessions and LAGs between namespaces that this program makes for itself.
//!
//! Nothing here sleeps: a test waits for a fact of the record, and its times are those of the record.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use peerlab::kernel::namespace::Namespace;

#[path = "line/bed.rs"]
mod bed;
#[path = "line/bfd.rs"]
mod bfd;
#[path = "line/bond.rs"]
mod bond;
#[path = "bed/cabling.rs"]
mod cabling;
#[path = "line/lag.rs"]
mod lag;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Timing is only worth something when one test runs at a time.
    arguments.test_threads = Some(1);
    let cannot = Namespace::new().is_err();
    let tests = (bfd::tests().into_iter())
        .chain(lag::tests())
        .chain(bond::tests());
    let tests = tests.map(|test| {
        let ignored = cannot || test.has_ignored_flag();
        test.with_ignored_flag(ignored)
    });
    libtest_mimic::run(&arguments, tests.collect()).exit_code()
}
