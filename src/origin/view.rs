//! What the data plane sees of one site's origins: an immutable picture, replaced whole.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::model::Accepts;

use super::health::duty::Duty;
use super::health::endpoint::HealthState;
use super::health::failback::Standing;
use super::health::outage::OutageMode;
use super::health::trickle::Trickle;
use super::request::load::Load;

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
#[derive(Clone, Debug)]
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
    /// What an operator wants of it.
    pub duty: Duty,
    /// Whether it may be preferred.
    pub standing: Standing,
    /// Its share of the keys while it stands in, in percent; for the others it is one that returns.
    pub share: u8,
    /// Requests that find out whether it is still slow, while it is.
    pub trials: Arc<Trickle>,
    /// At most 16; none before the first good DNS answer.
    pub endpoints: Vec<EndpointView>,
}

/// Two views are the same if they say the same of its place among the others.
impl PartialEq for OriginView {
    fn eq(&self, other: &Self) -> bool {
        let place =
            |view: &Self| (view.index, view.rank, view.weight, view.accepts, view.duty, view.standing, view.share);
        place(self) == place(other) && self.name == other.name && self.endpoints == other.endpoints
    }
}

impl PoolView {
    /// An address of the origin with this index.
    pub fn endpoint(&self, origin: usize, address: SocketAddr) -> Option<&EndpointView> {
        self.origins.get(origin)?.endpoints.iter().find(|endpoint| endpoint.address == address)
    }
}

/// One address of an origin at one moment.
#[derive(Clone, Debug)]
pub struct EndpointView {
    /// Where to connect.
    pub address: SocketAddr,
    /// How healthy it is.
    pub state: HealthState,
    /// Whether it says that it is going away.
    pub lame_duck: bool,
    /// Lower ones are used first; 0 but for SRV records.
    pub priority: u16,
    /// Share of the load among those of equal priority; only the ratios matter.
    pub weight: u32,
    /// What it has to do; the only part that changes with every request.
    pub load: Arc<Load>,
}

/// Two views are the same if they say the same of its health.
impl PartialEq for EndpointView {
    fn eq(&self, other: &Self) -> bool {
        let health = |view: &Self| (view.address, view.state, view.lame_duck, view.priority, view.weight);
        health(self) == health(other)
    }
}
