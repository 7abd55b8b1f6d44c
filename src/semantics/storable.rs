//! What a shared cache may store (RFC 9111 §3), and what this one stores of that.

use http::header::{AUTHORIZATION, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};

use super::cache_control::ResponseDirectives;
use super::freshness::is_heuristically_cacheable;
use super::vary::vary_fields;

/// What may be stored of a site, where the RFC leaves a choice.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct StorePolicy {
    /// Responses that set a cookie.
    pub set_cookie: SetCookie,
}

/// When a response that sets a cookie is stored; a cookie in a stored response goes to everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SetCookie {
    /// If the origin permits shared caching explicitly: `public`, `s-maxage` or a targeted field.
    #[default]
    Explicit,
    /// As RFC 9111 §7.3 says: a cookie alone "does not inhibit caching".
    Letter,
    /// Never.
    Never,
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStorable {
    /// The request carried credentials and the origin did not permit shared caching.
    Authorization,
    /// Not the response to a GET.
    Method,
    /// `no-store`.
    NoStore,
    /// A status that speaks of one request rather than of the resource.
    OneRequest,
    /// 206. RFC 9111 §3.4 lets a cache store and combine parts; this one fetches the whole, or passes the range on.
    PartialContent,
    /// `private`.
    Private,
    /// It sets a cookie and the policy does not let it.
    SetCookie,
    /// A status that is never stored, or only with explicit permission that is missing.
    Status,
    /// `Vary: *`, or a Vary that cannot be read.
    VaryAny,
}

impl NotStorable {
    /// The reason as a word for logs, metrics and `Cache-Status` details.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Method => "method",
            Self::NoStore => "no-store",
            Self::OneRequest => "one-request",
            Self::PartialContent => "partial-content",
            Self::Private => "private",
            Self::SetCookie => "set-cookie",
            Self::Status => "status",
            Self::VaryAny => "vary-any",
        }
    }
}

/// Whether an HTTP/1.1 response may be stored, or the first reason why not.
///
/// `request` and `response` are the field sections as received: hop-by-hop fields not yet removed, because they tell
/// where the body ends. The request's `no-store` is ignored: the cache is the origin's agent, and any client could say
/// it.
pub fn storable(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    directives: &ResponseDirectives,
    policy: &StorePolicy,
) -> Result<(), NotStorable> {
    // "A cache MUST NOT store a response to a request unless: the request method is understood by the cache;"
    if method != Method::GET {
        return Err(NotStorable::Method);
    }
    // "the response status code is final; if the response status code is 206 or 304, or the must-understand cache
    // directive is present: the cache understands the response status code;"
    storable_status(status, response, directives)?;
    // "the no-store cache directive is not present in the response;" but "the cache SHOULD ignore the no-store
    // directive if it understands and implements the status code's caching requirements" of a response with
    // must-understand (§5.2.2.3).
    if directives.no_store && !directives.must_understand {
        return Err(NotStorable::NoStore);
    }
    // "if the cache is shared: the private response directive is either not present or allows a shared cache to store a
    // modified response;"
    if directives.private {
        return Err(NotStorable::Private);
    }
    // "if the cache is shared: the Authorization header field is not present in the request or a response directive is
    // present that explicitly allows shared caching;" those are "must-revalidate, public, and s-maxage" (§3.5).
    let permitted = directives.must_revalidate || directives.public || directives.s_maxage.is_some();
    if request.contains_key(AUTHORIZATION) && !permitted {
        return Err(NotStorable::Authorization);
    }
    storable_cookie(response, directives, policy)?;
    // "A stored response with a Vary header field value containing a member "*" always fails to match." (§4.1)
    if vary_fields(response).is_err() {
        return Err(NotStorable::VaryAny);
    }
    Ok(())
}

fn storable_status(
    status: StatusCode,
    response: &HeaderMap,
    directives: &ResponseDirectives,
) -> Result<(), NotStorable> {
    if status == StatusCode::PARTIAL_CONTENT {
        return Err(NotStorable::PartialContent);
    }
    if NEVER_STORED.contains(&status.as_u16()) {
        return Err(NotStorable::OneRequest);
    }
    if !(200..600).contains(&status.as_u16()) {
        return Err(NotStorable::Status);
    }
    let understood = is_heuristically_cacheable(status) || UNDERSTOOD.contains(&status.as_u16());
    if directives.must_understand && !understood {
        return Err(NotStorable::Status);
    }
    // "the response contains at least one of the following: a public response directive; […] an Expires header field; a
    // max-age response directive; if the cache is shared: an s-maxage response directive; […] or a status code that is
    // defined as heuristically cacheable". An error of the server needs an explicit lifetime: kept without one, it
    // outlives its cause.
    let explicit = directives.has_explicit_expiration(response);
    let permitted = if status.is_server_error() {
        explicit
    } else {
        explicit || directives.public || is_heuristically_cacheable(status)
    };
    if permitted { Ok(()) } else { Err(NotStorable::Status) }
}

fn storable_cookie(
    response: &HeaderMap,
    directives: &ResponseDirectives,
    policy: &StorePolicy,
) -> Result<(), NotStorable> {
    let explicit = directives.public || directives.s_maxage.is_some() || directives.targeted;
    let permitted = match policy.set_cookie {
        SetCookie::Explicit => explicit,
        SetCookie::Letter => true,
        SetCookie::Never => false,
    };
    if permitted || !response.contains_key(SET_COOKIE) { Ok(()) } else { Err(NotStorable::SetCookie) }
}

/// Final statuses whose caching requirements are met here, beside those that are heuristically cacheable; what
/// must-understand asks for (§5.2.2.3).
const UNDERSTOOD: [u16; 13] = [201, 202, 302, 303, 307, 401, 402, 403, 409, 422, 500, 503, 504];

/// Statuses that speak of one request rather than of the resource: its form, size, rate, credentials, conditions or
/// ranges. Stored, any of them would deny the resource to everyone else. 428, 429, 431 and 511 "MUST NOT be stored"
/// (RFC 6585).
const NEVER_STORED: [u16; 19] =
    [205, 304, 400, 407, 408, 411, 412, 413, 414, 415, 416, 417, 421, 425, 426, 428, 429, 431, 511];

#[cfg(test)]
mod tests;
