//! Arguments in, exit number out.

fn main() {}
