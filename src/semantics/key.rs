//! The cache key: the target URI (RFC 9111 §2).

use std::borrow::Borrow;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use super::target::Target;

/// "the information a cache uses to choose a response": since only GET responses are stored, the canonical target URI.
/// Clones share one text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(Arc<str>);

impl CacheKey {
    /// The target URI, `https://host:port/path?query`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for CacheKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Display for CacheKey {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The key of `target` under `scheme` (`http` or `https`); the scheme's default port is left out.
pub fn cache_key(scheme: &str, target: &Target) -> CacheKey {
    // "If the port is equal to the default port for a scheme, the normal form is to omit the port subcomponent." (RFC
    // 9110 §4.2.3)
    let default_port = if scheme == "https" { 443 } else { 80 };
    let port = target.port.filter(|&port| port != default_port).map_or_else(String::new, |port| format!(":{port}"));
    let (open, close) = if target.host.contains(':') { ("[", "]") } else { ("", "") };
    CacheKey(concatenated(&[scheme, "://", open, &target.host, close, &port, &target.path_and_query]))
}

/// One shared text of several parts. It is laid out on the stack first, so that a key costs one allocation and not two.
fn concatenated(parts: &[&str]) -> Arc<str> {
    let mut buffer = [0; STACK_BYTES];
    let mut length = 0;
    for part in parts {
        match buffer.get_mut(length..length + part.len()) {
            Some(room) => room.copy_from_slice(part.as_bytes()),
            None => return parts.concat().into(),
        }
        length += part.len();
    }
    std::str::from_utf8(&buffer[..length]).expect("every part is text").into()
}

/// Longer keys are rare, and only cost an allocation more.
const STACK_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_target_uri() {
        check("https", "a.example", None, "/x?y=1", "https://a.example/x?y=1");
        check("http", "a.example", None, "/", "http://a.example/");
        check("https", "a.example", Some(443), "/", "https://a.example/");
        check("http", "a.example", Some(443), "/", "http://a.example:443/");
        check("http", "a.example", Some(80), "/", "http://a.example/");
        check("https", "a.example", Some(8443), "/", "https://a.example:8443/");
        check("https", "2001:db8::1", Some(8443), "/", "https://[2001:db8::1]:8443/");
    }

    #[test]
    fn a_key_of_any_length_is_whole() {
        for length in [470, STACK_BYTES - 19, STACK_BYTES - 18, STACK_BYTES - 17, STACK_BYTES, 9000] {
            let path = "/".repeat(length);
            check("https", "a.example", None, &path, &format!("https://a.example{path}"));
        }
    }

    fn check(scheme: &str, host: &str, port: Option<u16>, path_and_query: &str, expected: &str) {
        let target = Target { host: host.into(), port, path_and_query: path_and_query.into() };
        let key = cache_key(scheme, &target);
        assert_eq!(key.as_str(), expected);
        assert_eq!(key.to_string(), expected);
        assert_eq!(Borrow::<str>::borrow(&key), expected);
    }
}
