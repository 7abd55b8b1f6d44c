//! The only place where a failure becomes a status.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::body::ResponseBody;
use super::error_page::ErrorPage;
use crate::origin::request::retry::FailureKind;
use crate::semantics::cache_status::{CacheStatus, CacheStatusMember, ForwardReason};
use crate::semantics::target::BadTarget;

/// Why a request gets no response of an origin's.
#[derive(Debug)]
pub enum Refusal {
    /// The target is not one consistent, canonical URL.
    BadTarget(BadTarget),
    /// `only-if-cached`, and it is not (RFC 9111 §5.2.1.7).
    NotCached(ForwardReason),
    /// No origin gave a usable response to a forward.
    Fetch(Unanswered),
    /// The request has been here before.
    Loop,
    /// CONNECT or TRACE.
    MethodNotAllowed,
    /// The host is not one of ours, or not the one the connection was made for.
    Misdirected,
    /// Every origin is known to be down, and nothing stored may answer.
    OriginsDown(ForwardReason),
    /// PURGE from a client that may not.
    PurgeForbidden,
    /// A body whose end others may see elsewhere.
    TransferCoding,
    /// GET or HEAD with a body.
    UnexpectedBody,
}

/// A forward without a usable response.
#[derive(Clone, Copy, Debug)]
pub struct Unanswered {
    /// Why the request was forwarded.
    pub reason: ForwardReason,
    /// What the last attempt met.
    pub kind: FailureKind,
    /// Whether the forward was another request's.
    pub collapsed: bool,
    /// When the next one will be made, if this one is held until then.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// The status that stands for it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Fetch(unanswered) => unanswered.status(),
            Self::BadTarget(_) | Self::TransferCoding | Self::UnexpectedBody => StatusCode::BAD_REQUEST,
            Self::NotCached(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::OriginsDown(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::PurgeForbidden => StatusCode::FORBIDDEN,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    /// What `Cache-Status` says of it; nothing for requests that never reached the cache.
    pub fn cache(&self) -> Option<CacheStatusMember> {
        let (reason, detail, collapsed) = match self {
            Self::Fetch(Unanswered { reason, kind, collapsed, .. }) => (*reason, kind.as_str(), *collapsed),
            Self::NotCached(reason) => (*reason, "only-if-cached", false),
            Self::OriginsDown(reason) => (*reason, "origin-down", false),
            Self::BadTarget(_)
            | Self::Loop
            | Self::MethodNotAllowed
            | Self::Misdirected
            | Self::PurgeForbidden
            | Self::TransferCoding
            | Self::UnexpectedBody => return None,
        };
        let detail = Some(detail);
        Some(CacheStatusMember { detail, collapsed, ..CacheStatusMember::new(CacheStatus::Forward(reason)) })
    }

    fn sentence(&self) -> String {
        match self {
            Self::BadTarget(fault) => fault.to_string(),
            Self::Fetch(unanswered) => unanswered.sentence().into(),
            Self::OriginsDown(_) => UNREACHABLE.into(),
            Self::Loop => "This request has passed through here before.".into(),
            Self::MethodNotAllowed => "CONNECT and TRACE are not served here.".into(),
            Self::Misdirected => "This host is not served on this connection.".into(),
            Self::NotCached(_) => "This is not stored here, and only-if-cached forbids to ask for it.".into(),
            Self::PurgeForbidden => "PURGE needs a client address in site.purge.from, or the bearer token.".into(),
            Self::TransferCoding => "The only transfer coding is chunked, applied once.".into(),
            Self::UnexpectedBody => "A GET or HEAD request has no body.".into(),
        }
    }

    fn text(&self) -> String {
        let status = self.status();
        let reason = status.canonical_reason().unwrap_or_default();
        format!("{} {reason}\n{}\n", status.as_u16(), self.sentence())
    }

    fn is_for_want_of_an_origin(&self) -> bool {
        matches!(self, Self::Fetch(_) | Self::OriginsDown(_)) && self.status().is_server_error()
    }

    fn retry_after(&self) -> Duration {
        match self {
            Self::Fetch(Unanswered { retry_after: Some(retry_after), .. }) => RETRY_AFTER.max(*retry_after),
            _ => RETRY_AFTER,
        }
    }

    /// The response itself: plain text, or the site's own page where its origins are to blame; never stored, with a hint
    /// when to come back where that makes sense.
    pub fn response(&self, page: Option<&ErrorPage>) -> Response<ResponseBody> {
        let status = self.status();
        let (media_type, body) = match page.filter(|_| self.is_for_want_of_an_origin()) {
            Some(page) => (page.media_type, page.body.clone()),
            None => ("text/plain; charset=utf-8", Bytes::from(self.text())),
        };
        let mut response = Response::new(ResponseBody::whole(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after().as_secs()));
        }
        if matches!(self, Self::TransferCoding) {
            // Whatever comes next on the connection may be a part of this request.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, ALLOWED);
        }
        response
    }
}

impl Unanswered {
    fn status(self) -> StatusCode {
        match self.kind {
            FailureKind::Busy | FailureKind::Connect | FailureKind::Exhausted | FailureKind::NoCandidate => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            FailureKind::ConnectTimeout | FailureKind::Deadline | FailureKind::FirstByteTimeout => {
                StatusCode::GATEWAY_TIMEOUT
            }
            FailureKind::Upload => StatusCode::BAD_REQUEST,
            FailureKind::BodyBroken
            | FailureKind::BodyStalled
            | FailureKind::ClosedUnanswered { .. }
            | FailureKind::Corrupt
            | FailureKind::LastWord
            | FailureKind::Malformed
            | FailureKind::Mismatch
            | FailureKind::Status(_)
            | FailureKind::Surplus
            | FailureKind::Tls
            | FailureKind::Unexpected => StatusCode::BAD_GATEWAY,
        }
    }

    fn sentence(self) -> &'static str {
        match self.kind {
            FailureKind::Busy | FailureKind::Exhausted => "The site has too much to do. Please try again.",
            FailureKind::Connect | FailureKind::NoCandidate => UNREACHABLE,
            FailureKind::Upload => "The body of the request broke off.",
            FailureKind::BodyBroken
            | FailureKind::BodyStalled
            | FailureKind::ClosedUnanswered { .. }
            | FailureKind::ConnectTimeout
            | FailureKind::Corrupt
            | FailureKind::Deadline
            | FailureKind::FirstByteTimeout
            | FailureKind::LastWord
            | FailureKind::Malformed
            | FailureKind::Mismatch
            | FailureKind::Status(_)
            | FailureKind::Surplus
            | FailureKind::Tls
            | FailureKind::Unexpected => "The site's origins gave no usable answer. Please try again.",
        }
    }
}

/// The answer to OPTIONS of the server as a whole, and to OPTIONS that must go no further (RFC 9110 §9.3.7).
pub fn options() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, ALLOWED);
    response
}

/// A redirect to `url`: 301 for methods that may become GET, 308 for the rest.
pub fn redirect(url: &str, safe: bool) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = if safe { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT };
    if let Ok(location) = HeaderValue::try_from(url) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Methods that are answered or passed on; what a resource allows of them, its origin says.
const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

const UNREACHABLE: &str = "The site's origins cannot be reached, and this page is not stored here. Please try again.";

/// About what it takes until probes have found an origin that returned.
const RETRY_AFTER: Duration = Duration::from_secs(5);
