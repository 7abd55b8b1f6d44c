//! The cache key: the target URI, and what else a site tells requests apart by (RFC 9111 §2).

use std::borrow::{Borrow, Cow};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};

use super::field;
use super::query::QueryPolicy;
use super::target::Target;
use super::vary;

/// "the information a cache uses to choose a response": since only GET responses are stored, the canonical target URI
/// and, behind it, the request fields and cookies that the site's policy names. Clones share one text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(Arc<str>);

impl CacheKey {
    /// The target URI, `https://host:port/path?query`, then a line for each field: a line feed, name, `: ` and value,
    /// where bytes that are not ASCII and the percent sign are percent-encoded. Neither URIs nor names and values hold a
    /// line feed, so that no two keys have one text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The target URI alone.
    pub fn uri(&self) -> &str {
        self.0.split_once(LINE).map_or(&self.0, |(uri, _)| uri)
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

/// What a site makes its keys of. The default is the target URI as the client wrote it.
///
/// Whatever the policy leaves out of the key it takes out of the request as well, and what it adds reaches the origin in
/// the form it has in the key: an origin that could see more than the key holds could be made to answer everybody with
/// what was meant for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPolicy {
    /// The part of the query that counts.
    pub query: QueryPolicy,
    /// Request fields in the key; each once.
    pub fields: Vec<HeaderName>,
    /// Cookies in the key, by their names, in which case matters; each once. All others are withheld from the origin as
    /// soon as there is one.
    pub cookies: Vec<Box<str>>,
}

impl KeyPolicy {
    /// Whether the request's fields and cookies in the key have at most [`KEYED_BYTES_MAX`] bytes. A request beyond that
    /// has to bypass the cache: no resource has that many faces, and a stored response pays for its key.
    pub fn has_room_for(&self, request: &HeaderMap) -> bool {
        let fields = self.fields.iter().flat_map(|name| request.get_all(name)).map(HeaderValue::len);
        let cookies = self.cookies.iter().flat_map(|name| cookies(request, name)).map(<[u8]>::len);
        fields.chain(cookies).sum::<usize>() <= KEYED_BYTES_MAX
    }

    /// Leaves of the target's query what counts: this is what is asked of the origin, stored and purged.
    pub fn reduce(&self, target: &mut Target) {
        if let Cow::Owned(path_and_query) = self.query.reduce(target.path_and_query()) {
            *target = target.at(&path_and_query);
        }
    }

    /// Puts the fields in the key into their normal form, and leaves of all cookies those in the key, in the order of the
    /// policy, if it names any.
    pub fn normalize(&self, request: &mut HeaderMap) {
        for name in &self.fields {
            let normal = vary::keyed(name, request).and_then(|value| HeaderValue::from_bytes(&value).ok());
            request.remove(name);
            if let Some(value) = normal {
                request.insert(name, value);
            }
        }
        if !self.cookies.is_empty() && request.contains_key(COOKIE) {
            let kept: Vec<_> = self.cookies.iter().flat_map(|name| cookies(request, name)).collect();
            let kept = kept.join(&b"; "[..]);
            request.remove(COOKIE);
            if let Some(kept) = HeaderValue::from_bytes(&kept).ok().filter(|kept| !kept.is_empty()) {
                request.insert(COOKIE, kept);
            }
        }
    }

    /// The key of a request for `target`, which was [reduced](Self::reduce), with fields that were
    /// [normalized](Self::normalize).
    pub fn key(&self, target: &Target, request: &HeaderMap) -> CacheKey {
        if self.fields.is_empty() && self.cookies.is_empty() {
            return cache_key(target);
        }
        let mut text = String::from(&**target.uri());
        let cookie = (!self.cookies.is_empty()).then_some(&COOKIE);
        for name in self.fields.iter().chain(cookie) {
            if let Some(value) = request.get(name) {
                text.extend([LINE, name.as_str(), ": "]);
                push_escaped(&mut text, value.as_bytes());
            }
        }
        CacheKey(text.into())
    }
}

/// The cookies of this name, as pairs: `name=value` (RFC 6265 §4.2.1).
fn cookies<'a>(request: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let lines = request.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b';')).map(field::trim);
    pairs.filter(|pair| pair.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'=')))
}

