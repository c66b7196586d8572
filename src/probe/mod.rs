//! The probe room.
