//! What an operator sees of one site's origins: the state, since when, and why.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::config::model::Accepts;
use crate::telemetry::Event;

use super::dns::place::Place;
use super::health::duty::Duty;
use super::health::endpoint::{HealthState, Tally};
use super::health::failback::Standing;
use super::health::outage::OutageMode;

/// One site. Times are relative to the moment the status was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct RosterStatus {
    /// The site's name.
    pub site: String,
    /// How the site stands as a whole, since when, and why.
    pub mode: Entered<OutageMode>,
    /// The origin that requests go to first; `None` when none is usable.
    pub preferred: Option<Arc<str>>,
    /// In the order of the configuration.
    pub origins: Vec<OriginStatus>,
    /// What happened lately, the latest first; at most 64.
    pub history: Vec<Happening>,
}

/// One origin.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginStatus {
    /// Unique within the site.
    pub name: Arc<str>,
    /// The name that is resolved, or an IP literal.
    pub host: String,
    /// Lower is preferred.
    pub rank: u32,
    /// Share inside a rank.
    pub weight: u32,
    /// Which methods it may get.
    pub accepts: Accepts,
    /// What an operator wants of it.
    pub duty: Duty,
    /// Whether it may be preferred, since when, and why.
    pub standing: Entered<Standing>,
    /// Its share of the keys while it stands in, in percent.
    pub share: u8,
    /// How long it is held down yet, when it is.
    pub hold_down_left: Option<Duration>,
    /// Since the last good DNS answer; `None` before the first, and for IP literals.
    pub answer_age: Option<Duration>,
    /// Whether that answer is one that an earlier run of the node got.
    pub answer_remembered: bool,
    /// Until the next lookup; `None` for IP literals.
    pub next_lookup: Option<Duration>,
    /// Why the last lookup gave nothing, when it did not.
    pub lookup_failure: Option<String>,
    /// Its addresses.
    pub endpoints: Vec<EndpointStatus>,
}

/// One address of an origin.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointStatus {
    /// Where to connect, and its place among the others.
    pub place: Place,
    /// How healthy it is, since when, and why.
    pub health: Entered<HealthState>,
    /// What speaks for and against it.
    pub tally: Tally,
    /// What it said, and since when, when it says that it is going away.
    pub lame_duck: Option<Entered<()>>,
    /// Since its last probe ended.
    pub last_probe_age: Option<Duration>,
    /// When the certificate that it showed to a probe expires, and how long that is yet.
    pub certificate_end: Option<(SystemTime, Duration)>,
}

/// A state with the circumstances of its beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct Entered<S> {
    /// The state.
    pub state: S,
    /// How long ago it began.
    pub age: Duration,
    /// Why it began.
    pub reason: String,
}

impl<S> Entered<S> {
    pub(super) fn since(state: S, since: Instant, reason: &str, now: Instant) -> Self {
        Self { state, age: now.saturating_duration_since(since), reason: reason.to_owned() }
    }
}

/// An event of the past.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// How long ago.
    pub age: Duration,
    /// What.
    pub event: Event,
}
