//! Rules of RFC 9110 §8.8, §13 and RFC 9111 §4.3 as tables.

use http::{HeaderMap, Method, StatusCode};

use super::{EntityTag, Precondition, conditional_fields, evaluate, freshen, head_matches, strong_validator};
use crate::semantics::field::fields;
use crate::semantics::field_lines::FieldLines;

type Lines<'a> = &'a [(&'static str, &'a str)];

const EARLIER: &str = "Sun, 06 Nov 1994 07:49:37 GMT";
const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const THEN_TOO: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 09:49:37 GMT";
const NONE_MATCH: &str = "if-none-match";
const SINCE: &str = "if-modified-since";

#[test]
fn entity_tags() {
    check_tag("\"xyzzy\"", Some((false, "xyzzy")));
    check_tag("W/\"xyzzy\"", Some((true, "xyzzy")));
    check_tag("\"\"", Some((false, "")));
    check_tag("\"a,b\\\"", Some((false, "a,b\\")));
    check_tag("\"é\"", Some((false, "é")));
    for invalid in [
        "",
        "xyzzy",
        "\"a",
        "a\"",
        "w/\"a\"",
        "W/a",
        "W\"a\"",
        "W/ \"a\"",
        "\"a b\"",
        "\"a\"b",
        "\"a\", \"b\"",
        "*",
        "'a'",
    ] {
        check_tag(invalid, None);
    }
}

#[test]
fn comparison_of_entity_tags() {
    // The table of RFC 9110 §8.8.3.2.
    for (first, second, strong, weak) in [
        ("W/\"1\"", "W/\"1\"", false, true),
        ("W/\"1\"", "W/\"2\"", false, false),
        ("W/\"1\"", "\"1\"", false, true),
        ("\"1\"", "\"1\"", true, true),
    ] {
        let first = EntityTag::parse(first.as_bytes()).expect("valid");
        let second = EntityTag::parse(second.as_bytes()).expect("valid");
        assert_eq!((first.strong_eq(&second), first.weak_eq(&second)), (strong, weak), "{first:?} {second:?}");
    }
}

#[test]
fn a_strong_validator_is_a_single_strong_entity_tag() {
    for (lines, expected) in [
        (&[("etag", "\"a\"")][..], Some("\"a\"")),
        (&[("etag", "W/\"a\"")], None),
        (&[("etag", "a")], None),
        (&[("etag", "\"a\""), ("etag", "\"a\"")], None),
        (&[("last-modified", THEN)], None),
    ] {
        let headers = fields(lines);
        assert_eq!(strong_validator(&headers).map(|value| value.as_bytes()), expected.map(str::as_bytes), "{lines:?}");
    }
}

#[test]
fn if_none_match() {
    use Precondition::{NotModified, Proceed};
    let strong = [("etag", "\"a\"")];
    let weak = [("etag", "W/\"a\"")];
    check("one of the listed tags matches", &[(NONE_MATCH, "\"a\"")], &strong, NotModified);
    check("the weak comparison function", &[(NONE_MATCH, "W/\"a\"")], &strong, NotModified);
    check("the weak comparison function", &[(NONE_MATCH, "\"a\"")], &weak, NotModified);
    check("a list", &[(NONE_MATCH, "\"b\", W/\"c\" ,,\"a\"")], &strong, NotModified);
    check("several lines", &[(NONE_MATCH, "\"b\""), (NONE_MATCH, "\"a\"")], &strong, NotModified);
    check("none of them", &[(NONE_MATCH, "\"b\", \"c\"")], &strong, Proceed);
    check("\"*\"", &[(NONE_MATCH, "*")], &strong, NotModified);
    check("\"*\" without entity tag", &[(NONE_MATCH, "*")], &[], NotModified);
    check("\"*\" among others is none", &[(NONE_MATCH, "*, \"b\"")], &strong, Proceed);
    check("no entity tag", &[(NONE_MATCH, "\"a\"")], &[], Proceed);
    check("a comma inside a tag", &[(NONE_MATCH, "\"x,y\", \"a\"")], &[("etag", "\"x,y\"")], NotModified);
    check("a comma inside a tag", &[(NONE_MATCH, "\"x, \"a\", y\"")], &strong, Proceed);
    check("a backslash escapes nothing", &[(NONE_MATCH, "\"x\\\", \"a\"")], &strong, NotModified);
    check("not quoted", &[(NONE_MATCH, "a")], &strong, Proceed);
    check("garbage ends the list", &[(NONE_MATCH, "\"b\" x, \"a\"")], &strong, Proceed);
    check("garbage glued to the tag", &[(NONE_MATCH, "\"a\"x")], &strong, Proceed);
    check("an invalid stored tag matches nothing", &[(NONE_MATCH, "\"a\"")], &[("etag", "a")], Proceed);
    check(
        "If-None-Match takes precedence over If-Modified-Since",
        &[(NONE_MATCH, "\"b\""), (SINCE, LATER)],
        &[("etag", "\"a\""), ("last-modified", THEN)],
        Proceed,
    );
}

