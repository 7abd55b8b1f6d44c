//! The response field by which an origin says that its failure is to be passed on as it is.

use http::{HeaderMap, HeaderName};

use super::field;

/// Whether nothing is to take the place of a response with these fields: no other origin's, and no stale one. Any value says
/// so but a false one, as a structured field (RFC 9651 §3.3.6) or as people write it.
pub fn forbids_fallback(headers: &HeaderMap) -> bool {
    headers.get_all(NO_FALLBACK).iter().any(|line| {
        let value = field::trim(line.as_bytes());
        !FALSE.iter().any(|known| value.eq_ignore_ascii_case(known))
    })
}

/// The field.
pub const NO_FALLBACK: HeaderName = HeaderName::from_static("no-fallback");

const FALSE: [&[u8]; 3] = [b"?0", b"0", b"false"];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn any_value_forbids_but_a_false_one() {
        for (lines, expected) in [
            (&[][..], false),
            (&["?1"], true),
            (&["1"], true),
            (&["true"], true),
            (&["yes, please"], true),
            (&[""], true),
            (&["?0"], false),
            (&[" 0 "], false),
            (&["False"], false),
            (&["?0", "?1"], true),
            (&["?0", "0"], false),
        ] {
            let headers = lines.iter().map(|line| (NO_FALLBACK, HeaderValue::from_static(line))).collect();
            assert_eq!(forbids_fallback(&headers), expected, "{lines:?}");
        }
    }
}
