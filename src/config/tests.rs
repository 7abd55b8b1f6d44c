//! How configurations are loaded, and that the committed pages are generated from the same rows.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::file::File;
use super::keys::{children, root, sections};
use super::model::{Accepts, Config, HostField, PlainHttp, Scheme};
use super::section::{Absence, Repeat};
use super::{Problem, Surroundings, full, load, reference};

/// The surroundings of every test: a few variables, one secret, the region "eu".
fn load_here(text: &str, region: &str) -> Result<Config, Vec<Problem>> {
    let environment = |name: &str| match name {
        "EMPTY" => Some(String::new()),
        "PORT" => Some("9443".to_owned()),
        "ORIGIN" => Some("https://a.example".to_owned()),
        _ => None,
    };
    let read_file = |path: &Path| match path.to_str() {
        Some("/run/secrets/token") => Ok("correct-horse-battery\n".to_owned()),
        Some(path) if path.starts_with("/run/secrets/holdover-") => Ok("correct-horse-battery\n".to_owned()),
        Some("/run/secrets/short") => Ok("horse\n".to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    };
    let surroundings =
        Surroundings { file: "holdover.toml", region, cores: 4, environment: &environment, read_file: &read_file };
    load(text, &surroundings)
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether generated files are to be written, not compared: `HOLDOVER_BLESS=1 cargo test`.
fn bless() -> bool {
    std::env::var_os("HOLDOVER_BLESS").is_some()
}

fn check_generated(path: &str, text: &str) {
    if bless() {
        fs::write(repository(path), text).unwrap();
    }
    let committed = fs::read_to_string(repository(path)).unwrap_or_default();
    assert!(committed == text, "{path} is not what src/config/keys.rs says; run HOLDOVER_BLESS=1 cargo test config::");
}

/// `full.toml` with the keys that are commented out.
fn with_optional_keys() -> String {
    full().lines().map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)).fold(
        String::new(),
        |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        },
    )
}

/// Each file in tests/config is a rule on its first line, a configuration, and after `# problems:` its faults.
#[test]
fn fixtures_have_the_problems_they_state() {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(repository("tests/config")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 25, "the fixtures are gone");
    for path in paths {
        let fixture = fs::read_to_string(&path).unwrap();
        let (input, _) = fixture.split_once(MARK).unwrap_or((&fixture, ""));
        assert!(input.starts_with("# "), "{} does not begin with its rule", path.display());
        let problems = load_here(input, "eu").err().unwrap_or_default();
        let mut stated = format!("{input}{MARK}\n");
        for problem in problems {
            stated.push_str(&format!("# {problem}\n"));
        }
        if bless() {
            fs::write(&path, &stated).unwrap();
        } else {
            assert_eq!(fixture, stated, "{}", path.display());
        }
    }
}

#[test]
fn the_committed_full_file_is_generated() {
    check_generated("config/full.toml", &full());
}

#[test]
fn the_committed_reference_is_generated() {
    check_generated("docs/config.md", &reference());
}

#[test]
fn the_full_file_is_valid() {
    load_here(&full(), "").unwrap();
}

#[test]
fn rows_and_written_form_have_the_same_keys() {
    let text = with_optional_keys();
    toml::from_str::<File>(&text).map_err(|error| error.to_string()).unwrap();
    for section in sections() {
        let header = if section.path.is_empty() { String::new() } else { format!("{}\n", section.header()) };
        let with_stranger = text.replacen(&header, &format!("{header}stranger = 1\n"), 1);
        let (table, _) = DeTable::parse_recoverable(&with_stranger);
        let error = File::deserialize(toml::Deserializer::from(table)).err().map(|error| error.message().to_owned());
        // "unknown field `stranger`, expected one of `name`, `workers`"
        let fields: BTreeSet<String> = error.unwrap().split('`').skip(3).step_by(2).map(str::to_owned).collect();
        let rows: BTreeSet<String> = section
            .keys
            .iter()
            .map(|key| key.name.to_owned())
            .chain(children(section).map(|child| child.name().to_owned()))
            .collect();
        assert_eq!(fields, rows, "{}", section.header());
    }
}

