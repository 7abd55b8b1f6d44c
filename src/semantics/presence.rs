//! Which of the fields that a cache decides by a message has at all.
//!
//! The road of a request asks for more than twenty of them, mostly in vain. One look at what there is costs less.

use std::borrow::Borrow;

use http::header::DATE;
use http::{HeaderMap, HeaderName};

use super::cache_control::is_targeted;
use super::no_fallback::NO_FALLBACK;
use super::surrogate::TAG_FIELDS;

/// What a request may have fields for; without any, there is nothing to be looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// `Authorization`.
    pub authorization: bool,
    /// `Accept-Encoding`.
    pub codings: bool,
    /// Preconditions that a cache evaluates: `If-Modified-Since`, `If-None-Match`.
    pub conditions: bool,
    /// `Connection`.
    pub connection: bool,
    /// `Cookie`.
    pub cookies: bool,
    /// What it asks of caches: `Cache-Control`, `Pragma`.
    pub directives: bool,
    /// `Content-Length`, `Transfer-Encoding`.
    pub framing: bool,
    /// Where it has been: `CDN-Loop`, `Via`.
    pub intermediaries: bool,
    /// `Range`.
    pub range: bool,
}

impl Presence {
    /// What `request` has.
    pub fn of(request: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in request.keys() {
            match name.as_str() {
                "accept-encoding" => present.codings = true,
                "authorization" => present.authorization = true,
                "cache-control" | "pragma" => present.directives = true,
                "cdn-loop" | "via" => present.intermediaries = true,
                "connection" => present.connection = true,
                "content-length" | "transfer-encoding" => present.framing = true,
                "cookie" => present.cookies = true,
                "if-modified-since" | "if-none-match" => present.conditions = true,
                "range" => present.range = true,
                _ => {}
            }
        }
        present
    }
}

/// Whether a response with fields of these names is what any client gets, but for what a cache says of it: there is a
/// `Date`, and nothing for caches alone, whichever of that a site consumes.
pub fn is_plain(names: impl IntoIterator<Item = impl Borrow<HeaderName>>) -> bool {
    let mut has_date = false;
    let mut consumable = names.into_iter().filter(|name| {
        has_date |= *name.borrow() == DATE;
        is_consumable(name.borrow())
    });
    consumable.next().is_none() && has_date
}

/// Whether a site may consume a response field of this name.
fn is_consumable(name: &HeaderName) -> bool {
    is_targeted(name) || TAG_FIELDS.contains(name) || *name == NO_FALLBACK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::cache_control::TARGETS;
    use crate::semantics::field::fields;

    #[test]
    fn each_group_has_its_fields() {
        let none = Presence::default();
        check(&[], none);
        check(&["host", "accept", "user-agent", "if-range", "x-via"], none);
        check(&["authorization"], Presence { authorization: true, ..none });
        check(&["accept-encoding"], Presence { codings: true, ..none });
        for name in ["if-modified-since", "if-none-match"] {
            check(&[name], Presence { conditions: true, ..none });
        }
        check(&["connection"], Presence { connection: true, ..none });
        check(&["cookie"], Presence { cookies: true, ..none });
        for name in ["cache-control", "pragma"] {
            check(&[name], Presence { directives: true, ..none });
        }
        for name in ["content-length", "transfer-encoding"] {
            check(&[name], Presence { framing: true, ..none });
        }
        for name in ["cdn-loop", "via"] {
            check(&[name], Presence { intermediaries: true, ..none });
        }
        check(&["range"], Presence { range: true, ..none });
        check(&["host", "range", "cookie"], Presence { cookies: true, range: true, ..none });
    }

    #[test]
    fn a_plain_response_has_a_date_and_nothing_for_caches() {
        let name = HeaderName::from_static;
        assert!(is_plain([DATE]) && is_plain(["server", "date", "cache-control", "x-tag"].map(name)));
        assert!(!is_plain([name("server"), name("last-modified")]));
        for consumable in TARGETS.into_iter().chain(TAG_FIELDS).chain([NO_FALLBACK, name("x-cache-control")]) {
            assert!(!is_plain([DATE, consumable.clone()]) && !is_plain([consumable.clone(), DATE]), "{consumable}");
        }
    }

    #[track_caller]
    fn check(names: &[&'static str], expected: Presence) {
        let lines: Vec<_> = names.iter().map(|&name| (name, "x")).collect();
        assert_eq!(Presence::of(&fields(&lines)), expected, "{names:?}");
    }
}
