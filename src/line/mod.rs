//! The line room.
