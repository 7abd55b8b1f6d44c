//! The configuration as used: defaulted, checked, plain data.
//!
//! Nothing here is deserialized; `file.rs` holds the written form and `validate.rs` turns one into the other.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use crate::semantics::cache_control::Honored;
use crate::semantics::freshness::FreshnessPolicy;
use crate::semantics::key::KeyPolicy;
use crate::semantics::storable::StorePolicy;
use crate::semantics::transformation::CodingPolicy;

mod expectation;
mod origins;

pub use expectation::{BodyPattern, ExpectedField, ProbeExpectation};
pub(super) use origins::authority;
pub use origins::{
    Accepts, ClientCertificate, Expectation, FailbackMode, FailbackPolicy, FailoverPolicy, HostField, LatencyPolicy,
    OriginConfig, ProbePolicy, Scheme, StatusSet, Timeouts,
};

/// Everything one node needs to know, for the region it runs in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The region this node runs in (`HOLDOVER_REGION`), empty when it has none; picks origin ranks.
    pub region: String,
    /// The node's name in `Via` and `Cache-Status`.
    pub name: String,
    /// Data-plane threads; at least 1.
    pub workers: usize,
    /// What the node listens on.
    pub listen: Listen,
    /// Bearer token that admin requests must carry, if any.
    pub admin_token: Option<Secret>,
    /// What clients present in `Holdover-Debug` to be told more of their responses, if any may.
    pub debug_token: Option<Secret>,
    /// Bounds of the memory cache.
    pub cache: CacheBounds,
    /// How origin names are resolved.
    pub dns: Dns,
    /// Where the node keeps what it is to remember at its next start, if anywhere.
    pub state_directory: Option<PathBuf>,
    /// Where logs go.
    pub log: Log,
    /// How the node stops.
    pub drain: Drain,
    /// Certificates offered by SNI, the first one also to clients that send none.
    pub certificates: Vec<CertificateSource>,
    /// Sites; at least one, host names unique over all of them.
    pub sites: Vec<SiteConfig>,
}

/// Listening addresses and the deadlines and bounds of client connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// HTTPS addresses (HTTP/1.1 and HTTP/2 by ALPN).
    pub https: Vec<SocketAddr>,
    /// Plain HTTP addresses.
    pub http: Vec<SocketAddr>,
    /// Admin addresses: metrics, health, status.
    pub admin: Vec<SocketAddr>,
    /// Most client connections open at once, over all workers.
    pub connections_max: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// Between requests on an HTTP/1.1 connection.
    pub idle_timeout: Duration,
    /// Between requests on an HTTP/2 connection.
    pub h2_idle_timeout: Duration,
    /// Longest time a client may take nothing of a response that is ready for it.
    pub write_timeout: Duration,
    /// Age at which a connection is asked to close after its current request.
    pub age_max: Duration,
}

/// Text that must not show up in logs, errors or dumps.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`; from here on it is only seen through [`Secret::expose`].
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that compares or sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is the same; takes a time that does not tell where the first difference is.
    pub fn is(&self, presented: &[u8]) -> bool {
        let expected = self.0.as_bytes();
        let differences = presented.iter().zip(expected).fold(0, |differences, (a, b)| differences | (a ^ b));
        presented.len() == expected.len() && differences == 0
    }

    /// Whether a request presents it as a bearer token (RFC 6750 §2.1).
    pub fn is_borne_by(&self, request: &http::HeaderMap) -> bool {
        let presented = request.get(http::header::AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
        let token = presented.split_at_checked(BEARER.len()).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(BEARER));
        token.is_some_and(|(_, token)| self.is(token))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(hidden)")
    }
}

/// The scheme of bearer tokens and the space after it.
const BEARER: &[u8] = b"Bearer ";

/// Bounds of the memory cache, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheBounds {
    /// All stored responses and fills in flight, index included.
    pub memory: u64,
    /// Largest body stored; larger ones stream through.
    pub object_max: u64,
}

/// How origin names are resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// Name servers; empty means those of the system.
    pub servers: Vec<SocketAddr>,
    /// Longest wait for one lookup.
    pub timeout: Duration,
    /// Answers are asked for again no sooner than this.
    pub ttl_min: Duration,
    /// Answers are asked for again no later than this.
    pub ttl_max: Duration,
    /// Networks of which every address may be an origin's, on the word of DNS.
    pub allow: Vec<IpNet>,
}

/// Where logs go.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// One JSON line per request.
    pub access: LogTarget,
    /// One JSON line per state change.
    pub events: LogTarget,
}

/// A destination of log lines.
#[derive(Clone, Debug, PartialEq)]
pub enum LogTarget {
    /// Appended to this file.
    File(PathBuf),
    /// Nowhere.
    Off,
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
}

