//! Range requests and what answers them (RFC 9110 §14.1, §14.2, §13.1.5).

use std::time::Duration;

use http::header::{CONTENT_ENCODING, DATE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE, VARY};

use super::date::http_date;
use super::field::{self, Members, split_at_byte};
use super::validator::EntityTag;

/// What part of a stored representation answers a GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeAnswer {
    /// All of it, as 200.
    Whole,
    /// These bytes, as 206.
    Part(Part),
    /// These bytes, as 206 with a multipart body: two to [`RANGES_MAX`] parts in the order to send them, no two of which
    /// overlap.
    Parts(Vec<Part>),
    /// None: 416.
    Unsatisfiable,
}

/// Some bytes of a representation in a row: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, less than the length of the representation.
    pub last: u64,
}

impl Part {
    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether it costs less to send what lies between this part and `other` than to send them apart, if anything lies
    /// there.
    fn is_near(&self, other: &Self) -> bool {
        let gap = self.first.max(other.first).saturating_sub(self.last.min(other.last));
        gap <= PART_OVERHEAD_BYTES
    }

    fn joined_with(&self, other: &Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// The answer to the Range and If-Range fields of a GET that `stored`, a complete 200 of this length, could answer.
///
/// "A server MAY ignore the Range header field" (§14.2); here it does so when the field is invalid, has more than
/// [`RANGES_MAX`] ranges, or comes down to several parts of a coded representation: readers disagree on what a
/// Content-Encoding says of a multipart body.
pub fn answer(request: &HeaderMap, stored: &HeaderMap, complete_length: u64) -> RangeAnswer {
    let Some(ranges) = field::only(request, RANGE).and_then(|line| ByteRange::parse_set(line.as_bytes())) else {
        return RangeAnswer::Whole;
    };
    // "A recipient of an If-Range header field MUST ignore the Range header field if the If-Range condition evaluates
    // as false." (§13.1.5)
    if request.contains_key(IF_RANGE) && !is_current(request, stored) {
        return RangeAnswer::Whole;
    }
    match satisfied(&ranges, complete_length) {
        RangeAnswer::Parts(_) if stored.contains_key(CONTENT_ENCODING) => RangeAnswer::Whole,
        answer => answer,
    }
}

/// Whether the Range field of a request is one to pass on to an origin that may do everything it is asked to: "Servers are
/// advised to ignore, coalesce, or reject egregious range requests, such as requests for more than two overlapping ranges
/// or for many small ranges" (§17.15). Here no two of its ranges overlap in a long representation, and If-Range occurs once
/// at most.
pub fn is_sound(request: &HeaderMap) -> bool {
    let Some(ranges) = field::only(request, RANGE).and_then(|line| ByteRange::parse_set(line.as_bytes())) else {
        return false;
    };
    let part = |range: &ByteRange| match range.of(u64::MAX) {
        RangeAnswer::Part(part) => Some(part),
        RangeAnswer::Parts(_) | RangeAnswer::Unsatisfiable | RangeAnswer::Whole => None,
    };
    let Some(mut parts) = ranges.iter().map(part).collect::<Option<Vec<_>>>() else {
        return false;
    };
    parts.sort_unstable_by_key(|part| part.first);
    parts.windows(2).all(|pair| pair[0].last < pair[1].first) && request.get_all(IF_RANGE).iter().count() <= 1
}

/// "a server MAY coalesce any of the ranges that overlap, or that are separated by a gap that is smaller than the overhead
/// of sending multiple parts, regardless of the order in which the corresponding range-spec appeared in the received
/// Range header field." "the server SHOULD send the parts in the same order that the corresponding range-spec appeared in
/// the received Range header field, excluding those ranges that were deemed unsatisfiable or that were coalesced into
/// other ranges." (§15.3.7.2) So nobody gets more bytes than the representation has, however the ranges overlap.
fn satisfied(ranges: &[ByteRange], complete_length: u64) -> RangeAnswer {
    let mut parts: Vec<Part> = Vec::new();
    for range in ranges {
        let mut part = match range.of(complete_length) {
            RangeAnswer::Part(part) => part,
            RangeAnswer::Unsatisfiable => continue,
            whole => return whole,
        };
        let mut place = parts.len();
        while let Some(near) = parts.iter().position(|other| other.is_near(&part)) {
            part = part.joined_with(&parts.remove(near));
            place = place.min(near);
        }
        parts.insert(place.min(parts.len()), part);
    }
    match parts[..] {
        // "A ranges-specifier is satisfiable if it contains at least one range-spec that is satisfiable" (§14.1.1).
        [] => RangeAnswer::Unsatisfiable,
        [part] => RangeAnswer::Part(part),
        _ => RangeAnswer::Parts(parts),
    }
}

/// One range-spec of §14.1.1, as written; numbers that are too large are the largest.
enum ByteRange {
    From { first: u64, last: Option<u64> },
    Suffix { length: u64 },
}

impl ByteRange {
    /// `bytes=` and a list of ranges, of which there may be one to [`RANGES_MAX`].
    fn parse_set(text: &[u8]) -> Option<Vec<Self>> {
        let (unit, set) = split_at_byte(text, b'=')?;
        // "Range units […] All range unit names are case-insensitive" (§14.1)
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        // One invalid range makes the whole field invalid.
        let ranges: Vec<_> = Members::new(set).take(RANGES_MAX + 1).map(Self::parse).collect::<Option<_>>()?;
        (1..=RANGES_MAX).contains(&ranges.len()).then_some(ranges)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        match split_at_byte(text, b'-')? {
            ([], length) => Some(Self::Suffix { length: field::number(length)? }),
            (first, []) => Some(Self::From { first: field::number(first)?, last: None }),
            (first, last) => {
                let (first, last) = (field::number(first)?, field::number(last)?);
                // "An int-range is invalid if the last-pos value is present and less than first-pos."
                (first <= last).then_some(Self::From { first, last: Some(last) })
            }
        }
    }

    fn of(&self, complete_length: u64) -> RangeAnswer {
        let Some(end) = complete_length.checked_sub(1) else {
            // No range can name a part of nothing. A suffix is satisfied by the whole: "If the selected representation
            // is shorter than the specified suffix-length, the entire representation is used."
            return if matches!(self, Self::Suffix { length: 1.. }) {
                RangeAnswer::Whole
            } else {
                RangeAnswer::Unsatisfiable
            };
        };
        match *self {
            // Satisfiable are a first-pos within the representation and a suffix-length other than zero (§14.1.2).
            Self::From { first, .. } if first > end => RangeAnswer::Unsatisfiable,
            Self::Suffix { length: 0 } => RangeAnswer::Unsatisfiable,
            // "If the last-pos value is absent, or if the value is greater than or equal to the current length of the
            // representation data, the byte range is interpreted as the remainder of the representation".
            Self::From { first, last } => RangeAnswer::Part(Part { first, last: last.unwrap_or(end).min(end) }),
            Self::Suffix { length } => {
                RangeAnswer::Part(Part { first: complete_length.saturating_sub(length), last: end })
            }
        }
    }
}

/// Whether the validator in If-Range is that of the stored response (§13.1.5).
fn is_current(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(condition) = field::only(request, IF_RANGE) else {
        return false;
    };
    // "If the entity-tag validator provided exactly matches the ETag field value for the selected representation using
    // the strong comparison function, the condition is true."
    if let Some(tag) = EntityTag::parse(condition.as_bytes()) {
        let current = field::only(stored, ETAG).and_then(|line| EntityTag::parse(line.as_bytes()));
        return current.is_some_and(|current| current.strong_eq(&tag));
    }
    // "If the HTTP-date validator provided is not a strong validator in the sense defined by Section 8.8.2.2, the
    // condition is false. If the HTTP-date validator provided exactly matches the Last-Modified field value for the
    // selected representation, the condition is true." It is strong if the representation was older than the resolution
    // of dates when it was sent, and if it is the only one: "A strong validator is unique across all versions of all
    // representations associated with a particular resource over time" (§8.8.1), and those that are negotiated share
    // their date.
    let is_negotiated = stored.contains_key(VARY);
    let last_modified = field::only(stored, LAST_MODIFIED).filter(|&value| value == condition && !is_negotiated);
    match (last_modified.and_then(http_date), field::only(stored, DATE).and_then(http_date)) {
        (Some(modified), Some(date)) => date.duration_since(modified).is_ok_and(|age| age >= Duration::from_secs(1)),
        _ => false,
    }
}

/// Most ranges of one request that are answered: enough for readers that fetch an index and some pages, few enough that
/// the parts' own heads stay below 8 KiB.
pub const RANGES_MAX: usize = 16;

/// What a part costs beyond its bytes: "the typical overhead between each part of a multipart/byteranges is around 80
/// bytes" (§15.3.7.2).
const PART_OVERHEAD_BYTES: u64 = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::field::fields;

    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const THEN_TOO: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn byte_ranges() {
        use RangeAnswer::{Unsatisfiable, Whole};
        let part = |first, last| RangeAnswer::Part(Part { first, last });
        check("the first 500 bytes", "bytes=0-499", 10_000, part(0, 499));
        check("the second 500 bytes", "bytes=500-999", 10_000, part(500, 999));
        check("the final 500 bytes", "bytes=-500", 10_000, part(9500, 9999));
        check("the final 500 bytes", "bytes=9500-", 10_000, part(9500, 9999));
        check("the first byte", "bytes=0-0", 10_000, part(0, 0));
        check("the last byte", "bytes=-1", 10_000, part(9999, 9999));
        check("range unit names are case-insensitive", "BYTES=0-1", 10, part(0, 1));
        check("optional whitespace around the range-set", "bytes= 0-1 ", 10, part(0, 1));
        check("the remainder if last-pos is beyond", "bytes=5-10", 10, part(5, 9));
        check("the entire representation if the suffix is longer", "bytes=-11", 10, part(0, 9));
        check("all of it", "bytes=0-", 10, part(0, 9));
        check("first-pos at the length", "bytes=10-", 10, Unsatisfiable);
        check("first-pos beyond the length", "bytes=11-12", 10, Unsatisfiable);
        check("a zero suffix-length", "bytes=-0", 10, Unsatisfiable);
        check("nothing to take from", "bytes=0-", 0, Unsatisfiable);
        check("nothing to take from", "bytes=0-0", 0, Unsatisfiable);
        check("nothing to take from", "bytes=-0", 0, Unsatisfiable);
        check("a suffix of nothing", "bytes=-5", 0, Whole);
        check("numbers beyond 64 bits", "bytes=0-99999999999999999999999", 10, part(0, 9));
        check("numbers beyond 64 bits", "bytes=99999999999999999999999-", 10, Unsatisfiable);
        check("numbers beyond 64 bits", "bytes=-99999999999999999999999", 10, part(0, 9));
        check("numbers at the edge", "bytes=0-18446744073709551615", u64::MAX, part(0, u64::MAX - 1));
        check("numbers at the edge", "bytes=18446744073709551614-", u64::MAX, part(u64::MAX - 1, u64::MAX - 1));
        check("numbers at the edge", "bytes=18446744073709551615-", u64::MAX, Unsatisfiable);
        for ignored in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=--1",
            "bytes=a-b",
            "bytes=1-0",
            "bytes=,",
            "bytes=0-1,3-2",
            "bytes=0-1;3-4",
            "bytes=\"0-1,3-4\"",
            "bytes=0 - 1",
            "bytes=0-1x",
            "bytes=0x0-1",
            "bytes=+0-1",
            "bytes=0-1-2",
            "bytes:0-1",
            "bytes 0-1",
            "bytes =0-1",
            "seconds=0-1",
            "=0-1",
            "0-1",
        ] {
            check("malformed or another unit", ignored, 10, Whole);
        }
        assert_eq!(answer(&fields(&[]), &fields(&[]), 10), Whole);
        assert_eq!(answer(&fields(&[("range", "bytes=0-0"), ("range", "bytes=0-0")]), &fields(&[]), 10), Whole);
    }

