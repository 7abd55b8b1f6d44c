//! What requests to origins go through: whom to ask, connections, attempts, bodies.

pub mod body;
pub mod budget;
pub mod capacity;
pub mod claim;
pub mod connect;
mod examine;
pub mod fetch;
mod flight;
pub mod hedge;
pub mod idle;
pub mod incoming;
pub mod integrity;
mod links;
pub mod load;
pub mod meter;
pub mod pace;
pub mod plausible;
mod question;
pub mod race;
pub mod ranking;
pub mod retry;
mod run;
mod source;
pub mod splice;
pub mod tail;
pub mod upload;
pub mod wire;
