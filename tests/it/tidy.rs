//! What the project promises about its own code: the floors, the one clock, nothing left behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[test]
fn a_module_uses_lower_floors_only() {
    let mut broken = Vec::new();
    for (path, text) in sources("src") {
        let Some(module) = module_of(&path) else { continue };
        for used in modules_used(&text) {
            if used != module && floor(&used) >= floor(&module) {
                broken.push(format!(
                    "{}: {module} (floor {}) uses {used} (floor {})",
                    path.display(),
                    floor(&module),
                    floor(&used)
                ));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "move what is shared to a lower floor, or hand it in from above:\n{}",
        broken.join("\n")
    );
}

#[test]
fn the_house_has_no_unknown_rooms() {
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.trim_end_matches(".rs");
        assert!(
            matches!(name, "lib" | "main") || FLOORS.iter().any(|floor| floor.contains(&name)),
            "src/{name} is on no floor"
        );
    }
}

#[test]
fn only_the_clock_reads_time() {
    forbid(
        "src",
        &["Instant::now()", "SystemTime::now()", ".elapsed()"],
        &["src/clock.rs"],
        "take `now` as an argument",
    );
}

#[test]
fn nothing_is_left_behind() {
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["db", "g!("], ["#[ig", "nore"]].map(|parts| parts.concat());
    let marks: Vec<&str> = marks.iter().map(String::as_str).collect();
    for folder in SOURCE_FOLDERS {
        forbid(folder, &marks, &[], "finish it, or open an issue");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = SOURCE_FOLDERS
        .into_iter()
        .flat_map(sources)
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "begin with a line of module documentation:\n{}", silent.join("\n"));
}

#[test]
fn a_mod_file_is_a_table_of_contents() {
    let mut busy = Vec::new();
    for (path, text) in sources("src").into_iter().filter(|(path, _)| path.ends_with("mod.rs")) {
        let other = text.lines().find(|line| {
            let line = line.trim();
            let known = ["//!", "mod ", "pub mod ", "pub use ", "pub(super) use ", "#[cfg(test)]"];
            !line.is_empty() && !known.iter().any(|start| line.starts_with(start))
        });
        busy.extend(other.map(|line| format!("{}: {line}", path.display())));
    }
    assert!(busy.is_empty(), "a mod.rs holds documentation, `mod` and `pub use` only:\n{}", busy.join("\n"));
}

#[test]
fn the_page_on_conformance_names_files_that_exist() {
    let page = std::fs::read_to_string(root().join("docs/conformance.md")).unwrap();
    let names = page.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs"));
    let missing: Vec<_> = names
        .filter(|name| ["src", "tests/it", ""].iter().all(|folder| !root().join(folder).join(name).exists()))
        .filter(|name| *name != "tests.rs")
        .collect();
    assert!(missing.is_empty(), "docs/conformance.md names files that do not exist: {missing:?}");
}

/// Where the Rust code is that this project writes.
const SOURCE_FOLDERS: [&str; 5] = ["src", "tests", "benches", "fuzz/src", "fuzz/fuzz_targets"];

/// A module may use those of earlier rows only, and none of its own row but itself.
const FLOORS: [&[&str]; 8] = [
    &["clock", "semantics"],
    &["config"],
    &["telemetry"],
    &["cache", "origin", "tls"],
    &["serve"],
    &["admin", "listen"],
    &["node"],
    &["cli"],
];

fn floor(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).unwrap_or_else(|| panic!("{module} is on no floor"))
}

/// `src/cache/fill.rs` is of `cache`; the roots are of none.
fn module_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix("src").ok()?;
    let first = inside.iter().next()?.to_str()?.trim_end_matches(".rs");
    (!matches!(first, "lib" | "main")).then(|| first.to_owned())
}

fn modules_used(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut used: BTreeMap<String, ()> = BTreeMap::new();
    for line in code {
        for rest in line.split("crate::").skip(1) {
            let name: String =
                rest.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '_').collect();
            if !name.is_empty() {
                used.insert(name, ());
            }
        }
    }
    used.into_keys().collect()
}

fn forbid(folder: &str, words: &[&str], exceptions: &[&str], remedy: &str) {
    let mut found = Vec::new();
    for (path, text) in sources(folder) {
        let is_test = folder == "src" && path.ends_with("tests.rs");
        if is_test || exceptions.iter().any(|exception| path == Path::new(exception)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = !line.trim_start().starts_with("//");
            for word in words.iter().filter(|word| line.contains(**word) && (code || !word.contains('('))) {
                found.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    // The tests of this very file hold the words they look for.
    found.retain(|line| !line.starts_with("tests/it/tidy.rs"));
    assert!(found.is_empty(), "{remedy}:\n{}", found.join("\n"));
}

/// Rust files below `folder`, by path from the root, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    files.sort();
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
