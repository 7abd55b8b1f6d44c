//! Names, addresses and words as people write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use http::HeaderName;
use ipnet::IpNet;

use super::model::{self, Accepts, Authorization, FirstRemedy, HostField, LogTarget, PlainHttp, Scheme};
use super::units::FromText;
use crate::semantics::cache_control::{Honored, SURROGATE_CONTROL};
use crate::semantics::content_coding::ContentCoding;
use crate::semantics::freshness::Prohibition;
use crate::semantics::query::ParameterPattern;
use crate::semantics::storable::SetCookie;

/// A lower-case host name, an IP address without brackets, or `*.` and a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPattern(pub(super) String);

/// Where an origin is: scheme, host and port of a URL that has nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OriginUrl {
    pub(super) scheme: Scheme,
    pub(super) host: String,
    pub(super) port: u16,
}

/// An IP address and port; port 53 when none is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameServer(pub(super) SocketAddr);

/// An IP network; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network(pub(super) IpNet);

/// A name an operator gives to a site or an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(pub(super) String);

/// The name of a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Region(pub(super) String);

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

/// Path and query of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbePath(pub(super) String);

/// Text a probe looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbeText(pub(super) String);

/// A secret that fits into a header field.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(pub(super) String);

/// An enum whose variants have one written word each.
pub(super) trait Word: Clone + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

/// The words of `W`, in the order of its table.
pub(super) fn words<W: Word>() -> Vec<&'static str> {
    W::WORDS.iter().map(|(word, _)| *word).collect()
}

impl Word for Accepts {
    const WORDS: &'static [(&'static str, Self)] = &[("all", Self::All), ("read-only", Self::ReadOnly)];
}

impl Word for ContentCoding {
    const WORDS: &'static [(&'static str, Self)] = &[("br", Self::Brotli), ("zstd", Self::Zstd), ("gzip", Self::Gzip)];
}

impl Word for Authorization {
    const WORDS: &'static [(&'static str, Self)] = &[("bypass", Self::Bypass), ("cache", Self::Cache)];
}

impl Word for FirstRemedy {
    const WORDS: &'static [(&'static str, Self)] = &[("origin", Self::Origin), ("stale", Self::Stale)];
}

impl Word for Honored {
    const WORDS: &'static [(&'static str, Self)] = &[("safe", Self::Safe), ("all", Self::All), ("none", Self::None)];
}

impl Word for PlainHttp {
    const WORDS: &'static [(&'static str, Self)] = &[("redirect", Self::Redirect), ("serve", Self::Serve)];
}

impl Word for Prohibition {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("must-revalidate", Self::MustRevalidate),
        ("proxy-revalidate", Self::ProxyRevalidate),
        ("s-maxage", Self::SharedMaxAge),
        ("no-cache", Self::NoCache),
    ];
}

impl Word for SetCookie {
    const WORDS: &'static [(&'static str, Self)] =
        &[("explicit", Self::Explicit), ("letter", Self::Letter), ("never", Self::Never)];
}

impl<W: Word> FromText for W {
    fn from_text(text: &str) -> Option<Self> {
        W::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone())
    }
}

impl FromText for HostPattern {
    fn from_text(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(parent) => {
                let parent = host_name(parent).filter(|name| name.parse::<Ipv4Addr>().is_err())?;
                Some(Self(format!("*.{parent}")))
            }
            None => host(text).map(Self),
        }
    }
}

impl FromText for OriginUrl {
    fn from_text(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let (host, port) = authority(rest.strip_suffix('/').unwrap_or(rest))?;
        Some(Self { scheme, host, port: port.unwrap_or(scheme.default_port()) })
    }
}

impl OriginUrl {
    /// `host[:port]`, IPv6 in brackets, the scheme's default port left out.
    pub(super) fn authority(&self) -> String {
        model::authority(self.scheme, &self.host, self.port)
    }
}

impl FromText for HostField {
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "client" => Some(Self::Client),
            "origin" => Some(Self::Origin),
            _ => authority(text).map(|_| Self::Named(text.to_ascii_lowercase())),
        }
    }
}

impl FromText for SocketAddr {
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl FromText for Network {
    fn from_text(text: &str) -> Option<Self> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
        Some(Self(network))
    }
}

