//! LAGs joined in memory, hostile frames, and tshark as a witness.

mod bring_up;
mod failures;
mod hostile;
mod misbehaving;
mod tshark;
