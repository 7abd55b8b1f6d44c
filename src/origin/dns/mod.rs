//! Where origins are: their names, looked up and judged, and what is remembered of that.

pub mod answers;
mod ballot;
pub mod discovery;
pub mod memory;
pub mod place;
mod records;
pub mod refusal;
