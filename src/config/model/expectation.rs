//! What is expected of an answer: fields, and patterns in bodies.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use regex::bytes::{Regex, RegexBuilder};

use super::origins::StatusSet;

/// What a healthy origin answers a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeExpectation {
    /// Statuses.
    pub statuses: StatusSet,
    /// From the request sent to the head; longer is a failure.
    pub latency_max: Option<Duration>,
    /// Fields it sends.
    pub fields: Vec<ExpectedField>,
    /// Must occur in the first 16 KiB of the body.
    pub body: Option<String>,
    /// Must match somewhere in the first 16 KiB of the body.
    pub body_pattern: Option<BodyPattern>,
    /// Least length of the body in bytes; 0 for any.
    pub body_min: u64,
}

impl Default for ProbeExpectation {
    /// Any answer but an error.
    fn default() -> Self {
        Self {
            statuses: StatusSet(vec![(200, 399)]),
            latency_max: None,
            fields: Vec::new(),
            body: None,
            body_pattern: None,
            body_min: 0,
        }
    }
}

/// A field that a response is expected to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedField {
    /// Its name.
    pub name: HeaderName,
    /// Must occur in one of its values, in whatever ASCII case; empty for any value.
    pub value: String,
}

impl ExpectedField {
    /// Whether one of these fields is it.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let wanted = self.value.as_bytes();
        let contains = |value: &[u8]| {
            wanted.is_empty() || value.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted))
        };
        headers.get_all(&self.name).iter().any(|value| contains(value.as_bytes()))
    }
}

impl fmt::Display for ExpectedField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(formatter, "{}", self.name),
            value => write!(formatter, "{}: {value}", self.name),
        }
    }
}

/// A compiled regular expression over bytes; it matches in linear time.
#[derive(Clone, Debug)]
pub struct BodyPattern(Regex);

impl BodyPattern {
    /// Compiles a pattern to at most 1 MiB.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "larger than 1 MiB once compiled".to_owned(),
            // The library draws the place under the pattern; the reason is the last line.
            error => {
                let text = error.to_string();
                text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        })
    }

    /// Whether it matches somewhere in `bytes`.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for BodyPattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// Room for any pattern a person writes; counted repetitions of repetitions could take gigabytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(name: &'static str, value: &str, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.append("content-type", HeaderValue::from_static("Text/HTML; charset=utf-8"));
        headers.append("x-part", HeaderValue::from_static("one"));
        headers.append("x-part", HeaderValue::from_static("two"));
        let field = ExpectedField { name: HeaderName::from_static(name), value: value.to_owned() };
        assert_eq!(field.is_in(&headers), expected, "{field}");
    }

    #[test]
    fn a_field_is_there_with_text_in_one_of_its_values() {
        check("content-type", "text/html", true);
        check("content-type", "UTF-8", true);
        check("content-type", "text/plain", false);
        check("x-part", "two", true);
        check("x-part", "onetwo", false);
        check("x-part", "", true);
        check("x-whole", "", false);
    }

    #[test]
    fn a_pattern_is_over_bytes_and_within_its_bound() {
        let pattern = BodyPattern::new("(?i)status: *ok").expect("it is well formed");
        assert!(pattern.matches(b"\xff\xfe STATUS:  Ok"));
        assert!(!pattern.matches(b"status: late"));
        assert_eq!(BodyPattern::new("(ok").map(|_| ()), Err("unclosed group".to_owned()));
        let too_large = Err("larger than 1 MiB once compiled".to_owned());
        assert_eq!(BodyPattern::new("(?:a{1000}){1000}").map(|_| ()), too_large);
    }
}
