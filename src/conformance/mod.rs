//! The conformance room.
