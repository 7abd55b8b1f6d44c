//! The built binary among real sockets, kernels and programs: what the stories of the lab leave out.
//!
//! Everything binds loopback addresses of this test process alone, or those of a network namespace of its own, waits for the thing itself with a bound, and ends
//! its own processes by their id.

mod authority;
mod client;
mod folder;
mod load;
mod name_server;
mod namespace;
mod nginx;
mod node;
mod origin;
mod process;

pub(crate) use authority::Authority;
pub(crate) use client::{Client, Connection, Reply};
pub(crate) use folder::Folder;
pub(crate) use load::{Load, Sample};
pub(crate) use name_server::{NameServer, Saying, addresses, alias, lasting, service};
pub(crate) use namespace::{Namespace, Network};
pub(crate) use nginx::Nginx;
pub(crate) use node::{LISTEN, Node, own_address};
pub(crate) use origin::{Origin, Piece, response};
pub(crate) use process::{PATIENCE, Process, cannot_run, find, finishes, holdover, lacks, poll, skip};
