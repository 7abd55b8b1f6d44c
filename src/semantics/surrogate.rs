//! Surrogate tags: the words by which an origin lets responses be purged together.
//!
//! No RFC names them. `Surrogate-Key` and `xkey` hold words separated by spaces, `Cache-Tag` words separated by commas;
//! a response may carry all three.

use http::{HeaderMap, HeaderName};

use super::field;

/// The fields that carry tags; none of them is meant for clients.
pub const TAG_FIELDS: [HeaderName; 3] =
    [HeaderName::from_static("surrogate-key"), HeaderName::from_static("cache-tag"), HeaderName::from_static("xkey")];

/// A response has more or longer tags than are kept. Stored without some of them it would outlive their purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response has more than {TAGS_MAX} tags, or one of more than {TAG_BYTES_MAX} bytes")]
pub struct TooManyTags;

/// The tags of a response, sorted, each once. Bytes that are no text become U+FFFD.
///
/// # Errors
/// [`TooManyTags`] beyond [`TAGS_MAX`] tags or [`TAG_BYTES_MAX`] bytes of one.
pub fn tags(response: &HeaderMap) -> Result<Vec<Box<str>>, TooManyTags> {
    let mut tags = Vec::new();
    for name in &TAG_FIELDS {
        let lines = response.get_all(name).iter().map(http::HeaderValue::as_bytes);
        for tag in lines.flat_map(|line| line.split(separator(name))).map(field::trim).filter(|tag| !tag.is_empty()) {
            if tags.len() == TAGS_MAX || tag.len() > TAG_BYTES_MAX {
                return Err(TooManyTags);
            }
            tags.push(String::from_utf8_lossy(tag).into());
        }
    }
    tags.sort_unstable();
    tags.dedup();
    Ok(tags)
}

fn separator(name: &HeaderName) -> impl FnMut(&u8) -> bool {
    let by_comma = name == "cache-tag";
    move |&byte| if by_comma { byte == b',' } else { byte == b' ' || byte == b'\t' }
}

/// Most tags of one response; each costs a reference and, when it is the first of its name, an entry.
pub const TAGS_MAX: usize = 256;

/// Longest tag, in bytes; what other caches accept.
pub const TAG_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::field::fields;

    #[test]
    fn tags_of_a_response() {
        check("none", &[], &[]);
        check("words separated by spaces", &[("surrogate-key", "  b a\tc ")], &["a", "b", "c"]);
        check("several lines, each word once", &[("xkey", "a b"), ("xkey", "b")], &["a", "b"]);
        check("words separated by commas may hold spaces", &[("cache-tag", "a b,, c ,d")], &["a b", "c", "d"]);
        check("all fields together", &[("xkey", "x"), ("cache-tag", "c"), ("surrogate-key", "s")], &["c", "s", "x"]);
        check("case tells tags apart", &[("xkey", "A a")], &["A", "a"]);
        check("a comma is part of a word where spaces separate", &[("surrogate-key", "a,b")], &["a,b"]);
    }

    #[test]
    fn more_than_is_kept_is_refused() {
        let many = (0..=TAGS_MAX).map(|index| format!("t{index} ")).collect::<String>();
        assert_eq!(tags(&fields(&[("xkey", &many)])), Err(TooManyTags));
        let most = (0..TAGS_MAX).map(|index| format!("t{index} ")).collect::<String>();
        assert_eq!(tags(&fields(&[("xkey", &most)])).map(|tags| tags.len()), Ok(TAGS_MAX));
        assert_eq!(tags(&fields(&[("cache-tag", &"x".repeat(TAG_BYTES_MAX + 1))])), Err(TooManyTags));
    }

    fn check(case: &str, lines: &[(&'static str, &str)], expected: &[&str]) {
        let found = tags(&fields(lines)).expect("few enough");
        assert_eq!(found.iter().map(|tag| &**tag).collect::<Vec<_>>(), expected, "{case}");
    }
}