#[test]
fn if_modified_since() {
    use Precondition::{NotModified, Proceed};
    let stored = [("last-modified", THEN), ("date", LATER)];
    check("equal", &[(SINCE, THEN)], &stored, NotModified);
    check("equal in another form", &[(SINCE, THEN_TOO)], &stored, NotModified);
    check("earlier than the date provided", &[(SINCE, LATER)], &stored, NotModified);
    check("later than the date provided", &[(SINCE, EARLIER)], &stored, Proceed);
    check("not a valid HTTP-date", &[(SINCE, "784111777")], &stored, Proceed);
    check("more than one member", &[(SINCE, LATER), (SINCE, LATER)], &stored, Proceed);
    check("no Last-Modified: the Date", &[(SINCE, LATER)], &[("date", THEN)], NotModified);
    check("no Last-Modified: the Date", &[(SINCE, EARLIER)], &[("date", THEN)], Proceed);
    check("neither", &[(SINCE, LATER)], &[], Proceed);
    check("no precondition", &[], &stored, Proceed);
}

#[test]
fn preconditions_that_are_not_for_a_cache() {
    let stored = [("etag", "\"a\""), ("last-modified", THEN)];
    check("If-Match", &[("if-match", "\"b\"")], &stored, Precondition::Proceed);
    check("If-Unmodified-Since", &[("if-unmodified-since", EARLIER)], &stored, Precondition::Proceed);

    let (request, stored) = (fields(&[(NONE_MATCH, "*")]), fields(&stored));
    for (method, status, expected) in [
        (Method::GET, 200, Precondition::NotModified),
        (Method::HEAD, 200, Precondition::NotModified),
        (Method::GET, 203, Precondition::NotModified),
        (Method::POST, 200, Precondition::Proceed),
        (Method::GET, 404, Precondition::Proceed),
        (Method::GET, 301, Precondition::Proceed),
        (Method::GET, 503, Precondition::Proceed),
    ] {
        let status = StatusCode::from_u16(status).expect("valid");
        assert_eq!(evaluate(&method, &request, status, &stored), expected, "{method} {status}");
    }
}

#[test]
fn a_validation_request_sends_both_validators() {
    for (stored, expected) in [
        (&[("etag", "W/\"a\""), ("last-modified", THEN)][..], &[(NONE_MATCH, "W/\"a\""), (SINCE, THEN)][..]),
        (&[("etag", "\"a\"")], &[(NONE_MATCH, "\"a\"")]),
        (&[("last-modified", THEN_TOO)], &[(SINCE, THEN_TOO)]),
        (&[("etag", "a"), ("last-modified", "yesterday")], &[]),
        (&[], &[]),
    ] {
        let sent: HeaderMap = conditional_fields(&fields(stored)).into_iter().collect();
        assert_eq!(sent, fields(expected), "{stored:?}");
    }
}

