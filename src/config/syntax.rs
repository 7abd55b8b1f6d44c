//! TOML syntax: reports what cannot be read, and makes the rest readable, so that its faults are found in the same run.
//!
//! The TOML parser recovers within a line, but gives up on the rest of the document after some errors. Here the damaged
//! statement is blanked, byte for byte, so that everything else in the file stays where it was.

use std::borrow::Cow;
use std::ops::Range;

use toml::de::DeTable;

use super::faults::{Faults, cut};
use super::keys::sections;

/// A text without syntax errors, where possible, and with every byte where it was.
pub(super) struct Repaired<'a> {
    pub(super) text: Cow<'a, str>,
    /// False when a part was lost whose keys are unknown, so that nothing can be said to be missing.
    pub(super) whole: bool,
}

/// Reports the syntax errors of `text` and takes the damaged statements out of it.
pub(super) fn repair<'a>(text: &'a str, faults: &mut Faults) -> Repaired<'a> {
    let mut repaired = Repaired { text: Cow::Borrowed(text), whole: true };
    let mut repairs = 0;
    while repairs < REPAIRS_MAX {
        let (_, errors) = DeTable::parse_recoverable(&repaired.text);
        let mut places: Vec<(usize, &str)> = errors
            .iter()
            .map(|error| (error.span().map_or(0, |span| text.floor_char_boundary(span.start)), error.message()))
            .collect();
        places.sort_unstable();
        let before = repairs;
        for (at, message) in places.into_iter().take(ERRORS_PER_ROUND_MAX) {
            if faults.is_damaged(at) {
                continue;
            }
            report(text[line(text, at)].trim(), at, message, faults);
            // The parser keeps the first of two and reads on well.
            if message != REPETITION {
                let statement = Statement::at(&repaired.text, at);
                faults.damage(statement.range.start..statement.range.end + 1);
                repaired.whole &= statement.key.is_some();
                repaired.text = Cow::Owned(statement.blanked(&repaired.text));
                repairs += 1;
            }
        }
        if repairs == before {
            return repaired;
        }
    }
    repaired.whole = false;
    repaired
}

fn report(line: &str, at: usize, message: &str, faults: &mut Faults) {
    let (message, expected) = message.split_once(", expected ").unwrap_or((message, "nothing"));
    let (message, expected) = match (message, expected) {
        (REPETITION, _) => ("a repetition", "every key and table once"),
        (message, "literal string") => (message, "quotes around text"),
        (message, "nothing") => (message, "valid TOML"),
        other => other,
    };
    let shown = if may_hold_secret(line) { "a line that is not shown" } else { &cut(line) };
    faults.add("", at, &format!("`{}` ({message})", shown.replace(char::is_control, "\u{fffd}")), expected);
}

fn may_hold_secret(line: &str) -> bool {
    let mut secrets = sections().flat_map(|section| section.keys).filter(|key| key.form.is_secret());
    secrets.any(|key| line.contains(key.name))
}

/// The lines of one key and its value, of one table from its header to the next, or one line that is neither.
struct Statement {
    /// Without the last line end.
    range: Range<usize>,
    /// Length of the key's text, indentation included; none when there is no key or no room for `key=0`.
    key: Option<usize>,
}

impl Statement {
    /// The statement around the byte at `at`.
    fn at(text: &str, at: usize) -> Self {
        let own = line(text, at);
        let mut first = own.clone();
        while first.start > 0 && !is_header(&text[first.clone()]) && key_length(&text[first.clone()]).is_none() {
            first = line(text, first.start - 1);
        }
        // A line after a finished statement is no part of it, even when it does not begin one.
        if !Opened::default().after(&text[first.start..own.start]).is_open() {
            first = own;
        }
        let head = &text[first.clone()];
        let mut opened = Opened::default().after(head);
        let mut range = first;
        while range.end < text.len() {
            let next = line(text, range.end + 1);
            let following = &text[next.clone()];
            let belongs = match is_header(head) {
                true => !is_header(following),
                false => opened.is_open() && !is_header(following) && key_length(following).is_none(),
            };
            if !belongs {
                break;
            }
            opened = opened.after(following);
            range.end = next.end;
        }
        Self { range, key: key_length(head).filter(|length| length + "=0".len() <= head.len()) }
    }

    /// `text` with a wrong but readable value for the key, or without the statement.
    fn blanked(&self, text: &str) -> String {
        let mut blanked = text[..self.range.start].to_owned();
        let mut rest = self.range.clone();
        if let Some(length) = self.key {
            blanked.push_str(&text[rest.start..rest.start + length]);
            blanked.push_str("=0");
            rest.start += length + "=0".len();
        }
        blanked.extend(text.as_bytes()[rest].iter().map(|&byte| if byte == b'\n' { '\n' } else { ' ' }));
        blanked.push_str(&text[self.range.end..]);
        blanked
    }
}

/// Brackets and texts of several lines that are open. Brackets inside texts come in pairs in practice.
#[derive(Clone, Copy, Default)]
struct Opened {
    brackets: usize,
    in_text: bool,
}

impl Opened {
    fn after(self, text: &str) -> Self {
        let count = |wanted: &[char]| text.matches(wanted).count();
        let brackets = (self.brackets + count(&['[', '{'])).saturating_sub(count(&[']', '}']));
        Self { brackets, in_text: self.in_text ^ (text.matches("\"\"\"").count() % 2 == 1) }
    }

    fn is_open(self) -> bool {
        self.brackets > 0 || self.in_text
    }
}

/// The line around the byte at `at`, without its end.
fn line(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    start..text[at..].find('\n').map_or(text.len(), |length| at + length)
}

/// `[name` or `[[name`; the first line of an array inside an array has a quote or a digit there.
fn is_header(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('[') && line.trim_start_matches(['[', ' ']).starts_with(|first: char| first.is_ascii_alphabetic())
}

/// Length of the key that a line begins with, indentation included.
fn key_length(line: &str) -> Option<usize> {
    let name = line.trim_start();
    let length = name.find(|next: char| !(next.is_ascii_alphanumeric() || "_-.".contains(next))).unwrap_or(name.len());
    name.starts_with(|first: char| first.is_ascii_alphabetic()).then_some(line.len() - name.len() + length)
}

/// The parser's message for a key or table that is already there.
const REPETITION: &str = "duplicate key";

/// Every repair copies the text; a file that needs more is beyond it.
const REPAIRS_MAX: usize = 64;

/// More than are shown.
const ERRORS_PER_ROUND_MAX: usize = 1000;
