//! The texts of a stored response in one piece of memory: its key, the request fields that selected it, its field lines.

use http::HeaderMap;

use crate::semantics::field_lines::FieldLines;
use crate::semantics::key::CacheKey;
use crate::semantics::vary::Nominated;

/// The length of the key and the key; the same of what is nominated; and field lines to the end.
#[derive(Clone, Debug)]
pub(super) struct Texts(Box<[u8]>);

impl Texts {
    pub(super) fn of(key: &CacheKey, nominated: &Nominated, fields: &HeaderMap) -> Self {
        let (key, nominated) = (key.as_str().as_bytes(), nominated.as_bytes());
        let texts_bytes_max = key.len() + nominated.len() + 2 * LENGTH_BYTES_MAX;
        let mut block = Vec::with_capacity(texts_bytes_max + FieldLines::bytes_max(fields));
        for text in [key, nominated] {
            push_length(&mut block, text.len());
            block.extend_from_slice(text);
        }
        FieldLines::write(fields, &mut block);
        Self(block.into())
    }

    pub(super) fn has_key(&self, key: &str) -> bool {
        split(&self.0).0 == key.as_bytes()
    }

    pub(super) fn key(&self) -> &str {
        let (key, _) = split(&self.0);
        std::str::from_utf8(key).expect("a key is text")
    }

    pub(super) fn nominated(&self) -> Nominated<&[u8]> {
        let (_, rest) = split(&self.0);
        let (nominated, _) = split(rest);
        Nominated::lent(nominated)
    }

    pub(super) fn fields(&self) -> FieldLines<'_> {
        let (_, rest) = split(&self.0);
        let (_, fields) = split(rest);
        FieldLines::read(fields)
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        self.0.len()
    }
}

/// One byte; of what is longer than that tells, four more.
fn push_length(block: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(length) if length < LONG => block.push(length),
        _ => {
            block.push(LONG);
            block.extend_from_slice(&u32::try_from(length).expect("heads are bounded").to_le_bytes());
        }
    }
}

/// The text behind the length at the beginning, and the rest. Of what no length begins, nothing.
fn split(block: &[u8]) -> (&[u8], &[u8]) {
    let behind = match block.split_first() {
        Some((&LONG, rest)) => {
            rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest))
        }
        first => first.map(|(&length, rest)| (usize::from(length), rest)),
    };
    behind.and_then(|(length, rest)| rest.split_at_checked(length)).unwrap_or_default()
}

/// The length is in the next four bytes.
const LONG: u8 = u8::MAX;

/// Most bytes that a length takes.
const LENGTH_BYTES_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{ACCEPT, ACCEPT_LANGUAGE, HeaderName};

    use super::*;
    use crate::semantics::key::cache_key;
    use crate::semantics::target::Target;

    #[test]
    fn what_is_kept_is_what_came() {
        for path_bytes in [1, 200, 238, 239, 240, 70_000] {
            for (names, value_bytes) in [(&[][..], 0), (&[ACCEPT], 0), (&[ACCEPT, ACCEPT_LANGUAGE], 300)] {
                for fields in [0, 1, 20] {
                    check(path_bytes, names, value_bytes, fields);
                }
            }
        }
    }

    #[track_caller]
    fn check(path_bytes: usize, names: &[HeaderName], value_bytes: usize, fields: u32) {
        let key = cache_key(&Target::new("https", "a.test", None, &"/".repeat(path_bytes)));
        let value = HeaderValue::from_str(&"x".repeat(value_bytes)).expect("it is a value");
        let nominated = Nominated::of(names, &HeaderMap::from_iter([(ACCEPT, value)]));
        let name = |number| HeaderName::from_bytes(format!("x-{number}").as_bytes()).expect("it is a name");
        let headers: HeaderMap = (0..fields).map(|number| (name(number), number.into())).collect();
        let texts = Texts::of(&key, &nominated, &headers);
        assert_eq!(texts.key(), key.as_str());
        assert!(texts.has_key(key.as_str()) && !texts.has_key(key.as_str().trim_end_matches('/')));
        assert_eq!(texts.nominated().into_owned(), nominated);
        assert_eq!(texts.fields().to_headers(0), headers);
        assert!(texts.size() >= path_bytes + value_bytes);
    }
}
