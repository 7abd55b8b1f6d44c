//! Whether the answer to a probe is that of a healthy origin: its head, then no more of its body than that takes.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use memchr::memmem;

use crate::config::model::ProbeExpectation;

/// The head of an answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Length of the body in bytes, where the head tells.
    pub length: Option<u64>,
    /// From the request sent to this head.
    pub latency: Duration,
}

/// What is known of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as expected, whatever else comes.
    Enough,
    /// Nothing is wrong yet; the next piece of the body has to tell.
    NeedMore,
    /// It is not what a healthy origin answers, and why.
    Failed(String),
}

/// The examination of one answer.
#[derive(Debug)]
pub struct Examination<'a> {
    expect: &'a ProbeExpectation,
    /// The first bytes of the body.
    prefix: Vec<u8>,
    /// All bytes of the body so far.
    received: u64,
    /// How much of the prefix was searched for the text.
    searched: usize,
    missing: Missing,
}

/// What the body has yet to show.
#[derive(Clone, Copy, Debug)]
struct Missing {
    text: bool,
    pattern: bool,
    length: bool,
}

impl<'a> Examination<'a> {
    /// Nothing has come yet.
    pub fn new(expect: &'a ProbeExpectation) -> Self {
        let missing = Missing {
            text: expect.body.is_some(),
            pattern: expect.body_pattern.is_some(),
            length: expect.body_min > 0,
        };
        Self { expect, prefix: Vec::new(), received: 0, searched: 0, missing }
    }

    /// Looks at the head.
    pub fn head(&mut self, head: &AnswerHead<'_>) -> Verdict {
        let expect = self.expect;
        if !expect.statuses.contains(head.status) {
            return Verdict::Failed(format!("status {}", head.status.as_u16()));
        }
        if let Some(most) = expect.latency_max.filter(|most| head.latency > *most) {
            return Verdict::Failed(format!("its head took {:.0?}, longer than {most:?}", head.latency));
        }
        if let Some(field) = expect.fields.iter().find(|field| !field.is_in(head.headers)) {
            return Verdict::Failed(match head.headers.get(&field.name) {
                Some(value) => {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    let shown: String = value.chars().take(SHOWN_CHARACTERS_MAX).collect();
                    format!("the field {} is {shown:?}, without {:?}", field.name, field.value)
                }
                None => format!("it has no field {}", field.name),
            });
        }
        if let Some(length) = head.length {
            if length < expect.body_min {
                return Verdict::Failed(self.too_short(length));
            }
            self.missing.length = false;
        }
        self.verdict()
    }

    /// Looks at the next piece of the body.
    pub fn piece(&mut self, data: &[u8]) -> Verdict {
        self.received = self.received.saturating_add(data.len() as u64);
        self.missing.length &= self.received < self.expect.body_min;
        let room = PREFIX_BYTES - self.prefix.len();
        if room > 0 {
            self.prefix.extend_from_slice(&data[..data.len().min(room)]);
            self.find_text();
        }
        if self.prefix.len() == PREFIX_BYTES {
            self.match_pattern();
            return self.not_found().unwrap_or_else(|| self.verdict());
        }
        self.verdict()
    }

    /// The body is complete.
    pub fn end(&mut self) -> Verdict {
        self.match_pattern();
        if let Some(failed) = self.not_found() {
            return failed;
        }
        if self.missing.length { Verdict::Failed(self.too_short(self.received)) } else { Verdict::Enough }
    }

    /// Goes on where the last search ended, so that a body in a thousand pieces is not searched a thousand times.
    fn find_text(&mut self) {
        let Some(text) = self.expect.body.as_ref().filter(|_| self.missing.text) else { return };
        let from = self.searched.saturating_sub(text.len() - 1);
        self.missing.text = memmem::find(&self.prefix[from..], text.as_bytes()).is_none();
        self.searched = self.prefix.len();
    }

    /// Only once the end of what it is held against is known, which its anchors speak of.
    fn match_pattern(&mut self) {
        if let Some(pattern) = self.expect.body_pattern.as_ref().filter(|_| self.missing.pattern) {
            self.missing.pattern = !pattern.matches(&self.prefix);
        }
    }

    fn not_found(&self) -> Option<Verdict> {
        let place = if self.prefix.len() == PREFIX_BYTES { "the first 16 KiB of the body" } else { "the body" };
        let reason = match (&self.expect.body, &self.expect.body_pattern) {
            (Some(text), _) if self.missing.text => format!("{text:?} is not in {place}"),
            (_, Some(pattern)) if self.missing.pattern => format!("nothing in {place} matches {:?}", pattern.as_str()),
            _ => return None,
        };
        Some(Verdict::Failed(reason))
    }

    fn verdict(&self) -> Verdict {
        let Missing { text, pattern, length } = self.missing;
        if text || pattern || length { Verdict::NeedMore } else { Verdict::Enough }
    }

    fn too_short(&self, length: u64) -> String {
        format!("a body of {length} bytes, where at least {} are expected", self.expect.body_min)
    }
}

/// How much of a body is searched.
const PREFIX_BYTES: usize = 16 * 1024;

