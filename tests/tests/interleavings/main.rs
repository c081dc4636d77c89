//! Random schedules on the money path: `lonieve_tests::interleaving` makes and plays them; here is the gate's share.
//!
//! A failure prints its seed. `INTERLEAVING_SEED=<seed>` plays that one again, a hundred times over, since the same plan need not meet
//! in the same way.

mod meetings;
mod planted;
mod random;