    #[test]
    fn several_byte_ranges() {
        use RangeAnswer::{Unsatisfiable, Whole};
        let part = |first, last| RangeAnswer::Part(Part { first, last });
        let parts =
            |list: &[(u64, u64)]| RangeAnswer::Parts(list.iter().map(|&(first, last)| Part { first, last }).collect());
        let ends = parts(&[(0, 0), (9999, 9999)]);
        check("the first and last bytes only", "bytes=0-0,-1", 10_000, ends.clone());
        check("empty list members and whitespace", "bytes= , 0-0 ,\t,-1,", 10_000, ends);
        check(
            "the first, middle, and last 1000 bytes",
            "bytes= 0-999, 4500-5499, -1000",
            10_000,
            parts(&[(0, 999), (4500, 5499), (9000, 9999)]),
        );
        check(
            "in the order that was asked for",
            "bytes=9000-, 500-600, 0-1",
            10_000,
            parts(&[(9000, 9999), (500, 600), (0, 1)]),
        );
        check("adjacent", "bytes=500-600,601-999", 10_000, part(500, 999));
        check("overlapping", "bytes=500-700,601-999", 10_000, part(500, 999));
        check("one inside the other", "bytes=500-999,600-700", 10_000, part(500, 999));
        check("the same", "bytes=0-,0-,0-", 10_000, part(0, 9999));
        check("a gap that is smaller than the overhead", "bytes=0-9,89-99", 10_000, part(0, 99));
        check("a gap that is larger", "bytes=0-9,90-99", 10_000, parts(&[(0, 9), (90, 99)]));
        check("in descending order", "bytes=601-999,500-600", 10_000, part(500, 999));
        check(
            "coalesced into other ranges",
            "bytes=5000-5999,0-99,9000-9099,5500-6500",
            10_000,
            parts(&[(5000, 6500), (0, 99), (9000, 9099)]),
        );
        check("one that joins two", "bytes=0-99,5000-5099,1000-1099,100-4999", 10_000, part(0, 5099));
        check(
            "unsatisfiable ones are excluded",
            "bytes=10000-,0-0,-0,9000-9001",
            10_000,
            parts(&[(0, 0), (9000, 9001)]),
        );
        check("only one is satisfiable", "bytes=10000-,0-0", 10_000, part(0, 0));
        check("none is satisfiable", "bytes=10000-,-0,20000-20001", 10_000, Unsatisfiable);
        check("one that is invalid", "bytes=0-0,9-8", 10_000, Whole);
        check(
            "numbers at the edge",
            "bytes=0-0,18446744073709551614-18446744073709551615",
            u64::MAX,
            parts(&[(0, 0), (u64::MAX - 1, u64::MAX - 1)]),
        );
        let list = |count: u64| (0..count).map(|number| format!("{}-{0}", 1000 * number)).collect::<Vec<_>>().join(",");
        let found = answer(&fields(&[("range", &format!("bytes={}", list(16)))]), &fields(&[]), 100_000);
        assert!(matches!(found, RangeAnswer::Parts(parts) if parts.len() == RANGES_MAX));
        check("more than the bound", &format!("bytes={}", list(17)), 100_000, Whole);
        let coded = fields(&[("content-encoding", "gzip")]);
        assert_eq!(answer(&fields(&[("range", "bytes=0-0,-1")]), &coded, 10_000), Whole, "parts of a coded body");
        assert_eq!(answer(&fields(&[("range", "bytes=-1")]), &coded, 10_000), part(9999, 9999), "one part of it");
    }

