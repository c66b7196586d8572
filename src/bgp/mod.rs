//! The bgp room.
