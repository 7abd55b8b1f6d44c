//! What a successful unsafe request makes outdated (RFC 9111 §4.4).

use http::header::{CONTENT_LOCATION, HeaderMap, HeaderName, LOCATION};
use http::{Uri, Version};

use super::field;
use super::target::{Target, target};

/// The targets that a non-error response to an unsafe request for `requested` invalidates: the target itself, and what `Location` and `Content-Location` name on the same origin. Three at most.
pub fn invalidated(requested: &Target, response: &HeaderMap) -> Vec<Target> {
    // "A cache MUST invalidate the target URI […] when it receives a non-error status code in response to an unsafe
    // request method".
    let mut targets = vec![requested.clone()];
    // "In particular, the URI(s) in the Location and Content-Location response header fields (if present) are candidates
    // for invalidation".
    targets.extend(named(requested, response, LOCATION));
    targets.extend(named(requested, response, CONTENT_LOCATION));
    targets
}

/// "However, a cache MUST NOT trigger an invalidation under these conditions if the origin […] of the URI to be
/// invalidated differs from that of the target URI".
fn named(requested: &Target, response: &HeaderMap, name: HeaderName) -> Option<Target> {
    let reference = field::only(response, name)?.to_str().ok()?;
    let uri = Uri::try_from(resolved(requested, reference)?).ok()?;
    // The same gate as for requests, so that what it finds is what a request for it is stored under.
    let found = target(uri.scheme_str()?, &uri, &HeaderMap::new(), Version::HTTP_2).ok()?;
    (found.origin() == requested.origin()).then(|| requested.at(found.path_and_query()))
}

/// The reference as a URI (RFC 3986 §5.2.2), dot segments left in; `None` if it names the base itself.
fn resolved(base: &Target, reference: &str) -> Option<String> {
    let origin = base.origin();
    let path = base.path_and_query().split('?').next().unwrap_or_default();
    // "remove_dot_segments" is the gate's; a fragment is cut off by the parser of URIs.
    let first = reference.find(['/', '?', '#', ':']).map(|at| reference.as_bytes()[at]);
    match reference.as_bytes() {
        [] | [b'#', ..] => None,
        [b'/', b'/', ..] => Some(format!("{}:{reference}", base.scheme())),
        [b'/', ..] => Some(format!("{origin}{reference}")),
        [b'?', ..] => Some(format!("{origin}{path}{reference}")),
        _ if first == Some(b':') => Some(reference.to_owned()),
        // "excluding any characters after the right-most "/" in the base URI path" (§5.2.3)
        _ => {
            let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
            Some(format!("{origin}{folder}{reference}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::field::fields;

    #[test]
    fn the_uris_in_location_and_content_location_are_candidates() {
        check("none", &[], &[]);
        check("both", &[("location", "/new"), ("content-location", "/now")], &["/new", "/now"]);
        check("a path", &[("location", "/new?a=b")], &["/new?a=b"]);
        check("a URI", &[("location", "https://www.example/new")], &["/new"]);
        check("without scheme", &[("location", "//www.example/new")], &["/new"]);
        check("without path", &[("location", "https://www.example")], &["/"]);
        check("beside the target", &[("location", "new")], &["/shop/new"]);
        check("above the target", &[("location", "../new")], &["/new"]);
        check("another query", &[("location", "?page=2")], &["/shop/cart?page=2"]);
        check("a fragment is no part of a target", &[("location", "/new#there")], &["/new"]);
        check("the target itself", &[("location", "")], &[]);
        check("the target itself", &[("location", "#there")], &[]);
        check("in the form of the key", &[("location", "HTTPS://WWW.Example:443/%7enew/./x")], &["/~new/x"]);
    }

    #[test]
    fn another_origin_is_not_invalidated() {
        for other in [
            "http://www.example/new",
            "https://example/new",
            "https://www.example:8443/new",
            "//other.example/new",
            "https://www.example@other.example/new",
            "ftp://www.example/new",
            "mailto:a@www.example",
            "https:new",
        ] {
            check("the origin differs", &[("location", other)], &[]);
        }
    }

    #[test]
    fn what_no_request_can_ask_for_is_not_invalidated() {
        for unreadable in ["/a%00b", "/x\\y", "/%2e%2e/x", "/a b", "/%", "https://[::1/x"] {
            check("no canonical target", &[("location", unreadable)], &[]);
        }
        check("two of a field that is no list", &[("location", "/a"), ("location", "/b")], &[]);
    }

    #[track_caller]
    fn check(case: &str, response: &[(&'static str, &str)], expected: &[&str]) {
        let requested = Target::new("https", "www.example", None, "/shop/cart?id=7");
        let targets = invalidated(&requested, &fields(response));
        assert_eq!(targets[0], requested);
        let found: Vec<_> = targets[1..].iter().map(Target::path_and_query).collect();
        assert_eq!(found, expected, "{case}: {response:?}");
        assert!(
            targets.iter().all(|target| target.origin() == requested.origin() && target.port() == requested.port())
        );
    }
}
