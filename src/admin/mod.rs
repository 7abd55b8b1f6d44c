//! What operators and their machines ask a node: health, metrics, status.

pub mod api;
mod explain;
mod named;
mod origin;
mod purge;
pub mod readiness;
pub mod status;
