//! What may be asked, and whether the cache has a say in it.

use http::{HeaderMap, Method, header};

use super::client::ClientConnection;
use super::site::Site;
use super::synthetic::Refusal;
use super::worker::Shared;
use crate::config::model::{Authorization, ForwardFields, PlainHttp};
use crate::semantics::cache_status::ForwardReason;
use crate::semantics::forwarding;
use crate::semantics::presence::Presence;
use crate::semantics::target::Target;

/// The road a request is admitted to.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// The cache is asked first.
    Cache,
    /// Straight to an origin, for this reason.
    Forward(ForwardReason),
    /// Answered with what this node can do.
    Options,
    /// The target URI is purged.
    Purge,
    /// Answered with a redirect to this URL.
    Redirect(String),
}

/// What a request is admitted by.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Its method.
    pub method: &'a Method,
    /// What it is for.
    pub target: &'a Target,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Which of them there are.
    pub present: Presence,
}

/// Admits a request to a road.
///
/// # Errors
/// [`Refusal`] for methods that are not served here, requests that came round in a loop, and cacheable requests with a
/// body, which nothing defines and smuggling uses (RFC 9110 §9.3.1).
pub fn admit(
    site: &Site,
    shared: &Shared,
    client: &ClientConnection,
    head: &Head<'_>,
    has_body: bool,
) -> Result<Admission, Refusal> {
    let &Head { method, target, headers, present } = head;
    if present.framing && !has_plain_framing(headers) {
        return Err(Refusal::TransferCoding);
    }
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Refusal::MethodNotAllowed);
    }
    if present.intermediaries && shared.signature.loops(headers) {
        return Err(Refusal::Loop);
    }
    if client.tls.is_none() && site.config.plain_http == PlainHttp::Redirect {
        return Ok(Admission::Redirect(https_url(target, shared.https_port)));
    }
    // "If the received value is zero (0), the intermediary MUST NOT forward the request; instead, the intermediary MUST
    // respond as the final recipient" (RFC 9110 §7.6.2).
    if *method == Method::OPTIONS && forwarding::max_forwards(headers) == Some(0) {
        return Ok(Admission::Options);
    }
    if method.as_str() == PURGE && site.config.purge.is_on() {
        let allowed = site.config.purge.allows(client.peer.ip(), headers);
        return if allowed { Ok(Admission::Purge) } else { Err(Refusal::PurgeForbidden) };
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Ok(Admission::Forward(ForwardReason::Method));
    }
    if has_body {
        return Err(Refusal::UnexpectedBody);
    }
    // Answers to authenticated requests, and to cookies where the origin sees them, are for one user; everything of such
    // a request goes through, and nothing of its answer is stored.
    if (present.authorization && site.config.authorization == Authorization::Bypass)
        || (present.cookies && forwards_cookies(site))
    {
        return Ok(Admission::Forward(ForwardReason::Bypass));
    }
    if !site.config.key.has_room_for(headers) {
        return Ok(Admission::Forward(ForwardReason::Bypass));
    }
    Ok(Admission::Cache)
}

/// Whether its body, if any, ends where every reader sees its end: with a length, or with `chunked` written once and
/// alone. hyper reads lists that end in `chunked` too, which other readers take for something else.
fn has_plain_framing(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) && codings.next().is_none()
}

/// Whether the site lets cookies through, on requests that the cache has a part in, that are not in the key.
fn forwards_cookies(site: &Site) -> bool {
    match &site.config.forward_fields {
        _ if !site.config.key.cookies.is_empty() => false,
        ForwardFields::All => true,
        ForwardFields::AllowList(names) => names.iter().any(|name| name == header::COOKIE.as_str()),
    }
}

/// Whether the request has a body: announced by its head or, over HTTP/2, by a head that does not end the stream.
pub fn has_body(headers: &HeaderMap, present: Presence, ends_with_head: bool) -> bool {
    let is_announced = || {
        headers.contains_key(header::TRANSFER_ENCODING)
            || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
    };
    (present.framing && is_announced()) || !ends_with_head
}

/// Where the same resource is found over HTTPS. A client that named no port came through the standard one, whatever this
/// node listens on behind it, and finds HTTPS at its standard one too.
fn https_url(target: &Target, https_port: Option<u16>) -> String {
    let port = target.port().and(https_port);
    Target::new("https", target.host(), port, target.path_and_query()).uri().to_string()
}

/// No RFC defines it; caches agree on it.
const PURGE: &str = "PURGE";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, port: Option<u16>, https_port: Option<u16>, expected: &str) {
        let target = Target::new("http", host, port, "/x?y");
        assert_eq!(https_url(&target, https_port), expected);
    }

    #[test]
    fn a_client_of_the_standard_port_is_sent_to_the_standard_port() {
        check("www.test", None, Some(8443), "https://www.test/x?y");
        check("www.test", None, Some(443), "https://www.test/x?y");
    }

    #[test]
    fn a_client_of_another_port_is_sent_to_the_port_of_the_listener() {
        check("www.test", Some(8080), Some(8443), "https://www.test:8443/x?y");
        check("::1", Some(8080), Some(8443), "https://[::1]:8443/x?y");
        check("www.test", Some(8080), Some(443), "https://www.test/x?y");
    }
}
