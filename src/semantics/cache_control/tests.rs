//! Rules of §5.2, RFC 9213 and RFC 5861 as tables.

use super::{Honored, MaxStale, RequestDirectives, ResponseDirectives, TARGETS};
use crate::semantics::field::fields;
use http::HeaderName;
use std::time::Duration;

const CC: &str = "cache-control";
const CDN: &str = "cdn-cache-control";
const SURROGATE: &str = "surrogate-control";

#[test]
fn cache_control_is_read_leniently() {
    let none = ResponseDirectives::default();
    let some = || ResponseDirectives { present: true, ..none.clone() };
    let aged = |seconds| ResponseDirectives { max_age: Some(Duration::from_secs(seconds)), ..some() };

    check("no field", &[], none.clone());
    check("an empty field", &[(CC, "")], none.clone());
    check("max-age", &[(CC, "max-age=60")], aged(60));
    check("directives are compared case-insensitively", &[(CC, "Max-AGE=60")], aged(60));
    check("recipients ought to accept both forms", &[(CC, "max-age=\"60\"")], aged(60));
    check("leading zeros", &[(CC, "max-age=0060")], aged(60));
    check("whitespace around members", &[(CC, " \tmax-age=60\t ,")], aged(60));
    check("overflow is considered to be 2^31", &[(CC, "max-age=99999999999999999999")], aged(1 << 31));
    check("the first occurrence is used", &[(CC, "max-age=1, max-age=2")], aged(1));
    check("the first occurrence over several lines", &[(CC, "max-age=1"), (CC, "max-age=2")], aged(1));
    check("an invalid first occurrence is stale", &[(CC, "max-age=x, max-age=2")], aged(0));
    for invalid in
        ["", "=", "=x", "=1.5", "=-1", "=+1", "= 60", "=60s", "='60'", "=\"60", "=\"\"", "=60;x", "=6 0", " =60"]
    {
        check("invalid freshness is stale", &[(CC, &format!("max-age{invalid}"))], aged(0));
    }
    check("a cache MUST ignore unrecognized directives", &[(CC, "community=\"UCI\", max-age:60, max_age=60")], some());
    check("a name inside a quoted string is none", &[(CC, "x=\"no-store, private\", max-age=60")], aged(60));
    check(
        "an unclosed quote hides nothing",
        &[(CC, "x=\"a, no-store")],
        ResponseDirectives { no_store: true, ..some() },
    );
    check(
        "a byte that is not text hides nothing",
        &[(CC, "x=é, no-store")],
        ResponseDirectives { no_store: true, ..some() },
    );
    check(
        "every response directive, over several lines",
        &[
            (CC, "public,must-revalidate , proxy-revalidate"),
            (CC, "must-understand, no-store, no-cache, private"),
            (CC, "s-maxage=1, max-age=2, stale-while-revalidate=3, stale-if-error=4, no-transform, immutable"),
        ],
        ResponseDirectives {
            s_maxage: Some(Duration::from_secs(1)),
            max_age: Some(Duration::from_secs(2)),
            stale_while_revalidate: Some(Duration::from_secs(3)),
            stale_if_error: Some(Duration::from_secs(4)),
            no_store: true,
            no_cache: true,
            private: true,
            withheld: Vec::new(),
            public: true,
            must_revalidate: true,
            proxy_revalidate: true,
            must_understand: true,
            no_transform: true,
            targeted: false,
            present: true,
        },
    );
    check(
        "an argument where none is allowed restricts all the same",
        &[(CC, "no-store=x, must-revalidate=0")],
        ResponseDirectives { no_store: true, must_revalidate: true, ..some() },
    );
    check("Pragma was never specified for responses", &[("pragma", "no-cache")], none.clone());
    check("request directives mean nothing", &[(CC, "only-if-cached, max-stale, min-fresh=5")], some());
}

#[test]
fn the_qualified_form_limits_the_listed_fields() {
    let some = || ResponseDirectives { present: true, ..ResponseDirectives::default() };
    let without = |names: &'static [&'static str]| ResponseDirectives {
        withheld: names.iter().map(|name| HeaderName::from_static(name)).collect(),
        ..some()
    };
    check("a quoted list", &[(CC, "private=\"x-a, X-B\"")], without(&["x-a", "x-b"]));
    check("no-cache alike", &[(CC, "no-cache=\"Set-Cookie\"")], without(&["set-cookie"]));
    check("the token form", &[(CC, "no-cache=Set-Cookie")], without(&["set-cookie"]));
    check("empty elements", &[(CC, "private=\", x-a ,,\"")], without(&["x-a"]));
    check("both, several times", &[(CC, "private=x-a, no-cache=x-b, private=x-c")], without(&["x-a", "x-b", "x-c"]));
    for unqualified in ["private=\"\"", "private=", "private=\"a b\"", "private=\"x-a, é\"", "private=5", "private=\"x"]
    {
        check("no field names", &[(CC, unqualified)], ResponseDirectives { private: true, ..some() });
    }
    for indispensable in ["vary", "Content-Type", "x-a, content-encoding", "cache-control", "date", "content-range"] {
        let line = format!("no-cache=\"{indispensable}\"");
        check("a field that nothing is left without", &[(CC, &line)], ResponseDirectives { no_cache: true, ..some() });
    }
    check(
        "beside the unqualified form",
        &[(CC, "private=x-a, private")],
        ResponseDirectives { private: true, ..without(&["x-a"]) },
    );
    for list in ["private=\"x-a, x-b\"", "private=(x-a x-b)", "private=(\"x-a\" \"x-b\")", "private=x-a, no-cache=x-b"]
    {
        let expected = ResponseDirectives { targeted: true, ..without(&["x-a", "x-b"]) };
        check("in a targeted field", &[(CDN, list)], expected);
    }
    for unqualified in ["private=(x-a 5)", "private=1.5", "private=?1", "private=()"] {
        let expected = ResponseDirectives { private: true, targeted: true, ..some() };
        check("no field names in a targeted field", &[(CDN, unqualified)], expected);
    }
}

