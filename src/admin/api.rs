//! The admin listener's routes.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use super::readiness::Readiness;
use super::status::status;
use crate::clock::Now;
use crate::config::model::Secret;
use crate::origin::steward::StatusRequests;
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
    pub sites: Vec<StatusRequests>,
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
    /// Answers one request; the body of a request is ignored.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<bytes::Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD are served here\n");
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "live\n"),
            "/readyz" | "/healthz" => self.readyz(),
            path if !self.allows(request.headers()) => {
                let mut refused = text(StatusCode::UNAUTHORIZED, format!("{path} wants the admin token\n"));
                refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                refused
            }
            "/metrics" => {
                self.measure();
                with_type(CONTENT_TYPE, self.metrics.encode())
            }
            "/status" => with_type("application/json", status(self).await),
            _ => text(StatusCode::NOT_FOUND, "try /livez, /readyz, /metrics or /status\n"),
        }
    }

    fn readyz(&self) -> Response<Full<bytes::Bytes>> {
        let status = if self.readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        text(status, format!("{}\n", self.readiness.as_str()))
    }

    fn allows(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let presented = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let presented = presented.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        same(presented.as_bytes(), token.expose().as_bytes())
    }

    /// Gauges that nobody changes by an event are read off when somebody looks.
    fn measure(&self) {
        let shared = &self.shared;
        let whole = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
        self.metrics.cache_bytes.set(whole(shared.store.ledger().used()));
        self.metrics.cache_capacity_bytes.set(whole(shared.store.ledger().bound()));
        self.metrics.cache_objects.set(whole(shared.store.keys()));
        self.metrics.fills_inflight.set(whole(shared.fills.count() as u64));
    }
}

/// Compares in a time that does not tell where the first difference is.
fn same(presented: &[u8], expected: &[u8]) -> bool {
    let differences = presented.iter().zip(expected).fold(0, |differences, (a, b)| differences | (a ^ b));
    presented.len() == expected.len() && differences == 0
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
