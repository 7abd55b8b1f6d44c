//! Rules of §3, and of what is stored here, as tables.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use super::{NEVER_STORED, NotStorable, SetCookie, StorePolicy, storable, withheld};
use crate::semantics::cache_control::{ResponseDirectives, TARGETS};
use crate::semantics::field::fields;
use crate::semantics::freshness::Negative;

const CC: &str = "cache-control";
const MINUTE: Duration = Duration::from_secs(60);
const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const COOKIE: (&str, &str) = ("set-cookie", "a=b");
const CREDENTIALS: (&str, &str) = ("authorization", "Basic eA==");

#[test]
fn a_cache_must_not_store_a_response_unless() {
    use NotStorable::{Authorization, NoStore, OneRequest, PartialContent, Private, Status, VaryAny};

    check("a status code that is defined as heuristically cacheable", 200, &[], &[], Ok(()));
    check("the no-store cache directive is not present", 200, &[], &[(CC, "no-store, max-age=60")], Err(NoStore));
    check("the private response directive is not present", 200, &[], &[(CC, "private, max-age=60")], Err(Private));
    check("or allows a shared cache to store a modified response", 200, &[], &[(CC, "private=\"x\"")], Ok(()));
    check("no-cache is stored, and validated", 200, &[], &[(CC, "no-cache")], Ok(()));
    check("no-store in the request", 200, &[(CC, "no-store")], &[], Ok(()));

    check("the Authorization header field is not present", 200, &[CREDENTIALS], &[], Err(Authorization));
    check("max-age allows no sharing", 200, &[CREDENTIALS], &[(CC, "max-age=60")], Err(Authorization));
    for sharing in ["public", "s-maxage=0", "must-revalidate"] {
        check("explicitly allows shared caching", 200, &[CREDENTIALS], &[(CC, sharing)], Ok(()));
    }

    check("Vary containing a member \"*\"", 200, &[], &[("vary", "accept, *")], Err(VaryAny));
    check("Vary that cannot be read", 200, &[], &[("vary", "acc ept")], Err(VaryAny));
    check("Vary", 200, &[], &[("vary", "accept")], Ok(()));

    check("206", 206, &[], &[(CC, "public, max-age=60")], Err(PartialContent));
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410] {
        check("heuristically cacheable", status, &[], &[], Ok(()));
    }
    for status in [201, 202, 299, 302, 303, 307, 401, 403, 409, 418, 422] {
        check("nothing that allows it", status, &[], &[], Err(Status));
        for allowing in ["public", "max-age=60", "s-maxage=60"] {
            check("a directive allows it", status, &[], &[(CC, allowing)], Ok(()));
        }
        check("an Expires header field", status, &[], &[("expires", "0")], Ok(()));
    }
    for status in [414, 501] {
        check("heuristically cacheable, bad news or not", status, &[], &[], Ok(()));
    }
    for status in [500, 502, 503, 504] {
        check("no explicit freshness", status, &[], &[("last-modified", THEN)], Err(Status));
        check("public is no freshness", status, &[], &[(CC, "public")], Err(Status));
        check("explicit freshness", status, &[], &[(CC, "max-age=1")], Ok(()));
    }
    for status in [205, 299, 400, 411, 415, 499, 505, 599] {
        check("a final status, understood or not", status, &[], &[(CC, "max-age=1")], Ok(()));
        check("a public response directive", status, &[], &[(CC, "public")], Ok(()));
        check("nothing that allows it", status, &[], &[("last-modified", THEN)], Err(Status));
    }
    for status in [100, 101, 103, 199, 600, 999] {
        check("never", status, &[], &[(CC, "public, max-age=60")], Err(Status));
    }
    for status in NEVER_STORED {
        check("never", status, &[], &[(CC, "public, max-age=60")], Err(OneRequest));
    }
}

