//! `GET /v1/explain`: what a request for a URL would meet, and why.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use super::named::target_of;
use super::status::seconds;
use crate::cache::stamps::Purged;
use crate::cache::stored::StoredResponse;
use crate::config::model::SiteConfig;
use crate::origin::pool::Pool;
use crate::origin::request::ranking::{Demand, bucket, candidates};
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::freshness::Reuse;
use crate::semantics::presence::Presence;
use crate::semantics::surrogate::tags;
use crate::serve::admit::{Admission, Head, admit};
use crate::serve::client::{ClientConnection, TlsFacts};
use crate::serve::consider::{Considered, consider};
use crate::serve::judge::{Fallback, Way};
use crate::serve::synthetic::Refusal;
use crate::serve::worker::Shared;

/// Status and document for a query: `url`, and any number of `field`, each a request field as `name: value`.
pub(super) fn explain(shared: &Shared, query: &str) -> (StatusCode, Value) {
    match question(query) {
        Ok((url, fields)) => match answer(shared, &url, &fields) {
            Ok(document) => (StatusCode::OK, document),
            Err(problem) => refused(&problem),
        },
        Err(problem) => refused(&problem),
    }
}

fn refused(problem: &str) -> (StatusCode, Value) {
    (StatusCode::BAD_REQUEST, json!({ "problems": [problem] }))
}

/// The URL and the request fields that are asked about.
fn question(query: &str) -> Result<(String, HeaderMap), String> {
    let (mut url, mut fields) = (None, HeaderMap::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "url" if url.is_none() => url = Some(value.into_owned()),
            "field" => {
                let expected = || format!("field {value:?}: expected \"name: value\", such as \"accept-encoding: br\"");
                let (name, value) = value.split_once(':').ok_or_else(expected)?;
                let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| expected())?;
                let value = HeaderValue::from_str(value.trim()).map_err(|_| expected())?;
                fields.try_append(name, value).map_err(|_| "too many fields".to_owned())?;
            }
            other => return Err(format!("{other:?}: expected one url, and any number of field")),
        }
    }
    let url = url.ok_or("no url; expected /v1/explain?url=https%3A%2F%2Fwww.example.org%2Fpath")?;
    Ok((url, fields))
}

fn answer(shared: &Shared, url: &str, request: &HeaderMap) -> Result<Value, String> {
    let sites = &shared.sites;
    let (site, mut target) = target_of(sites, url).map_err(|fault| format!("url {url:?}: {fault}"))?;
    let client = asker(url);
    let head = Head { method: &Method::GET, target: &target, headers: request, present: Presence::of(request) };
    let admission = admit(site, shared, &client, &head, false);
    let (policy, now) = (&site.config.key, shared.clock.now().monotonic);
    let mut request = request.clone();
    policy.normalize(&mut request);
    policy.reduce(&mut target);
    let key = policy.key(&target, &request);
    let asked = RequestDirectives::from_headers(&request, site.config.request_directives);
    let considered = consider(shared.store.peek(&key, &request), site, &asked, now);
    let variants = shared.store.variants(&key);
    Ok(json!({
        "url": url,
        "site": &*site.name,
        "key": key.as_str(),
        "answer": told(&admission, &considered, &asked),
        "selected": considered.stored.as_deref().map(|stored| response(stored, &site.config, now)),
        "variants": variants.iter().map(|stored| variant(stored)).collect::<Vec<_>>(),
        "remembered_as_uncacheable": shared.uncacheable.remembers(&key, now),
        "last_purge": shared.store.last_purge(),
        "outage_mode": site.pool.mode().as_str(),
        "origins": origins(&site.pool, target.path_and_query(), now),
    }))
}

/// A client on this host, over HTTPS if the URL says so.
fn asker(url: &str) -> ClientConnection {
    let is_https = url.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("https:"));
    let tls = is_https.then_some(TlsFacts { sni: None });
    ClientConnection { peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), protocol: "h1", tls }
}

/// The way a request would go, in the words of `Cache-Status`.
fn told(admission: &Result<Admission, Refusal>, considered: &Considered, asked: &RequestDirectives) -> Value {
    match admission {
        Ok(Admission::Cache) => {}
        Ok(Admission::Forward(reason)) => return json!({ "way": "bypass", "fwd": reason.as_str() }),
        Ok(Admission::Options) => return json!({ "way": "options" }),
        Ok(Admission::Purge) => return json!({ "way": "purge" }),
        Ok(Admission::Redirect(url)) => return json!({ "way": "redirect", "location": url }),
        Err(refusal) => return json!({ "way": "refused", "status": refusal.status().as_u16() }),
    }
    let reason = considered.reason;
    match considered.way {
        Way::Hit { ttl } => json!({ "way": "hit", "ttl_seconds": ttl.as_secs() }),
        Way::Stale { past, reason } => {
            json!({ "way": "stale", "detail": reason.as_str(), "stale_seconds": past.as_secs() })
        }
        Way::Forward { .. } if asked.only_if_cached => json!({ "way": "refused", "status": 504 }),
        Way::Forward { fallback } => json!({
            "way": "forward",
            "fwd": reason.as_str(),
            "stale_if_error": matches!(fallback, Fallback::LastRemedy { .. } | Fallback::Stale { .. }),
        }),
        Way::Unavailable => json!({ "way": "unavailable", "fwd": reason.as_str(), "detail": "origin-down" }),
    }
}

