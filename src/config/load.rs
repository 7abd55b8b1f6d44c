//! From the text of a configuration file to the model, or to everything that is wrong with it.

use std::io;
use std::path::Path;

use serde::Deserialize;
use toml::de::DeTable;

use super::faults::{Faults, Problem};
use super::file::File;
use super::inspect::inspect;
use super::model::Config;
use super::syntax::repair;
use super::validate::validate;

/// What a configuration needs to know besides its text; given by the caller, so that loading stays pure.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The name of the file, as problems show it.
    pub file: &'a str,
    /// The value of `HOLDOVER_REGION`; empty when it is not set, then every origin has its plain `rank`.
    pub region: &'a str,
    /// CPUs this process may use; what `workers = "auto"` becomes.
    pub cores: usize,
    /// Looks an environment variable up: for `${NAME}` in values, and `STATE_DIRECTORY` in place of `state.directory`.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a file, for secrets written as `file:/path`.
    pub read_file: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl<'a> Surroundings<'a> {
    /// Of a text that stands alone: without a region, variables and files, on one CPU.
    pub fn none(file: &'a str) -> Self {
        let read_file = &|_: &Path| Err(io::ErrorKind::NotFound.into());
        Self { file, region: "", cores: 1, environment: &|_| None, read_file }
    }
}

/// Reads, completes and checks a configuration of at most 1 MiB.
///
/// # Errors
/// Every fault of the text, in the order of the file: syntax, unknown keys, wrong types, units and bounds, missing keys
/// and variables, unreadable secrets, and keys that contradict each other. After a damaged table header only faults of
/// keys that could be read are known; what is missing or contradictory shows once the header is right.
pub fn load(text: &str, surroundings: &Surroundings<'_>) -> Result<Config, Vec<Problem>> {
    let mut faults = Faults::default();
    if text.len() > TEXT_BYTES_MAX {
        faults.add("", 0, &format!("{} bytes", text.len()), &format!("at most {TEXT_BYTES_MAX} bytes"));
        return Err(faults.into_problems(surroundings.file, text));
    }
    let repaired = repair(text, &mut faults);
    let (mut table, _) = DeTable::parse_recoverable(&repaired.text);
    inspect(table.get_mut(), repaired.whole, surroundings, &mut faults);
    let config = match File::deserialize(toml::Deserializer::from(table)) {
        Ok(file) if repaired.whole => Some(validate(file, surroundings, &mut faults)),
        Ok(_) => None,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            faults.add("", at, error.message(), "the form docs/config.md describes");
            None
        }
    };
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults.into_problems(surroundings.file, text)),
    }
}

/// Far above any real configuration, and small enough that a wrong file on the command line costs nothing.
const TEXT_BYTES_MAX: usize = 1 << 20;
