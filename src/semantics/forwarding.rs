//! What an intermediary removes from messages and adds to them (RFC 9110 §7.6, RFC 8586).

use std::borrow::Cow;

use http::Version;
use http::header::{
    CONNECTION, COOKIE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, MAX_FORWARDS, RANGE, VIA,
};

use super::field;
use super::{accept_language, content_coding};

/// Request fields that reach the origin on every request whose answer may be stored, lower-case. All others are unkeyed
/// input: one that changes the answer would change it for everyone.
pub const FORWARDED: [&str; 5] = ["accept", "accept-encoding", "cdn-loop", "host", "via"];

/// Removes the fields that are meant for one connection, in requests and responses alike.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    remove_connection_options(headers);
    // "intermediaries SHOULD remove or replace fields that are known to require removal before forwarding, whether or
    // not they appear as a connection-option".
    let known: Vec<_> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    for name in known {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
}

/// Removes Connection and the fields it names. What a request is told apart by has to be read after this: a field that
/// its sender named there does not reach the origin.
pub fn remove_connection_options(headers: &mut HeaderMap) {
    // "Intermediaries MUST parse a received Connection header field before a message is forwarded and, for each
    // connection-option in this field, remove any header or trailer field(s) from the message with the same name as the
    // connection-option, and then remove the Connection header field itself" (§7.6.1).
    if headers.contains_key(CONNECTION) {
        let options = field::members(headers, CONNECTION).filter_map(|option| HeaderName::from_bytes(option).ok());
        let named: Vec<_> = options.filter(|name| headers.contains_key(name) && !is_end_to_end(name)).collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
}

/// Removes what makes an answer depend on what the client has already (RFC 9110 §13.1, §14.2).
pub fn remove_conditions_and_range(headers: &mut HeaderMap) {
    for name in [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE] {
        headers.remove(name);
    }
}

/// "If there are multiple Cookie header fields after decompression, these MUST be concatenated into a single octet string
/// using the two-octet delimiter of 0x3b, 0x20 (the ASCII string "; ") before being passed into a non-HTTP/2 context"
/// (RFC 9113 §8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1 {
        // Pieces of field values, joined by what may occur in one, are one.
        if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
}

/// A node's name as other intermediaries read it: a pseudonym in Via (§7.6.3) and an identifier in CDN-Loop.
#[derive(Clone, Debug)]
pub struct Signature {
    pseudonym: HeaderValue,
    /// What is added to Via, by the version of the message; made once, because every response carries one.
    via: [(Version, HeaderValue); 5],
}

impl Signature {
    /// Of the node called `node`.
    pub fn new(node: &str) -> Self {
        let pseudonym = pseudonym(node);
        let value = |text: &str| HeaderValue::from_str(text).expect("a token is a valid field value");
        let via = VERSIONS.map(|(version, number)| (version, value(&[number, " ", &pseudonym].concat())));
        Self { pseudonym: value(&pseudonym), via }
    }

    /// Adds this node to Via: the version of the message as received, and its pseudonym (§7.6.3).
    pub fn append_via(&self, headers: &mut HeaderMap, version: Version) {
        let (_, value) = self.via.iter().find(|(known, _)| *known == version).unwrap_or(&self.via[0]);
        append(headers, VIA, value.clone());
    }

    /// Adds this node to CDN-Loop: "Conforming Content Delivery Networks SHOULD add a cdn-info to this header field in all
    /// requests they generate or forward" (RFC 8586 §2).
    pub fn append_cdn_loop(&self, headers: &mut HeaderMap) {
        append(headers, CDN_LOOP, self.pseudonym.clone());
    }

    /// Whether the request has been through this node before, by Via or CDN-Loop.
    pub fn loops(&self, headers: &HeaderMap) -> bool {
        let is_node = |name: &[u8]| name.eq_ignore_ascii_case(self.pseudonym.as_bytes());
        // Via = #( received-protocol RWS received-by [ RWS comment ] )
        let received_by = |member: &[u8]| {
            member.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty()).nth(1).is_some_and(is_node)
        };
        // cdn-info = cdn-id *( OWS ";" OWS parameter )
        let cdn_id =
            |member: &[u8]| member.split(|&byte| byte == b';').next().is_some_and(|id| is_node(field::trim(id)));
        field::members(headers, VIA).any(received_by) || field::members(headers, CDN_LOOP).any(cdn_id)
    }
}

