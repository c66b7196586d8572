//! Scripts in virtual time.
