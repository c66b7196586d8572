//! The lacp room.
