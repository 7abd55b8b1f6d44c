//! Finds, reads and loads the configuration file: the only place that looks at the environment.

use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use anyhow::Context;

use super::args::ConfigFile;
use crate::config::model::Config;
use crate::config::{Problem, Surroundings, load};

/// What became of the file.
pub(super) enum Loaded {
    /// Every fault of it.
    Faulty(Vec<Problem>),
    /// The configuration, and where it was found.
    Whole(Box<Config>, PathBuf),
}

/// Loads the file that the command line, the environment or the system names, in this order.
pub(super) fn load_config(arguments: &ConfigFile) -> anyhow::Result<Loaded> {
    let path = arguments.config.clone().or_else(|| variable("HOLDOVER_CONFIG").map(PathBuf::from));
    let path = path.unwrap_or_else(|| PathBuf::from(SYSTEM_FILE));
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "failed to read the configuration {} (name another one with --config or HOLDOVER_CONFIG)",
            path.display()
        )
    })?;
    let region = variable("HOLDOVER_REGION").unwrap_or_default();
    let surroundings = Surroundings {
        file: &path.display().to_string(),
        region: &region,
        cores: available_parallelism().map_or(1, Into::into),
        environment: &variable,
        read_file: &|path: &Path| std::fs::read_to_string(path),
    };
    Ok(match load(&text, &surroundings) {
        Ok(config) => Loaded::Whole(Box::new(config), path),
        Err(problems) => Loaded::Faulty(problems),
    })
}

/// Prints every problem, one per line.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) fn print(problems: &[Problem]) {
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    let (count, noun) = (problems.len(), if problems.len() == 1 { "problem" } else { "problems" });
    eprintln!("holdover: {count} {noun} in the configuration");
}

#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

const SYSTEM_FILE: &str = "/etc/holdover/holdover.toml";