#[test]
fn cdn_cache_control_replaces_cache_control_when_valid() {
    let targeted = || ResponseDirectives { targeted: true, present: true, ..ResponseDirectives::default() };
    let aged = |seconds| ResponseDirectives { max_age: Some(Duration::from_secs(seconds)), ..targeted() };
    let fallback =
        ResponseDirectives { max_age: Some(Duration::from_secs(1)), present: true, ..ResponseDirectives::default() };
    let over = |value: &str, expected| check(value, &[(CC, "max-age=1"), (CDN, value)], expected);

    over("max-age=600", aged(600));
    over("max-age=600;x=1", aged(600));
    over("max-age=999999999999999", aged(1 << 31));
    over("none", targeted());
    over("max-age=1, max-age=600", aged(600));
    over("private, no-store", ResponseDirectives { private: true, no_store: true, ..targeted() });
    over("no-store=?0, max-age=5", aged(5));
    over("public=?0, no-store=?1", ResponseDirectives { no_store: true, ..targeted() });
    // "Implementations SHOULD NOT consume values that violate these inferred constraints."
    for violating in ["max-age=\"600\"", "max-age=1.5", "max-age=-1", "max-age=x", "max-age", "max-age=?0"] {
        over(violating, aged(0));
    }
    // "that field MUST be ignored by the cache (i.e., it behaves as if the field were not present)"
    for malformed in [
        "",
        "a,",
        ",a",
        "a,,b",
        "a b",
        "A",
        "Max-Age=60",
        "max-age = 60",
        "max-age= 60",
        "max-age=",
        "a=1.",
        "a=1.2345",
        "max-age=1000000000000000",
        "a=1234567890123.1",
        "a=--1",
        "max-age='60'",
        "a=\"x",
        "a=\"\\x\"",
        "a=\"é\"",
        "a=?2",
        "a=?",
        "a;",
        "a;B",
        "a=1 ;b",
        "a=(1 2",
        "a=:aGk=",
        "a=@1",
        "1a",
        "=1",
        "a, &",
        "max-age=60 no-store",
        "é",
    ] {
        over(malformed, fallback.clone());
    }
    for valid in
        ["  a , b\t,\tc  ", "a=?0, b=?1, c=-5", "a=1.5, b=\"x, \\\"y\\\\\", c=tok:en/1, d=*", "a=(1 2), b=:aGk=:"]
    {
        over(valid, targeted());
        over(&format!("{valid}, max-age=600;x;y=2; z=\"3\""), aged(600));
    }
    check("several lines are one dictionary", &[(CDN, "max-age=1"), (CDN, "max-age=600")], aged(600));
    check("one bad line voids the field", &[(CC, "max-age=1"), (CDN, "max-age=600"), (CDN, "&")], fallback.clone());
    check(
        "CDN caches store what no other cache may",
        &[(CC, "no-store"), (CDN, "max-age=600"), (SURROGATE, "max-age=5")],
        aged(600),
    );
}

#[test]
fn surrogate_control_replaces_cache_control_when_it_speaks_of_caching() {
    let targeted = |seconds| ResponseDirectives {
        max_age: Some(Duration::from_secs(seconds)),
        targeted: true,
        present: true,
        ..ResponseDirectives::default()
    };
    check("max-age", &[(CC, "private"), (SURROGATE, "max-age=60, content=\"ESI/1.0\"")], targeted(60));
    check(
        "content alone",
        &[(CC, "private"), (SURROGATE, "content=\"ESI/1.0\"")],
        ResponseDirectives { private: true, present: true, ..ResponseDirectives::default() },
    );
    check(
        "no-store",
        &[(CC, "max-age=60"), (SURROGATE, "no-store")],
        ResponseDirectives { no_store: true, targeted: true, present: true, ..ResponseDirectives::default() },
    );
    check("behind a malformed CDN-Cache-Control", &[(CDN, "&"), (SURROGATE, "max-age=60")], targeted(60));
}

