//! Content codings that this cache applies: to which responses, and what becomes of their fields (RFC 9110 §7.7, §8.4).

use std::borrow::Cow;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, ETAG, HeaderName, IF_RANGE,
    RANGE, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::cache_control::ResponseDirectives;
use super::content_coding::{AcceptedCodings, ContentCoding};
use super::validator::{self, EntityTag};
use super::{coded_tag, field};

/// Which responses a site codes, and how; by default none.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CodingPolicy {
    /// Codings, the preferred one first; none of them codes nothing.
    pub codings: Vec<ContentCoding>,
    /// Media types, lower-case: `type/subtype`, or `type/*`.
    pub types: Vec<String>,
    /// Length of the shortest body that is coded, in bytes.
    pub length_min: u64,
    /// Length of the longest, in bytes.
    pub length_max: u64,
}

impl CodingPolicy {
    /// Whether a body of this length is coded.
    pub fn covers(&self, length: u64) -> bool {
        (self.length_min..=self.length_max).contains(&length)
    }
}

/// Why a response is not coded here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCodable {
    /// Its origin has coded it.
    Coded,
    /// It is too short to gain, or too long to be worth it.
    Length,
    /// `no-transform`.
    NoTransform,
    /// It may hold secrets of somebody.
    Personal,
    /// The site codes nothing.
    Off,
    /// Not 200.
    Status,
    /// Not one of the media types that the site codes.
    Type,
}

/// Whether a response may be coded, or the first reason why not. A `length` that is not known yet forbids nothing.
/// For `is_personal` see the [function](is_personal).
pub fn codable(
    status: StatusCode,
    response: &HeaderMap,
    directives: &ResponseDirectives,
    length: Option<u64>,
    is_personal: bool,
    policy: &CodingPolicy,
) -> Result<(), NotCodable> {
    if policy.codings.is_empty() {
        return Err(NotCodable::Off);
    }
    if status != StatusCode::OK {
        return Err(NotCodable::Status);
    }
    if response.contains_key(CONTENT_ENCODING) {
        return Err(NotCodable::Coded);
    }
    // A field for caches such as this one replaces Cache-Control in what it says of caching (RFC 9213 §2.2). This is said
    // to every intermediary.
    if directives.no_transform || forbids_transformation(response) {
        return Err(NotCodable::NoTransform);
    }
    if is_personal || response.contains_key(SET_COOKIE) {
        return Err(NotCodable::Personal);
    }
    if !is_listed(response, &policy.types) {
        return Err(NotCodable::Type);
    }
    if length.is_some_and(|length| !policy.covers(length)) {
        return Err(NotCodable::Length);
    }
    Ok(())
}

/// Whether a response may have been made for whoever sent `request`: it carried credentials, or cookies that the response
/// was selected by, because they are in the key or because it nominates them.
///
/// What is coded tells by its length how much of it repeats. Whoever gets a browser to ask for what they choose, sees
/// that in the response, and sees lengths on the wire, can guess a secret beside it piece by piece (the attack is known as
/// BREACH). A response that everybody gets has no secrets.
pub fn is_personal(request: &HeaderMap, response: &HeaderMap, cookies_are_keyed: bool) -> bool {
    let nominates_cookies =
        || field::members(response, VARY).any(|member| member.eq_ignore_ascii_case(COOKIE.as_str().as_bytes()));
    request.contains_key(AUTHORIZATION) || (request.contains_key(COOKIE) && (cookies_are_keyed || nominates_cookies()))
}

/// `no-transform`, of an origin or a client: "A proxy MUST NOT transform the content of a response message that contains
/// a no-transform cache directive" (RFC 9110 §7.7), and RFC 9111 §5.2.1.6 lets clients ask the same.
pub fn forbids_transformation(message: &HeaderMap) -> bool {
    let is_no_transform = |member: &[u8]| {
        let name = member.split(|&byte| byte == b'=').next().unwrap_or_default();
        field::trim(name).eq_ignore_ascii_case(b"no-transform")
    };
    field::members(message, CACHE_CONTROL).any(is_no_transform)
}