    #[test]
    fn parts_hold_what_was_asked_for_and_no_byte_twice() {
        let mut random = fastrand::Rng::with_seed(9110);
        for _ in 0..20_000 {
            let length = random.u64(1..2000);
            let asked: Vec<_> = (0..random.usize(1..=RANGES_MAX))
                .map(|_| {
                    let first = random.u64(0..length + 50);
                    (first, first + random.u64(0..200))
                })
                .collect();
            let texts: Vec<_> = asked.iter().map(|(first, last)| format!("{first}-{last}")).collect();
            let range = format!("bytes={}", texts.join(","));
            let wanted = |byte| asked.iter().any(|&(first, last)| (first..=last).contains(&byte));
            let parts = match answer(&fields(&[("range", &range)]), &fields(&[]), length) {
                RangeAnswer::Part(part) => vec![part],
                RangeAnswer::Parts(parts) => parts,
                RangeAnswer::Unsatisfiable => Vec::new(),
                RangeAnswer::Whole => panic!("{range} of {length} was ignored"),
            };
            for byte in 0..length {
                let times = parts.iter().filter(|part| (part.first..=part.last).contains(&byte)).count();
                assert!(times <= 1 && (times == 1 || !wanted(byte)), "byte {byte} of {length} for {range}");
            }
            assert!(parts.iter().all(|part| part.last < length), "{range} of {length}");
        }
    }