#[test]
fn every_row_has_a_sentence_and_every_section_its_parent() {
    for section in sections() {
        let mut names = BTreeSet::new();
        for key in section.keys {
            assert!(names.insert(key.name), "{} is there twice", section.join(key.name));
            assert!(key.sentence.ends_with('.'), "{}", section.join(key.name));
        }
        let parents = sections().filter(|parent| children(parent).any(|child| child.path == section.path));
        assert_eq!(parents.count(), usize::from(!section.path.is_empty()), "{}", section.path);
    }
    assert!(root().repeat == Repeat::Once);
}

#[test]
fn every_default_and_example_is_of_its_own_form() {
    for section in sections() {
        for key in section.keys {
            let (Absence::Choice(text) | Absence::Default(text) | Absence::Optional(text) | Absence::Required(text)) =
                key.absence;
            assert!(DeValue::parse(text).is_ok(), "{} = {text}", section.join(key.name));
            assert!(!key.form.expected().is_empty());
        }
    }
    let both = "self_signed beside chain or key";
    let problems = load_here(&with_optional_keys(), "").unwrap_err();
    assert_eq!(problems.iter().map(|problem| problem.found.as_str()).collect::<Vec<_>>(), [both], "{problems:?}");
}

#[test]
fn the_minimal_file_is_a_node_with_two_origins() {
    let config = load_here(&fs::read_to_string(repository("config/minimal.toml")).unwrap(), "").unwrap();
    assert_eq!(config.workers, 4);
    assert_eq!(config.cache.object_max, config.cache.memory / 64);
    assert_eq!(config.sites[0].name, "localhost");
    assert_eq!(config.sites[0].plain_http, PlainHttp::Redirect);
    let origins: Vec<_> = config.sites[0].origins.iter().map(|origin| (origin.name.as_str(), origin.rank)).collect();
    assert_eq!(origins, [("127.0.0.1:9001", 1), ("127.0.0.1:9002", 2)]);
}

#[test]
fn one_file_serves_all_regions() {
    let text = fs::read_to_string(repository("config/holdover.toml")).unwrap();
    let ranks = |region: &str| -> Vec<u32> {
        load_here(&text, region).unwrap().sites[0].origins.iter().map(|origin| origin.rank).collect()
    };
    assert_eq!(ranks("eu"), [1, 2, 3]);
    assert_eq!(ranks("us"), [2, 1, 3]);
    assert_eq!(ranks(""), [1, 1, 3]);
    let problems = load_here(&text, "eu-west").unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "holdover.toml:10:11: node.regions: found HOLDOVER_REGION \"eu-west\"; expected one of \"eu\", \"us\""
    );
}

#[test]
fn every_key_reaches_the_model() {
    let text = with_optional_keys()
        .replace("self_signed = [\"localhost\"]\n", "")
        .replace("host = \"origin\"", "host = \"shop.example:8443\"")
        .replace("accepts = \"all\"", "accepts = \"read-only\"")
        .replace("allow = []", "allow = [\"10.0.0.0/8\", \"::1\"]");
    let config = load_here(&text, "us").unwrap();
    assert_eq!(config.admin_token.as_ref().map(|token| token.expose()), Some("correct-horse-battery"));
    assert_eq!(config.debug_token.as_ref().map(|token| token.expose()), Some("correct-horse-battery"));
    assert!(!format!("{config:?}").contains("horse"), "a secret is not shown");
    let allowed: Vec<String> = config.dns.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(config.state_directory.as_deref(), Some(Path::new("/var/lib/holdover")));
    let site = &config.sites[0];
    assert_eq!(site.purge.token.as_ref().map(|token| token.expose()), Some("correct-horse-battery"));
    assert_eq!((site.name.as_str(), site.hosts[1].as_str()), ("shop", "*.example.org"));
    let expect = &site.probe.expect;
    assert_eq!((expect.body.as_deref(), expect.body_min), (Some("ok"), 512));
    assert!(expect.body_pattern.as_ref().is_some_and(|pattern| pattern.matches(b"Status: degraded")));
    assert_eq!(expect.latency_max, Some(Duration::from_millis(800)));
    assert_eq!(site.failover.statuses.0, [(500, 500), (502, 502), (503, 503), (504, 504)]);
    let [expectation] = &site.expectations[..] else { panic!("one is written") };
    assert_eq!((expectation.extensions[1].as_str(), expectation.prefixes[0].as_str()), ("mjs", "/static/"));
    assert_eq!((expectation.types[0].as_str(), expectation.length_min), ("text/javascript", 100));
    assert_eq!(expectation.statuses.as_ref().map(|statuses| statuses.0[0]), Some((200, 299)));
    let origin = &site.origins[0];
    assert_eq!((origin.name.as_str(), origin.scheme, origin.port), ("frankfurt", Scheme::Https, 443));
    assert_eq!((origin.rank, origin.accepts), (2, Accepts::ReadOnly));
    assert_eq!(origin.host_field, HostField::Named("shop.example:8443".to_owned()));
    assert_eq!(origin.srv.as_deref(), Some("_https._tcp.frankfurt.example.net"));
    assert!(origin.ca_file.is_some());
    assert!(origin.client_certificate.as_ref().is_some_and(|own| own.key.ends_with("client.key")));
}