/// How often an OPTIONS request may still be forwarded, if it says so in a way that can be read; the least of several
/// values.
pub fn max_forwards(headers: &HeaderMap) -> Option<u32> {
    let value = |value: &HeaderValue| {
        let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))?;
        // "the lesser of a) the received value decremented by one (1) or b) the recipient's maximum supported value for
        // Max-Forwards".
        Some(digits.parse().unwrap_or(u32::MAX))
    };
    headers.get_all(MAX_FORWARDS).iter().filter_map(value).min()
}

/// Counts one forwarding of an OPTIONS request: "If the received Max-Forwards value is greater than zero, the intermediary
/// MUST generate an updated Max-Forwards field in the forwarded message" (§7.6.2).
pub fn count_forward(headers: &mut HeaderMap) {
    if let Some(left) = max_forwards(headers) {
        headers.insert(MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
}

/// Of the end-to-end fields in `headers` those in [`FORWARDED`] and of the lower-case names in `allowed`, in their normal
/// form and with room for `more`. Most requests have many others, so that this is less than a copy.
pub fn only(headers: &HeaderMap, allowed: &[impl AsRef<str>], more: usize) -> HeaderMap {
    let is_kept = |name: &str| FORWARDED.contains(&name) || allowed.iter().any(|allowed| allowed.as_ref() == name);
    let mut kept = HeaderMap::with_capacity(FORWARDED.len() + allowed.len() + more);
    for (name, value) in headers.iter().filter(|(name, _)| *name == CONNECTION || is_kept(name.as_str())) {
        append(&mut kept, name.clone(), value.clone());
    }
    remove_hop_by_hop(&mut kept);
    normalize(&mut kept);
    kept
}

/// Whether these fields of a request have nothing that a server or the filter before it could refuse it for: visible ASCII,
/// spaces and tabs, no more of it than [`PLAIN_BYTES_MAX`], and in [`FORWARDED`], which no policy names, only what they are
/// written with in practice. What an origin says to other requests is for whoever sent them, since the next client's fields are
/// others.
pub fn are_plain<'a>(headers: &'a HeaderMap, is_sent: impl Fn(&str) -> bool) -> bool {
    let mut bytes = 0;
    headers.iter().filter(|(name, _)| is_sent(name.as_str())).all(|(name, value): (_, &'a HeaderValue)| {
        bytes += value.len();
        let is_expected = if FORWARDED.contains(&name.as_str()) { is_grammatical } else { is_text };
        bytes <= PLAIN_BYTES_MAX && value.as_bytes().iter().all(is_expected)
    })
}

fn is_text(byte: &u8) -> bool {
    *byte == b'\t' || (b' '..=b'~').contains(byte)
}

/// What media ranges, codings, hosts, and the products and comments of intermediaries are written with.
fn is_grammatical(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"\t \"#()*+,-./:;=[]_".contains(byte)
}

/// Puts the normal forms that variants are told apart by in place of the client's fields.
pub fn normalize(headers: &mut HeaderMap) {
    content_coding::replace(headers);
    accept_language::replace(headers);
}

/// "A sender MUST NOT send a connection option corresponding to a field that is intended for all recipients of the
/// content. For example, Cache-Control is never appropriate as a connection option" (§7.6.1). Whoever does so wants a
/// cache to overlook what the next recipient will not.
fn is_end_to_end(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("content-") || name.ends_with("-cache-control") || END_TO_END.contains(&name)
}

/// A full map costs what is added, and not the message.
fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _ = headers.try_append(name, value);
}

/// `node` as a token, which a pseudonym has to be.
fn pseudonym(node: &str) -> Cow<'_, str> {
    if node.bytes().all(field::is_token_byte) {
        return node.into();
    }
    node.replace(|character| !u8::try_from(character).is_ok_and(field::is_token_byte), "-").into()
}

/// Half of what the strictest of the common servers take as a whole head (8 KiB), and several times what browsers send.
pub const PLAIN_BYTES_MAX: usize = 4096;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Versions as Via writes them; any other is written as the first.
const VERSIONS: [(Version, &str); 5] = [
    (Version::HTTP_11, "1.1"),
    (Version::HTTP_09, "0.9"),
    (Version::HTTP_10, "1.0"),
    (Version::HTTP_2, "2"),
    (Version::HTTP_3, "3"),
];

