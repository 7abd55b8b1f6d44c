//! One JSON value on one line, safe to show on a terminal.

use memchr::memchr2;
use serde::Serialize;

/// Appends `value` as JSON and a line feed.
///
/// JSON escapes only the control characters below U+0020; DEL and the C1 controls, which some terminals obey, are
/// escaped here as well.
pub(super) fn append(line: &mut Vec<u8>, value: &impl Serialize) {
    let start = line.len();
    serde_json::to_writer(&mut *line, value).expect("log lines have string keys and a Vec takes every byte");
    if memchr2(DELETE, C1_LEAD, &line[start..]).is_some() {
        let json = line.split_off(start);
        escape_upper_controls(line, &json);
    }
    line.push(b'\n');
}

/// The longest prefix of `text` that fits in [`FIELD_BYTES_MAX`] and ends between two characters.
pub(super) fn capped(text: &str) -> &str {
    &text[..text.floor_char_boundary(FIELD_BYTES_MAX)]
}

/// Such characters occur inside JSON strings only, where an escape means the same.
fn escape_upper_controls(line: &mut Vec<u8>, json: &[u8]) {
    let mut rest = json;
    while let Some(at) = memchr2(DELETE, C1_LEAD, rest) {
        let (before, found) = rest.split_at(at);
        line.extend_from_slice(before);
        let (escaped, used) = match *found {
            [DELETE, ..] => (Some(DELETE), 1),
            [C1_LEAD, control @ 0x80..=0x9f, ..] => (Some(control), 2),
            _ => (None, 1),
        };
        match escaped {
            Some(control) => line.extend_from_slice(format!("\\u00{control:02x}").as_bytes()),
            None => line.extend_from_slice(&found[..used]),
        }
        rest = &found[used..];
    }
    line.extend_from_slice(rest);
}

/// Longest text of one field; a client may send far longer ones, and one line should stay one line to read.
pub(super) const FIELD_BYTES_MAX: usize = 2048;

const DELETE: u8 = 0x7f;

/// U+0080 to U+009F are this byte and the one of their own number.
const C1_LEAD: u8 = 0xc2;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut line = b"before ".to_vec();
        append(&mut line, &text);
        let line = String::from_utf8(line).expect("lines are UTF-8");
        assert_eq!(line, format!("before {expected}\n"));
        let json = line.trim_start_matches("before ");
        assert_eq!(serde_json::from_str::<String>(json).ok().as_deref(), Some(text));
    }

    #[test]
    fn every_control_character_is_escaped_and_reads_back() {
        check("plain", r#""plain""#);
        check("a\nb\r\x1b[2J\0", r#""a\nb\r\u001b[2J\u0000""#);
        check("a\x7fb", r#""a\u007fb""#);
        check("\u{80}\u{9b}31m\u{9f}", r#""\u0080\u009b31m\u009f""#);
        check("\u{a0}¿é…\u{a0}", "\"\u{a0}¿é…\u{a0}\"");
        check("\\\u{85}\"", r#""\\\u0085\"""#);
    }

    #[test]
    fn long_text_is_cut_between_two_characters() {
        assert_eq!(capped("short"), "short");
        let long = format!("a{}", "é".repeat(FIELD_BYTES_MAX));
        assert_eq!(capped(&long).len(), FIELD_BYTES_MAX - 1);
        assert!(capped(&long).ends_with('é'));
    }
}