#[test]
fn the_first_field_of_the_target_list_with_a_valid_value_counts() {
    let (ours, cdn, surrogate) = ("holdover-cache-control", CDN, SURROGATE);
    let all = [(CC, "max-age=1"), (cdn, "max-age=2"), (surrogate, "max-age=3"), (ours, "max-age=4")];
    let broken = [(CC, "max-age=1"), (cdn, "max-age=2"), (surrogate, "content=\"ESI/1.0\""), (ours, "max-age=4,")];
    let empty = [(CC, "max-age=1"), (cdn, "max-age=2"), (surrogate, ""), (ours, "")];
    for (targets, lines, expected) in [
        (&[ours, cdn][..], &all, 4),
        (&[cdn, ours], &all, 2),
        (&[surrogate, cdn], &all, 3),
        (&[], &all, 1),
        (&[ours], &broken, 1),
        (&[ours, surrogate, cdn], &broken, 2),
        (&[ours, surrogate, cdn], &empty, 2),
    ] {
        let targets: Vec<_> = targets.iter().map(|name| HeaderName::from_static(name)).collect();
        let directives = ResponseDirectives::from_headers(&fields(lines), &targets);
        assert_eq!(directives.max_age, Some(Duration::from_secs(expected)), "{targets:?} {lines:?}");
    }
}

#[test]
fn request_directives() {
    let none = RequestDirectives::default;
    let seconds = Duration::from_secs;
    check_request("no field", &[], none());
    check_request(
        "every request directive",
        &[(CC, "no-cache, no-store, only-if-cached"), (CC, "max-age=1, min-fresh=\"2\", Max-Stale=3, no-transform")],
        RequestDirectives {
            no_cache: true,
            no_store: true,
            only_if_cached: true,
            max_age: Some(seconds(1)),
            min_fresh: Some(seconds(2)),
            max_stale: Some(MaxStale::For(seconds(3))),
        },
    );
    check_request(
        "If no value is assigned to max-stale, then the client will accept a stale response of any age",
        &[(CC, "max-stale")],
        RequestDirectives { max_stale: Some(MaxStale::Any), ..none() },
    );
    check_request("invalid advice is ignored", &[(CC, "max-age=x, min-fresh, max-stale=-1")], none());
    check_request(
        "the first occurrence is used",
        &[(CC, "max-age=1, max-age=0")],
        RequestDirectives { max_age: Some(seconds(1)), ..none() },
    );
    check_request(
        "Pragma: no-cache without Cache-Control",
        &[("pragma", "x, No-Cache")],
        RequestDirectives { no_cache: true, ..none() },
    );
    check_request(
        "Cache-Control makes Pragma void",
        &[("pragma", "no-cache"), (CC, "max-age=5")],
        RequestDirectives { max_age: Some(seconds(5)), ..none() },
    );
}

#[test]
fn which_request_directives_count() {
    let lines = fields(&[(CC, "no-cache, no-store, max-age=1, min-fresh=2, max-stale=3, only-if-cached")]);
    let safe = RequestDirectives {
        max_stale: Some(MaxStale::For(Duration::from_secs(3))),
        only_if_cached: true,
        ..RequestDirectives::default()
    };
    assert_eq!(RequestDirectives::from_headers(&lines, Honored::Safe), safe);
    assert_eq!(RequestDirectives::from_headers(&lines, Honored::None), RequestDirectives::default());
    let pragma = fields(&[("pragma", "no-cache")]);
    assert_eq!(RequestDirectives::from_headers(&pragma, Honored::Safe), RequestDirectives::default());
}

#[test]
fn what_a_client_accepts() {
    // Of a response that is 10 seconds old: fresh for 5 more, stale for 5; and whether stale is out of the question.
    for (control, fresh, stale, insists) in [
        ("", true, false, false),
        ("no-cache", false, false, true),
        ("no-store", true, false, false),
        ("max-age=9", false, false, true),
        ("max-age=10", true, false, true),
        ("min-fresh=5", true, false, true),
        ("min-fresh=6", false, false, true),
        ("max-stale", true, true, false),
        ("max-stale=5", true, true, false),
        ("max-stale=4", true, false, false),
        ("max-stale, max-age=10", true, true, false),
        ("max-stale, max-age=9", false, false, false),
        ("max-stale, min-fresh=1", true, false, false),
        ("max-stale, no-cache", false, false, true),
    ] {
        let asked = RequestDirectives::from_headers(&fields(&[(CC, control)]), Honored::All);
        let (age, other) = (Duration::from_secs(10), Duration::from_secs(5));
        let found = (asked.accept_fresh(age, other), asked.accept_stale(age, other), asked.insist_on_fresh());
        assert_eq!(found, (fresh, stale, insists), "{control}");
    }
}

fn check(case: &str, lines: &[(&'static str, &str)], expected: ResponseDirectives) {
    assert_eq!(ResponseDirectives::from_headers(&fields(lines), &TARGETS), expected, "{case}: {lines:?}");
}

fn check_request(case: &str, lines: &[(&'static str, &str)], expected: RequestDirectives) {
    assert_eq!(RequestDirectives::from_headers(&fields(lines), Honored::All), expected, "{case}: {lines:?}");
}
