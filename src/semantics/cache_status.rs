//! How a request was handled, in the words of Cache-Status (RFC 9211).

use http::{HeaderValue, StatusCode};

use super::field::{Decimal, is_token_byte};

/// How the cache handled a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheStatus {
    /// "the request was satisfied by the cache; that is, it was not forwarded, and the response was obtained from the
    /// cache" (§2.1).
    Hit,
    /// "the request went forward towards the origin" (§2.2).
    Forward(ForwardReason),
}

impl CacheStatus {
    /// `hit`, or the reason for forwarding.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Forward(reason) => reason.as_str(),
        }
    }
}

/// Why a request went forward (§2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardReason {
    /// "The cache was configured to not handle this request."
    Bypass,
    /// "The request method's semantics require the request to be forwarded."
    Method,
    /// "The cache did not contain any responses that could be used to satisfy this request (to be used when an
    /// implementation cannot distinguish between uri-miss and vary-miss)."
    Miss,
    /// "The cache was able to select a partial response for the request, but it did not contain all of the requested
    /// ranges (or the request was for the complete response)."
    Partial,
    /// "The cache was able to select a fresh response for the request, but the request's semantics (e.g., Cache-Control
    /// request directives) did not allow its use."
    Request,
    /// "The cache was able to select a response for the request, but it was stale."
    Stale,
    /// "The cache did not contain any responses that matched the request URI."
    UriMiss,
    /// "The cache contained a response that matched the request URI, but it could not select a response based upon this
    /// request's header fields and stored Vary header fields."
    VaryMiss,
}

impl ForwardReason {
    /// The value of the `fwd` parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::Miss => "miss",
            Self::Partial => "partial",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
        }
    }
}

/// What a cache is called: a Token if that can be, else a String (§2). It is made once, because every response bears it.
#[derive(Clone, Debug)]
pub struct CacheName(Box<str>);

impl CacheName {
    /// The name of the cache of `node`.
    pub fn of(node: &str) -> Self {
        let mut name = String::new();
        push_item(&mut name, node);
        Self(name.into())
    }
}

/// What one cache says of a response (§2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatusMember {
    /// `hit` or `fwd`.
    pub status: CacheStatus,
    /// Remaining freshness in seconds, negative once stale (§2.4).
    pub ttl: Option<i64>,
    /// The status of the origin's answer, if it differs from what the client gets or is worth telling (§2.3).
    pub forward_status: Option<StatusCode>,
    /// The response was stored (§2.5).
    pub stored: bool,
    /// The request was answered together with others (§2.6).
    pub collapsed: bool,
    /// Further information (§2.8).
    pub detail: Option<&'static str>,
    /// The response was stale when it was used, be it for less than a second.
    pub stale: bool,
}

impl CacheStatusMember {
    /// Nothing but the status.
    pub const fn new(status: CacheStatus) -> Self {
        Self { status, ttl: None, forward_status: None, stored: false, collapsed: false, detail: None, stale: false }
    }

