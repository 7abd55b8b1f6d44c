//! The Content-Range field, which says what part of a representation a message has (RFC 9110 §14.4).

use http::HeaderValue;

use super::field::{self, Decimal, split_at_byte};
use super::range::Part;

/// Content-Range of a 206 (§14.4).
pub fn content_range(part: Part, complete_length: u64) -> HeaderValue {
    let [first, last, complete] = [part.first, part.last, complete_length].map(Decimal::of);
    text_value(["bytes ", first.as_str(), "-", last.as_str(), "/", complete.as_str()].concat())
}

/// Content-Range of a 416: "Content-Range: bytes */47022" (§15.5.17).
pub fn unsatisfied(complete_length: u64) -> HeaderValue {
    text_value(format!("bytes */{complete_length}"))
}

/// Content-Range of a 206 that an origin sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte; at least `first`, less than `complete_length`.
    pub last: u64,
    /// Length of the whole representation, if the origin knew it.
    pub complete_length: Option<u64>,
}

/// A Content-Range with a range: `bytes first-last/complete`, where `complete` may be `*`.
pub fn parse_content_range(value: &HeaderValue) -> Option<ContentRange> {
    let (unit, range) = split_at_byte(value.as_bytes(), b' ')?;
    let (range, complete) = split_at_byte(range, b'/')?;
    let (first, last) = split_at_byte(range, b'-')?;
    let (first, last) = (exact_number(first)?, exact_number(last)?);
    let complete_length = if complete == b"*" { None } else { Some(exact_number(complete)?) };
    // "A Content-Range field value is invalid if it contains a range-resp that has a last-pos value less than its
    // first-pos value, or a complete-length value less than or equal to its last-pos value."
    let is_valid = first <= last && complete_length.is_none_or(|length| last < length);
    (unit.eq_ignore_ascii_case(b"bytes") && is_valid).then_some(ContentRange { first, last, complete_length })
}

/// A number that has to be right to the byte; one that is too large is none.
fn exact_number(digits: &[u8]) -> Option<u64> {
    field::number(digits).filter(|&number| number < u64::MAX)
}

fn text_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits and punctuation are a valid field value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_fields() {
        assert_eq!(content_range(Part { first: 42, last: 1233 }, 1234), "bytes 42-1233/1234");
        assert_eq!(unsatisfied(47_022), "bytes */47022");
        for (text, expected) in [
            ("bytes 42-1233/1234", Some((42, 1233, Some(1234)))),
            ("Bytes 42-1233/*", Some((42, 1233, None))),
            ("bytes 0-0/1", Some((0, 0, Some(1)))),
            ("bytes */1234", None),
            ("bytes 1-0/5", None),
            ("bytes 0-5/5", None),
            ("bytes 0-/5", None),
            ("bytes -1/5", None),
            ("bytes 0-1", None),
            ("bytes=0-1/5", None),
            ("bytes  0-1/5", None),
            ("bytes 0-1/5 ", None),
            ("bytes 0-1/", None),
            ("bytes 0-1/-5", None),
            ("bytes 0-99999999999999999999/*", None),
            ("bytes 0-1/99999999999999999999", None),
            ("seconds 0-1/5", None),
            ("", None),
        ] {
            let value = HeaderValue::from_static(text);
            let expected = expected.map(|(first, last, complete_length)| ContentRange { first, last, complete_length });
            assert_eq!(parse_content_range(&value), expected, "{text:?}");
        }
    }
}