/// Makes the fields of a codable response those of its representation in `coding`, or in none.
pub fn represent(headers: &mut HeaderMap, coding: Option<ContentCoding>) {
    // "An origin server SHOULD generate a Vary header field on a cacheable response when it wishes that response to be
    // selectively reused for subsequent requests." (RFC 9110 §12.5.5)
    let is_listed = |member: &[u8]| member == b"*" || member.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str().as_bytes());
    if !field::members(headers, VARY).any(is_listed) {
        append(headers, VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    let Some(coding) = coding else { return };
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    // "A "strong validator" is representation metadata that changes value whenever a change occurs to the representation
    // data that would be observable in the content of a 200 (OK) response to GET." (§8.8.1)
    match field::only(headers, ETAG).and_then(|tag| coded_tag::coded(tag.as_bytes(), coding)) {
        Some(tag) => drop(headers.insert(ETAG, tag)),
        None => drop(headers.remove(ETAG)),
    }
    for name in DIGESTS {
        headers.remove(name);
    }
}

/// The representation of a codable response, `tag` being its only entity tag, that the client has according to its
/// If-None-Match, with a coding of `codings` or without: it need not be the one that a client without any would get, and
/// need not even have been made here. `None` if it has none, or none that it still accepts.
pub fn known(request: &HeaderMap, tag: Option<&[u8]>, codings: &[ContentCoding]) -> Option<Option<ContentCoding>> {
    let accepted = AcceptedCodings::of(request);
    let identity = accepted.accepts_identity().then_some(None);
    let coded = codings.iter().filter(|&&coding| accepted.accepts(coding)).map(|&coding| Some(coding));
    identity.into_iter().chain(coded).find(|coding| match coding {
        None => validator::is_listed(request, tag),
        Some(coding) => {
            let tag = tag.and_then(|tag| coded_tag::coded(tag, *coding));
            validator::is_listed(request, tag.as_ref().map(HeaderValue::as_bytes))
        }
    })
}

/// What the Range of a request is a range of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeOf {
    /// The representation in this coding: its tag is in If-Range.
    Coding(ContentCoding),
    /// The representation without a coding.
    Identity,
    /// No representation in particular: there is no Range, or it is going to be ignored.
    Nothing,
}

impl RangeOf {
    /// The representation of a codable response, `tag` being its only entity tag, that a request asks for a part of.
    ///
    /// Codings come and go while a client collects its parts, here and behind other nodes, and what it began with mostly
    /// had none. A part of another representation would be useless to it or, if it does not look, worse.
    pub fn representation<'a>(
        method: &Method,
        request: &HeaderMap,
        tag: impl FnOnce() -> Option<Cow<'a, [u8]>>,
    ) -> Self {
        // "GET is the only method for which range handling is defined." (RFC 9110 §14.2)
        if method != Method::GET || !request.contains_key(RANGE) {
            return Self::Nothing;
        }
        if !request.contains_key(IF_RANGE) {
            return Self::Identity;
        }
        let (Some(condition), Some(tag)) = (field::only(request, IF_RANGE), tag()) else {
            return Self::Nothing;
        };
        let is_named = |tag: &[u8]| match [condition.as_bytes(), tag].map(EntityTag::parse) {
            [Some(condition), Some(tag)] => condition.strong_eq(&tag),
            _ => false,
        };
        if is_named(&tag) {
            return Self::Identity;
        }
        let is_of =
            |coding: &ContentCoding| coded_tag::coded(&tag, *coding).is_some_and(|tag| is_named(tag.as_bytes()));
        ContentCoding::ALL.into_iter().find(is_of).map_or(Self::Nothing, Self::Coding)
    }
}

/// Whether the response's media type is one of `types`, whatever its parameters.
pub fn is_listed(response: &HeaderMap, types: &[impl AsRef<str>]) -> bool {
    let Some(value) = field::only(response, CONTENT_TYPE) else { return false };
    let media_type = field::trim(value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default());
    types.iter().map(AsRef::as_ref).any(|listed| match listed.strip_suffix('*') {
        Some(start) => media_type.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start.as_bytes())),
        None => media_type.eq_ignore_ascii_case(listed.as_bytes()),
    })
}

/// A full map costs the note, and not the response.
fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _ = headers.try_append(name, value);
}

