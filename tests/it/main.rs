//! The whole node, tested as its users and operators meet it.
//!
//! Stories run a real node in one runtime with paused time, scripted origins and clients in memory. What needs a kernel
//! (sockets, signals, other programs) starts the built binary.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod lab;
mod wires;

mod cli;
mod collapse;
mod compression;
mod conditional;
mod connecting;
mod control;
mod crowd;
mod debug;
mod digest;
mod dns;
mod expect;
mod explain;
mod failover;
mod forwarding;
mod fuzz;
mod hedge;
mod hit;
mod hold;
mod hostile;
mod key;
mod method;
mod oracle;
mod origins;
mod outages;
mod peers;
mod poisoning;
mod purge;
mod range;
mod request;
mod resume;
mod signals;
mod simulation;
mod slow;
mod stale;
mod surplus;
mod survival;
mod tidy;
mod tls;
mod trust;
mod vary;
