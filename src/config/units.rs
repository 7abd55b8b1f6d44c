//! Quantities as people write them: "30s", "256MiB", "10%", "200-299".

use std::time::Duration;

use http::StatusCode;

use crate::semantics::storable::speaks_of_one_request;

/// What can be made from the text of a value; the one way from the written form to the typed one.
pub(super) trait FromText: Sized {
    /// None when `text` has another form. Bounds are not checked here; they belong to the key.
    fn from_text(text: &str) -> Option<Self>;
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) struct Bytes(pub(super) u64);

/// A percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Percent(pub(super) u32);

/// An inclusive range of status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Statuses(pub(super) u16, pub(super) u16);

/// A status of an error that a cache may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ErrorStatus(pub(super) StatusCode);

/// A number of threads; none means one for each CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Workers(pub(super) Option<usize>);

impl FromText for bool {
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl FromText for u64 {
    fn from_text(text: &str) -> Option<Self> {
        // `parse` alone takes a sign.
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    }
}

impl FromText for u32 {
    fn from_text(text: &str) -> Option<Self> {
        u64::from_text(text)?.try_into().ok()
    }
}

impl FromText for usize {
    fn from_text(text: &str) -> Option<Self> {
        u64::from_text(text)?.try_into().ok()
    }
}

impl FromText for Duration {
    fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = split(text)?;
        let (_, milliseconds) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
        Some(Self::from_millis(number.checked_mul(*milliseconds)?))
    }
}

impl FromText for Bytes {
    fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = split(text)?;
        let (_, bytes) = BYTE_UNITS.iter().find(|(name, _)| *name == unit)?;
        Some(Self(number.checked_mul(*bytes)?))
    }
}

impl FromText for Percent {
    fn from_text(text: &str) -> Option<Self> {
        u32::from_text(text.strip_suffix('%').unwrap_or(text)).map(Self)
    }
}

impl FromText for Statuses {
    fn from_text(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            let first = u16::try_from(u64::from_text(class)?).ok()?.checked_mul(100)?;
            return Some(Self(first, first.checked_add(99)?));
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| u16::try_from(u64::from_text(text)?).ok();
        Some(Self(number(first)?, number(last)?)).filter(|range| range.0 <= range.1)
    }
}

impl FromText for ErrorStatus {
    fn from_text(text: &str) -> Option<Self> {
        let status = StatusCode::from_bytes(text.as_bytes()).ok()?;
        let is_error = status.is_client_error() || status.is_server_error();
        // 401 refuses a client without credentials, or with bad ones, and none but those.
        let of_one = speaks_of_one_request(status) || status == StatusCode::UNAUTHORIZED;
        (is_error && !of_one).then_some(Self(status))
    }
}

impl FromText for Workers {
    fn from_text(text: &str) -> Option<Self> {
        if text == "auto" { Some(Self(None)) } else { Some(Self(Some(usize::from_text(text)?))) }
    }
}

/// The shortest exact form of a duration of whole milliseconds.
pub(super) fn duration_text(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if milliseconds == 0 { "0s".to_owned() } else { text(milliseconds, &DURATION_UNITS) }
}

/// The shortest exact form of a size.
pub(super) fn bytes_text(bytes: u64) -> String {
    if bytes == 0 { "0".to_owned() } else { text(bytes, &BYTE_UNITS) }
}

fn text(amount: u64, units: &[(&str, u64)]) -> String {
    let (name, size) = units.iter().rfind(|(_, size)| amount.is_multiple_of(*size)).unwrap_or(&units[0]);
    format!("{}{name}", amount / size)
}

/// The number and the unit of a quantity.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|next: char| !next.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// Smallest first, in milliseconds.
const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Smallest first. Powers of 1000 are left out: what "MB" means depends on whom one asks.
const BYTE_UNITS: [(&str, u64); 5] = [("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// What texts are taken for.
#[cfg(test)]
#[track_caller]
pub(super) fn check<T: FromText + PartialEq + std::fmt::Debug>(cases: &[(&str, Option<T>)]) {
    for (text, expected) in cases {
        assert_eq!(T::from_text(text), *expected, "{text:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_with_a_unit() {
        check(&[
            ("30s", Some(Duration::from_secs(30))),
            ("500ms", Some(Duration::from_millis(500))),
            ("2m", Some(Duration::from_secs(120))),
            ("1h", Some(Duration::from_secs(3600))),
            ("1d", Some(Duration::from_secs(86_400))),
            ("0s", Some(Duration::ZERO)),
            ("30", None),
            ("s", None),
            ("", None),
            ("1.5s", None),
            ("-1s", None),
            ("+1s", None),
            ("1 s", None),
            ("1S", None),
            ("18446744073709551615d", None),
            ("99999999999999999999s", None),
        ]);
    }

    #[test]
    fn a_size_is_a_whole_number_with_a_binary_unit_or_none() {
        check(&[
            ("256MiB", Some(Bytes(256 << 20))),
            ("2GiB", Some(Bytes(2 << 30))),
            ("1024", Some(Bytes(1024))),
            ("1KiB", Some(Bytes(1024))),
            ("1TiB", Some(Bytes(1 << 40))),
            ("1MB", None),
            ("MiB", None),
            ("1mib", None),
            ("99999999TiB", None),
        ]);
    }

    #[test]
    fn statuses_are_one_a_range_or_a_class() {
        check(&[
            ("404", Some(Statuses(404, 404))),
            ("200-299", Some(Statuses(200, 299))),
            ("5xx", Some(Statuses(500, 599))),
            ("299-200", None),
            ("200-", None),
            ("-200", None),
            ("xx", None),
            ("5XX", None),
            ("700xx", None),
            ("99999", None),
        ]);
    }

    #[test]
    fn workers_are_counted_or_left_to_the_machine() {
        check(&[("auto", Some(Workers(None))), ("4", Some(Workers(Some(4)))), ("+4", None), ("", None)]);
    }

    #[test]
    fn a_percentage_may_have_its_sign() {
        check(&[("10%", Some(Percent(10))), ("10", Some(Percent(10))), ("10 %", None), ("-1%", None)]);
    }

    #[test]
    fn quantities_are_shown_in_their_largest_exact_unit() {
        for text in ["30s", "500ms", "90s", "2m", "1h", "1d", "0s"] {
            assert_eq!(Duration::from_text(text).map(duration_text).as_deref(), Some(text));
        }
        for text in ["1000", "1KiB", "256MiB", "3GiB"] {
            assert_eq!(Bytes::from_text(text).map(|bytes| bytes_text(bytes.0)).as_deref(), Some(text));
        }
    }
}
