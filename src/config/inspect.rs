//! Holds every key of the file against its row, and completes the file with the defaults.
//!
//! A refused value is taken out, so that what is left fits the types of `file` and the rules about several keys can
//! be checked in the same run.

use std::ops::RangeInclusive;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::faults::{Faults, quoted};
use super::form::{Form, Written};
use super::interpolate::interpolate;
use super::keys::{children, root, sections};
use super::load::Surroundings;
use super::section::{Absence, Key, Repeat, Section};

/// Reports unknown and missing keys, wrong types, forms and bounds, unset variables and unreadable secrets.
///
/// Afterwards `file` has values of the right form only, variables replaced, and every default. Nothing is reported as
/// missing unless the file is `whole`.
pub(super) fn inspect(file: &mut DeTable<'_>, whole: bool, surroundings: &Surroundings<'_>, faults: &mut Faults) {
    Inspector { whole, surroundings, faults }.section(root(), file, 0);
}

struct Inspector<'a> {
    whole: bool,
    surroundings: &'a Surroundings<'a>,
    faults: &'a mut Faults,
}

impl Inspector<'_> {
    /// One table whose header is at the byte offset `at`.
    fn section(&mut self, section: &'static Section, table: &mut DeTable<'_>, at: usize) {
        self.refuse_unknown(section, table);
        for key in section.keys {
            self.key(section, key, table, at);
        }
        for child in children(section) {
            match child.repeat {
                Repeat::Once => self.single(child, table, at),
                Repeat::Several { least, most } => self.several(child, table, at, least..=most),
            }
        }
    }

    fn refuse_unknown(&mut self, section: &'static Section, table: &mut DeTable<'_>) {
        let known: Vec<&str> =
            section.keys.iter().map(|key| key.name).chain(children(section).map(Section::name)).collect();
        let unknown: Vec<_> = table.keys().filter(|name| !known.contains(&name.get_ref().as_ref())).cloned().collect();
        for name in unknown {
            let written = name.get_ref().escape_debug().to_string();
            let expected = suggestion(section, &known, name.get_ref());
            self.faults.add(&section.join(&written), name.span().start, "an unknown key", &expected);
            table.remove(&name);
        }
    }

    fn key(&mut self, section: &Section, key: &'static Key, table: &mut DeTable<'_>, at: usize) {
        let path = section.join(key.name);
        let place = match table.get_mut(key.name) {
            Some(value) => {
                if self.value(&path, &key.form, value) {
                    return;
                }
                value.span().start
            }
            None => {
                if matches!(key.absence, Absence::Required(_)) && self.whole {
                    self.faults.add(&path, at, "nothing", &key.form.expected());
                }
                at
            }
        };
        table.remove(key.name);
        if let Absence::Default(text) = key.absence {
            let default = DeValue::parse(text).expect("a test parses every default");
            table.insert(Spanned::new(place..place, key.name.into()), at_place(default, place));
        }
    }

    /// Whether `value` is of the form, after it was replaced by what it stands for and rid of refused items.
    fn value(&mut self, path: &str, form: &Form, value: &mut Spanned<DeValue<'_>>) -> bool {
        let span = value.span();
        match (form, value.get_mut()) {
            (Form::List { least, most, .. }, DeValue::Array(array)) => {
                let fits = (*least..=*most).contains(&array.len());
                if !fits {
                    self.faults.add(path, span.start, &format!("a list of {}", array.len()), &form.expected());
                }
                let items = std::mem::replace(array, DeArray::new());
                *array =
                    items.into_iter().filter_map(|mut item| self.item(path, form, &mut item).then_some(item)).collect();
                fits
            }
            (Form::Lifetimes { .. } | Form::Ranks { .. }, DeValue::Table(table)) => {
                self.named(path, form, table);
                true
            }
            (Form::Lifetimes { .. } | Form::List { .. } | Form::Ranks { .. }, other) => {
                self.faults.add(path, span.start, &described(other), &form.expected());
                false
            }
            _ => self.item(path, form, value),
        }
    }

    /// A table of values with names that the file chooses.
    fn named(&mut self, path: &str, form: &Form, table: &mut DeTable<'_>) {
        let Some(names) = form.names() else { return };
        let written = std::mem::take(table);
        for (name, mut value) in written {
            let is_name = names.accepts(name.get_ref(), Written::Text);
            if !is_name {
                self.faults.add(path, name.span().start, &quoted(name.get_ref()), &names.expected());
            }
            if self.item(path, form, &mut value) && is_name {
                table.insert(name, value);
            }
        }
    }

    /// A single value, or one of a list or a table.
    fn item(&mut self, path: &str, form: &Form, value: &mut Spanned<DeValue<'_>>) -> bool {
        let at = value.span().start;
        let mut written = Written::of(value.get_ref());
        let mut source = String::new();
        if let DeValue::String(text) = value.get_mut() {
            let Some(resolved) = self.resolved(path, form, text, at) else { return false };
            if resolved != *text {
                source = format!(" from {}", quoted(text));
                *text = resolved.into();
                written = Some(Written::Interpolated);
            }
        }
        let accepted = match (plain_text(value.get_ref()), written) {
            (Some(text), Some(written)) => form.accepts(&text, written),
            _ => false,
        };
        if !accepted {
            let found = if form.is_secret() { HIDDEN.to_owned() } else { described(value.get_ref()) + &source };
            self.faults.add(path, at, &found, &form.expected_item());
        }
        accepted
    }

    /// `text` with variables replaced, or for a secret the content of the file it names.
    fn resolved(&mut self, path: &str, form: &Form, text: &str, at: usize) -> Option<String> {
        let replaced = match interpolate(text, self.surroundings.environment) {
            Ok(replaced) => replaced,
            Err(list) => {
                let found = if form.is_secret() { HIDDEN.to_owned() } else { quoted(text) };
                for expected in list {
                    self.faults.add(path, at, &found, &expected);
                }
                return None;
            }
        };
        let Some(file) = replaced.strip_prefix("file:").filter(|_| form.is_secret()) else {
            return Some(replaced);
        };
        match (self.surroundings.read_file)(Path::new(file)) {
            Ok(content) => Some(content.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                let found = format!("{}, which cannot be read: {error}", quoted(text));
                self.faults.add(path, at, &found, &form.expected());
                None
            }
        }
    }

    /// A section that stands once: its defaults hold even when it is not written.
    fn single(&mut self, section: &'static Section, parent: &mut DeTable<'_>, parent_at: usize) {
        if let Some(value) = parent.get_mut(section.name()) {
            let at = value.span().start;
            if let DeValue::Table(table) = value.get_mut() {
                return self.section(section, table, at);
            }
            self.refuse_section(section, value);
        }
        let mut table = DeTable::new();
        self.section(section, &mut table, parent_at);
        let place = parent_at..parent_at;
        parent.remove(section.name());
        parent.insert(Spanned::new(place.clone(), section.name().into()), Spanned::new(place, DeValue::Table(table)));
    }

    fn several(
        &mut self,
        section: &'static Section,
        parent: &mut DeTable<'_>,
        parent_at: usize,
        count: RangeInclusive<usize>,
    ) {
        let Some(value) = parent.get_mut(section.name()) else {
            if *count.start() > 0 && self.whole {
                self.faults.add(section.path, parent_at, "nothing", &expected_table(section));
            }
            return;
        };
        let at = value.span().start;
        if let DeValue::Array(tables) = value.get_mut() {
            if !count.contains(&tables.len()) && (self.whole || !tables.is_empty()) {
                let expected = format!("{} to {} tables {}", count.start(), count.end(), section.header());
                self.faults.add(section.path, at, &format!("{} of them", tables.len()), &expected);
            }
            let items = std::mem::replace(tables, DeArray::new());
            *tables =
                items.into_iter().filter_map(|mut item| self.is_table(section, &mut item).then_some(item)).collect();
            return;
        }
        self.refuse_section(section, value);
        // What is wrong inside is worth knowing all the same.
        if let DeValue::Table(table) = value.get_mut() {
            self.section(section, table, at);
        }
        parent.remove(section.name());
    }

    fn is_table(&mut self, section: &'static Section, item: &mut Spanned<DeValue<'_>>) -> bool {
        let at = item.span().start;
        if let DeValue::Table(table) = item.get_mut() {
            self.section(section, table, at);
            return true;
        }
        self.refuse_section(section, item);
        false
    }

    fn refuse_section(&mut self, section: &Section, value: &Spanned<DeValue<'_>>) {
        let found = match value.get_ref() {
            DeValue::Table(_) => format!("[{}], a single table", section.path),
            DeValue::Array(_) => format!("a list or [[{}]]", section.path),
            other => described(other),
        };
        // The table above a lost header looks like a single one.
        if self.whole {
            self.faults.add(section.path, value.span().start, &found, &expected_table(section));
        }
    }
}

