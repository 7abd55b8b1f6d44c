//! HTTP-date: the three forms of RFC 9110 §5.6.7, read as a cache does (RFC 9111 §4.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// The time that `value` names in one of the three forms; years 1970 to 9999.
///
/// A two-digit year below 70 is of this century, any other of the last. The weekday has to be one, but not the right one:
/// the rest says everything.
pub fn http_date(value: &HeaderValue) -> Option<SystemTime> {
    imf_fixdate(value.as_bytes()).or_else(|| any_form(value))
}

/// The form that nearly all dates have, as it is usually written.
fn imf_fixdate(value: &[u8]) -> Option<SystemTime> {
    // The library skips whitespace around a date.
    let is_likely = value.len() == IMF_FIXDATE_BYTES && value[0].is_ascii_alphabetic() && value.ends_with(b" GMT");
    let text = std::str::from_utf8(value).ok().filter(|_| is_likely)?;
    httpdate::parse_http_date(text).ok()
}

fn any_form(value: &HeaderValue) -> Option<SystemTime> {
    // "Although all date formats are specified to be case-sensitive, a cache recipient SHOULD match the field value
    // case-insensitively." (RFC 9111 §4.2)
    let mut buffer = [0; DATE_BYTES_MAX];
    let date = buffer.get_mut(..value.len())?;
    let mut inside_word = false;
    for (to, &from) in date.iter_mut().zip(value.as_bytes()) {
        *to = if inside_word { from.to_ascii_lowercase() } else { from.to_ascii_uppercase() };
        inside_word = from.is_ascii_alphabetic();
    }
    // "A cache recipient SHOULD consider a date with a zone abbreviation other than "GMT" to be invalid."
    if date.ends_with(b" Gmt") {
        let zone = date.len() - 3;
        date[zone..].make_ascii_uppercase();
    }
    // second = 2DIGIT; 00 to 59, and 60 in a leap second, which is as good as the one before: "the nearest time equal
    // to or earlier than the received value".
    if let Some(at) = date.windows(LEAP_SECOND.len()).position(|window| window == LEAP_SECOND) {
        date[at..at + LEAP_SECOND.len()].copy_from_slice(b"23:59:59");
    }
    // The library skips whitespace around a date; none of the three forms has any.
    if date.first()?.is_ascii_whitespace() || date.last()?.is_ascii_whitespace() {
        return None;
    }
    let date = std::str::from_utf8(date).ok()?;
    httpdate::parse_http_date(date).ok().or_else(|| of_another_weekday(date))
}

/// The time that `date` names with the weekday that it ought to have; the library insists on that one.
fn of_another_weekday(date: &str) -> Option<SystemTime> {
    let names = |(short, long): &(&'static str, &'static str)| [*short, *long];
    let written =
        WEEKDAYS.iter().flat_map(names).filter(|name| date.starts_with(name)).max_by_key(|name| name.len())?;
    let rest = &date[written.len()..];
    let is_long = written.len() > WEEKDAYS[0].0.len();
    WEEKDAYS.iter().find_map(|(short, long)| {
        let name = if is_long { long } else { short };
        httpdate::parse_http_date(&[*name, rest].concat()).ok()
    })
}

/// `time` as IMF-fixdate, in whole seconds; the nearest representable date outside the years 1970 to 9999.
pub fn format_http_date(time: SystemTime) -> HeaderValue {
    let latest = UNIX_EPOCH + SECONDS_TO_YEAR_10000 - Duration::from_secs(1);
    let text = httpdate::fmt_http_date(time.clamp(UNIX_EPOCH, latest));
    HeaderValue::try_from(text).expect("an HTTP-date is ASCII")
}

/// An IMF-fixdate in few bytes, as it was written: a weekday that is not the right one stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedDate([u8; Self::BYTES]);

impl PackedDate {
    /// Bytes that it takes.
    pub(super) const BYTES: usize = 6;

    /// The date that `text` is, if it is one in this form to the letter.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let text: &[u8; IMF_FIXDATE_BYTES] = text.try_into().ok()?;
        let weekday = DAYS.iter().position(|day| text[..3] == day[..])? as u64;
        let month = MONTHS.iter().position(|month| text[8..11] == month[..])? as u64;
        let mut packed = 0;
        for (part, bits) in [
            (weekday, WEEKDAY_BITS),
            (month, MONTH_BITS),
            (number(&text[12..16])?, YEAR_BITS),
            (number(&text[5..7])?, DAY_BITS),
            (number(&text[17..19])?, HOUR_BITS),
            (number(&text[20..22])?, SIXTIETH_BITS),
            (number(&text[23..25])?, SIXTIETH_BITS),
        ] {
            if part >> bits != 0 {
                return None;
            }
            packed = packed << bits | part;
        }
        let [bytes @ .., _, _] = packed.to_le_bytes();
        Some(Self(bytes)).filter(|date| date.text() == *text)
    }

    /// The date in bytes that were made [of](Self::of) one.
    pub(super) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// What [`PackedDate::from_bytes`] reads.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The date as it was written.
    pub(super) fn text(self) -> [u8; IMF_FIXDATE_BYTES] {
        let [a, b, c, d, e, f] = self.0;
        let mut packed = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        let mut take = |bits: u32| {
            let part = packed & ((1 << bits) - 1);
            packed >>= bits;
            part as usize
        };
        let ([s, t], [m, n], [h, i]) =
            (digits(take(SIXTIETH_BITS)), digits(take(SIXTIETH_BITS)), digits(take(HOUR_BITS)));
        let ([d, e], year) = (digits(take(DAY_BITS)), take(YEAR_BITS));
        let ([y, z], [v, w]) = (digits(year / 100), digits(year));
        let [j, k, l] = *MONTHS[take(MONTH_BITS) % MONTHS.len()];
        let [a, b, c] = *DAYS[take(WEEKDAY_BITS) % DAYS.len()];
        [
            a, b, c, b',', b' ', d, e, b' ', j, k, l, b' ', y, z, v, w, b' ', h, i, b':', m, n, b':', s, t, b' ', b'G',
            b'M', b'T',
        ]
    }
}

