//! Names of fields, cookies, query parameters and media types, as people write them.

use http::HeaderName;

use super::units::FromText;
use crate::semantics::cache_control::is_targeted;
use crate::semantics::query::ParameterPattern;

/// A lower-case name of a request field that the cache does not manage itself, or `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestField(pub(super) String);

/// A request field that reaches the origin as it is in the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyField(pub(super) HeaderName);

/// The name of a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CookieName(pub(super) String);

/// The lower-case name of a field that speaks to some caches in place of Cache-Control (RFC 9213).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TargetedField(pub(super) HeaderName);

/// A lower-case media type without parameters, or one with `*` for its subtype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaType(pub(super) String);

impl FromText for RequestField {
    fn from_text(text: &str) -> Option<Self> {
        let name = text.to_ascii_lowercase();
        let is_name = !name.is_empty() && HeaderName::from_lowercase(name.as_bytes()).is_ok();
        let is_managed = MANAGED_FIELDS.contains(&name.as_str()) || name.starts_with("proxy-");
        (text == "*" || is_name && !is_managed).then_some(Self(name))
    }
}

impl FromText for KeyField {
    fn from_text(text: &str) -> Option<Self> {
        let RequestField(name) = RequestField::from_text(text).filter(|field| field.0 != "*")?;
        if OTHER_THAN_KEYED.contains(&name.as_str()) {
            return None;
        }
        HeaderName::from_lowercase(name.as_bytes()).ok().map(Self)
    }
}

impl FromText for CookieName {
    fn from_text(text: &str) -> Option<Self> {
        // cookie-name is a token (RFC 6265 §4.1.1), and so is the name of a field.
        let is_token = HeaderName::from_bytes(text.as_bytes()).is_ok();
        (is_token && text.len() <= PATTERN_BYTES_MAX).then(|| Self(text.to_owned()))
    }
}

impl FromText for ParameterPattern {
    fn from_text(text: &str) -> Option<Self> {
        Self::parse(text).filter(|_| text.len() <= PATTERN_BYTES_MAX)
    }
}

impl FromText for TargetedField {
    fn from_text(text: &str) -> Option<Self> {
        let name = HeaderName::from_bytes(text.as_bytes()).ok()?;
        is_targeted(&name).then_some(Self(name))
    }
}

impl FromText for MediaType {
    fn from_text(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        // restricted-name (RFC 6838 §4.2)
        let is_name = |name: &str| {
            (1..=127).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        (is_name(kind) && (subtype == "*" || is_name(subtype))).then(|| Self(text.to_ascii_lowercase()))
    }
}

const PATTERN_BYTES_MAX: usize = 256;

/// Fields that are hop-by-hop, frame the message, are for this node, or are written by the cache on requests whose answer
/// it may store.
const MANAGED_FIELDS: [&str; 17] = [
    "connection",
    "content-length",
    "expect",
    "holdover-debug",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that origins get in another form than the client's, that have keys of their own, or that bypass the cache.
const OTHER_THAN_KEYED: [&str; 9] = [
    "accept-encoding",
    "authorization",
    "cdn-loop",
    "cookie",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units::check;

    #[test]
    fn a_request_field_is_one_that_the_cache_leaves_alone() {
        let field = |name: &str| Some(RequestField(name.to_owned()));
        check(&[
            ("Accept-Language", field("accept-language")),
            ("*", field("*")),
            ("Connection", None),
            ("Proxy-Authorization", None),
            ("if-none-match", None),
            ("Holdover-Debug", None),
            ("a b", None),
            ("", None),
        ]);
    }

    #[test]
    fn a_field_in_the_key_is_one_that_the_origin_gets_as_it_is() {
        let field = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok().map(KeyField);
        check(&[
            ("X-Country", field("x-country")),
            ("accept-language", field("accept-language")),
            ("*", None),
            ("Cookie", None),
            ("X-Forwarded-Proto", None),
            ("if-none-match", None),
            ("a b", None),
        ]);
    }

    #[test]
    fn a_targeted_field_is_named_after_what_it_stands_for() {
        let field = |name| Some(TargetedField(HeaderName::from_static(name)));
        check(&[
            ("CDN-Cache-Control", field("cdn-cache-control")),
            ("surrogate-control", field("surrogate-control")),
            ("cache-control", None),
            ("expires", None),
            ("a b-cache-control", None),
            ("", None),
        ]);
    }

    #[test]
    fn the_name_of_a_cookie_is_a_token() {
        let cookie = |name: &str| Some(CookieName(name.to_owned()));
        check(&[("Lang", cookie("Lang")), ("__Host-a", cookie("__Host-a")), ("a=b", None), ("a;b", None), ("", None)]);
    }

    #[test]
    fn a_media_type_has_no_parameters_and_may_leave_its_subtype_open() {
        let media_type = |text: &str| Some(MediaType(text.to_owned()));
        check(&[
            ("text/html", media_type("text/html")),
            ("Image/SVG+xml", media_type("image/svg+xml")),
            ("text/*", media_type("text/*")),
            ("application/vnd.ms-fontobject", media_type("application/vnd.ms-fontobject")),
            ("*/*", None),
            ("*", None),
            ("text", None),
            ("text/", None),
            ("/html", None),
            ("text/h*", None),
            ("text/html; charset=utf-8", None),
            ("text/html/x", None),
        ]);
    }
}