#[test]
fn which_stored_response_a_304_selects() {
    check_selects("the same strong validator", &[("etag", "\"a\"")], &[("etag", "\"a\"")], true);
    check_selects("another strong validator", &[("etag", "\"a\"")], &[("etag", "\"b\"")], false);
    check_selects("a strong validator where there was none", &[("last-modified", THEN)], &[("etag", "\"b\"")], false);
    check_selects("weak is not the same strong validator", &[("etag", "W/\"a\"")], &[("etag", "\"a\"")], false);
    check_selects("a corresponding weak validator", &[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")], true);
    check_selects("a corresponding weak validator", &[("etag", "\"a\"")], &[("etag", "W/\"a\"")], true);
    check_selects("another weak validator", &[("etag", "W/\"a\"")], &[("etag", "W/\"b\"")], false);
    check_selects("a weak validator where there was none", &[], &[("etag", "W/\"b\"")], false);
    check_selects(
        "one of several weak validators corresponds",
        &[("last-modified", THEN)],
        &[("etag", "W/\"b\""), ("last-modified", THEN_TOO)],
        true,
    );
    check_selects(
        "none of several weak validators corresponds",
        &[("last-modified", THEN)],
        &[("etag", "W/\"b\""), ("last-modified", LATER)],
        false,
    );
    check_selects("the same date", &[("last-modified", THEN)], &[("last-modified", THEN_TOO)], true);
    check_selects("another date", &[("last-modified", THEN)], &[("last-modified", LATER)], false);
    check_selects("a date where there was none", &[("etag", "\"a\"")], &[("last-modified", THEN)], false);
    check_selects("no form of validator", &[("etag", "\"a\"")], &[], true);
    check_selects("no form of validator on either side", &[], &[], true);
}

#[test]
fn updating_stored_header_fields() {
    let stored = [
        ("etag", "\"a\""),
        ("date", EARLIER),
        ("age", "50"),
        ("cache-control", "max-age=1"),
        ("x", "1"),
        ("x", "2"),
        ("kept", "1"),
        ("content-length", "5"),
        ("content-encoding", "br"),
        ("content-type", "text/plain"),
    ];
    check_freshened(
        "each header field replaces field values that are already present",
        &stored,
        &[("cache-control", "max-age=2"), ("date", LATER), ("x", "3"), ("x", "4"), ("new", "1"), ("age", "7")],
        &[
            ("etag", "\"a\""),
            ("kept", "1"),
            ("content-length", "5"),
            ("content-encoding", "br"),
            ("content-type", "text/plain"),
            ("cache-control", "max-age=2"),
            ("date", LATER),
            ("x", "3"),
            ("x", "4"),
            ("new", "1"),
            ("age", "7"),
        ],
    );
    check_freshened(
        "with the following exceptions",
        &[("etag", "\"a\""), ("content-length", "5"), ("content-encoding", "br")],
        &[
            ("etag", "\"a\""),
            ("content-length", "0"),
            ("content-encoding", "gzip"),
            ("content-range", "bytes 0-1/2"),
            ("transfer-encoding", "chunked"),
            ("connection", "x"),
            ("keep-alive", "timeout=5"),
            ("x", "1"),
            ("content-md5", "x"),
            ("content-digest", "x"),
            ("repr-digest", "x"),
            ("digest", "x"),
            ("content-type", "text/html"),
        ],
        &[("etag", "\"a\""), ("content-length", "5"), ("content-encoding", "br"), ("content-type", "text/html")],
    );
    check_freshened("a 304 without Date and Age is new", &[("date", EARLIER), ("age", "50")], &[], &[]);
}

#[test]
fn a_head_response_updates_what_it_matches() {
    let stored = [("etag", "\"a\""), ("last-modified", THEN)];
    for (case, head, expected) in [
        ("matching values for any received validator fields", &[("etag", "\"a\""), ("last-modified", THEN)][..], true),
        ("received ones only", &[("etag", "\"a\"")], true),
        ("none received, so that nothing vouches for it", &[], false),
        ("another entity tag", &[("etag", "\"b\""), ("last-modified", THEN)], false),
        ("another date", &[("etag", "\"a\""), ("last-modified", LATER)], false),
        ("Content-Length matches", &[("etag", "\"a\""), ("content-length", "5")], true),
        ("Content-Length differs", &[("etag", "\"a\""), ("content-length", "6")], false),
        ("Content-Length is no number", &[("etag", "\"a\""), ("content-length", "x")], false),
    ] {
        assert_eq!(head_matches(&fields(&stored), 5, &fields(head)), expected, "{case}");
    }
    assert!(!head_matches(&fields(&[]), 5, &fields(&stored)), "validators where there were none");
}

fn check_tag(text: &str, expected: Option<(bool, &str)>) {
    let expected = expected.map(|(weak, opaque)| EntityTag { weak, opaque: opaque.as_bytes() });
    assert_eq!(EntityTag::parse(text.as_bytes()), expected, "{text:?}");
}

fn check(case: &str, request: Lines<'_>, stored: Lines<'_>, expected: Precondition) {
    let (fields_of_request, fields_of_stored) = (fields(request), fields(stored));
    let verdict = evaluate(&Method::GET, &fields_of_request, StatusCode::OK, &fields_of_stored);
    assert_eq!(verdict, expected, "{case}: {request:?} {stored:?}");
    let mut block = Vec::new();
    FieldLines::write(&fields_of_stored, &mut block);
    let verdict = evaluate(&Method::GET, &fields_of_request, StatusCode::OK, &FieldLines::read(&block));
    assert_eq!(verdict, expected, "{case}, in few bytes: {request:?} {stored:?}");
}

fn check_selects(case: &str, stored: Lines<'_>, not_modified: Lines<'_>, expected: bool) {
    let freshened = freshen(&fields(stored), &fields(not_modified));
    assert_eq!(freshened.is_some(), expected, "{case}: {stored:?} {not_modified:?}");
}

fn check_freshened(case: &str, stored: Lines<'_>, not_modified: Lines<'_>, expected: Lines<'_>) {
    assert_eq!(freshen(&fields(stored), &fields(not_modified)), Some(fields(expected)), "{case}");
}