/// What these digits say.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

/// The last two digits of a number.
fn digits(number: usize) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

const WEEKDAY_BITS: u32 = 3;
const MONTH_BITS: u32 = 4;
const YEAR_BITS: u32 = 14;
const DAY_BITS: u32 = 5;
const HOUR_BITS: u32 = 5;
const SIXTIETH_BITS: u32 = 6;

/// day-name.
const DAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// month.
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// day-name and day-name-l.
const WEEKDAYS: [(&str, &str); 7] = [
    ("Mon", "Monday"),
    ("Tue", "Tuesday"),
    ("Wed", "Wednesday"),
    ("Thu", "Thursday"),
    ("Fri", "Friday"),
    ("Sat", "Saturday"),
    ("Sun", "Sunday"),
];

/// The length of `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) const IMF_FIXDATE_BYTES: usize = 29;

/// The longest form: `Wednesday, 06-Nov-94 08:49:37 GMT`.
const DATE_BYTES_MAX: usize = 33;

const LEAP_SECOND: &[u8] = b"23:59:60";

const SECONDS_TO_YEAR_10000: Duration = Duration::from_secs(253_402_300_800);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_and_nothing_else() {
        const EXAMPLE: Option<u64> = Some(784_111_777);
        check("IMF-fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE);
        check("obsolete RFC 850 format", "Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE);
        check("ANSI C's asctime() format", "Sun Nov  6 08:49:37 1994", EXAMPLE);
        check("asctime with two digits", "Sun Nov 06 08:49:37 1994", EXAMPLE);
        check("a cache matches case-insensitively", "SUN, 06 NOV 1994 08:49:37 gmt", EXAMPLE);
        check("a cache matches case-insensitively", "sunday, 06-nov-94 08:49:37 Gmt", EXAMPLE);
        check("the epoch", "Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        check("two digits, this century", "Thursday, 18-Aug-50 02:01:18 GMT", Some(2_544_400_878));
        check("another weekday", "Mon, 06 Nov 1994 08:49:37 GMT", EXAMPLE);
        check("another weekday", "Wednesday, 06-Nov-94 08:49:37 GMT", EXAMPLE);
        check("another weekday", "thu Nov  6 08:49:37 1994", EXAMPLE);
        check("a leap second is the second before", "Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_799));
        check("the last year", "Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799));
        for invalid in [
            "",
            "0",
            "-1",
            "784111777",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 AEST",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun,  06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994  08:49:37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Xyz, 06 Nov 1994 08:49:37 GMT",
            "Monday, 06 Nov 1994 08:49:37 GMT",
            "Mon, 06-Nov-94 08:49:37 GMT",
            "06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:60 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            " Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun Nov  6 08:49:37 1994 GMT",
            "1994-11-06T08:49:37Z",
            "Sün, 06 Nov 1994 08:49:37 GMT",
        ] {
            check("invalid", invalid, None);
        }
    }

    #[test]
    fn a_sender_generates_the_imf_fixdate_form() {
        for (time, expected) in [
            (UNIX_EPOCH + Duration::from_millis(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT"),
            (UNIX_EPOCH - Duration::from_secs(1), "Thu, 01 Jan 1970 00:00:00 GMT"),
            (UNIX_EPOCH + SECONDS_TO_YEAR_10000, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(format_http_date(time), expected);
        }
    }

    #[test]
    fn a_date_is_packed_if_it_is_written_as_all_are() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("Thu, 01 Jan 1970 00:00:00 GMT", true),
            ("Fri, 31 Dec 9999 23:59:60 GMT", true),
            ("Mon, 06 Nov 1994 08:49:37 GMT", true),
            ("Sat, 31 Feb 0000 31:63:63 GMT", true),
            ("Sun, 32 Nov 1994 08:49:37 GMT", false),
            ("Sun, 06 Nov 1994 08:64:37 GMT", false),
            ("sun, 06 Nov 1994 08:49:37 GMT", false),
            ("Sun, 06 NOV 1994 08:49:37 GMT", false),
            ("Sun, 06 Nov 1994 08:49:37 UTC", false),
            ("Sun, 06-Nov-1994 08:49:37 GMT", false),
            ("Sun, 6 Nov 1994 08:49:37 GMT", false),
            ("", false),
        ] {
            let packed = PackedDate::of(text.as_bytes());
            assert_eq!(packed.is_some(), expected, "{text:?}");
            assert!(packed.is_none_or(|date| date.text() == text.as_bytes()), "{text:?}");
        }
    }

    fn check(case: &str, text: &str, expected: Option<u64>) {
        let value = HeaderValue::from_bytes(text.as_bytes()).expect("a table holds valid values");
        let expected = expected.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(http_date(&value), expected, "{case}: {text:?}");
    }
}