    #[test]
    fn if_range() {
        let tagged = [("etag", "\"a\""), ("last-modified", THEN), ("date", LATER)];
        check_if_range("the strong comparison function", "\"a\"", &tagged, true);
        check_if_range("another tag", "\"b\"", &tagged, false);
        check_if_range("a weak tag never matches", "W/\"a\"", &[("etag", "W/\"a\"")], false);
        check_if_range("a weak tag never matches", "\"a\"", &[("etag", "W/\"a\"")], false);
        check_if_range("no tag stored", "\"a\"", &[], false);
        check_if_range("exactly matches Last-Modified", THEN, &tagged, true);
        check_if_range("not exactly: the same date in another form", THEN_TOO, &tagged, false);
        check_if_range("another date", LATER, &tagged, false);
        check_if_range("not a strong validator", THEN, &[("last-modified", THEN), ("date", THEN)], false);
        check_if_range("not known to be strong", THEN, &[("last-modified", THEN)], false);
        let negotiated = [("last-modified", THEN), ("date", LATER), ("vary", "accept-encoding")];
        check_if_range("the date of several representations", THEN, &negotiated, false);
        check_if_range("neither tag nor date", "a", &tagged, false);
        check_if_range("a list", "\"a\", \"b\"", &tagged, false);
        check_if_range("empty", "", &tagged, false);
        let twice = fields(&[("range", "bytes=0-0"), ("if-range", "\"a\""), ("if-range", "\"a\"")]);
        assert_eq!(answer(&twice, &fields(&tagged), 10), RangeAnswer::Whole);
        let alone = fields(&[("if-range", "\"a\"")]);
        assert_eq!(answer(&alone, &fields(&tagged), 10), RangeAnswer::Whole);
    }

