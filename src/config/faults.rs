//! What is wrong with a configuration: collected by byte offset, shown by line and column.

use std::fmt;
use std::ops::Range;

/// One fault of a configuration file, with the form that would be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's name as the caller gave it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The dotted key, such as `site.origin.url`; empty when the fault is not one key's.
    pub path: String,
    /// What is there, quoted when it is text; never a secret.
    pub found: String,
    /// The accepted form, as a phrase.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        write!(formatter, "found {}; expected {}", self.found, self.expected)
    }
}

/// Faults found so far.
#[derive(Default)]
pub(super) struct Faults {
    list: Vec<Fault>,
    damaged: Vec<Range<usize>>,
}

impl Faults {
    /// Notes a fault of the key `path` at the byte offset `at`; a damaged place has been reported before.
    pub(super) fn add(&mut self, path: &str, at: usize, found: &str, expected: &str) {
        if self.list.len() < FAULTS_MAX {
            let silent = self.is_damaged(at);
            self.list.push(Fault { at, path: path.into(), found: found.into(), expected: expected.into(), silent });
        }
    }

    /// Says that `range` could not be read and was reported: what stands there instead has no faults to show.
    pub(super) fn damage(&mut self, range: Range<usize>) {
        self.damaged.push(range);
    }

    pub(super) fn is_damaged(&self, at: usize) -> bool {
        self.damaged.iter().any(|range| range.contains(&at))
    }

    /// Whether the value of `path` at the offset `at` was refused; then no rule that compares it applies.
    pub(super) fn concern(&self, path: &str, at: usize) -> bool {
        self.list.iter().any(|fault| fault.at == at && fault.path == path)
    }

    /// Whether a key whose path begins with `prefix` was refused within `range`.
    pub(super) fn touch(&self, prefix: &str, range: Range<usize>) -> bool {
        self.list.iter().any(|fault| range.contains(&fault.at) && fault.path.starts_with(prefix))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The faults in the order of the file.
    pub(super) fn into_problems(mut self, file: &str, text: &str) -> Vec<Problem> {
        self.list.retain(|fault| !fault.silent);
        self.list.sort();
        self.list.dedup();
        let mut position = Position { line: 1, column: 1, at: 0 };
        let mut problems = Vec::with_capacity(self.list.len());
        for fault in self.list {
            position.advance(text, fault.at);
            problems.push(Problem {
                file: file.to_owned(),
                line: position.line,
                column: position.column,
                path: fault.path,
                found: fault.found,
                expected: fault.expected,
            });
        }
        problems
    }
}

/// Text as a problem shows it: quoted, escaped, and cut.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", cut(text).escape_debug().to_string().replace("\\'", "'"))
}

/// Text cut where it would fill the screen.
pub(super) fn cut(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    if shown.len() < text.len() { shown + "…" } else { shown }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    at: usize,
    path: String,
    found: String,
    expected: String,
    silent: bool,
}

/// A place that only moves forward, so that many faults cost one pass over the text.
struct Position {
    line: usize,
    column: usize,
    at: usize,
}

impl Position {
    fn advance(&mut self, text: &str, at: usize) {
        let passed = text.get(self.at..at.min(text.len())).unwrap_or_default();
        for character in passed.chars() {
            if character == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at += passed.len();
    }
}

/// A file with more faults than this is not a configuration; the first ones say so.
const FAULTS_MAX: usize = 1000;

const SHOWN_CHARACTERS_MAX: usize = 80;
