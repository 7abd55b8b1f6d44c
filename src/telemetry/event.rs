//! Every state change worth a human's time, with its reason.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::json_line::capped;
use super::timestamp::Timestamp;

mod sentence;

/// Something happened.
///
/// States are words: an endpoint is `healthy`, `suspect`, `ejected` or in `probation`; an origin is `in`, `slow`,
/// `out` or `returning`; a site is in outage mode `normal`, `degraded`, `stale-only` or `recovering`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The node could not accept connections for a moment; it goes on trying.
    AcceptFailed {
        /// The listening address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// Access log lines were lost, because the output was slower than the requests or failed.
    AccessLogDropped {
        /// Since the last event of this kind.
        lines: u64,
    },
    /// An origin's name resolves to other addresses, or to the same ones with other priorities or weights.
    AddressesChanged {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// The name that was resolved.
        host: String,
        /// Addresses used from here on.
        added: Vec<SocketAddr>,
        /// Addresses no longer used.
        removed: Vec<SocketAddr>,
        /// How long the answer holds.
        #[serde(rename = "ttl_seconds", serialize_with = "seconds")]
        ttl: Duration,
    },
    /// DNS gave addresses for an origin that no origin may have; they are not used.
    AddressesRefused {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// The name that was resolved.
        host: String,
        /// The first few of them, and why.
        refused: String,
    },
    /// An origin starts with addresses that an earlier run of the node got from DNS.
    AddressesRemembered {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// The name that was resolved.
        host: String,
        /// Addresses used until DNS answers.
        addresses: Vec<SocketAddr>,
        /// How long ago DNS gave them.
        #[serde(rename = "age_seconds", serialize_with = "seconds")]
        age: Duration,
    },
    /// A certificate is in use.
    CertificateLoaded {
        /// The names it is valid for.
        names: Vec<String>,
        /// Where it came from.
        source: String,
    },
    /// The node has stopped waiting for requests in flight.
    DrainFinished {
        /// Requests that were cut off.
        in_flight: usize,
    },
    /// The node is stopping: readiness fails, listeners close, requests in flight finish.
    DrainStarted {
        /// What asked for it.
        reason: String,
    },
    /// One address of an origin changed its health.
    EndpointChanged {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// The address.
        address: SocketAddr,
        /// Health before.
        from: &'static str,
        /// Health from here on.
        to: &'static str,
        /// The evidence.
        reason: String,
    },
    /// The origin that a site prefers changed.
    FailedOver {
        /// The site's name.
        site: String,
        /// The origin preferred before; none when no origin was usable.
        from: Option<String>,
        /// The origin preferred from here on; none when no origin is usable.
        to: Option<String>,
        /// What led to it.
        reason: String,
    },
    /// An address of an origin says that it is going away; it gets no new requests while there is another to ask.
    LameDuckBegan {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// The address.
        address: SocketAddr,
        /// The field of its answer that says so.
        said: String,
    },
    /// An address of an origin no longer says that it is going away.
    LameDuckEnded {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// The address.
        address: SocketAddr,
    },
    /// The node accepts connections.
    Listening {
        /// `https`, `http` or `admin`.
        protocol: &'static str,
        /// The listening address.
        address: SocketAddr,
    },
    /// Connections, fills and readers take more memory than stored responses can make way for: new connections are closed at
    /// once, and misses refused.
    MemoryShort {
        /// The cgroup whose limit is too near; none when it is that of the process, 15 % and 64 MiB more than the bound.
        cgroup: Option<PathBuf>,
        /// The cgroup's file that has the limit: `memory.max` or `memory.high`, in version 1 `memory.limit_in_bytes`.
        limit_file: Option<&'static str>,
        /// What is used of that limit, in bytes; of a cgroup's without cached files.
        used_bytes: u64,
        /// That limit, in bytes.
        limit_bytes: u64,
        /// What would have to be free besides, to keep away from it, in bytes.
        missing_bytes: u64,
        /// All that the process has in RAM, in bytes.
        resident_bytes: u64,
        /// The bound of what is stored and on its way, in bytes.
        bound_bytes: u64,
    },
    /// There has been memory for everybody again, for a while.
    MemorySuffices {
        /// From when there was not.
        #[serde(rename = "short_seconds", serialize_with = "seconds")]
        short: Duration,
        /// Connections refused meanwhile, those for another reason included.
        refused: u64,
    },
    /// The node is ready to serve.
    NodeStarted {
        /// This program's version.
        version: String,
        /// The region it runs in.
        region: String,
        /// Number of sites.
        sites: usize,
    },
    /// The node ends.
    NodeStopped,
    /// What an operator ordered of an origin before the node was restarted still holds.
    OrderRemembered {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// `disabled`, `drained` or `forced`.
        duty: &'static str,
    },
    /// A certificate that an address of an origin showed has expired, and no other has been seen there since.
    OriginCertificateExpired {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// The address; others of the origin may show the same certificate.
        address: SocketAddr,
        /// When it, or an intermediate certificate that came with it, expired.
        #[serde(serialize_with = "timestamp")]
        not_after: SystemTime,
    },
    /// A certificate that an address of an origin shows will expire soon.
    OriginCertificateExpiring {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// The address; others of the origin may show the same certificate.
        address: SocketAddr,
        /// When it, or an intermediate certificate that came with it, expires.
        #[serde(serialize_with = "timestamp")]
        not_after: SystemTime,
        /// Until then.
        #[serde(rename = "left_seconds", serialize_with = "seconds")]
        left: Duration,
    },
    /// An origin as a whole became usable or unusable.
    OriginChanged {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// Its rank, lower is preferred.
        rank: u32,
        /// State before.
        from: &'static str,
        /// State from here on.
        to: &'static str,
        /// What led to it.
        reason: String,
    },
    /// An operator gave an order about an origin.
    OriginOrdered {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// `disable`, `drain`, `enable`, `failback` or `force`.
        order: &'static str,
        /// Who gave it.
        by: String,
    },
    /// An origin that is back takes another share of the URLs.
    OriginRamped {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// Its share from here on.
        percent: u8,
    },
    /// A site entered another outage mode.
    OutageModeChanged {
        /// The site's name.
        site: String,
        /// Mode before.
        from: &'static str,
        /// Mode from here on.
        to: &'static str,
        /// What led to it.
        reason: String,
    },
    /// Responses were purged.
    Purged {
        /// Its number; the purges and invalidations of a node are counted together from 1.
        sequence: u64,
        /// `hard` or `soft`.
        mode: &'static str,
        /// What was named, the first few of it.
        selectors: Vec<String>,
        /// Responses covered, stored or arriving.
        responses: u64,
        /// Who asked for it: `admin`, or the address of a client.
        by: String,
    },
    /// A request ended in a panic, which is a bug of this program; the node goes on.
    RequestPanicked {
        /// The site's name.
        site: String,
        /// What the panic said.
        message: String,
    },
    /// An origin's name did not resolve.
    ResolveFailed {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// The name that was asked for.
        host: String,
        /// What the resolver said.
        reason: String,
        /// Last good addresses that stay in use.
        kept: usize,
    },
    /// A probe failed, and what the address had sent since its last good probe is suspect: an origin is asked for it anew.
    ResponsesTakenBack {
        /// The site's name.
        site: String,
        /// The origin's name.
        origin: String,
        /// The address.
        address: SocketAddr,
        /// Responses that became suspect, stored or arriving.
        responses: u64,
        /// How long ago the last good probe was.
        #[serde(rename = "since_seconds", serialize_with = "seconds")]
        since: Duration,
        /// Why the probe failed.
        reason: String,
    },
    /// Something that was saved for the next start is of no use to this one.
    StateIgnored {
        /// A file, or a part of it.
        what: String,
        /// Why.
        reason: String,
    },
    /// What is to be remembered at the next start could not be saved; the node tries again.
    StateNotSaved {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// Who should look at an event, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nobody: it explains what comes later.
    Info,
    /// Somebody, within the day: redundancy or a safety margin changed.
    Notice,
    /// Somebody, at once: users notice, or will soon.
    Alert,
}

impl Severity {
    /// The word in the event log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Alert => "alert",
        }
    }
}

