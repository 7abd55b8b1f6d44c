//! How origins are: probes and traffic as evidence, and what follows for one endpoint, one origin and one site.

pub mod duty;
pub mod endpoint;
pub mod expectation;
pub mod expiry;
pub mod failback;
pub mod latency;
pub mod outage;
pub mod probe;
pub mod schedule;
pub mod terms;
pub mod trickle;
pub mod validity;
mod window;
