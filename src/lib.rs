//! Holdover: an HTTPS edge cache that keeps sites up when their origins go down.
//!
//! The modules in reading order; each uses only those of lower floors (see ARCHITECTURE.md).

pub mod clock;
pub mod semantics;

pub mod config;

pub mod telemetry;

pub mod cache;
pub mod origin;
pub mod tls;

pub mod serve;

pub mod admin;
pub mod listen;

pub mod node;

pub mod cli;
