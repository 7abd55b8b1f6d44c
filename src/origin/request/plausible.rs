//! Whether a response is what its site expects for its path: an origin that breaks may well answer 200 with an error page.

use std::fmt::{self, Display};

use http::{HeaderMap, Method, StatusCode, header};

use super::incoming::Framing;
use crate::config::model::{Expectation, StatusSet};
use crate::semantics::transformation::is_listed;

/// What is wrong with a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Surprise {
    /// Its whole body is shorter than the shortest expected.
    Length {
        /// Bytes of it.
        bytes: u64,
        /// Bytes expected at least.
        least: u64,
    },
    /// Its status is not one of those expected.
    Status(StatusCode),
    /// Its media type is not one of those expected, or there is none.
    Type(String),
}

impl Display for Surprise {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes, least } => write!(formatter, "a body of {bytes} bytes where {least} are expected"),
            Self::Status(status) => write!(formatter, "unexpected status {}", status.as_u16()),
            Self::Type(found) => write!(formatter, "unexpected media type {found:?}"),
        }
    }
}

/// What is expected of answers to a request: the first expectation that is of its path. Nothing of other methods than GET
/// and HEAD, whose answers are not representations of the path.
pub fn expectation<'a>(expectations: &'a [Expectation], method: &Method, path: &str) -> Option<&'a Expectation> {
    let is_asked_for = *method == Method::GET || *method == Method::HEAD;
    let path = path.split('?').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    expectations.iter().filter(|_| is_asked_for).find(|expectation| {
        let Expectation { extensions, prefixes, .. } = expectation;
        let is_one = |known: &String| extension.is_some_and(|extension| extension.eq_ignore_ascii_case(known));
        (extensions.is_empty() || extensions.iter().any(is_one))
            && (prefixes.is_empty() || prefixes.iter().any(|prefix| path.starts_with(prefix.as_str())))
    })
}

/// Whether a response with this status says no more than that it cannot be as a request with these fields demands: any
/// client can get it from an origin that is well.
pub fn is_demanded(status: StatusCode, request: &HeaderMap) -> bool {
    match status {
        StatusCode::PRECONDITION_FAILED => {
            request.contains_key(header::IF_MATCH) || request.contains_key(header::IF_UNMODIFIED_SINCE)
        }
        StatusCode::RANGE_NOT_SATISFIABLE => request.contains_key(header::RANGE),
        _ => false,
    }
}

/// How many bytes of the body have to be there before [`judge`] can know that it is long enough; none where the head says.
pub fn bytes_wanted(expectation: &Expectation, status: StatusCode, framing: Framing) -> u64 {
    match framing {
        Framing::Chunked | Framing::Close if status == StatusCode::OK => expectation.length_min,
        Framing::Bodiless | Framing::Chunked | Framing::Close | Framing::Length(_) => 0,
    }
}

/// Judges a response; `length` is that of its whole body in bytes, where it is known and there is one.
///
/// # Errors
/// What is wrong with it. A 304 has nothing that could be; a part is judged as the whole it is of, but for its length; what
/// is neither has a media type of its own, such as a redirect or an error.
pub fn judge(
    expectation: &Expectation,
    status: StatusCode,
    headers: &HeaderMap,
    length: Option<u64>,
) -> Result<(), Surprise> {
    if status == StatusCode::NOT_MODIFIED {
        return Ok(());
    }
    let is_part = status == StatusCode::PARTIAL_CONTENT;
    let is_known = |statuses: &StatusSet| statuses.contains(status) || (is_part && statuses.contains(StatusCode::OK));
    if !expectation.statuses.as_ref().is_none_or(is_known) {
        return Err(Surprise::Status(status));
    }
    let is_content = matches!(status, StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION) || is_part;
    let is_typed = || is_listed(headers, &expectation.types) || (is_part && is_listed(headers, &[MULTIPART]));
    if is_content && !expectation.types.is_empty() && !is_typed() {
        let found =
            headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        return Err(Surprise::Type(found.unwrap_or_default()));
    }
    match length {
        Some(bytes) if status == StatusCode::OK && bytes < expectation.length_min => {
            Err(Surprise::Length { bytes, least: expectation.length_min })
        }
        Some(_) | None => Ok(()),
    }
}