#[test]
fn the_state_directory_is_the_one_written_or_the_first_of_systemds() {
    let minimal = fs::read_to_string(repository("config/minimal.toml")).unwrap();
    let written = format!("{minimal}\n[state]\ndirectory = \"/written\"\n");
    for (text, variable, expected) in [
        (&minimal, None, None),
        (&minimal, Some(""), None),
        (&minimal, Some("/var/lib/holdover"), Some("/var/lib/holdover")),
        (&minimal, Some("/var/lib/holdover:/var/lib/other"), Some("/var/lib/holdover")),
        (&written, Some("/var/lib/holdover"), Some("/written")),
    ] {
        let environment = |name: &str| variable.filter(|_| name == "STATE_DIRECTORY").map(str::to_owned);
        let config = load(text, &Surroundings { environment: &environment, ..Surroundings::none("") }).unwrap();
        assert_eq!(config.state_directory.as_deref(), expected.map(Path::new), "{variable:?}");
    }
}

#[test]
fn a_file_above_one_mebibyte_is_refused_unread() {
    let problems = load_here(&"#".repeat((1 << 20) + 1), "").unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].to_string(), "holdover.toml:1:1: found 1048577 bytes; expected at most 1048576 bytes");
}

#[test]
fn no_text_makes_the_loader_panic() {
    let text = fs::read_to_string(repository("config/holdover.toml")).unwrap();
    let mut random = fastrand::Rng::with_seed(20);
    for _ in 0..400 {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(0..characters.len());
            let until = (at + random.usize(0..20)).min(characters.len());
            let replacement =
                random.choice(["", "[", "]", "\"", "\"\"\"", "=", "\n", "é", "${", "9", "{", ",", "\r", "\0", "[[x"]);
            characters.splice(at..until, replacement.unwrap_or_default().chars());
        }
        let mutated: String = characters.into_iter().collect();
        if let Err(problems) = load_here(&mutated, "eu") {
            assert!(!problems.is_empty(), "refused without a reason:\n{mutated}");
        }
    }
    for deep in ["[".repeat(100_000), "a.".repeat(100_000), "{a=".repeat(100_000)] {
        assert!(load_here(&format!("x = {deep}"), "").is_err());
        assert!(load_here(&deep, "").is_err());
    }
}

/// Would take hours if any step were quadratic in the number of faults.
#[test]
fn a_number_that_the_parser_made_up_is_named_as_well() {
    // More damage than is repaired, so that what the parser puts in place of it shows.
    let (before, behind) = ("\u{fffd}".repeat(32), "\0".repeat(80));
    let problems = load_here(&format!("'''{before}\n[listen]\nhttp=[\"\".\nn'w\n[\n{behind}"), "").unwrap_err();
    assert!(problems.iter().all(|problem| !problem.found.is_empty()), "{problems:?}");
}

#[test]
fn a_large_file_of_faults_is_refused_in_linear_time() {
    for line in ["a\n", "a = b\n", "a = [\n", "[a]\n", "[[site]]\n", "]\n", "\"\n", "a = 1\n", "é\n", "x = { a = 1\n"]
    {
        let problems = load_here(&line.repeat(100_000 / line.len()), "eu").unwrap_err();
        assert!((1..=1000).contains(&problems.len()), "{line:?}: {}", problems.len());
    }
}

const MARK: &str = "# problems:";
