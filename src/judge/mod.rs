//! The judge room.