/// Several parts, with their media types inside (RFC 9110 §14.6).
const MULTIPART: &str = "multipart/byteranges";

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn scripts() -> Expectation {
        Expectation {
            extensions: vec!["js".to_owned(), "mjs".to_owned()],
            prefixes: Vec::new(),
            types: vec!["text/javascript".to_owned(), "image/*".to_owned()],
            statuses: Some(StatusSet(vec![(200, 200), (404, 404)])),
            length_min: 100,
        }
    }

    fn assets() -> Expectation {
        Expectation { extensions: Vec::new(), prefixes: vec!["/assets/".to_owned(), "/a".to_owned()], ..scripts() }
    }

    #[test]
    fn the_first_expectation_of_a_path_counts() {
        let both = Expectation { prefixes: vec!["/s/".to_owned()], ..scripts() };
        let all = [both, scripts(), assets(), Expectation { prefixes: Vec::new(), ..assets() }];
        for (path, expected) in [
            ("/s/x.js", 0),
            ("/x.js", 1),
            ("/x.MJS?y=.css", 1),
            ("/assets/x.js", 1),
            ("/assets/x.css", 2),
            ("/abc", 2),
            ("/", 3),
            ("/x.js/", 3),
            ("/js", 3),
            ("/x?y=.js", 3),
            ("/x.json", 3),
        ] {
            let found = expectation(&all, &Method::GET, path).expect("the last one is of every path");
            assert_eq!(*found, all[expected], "{path}");
        }
        assert_eq!(expectation(&all[..1], &Method::GET, "/x.js"), None);
        assert_eq!(expectation(&all, &Method::HEAD, "/x.js"), Some(&all[1]));
        assert_eq!(expectation(&all, &Method::POST, "/x.js"), None);
        assert_eq!(expectation(&all, &Method::OPTIONS, "/x.js"), None);
    }

    #[track_caller]
    fn check(status: u16, media_type: &str, length: Option<u64>, expected: &str) {
        let mut headers = HeaderMap::new();
        if !media_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(media_type).expect("a field value"));
        }
        let status = StatusCode::from_u16(status).expect("three digits");
        let found = judge(&scripts(), status, &headers, length).err().map(|surprise| surprise.to_string());
        assert_eq!(found.unwrap_or_default(), expected, "{status} {media_type} {length:?}");
    }

    #[test]
    fn content_has_one_of_the_types() {
        check(200, "text/javascript", Some(100), "");
        check(200, "Text/JavaScript; charset=utf-8", None, "");
        check(200, "image/png", None, "");
        check(200, "text/html", Some(100), "unexpected media type \"text/html\"");
        check(200, "text/javascript-not", None, "unexpected media type \"text/javascript-not\"");
        check(200, "", None, "unexpected media type \"\"");
    }

    #[test]
    fn a_part_is_judged_as_the_whole_but_for_its_length() {
        check(206, "text/javascript", Some(1), "");
        check(206, "multipart/byteranges; boundary=x", Some(1), "");
        check(206, "text/html", Some(1), "unexpected media type \"text/html\"");
    }

    #[test]
    fn what_has_no_content_of_the_path_has_any_type_and_length() {
        check(404, "text/html", Some(1), "");
        check(304, "", Some(0), "");
    }

    #[test]
    fn another_status_is_a_surprise_whatever_comes_with_it() {
        check(403, "text/javascript", Some(1000), "unexpected status 403");
        check(302, "", None, "unexpected status 302");
        let any = Expectation { statuses: None, ..scripts() };
        assert_eq!(judge(&any, StatusCode::FOUND, &HeaderMap::new(), Some(0)), Ok(()));
    }

    #[test]
    fn what_a_request_demands_in_vain_is_no_surprise() {
        for (status, field, expected) in [
            (412, header::IF_MATCH, true),
            (412, header::IF_UNMODIFIED_SINCE, true),
            (412, header::RANGE, false),
            (416, header::RANGE, true),
            (416, header::IF_MATCH, false),
            (400, header::RANGE, false),
        ] {
            let status = StatusCode::from_u16(status).expect("three digits");
            let request = HeaderMap::from_iter([(field, HeaderValue::from_static("x"))]);
            assert_eq!(is_demanded(status, &request), expected, "{status} {request:?}");
        }
    }

    #[test]
    fn a_whole_body_is_long_enough() {
        check(200, "text/javascript", Some(99), "a body of 99 bytes where 100 are expected");
        check(200, "text/javascript", Some(0), "a body of 0 bytes where 100 are expected");
        check(200, "text/javascript", None, "");
    }

    #[test]
    fn only_a_body_of_unknown_length_has_to_be_waited_for() {
        for (status, framing, expected) in [
            (200, Framing::Chunked, 100),
            (200, Framing::Close, 100),
            (200, Framing::Length(5), 0),
            (200, Framing::Bodiless, 0),
            (206, Framing::Chunked, 0),
            (404, Framing::Chunked, 0),
        ] {
            let status = StatusCode::from_u16(status).expect("three digits");
            assert_eq!(bytes_wanted(&scripts(), status, framing), expected, "{status} {framing:?}");
        }
    }
}
