//! Where clients come in: sockets, TLS, HTTP/1.1 and HTTP/2, and a deadline for everything a client may leave undone.

pub mod accept;
mod burst;
pub mod connections;
mod corked;
pub mod deadline;
pub mod http;
mod http1;
#[cfg(test)]
mod lab;
mod late_flush;
mod panic;
pub mod protocol;
mod room;
pub mod socket;
mod stream;
mod unsent;
mod watch;
pub mod watched;

pub use accept::{Entrance, Reception};
pub use connections::Connections;
pub use deadline::AbortReason;
pub use http::{Conditions, Ending, RequestBody, Respond, serve_connection};
pub use protocol::Protocol;
pub use socket::{BindError, bind};
