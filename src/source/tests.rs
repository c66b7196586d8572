//! Tests of sources, values and diagnostics.
