//! The shape of a row: what is known about a table of the file and about each of its keys.

use super::form::Form;

/// A table of the file and its keys.
pub(super) struct Section {
    /// Dotted path, empty for the file itself.
    pub(super) path: &'static str,
    pub(super) repeat: Repeat,
    pub(super) sentence: &'static str,
    pub(super) keys: &'static [Key],
}

/// How often a section stands in its parent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// `[section]`; all its defaults hold when it is not written.
    Once,
    /// `[[section]]`.
    Several { least: usize, most: usize },
}

/// A row.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) absence: Absence,
    pub(super) sentence: &'static str,
}

/// What holds when a key is not written. All values are TOML.
#[derive(Clone, Copy)]
pub(super) enum Absence {
    /// One of several keys has to be there, by a rule of `validate`; the example shows this one.
    Choice(&'static str),
    /// This value.
    Default(&'static str),
    /// What the sentence says; the example is one possible value.
    Optional(&'static str),
    /// A fault; the example is one possible value.
    Required(&'static str),
}

impl Section {
    /// The last part of the path.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    /// The dotted path of a key or section named `name` inside this one.
    pub(super) fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The table header: `[node]` or `[[site]]`.
    pub(super) fn header(&self) -> String {
        match self.repeat {
            Repeat::Once => format!("[{}]", self.path),
            Repeat::Several { .. } => format!("[[{}]]", self.path),
        }
    }

    /// The path of the section this one is in.
    pub(super) fn parent_path(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }
}