/// How much of a field's value a reason shows.
const SHOWN_CHARACTERS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::config::model::{BodyPattern, ExpectedField, StatusSet};

    /// The verdict on a head with `fields`, 40 ms after the request.
    #[track_caller]
    fn check_head(expect: &ProbeExpectation, status: u16, length: Option<u64>, expected: Result<Verdict, &str>) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("text/html; charset=utf-8"));
        let status = StatusCode::from_u16(status).expect("three digits");
        let head = AnswerHead { status, headers: &headers, length, latency: Duration::from_millis(40) };
        let expected = expected.unwrap_or_else(|reason| Verdict::Failed(reason.to_owned()));
        assert_eq!(Examination::new(expect).head(&head), expected, "{expect:?}");
    }

    /// The verdict on a body of unknown length, and that it is the same however the body is cut.
    #[track_caller]
    fn check_body(expect: &ProbeExpectation, body: &[u8], expected: Result<(), &str>) {
        for size in [1, 2, 7, 1000, PREFIX_BYTES, body.len().max(1)] {
            let mut examination = Examination::new(expect);
            let mut verdict = examination.verdict();
            for piece in body.chunks(size) {
                if verdict == Verdict::NeedMore {
                    verdict = examination.piece(piece);
                }
            }
            if verdict == Verdict::NeedMore {
                verdict = examination.end();
            }
            let expected = expected.map_or_else(|reason| Verdict::Failed(reason.to_owned()), |()| Verdict::Enough);
            assert_eq!(verdict, expected, "{expect:?} in pieces of {size}");
        }
    }

    fn expect(change: impl FnOnce(&mut ProbeExpectation)) -> ProbeExpectation {
        let mut expectation = ProbeExpectation::default();
        change(&mut expectation);
        expectation
    }

    fn text(text: &str) -> ProbeExpectation {
        expect(|expect| expect.body = Some(text.to_owned()))
    }

    fn pattern(pattern: &str) -> ProbeExpectation {
        expect(|expect| expect.body_pattern = BodyPattern::new(pattern).ok())
    }

    fn field(name: &'static str, value: &str) -> ProbeExpectation {
        let field = ExpectedField { name: HeaderName::from_static(name), value: value.to_owned() };
        expect(|expect| expect.fields.push(field))
    }

    #[test]
    fn without_an_expectation_of_the_body_the_head_is_enough() {
        check_head(&ProbeExpectation::default(), 204, None, Ok(Verdict::Enough));
        check_head(&text("ok"), 200, None, Ok(Verdict::NeedMore));
        check_head(&pattern("ok"), 200, None, Ok(Verdict::NeedMore));
    }

    #[test]
    fn a_status_is_one_of_the_set() {
        check_head(&ProbeExpectation::default(), 503, None, Err("status 503"));
        check_head(&expect(|expect| expect.statuses = StatusSet(vec![(204, 204)])), 200, None, Err("status 200"));
    }

    #[test]
    fn a_slow_head_is_a_failure() {
        let within = |limit| expect(|expect| expect.latency_max = Some(Duration::from_millis(limit)));
        check_head(&within(40), 200, None, Ok(Verdict::Enough));
        check_head(&within(39), 200, None, Err("its head took 40ms, longer than 39ms"));
    }

    #[test]
    fn a_field_is_there_and_says_what_it_should() {
        check_head(&field("content-type", "text/HTML"), 200, None, Ok(Verdict::Enough));
        check_head(&field("x-served-by", ""), 200, None, Err("it has no field x-served-by"));
        let reason = "the field content-type is \"text/html; charset=utf-8\", without \"json\"";
        check_head(&field("content-type", "json"), 200, None, Err(reason));
    }

    #[test]
    fn a_stated_length_decides_at_once() {
        let long = expect(|expect| expect.body_min = 100);
        check_head(&long, 200, Some(100), Ok(Verdict::Enough));
        check_head(&long, 200, Some(99), Err("a body of 99 bytes, where at least 100 are expected"));
        check_head(&long, 200, None, Ok(Verdict::NeedMore));
    }

    #[test]
    fn a_length_that_is_not_stated_is_counted() {
        let long = expect(|expect| expect.body_min = 20_000);
        check_body(&long, &[0; 20_000], Ok(()));
        check_body(&long, &[0; 19_999], Err("a body of 19999 bytes, where at least 20000 are expected"));
    }

    #[test]
    fn text_is_found_across_pieces_in_the_first_16_kib() {
        check_body(&text("all systems go"), b"status: all systems go, all day", Ok(()));
        check_body(&text("go"), b"", Err("\"go\" is not in the body"));
        let behind = |padding: usize| [vec![b'-'; padding], b"go!".to_vec()].concat();
        check_body(&text("go"), &behind(PREFIX_BYTES - 2), Ok(()));
        check_body(&text("go"), &behind(PREFIX_BYTES - 1), Err("\"go\" is not in the first 16 KiB of the body"));
    }

    #[test]
    fn a_pattern_is_held_against_all_there_is_to_match() {
        check_body(&pattern("status: (ok|degraded)"), b"{status: degraded}", Ok(()));
        check_body(&pattern("^ok$"), b"ok", Ok(()));
        check_body(&pattern("^ok$"), b"ok, though not quite", Err("nothing in the body matches \"^ok$\""));
        check_body(&pattern("^-*$"), &[b'-'; PREFIX_BYTES + 1], Ok(()));
    }

    #[test]
    fn everything_expected_has_to_be_there() {
        let mut both = text("one");
        both.body_pattern = BodyPattern::new("two").ok();
        both.body_min = 8;
        check_body(&both, b"one, two", Ok(()));
        check_body(&both, b"one two", Err("a body of 7 bytes, where at least 8 are expected"));
        check_body(&both, b"one, and no more", Err("nothing in the body matches \"two\""));
        check_body(&both, b"two, and no more", Err("\"one\" is not in the body"));
    }
}
