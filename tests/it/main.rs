//! The whole node, tested as its users and operators meet it.
//!
//! Stories run a real node in one runtime with paused time, scripted origins and clients in memory. What needs a kernel
//! (sockets, signals, other programs) starts the built binary.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod lab;

mod collapse;
mod conditional;
mod failover;
mod hit;
mod method;
mod origins;
mod range;
mod resume;
mod stale;
mod tidy;
mod vary;