#[test]
fn an_error_with_a_lifetime_of_the_site_is_stored() {
    let negative = Negative([403, 503, 408].map(|status| (StatusCode::from_u16(status).unwrap(), MINUTE)).to_vec());
    let policy = StorePolicy { negative, ..StorePolicy::default() };
    for (status, expected) in
        [(403, Ok(())), (503, Ok(())), (408, Err(NotStorable::OneRequest)), (500, Err(NotStorable::Status))]
    {
        let status = StatusCode::from_u16(status).unwrap();
        let (nothing, directives) = (HeaderMap::new(), ResponseDirectives::default());
        assert_eq!(storable(&Method::GET, &nothing, status, &nothing, &directives, &policy), expected, "{status}");
    }
}

#[test]
fn must_understand_overrides_no_store() {
    check("understood", 200, &[], &[(CC, "must-understand, no-store, max-age=60")], Ok(()));
    check("understood", 302, &[], &[(CC, "must-understand, no-store, max-age=60")], Ok(()));
    let unknown = [(CC, "must-understand, no-store, max-age=60")];
    check("not understood", 299, &[], &unknown, Err(NotStorable::Status));
}

#[test]
fn cookies() {
    use SetCookie::{Explicit, Letter, Never};
    for (policy, cache_control, stored) in [
        (Explicit, "max-age=60", false),
        (Explicit, "public", true),
        (Explicit, "s-maxage=60", true),
        (Letter, "max-age=60", true),
        (Letter, "", true),
        (Never, "public, s-maxage=60", false),
    ] {
        let expected = if stored { Ok(()) } else { Err(NotStorable::SetCookie) };
        check_cookie(policy, &[COOKIE, (CC, cache_control)], expected);
    }
    check_cookie(Explicit, &[COOKIE, ("cdn-cache-control", "max-age=60")], Ok(()));
    check_cookie(Never, &[(CC, "max-age=60")], Ok(()));
    check_cookie(Never, &[COOKIE, (CC, "max-age=60, private=\"set-cookie\"")], Ok(()));
}

#[test]
fn fields_that_are_not_stored() {
    use SetCookie::{Explicit, Letter, Never};
    for (policy, cache_control, expected) in [
        (Letter, "max-age=60", &[][..]),
        (Letter, "private=x, no-cache=y", &["x", "y"]),
        (Explicit, "s-maxage=60", &[]),
        (Explicit, "max-age=60", &["set-cookie"]),
        (Never, "public, private=x", &["x", "set-cookie"]),
    ] {
        let directives = ResponseDirectives::from_headers(&fields(&[(CC, cache_control)]), &[]);
        let policy = StorePolicy { set_cookie: policy, ..StorePolicy::default() };
        let names: Vec<_> = withheld(&directives, &policy, false).map(|name| name.as_str()).collect();
        assert_eq!(names, expected, "{policy:?} {cache_control}");
        assert!(withheld(&directives, &policy, true).any(|name| name == "set-cookie"), "{policy:?} {cache_control}");
    }
}

#[test]
fn only_responses_to_get_are_stored() {
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::CONNECT] {
        let response = fields(&[]);
        let (directives, policy) = (ResponseDirectives::default(), StorePolicy::default());
        let verdict = storable(&method, &fields(&[]), StatusCode::OK, &response, &directives, &policy);
        assert_eq!(verdict, Err(NotStorable::Method), "{method}");
    }
}

type Lines<'a> = &'a [(&'static str, &'a str)];

fn check(case: &str, status: u16, request: Lines<'_>, response: Lines<'_>, expected: Result<(), NotStorable>) {
    let response = fields(response);
    let verdict = verdict(status, &fields(request), &response, SetCookie::Explicit);
    assert_eq!(verdict, expected, "{case}: {status} {response:?}");
}

fn check_cookie(policy: SetCookie, response: Lines<'_>, expected: Result<(), NotStorable>) {
    let headers = fields(response);
    assert_eq!(verdict(200, &HeaderMap::new(), &headers, policy), expected, "{policy:?}: {response:?}");
}

fn verdict(status: u16, request: &HeaderMap, response: &HeaderMap, set_cookie: SetCookie) -> Result<(), NotStorable> {
    let status = StatusCode::from_u16(status).expect("a table holds valid statuses");
    let directives = ResponseDirectives::from_headers(response, &TARGETS);
    let policy = StorePolicy { set_cookie, ..StorePolicy::default() };
    storable(&Method::GET, request, status, response, &directives, &policy)
}
