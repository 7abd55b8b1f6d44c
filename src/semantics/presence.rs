//! Which of the fields that a cache decides by a request has at all.
//!
//! The road of a request asks for nearly twenty of them, mostly in vain. One look at what there is costs less.

use http::HeaderMap;

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

#[cfg(test)]
mod tests {
    use super::*;
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

    #[track_caller]
    fn check(names: &[&'static str], expected: Presence) {
        let lines: Vec<_> = names.iter().map(|&name| (name, "x")).collect();
        assert_eq!(Presence::of(&fields(&lines)), expected, "{names:?}");
    }
}
