//! What operators and clients may purge, and the one road by which a purge takes effect.

use http::{HeaderMap, HeaderValue, Response, Uri, Version, header};

use super::body::ResponseBody;
use super::exchange::Exchange;
use super::outcome::Answer;
use super::site::{Site, SiteTable};
use super::worker::Shared;
use crate::cache::purge::{DIRECTORIES_MAX, PurgeMode, Receipt, Selector};
use crate::semantics::surrogate::TAG_BYTES_MAX;
use crate::semantics::target::{BadTarget, Target, target};
use crate::telemetry::Event;

/// Purges, and tells of it. `by` says who asked.
pub fn purge(shared: &Shared, selectors: &[Selector], mode: PurgeMode, by: String) -> Receipt {
    let receipt = shared.store.purge(selectors, mode, shared.clock.now().monotonic);
    shared.events.emit(Event::Purged {
        sequence: receipt.sequence,
        mode: mode.as_str(),
        selectors: selectors.iter().take(SELECTORS_TOLD).map(Selector::to_string).collect(),
        responses: receipt.responses,
        by,
    });
    receipt
}

/// Answers a PURGE request, whose sender was admitted: its target URI is purged, hard unless it asks for less.
pub fn purge_target(shared: &Shared, exchange: &Exchange) -> Answer {
    let mode =
        if SOFT_FIELDS.iter().any(|name| is_set(&exchange.headers, name)) { PurgeMode::Soft } else { PurgeMode::Hard };
    let mut target = exchange.target.clone();
    exchange.site.config.key.reduce(&mut target);
    let selector = url_of(target);
    let receipt = purge(shared, &[selector], mode, exchange.client.peer.ip().to_string());
    let mut response = Response::new(ResponseBody::whole(format!("{}\n", told(receipt, mode))));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Answer::from(response)
}

/// A receipt as JSON.
pub fn told(receipt: Receipt, mode: PurgeMode) -> serde_json::Value {
    serde_json::json!({
        "sequence": receipt.sequence,
        "mode": mode.as_str(),
        "responses": receipt.responses,
    })
}

/// Why something that an operator names cannot be purged or looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Not a directory: it does not end in a slash, or has a query.
    #[error("expected a URL that ends with \"/\" and has no query, such as \"https://www.example.org/images/\"")]
    Directory,
    /// Directories this deep are not told apart.
    #[error("expected at most {DIRECTORIES_MAX} directories")]
    Depth,
    /// No site has this host.
    #[error("no site serves this host; expected one of site.hosts, without port")]
    Host,
    /// No tag.
    #[error("expected a tag of 1 to {TAG_BYTES_MAX} bytes")]
    Tag,
    /// A URL that a client could not ask for either.
    #[error(transparent)]
    Target(#[from] BadTarget),
    /// No absolute URL.
    #[error("expected an absolute URL, such as \"https://www.example.org/logo.svg\"")]
    Url,
}

/// The site of this URL, and the target under which its responses are stored.
///
/// # Errors
/// [`BadName`] for what is no URL of any site.
pub fn target_of<'a>(sites: &'a SiteTable, url: &str) -> Result<(&'a Site, Target), BadName> {
    let uri: Uri = url.parse().map_err(|_| BadName::Url)?;
    if uri.scheme().is_none() {
        return Err(BadName::Url);
    }
    let mut target = target(&uri, &HeaderMap::new(), Version::HTTP_2)?;
    let site = sites.find(&target.host).ok_or(BadName::Host)?;
    site.config.key.reduce(&mut target);
    Ok((site, target))
}

/// The selector of a URL.
///
/// # Errors
/// As [`target_of`].
pub fn url(sites: &SiteTable, url: &str) -> Result<Selector, BadName> {
    target_of(sites, url).map(|(_, target)| url_of(target))
}

/// The selector of everything below a directory, named by its URL.
///
/// # Errors
/// As [`target_of`], and what is no directory, or too deep a one.
pub fn directory(sites: &SiteTable, url: &str) -> Result<Selector, BadName> {
    let (_, target) = target_of(sites, url)?;
    let path = target.path_and_query;
    if !path.ends_with('/') || path.contains('?') {
        return Err(BadName::Directory);
    }
    match path.matches('/').count() - 1 {
        0 => Ok(Selector::Host(target.host)),
        1..=DIRECTORIES_MAX => Ok(Selector::Directory { host: target.host, path }),
        _ => Err(BadName::Depth),
    }
}

/// The selector of a host.
///
/// # Errors
/// [`BadName::Host`] for one that no site has.
pub fn host(sites: &SiteTable, host: &str) -> Result<Selector, BadName> {
    let host = host.to_ascii_lowercase();
    sites.find(&host).ok_or(BadName::Host)?;
    Ok(Selector::Host(host.into()))
}

/// The selector of a tag.
///
/// # Errors
/// [`BadName::Tag`] for one that no response can have.
pub fn tag(tag: &str) -> Result<Selector, BadName> {
    let tag = tag.trim_matches([' ', '\t']);
    if (1..=TAG_BYTES_MAX).contains(&tag.len()) { Ok(Selector::Tag(tag.into())) } else { Err(BadName::Tag) }
}

fn url_of(target: Target) -> Selector {
    Selector::Url { host: target.host, path_and_query: target.path_and_query }
}

fn is_set(headers: &HeaderMap, name: &str) -> bool {
    headers.get(name).is_some_and(|value| value.as_bytes() == b"1")
}

/// Request fields that make a PURGE soft, when they are `1`; the first one is what another cache's clients send.
const SOFT_FIELDS: [&str; 2] = ["fastly-soft-purge", "soft-purge"];

/// Selectors named in an event.
const SELECTORS_TOLD: usize = 8;

#[cfg(test)]
mod tests;
