//! What operators read: the reference page and the file with every key, both made from `keys`.

use std::fmt::Write;

use super::keys::sections;
use super::section::{Absence, Key, Repeat, Section};

/// The text of `docs/config.md`.
pub fn reference() -> String {
    let mut page = String::from(PAGE_HEAD);
    for section in written_sections() {
        let _ = write!(page, "\n## `{}`\n\n{}{}\n\n", section.header(), section.sentence, count(section));
        page.push_str("| key | accepted | default | meaning |\n|---|---|---|---|\n");
        for key in section.keys {
            let default = match key.absence {
                Absence::Default(text) => format!("`{text}`"),
                Absence::Choice(_) | Absence::Optional(_) => "none".to_owned(),
                Absence::Required(_) => "**required**".to_owned(),
            };
            let accepted = key.form.expected().replace('|', "\\|");
            let _ = writeln!(page, "| `{}` | {accepted} | {default} | {} |", key.name, key.sentence);
        }
    }
    page
}

/// The text of `config/full.toml`.
pub fn full() -> String {
    let mut file = String::from(FILE_HEAD);
    for section in written_sections() {
        let _ = write!(file, "\n\n{}{}\n", comment(section.sentence), section.header());
        for key in section.keys {
            let _ = write!(file, "\n{}{}\n", comment(&explained(key)), assignment(key));
        }
    }
    file
}

fn written_sections() -> impl Iterator<Item = &'static Section> {
    sections().filter(|section| !section.path.is_empty())
}

fn count(section: &Section) -> String {
    match section.repeat {
        Repeat::Once => String::new(),
        Repeat::Several { least: 0, most } => format!(" Up to {most}."),
        Repeat::Several { least, most } => format!(" From {least} to {most}."),
    }
}

fn explained(key: &Key) -> String {
    let required = if matches!(key.absence, Absence::Required(_)) { "Required: " } else { "Accepts " };
    format!("{} {required}{}.", key.sentence, key.form.expected())
}

/// The line of a key; one without default is commented out without a space, unlike prose.
fn assignment(key: &Key) -> String {
    match key.absence {
        Absence::Choice(value) | Absence::Default(value) | Absence::Required(value) => {
            format!("{} = {value}", key.name)
        }
        Absence::Optional(value) => format!("#{} = {value}", key.name),
    }
}

/// Prose as comment lines of at most [`LINE_CHARACTERS_MAX`].
fn comment(prose: &str) -> String {
    let mut lines = String::from("#");
    let mut width = 1;
    for word in prose.split_whitespace() {
        let length = word.chars().count();
        if width + 1 + length > LINE_CHARACTERS_MAX {
            lines.push_str("\n#");
            width = 1;
        }
        lines.push(' ');
        lines.push_str(word);
        width += 1 + length;
    }
    lines.push('\n');
    lines
}

const PAGE_HEAD: &str = "\
# Configuration reference

<!-- Made from src/config/keys.rs: HOLDOVER_BLESS=1 cargo test config:: -->

Every key of the TOML file, with what it accepts, its default and its meaning. `holdover check` reports every
fault of a file at once, with file, line, column and the accepted form. [`config/full.toml`](../config/full.toml)
has the same in the form of a file, [`config/holdover.toml`](../config/holdover.toml) is an example to start from.

- The file is at most 1 MiB. Unknown keys are faults.
- Durations are a whole number and `ms`, `s`, `m`, `h` or `d`. Sizes are bytes, or a whole number and `KiB`, `MiB`,
  `GiB` or `TiB`.
- `${NAME}` and `${NAME:-default}` in a value are replaced from the environment, the default also when the variable is
  empty; `$$` is a dollar sign. A number or truth value may be written as text when it comes from a variable:
  `workers = \"${WORKERS:-4}\"`.
- A secret may be written as `file:/path`; the file's content counts, without line ends after it.
- `HOLDOVER_REGION` names the region a node runs in and picks the rank of origins that have `ranks`;
  `STATE_DIRECTORY` stands in for `state.directory`.
";

const FILE_HEAD: &str = "\
# Every key of Holdover with its default, made from the same table as docs/config.md.
# Keys without a default are shown with an example; those that may be left out are commented out.
# To start a configuration of your own, minimal.toml and holdover.toml are better places.
";

const LINE_CHARACTERS_MAX: usize = 100;
