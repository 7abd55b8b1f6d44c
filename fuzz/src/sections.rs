//! Field sections as fuzzers write them: text with one field a line.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields of `input`, one `name: value` a line; a line that is none is left out, as are fields beyond `FIELDS_MAX`.
pub fn fields(input: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in input.split(|&byte| byte == b'\n').take(FIELDS_MAX) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            fields.append(name, value);
        }
    }
    fields
}

/// The field sections of a request and of a response: what is before the first empty line, and what is after it.
pub fn exchange(input: &[u8]) -> (HeaderMap, HeaderMap) {
    let end = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let (request, response) = input.split_at(end);
    (fields(request), fields(response))
}

/// What HTTP libraries hold of a message's fields at most.
const FIELDS_MAX: usize = 100;
