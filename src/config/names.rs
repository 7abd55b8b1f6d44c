//! Names and addresses as people write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use http::HeaderName;
use ipnet::IpNet;

use super::model::{self, HostField, LogTarget, Scheme};
use super::units::FromText;

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

/// The name of SRV records: `_service._protocol.name`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceName(pub(super) String);

/// The name of a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Region(pub(super) String);

/// A lower-case extension, without the dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extension(pub(super) String);

/// The beginning of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathPrefix(pub(super) String);

/// Path and query of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbePath(pub(super) String);

/// A field that a response is expected to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExpectedField(pub(super) model::ExpectedField);

/// Text a probe looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbeText(pub(super) String);

/// A secret that fits into a header field.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(pub(super) String);

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

impl FromText for Extension {
    fn from_text(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let fits = (1..=EXTENSION_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain);
        fits.then(|| Self(text.to_ascii_lowercase()))
    }
}

impl FromText for PathPrefix {
    fn from_text(text: &str) -> Option<Self> {
        ProbePath::from_text(text).filter(|path| !path.0.contains('?')).map(|path| Self(path.0))
    }
}

impl FromText for ProbePath {
    fn from_text(text: &str) -> Option<Self> {
        let is_path = text.starts_with('/') && text.len() <= PATH_BYTES_MAX;
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte));
        (is_path && is_plain && text.parse::<http::uri::PathAndQuery>().is_ok()).then(|| Self(text.to_owned()))
    }
}

impl FromText for ExpectedField {
    fn from_text(text: &str) -> Option<Self> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name.trim_end(), Some(value.trim()).filter(|value| !value.is_empty())?),
            None => (text, ""),
        };
        let fits = text.len() <= PROBE_TEXT_BYTES_MAX && !value.contains(char::is_control);
        let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(|_| fits)?;
        Some(Self(model::ExpectedField { name, value: value.to_owned() }))
    }
}

impl FromText for ProbeText {
    fn from_text(text: &str) -> Option<Self> {
        (1..=PROBE_TEXT_BYTES_MAX).contains(&text.len()).then(|| Self(text.to_owned()))
    }
}

impl FromText for ServiceName {
    fn from_text(text: &str) -> Option<Self> {
        let name = host_name(text)?;
        let mut labels = name.split('.');
        let is_service = labels.by_ref().take(2).all(|label| label.starts_with('_'));
        (is_service && labels.next().is_some()).then_some(Self(name))
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
const EXTENSION_BYTES_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 64;
const PATH_BYTES_MAX: usize = 4096;
const PROBE_TEXT_BYTES_MAX: usize = 1024;

/// Shorter tokens can be guessed by trying.
const TOKEN_BYTES_MIN: usize = 16;
const TOKEN_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units::check;

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
    fn an_extension_has_no_dot_and_a_prefix_no_query() {
        let extension = |text: &str| Some(Extension(text.to_owned()));
        check(&[("JS", extension("js")), ("woff2", extension("woff2")), (".js", None), ("tar.gz", None), ("", None)]);
        let prefix = |text: &str| Some(PathPrefix(text.to_owned()));
        check(&[("/", prefix("/")), ("/a/b", prefix("/a/b")), ("a/", None), ("/a?b", None), ("", None)]);
    }

    #[test]
    fn a_service_is_two_labels_with_underscores_and_a_name() {
        let service = |text: &str| Some(ServiceName(text.to_owned()));
        check(&[
            ("_https._tcp.origin.example.net", service("_https._tcp.origin.example.net")),
            ("_HTTPS._TCP.Example", service("_https._tcp.example")),
            ("https._tcp.example", None),
            ("_https.tcp.example", None),
            ("_https._tcp", None),
            ("_https._tcp.example.", None),
            ("_https._tcp.example:443", None),
            ("origin.example.net", None),
            ("192.0.2.1", None),
            ("", None),
        ]);
    }

    #[test]
    fn an_expected_field_is_a_name_with_or_without_text() {
        let field = |name, value: &str| {
            Some(ExpectedField(model::ExpectedField { name: HeaderName::from_static(name), value: value.to_owned() }))
        };
        check(&[
            ("Content-Type: text/html", field("content-type", "text/html")),
            ("content-type:text/html; charset=utf-8", field("content-type", "text/html; charset=utf-8")),
            ("x-note: a: b", field("x-note", "a: b")),
            ("x-served-by", field("x-served-by", "")),
            ("x-served-by:", None),
            ("content type: text/html", None),
            ("x-note: a\nb", None),
            (": a", None),
            ("", None),
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
