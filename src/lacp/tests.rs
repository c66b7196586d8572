//! LAGs joined in memory, hostile frames, and tshark as a witness.

mod bring_up;
mod failures;
mod hostile;
mod min_links;
mod misbehaving;
mod tshark;