fn expected_table(section: &Section) -> String {
    format!("a table {}", section.header())
}

/// The keys to choose from: the nearest one, the same one of another table, or all.
fn suggestion(section: &Section, known: &[&str], written: &str) -> String {
    let nearest = known.iter().map(|name| (distance(name, written), *name)).min();
    if let Some((distance, name)) = nearest
        && distance <= (written.chars().count() / 3).max(1)
    {
        return format!("\"{name}\"");
    }
    let elsewhere = sections().find(|other| {
        other.path != section.path && other.keys.iter().any(|key| key.name == written) || other.name() == written
    });
    match elsewhere {
        Some(other) if other.name() == written => format!("{} in its own place", other.header()),
        Some(other) => format!("\"{written}\" under {}", other.header()),
        None => format!("one of {}", known.join(", ")),
    }
}

/// Number of letters to insert, remove, exchange or swap with their neighbor to get from one name to the other.
fn distance(one: &str, other: &str) -> usize {
    // Names are short; what is not cannot be near one.
    if other.len() > NAME_BYTES_MAX {
        return usize::MAX;
    }
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let exchange = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                let best = exchange.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
                if swapped { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[one.len()][other.len()]
}

/// A single value as text, numbers in decimal; none for what no key accepts.
fn plain_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Integer(number) => Some(i64::from_str_radix(number.as_str(), number.radix()).ok()?.to_string()),
        _ => None,
    }
}

fn described(value: &DeValue<'_>) -> String {
    let described = match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    // The parser puts a number without digits in the place of what it cannot read.
    if described.is_empty() { "a number that cannot be read".to_owned() } else { described }
}

/// A default as if it were written, without length, at `place`.
fn at_place(value: Spanned<DeValue<'_>>, place: usize) -> Spanned<DeValue<'_>> {
    let value = match value.into_inner() {
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(|item| at_place(item, place)).collect()),
        DeValue::Table(items) => {
            let moved = |(name, value): (Spanned<_>, _)| {
                (Spanned::new(place..place, name.into_inner()), at_place(value, place))
            };
            DeValue::Table(items.into_iter().map(moved).collect())
        }
        other => other,
    };
    Spanned::new(place..place, value)
}

/// Stands for a secret in every message.
const HIDDEN: &str = "a value that is not shown";

const NAME_BYTES_MAX: usize = 64;
