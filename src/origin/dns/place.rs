//! One address of an origin, and its place among the others.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One address of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where to connect.
    pub address: SocketAddr,
    /// Lower ones are used first (RFC 2782); 0 for the addresses of a name.
    #[serde(default)]
    pub priority: u16,
    /// Share of the load among those of equal priority; only the ratios matter. [`WHOLE`] for the addresses of a name.
    #[serde(default = "whole")]
    pub weight: u32,
}

impl Place {
    /// An address of a name, which is as good as the others.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, priority: 0, weight: WHOLE }
    }
}

/// What a weight of 1 is here, so that the addresses of one target, at most 16, can share its weight.
pub const WHOLE: u32 = 16;

fn whole() -> u32 {
    WHOLE
}
