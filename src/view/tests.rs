//! Views of routers made in memory.
