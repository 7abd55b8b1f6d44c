//! How a demo origin answers a request for a representation: conditions and one range, as a good file server does.
//!
//! The node's own rules are not used here, so that the demo does not prove them by themselves.

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::assets::{self, Representation};

/// The response to `GET` or `HEAD`.
pub(super) fn answer(representation: &Representation, method: &Method, request: &HeaderMap) -> Response<Bytes> {
    let mut response = selected(representation, request);
    let fields = response.headers_mut();
    fields.insert(ETAG, representation.entity_tag.clone());
    fields.insert(LAST_MODIFIED, HeaderValue::from_static(assets::LAST_MODIFIED));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(representation.cache_control));
    if let Some(value) = representation.cdn_cache_control {
        fields.insert(CDN_CACHE_CONTROL, HeaderValue::from_static(value));
    }
    if response.status() != StatusCode::NOT_MODIFIED {
        let length = HeaderValue::from(response.body().len());
        let fields = response.headers_mut();
        fields.insert(CONTENT_LENGTH, length);
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(representation.content_type));
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    if method == Method::HEAD {
        response.body_mut().clear();
    }
    response
}

/// Status, body and `Content-Range`, in the order of precedence of RFC 9110 §13.2.2.
fn selected(representation: &Representation, request: &HeaderMap) -> Response<Bytes> {
    let body = &representation.body;
    if is_unchanged(representation, request) {
        return with_status(StatusCode::NOT_MODIFIED, Bytes::new());
    }
    let wanted = request.get(RANGE).filter(|_| range_applies(representation, request));
    match wanted.and_then(|range| parse_range(range.to_str().ok()?, body.len())) {
        None => with_status(StatusCode::OK, body.clone()),
        Some(None) => {
            let mut response = with_status(StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new());
            response.headers_mut().insert(CONTENT_RANGE, text(format!("bytes */{}", body.len())));
            response
        }
        Some(Some((first, last))) => {
            let mut response = with_status(StatusCode::PARTIAL_CONTENT, body.slice(first..=last));
            let content_range = text(format!("bytes {first}-{last}/{}", body.len()));
            response.headers_mut().insert(CONTENT_RANGE, content_range);
            response
        }
    }
}

fn is_unchanged(representation: &Representation, request: &HeaderMap) -> bool {
    let mut tags = request.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok()).peekable();
    if tags.peek().is_some() {
        return tags.flat_map(|line| line.split(',')).map(str::trim).any(|tag| {
            tag == "*" || representation.entity_tag.as_bytes() == tag.strip_prefix("W/").unwrap_or(tag).as_bytes()
        });
    }
    request.get(IF_MODIFIED_SINCE).is_some_and(|date| date == assets::LAST_MODIFIED)
}

/// RFC 9110 §13.1.5: a range is of use only if it is of the same representation.
fn range_applies(representation: &Representation, request: &HeaderMap) -> bool {
    request
        .get(IF_RANGE)
        .is_none_or(|validator| validator == representation.entity_tag || validator == assets::LAST_MODIFIED)
}

/// First and last position of a single range; `Some(None)` when it cannot be satisfied, `None` when it is none.
fn parse_range(range: &str, length: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", suffix) => {
            let suffix = suffix.parse::<usize>().ok()?.min(length);
            Some((suffix > 0).then(|| (length - suffix, length - 1)))
        }
        (first, "") => {
            let first = first.parse().ok()?;
            Some((first < length).then(|| (first, length - 1)))
        }
        (first, last) => {
            let (first, last) = (first.parse().ok()?, last.parse::<usize>().ok()?);
            if last < first {
                return None;
            }
            Some((first < length).then(|| (first, last.min(length - 1))))
        }
    }
}

fn with_status(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("digits and words are field content")
}

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: &[(HeaderName, &str)], status: u16, body: &str, content_range: Option<&str>) {
        let request: HeaderMap =
            request.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect();
        let response = answer(&representation(), &Method::GET, &request);
        assert_eq!(response.status(), status, "{request:?}");
        assert_eq!(response.body(), body, "{request:?}");
        let found = response.headers().get(CONTENT_RANGE).map(|value| value.to_str().unwrap());
        assert_eq!(found, content_range, "{request:?}");
        assert_eq!(response.headers()[ETAG], TAG);
    }

    #[test]
    fn one_range_is_answered_and_others_are_ignored() {
        check(&[], 200, "0123456789", None);
        check(&[(RANGE, "bytes=2-4")], 206, "234", Some("bytes 2-4/10"));
        check(&[(RANGE, "bytes=7-")], 206, "789", Some("bytes 7-9/10"));
        check(&[(RANGE, "bytes=-2")], 206, "89", Some("bytes 8-9/10"));
        check(&[(RANGE, "bytes=-99")], 206, "0123456789", Some("bytes 0-9/10"));
        check(&[(RANGE, "bytes=8-99")], 206, "89", Some("bytes 8-9/10"));
        check(&[(RANGE, "bytes=10-")], 416, "", Some("bytes */10"));
        check(&[(RANGE, "bytes=-0")], 416, "", Some("bytes */10"));
        for ignored in ["bytes=", "bytes=-", "bytes=4-2", "bytes=0-1,3-4", "bytes=a-b", "lines=1-2"] {
            check(&[(RANGE, ignored)], 200, "0123456789", None);
        }
    }

    #[test]
    fn a_range_of_another_representation_gets_the_whole_one() {
        check(&[(RANGE, "bytes=7-"), (IF_RANGE, TAG)], 206, "789", Some("bytes 7-9/10"));
        check(&[(RANGE, "bytes=7-"), (IF_RANGE, assets::LAST_MODIFIED)], 206, "789", Some("bytes 7-9/10"));
        check(&[(RANGE, "bytes=7-"), (IF_RANGE, "\"other\"")], 200, "0123456789", None);
    }

    #[test]
    fn an_unchanged_representation_is_not_sent_again() {
        check(&[(IF_NONE_MATCH, "\"tag\"")], 304, "", None);
        check(&[(IF_NONE_MATCH, "\"x\", W/\"tag\"")], 304, "", None);
        check(&[(IF_NONE_MATCH, "*")], 304, "", None);
        check(&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, assets::LAST_MODIFIED)], 200, "0123456789", None);
        check(&[(IF_MODIFIED_SINCE, assets::LAST_MODIFIED)], 304, "", None);
        check(&[(IF_NONE_MATCH, TAG), (RANGE, "bytes=7-")], 304, "", None);
    }

    #[test]
    fn head_has_the_fields_of_get_without_the_body() {
        let response = answer(&representation(), &Method::HEAD, &HeaderMap::new());
        assert_eq!(response.headers()[CONTENT_LENGTH], "10");
        assert!(response.body().is_empty());
    }

    fn representation() -> Representation {
        Representation {
            path: "/digits",
            content_type: "text/plain",
            cache_control: "max-age=5",
            cdn_cache_control: None,
            entity_tag: HeaderValue::from_static(TAG),
            body: Bytes::from_static(b"0123456789"),
        }
    }

    const TAG: &str = "\"tag\"";
}
