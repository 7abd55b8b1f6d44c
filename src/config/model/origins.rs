//! A site's origins, and how they are watched, asked and left.

use std::path::PathBuf;
use std::time::Duration;

use super::expectation::{ExpectedField, ProbeExpectation};

/// Deadlines of forward requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    /// One connect, TLS included.
    pub connect: Duration,
    /// From request sent to response head.
    pub first_byte: Duration,
    /// Between two pieces of a body.
    pub body_idle: Duration,
    /// Bytes per second that a body brings at least while it can be continued elsewhere; 0 for any.
    pub body_rate_min: u64,
    /// Over which that rate is taken.
    pub body_rate_window: Duration,
    /// Longest time that a connection is kept without a request.
    pub idle: Duration,
    /// All attempts together, until the response head.
    pub request: Duration,
}

/// When a forward request goes on to the next origin.
#[derive(Clone, Debug, PartialEq)]
pub struct FailoverPolicy {
    /// Most endpoints tried for one request.
    pub tries: usize,
    /// Statuses that count as failures.
    pub statuses: StatusSet,
    /// How long a failure answers those who come after it, ±20 %; zero is not at all.
    pub hold: Duration,
    /// Whether a failure with the field `No-Fallback` is passed on as it is.
    pub no_fallback: bool,
    /// Consecutive failed requests that eject an endpoint.
    pub consecutive_failures: u32,
    /// Idle connections that a worker keeps to the origin that would be asked next.
    pub warm: usize,
    /// Tries in vain after others that failed, in percent of the requests.
    pub retry_budget: u32,
    /// Tries in vain beside others that are slow, in percent of the requests.
    pub hedge_budget: u32,
}

/// What answers to GET and HEAD look like when their origin is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// Lower-case extensions of the paths it is of, without the dot; empty for any or none.
    pub extensions: Vec<String>,
    /// Beginnings of the paths it is of; empty for any.
    pub prefixes: Vec<String>,
    /// Lower-case media types of content, `type/subtype` or `type/*`; empty for any.
    pub types: Vec<String>,
    /// Statuses; `None` for any.
    pub statuses: Option<StatusSet>,
    /// Shortest body of a 200, in bytes; at most 64 KiB.
    pub length_min: u64,
}

/// When a better origin is used again.
#[derive(Clone, Debug, PartialEq)]
pub struct FailbackPolicy {
    /// Whether it comes back by itself.
    pub mode: FailbackMode,
    /// Good probes in a row before an origin that failed counts as back.
    pub probes: u32,
    /// Least time between its failure and its return; doubled with each return that did not last, up to 10 minutes.
    pub hold_down: Duration,
    /// Least time with one origin before requests go to a better one.
    pub dwell: Duration,
    /// Time in which an origin that is back takes its share of the keys; zero gives it all of them at once.
    pub ramp: Duration,
}

/// Who says that an origin is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailbackMode {
    /// Its probes and the time.
    Auto,
    /// An operator.
    Manual,
}

/// When an origin that answers is too slow.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyPolicy {
    /// Whether a slow origin stands behind quick ones.
    pub demote: bool,
    /// Longest time to the head of a response that is not too long; `None` makes it relative to what is usual.
    pub budget: Option<Duration>,
    /// How many times its usual time an origin may take when there is no budget.
    pub factor: u32,
}

/// Active health checks of every address of every origin of a site.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbePolicy {
    /// False means that only traffic is evidence.
    pub enabled: bool,
    /// Path and query requested with GET.
    pub path: String,
    /// Between probes of one address, ±10 %.
    pub interval: Duration,
    /// Between probes while the address is in transition.
    pub interval_in_transition: Duration,
    /// Longest time between probes of an address that stays out of use; at least `interval`.
    pub interval_down: Duration,
    /// Connect, head and body prefix together.
    pub timeout: Duration,
    /// What a healthy origin answers.
    pub expect: ProbeExpectation,
    /// Fields by one of which an origin says that it is going away, whatever else it answers.
    pub lame_duck: Vec<ExpectedField>,
    /// Good probes in a row that make an ejected address healthy.
    pub rise: u32,
    /// Bad probes in a row that eject an address.
    pub fall: u32,
}

/// A set of status codes, kept as inclusive ranges within 100..=599.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(pub Vec<(u16, u16)>);

impl StatusSet {
    /// Whether `status` is in the set.
    pub fn contains(&self, status: http::StatusCode) -> bool {
        let status = status.as_u16();
        self.0.iter().any(|&(first, last)| (first..=last).contains(&status))
    }
}

/// One origin site: a data center, a bucket, a mirror.
#[derive(Clone, Debug, PartialEq)]
pub struct OriginConfig {
    /// Unique within the site.
    pub name: String,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Name (or IP literal without brackets) that is resolved, sent as SNI and verified.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Name of the SRV records that say where to connect, in place of `host` and `port`.
    pub srv: Option<String>,
    /// Lower is preferred; already picked for this node's region.
    pub rank: u32,
    /// Share inside a rank; at least 1.
    pub weight: u32,
    /// Which methods it may get.
    pub accepts: Accepts,
    /// Most requests under way at it from this node.
    pub requests_max: usize,
    /// Most requests that wait for one of these to end.
    pub queue_max: usize,
    /// The `Host` field it gets.
    pub host_field: HostField,
    /// PEM file of private trust anchors; replaces the public ones.
    pub ca_file: Option<PathBuf>,
    /// What the node shows an origin that asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
}

/// A certificate of the node's own, for origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file of the chain, leaf first.
    pub chain: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
}

impl OriginConfig {
    /// `host[:port]` as in a URL: IPv6 in brackets, the scheme's default port left out.
    pub fn authority(&self) -> String {
        authority(self.scheme, &self.host, self.port)
    }
}

/// `host[:port]` as in a URL: IPv6 in brackets, the scheme's default port left out.
pub(in crate::config) fn authority(scheme: Scheme, host: &str, port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == scheme.default_port() { host } else { format!("{host}:{port}") }
}

/// The scheme spoken to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS, verified.
    Https,
}

impl Scheme {
    /// 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Which methods an origin may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// Every method.
    All,
    /// Safe methods only (RFC 9110 §9.2.1).
    ReadOnly,
}

/// The `Host` field an origin gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostField {
    /// The client's; probes use the site's first host name.
    Client,
    /// This one.
    Named(String),
    /// The origin's own authority.
    Origin,
}
