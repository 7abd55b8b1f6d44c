//! What of a site would survive an outage: a sample of the last hour's requests, judged as if every origin were down.

pub mod fate;
mod minutes;
mod reservoir;
pub mod sample;
pub mod sampler;
pub mod survey;
pub mod surveyor;