    /// The word for it in `X-Cache`, which no standard defines: `HIT`, `MISS`, `STALE` or `BYPASS`.
    pub fn x_cache(&self) -> &'static str {
        match self.status {
            _ if self.stale => "STALE",
            CacheStatus::Hit => "HIT",
            CacheStatus::Forward(ForwardReason::Bypass | ForwardReason::Method) => "BYPASS",
            CacheStatus::Forward(_) => "MISS",
        }
    }

    /// The list member of the cache called `name`, for appending to what caches closer to the origin have said: "Each
    /// member of the list represents a cache that has handled the request." With the text of the `key` that the cache was
    /// asked by, where the recipient may know it.
    pub fn render(&self, name: &CacheName, key: Option<&str>) -> HeaderValue {
        let ttl = self.ttl.map(|ttl| (ttl < 0, Decimal::of(ttl.unsigned_abs().min(INTEGER_MAX))));
        let digits = ttl.as_ref().map_or("", |(_, digits)| digits.as_str());
        // Exactly what a hit takes, so that its text becomes the value without being copied.
        let mut text = String::with_capacity(name.0.len() + "; hit; ttl=".len() + digits.len());
        text.push_str(&name.0);
        match self.status {
            CacheStatus::Hit => text.push_str("; hit"),
            CacheStatus::Forward(reason) => {
                text.push_str("; fwd=");
                text.push_str(reason.as_str());
                if let Some(status) = self.forward_status {
                    text.push_str("; fwd-status=");
                    text.push_str(status.as_str());
                }
            }
        }
        if let Some((is_negative, _)) = ttl {
            text.push_str(if is_negative { "; ttl=-" } else { "; ttl=" });
            text.push_str(digits);
        }
        // stored and collapsed describe what came of a request that went forward.
        if matches!(self.status, CacheStatus::Forward(_)) {
            if self.stored {
                text.push_str("; stored");
            }
            if self.collapsed {
                text.push_str("; collapsed");
            }
        }
        if let Some(key) = key {
            // A String that represents the key, in whatever way suits the cache (§2.7). A line
            // feed, which has no place in one, is shown as a space.
            text.push_str("; key=");
            let shown = key.chars().take(KEY_CHARACTERS_MAX);
            push_string(&mut text, shown.map(|character| if character == '\n' { ' ' } else { character }));
        }
        if let Some(detail) = self.detail {
            text.push_str("; detail=");
            push_item(&mut text, detail);
        }
        HeaderValue::try_from(text).expect("an item holds printable ASCII")
    }
}

/// `text` as a Token if it is one, else as a String (RFC 8941 §3.3.3, §3.3.4), which has room for printable ASCII only.
fn push_item(item: &mut String, text: &str) {
    let begins_token = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*');
    if begins_token && text.bytes().all(|byte| is_token_byte(byte) || matches!(byte, b':' | b'/')) {
        item.push_str(text);
        return;
    }
    push_string(item, text.chars());
}

/// A String (RFC 8941 §3.3.3).
fn push_string(item: &mut String, characters: impl Iterator<Item = char>) {
    item.push('"');
    for character in characters {
        match character {
            '"' | '\\' => item.extend(['\\', character]),
            ' '..='~' => item.push(character),
            _ => item.push('?'),
        }
    }
    item.push('"');
}

/// What is shown of a key, in characters: enough for any URL that a person reads, and no burden for those who keep fields
/// short.
const KEY_CHARACTERS_MAX: usize = 1024;

/// Largest integer of a structured field (RFC 8941 §3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

#[cfg(test)]
mod tests {
    use super::*;

    const HIT: CacheStatusMember = CacheStatusMember {
        status: CacheStatus::Hit,
        ttl: None,
        forward_status: None,
        stored: false,
        collapsed: false,
        detail: None,
        stale: false,
    };

    #[test]
    fn members_of_cache_status() {
        let forward = |reason| CacheStatusMember { status: CacheStatus::Forward(reason), ..HIT };
        check(HIT, "holdover; hit");
        check(CacheStatusMember { ttl: Some(60), ..HIT }, "holdover; hit; ttl=60");
        check(CacheStatusMember { ttl: Some(-412), ..HIT }, "holdover; hit; ttl=-412");
        check(CacheStatusMember { ttl: Some(i64::MIN), ..HIT }, "holdover; hit; ttl=-999999999999999");
        check(CacheStatusMember { stored: true, collapsed: true, ..HIT }, "holdover; hit");
        check(
            CacheStatusMember {
                forward_status: Some(StatusCode::SERVICE_UNAVAILABLE),
                detail: Some("stale-if-error"),
                ..forward(ForwardReason::Stale)
            },
            "holdover; fwd=stale; fwd-status=503; detail=stale-if-error",
        );
        check(
            CacheStatusMember { ttl: Some(1), stored: true, collapsed: true, ..forward(ForwardReason::UriMiss) },
            "holdover; fwd=uri-miss; ttl=1; stored; collapsed",
        );
        check(CacheStatusMember { detail: Some("of its own"), ..HIT }, "holdover; hit; detail=\"of its own\"");
    }

