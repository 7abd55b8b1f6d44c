//! Accept-Encoding, reduced to the codings that make a difference (RFC 9110 §12.5.3).

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use super::field;

/// What the request accepts of `br`, `gzip` and `zstd`, as one of eight field values; empty for none.
///
/// Origins see this value instead of the client's, so that eight variants at most are stored of a response. A request
/// without the field accepts any coding; it gets none, since that is what such clients can read.
pub fn normalize(request: &HeaderMap) -> &'static str {
    let mut accepted = [None; 3];
    let mut any = None;
    for member in field::members(request, ACCEPT_ENCODING) {
        let (coding, weight) = match member.iter().position(|&byte| byte == b';') {
            Some(at) => (field::trim(&member[..at]), accepts(&member[at + 1..])),
            None => (member, true),
        };
        match CODINGS.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(coding)) {
            Some(index) => accepted[index] = accepted[index].or(Some(weight)),
            // "A recipient SHOULD consider "x-gzip" to be equivalent to "gzip"." (§8.4.1.3)
            None if coding.eq_ignore_ascii_case(b"x-gzip") => accepted[GZIP] = accepted[GZIP].or(Some(weight)),
            // "The asterisk "*" symbol in an Accept-Encoding field matches any available content coding not explicitly
            // listed in the field."
            None if coding == b"*" => any = any.or(Some(weight)),
            None => {}
        }
    }
    let [br, gzip, zstd] = accepted.map(|accepted| accepted.or(any).unwrap_or(false));
    match (br, gzip, zstd) {
        (false, false, false) => "",
        (false, false, true) => "zstd",
        (false, true, false) => "gzip",
        (false, true, true) => "gzip, zstd",
        (true, false, false) => "br",
        (true, false, true) => "br, zstd",
        (true, true, false) => "br, gzip",
        (true, true, true) => "br, gzip, zstd",
    }
}

/// Puts the normalized value in place of the client's; without any coding, the field is left out.
///
/// Every request whose answer may be stored needs this, because variants are told apart by the normalized value.
pub fn replace(request: &mut HeaderMap) {
    let codings = normalize(request);
    request.remove(ACCEPT_ENCODING);
    if !codings.is_empty() {
        request.insert(ACCEPT_ENCODING, HeaderValue::from_static(codings));
    }
}

/// Whether `weight`, what follows the semicolon, is valid and not zero: "a value of 0 means "not acceptable""
/// (§12.4.2).
fn accepts(weight: &[u8]) -> bool {
    let [b'q' | b'Q', b'=', quality @ ..] = field::trim(weight) else {
        return false;
    };
    match quality {
        [b'0' | b'1'] | [b'0' | b'1', b'.'] => quality[0] == b'1',
        [b'0', b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => {
            digits.iter().any(|&digit| digit != b'0')
        }
        [b'1', b'.', zeros @ ..] => zeros.len() <= 3 && zeros.iter().all(|&digit| digit == b'0'),
        _ => false,
    }
}

const CODINGS: [&str; 3] = ["br", "gzip", "zstd"];

/// The place of gzip among [`CODINGS`].
const GZIP: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_encoding() {
        check("no field", &[], "");
        check("an empty field accepts identity", &[""], "");
        check("what browsers send", &["gzip, deflate, br, zstd"], "br, gzip, zstd");
        check("order and case do not matter", &["ZSTD,  GZip"], "gzip, zstd");
        check("one", &["gzip"], "gzip");
        check("one", &["br"], "br");
        check("one", &["zstd"], "zstd");
        check("two", &["br, zstd"], "br, zstd");
        check("two", &["br, gzip"], "br, gzip");
        check("several lines", &["gzip", "br"], "br, gzip");
        check("other codings make no difference", &["deflate, compress, identity, dcb, dcz, snappy"], "");
        check("x-gzip is equivalent to gzip", &["x-gzip"], "gzip");
        check("a value of 0 means not acceptable", &["gzip;q=0, br;q=0.0, zstd;q=0.000"], "");
        check("any other weight is acceptable", &["gzip;q=0.001, br ; q=1.000, zstd;Q=1"], "br, gzip, zstd");
        check("the asterisk matches what is not listed", &["*"], "br, gzip, zstd");
        check("the asterisk matches what is not listed", &["gzip;q=0, *;q=0.5"], "br, zstd");
        check("the asterisk, not acceptable", &["br, *;q=0"], "br");
        check("the first occurrence counts", &["gzip;q=0, gzip"], "");
        for invalid in [
            "gzip;",
            "gzip;q",
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=-1",
            "gzip;q=0.0001",
            "gzip;q=1.1",
            "gzip;q= 1",
            "gzip q=1",
        ] {
            check("an invalid weight accepts nothing", &[invalid], "");
        }
    }

    fn check(case: &str, lines: &[&str], expected: &str) {
        let lines: Vec<_> = lines.iter().map(|&line| ("accept-encoding", line)).collect();
        assert_eq!(normalize(&field::fields(&lines)), expected, "{case}: {lines:?}");
    }
}
