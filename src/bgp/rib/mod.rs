//! What the tables of routes are made of (RFC 4271, section 3.2).
//!
//! [`numbers`] gives every prefix of a router a number, so that a table is an array; [`AdjRibOut`] is what a
//! neighbour was told. The routes received from all neighbours are one table of the router's (`router/table`).
//!
//! **Invariant:** no table holds a prefix twice.

pub mod numbers;
mod out;

pub use out::{AdjRibOut, Changes, Limit};
