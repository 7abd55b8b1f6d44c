//! Stored responses and who may write them. Knows neither clients nor origins.

pub mod admission;
mod cells;
pub mod chunks;
pub mod codings;
pub mod compressor;
pub mod content;
mod encoder;
mod engine;
pub mod excess;
pub mod fill;
mod hashed;
mod holds;
pub mod ledger;
mod lock;
pub mod purge;
mod refusals;
pub mod remote_encoder;
pub mod stamps;
pub mod store;
pub mod stored;
mod texts;
mod urls;
mod variants;