    #[test]
    fn the_reasons_for_forwarding() {
        for (reason, word) in [
            (ForwardReason::Bypass, "bypass"),
            (ForwardReason::Method, "method"),
            (ForwardReason::Miss, "miss"),
            (ForwardReason::Partial, "partial"),
            (ForwardReason::Request, "request"),
            (ForwardReason::Stale, "stale"),
            (ForwardReason::UriMiss, "uri-miss"),
            (ForwardReason::VaryMiss, "vary-miss"),
        ] {
            assert_eq!(CacheStatus::Forward(reason).as_str(), word);
        }
        assert_eq!(CacheStatus::Hit.as_str(), "hit");
    }

    #[test]
    fn the_word_in_x_cache() {
        for (status, stale, word) in [
            (CacheStatus::Hit, false, "HIT"),
            (CacheStatus::Hit, true, "STALE"),
            (CacheStatus::Forward(ForwardReason::Stale), true, "STALE"),
            (CacheStatus::Forward(ForwardReason::Stale), false, "MISS"),
            (CacheStatus::Forward(ForwardReason::UriMiss), false, "MISS"),
            (CacheStatus::Forward(ForwardReason::VaryMiss), false, "MISS"),
            (CacheStatus::Forward(ForwardReason::Miss), false, "MISS"),
            (CacheStatus::Forward(ForwardReason::Partial), false, "MISS"),
            (CacheStatus::Forward(ForwardReason::Bypass), false, "BYPASS"),
            (CacheStatus::Forward(ForwardReason::Method), false, "BYPASS"),
            (CacheStatus::Forward(ForwardReason::Request), false, "MISS"),
        ] {
            assert_eq!(CacheStatusMember { stale, ..CacheStatusMember::new(status) }.x_cache(), word, "{status:?}");
        }
    }

    #[test]
    fn a_cache_is_named_by_a_string_or_token() {
        for (node, expected) in [
            ("edge-1.example:8443", "edge-1.example:8443; hit"),
            ("1st", "\"1st\"; hit"),
            ("", "\"\"; hit"),
            ("my \"edge\" \\", "\"my \\\"edge\\\" \\\\\"; hit"),
            ("é\r\nx: y", "\"???x: y\"; hit"),
        ] {
            assert_eq!(HIT.render(&CacheName::of(node), None), expected, "{node:?}");
        }
    }

    #[test]
    fn the_key_is_a_string() {
        for (key, expected) in [
            ("https://a.test/x?y=1", "holdover; hit; key=\"https://a.test/x?y=1\""),
            ("https://a.test/x\nx-tier: \"a\\b\"", "holdover; hit; key=\"https://a.test/x x-tier: \\\"a\\\\b\\\"\""),
            ("x", "holdover; hit; key=\"x\""),
            ("é\r", "holdover; hit; key=\"??\""),
        ] {
            assert_eq!(HIT.render(&CacheName::of("holdover"), Some(key)), expected, "{key:?}");
        }
        let long = HIT.render(&CacheName::of("holdover"), Some(&"x".repeat(KEY_CHARACTERS_MAX + 1)));
        assert_eq!(long, format!("holdover; hit; key=\"{}\"", "x".repeat(KEY_CHARACTERS_MAX)));
        let member = CacheStatusMember { ttl: Some(1), detail: Some("x"), ..HIT };
        assert_eq!(member.render(&CacheName::of("holdover"), Some("y")), "holdover; hit; ttl=1; key=\"y\"; detail=x");
    }

    fn check(member: CacheStatusMember, expected: &str) {
        assert_eq!(member.render(&CacheName::of("holdover"), None), expected);
    }
}
