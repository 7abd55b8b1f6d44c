//! The admin listener's routes.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use serde_json::Value;

use super::explain::explain;
use super::origin::order;
use super::purge::purge;
use super::readiness::Readiness;
use super::status::status;
use crate::clock::Now;
use crate::config::model::Secret;
use crate::origin::steward::StewardHandle;
use crate::semantics::target::target;
use crate::serve::worker::Shared;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::CONTENT_TYPE;

/// What the routes answer from.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The data plane's state.
    pub shared: Arc<Shared>,
    /// All figures.
    pub metrics: Metrics,
    /// The stewards of all sites.
    pub sites: Vec<StewardHandle>,
    /// Whether new clients are welcome.
    pub readiness: Readiness,
    /// The region the node runs in.
    pub region: Arc<str>,
    /// When the node started.
    pub started: Now,
    /// What a caller must present as a bearer token to see more than health, when it is set.
    pub token: Option<Secret>,
}

impl Admin {
    /// Answers one request of `client`.
    pub async fn handle<B>(&self, head: Parts, body: B, client: IpAddr) -> Response<Full<bytes::Bytes>>
    where
        B: Body<Data = bytes::Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let path = head.uri.path();
        let Some(allowed) = methods(path) else {
            let known: Vec<&str> = ROUTES.iter().map(|(path, _)| *path).collect();
            return text(StatusCode::NOT_FOUND, format!("try {}\n", known.join(", ")));
        };
        if !allowed.split(", ").any(|method| method == head.method.as_str()) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, format!("{path} takes {allowed}\n"));
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            return refused;
        }
        match path {
            "/livez" => text(StatusCode::OK, "live\n"),
            "/readyz" | "/healthz" => self.readyz(),
            path if !self.allows(&head.headers) => {
                let mut refused = text(StatusCode::UNAUTHORIZED, format!("{path} wants the admin token\n"));
                refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                refused
            }
            "/metrics" => {
                self.measure();
                with_type(CONTENT_TYPE, self.metrics.encode())
            }
            "/v1/explain" => document(explain(&self.shared, head.uri.query().unwrap_or_default())),
            "/v1/origin" => match self.commanded(&head, body).await {
                Ok(body) => document(order(self, client, &body).await),
                Err(refused) => *refused,
            },
            "/v1/purge" => match self.commanded(&head, body).await {
                Ok(body) => document(purge(&self.shared, client, &body)),
                Err(refused) => *refused,
            },
            _ => with_type(JSON, status(self).await),
        }
    }

    /// The body of a request that changes something, once it is clear that whoever sends it may.
    async fn commanded<B>(&self, head: &Parts, body: B) -> Result<bytes::Bytes, Box<Response<Full<bytes::Bytes>>>>
    where
        B: Body<Data = bytes::Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let refused = |status, why: String| Err(Box::new(text(status, why)));
        if self.token.is_none() && may_be_a_page(head) {
            let why = "without admin.token, ask by IP address or as localhost, and not from a page\n";
            return refused(StatusCode::FORBIDDEN, why.to_owned());
        }
        // A page that a browser shows can send other types to any address without asking first.
        let content_type = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
        if !essence.trim_ascii().eq_ignore_ascii_case(JSON.as_bytes()) {
            return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected Content-Type: application/json\n".to_owned());
        }
        match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(_) => {
                refused(StatusCode::PAYLOAD_TOO_LARGE, format!("expected a body of at most {BODY_BYTES_MAX} bytes\n"))
            }
        }
    }

    fn readyz(&self) -> Response<Full<bytes::Bytes>> {
        let status = if self.readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        text(status, format!("{}\n", self.readiness.as_str()))
    }

    fn allows(&self, headers: &HeaderMap) -> bool {
        self.token.as_ref().is_none_or(|token| token.is_borne_by(headers))
    }

    /// Gauges that nobody changes by an event are read off when somebody looks.
    fn measure(&self) {
        let shared = &self.shared;
        let whole = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
        self.metrics.cache_bytes.set(whole(shared.store.ledger().used()));
        self.metrics.cache_capacity_bytes.set(whole(shared.store.ledger().bound()));
        self.metrics.cache_excess_bytes.set(whole(shared.store.excess()));
        self.metrics.cache_objects.set(whole(shared.store.keys()));
        self.metrics.fills_inflight.set(whole(shared.fills.count() as u64));
    }
}

/// Whether a browser may have been made to send this by a page of somebody else's: one whose name was made to resolve to
/// this host (DNS rebinding) is asked for by that name, and says so.
fn may_be_a_page(head: &Parts) -> bool {
    let asked = target("http", &head.uri, &head.headers, head.version);
    let is_ours = asked.is_ok_and(|asked| asked.host() == "localhost" || asked.host().parse::<IpAddr>().is_ok());
    !is_ours || head.headers.contains_key(header::ORIGIN)
}

/// The methods of a path.
fn methods(path: &str) -> Option<&'static str> {
    ROUTES.iter().find(|(known, _)| *known == path).map(|(_, methods)| *methods)
}

fn document((status, document): (StatusCode, Value)) -> Response<Full<bytes::Bytes>> {
    let mut response = with_type(JSON, format!("{document:#}\n"));
    *response.status_mut() = status;
    response
}

fn text(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response<Full<bytes::Bytes>> {
    let mut response = with_type("text/plain; charset=utf-8", body);
    *response.status_mut() = status;
    response
}

fn with_type(content_type: &'static str, body: impl Into<bytes::Bytes>) -> Response<Full<bytes::Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Every path and its methods.
const ROUTES: [(&str, &str); 8] = [
    ("/healthz", "GET, HEAD"),
    ("/livez", "GET, HEAD"),
    ("/metrics", "GET, HEAD"),
    ("/readyz", "GET, HEAD"),
    ("/status", "GET, HEAD"),
    ("/v1/explain", "GET, HEAD"),
    ("/v1/origin", "POST"),
    ("/v1/purge", "POST"),
];

const JSON: &str = "application/json";

/// Largest body of a request: room for the longest list of URLs that one purge takes.
const BODY_BYTES_MAX: usize = 4 << 20;
