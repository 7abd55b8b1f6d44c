//! What the data plane sees of one site's origins: an immutable picture, replaced whole.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::model::Accepts;

use super::failback::Standing;
use super::health::HealthState;
use super::outage::OutageMode;

/// The origins of one site at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolView {
    /// How the site stands as a whole.
    pub mode: OutageMode,
    /// Index of the origin that requests go to first: the best usable one by standing, rank and place in the
    /// configuration. At start this may be one whose addresses are not known yet.
    pub preferred: Option<usize>,
    /// In the order of the configuration; an origin's place here is its index everywhere.
    pub origins: Vec<OriginView>,
}

/// One origin at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginView {
    /// Unique within the site.
    pub name: Arc<str>,
    /// Its place in [`PoolView::origins`].
    pub index: usize,
    /// Lower is preferred.
    pub rank: u32,
    /// Share inside a rank; at least 1.
    pub weight: u32,
    /// Which methods it may get.
    pub accepts: Accepts,
    /// Whether it may be preferred.
    pub standing: Standing,
    /// At most 16; none before the first good DNS answer.
    pub endpoints: Vec<EndpointView>,
}

/// One address of an origin at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// Where to connect.
    pub address: SocketAddr,
    /// How healthy it is.
    pub state: HealthState,
    /// Lower ones are used first; 0 but for SRV records.
    pub priority: u16,
    /// Share of the load among those of equal priority; only the ratios matter.
    pub weight: u32,
}
