//! Stored responses and who may write them. Knows neither clients nor origins.

pub mod admission;
pub mod chunks;
pub mod fill;
pub mod ledger;
pub mod store;
pub mod stored;
