//! The bfd room.
