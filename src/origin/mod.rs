//! Where responses come from: ranked origins, their addresses and health, and one request over attempts.

mod causes;
pub mod dns;
pub mod health;
pub mod pool;
pub mod request;
pub mod roster;
pub mod status;
pub mod steward;
pub mod view;
