//! Field values: singletons, lists and their elements (RFC 9110 §5.3, §5.6; RFC 9111 §1.2.2).
//!
//! Everything works on bytes: a field value may hold bytes that are not text, and a directive beside them still counts.

use std::time::Duration;

use http::header::{AsHeaderName, HeaderMap, HeaderValue};

/// The field's only line; several lines of a field that is no list are as good as none.
pub(super) fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    lines.next().is_none().then_some(line)
}

/// The members of a list field over all its lines, without surrounding whitespace; empty ones are left out.
pub(super) fn members(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &[u8]> {
    headers.get_all(name).iter().flat_map(|line| Members::new(line.as_bytes()))
}

/// The members of one line of a list field; a comma inside a quoted string separates nothing.
pub(super) struct Members<'a> {
    rest: &'a [u8],
    quotes: bool,
}

impl<'a> Members<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        Self { rest: line, quotes: true }
    }

    /// Where the first member ends. A quote that is never closed is an ordinary byte, so that it hides no directive.
    fn end(&mut self) -> usize {
        let mut at = 0;
        while let Some(&byte) = self.rest.get(at) {
            match byte {
                b',' => return at,
                b'"' if self.quotes => match quoted_length(&self.rest[at..]) {
                    Some(length) => at += length - 1,
                    None => self.quotes = false,
                },
                _ => {}
            }
            at += 1;
        }
        at
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = self.end();
            let member = trim(&self.rest[..end]);
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

/// `text` without optional whitespace (space and tab) at both ends.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Whether `byte` may occur in a token (RFC 9110 §5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A non-negative number of seconds, and nothing else.
pub(super) fn delta_seconds(digits: &[u8]) -> Option<Duration> {
    let seconds = number(digits)?;
    // "If a cache receives a delta-seconds value greater than the greatest integer it can represent, […] the cache MUST
    // consider the value to be 2147483648 (2^31) or the greatest positive integer it can conveniently represent."
    Some(Duration::from_secs(seconds.min(DELTA_SECONDS_MAX)))
}

/// The weight that `parameter`, what follows a semicolon, states, in thousandths; `None` if it is no valid weight (RFC 9110
/// §12.4.2).
pub(super) fn quality(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', quality @ ..] = trim(parameter) else {
        return None;
    };
    // qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
    let (whole, digits) = match quality {
        [whole] => (whole, &[][..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let mut thousandths = digit(*whole)? * WEIGHT_MAX;
    for (&byte, place) in digits.iter().zip([100, 10, 1]) {
        thousandths += digit(byte)? * place;
    }
    (thousandths <= WEIGHT_MAX).then_some(thousandths)
}

/// A string of digits; a number that is too large becomes the largest.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &digit| {
        digit.is_ascii_digit().then(|| value.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

/// A number in decimal digits, written without an allocation.
pub(super) struct Decimal {
    digits: [u8; DIGITS_MAX],
    length: usize,
}

impl Decimal {
    pub(super) fn of(mut number: u64) -> Self {
        // The length comes first: a loop that ends at zero is unrolled for every length there is, at more than it does.
        let (mut digits, length) = ([0; DIGITS_MAX], number.checked_ilog10().map_or(1, |power| power as usize + 1));
        for digit in digits[..length].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        Self { digits, length }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("digits are text")
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.length]
    }
}

/// A field value of these digits, in one allocation of their size.
pub fn decimal_value(number: u64) -> HeaderValue {
    HeaderValue::from_bytes(Decimal::of(number).as_bytes()).expect("digits are a valid field value")
}

/// The length of the quoted string that `text` begins with, both quotes included.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// What is before the first separator, and what is behind it.
pub(super) fn split_at_byte(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

/// Large values of delta-seconds stand for this one (RFC 9111 §1.2.2): 68 years.
const DELTA_SECONDS_MAX: u64 = 1 << 31;

/// A field section for the tables of this module; equal names become several lines.
#[cfg(test)]
pub(super) fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a table holds valid values");
        headers.append(*name, value);
    }
    headers
}

/// "1 is the most preferred" (§12.4.2), and what counts without a weight; in thousandths.
pub(super) const WEIGHT_MAX: u16 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal_digits() {
        for number in [0, 1, 9, 10, 99, 100, 1024, 65_535, u64::MAX - 1, u64::MAX] {
            assert_eq!(decimal_value(number), number.to_string());
        }
    }

    #[test]
    fn members_of_a_list() {
        check_members("commas separate", "a, b ,\tc", &["a", "b", "c"]);
        check_members("empty elements do not contribute to the count of elements present", ", a,, b ,", &["a", "b"]);
        check_members("a comma in a quoted string separates nothing", r#"a="x, y", b"#, &[r#"a="x, y""#, "b"]);
        check_members("an escaped quote ends no quoted string", r#"a="x\", y", b"#, &[r#"a="x\", y""#, "b"]);
        check_members("an unclosed quote hides nothing", r#"a="x, b, c\""#, &[r#"a="x"#, "b", r#"c\""#]);
        check_members("nothing", "", &[]);
        check_members("bytes that are not ASCII", "é, b", &["é", "b"]);
    }

    #[test]
    fn delta_seconds_is_a_non_negative_integer() {
        for (text, expected) in [
            ("0", Some(0)),
            ("60", Some(60)),
            ("0060", Some(60)),
            ("2147483648", Some(1 << 31)),
            ("2147483649", Some(1 << 31)),
            ("99999999999999999999999999", Some(1 << 31)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1s", None),
            (" 1", None),
            ("٣", None),
        ] {
            assert_eq!(delta_seconds(text.as_bytes()), expected.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn a_weight_has_at_most_three_digits_and_is_at_most_1() {
        for (text, expected) in [
            ("q=1", Some(1000)),
            (" Q=0.5\t", Some(500)),
            ("q=0", Some(0)),
            ("q=0.", Some(0)),
            ("q=1.000", Some(1000)),
            ("q=0.001", Some(1)),
            ("q=0.0001", None),
            ("q=1.001", None),
            ("q=2", None),
            ("q=00", None),
            ("q=.5", None),
            ("q= 1", None),
            ("q=", None),
            ("q", None),
            ("x=1", None),
            ("", None),
        ] {
            assert_eq!(quality(text.as_bytes()), expected, "{text:?}");
        }
    }

    fn check_members(case: &str, line: &str, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|member| member.as_bytes()).collect();
        assert_eq!(Members::new(line.as_bytes()).collect::<Vec<_>>(), expected, "{case}");
    }
}
