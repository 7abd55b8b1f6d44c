//! Puts the parts together: assembly, start, drain.

pub mod assembly;
mod housekeeping;
pub mod running;
mod shortage;
pub mod start;
pub mod state;