fn response(stored: &StoredResponse, site: &SiteConfig, now: Instant) -> Value {
    let (head, policy) = (&stored.head, &site.freshness);
    let headers = head.fields().to_headers(0);
    let (lifetime, age) = (head.lifetime(), head.age(now));
    let reuse = head.reuse(now, policy);
    let (word, past) = match reuse {
        Reuse::Fresh { .. } => ("fresh", None),
        Reuse::StaleWhileRevalidate { past } => ("stale-while-revalidate", Some(past)),
        Reuse::StaleIfError { past } => ("stale-if-error", Some(past)),
        Reuse::LastRemedy { past } => ("last-remedy", Some(past)),
        Reuse::Unusable { past } => ("validate-first", Some(past)),
    };
    let purged = match head.stamps.purged(now) {
        Purged::Gone => json!({ "mode": "hard" }),
        Purged::No => Value::Null,
        Purged::Stale { past } => json!({ "mode": "soft", "seconds_ago": past.as_secs() }),
        Purged::Suspect { past } => json!({ "mode": "suspect", "seconds_ago": past.as_secs() }),
    };
    let forbids = lifetime.prohibition.filter(|prohibition| !policy.stale_despite.contains(prohibition));
    json!({
        "status": head.status.as_u16(),
        "origin": &*head.origin,
        "body_bytes": stored.length(),
        "size_bytes": stored.size(),
        "reuse": word,
        "stale_seconds": past.map(|past| past.as_secs()),
        "age": {
            "on_arrival_seconds": seconds(lifetime.initial_age),
            "resident_seconds": seconds(head.resident(now)),
            "current_seconds": seconds(age),
        },
        "freshness": {
            "lifetime_seconds": seconds(lifetime.freshness),
            "left_seconds": seconds(lifetime.freshness.saturating_sub(age)),
        },
        "stale": {
            "forbidden_by": forbids.map(|prohibition| prohibition.as_str()),
            "while_revalidate_seconds": lifetime.stale_while_revalidate.unwrap_or(policy.stale_while_revalidate).as_secs(),
            "if_error_seconds": lifetime.stale_if_error.unwrap_or(policy.stale_max).min(policy.stale_max).as_secs(),
            "revived": stored.revived(now),
        },
        "purged": purged,
        "tags": tags(&headers).unwrap_or_default(),
        "fields": fields(&headers),
    })
}

/// The fields that caching decides by.
fn fields(headers: &HeaderMap) -> Map<String, Value> {
    let mut shown = Map::new();
    for name in SHOWN {
        let lines: Vec<_> = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        if !lines.is_empty() {
            shown.insert(name.to_owned(), lines.join(", ").into());
        }
    }
    shown
}

fn variant(stored: &StoredResponse) -> Value {
    let nominated = stored.head.nominated();
    let nominated = nominated.iter().map(|(name, value)| {
        let is_secret = matches!(*name, header::AUTHORIZATION | header::COOKIE);
        let shown = |value: Cow<'_, [u8]>| {
            if is_secret { "(hidden)".into() } else { String::from_utf8_lossy(&value).into_owned() }
        };
        (name.as_str().to_owned(), value.map(shown).into())
    });
    json!({ "status": stored.head.status.as_u16(), "vary": nominated.collect::<Map<String, Value>>() })
}

/// Whom a request that goes forward would ask, in this order unless equals draw another one.
fn origins(pool: &Pool, target: &str, now: Instant) -> Vec<Value> {
    let view = pool.view();
    let demand = Demand { safe: true, tries: pool.config.failover.tries, trial: None, bucket: bucket(target) };
    let asked = candidates(&view, demand, now, &mut fastrand::Rng::new());
    let told = asked.iter().filter_map(|candidate| {
        let origin = view.origins.get(candidate.origin)?;
        let endpoint = origin.endpoints.iter().find(|endpoint| endpoint.address == candidate.address)?;
        Some(json!({
            "origin": &*origin.name,
            "address": candidate.address.to_string(),
            "rank": origin.rank,
            "standing": origin.standing.as_str(),
            "health": endpoint.state.as_str(),
        }))
    });
    told.collect()
}

const SHOWN: [&str; 11] = [
    "age",
    "cache-control",
    "cdn-cache-control",
    "content-encoding",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "surrogate-control",
    "vary",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_url_and_fields() {
        check("url=https%3A%2F%2Fa.test%2F", Ok(("https://a.test/", 0)));
        check("url=https://a.test/&field=accept-encoding:+br&field=x:y", Ok(("https://a.test/", 2)));
        check("", Err("no url"));
        check("url=a&url=b", Err("expected one url"));
        check("url=a&field=x", Err("expected \"name: value\""));
        check("url=a&field=x+y:z", Err("expected \"name: value\""));
        check("url=a&field=x:%0A", Ok(("a", 1)));
        check("url=a&field=x:a%0Ab", Err("expected \"name: value\""));
        check("u=a", Err("\"u\": expected"));
    }

    fn check(query: &str, expected: Result<(&str, usize), &str>) {
        let found = question(query);
        match (&found, expected) {
            (Ok((url, fields)), Ok(expected)) => assert_eq!((url.as_str(), fields.len()), expected, "{query}"),
            (Err(problem), Err(part)) => assert!(problem.contains(part), "{query}: {problem}"),
            _ => panic!("{query}: {found:?}"),
        }
    }
}
