//! `POST /v1/purge`: a batch of things to purge, in one step or not at all.

use std::net::IpAddr;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::named::{self, BadName};
use crate::cache::purge::{PurgeMode, Selector};
use crate::serve::purge;
use crate::serve::site::SiteTable;
use crate::serve::worker::Shared;

/// Status and document for a request from `client` with this body.
pub(super) fn purge(shared: &Shared, client: IpAddr, body: &[u8]) -> (StatusCode, Value) {
    let sites = &shared.sites;
    match read(sites, body) {
        Ok((selectors, mode)) => {
            let receipt = purge::purge(shared, &selectors, mode, format!("{client}, on the admin listener"));
            (StatusCode::OK, purge::told(receipt, mode))
        }
        Err(problems) => (StatusCode::BAD_REQUEST, json!({ "purged": false, "problems": problems })),
    }
}

/// The request as written; what is not named is not purged.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    all: bool,
    hosts: Vec<String>,
    prefixes: Vec<String>,
    soft: bool,
    tags: Vec<String>,
    urls: Vec<String>,
}

fn read(sites: &SiteTable, body: &[u8]) -> Result<(Vec<Selector>, PurgeMode), Vec<String>> {
    let written: Written = serde_json::from_slice(body).map_err(|fault| {
        vec![format!(
            "{fault}; expected an object of \"urls\", \"prefixes\", \"tags\", \"hosts\", \"all\" and \"soft\""
        )]
    })?;
    let Written { all, hosts, prefixes, soft, tags, urls } = written;
    let mut selectors: Vec<Selector> = all.then_some(Selector::Everything).into_iter().collect();
    let mut problems = Vec::new();
    let mut add = |list: &str, names: Vec<String>, read: &dyn Fn(&str) -> Result<Selector, BadName>| {
        for (index, name) in names.iter().enumerate() {
            match read(name) {
                Ok(selector) => selectors.push(selector),
                Err(fault) => problems.push(format!("{list}[{index}] {}: {fault}", shown(name))),
            }
        }
    };
    add("urls", urls, &|name| named::url(sites, name));
    add("prefixes", prefixes, &|name| named::directory(sites, name));
    add("hosts", hosts, &|name| named::host(sites, name));
    add("tags", tags, &named::tag);
    if selectors.len() > SELECTORS_MAX {
        problems.push(format!("{} things to purge; expected at most {SELECTORS_MAX} in one request", selectors.len()));
    }
    if selectors.is_empty() && problems.is_empty() {
        problems.push("nothing to purge; expected at least one URL, prefix, tag or host, or \"all\": true".to_owned());
    }
    problems.truncate(PROBLEMS_TOLD);
    if problems.is_empty() {
        Ok((selectors, if soft { PurgeMode::Soft } else { PurgeMode::Hard }))
    } else {
        Err(problems)
    }
}

/// A name in quotes, cut where it becomes tedious.
fn shown(name: &str) -> String {
    let cut: String = name.chars().take(NAME_CHARACTERS_SHOWN).collect();
    format!("{cut:?}")
}

/// Most selectors of one purge: enough for what one edit of a site touches, and done in a millisecond.
const SELECTORS_MAX: usize = 1024;

/// Problems named in one answer.
const PROBLEMS_TOLD: usize = 64;

const NAME_CHARACTERS_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<(usize, PurgeMode), &str>) {
        let found = read(&SiteTable::default(), body.as_bytes());
        let found = found.map(|(selectors, mode)| (selectors.len(), mode)).map_err(|problems| problems.join("; "));
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected), "{body}"),
            Err(part) => assert!(found.as_ref().is_err_and(|problems| problems.contains(part)), "{body}: {found:?}"),
        }
    }

    #[test]
    fn a_batch_is_read_whole_or_refused_whole() {
        check(r#"{"tags": ["a", "b"]}"#, Ok((2, PurgeMode::Hard)));
        check(r#"{"all": true, "soft": true}"#, Ok((1, PurgeMode::Soft)));
        check(r#"{"tags": ["a", ""]}"#, Err("tags[1] \"\": expected a tag"));
        check(r#"{"urls": ["/x"]}"#, Err("urls[0] \"/x\": expected an absolute URL"));
        check(r#"{"urls": ["https://other.test/x"]}"#, Err("no site serves this host"));
        check(r#"{"urls": ["https://other.test/%"]}"#, Err("hexadecimal"));
        check(r#"{"prefixes": ["https://other.test/x/"]}"#, Err("prefixes[0]"));
        check(r#"{"hosts": ["other.test"]}"#, Err("hosts[0] \"other.test\": no site"));
        check(r#"{"hosts": ["*.test"]}"#, Err("hosts[0] \"*.test\": no site"));
        check("{}", Err("nothing to purge"));
        check(r#"{"all": false}"#, Err("nothing to purge"));
        check(r#"{"tag": "a"}"#, Err("unknown field `tag`"));
        check(r#"{"tags": "a"}"#, Err("expected a sequence at line 1 column 12"));
        check("", Err("expected an object"));
        let many: Vec<String> = (0..=SELECTORS_MAX).map(|number| format!("\"{number}\"")).collect();
        check(&format!("{{\"tags\": [{}]}}", many.join(",")), Err("1025 things to purge"));
    }
}