    #[test]
    fn ranges_to_pass_on() {
        for (text, expected) in [
            ("bytes=0-0", true),
            ("bytes=500-", true),
            ("bytes=-1", true),
            ("bytes=0-0,1000-1999,-1", true),
            ("bytes=0-,0-", false),
            ("bytes=0-9,5-14", false),
            ("bytes=10-19,0-9", true),
            ("bytes=1000-,-1", false),
            ("bytes=1-0", false),
            ("bytes=-0", false),
            ("lines=0-0", false),
        ] {
            assert_eq!(is_sound(&fields(&[("range", text)])), expected, "{text}");
        }
        assert!(is_sound(&fields(&[("range", "bytes=0-0"), ("if-range", "\"a\"")])));
        assert!(!is_sound(&fields(&[("range", "bytes=0-0"), ("if-range", "\"a\""), ("if-range", "\"b\"")])));
        assert!(!is_sound(&fields(&[("range", "bytes=0-0"), ("range", "bytes=0-0")])));
        assert!(!is_sound(&fields(&[])));
    }

    fn check(case: &str, range: &str, complete_length: u64, expected: RangeAnswer) {
        let found = answer(&fields(&[("range", range)]), &fields(&[]), complete_length);
        assert_eq!(found, expected, "{case}: {range:?} of {complete_length}");
    }

    fn check_if_range(case: &str, condition: &str, stored: &[(&'static str, &str)], expected: bool) {
        let request = fields(&[("range", "bytes=0-0"), ("if-range", condition)]);
        let expected = if expected { RangeAnswer::Part(Part { first: 0, last: 0 }) } else { RangeAnswer::Whole };
        assert_eq!(answer(&request, &fields(stored), 10), expected, "{case}: {condition:?}");
    }
}