impl FromText for NameServer {
    fn from_text(text: &str) -> Option<Self> {
        let address = text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, DNS_PORT)))?;
        (address.port() != 0).then_some(Self(address))
    }
}

impl FromText for LogTarget {
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "stderr" => Some(Self::Stderr),
            "stdout" => Some(Self::Stdout),
            // A bare word is more likely a mistyped one of the above than a file's name.
            _ => PathBuf::from_text(text).filter(|_| text.contains('/')).map(Self::File),
        }
    }
}

impl FromText for PathBuf {
    fn from_text(text: &str) -> Option<Self> {
        let fits = (1..=PATH_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
        fits.then(|| Self::from(text))
    }
}

impl FromText for Name {
    fn from_text(text: &str) -> Option<Self> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        ((1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_name)).then(|| Self(text.to_owned()))
    }
}

impl FromText for Region {
    fn from_text(text: &str) -> Option<Self> {
        let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        ((1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_region)).then(|| Self(text.to_owned()))
    }
}

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
        (name == SURROGATE_CONTROL || name.as_str().ends_with("-cache-control")).then_some(Self(name))
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

impl FromText for ProbePath {
    fn from_text(text: &str) -> Option<Self> {
        let is_path = text.starts_with('/') && text.len() <= PATH_BYTES_MAX;
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte));
        (is_path && is_plain && text.parse::<http::uri::PathAndQuery>().is_ok()).then(|| Self(text.to_owned()))
    }
}

impl FromText for ProbeText {
    fn from_text(text: &str) -> Option<Self> {
        (1..=PROBE_TEXT_BYTES_MAX).contains(&text.len()).then(|| Self(text.to_owned()))
    }
}

impl FromText for Token {
    fn from_text(text: &str) -> Option<Self> {
        let fits = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len());
        (fits && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }
}

/// Host, without brackets, and port of `host[:port]`.
fn authority(text: &str) -> Option<(String, Option<u16>)> {
    let (name, port) = match text.strip_prefix('[') {
        Some(inside) => {
            let (address, rest) = inside.split_once(']')?;
            (address.parse::<Ipv6Addr>().ok()?.to_string(), rest)
        }
        None => {
            let (name, _) = text.split_once(':').unwrap_or((text, ""));
            (host_name(name)?, &text[name.len()..])
        }
    };
    if port.is_empty() {
        return Some((name, None));
    }
    let port = u64::from_text(port.strip_prefix(':')?)?;
    let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
    Some((name, Some(port)))
}

/// A host name in lower case or an IP address, IPv6 with or without brackets.
fn host(text: &str) -> Option<String> {
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match inside.parse::<Ipv6Addr>() {
        Ok(address) => Some(address.to_string()),
        Err(_) => host_name(text),
    }
}

/// A host name in lower case or an IPv4 address. Underscores are not in RFC 1123, but they are in use.
fn host_name(text: &str) -> Option<String> {
    let name = text.to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = name.len() <= 253 && name.split('.').all(is_label);
    // Whatever ends in a number is an address or nothing (WHATWG URL, "ends in a number").
    let ends_in_number = name.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    (is_name && (!ends_in_number || name.parse::<Ipv4Addr>().is_ok())).then_some(name)
}

const DNS_PORT: u16 = 53;
const NAME_BYTES_MAX: usize = 64;
const PATH_BYTES_MAX: usize = 4096;
const PATTERN_BYTES_MAX: usize = 256;
const PROBE_TEXT_BYTES_MAX: usize = 1024;

/// Shorter tokens can be guessed by trying.
const TOKEN_BYTES_MIN: usize = 16;
const TOKEN_BYTES_MAX: usize = 1024;

