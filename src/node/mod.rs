//! Puts the parts together: assembly, start, drain.

pub mod assembly;
pub mod running;
pub mod start;