impl Event {
    /// The kind of event in kebab-case, as in the log and in `holdover_events_total`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AcceptFailed { .. } => "accept-failed",
            Self::AccessLogDropped { .. } => "access-log-dropped",
            Self::AddressesChanged { .. } => "addresses-changed",
            Self::AddressesRefused { .. } => "addresses-refused",
            Self::AddressesRemembered { .. } => "addresses-remembered",
            Self::CertificateLoaded { .. } => "certificate-loaded",
            Self::DrainFinished { .. } => "drain-finished",
            Self::DrainStarted { .. } => "drain-started",
            Self::EndpointChanged { .. } => "endpoint-changed",
            Self::FailedOver { .. } => "failed-over",
            Self::LameDuckBegan { .. } => "lame-duck-began",
            Self::LameDuckEnded { .. } => "lame-duck-ended",
            Self::Listening { .. } => "listening",
            Self::MemoryShort { .. } => "memory-short",
            Self::MemorySuffices { .. } => "memory-suffices",
            Self::NodeStarted { .. } => "node-started",
            Self::NodeStopped => "node-stopped",
            Self::OrderRemembered { .. } => "order-remembered",
            Self::OriginCertificateExpired { .. } => "origin-certificate-expired",
            Self::OriginCertificateExpiring { .. } => "origin-certificate-expiring",
            Self::OriginChanged { .. } => "origin-changed",
            Self::OriginOrdered { .. } => "origin-ordered",
            Self::OriginRamped { .. } => "origin-ramped",
            Self::OutageModeChanged { .. } => "outage-mode-changed",
            Self::Purged { .. } => "purged",
            Self::RequestPanicked { .. } => "request-panicked",
            Self::ResolveFailed { .. } => "resolve-failed",
            Self::ResponsesTakenBack { .. } => "responses-taken-back",
            Self::StateIgnored { .. } => "state-ignored",
            Self::StateNotSaved { .. } => "state-not-saved",
        }
    }

    /// Who should look at it.
    pub fn severity(&self) -> Severity {
        match self {
            Self::AddressesChanged { .. }
            | Self::AddressesRemembered { .. }
            | Self::CertificateLoaded { .. }
            | Self::LameDuckEnded { .. }
            | Self::Listening { .. }
            | Self::NodeStarted { .. }
            | Self::NodeStopped
            | Self::OriginRamped { .. }
            | Self::Purged { .. }
            | Self::ResponsesTakenBack { .. } => Severity::Info,
            Self::AccessLogDropped { .. }
            | Self::AddressesRefused { .. }
            | Self::DrainStarted { .. }
            | Self::LameDuckBegan { .. }
            | Self::MemorySuffices { .. }
            | Self::OrderRemembered { .. }
            | Self::OriginChanged { .. }
            | Self::OriginOrdered { .. }
            | Self::StateIgnored { .. }
            | Self::StateNotSaved { .. } => Severity::Notice,
            Self::AcceptFailed { .. }
            | Self::MemoryShort { .. }
            | Self::OriginCertificateExpired { .. }
            | Self::RequestPanicked { .. } => Severity::Alert,
            Self::DrainFinished { in_flight: 0 } => Severity::Info,
            Self::DrainFinished { .. } => Severity::Notice,
            Self::EndpointChanged { to: "ejected", .. } => Severity::Notice,
            Self::EndpointChanged { .. } => Severity::Info,
            Self::FailedOver { to: None, .. } => Severity::Alert,
            Self::FailedOver { .. } => Severity::Notice,
            Self::OriginCertificateExpiring { left, .. } if *left <= DAY => Severity::Alert,
            Self::OriginCertificateExpiring { .. } => Severity::Notice,
            Self::OutageModeChanged { to: "stale-only", .. } => Severity::Alert,
            Self::OutageModeChanged { .. } => Severity::Notice,
            Self::ResolveFailed { kept: 0, .. } => Severity::Alert,
            Self::ResolveFailed { .. } => Severity::Notice,
        }
    }

    /// Names and reasons as log fields; texts longer than 2 KiB are cut.
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            other => unreachable!("a tagged enum with named fields is a JSON object, not {other:?}"),
        };
        fields.remove("event");
        for value in fields.values_mut() {
            if let Value::String(text) = value {
                text.truncate(capped(text).len());
            }
        }
        fields
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

fn timestamp<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    Timestamp(*time).serialize(serializer)
}

/// With so much left, today is the last day to do something.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests;
