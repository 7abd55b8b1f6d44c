//! What can be purged, as operators write it.

use super::*;

#[track_caller]
fn check(read: impl Fn(&str) -> Result<Selector, BadName>, cases: &[(&str, Result<&str, BadName>)]) {
    for (text, expected) in cases {
        let found = read(text).map(|selector| selector.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text:?}");
    }
}

#[test]
fn a_tag_is_any_text_of_its_length() {
    check(
        tag,
        &[
            ("red", Ok("tag red")),
            (" red shoes ", Ok("tag red shoes")),
            ("", Err(BadName::Tag)),
            (" ", Err(BadName::Tag)),
            (&"x".repeat(TAG_BYTES_MAX + 1), Err(BadName::Tag)),
        ],
    );
}