const HOP_BY_HOP: [&str; 10] = [
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that a cache, or the one behind it, decides by.
const END_TO_END: [&str; 21] = [
    "accept-ranges",
    "age",
    "authorization",
    "cache-control",
    "cdn-loop",
    "cookie",
    "date",
    "etag",
    "expires",
    "host",
    "last-modified",
    "location",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "surrogate-control",
    "vary",
    "via",
    "www-authenticate",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::field::fields;

    type Lines<'a> = &'a [(&'static str, &'a str)];

    #[test]
    fn hop_by_hop_fields_are_removed() {
        check_removed("nothing to remove", &[("x", "1"), ("date", "d")], &[("x", "1"), ("date", "d")]);
        check_removed(
            "fields that are known to require removal",
            &[
                ("connection", "keep-alive"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "close"),
                ("proxy-authenticate", "Basic"),
                ("proxy-authorization", "Basic x"),
                ("proxy-authentication-info", "x"),
                ("te", "trailers"),
                ("trailer", "x"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("http2-settings", "x"),
                ("x", "1"),
            ],
            &[("x", "1")],
        );
        check_removed(
            "each connection-option, over several lines",
            &[
                ("connection", "close, X-A"),
                ("connection", "x-b,é, \"x-c\""),
                ("x-a", "1"),
                ("x-b", "2"),
                ("x-b", "3"),
                ("x-c", "4"),
            ],
            &[("x-c", "4")],
        );
        let intended_for_all = [
            ("cache-control", "private"),
            ("age", "1"),
            ("date", "d"),
            ("etag", "e"),
            ("vary", "v"),
            ("expires", "0"),
            ("set-cookie", "c"),
            ("content-length", "5"),
            ("content-encoding", "br"),
            ("authorization", "Basic x"),
            ("cookie", "c"),
            ("host", "a"),
            ("via", "1.1 a"),
            ("cdn-loop", "a"),
            ("cdn-cache-control", "private"),
            ("holdover-cache-control", "private"),
        ];
        let names = intended_for_all.map(|(name, _)| name).join(", ");
        let sent: Vec<_> = intended_for_all.into_iter().chain([("connection", names.as_str())]).collect();
        check_removed("a field that is intended for all recipients stays", &sent, &intended_for_all);
    }

    #[test]
    fn via_and_cdn_loop_are_appended() {
        let mut headers = fields(&[("via", "1.0 fred"), ("cdn-loop", "other; trace=\"x\"")]);
        let (plain, other) = (Signature::new("holdover"), Signature::new("my node, é"));
        plain.append_via(&mut headers, Version::HTTP_11);
        other.append_via(&mut headers, Version::HTTP_2);
        plain.append_cdn_loop(&mut headers);
        let expected = fields(&[
            ("via", "1.0 fred"),
            ("via", "1.1 holdover"),
            ("via", "2 my-node---"),
            ("cdn-loop", "other; trace=\"x\""),
            ("cdn-loop", "holdover"),
        ]);
        assert_eq!(headers, expected);
        assert!(other.loops(&headers));
    }

    #[test]
    fn max_forwards_is_a_number_that_goes_down() {
        for (lines, read, sent) in [
            (&[][..], None, None),
            (&[("max-forwards", "0")], Some(0), Some("0")),
            (&[("max-forwards", "10")], Some(10), Some("9")),
            (&[("max-forwards", "3"), ("max-forwards", "2")], Some(2), Some("1")),
            (&[("max-forwards", "99999999999999999999")], Some(u32::MAX), Some("4294967294")),
            (&[("max-forwards", "-1")], None, Some("-1")),
            (&[("max-forwards", "+1")], None, Some("+1")),
            (&[("max-forwards", "")], None, Some("")),
        ] {
            let mut headers = fields(lines);
            assert_eq!(max_forwards(&headers), read, "{lines:?}");
            count_forward(&mut headers);
            let forwarded: Vec<_> = headers.get_all(MAX_FORWARDS).iter().collect();
            assert_eq!(forwarded, sent.into_iter().collect::<Vec<_>>(), "{lines:?}");
        }
    }

    #[test]
    fn a_request_that_has_been_here_loops() {
        for (lines, expected) in [
            (&[][..], false),
            (&[("via", "1.1 holdover")], true),
            (&[("via", "1.0 fred, HTTP/1.1  Holdover (x, y)")], true),
            (&[("via", "1.0 fred"), ("via", "2 holdover")], true),
            (&[("via", "1.1 holdover-2, 1.1 a.holdover")], false),
            (&[("via", "holdover 1.1")], false),
            (&[("via", "1.1")], false),
            (&[("cdn-loop", "holdover")], true),
            (&[("cdn-loop", "foo.example:80, Holdover ; a=1;b=\"c\"")], true),
            (&[("cdn-loop", "other; by=holdover")], false),
            (&[("cdn-loop", "other; by=\"x, holdover\"")], false),
        ] {
            assert_eq!(Signature::new("holdover").loops(&fields(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn unkeyed_request_fields_do_not_reach_the_origin() {
        let sent = [
            ("accept", "text/html"),
            ("accept-encoding", "gzip;q=1, deflate"),
            ("host", "a.example"),
            ("via", "1.1 b"),
            ("cdn-loop", "b"),
            ("cookie", "a=b"),
            ("user-agent", "x"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded_host", "evil"),
            ("x-original-url", "/admin"),
            ("x-http-method-override", "DELETE"),
            ("forwarded", "host=evil"),
            ("if-none-match", "*"),
            ("range", "bytes=0-0"),
            ("cache-control", "no-cache"),
            ("accept-language", "de"),
            ("accept-language", "en"),
        ];
        let kept = [
            ("accept", "text/html"),
            ("accept-encoding", "gzip"),
            ("host", "a.example"),
            ("via", "1.1 b"),
            ("cdn-loop", "b"),
        ];
        check_kept("the built-in list", &sent, &[], &kept);
        let wider: Vec<_> = kept.into_iter().chain([("accept-language", "de, en")]).collect();
        check_kept("a wider list", &sent, &["accept-language"], &wider);
        check_kept("no coding that matters", &[("accept-encoding", "identity")], &[], &[]);
        let several = [("accept", "text/html"), ("accept", "*/*;q=0.1")];
        check_kept("several lines", &several, &[], &several);
        check_kept("named by Connection", &[("connection", "x-own"), ("x-own", "1")], &["x-own"], &[]);
        check_kept("for one connection", &[("te", "trailers")], &["te"], &[]);
    }

    #[test]
    fn plain_fields_give_no_server_a_reason_to_refuse() {
        let is_plain = |lines: Lines<'_>| are_plain(&fields(lines), |name| FORWARDED.contains(&name));
        assert!(is_plain(&[("accept", "text/html,\timage/*;q=0.8, \"x\""), ("via", "1.1 a")]));
        assert!(!is_plain(&[("accept", "t\u{e9}xt")]));
        assert!(!is_plain(&[("accept", "text/<script>")]));
        assert!(!is_plain(&[("via", "1.1 a ('x')")]));
        assert!(!is_plain(&[("cdn-loop", "${x}")]));
        assert!(is_plain(&[("cdn-loop", "a.example; v=\"1.0\""), ("via", "HTTP/1.1 [::1]:8080 (Apache/2.4)")]));
        assert!(is_plain(&[("accept", "application/ld+json;profile=\"http://www.w3.org/ns/json-ld#compacted\"")]));
        assert!(is_plain(&[("x", "t\u{e9}xt")]), "it is not sent");
        let half = "x".repeat(PLAIN_BYTES_MAX / 2);
        assert!(is_plain(&[("accept", &half), ("via", &half)]));
        assert!(!is_plain(&[("accept", &half), ("via", &half), ("via", "x")]));
    }

    fn check_removed(case: &str, lines: Lines<'_>, expected: Lines<'_>) {
        let mut headers = fields(lines);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, fields(expected), "{case}");
    }

    fn check_kept(case: &str, lines: Lines<'_>, allowed: &[&str], expected: Lines<'_>) {
        assert_eq!(only(&fields(lines), allowed, 1), fields(expected), "{case}");
    }
}
