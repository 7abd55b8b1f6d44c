//! The fuzz targets, for cargo-fuzz; `tests/it/fuzz.rs` runs the same ones briefly on every test run.

pub mod checks;
mod sections;
pub mod targets;
