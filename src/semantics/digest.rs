//! What a response says of its content in digests (RFC 9530).

use http::{HeaderMap, HeaderName, Method, StatusCode};
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

/// A hashing algorithm that can be verified: those of RFC 9530 §5 that are "active".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// 32 bytes.
    Sha256,
    /// 64 bytes.
    Sha512,
}

/// What a hash of the content has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How it is calculated.
    pub algorithm: Algorithm,
    /// As long as the algorithm makes it.
    pub value: Vec<u8>,
}

/// The digests that are of the very bytes in the content of a response. Unknown algorithms, and fields that are none, say
/// nothing.
pub fn of_content(method: &Method, status: StatusCode, headers: &HeaderMap) -> Vec<Digest> {
    let mut digests = stated(headers, CONTENT_DIGEST);
    // "Repr-Digest […] acts on the entire selected representation" (RFC 9530 §3): of a part there is only a part, and an
    // answer to another method may be about a representation that is elsewhere.
    if *method == Method::GET && status == StatusCode::OK {
        digests.extend(stated(headers, REPR_DIGEST));
    }
    digests
}

fn stated(headers: &HeaderMap, name: HeaderName) -> Vec<Digest> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    // "When there are multiple instances […] they are combined" (RFC 9110 §5.3).
    let Ok(dictionary) = Parser::new(&lines.join(&b", "[..])).parse::<Dictionary>() else { return Vec::new() };
    let digest = |(algorithm, length, key): (Algorithm, usize, &str)| match dictionary.get(key) {
        Some(ListEntry::Item(Item { bare_item: BareItem::ByteSequence(value), .. })) if value.len() == length => {
            Some(Digest { algorithm, value: value.clone() })
        }
        Some(_) | None => None,
    };
    [(Algorithm::Sha256, 32, "sha-256"), (Algorithm::Sha512, 64, "sha-512")].into_iter().filter_map(digest).collect()
}

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(method: Method, status: u16, lines: &[(&'static str, &str)], expected: &[(Algorithm, u8)]) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        let found: Vec<_> =
            of_content(&method, status, &headers).iter().map(|digest| (digest.algorithm, digest.value[0])).collect();
        assert_eq!(found, expected, "{lines:?}");
    }

    #[test]
    fn digests_of_the_content_and_of_the_whole_representation_count() {
        check(Method::GET, 200, &[("content-digest", ONE)], &[(Algorithm::Sha256, 0xd4)]);
        check(Method::GET, 200, &[("repr-digest", ONE)], &[(Algorithm::Sha256, 0xd4)]);
        let both = [("content-digest", ONE), ("repr-digest", TWO)];
        check(Method::GET, 200, &both, &[(Algorithm::Sha256, 0xd4), (Algorithm::Sha512, 0)]);
    }

    #[test]
    fn of_a_part_or_another_method_only_the_digest_of_the_content_counts() {
        let both = [("content-digest", ONE), ("repr-digest", TWO)];
        check(Method::GET, 206, &both, &[(Algorithm::Sha256, 0xd4)]);
        check(Method::POST, 200, &both, &[(Algorithm::Sha256, 0xd4)]);
        check(Method::GET, 404, &both, &[(Algorithm::Sha256, 0xd4)]);
    }

    #[test]
    fn fields_are_joined() {
        let lines = [("content-digest", ONE), ("content-digest", TWO)];
        check(Method::GET, 200, &lines, &[(Algorithm::Sha256, 0xd4), (Algorithm::Sha512, 0)]);
    }

    #[test]
    fn what_is_not_known_or_not_well_formed_says_nothing() {
        check(Method::GET, 200, &[], &[]);
        check(Method::GET, 200, &[("content-digest", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:, crc32c=:AAAAAA==:")], &[]);
        check(Method::GET, 200, &[("content-digest", "sha-256=:AAAA:")], &[]);
        check(Method::GET, 200, &[("content-digest", "sha-256=\"AAAA\"")], &[]);
        check(Method::GET, 200, &[("content-digest", "sha-256=AAAA, SHA")], &[]);
        check(Method::GET, 200, &[("digest", "sha-256=AAAA")], &[]);
        let known_among_others = format!("unixsum=1, {ONE}, x");
        check(Method::GET, 200, &[("content-digest", &known_among_others)], &[(Algorithm::Sha256, 0xd4)]);
    }

    const ONE: &str = "sha-256=:1AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";

    const TWO: &str =
        "sha-512=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==:";
}