/// Fields that are hop-by-hop, frame the message, or are written by the cache on requests whose answer it may store.
const MANAGED_FIELDS: [&str; 16] = [
    "connection",
    "content-length",
    "expect",
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

    fn check<T: FromText + PartialEq + std::fmt::Debug>(cases: &[(&str, Option<T>)]) {
        for (text, expected) in cases {
            assert_eq!(T::from_text(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn a_host_is_a_name_an_address_or_a_wildcard_of_a_whole_label() {
        let host = |name: &str| Some(HostPattern(name.to_owned()));
        check(&[
            ("www.example.org", host("www.example.org")),
            ("WWW.Example.ORG", host("www.example.org")),
            ("localhost", host("localhost")),
            ("my_site.example", host("my_site.example")),
            ("*.example.org", host("*.example.org")),
            ("127.0.0.1", host("127.0.0.1")),
            ("[::1]", host("::1")),
            ("::1", host("::1")),
            ("*", None),
            ("*.", None),
            ("*.*.example.org", None),
            ("w*.example.org", None),
            ("www.*.org", None),
            ("*.127.0.0.1", None),
            ("example.org:443", None),
            ("example.org.", None),
            ("example..org", None),
            ("-a.example", None),
            ("münchen.example", None),
            ("127.0.0.300", None),
            ("", None),
        ]);
    }

    #[test]
    fn an_origin_url_has_scheme_host_and_port_only() {
        let url = |scheme, host: &str, port| Some(OriginUrl { scheme, host: host.to_owned(), port });
        check(&[
            ("https://a.example", url(Scheme::Https, "a.example", 443)),
            ("http://a.example", url(Scheme::Http, "a.example", 80)),
            ("HTTPS://A.example:8443/", url(Scheme::Https, "a.example", 8443)),
            ("http://[::1]:9001", url(Scheme::Http, "::1", 9001)),
            ("http://127.0.0.1:9001", url(Scheme::Http, "127.0.0.1", 9001)),
            ("http://::1:9001", None),
            ("ftp://a.example", None),
            ("a.example", None),
            ("https://", None),
            ("https:///", None),
            ("https://a.example/path", None),
            ("https://a.example?query", None),
            ("https://user@a.example", None),
            ("https://a.example:0", None),
            ("https://a.example:65536", None),
            ("https://a.example:", None),
            ("https://a.example:+1", None),
            ("https://*.example", None),
        ]);
    }

    #[test]
    fn a_host_field_is_a_word_or_an_authority() {
        let named = |name: &str| Some(HostField::Named(name.to_owned()));
        check(&[
            ("client", Some(HostField::Client)),
            ("origin", Some(HostField::Origin)),
            ("Shop.example:8080", named("shop.example:8080")),
            ("https://shop.example", None),
        ]);
    }

    #[test]
    fn a_log_goes_to_a_word_or_a_path() {
        check(&[
            ("stdout", Some(LogTarget::Stdout)),
            ("off", Some(LogTarget::Off)),
            ("/var/log/holdover.log", Some(LogTarget::File("/var/log/holdover.log".into()))),
            ("stdot", None),
            ("", None),
        ]);
    }

    #[test]
    fn a_name_server_has_port_53_unless_it_says_otherwise() {
        let server = |text: &str| text.parse().ok().map(NameServer);
        check(&[
            ("9.9.9.9", server("9.9.9.9:53")),
            ("127.0.0.1:5353", server("127.0.0.1:5353")),
            ("2620:fe::fe", server("[2620:fe::fe]:53")),
            ("[2620:fe::fe]:5353", server("[2620:fe::fe]:5353")),
            ("dns.example", None),
            ("9.9.9.9:0", None),
        ]);
    }

    #[test]
    fn a_network_is_an_address_with_or_without_a_prefix_length() {
        let network = |text: &str| text.parse().ok().map(Network);
        check(&[
            ("10.0.0.0/8", network("10.0.0.0/8")),
            ("192.0.2.7", network("192.0.2.7/32")),
            ("2001:db8::/32", network("2001:db8::/32")),
            ("::1", network("::1/128")),
            ("10.0.0.0/33", None),
            ("10.0.0/8", None),
            ("localhost", None),
            ("", None),
        ]);
    }

    #[test]
    fn a_request_field_is_one_that_the_cache_leaves_alone() {
        let field = |name: &str| Some(RequestField(name.to_owned()));
        check(&[
            ("Accept-Language", field("accept-language")),
            ("*", field("*")),
            ("Connection", None),
            ("Proxy-Authorization", None),
            ("if-none-match", None),
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

    #[test]
    fn a_probe_path_is_an_absolute_path_with_an_optional_query() {
        let path = |text: &str| Some(ProbePath(text.to_owned()));
        check(&[
            ("/", path("/")),
            ("/health?full=1", path("/health?full=1")),
            ("health", None),
            ("/a b", None),
            ("/a#b", None),
            ("/\u{e9}", None),
        ]);
    }
}
