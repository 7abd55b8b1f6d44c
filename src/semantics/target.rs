//! The target URI of a request (RFC 9110 §7.1), in the one form that names the resource.

use std::ops::Range;
use std::sync::Arc;

use super::field::Decimal;
pub use gate::{BadTarget, target};

mod gate;

/// The target of a request. Clones share one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    uri: Arc<str>,
    host: Range<usize>,
    path_start: usize,
    port: Option<u16>,
}

impl Target {
    /// That of `scheme` (`http` or `https`), a lower-case name without trailing dot or an IP address, IPv6 without brackets,
    /// and a canonical path that begins with a slash.
    pub fn new(scheme: &str, host: &str, port: Option<u16>, path_and_query: &str) -> Self {
        let is_ipv6 = host.contains(':');
        let mut uri = String::with_capacity(scheme.len() + host.len() + path_and_query.len() + SIGNS_BYTES_MAX);
        uri.push_str(scheme);
        uri.push_str(if is_ipv6 { "://[" } else { "://" });
        let host_start = uri.len();
        uri.push_str(host);
        if is_ipv6 {
            uri.push(']');
        }
        // "If the port is equal to the default port for a scheme, the normal form is to omit the port subcomponent." (RFC
        // 9110 §4.2.3)
        if let Some(port) = port.filter(|&port| port != default_port(scheme)) {
            uri.push(':');
            uri.push_str(Decimal::of(port.into()).as_str());
        }
        let path_start = uri.len();
        uri.push_str(path_and_query);
        Self { uri: uri.into(), host: host_start..host_start + host.len(), path_start, port }
    }

    /// The same of another canonical path.
    pub fn at(&self, path_and_query: &str) -> Self {
        Self { uri: [self.origin(), path_and_query].concat().into(), ..self.clone() }
    }

    /// `https://host:port/path?query`, without the port where it is the scheme's default.
    pub fn uri(&self) -> &Arc<str> {
        &self.uri
    }

    /// `https://host:port`, in which two URIs agree that have the same origin (RFC 9110 §4.3.1).
    pub fn origin(&self) -> &str {
        &self.uri[..self.path_start]
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.uri.starts_with("https:") { "https" } else { "http" }
    }

    /// `host:port` as a URI has it, IPv6 in brackets (RFC 3986 §3.2), without the port where it is the scheme's default.
    pub fn authority(&self) -> &str {
        &self.origin()[self.scheme().len() + "://".len()..]
    }

    /// Lower-case name without trailing dot, or an IP address; IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.uri[self.host.clone()]
    }

    /// The port as the client wrote it, even if it is the scheme's default.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Canonical; begins with a slash.
    pub fn path_and_query(&self) -> &str {
        &self.uri[self.path_start..]
    }
}

/// Of `://[]:65535`.
const SIGNS_BYTES_MAX: usize = 11;

/// The port of `scheme` where none is written (RFC 9110 §4.2.1, §4.2.2).
fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_has_its_parts() {
        check("https", "a.example", None, "/x?y=1", "https://a.example/x?y=1", "a.example");
        check("http", "a.example", None, "/", "http://a.example/", "a.example");
        check("https", "a.example", Some(443), "/", "https://a.example/", "a.example");
        check("http", "a.example", Some(443), "/", "http://a.example:443/", "a.example:443");
        check("http", "a.example", Some(80), "/", "http://a.example/", "a.example");
        check("https", "a.example", Some(8443), "/", "https://a.example:8443/", "a.example:8443");
        check("https", "2001:db8::1", Some(8443), "/", "https://[2001:db8::1]:8443/", "[2001:db8::1]:8443");
        check("https", "2001:db8::1", None, "/", "https://[2001:db8::1]/", "[2001:db8::1]");
        check("http", "::1", None, "/", "http://[::1]/", "[::1]");
    }

    #[track_caller]
    fn check(scheme: &str, host: &str, port: Option<u16>, path_and_query: &str, uri: &str, authority: &str) {
        let target = Target::new(scheme, host, port, path_and_query);
        assert_eq!((&**target.uri(), target.scheme(), target.authority()), (uri, scheme, authority));
        assert_eq!((target.host(), target.port(), target.path_and_query()), (host, port, path_and_query));
        assert_eq!(target.origin(), format!("{scheme}://{authority}"));
        let other = target.at("/other?");
        assert_eq!(other, Target::new(scheme, host, port, "/other?"));
        assert_eq!(other.at(path_and_query), target);
    }
}