/// How the node stops on SIGTERM.
#[derive(Clone, Debug, PartialEq)]
pub struct Drain {
    /// Between readiness failing and listeners closing, so that load balancers notice.
    pub delay: Duration,
    /// Longest wait for requests in flight.
    pub timeout: Duration,
}

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum CertificateSource {
    /// PEM files: the chain, leaf first, and its private key.
    Files {
        /// Chain, leaf first.
        chain: PathBuf,
        /// Private key (PKCS#8, PKCS#1 or SEC1).
        key: PathBuf,
    },
    /// Made at start for these names; for trying things out.
    SelfSigned {
        /// Names the certificate is valid for.
        names: Vec<String>,
    },
}

/// One site: host names, policies, origins.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteConfig {
    /// Unique name, used in metrics, logs and events.
    pub name: String,
    /// Lower-case host names without port; `*.example.org` matches one or more labels.
    pub hosts: Vec<String>,
    /// What plain HTTP requests get.
    pub plain_http: PlainHttp,
    /// File with the page that is served when no origin answers.
    pub error_page: Option<PathBuf>,
    /// What requests are told apart by (RFC 9111 §2).
    pub key: KeyPolicy,
    /// What may be stored (RFC 9111 §3).
    pub store: StorePolicy,
    /// How long it is fresh and how long it may be served stale (RFC 9111 §4.2, RFC 5861).
    pub freshness: FreshnessPolicy,
    /// How stale responses are used.
    pub stale: StalePolicy,
    /// Request fields that reach the origin on requests whose answer may be stored.
    pub forward_fields: ForwardFields,
    /// What requests with credentials have to do with the cache.
    pub authorization: Authorization,
    /// Which cache directives of requests count.
    pub request_directives: Honored,
    /// Who may use the `PURGE` method.
    pub purge: PurgePolicy,
    /// What responses look like to clients.
    pub response: ResponsePolicy,
    /// Which stored responses are coded here, and how (RFC 9110 §8.4).
    pub compression: CodingPolicy,
    /// Deadlines of forward requests.
    pub timeouts: Timeouts,
    /// When a forward request goes on to the next origin.
    pub failover: FailoverPolicy,
    /// What answers look like when their origin is well; the first that is of a path counts.
    pub expectations: Vec<Expectation>,
    /// When a better origin is used again.
    pub failback: FailbackPolicy,
    /// When an origin that answers is too slow.
    pub latency: LatencyPolicy,
    /// Active health checks.
    pub probe: ProbePolicy,
    /// Origins in the order of the file; at least one.
    pub origins: Vec<OriginConfig>,
}

/// What plain HTTP requests get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// 301 or 308 to the same URL over HTTPS.
    Redirect,
    /// The site itself.
    Serve,
}

/// How stale responses are used.
#[derive(Clone, Debug, PartialEq)]
pub struct StalePolicy {
    /// Longest wait for an origin while a usable stale response is at hand.
    pub wait: Duration,
    /// After a failed revalidation the response is good again for this long, ±20 %.
    pub revive: Duration,
    /// Which remedy comes first when an origin fails.
    pub first: FirstRemedy,
}

/// Which remedy comes first when an origin fails and a stale response is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstRemedy {
    /// The next origin of the list.
    Origin,
    /// The stale response.
    Stale,
}

/// What requests with `Authorization` have to do with the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Nothing.
    Bypass,
    /// What RFC 9111 §3.5 permits.
    Cache,
}

/// Request fields that reach the origin on requests whose answer may be stored.
#[derive(Clone, Debug, PartialEq)]
pub enum ForwardFields {
    /// Every end-to-end field.
    All,
    /// The built-in allow-list and these lower-case names; those in the key are among them.
    AllowList(Vec<String>),
}

/// Who may use the `PURGE` method.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PurgePolicy {
    /// Client networks that may.
    pub from: Vec<IpNet>,
    /// Bearer token that lets any client.
    pub token: Option<Secret>,
}

impl PurgePolicy {
    /// Whether the method means anything here; if not, it is passed on.
    pub fn is_on(&self) -> bool {
        !self.from.is_empty() || self.token.is_some()
    }

    /// Whether a request from `client` may purge.
    pub fn allows(&self, client: IpAddr, request: &http::HeaderMap) -> bool {
        self.from.iter().any(|network| network.contains(&client))
            || self.token.as_ref().is_some_and(|token| token.is_borne_by(request))
    }
}

/// What responses look like to clients.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponsePolicy {
    /// Fields that were meant for caches such as this one, and that clients do not get.
    pub consumed: Vec<HeaderName>,
    /// Whether they get `X-Cache`, in place of an origin's.
    pub x_cache: bool,
}
