//! Arguments of the program, one file per subcommand.
//!
//! **Invariant:** every subcommand returns an exit number of ARCHITECTURE.md's table; none ends the process itself.

pub mod check;
pub mod schema;
