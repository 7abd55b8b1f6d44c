//! Puts the parts together: assembly, start, drain.

pub mod assembly;
mod housekeeping;
pub mod running;
pub mod start;
pub mod state;
