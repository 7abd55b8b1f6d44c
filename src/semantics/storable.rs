//! What a shared cache may store (RFC 9111 §3), and what this one stores of that.

use http::header::{AUTHORIZATION, HeaderName, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};

use super::cache_control::{ResponseDirectives, TARGETS};
use super::freshness::{Negative, is_heuristically_cacheable};
use super::vary::vary_fields;

/// What may be stored of a site, where the RFC leaves a choice.
#[derive(Clone, Debug, PartialEq)]
pub struct StorePolicy {
    /// Responses that set a cookie.
    pub set_cookie: SetCookie,
    /// Fields that take the place of `Cache-Control`, the first one first (RFC 9213 §2.2).
    pub targets: Vec<HeaderName>,
    /// Errors that are stored though their origin says nothing of it, and how long they are fresh.
    pub negative: Negative,
}

impl Default for StorePolicy {
    fn default() -> Self {
        Self { set_cookie: SetCookie::default(), targets: TARGETS.to_vec(), negative: Negative::default() }
    }
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

/// The fields that are not stored with a response that may be stored otherwise. They are for the client that asked for
/// it and nobody else.
pub fn withheld<'a>(
    directives: &'a ResponseDirectives,
    policy: &StorePolicy,
    cookie_answers_credentials: bool,
) -> impl Iterator<Item = &'a HeaderName> {
    // "only the listed header fields are limited to a single user: a shared cache MUST NOT store the listed header fields
    // if they are present in the original response but MAY store the remainder of the response message without those
    // header fields" (§5.2.2.7). A qualified no-cache permits reuse "if the listed header fields are excluded from the
    // subsequent response or the subsequent response has been successfully revalidated" (§5.2.2.4), and what comes with a
    // validation needs no store.
    // A cookie that answers credentials is of one user, whatever else of the response is public.
    let is_personal = cookie_answers_credentials || !permits_cookie(directives, policy);
    let cookie = is_personal.then_some(&SET_COOKIE);
    directives.withheld.iter().chain(cookie)
}

/// Whether an HTTP/1.1 response may be stored, or the first reason why not.
///
/// `request` and `response` are the field sections as received: hop-by-hop fields not yet removed, because they tell
/// where the body ends. The request's `no-store` is not looked at: whether it counts is for the site to say.
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
    storable_status(status, response, directives, policy)?;
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
    // present that explicitly allows shared caching;"
    if request.contains_key(AUTHORIZATION) && !directives.allow_sharing() {
        return Err(NotStorable::Authorization);
    }
    let is_harmless = directives.withheld.contains(&SET_COOKIE) || permits_cookie(directives, policy);
    if response.contains_key(SET_COOKIE) && !is_harmless {
        return Err(NotStorable::SetCookie);
    }
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
    policy: &StorePolicy,
) -> Result<(), NotStorable> {
    if status == StatusCode::PARTIAL_CONTENT {
        return Err(NotStorable::PartialContent);
    }
    if speaks_of_one_request(status) {
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
    // defined as heuristically cacheable".
    let implicit = directives.public || is_heuristically_cacheable(status);
    let permitted = directives.has_explicit_expiration(response)
        || policy.negative.lifetime(status).is_some()
        || (implicit && !OF_AN_OUTAGE.contains(&status.as_u16()));
    if permitted { Ok(()) } else { Err(NotStorable::Status) }
}

/// Whether a status speaks of one request rather than of the resource, so that it is never stored.
pub fn speaks_of_one_request(status: StatusCode) -> bool {
    NEVER_STORED.contains(&status.as_u16())
}

/// Whether the policy lets cookies of a response with these directives be stored.
fn permits_cookie(directives: &ResponseDirectives, policy: &StorePolicy) -> bool {
    match policy.set_cookie {
        SetCookie::Explicit => directives.public || directives.s_maxage.is_some() || directives.targeted,
        SetCookie::Letter => true,
        SetCookie::Never => false,
    }
}

/// Final statuses whose caching requirements are met here, beside those that are heuristically cacheable; what
/// must-understand asks for (§5.2.2.3).
const UNDERSTOOD: [u16; 13] = [201, 202, 302, 303, 307, 401, 402, 403, 409, 422, 500, 503, 504];

/// Statuses that speak of one request rather than of the resource: of its form, size or rate, of what it accepts, of its
/// credentials, conditions or ranges, of the connection it came over. All of these are outside the key, so that whoever sends a bad
/// one could deny the resource to everyone else, even where the origin states a lifetime for whatever it answers. 428, 429,
/// 431 and 511 "MUST NOT be stored" (RFC 6585), and 304 is no response of its own. A 400 speaks of the URL, as long as
/// the request has nothing else that could be bad; see [`are_plain`](super::forwarding::are_plain).
const NEVER_STORED: [u16; 15] = [304, 406, 407, 408, 412, 413, 416, 417, 421, 425, 426, 428, 429, 431, 511];

/// Statuses of an origin in trouble. Kept without a lifetime that the origin states, they outlive their cause.
const OF_AN_OUTAGE: [u16; 4] = [500, 502, 503, 504];

#[cfg(test)]
mod tests;
