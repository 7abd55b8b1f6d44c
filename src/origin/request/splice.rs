//! Continuing a broken body (RFC 9111 §3.3 and §3.4, RFC 9110 §13.1.5 and §14.2).
//!
//! The rest is asked for with `Range` and `If-Range`, and joined only if it is provably the rest of the same
//! representation: same strong ETag, same complete length, same content coding, and beginning where the first part
//! ended. Anything less is an honest break.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::semantics::content_range::parse_content_range;
use crate::semantics::validator::strong_validator;

/// A response that broke off in its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    received: u64,
    complete_length: Option<u64>,
    etag: HeaderValue,
    content_coding: Option<HeaderValue>,
}

/// How the next response continues an incomplete one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splice {
    /// Its body is the rest, this many bytes, to the end of the representation.
    Part {
        /// Bytes in the part.
        length: u64,
    },
    /// Its body is the whole; this many bytes are to be skipped.
    WholeSkip(u64),
}

/// Why a response cannot continue an incomplete one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Neither 200 nor 206.
    Status,
    /// Another strong ETag, or none.
    Validator,
    /// Another content coding.
    ContentCoding,
    /// A part without a valid `Content-Range`, or several.
    ContentRange,
    /// A part that does not begin where the body broke.
    Offset,
    /// Another complete length, or one that cannot be checked, or a part that stops before the end.
    Length,
}

impl Mismatch {
    /// The word for events and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Validator => "validator",
            Self::ContentCoding => "content-coding",
            Self::ContentRange => "content-range",
            Self::Offset => "offset",
            Self::Length => "length",
        }
    }
}

impl Incomplete {
    /// The response with these `headers`, after `received` bytes of its body; `complete_length` where it was stated.
    /// `None` without a strong ETag: such a body cannot be continued.
    pub fn new(headers: &HeaderMap, received: u64, complete_length: Option<u64>) -> Option<Self> {
        let etag = strong_validator(headers)?.clone();
        let content_coding = headers.get(header::CONTENT_ENCODING).cloned();
        Some(Self { received, complete_length, etag, content_coding })
    }

    /// The same response after `received` bytes of its body.
    #[must_use]
    pub fn after(&self, received: u64, complete_length: Option<u64>) -> Self {
        Self { received, complete_length, ..self.clone() }
    }
}

/// The fields that ask for the rest.
pub fn resume_fields(incomplete: &Incomplete) -> [(HeaderName, HeaderValue); 2] {
    let range = HeaderValue::from_str(&format!("bytes={}-", incomplete.received)).expect("digits are field values");
    [(header::RANGE, range), (header::IF_RANGE, incomplete.etag.clone())]
}

/// Whether a response continues an incomplete one, and how.
pub fn accept(incomplete: &Incomplete, status: StatusCode, headers: &HeaderMap) -> Result<Splice, Mismatch> {
    match status {
        StatusCode::PARTIAL_CONTENT => part(incomplete, headers),
        StatusCode::OK => whole(incomplete, headers),
        _ => Err(Mismatch::Status),
    }
}

fn part(incomplete: &Incomplete, headers: &HeaderMap) -> Result<Splice, Mismatch> {
    same_etag(incomplete, headers)?;
    // RFC 9110 §15.3.7: a part sent because of If-Range need not repeat its content coding.
    let coding = headers.get(header::CONTENT_ENCODING);
    if coding.is_some() && coding != incomplete.content_coding.as_ref() {
        return Err(Mismatch::ContentCoding);
    }
    let range = single(headers, header::CONTENT_RANGE).and_then(parse_content_range).ok_or(Mismatch::ContentRange)?;
    if range.first != incomplete.received {
        return Err(Mismatch::Offset);
    }
    let end = range.last.checked_add(1).ok_or(Mismatch::ContentRange)?;
    let length = end.checked_sub(range.first).ok_or(Mismatch::ContentRange)?;
    let to_the_end = range.complete_length == Some(end);
    let same_total = incomplete.complete_length.is_none_or(|total| total == end);
    let framed = content_length(headers).is_none_or(|framed| framed == length);
    if to_the_end && same_total && framed { Ok(Splice::Part { length }) } else { Err(Mismatch::Length) }
}