/// Digests of the content or of the representation, both of which include its coding (RFC 9530 §2, §3).
pub const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::field::fields;

    type Lines<'a> = &'a [(&'static str, &'a str)];

    const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

    #[test]
    fn what_may_be_coded() {
        let codable = Ok(());
        check("a text", &[HTML], Some(5000), codable);
        check("a length that is not known", &[HTML], None, codable);
        check("case and space do not matter", &[("content-type", "Text/HTML ;x")], None, codable);
        check("a listed type", &[("content-type", "image/svg+xml")], None, codable);
        check("another type", &[("content-type", "image/png")], None, Err(NotCodable::Type));
        check("a type that begins like a listed one", &[("content-type", "image/svg")], None, Err(NotCodable::Type));
        check("the part before the slash alone", &[("content-type", "text")], None, Err(NotCodable::Type));
        check("no type", &[], None, Err(NotCodable::Type));
        check("two types", &[HTML, HTML], None, Err(NotCodable::Type));
        check("the shortest", &[HTML], Some(1000), codable);
        check("shorter", &[HTML], Some(999), Err(NotCodable::Length));
        check("the longest", &[HTML], Some(9000), codable);
        check("longer", &[HTML], Some(9001), Err(NotCodable::Length));
        check("coded by its origin", &[HTML, ("content-encoding", "gzip")], None, Err(NotCodable::Coded));
        check("declared to be uncoded", &[HTML, ("content-encoding", "identity")], None, Err(NotCodable::Coded));
        for name in ["cache-control", "cdn-cache-control"] {
            let lines = [HTML, ("cache-control", "max-age=60"), (name, "max-age=5, no-transform")];
            check("MUST NOT transform", &lines, None, Err(NotCodable::NoTransform));
        }
        let lines = [HTML, ("cache-control", "No-Transform"), ("cdn-cache-control", "max-age=5")];
        check("MUST NOT transform, said to everybody", &lines, None, Err(NotCodable::NoTransform));
        check("an argument changes nothing", &[HTML, ("cache-control", "no-transform=\"x\"")], None, {
            Err(NotCodable::NoTransform)
        });
        check("a cookie for somebody", &[HTML, ("set-cookie", "a=b")], None, Err(NotCodable::Personal));
        check("another directive", &[HTML, ("cache-control", "max-age=60, x=\"no-transform\"")], None, codable);
        let other =
            super::codable(StatusCode::NOT_FOUND, &fields(&[HTML]), &directives(&fields(&[])), None, false, &policy());
        assert_eq!(other, Err(NotCodable::Status));
        let personal =
            super::codable(StatusCode::OK, &fields(&[HTML]), &directives(&fields(&[])), None, true, &policy());
        assert_eq!(personal, Err(NotCodable::Personal));
        let off = CodingPolicy { codings: Vec::new(), ..policy() };
        assert_eq!(
            super::codable(StatusCode::OK, &fields(&[HTML]), &directives(&fields(&[])), None, false, &off),
            Err(NotCodable::Off)
        );
    }

    #[test]
    fn what_may_be_made_for_whoever_asked() {
        let (cookie, vary) = (("cookie", "a=b"), ("vary", "Origin, cookie"));
        check_personal("nothing of anybody", &[], &[vary], true, false);
        check_personal("credentials", &[("authorization", "Basic eDp5")], &[], false, true);
        check_personal("cookies that the origin has not seen", &[cookie], &[], false, false);
        check_personal("cookies in the key", &[cookie], &[], true, true);
        check_personal("cookies that are nominated", &[cookie], &[vary], false, true);
    }

    #[test]
    fn fields_are_those_of_the_representation() {
        let vary = ("vary", "Accept-Encoding");
        let digests = [
            ("content-md5", "a"),
            ("content-digest", "sha-256=:a:"),
            ("repr-digest", "sha-256=:a:"),
            ("digest", "a"),
            ("unencoded-digest", "sha-256=:a:"),
        ];
        let tagged = [HTML, ("etag", "\"x\""), ("last-modified", "then")];
        check_fields("without a coding", &tagged, None, &[&tagged[..], &[vary]].concat());
        check_fields("without a coding, digests hold", &digests, None, &[&digests[..], &[vary]].concat());
        let zstd = Some(ContentCoding::Zstd);
        let coding = ("content-encoding", "zstd");
        check_fields(
            "a strong tag changes",
            &tagged,
            zstd,
            &[HTML, ("etag", "\"x~zstd1\""), ("last-modified", "then"), vary, coding],
        );
        check_fields("a weak tag does not", &[("etag", "W/\"x\"")], zstd, &[("etag", "W/\"x\""), vary, coding]);
        check_fields("what is no tag goes", &[("etag", "x")], zstd, &[vary, coding]);
        check_fields("digests of other bytes go", &digests, zstd, &[digests[4], vary, coding]);
        check_fields(
            "Vary says so already",
            &[("vary", "Origin, accept-encoding")],
            None,
            &[("vary", "Origin, accept-encoding")],
        );
        check_fields("Vary of something else", &[("vary", "Origin")], None, &[("vary", "Origin"), vary]);
        check_fields("Vary of anything", &[("vary", "*")], None, &[("vary", "*")]);
    }

    #[test]
    fn a_client_has_the_representation_that_its_tag_names() {
        let brotli = Some(Some(ContentCoding::Brotli));
        check_known("a coding it accepts", &[("accept-encoding", "br"), ("if-none-match", "\"x~br1\"")], brotli);
        check_known("one of several", &[("accept-encoding", "br"), ("if-none-match", "\"a\", \"x~br1\"")], brotli);
        check_known("a coding it accepts no more", &[("if-none-match", "\"x~br1\"")], None);
        check_known(
            "a coding that the site does not have",
            &[("accept-encoding", "gzip"), ("if-none-match", "\"x~gzip1\"")],
            None,
        );
        let none = [("accept-encoding", "br"), ("if-none-match", "\"x\"")];
        check_known("none, and it would get one", &none, Some(None));
        let excluded = [("accept-encoding", "br, identity;q=0"), ("if-none-match", "\"x\"")];
        check_known("none, and it must have one", &excluded, None);
        check_known("another version", &[("accept-encoding", "br"), ("if-none-match", "\"y~br1\"")], None);
        check_known("any", &[("if-none-match", "*")], Some(None));
        check_known("no tag", &[("accept-encoding", "br")], None);
    }

    #[test]
    fn a_range_is_one_of_the_representation_that_the_client_began_with() {
        let range = ("range", "bytes=9-");
        check_range("no range", &[("if-range", "\"x\"")], RangeOf::Nothing);
        check_range("no condition", &[range], RangeOf::Identity);
        check_range("the origin's tag", &[range, ("if-range", "\"x\"")], RangeOf::Identity);
        check_range("a coding's", &[range, ("if-range", "\"x~zstd1\"")], RangeOf::Coding(ContentCoding::Zstd));
        check_range("another version's", &[range, ("if-range", "\"y~zstd1\"")], RangeOf::Nothing);
        check_range("a weak tag never matches", &[range, ("if-range", "W/\"x\"")], RangeOf::Nothing);
        check_range("a date", &[range, ("if-range", "Sun, 06 Nov 1994 08:49:37 GMT")], RangeOf::Nothing);
        let head = RangeOf::representation(&Method::HEAD, &fields(&[range]), || None);
        assert_eq!(head, RangeOf::Nothing, "GET is the only method");
    }

    fn policy() -> CodingPolicy {
        CodingPolicy {
            codings: vec![ContentCoding::Brotli],
            types: vec!["text/*".to_owned(), "image/svg+xml".to_owned()],
            length_min: 1000,
            length_max: 9000,
        }
    }

    fn directives(response: &HeaderMap) -> ResponseDirectives {
        ResponseDirectives::from_headers(response, &[HeaderName::from_static("cdn-cache-control")])
    }

    fn check(case: &str, response: Lines<'_>, length: Option<u64>, expected: Result<(), NotCodable>) {
        let response = fields(response);
        let found = codable(StatusCode::OK, &response, &directives(&response), length, false, &policy());
        assert_eq!(found, expected, "{case}");
    }

    fn check_fields(case: &str, response: Lines<'_>, coding: Option<ContentCoding>, expected: Lines<'_>) {
        let mut headers = fields(response);
        represent(&mut headers, coding);
        assert_eq!(headers, fields(expected), "{case}");
    }

    fn check_known(case: &str, request: Lines<'_>, expected: Option<Option<ContentCoding>>) {
        let found = known(&fields(request), Some(b"\"x\""), &[ContentCoding::Brotli, ContentCoding::Zstd]);
        assert_eq!(found, expected, "{case}");
    }

    fn check_range(case: &str, request: Lines<'_>, expected: RangeOf) {
        let tag = || Some(b"\"x\"".into());
        let found = RangeOf::representation(&Method::GET, &fields(request), tag);
        assert_eq!(found, expected, "{case}");
    }

    fn check_personal(case: &str, request: Lines<'_>, response: Lines<'_>, cookies_are_keyed: bool, expected: bool) {
        assert_eq!(is_personal(&fields(request), &fields(response), cookies_are_keyed), expected, "{case}");
    }
}