fn push_escaped(text: &mut String, value: &[u8]) {
    for &byte in value {
        if byte.is_ascii() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// The key of `target` and nothing else.
pub fn cache_key(target: &Target) -> CacheKey {
    CacheKey(Arc::clone(target.uri()))
}

/// Most bytes of fields and cookies in a key.
pub const KEYED_BYTES_MAX: usize = 1024;

/// Ends the URI and every line but the last.
const LINE: &str = "\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_target_uri() {
        let target = Target::new("https", "a.example", Some(8443), "/x?y=1");
        let key = cache_key(&target);
        assert_eq!(key.as_str(), "https://a.example:8443/x?y=1");
        assert_eq!(key.to_string(), key.as_str());
        assert_eq!(Borrow::<str>::borrow(&key), key.as_str());
        assert_eq!(KeyPolicy::default().key(&target, &HeaderMap::new()), key);
    }

    #[test]
    fn fields_and_cookies_in_the_key() {
        check_keyed("none sent", &[], "");
        check_keyed("a field", &[("x-country", "DE")], "\nx-country: DE");
        check_keyed("an empty field is not an absent one", &[("x-country", "")], "\nx-country: ");
        check_keyed("whitespace around it", &[("x-country", " DE\t")], "\nx-country: DE");
        check_keyed("several lines", &[("x-country", "DE"), ("x-country", "FR")], "\nx-country: DE, FR");
        check_keyed("a comma in what may be no list", &[("x-country", "DE,FR")], "\nx-country: DE,FR");
        check_keyed("list members", &[("accept", "a,b ,  c")], "\naccept: a, b, c");
        check_keyed("languages", &[("accept-language", "EN, de;q=1")], "\naccept-language: de, en");
        check_keyed("no language", &[("accept-language", "no_language")], "");
        check_keyed("others", &[("x-other", "1"), ("cookie", "other=1; LANG=de; language=de; lang")], "");
        check_keyed("a cookie", &[("cookie", "a=1; lang=de;b=2")], "\ncookie: lang=de");
        check_keyed(
            "cookies in the order of the policy",
            &[("cookie", "lang=de; tier=x")],
            "\ncookie: tier=x; lang=de",
        );
        check_keyed("over several lines", &[("cookie", "lang=de"), ("cookie", "tier=x")], "\ncookie: tier=x; lang=de");
        check_keyed("twice, in their order", &[("cookie", "lang=b;lang=a")], "\ncookie: lang=b; lang=a");
        check_keyed("an empty cookie is not an absent one", &[("cookie", "lang=")], "\ncookie: lang=");
        check_keyed(
            "a value that looks like another line",
            &[("x-country", "DE%0Aaccept: a")],
            "\nx-country: DE%250Aaccept: a",
        );
        check_keyed("bytes that are no text", &[("x-country", "é%C3")], "\nx-country: %C3%A9%25C3");
    }

    #[test]
    fn what_the_origin_gets_has_the_key_it_came_from() {
        let policy = policy();
        for lines in [
            &[("x-country", " DE"), ("x-country", "FR "), ("accept", "a,b")][..],
            &[("cookie", "a=1;lang=b; tier=1;lang=a"), ("cookie", "tier=2; x")],
            &[("accept", ""), ("cookie", "")],
            &[("accept-language", "no_language")],
        ] {
            let mut once = field::fields(lines);
            policy.normalize(&mut once);
            let mut twice = once.clone();
            policy.normalize(&mut twice);
            assert_eq!(once, twice, "{lines:?}");
        }
        let mut others = field::fields(&[("cookie", "a=1")]);
        policy.normalize(&mut others);
        assert!(others.is_empty(), "no cookie outside the key is passed on");
        let mut untouched = field::fields(&[("cookie", "a=1")]);
        KeyPolicy::default().normalize(&mut untouched);
        assert_eq!(untouched, field::fields(&[("cookie", "a=1")]));
    }

    #[test]
    fn a_key_has_a_bound() {
        let (policy, rest) = (policy(), "x".repeat(KEYED_BYTES_MAX - "lang=".len()));
        for (cookie, country, expected) in [
            (format!("lang={rest}"), "", true),
            (format!("lang={rest}x"), "", false),
            (format!("lang={rest}"), "x", false),
            (format!("other={rest}{rest}"), "x", true),
        ] {
            let request = field::fields(&[("cookie", &cookie), ("x-country", country)]);
            assert_eq!(policy.has_room_for(&request), expected, "{} bytes and {country:?}", cookie.len());
        }
    }

    #[test]
    fn the_target_is_reduced_as_the_query_is() {
        let query = QueryPolicy { keep: Some(Vec::new()), ..QueryPolicy::default() };
        let policy = KeyPolicy { query, ..KeyPolicy::default() };
        let mut target = Target::new("https", "a.example", Some(80), "/x?y=1");
        KeyPolicy::default().reduce(&mut target);
        assert_eq!(target, Target::new("https", "a.example", Some(80), "/x?y=1"));
        policy.reduce(&mut target);
        assert_eq!(target, Target::new("https", "a.example", Some(80), "/x"));
    }

    fn policy() -> KeyPolicy {
        KeyPolicy {
            fields: ["accept", "accept-language", "x-country"].map(HeaderName::from_static).into(),
            cookies: vec!["tier".into(), "lang".into()],
            ..KeyPolicy::default()
        }
    }

    fn check_keyed(case: &str, lines: &[(&'static str, &str)], expected: &str) {
        let target = Target::new("https", "a.example", None, "/x");
        let mut request = field::fields(lines);
        policy().normalize(&mut request);
        let key = policy().key(&target, &request);
        assert_eq!(key.as_str(), format!("https://a.example/x{expected}"), "{case}");
        assert_eq!(key.uri(), "https://a.example/x", "{case}");
    }
}