fn whole(incomplete: &Incomplete, headers: &HeaderMap) -> Result<Splice, Mismatch> {
    same_etag(incomplete, headers)?;
    if headers.get(header::CONTENT_ENCODING) != incomplete.content_coding.as_ref() {
        return Err(Mismatch::ContentCoding);
    }
    let total = content_length(headers);
    // Without either, its end is that of the connection, and no more than a cut is.
    let ends_itself = total.is_some() || headers.contains_key(header::TRANSFER_ENCODING);
    if !ends_itself && incomplete.complete_length.is_none() {
        return Err(Mismatch::Length);
    }
    let same_total = incomplete.complete_length.is_none_or(|expected| total.is_none_or(|total| total == expected));
    let long_enough = total.is_none_or(|total| total >= incomplete.received);
    if same_total && long_enough { Ok(Splice::WholeSkip(incomplete.received)) } else { Err(Mismatch::Length) }
}

fn same_etag(incomplete: &Incomplete, headers: &HeaderMap) -> Result<(), Mismatch> {
    let same = single(headers, header::ETAG).is_some() && strong_validator(headers) == Some(&incomplete.etag);
    if same { Ok(()) } else { Err(Mismatch::Validator) }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The value of a field that occurs exactly once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first part had 100 of 250 bytes, ETag `"a"` and content coding br.
    #[track_caller]
    fn check(status: u16, lines: &[&str], expected: Result<Splice, Mismatch>) {
        let first = Incomplete::new(&headers(&["etag: \"a\"", "content-encoding: br"]), 100, Some(250));
        check_after(&first.expect("a strong ETag"), status, lines, expected);
    }

    #[track_caller]
    fn check_after(incomplete: &Incomplete, status: u16, lines: &[&str], expected: Result<Splice, Mismatch>) {
        let status = StatusCode::from_u16(status).expect("a status");
        assert_eq!(accept(incomplete, status, &headers(lines)), expected, "{status} {lines:?}");
    }

    #[test]
    fn the_rest_is_asked_for_under_the_strong_etag() {
        let incomplete = Incomplete::new(&headers(&["etag: \"a\""]), 100, None).expect("a strong ETag");
        let [(range, bytes), (if_range, etag)] = resume_fields(&incomplete);
        assert_eq!((range, bytes.as_bytes()), (header::RANGE, &b"bytes=100-"[..]));
        assert_eq!((if_range, etag.as_bytes()), (header::IF_RANGE, &b"\"a\""[..]));
    }

    #[test]
    fn without_a_strong_etag_nothing_is_continued() {
        assert_eq!(Incomplete::new(&headers(&["etag: W/\"a\""]), 100, Some(250)), None);
        assert_eq!(Incomplete::new(&headers(&["last-modified: Sun, 06 Nov 1994 08:49:37 GMT"]), 100, Some(250)), None);
    }

    #[test]
    fn a_part_must_be_the_exact_rest() {
        let rest = Ok(Splice::Part { length: 150 });
        check(206, &["etag: \"a\"", "content-range: bytes 100-249/250"], rest);
        check(206, &["etag: \"a\"", "content-range: bytes 100-249/250", "content-encoding: br"], rest);
        check(206, &["etag: \"a\"", "content-range: bytes 100-249/250", "content-length: 150"], rest);
        check(206, &["etag: \"a\"", "content-range: bytes 99-249/250"], Err(Mismatch::Offset));
        check(206, &["etag: \"a\"", "content-range: bytes 101-249/250"], Err(Mismatch::Offset));
        check(206, &["etag: \"a\"", "content-range: bytes 0-249/250"], Err(Mismatch::Offset));
        check(206, &["etag: \"a\"", "content-range: bytes 100-248/250"], Err(Mismatch::Length));
        check(206, &["etag: \"a\"", "content-range: bytes 100-250/251"], Err(Mismatch::Length));
        check(206, &["etag: \"a\"", "content-range: bytes 100-249/*"], Err(Mismatch::Length));
        check(206, &["etag: \"a\"", "content-range: bytes 100-249/250", "content-length: 149"], Err(Mismatch::Length));
    }

    #[test]
    fn a_part_must_say_what_it_is() {
        check(206, &["etag: \"a\""], Err(Mismatch::ContentRange));
        check(206, &["etag: \"a\"", "content-type: multipart/byteranges; boundary=x"], Err(Mismatch::ContentRange));
        check(206, &["etag: \"a\"", "content-range: bytes */250"], Err(Mismatch::ContentRange));
        check(
            206,
            &["etag: \"a\"", "content-range: bytes 100-249/250", "content-range: bytes 100-249/250"],
            Err(Mismatch::ContentRange),
        );
    }

    #[test]
    fn the_validator_must_match_strongly() {
        let range = "content-range: bytes 100-249/250";
        check(206, &[range], Err(Mismatch::Validator));
        check(206, &["etag: \"b\"", range], Err(Mismatch::Validator));
        check(206, &["etag: W/\"a\"", range], Err(Mismatch::Validator));
        check(206, &["etag: \"a\"", "etag: \"b\"", range], Err(Mismatch::Validator));
        check(200, &["content-encoding: br"], Err(Mismatch::Validator));
    }

    #[test]
    fn the_content_coding_must_match() {
        let range = "content-range: bytes 100-249/250";
        check(206, &["etag: \"a\"", range, "content-encoding: gzip"], Err(Mismatch::ContentCoding));
        check(200, &["etag: \"a\"", "content-length: 250"], Err(Mismatch::ContentCoding));
    }

    #[test]
    fn a_whole_response_under_the_same_etag_is_skipped_into() {
        let skip = Ok(Splice::WholeSkip(100));
        check(200, &["etag: \"a\"", "content-encoding: br", "content-length: 250"], skip);
        check(200, &["etag: \"a\"", "content-encoding: br"], skip);
        check(200, &["etag: \"a\"", "content-encoding: br", "content-length: 251"], Err(Mismatch::Length));
    }

    #[test]
    fn an_unstated_length_is_learned_from_the_part() {
        let incomplete = Incomplete::new(&headers(&["etag: \"a\""]), 100, None).expect("a strong ETag");
        let rest = Ok(Splice::Part { length: 150 });
        check_after(&incomplete, 206, &["etag: \"a\"", "content-range: bytes 100-249/250"], rest);
        check_after(&incomplete, 206, &["etag: \"a\"", "content-range: bytes 100-249/*"], Err(Mismatch::Length));
        check_after(&incomplete, 200, &["etag: \"a\"", "content-length: 99"], Err(Mismatch::Length));
    }

    #[test]
    fn a_whole_must_end_provably() {
        let incomplete = Incomplete::new(&headers(&["etag: \"a\""]), 100, None).expect("a strong ETag");
        check_after(&incomplete, 200, &["etag: \"a\""], Err(Mismatch::Length));
        check_after(&incomplete, 200, &["etag: \"a\"", "transfer-encoding: chunked"], Ok(Splice::WholeSkip(100)));
        check_after(&incomplete, 200, &["etag: \"a\"", "content-length: 250"], Ok(Splice::WholeSkip(100)));
    }

    #[test]
    fn any_other_status_is_a_mismatch() {
        for status in [204, 301, 304, 404, 412, 416, 500, 503] {
            check(status, &["etag: \"a\"", "content-range: bytes 100-249/250"], Err(Mismatch::Status));
        }
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let fields = lines.iter().map(|line| line.split_once(": ").expect("a field line"));
        let pair = |(name, value): (&str, &str)| {
            (name.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields.map(pair) {
            headers.append(name, value);
        }
        headers
    }
}
