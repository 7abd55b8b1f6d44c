//! A request's road: one screen, one match.

pub mod admit;
pub mod body;
pub mod bypass;
pub mod client;
mod coding;
pub mod consider;
pub mod debug;
pub mod deliver;
pub mod dress;
pub mod error_page;
pub mod exchange;
pub mod handle;
pub mod hit;
pub mod judge;
pub mod lead;
pub mod miss;
mod not_stored;
pub mod outcome;
pub mod parts;
pub mod pass;
pub mod purge;
pub mod route;
pub mod site;
pub mod stale;
pub mod survival;
pub mod synthetic;
pub mod worker;
