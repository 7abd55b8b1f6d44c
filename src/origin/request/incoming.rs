//! What may be believed of a response head from an origin (RFC 9112 §6).
//!
//! The HTTP library lets through heads that a cache must not: their bodies would be cut, joined or decoded wrongly.

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

/// How the end of a response body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Bodiless,
    /// By the last chunk.
    Chunked,
    /// By the end of the connection, so that a cut cannot be told from the end: never proven complete.
    Close,
    /// By `Content-Length`, in bytes.
    Length(u64),
}

/// Reads the framing of a response to a request of `method` with fields `request`.
///
/// # Errors
/// What makes the head malformed, in words.
pub fn framing(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Framing, &'static str> {
    if !(200..600).contains(&status.as_u16()) {
        return Err("a final status is 200 to 599");
    }
    if status == StatusCode::PARTIAL_CONTENT && !request.contains_key(header::RANGE) {
        return Err("206 answers a request with Range only");
    }
    // "A server that generates a response with status code 206 MUST generate Content-Range", but that "MUST NOT be
    // generated" of several parts (RFC 9110 §15.3.7).
    let is_multipart = headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().get(..MULTIPART.len()).is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
    });
    if status == StatusCode::PARTIAL_CONTENT && !is_multipart && !headers.contains_key(header::CONTENT_RANGE) {
        return Err("206 says in Content-Range which part it is");
    }
    if status == StatusCode::NOT_MODIFIED && !CONDITIONS.iter().any(|name| request.contains_key(name)) {
        return Err("304 answers a conditional request only");
    }
    let length = content_length(headers)?;
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) || codings.next().is_some() {
        return Err("the only transfer coding understood is a single chunked");
    }
    // RFC 9112 §6.3: "If a message is received with both a Transfer-Encoding and a Content-Length header field, […]
    // such a message might indicate an attempt to perform request smuggling […] and ought to be handled as an error."
    if coding.is_some() && length.is_some() {
        return Err("Transfer-Encoding and Content-Length exclude each other");
    }
    let bodiless = method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(match (bodiless, coding, length) {
        (true, ..) => Framing::Bodiless,
        (false, Some(_), _) => Framing::Chunked,
        (false, None, Some(length)) => Framing::Length(length),
        (false, None, None) => Framing::Close,
    })
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("Content-Length occurs more than once");
    }
    let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(length) => Ok(Some(length)),
        None => Err("Content-Length is not a number"),
    }
}

const MULTIPART: &[u8] = b"multipart/byteranges";

/// What a 304 answers (RFC 9110 §15.4.5).
const CONDITIONS: [HeaderName; 2] = [header::IF_MODIFIED_SINCE, header::IF_NONE_MATCH];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(method: Method, status: u16, fields: &[(&'static str, &'static str)], expected: Option<Framing>) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).expect("three digits");
        let mut request = HeaderMap::new();
        request.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert_eq!(framing(&method, &request, status, &headers).ok(), expected, "{fields:?}");
    }

    #[test]
    fn a_body_ends_where_its_head_says() {
        check(Method::GET, 200, &[("content-length", "5")], Some(Framing::Length(5)));
        check(Method::GET, 200, &[("transfer-encoding", "Chunked")], Some(Framing::Chunked));
        check(Method::GET, 200, &[], Some(Framing::Close));
        check(Method::HEAD, 200, &[("content-length", "5")], Some(Framing::Bodiless));
        check(Method::GET, 304, &[("content-length", "5")], Some(Framing::Bodiless));
        check(Method::GET, 204, &[], Some(Framing::Bodiless));
    }

    #[test]
    fn an_ambiguous_head_is_malformed() {
        check(Method::GET, 200, &[("transfer-encoding", "gzip, chunked")], None);
        check(Method::GET, 200, &[("transfer-encoding", "xchunked")], None);
        check(Method::GET, 200, &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], None);
        check(Method::GET, 200, &[("transfer-encoding", "chunked"), ("content-length", "5")], None);
        check(Method::GET, 200, &[("content-length", "5, 5")], None);
        check(Method::GET, 200, &[("content-length", "5"), ("content-length", "6")], None);
        check(Method::GET, 200, &[("content-length", "+5")], None);
        check(Method::GET, 200, &[("content-length", "99999999999999999999")], None);
        check(Method::GET, 999, &[("content-length", "5")], None);
    }

    #[test]
    fn what_was_not_asked_for_is_malformed() {
        check(Method::GET, 206, &[("content-length", "5"), ("content-range", "bytes 0-4/5")], None);
        let status = StatusCode::NOT_MODIFIED;
        assert!(framing(&Method::GET, &HeaderMap::new(), status, &HeaderMap::new()).is_err());
    }
}
