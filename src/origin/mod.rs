//! Where responses come from: ranked origins, their addresses and health, and one request over attempts.

pub mod answers;
mod ballot;
pub mod body;
pub mod connect;
pub mod discovery;
pub mod failback;
pub mod fetch;
pub mod health;
pub mod idle;
pub mod incoming;
pub mod interim;
pub mod memory;
pub mod outage;
pub mod place;
pub mod pool;
pub mod probe;
pub mod ranking;
mod records;
pub mod refusal;
pub mod retry;
pub mod roster;
pub mod schedule;
pub mod splice;
pub mod status;
pub mod steward;
pub mod upload;
pub mod view;
