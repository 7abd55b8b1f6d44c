//! What operators name: sites' URLs, directories, hosts and tags.

use std::sync::Arc;

use http::{HeaderMap, Uri, Version};

use crate::cache::purge::{DIRECTORIES_MAX, Selector};
use crate::semantics::surrogate::TAG_BYTES_MAX;
use crate::semantics::target::{BadTarget, Target, target};
use crate::serve::site::{Site, SiteTable};

/// Why something that an operator names cannot be purged or looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadName {
    /// Directories this deep are not told apart.
    #[error("expected at most {DIRECTORIES_MAX} directories")]
    Depth,
    /// Not a directory: it does not end in a slash, or has a query.
    #[error("expected a URL that ends with \"/\" and has no query, such as \"https://www.example.org/images/\"")]
    Directory,
    /// No host of a site.
    #[error("no site serves this host; expected a host name that clients ask for, without port and without \"*\"")]
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

/// The site of a URL, and the target that a client asks for with it.
pub(super) fn target_of<'a>(sites: &'a SiteTable, url: &str) -> Result<(&'a Arc<Site>, Target), BadName> {
    let uri: Uri = url.parse().map_err(|_| BadName::Url)?;
    let scheme = uri.scheme_str().ok_or(BadName::Url)?;
    let target = target(scheme, &uri, &HeaderMap::new(), Version::HTTP_2)?;
    let site = sites.find(target.host()).ok_or(BadName::Host)?;
    Ok((site, target))
}

/// The selector of a URL: that under which responses to it are stored.
pub(super) fn url(sites: &SiteTable, url: &str) -> Result<Selector, BadName> {
    let (site, mut target) = target_of(sites, url)?;
    site.config.key.reduce(&mut target);
    Ok(Selector::url(&target))
}

/// The selector of everything below a directory, named by its URL.
pub(super) fn directory(sites: &SiteTable, url: &str) -> Result<Selector, BadName> {
    let (_, target) = target_of(sites, url)?;
    let (host, path) = (target.host().into(), target.path_and_query());
    if !path.ends_with('/') || path.contains('?') {
        return Err(BadName::Directory);
    }
    match path.matches('/').count() - 1 {
        0 => Ok(Selector::Host(host)),
        1..=DIRECTORIES_MAX => Ok(Selector::Directory { host, path: path.into() }),
        _ => Err(BadName::Depth),
    }
}

/// The selector of a host.
pub(super) fn host(sites: &SiteTable, host: &str) -> Result<Selector, BadName> {
    let literal = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let (_, target) = target_of(sites, &format!("https://{literal}/")).map_err(|_| BadName::Host)?;
    let is_host_alone = target.port().is_none() && target.path_and_query() == "/";
    if is_host_alone { Ok(Selector::Host(target.host().into())) } else { Err(BadName::Host) }
}

/// The selector of a tag.
pub(super) fn tag(tag: &str) -> Result<Selector, BadName> {
    let tag = tag.trim_matches([' ', '\t']);
    if (1..=TAG_BYTES_MAX).contains(&tag.len()) { Ok(Selector::Tag(tag.into())) } else { Err(BadName::Tag) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_any_text_of_its_length() {
        check("red", Ok("tag red"));
        check(" red shoes ", Ok("tag red shoes"));
        check("", Err(BadName::Tag));
        check(" ", Err(BadName::Tag));
        check(&"x".repeat(TAG_BYTES_MAX + 1), Err(BadName::Tag));
    }

    #[track_caller]
    fn check(text: &str, expected: Result<&str, BadName>) {
        let found = tag(text).map(|selector| selector.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text:?}");
    }
}
