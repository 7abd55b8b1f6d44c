//! The form of a value: what is accepted, in words and as a check.

use std::time::Duration;

use toml::de::DeValue;

use super::names::Region;
use super::units::{Bytes, ErrorStatus, FromText, Percent, Statuses, Workers, bytes_text, duration_text};

/// What a key accepts.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// True or false.
    Boolean,
    /// A length of time within bounds.
    Duration { least: Duration, most: Duration },
    /// A table from status to a length of time from nothing to a bound.
    Lifetimes { most: Duration },
    /// Several values of one form.
    List { item: &'static Form, least: usize, most: usize },
    /// A percentage from 0.
    Percent { most: u32 },
    /// A table from region to rank.
    Ranks { most: u64 },
    /// Text that no message shows; may stand in a file.
    Secret { accepts: fn(&str) -> bool, expected: &'static str },
    /// An amount of bytes within bounds.
    Size { least: u64, most: u64 },
    /// One status, a range or a class within bounds.
    Statuses { least: u16, most: u16 },
    /// Text with a syntax of its own.
    Text { accepts: fn(&str) -> bool, expected: &'static str },
    /// A whole number within bounds.
    Whole { least: u64, most: u64 },
    /// One of a few words.
    Word { words: fn() -> Vec<&'static str> },
    /// A number of threads, or the machine's.
    Workers { most: usize },
}

/// The TOML type a value was written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Boolean,
    /// Text from a variable, which stands for any type: the environment has only text.
    Interpolated,
    Number,
    Text,
}

impl Written {
    /// The type of a single value that some key accepts.
    pub(super) fn of(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::Boolean(_) => Some(Self::Boolean),
            DeValue::Integer(_) => Some(Self::Number),
            DeValue::String(_) => Some(Self::Text),
            DeValue::Array(_) | DeValue::Datetime(_) | DeValue::Float(_) | DeValue::Table(_) => None,
        }
    }
}

impl Form {
    /// Whether one value, written as `written` and reading `text`, is accepted; for lists and ranks, an item of them.
    pub(super) fn accepts(&self, text: &str, written: Written) -> bool {
        self.accepts_type(written) && self.accepts_text(text)
    }

    fn accepts_type(&self, written: Written) -> bool {
        match (self, written) {
            (Self::List { item, .. }, _) => item.accepts_type(written),
            (Self::Boolean, written) => matches!(written, Written::Boolean | Written::Interpolated),
            (Self::Whole { .. } | Self::Ranks { .. }, written) => {
                matches!(written, Written::Number | Written::Interpolated)
            }
            (_, Written::Boolean) => false,
            (Self::Percent { .. } | Self::Size { .. } | Self::Statuses { .. } | Self::Workers { .. }, _) => true,
            (_, written) => written != Written::Number,
        }
    }

    fn accepts_text(&self, text: &str) -> bool {
        match *self {
            Self::Boolean => bool::from_text(text).is_some(),
            Self::Duration { least, most } => within(Duration::from_text(text), least, most),
            Self::Lifetimes { most } => within(Duration::from_text(text), Duration::ZERO, most),
            Self::List { item, .. } => item.accepts_text(text),
            Self::Percent { most } => within(Percent::from_text(text).map(|percent| percent.0), 0, most),
            Self::Ranks { most } => within(u64::from_text(text), 1, most),
            Self::Secret { accepts, .. } | Self::Text { accepts, .. } => accepts(text),
            Self::Size { least, most } => within(Bytes::from_text(text).map(|bytes| bytes.0), least, most),
            Self::Statuses { least, most } => {
                Statuses::from_text(text).is_some_and(|range| least <= range.0 && range.1 <= most)
            }
            Self::Whole { least, most } => within(u64::from_text(text), least, most),
            Self::Word { words } => words().contains(&text),
            Self::Workers { most } => {
                Workers::from_text(text).is_some_and(|workers| workers.0.is_none() || within(workers.0, 1, most))
            }
        }
    }

    /// The accepted form as a phrase: "a whole number from 1 to 16".
    pub(super) fn expected(&self) -> String {
        match *self {
            Self::Boolean => "true or false".to_owned(),
            Self::Duration { least, most } => {
                format!(
                    "a duration from {} to {}, such as \"500ms\" or \"30s\"",
                    duration_text(least),
                    duration_text(most)
                )
            }
            Self::Lifetimes { most } => {
                format!(
                    "a table from a status from 400 to 599 to a duration up to {}, such as {{ 404 = \"10s\" }}",
                    duration_text(most)
                )
            }
            Self::List { item, least, most } => {
                let count = if least == 0 { format!("up to {most}") } else { format!("{least} to {most}") };
                format!("a list of {count}, each {}", item.expected())
            }
            Self::Percent { most } => format!("a percentage from 0 to {most}, such as 10 or \"10%\""),
            Self::Ranks { most } => {
                format!("a table from region to a rank from 1 to {most}, such as {{ eu = 1, us = 2 }}")
            }
            Self::Secret { expected, .. } | Self::Text { expected, .. } => expected.to_owned(),
            Self::Size { least, most } => {
                format!("a size from {} to {}, such as \"256MiB\"", bytes_text(least), bytes_text(most))
            }
            Self::Statuses { least, most } => {
                format!("a status from {least} to {most}, a range or a class, such as 503, \"500-504\" or \"5xx\"")
            }
            Self::Whole { least, most } => format!("a whole number from {least} to {most}"),
            Self::Word { words } => {
                let words: Vec<String> = words().iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Workers { most } => format!("\"auto\" or a whole number from 1 to {most}"),
        }
    }

    /// The form of a name in a table of this form.
    pub(super) fn names(&self) -> Option<&'static Self> {
        match self {
            Self::Lifetimes { .. } => Some(&ERROR_STATUS),
            Self::Ranks { .. } => Some(&REGION),
            _ => None,
        }
    }

    /// What one item of a list or table has to be; the form itself for anything else.
    pub(super) fn expected_item(&self) -> String {
        match self {
            Self::List { item, .. } => item.expected(),
            Self::Lifetimes { most } => Self::Duration { least: Duration::ZERO, most: *most }.expected(),
            Self::Ranks { most } => Self::Whole { least: 1, most: *most }.expected(),
            _ => self.expected(),
        }
    }

    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret { .. })
    }
}

/// Whether a `T` can be made from `text`.
pub(super) fn reads<T: FromText>(text: &str) -> bool {
    T::from_text(text).is_some()
}

fn within<T: PartialOrd>(value: Option<T>, least: T, most: T) -> bool {
    value.is_some_and(|value| least <= value && value <= most)
}

const ERROR_STATUS: Form = Form::Text {
    accepts: reads::<ErrorStatus>,
    expected: "a status from 400 to 599 that speaks of the resource: not 401, 408, 429 and the like, which speak of one request",
};

const REGION: Form =
    Form::Text { accepts: reads::<Region>, expected: "a region of lower-case letters, digits, \"-\" or \"_\"" };
