//! What the demo's origins serve: one small site of real files, the same on all of them.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use super::png;

/// The site's representations; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Assets {
    representations: Arc<[Representation]>,
}

/// One file with the fields that go with it.
#[derive(Clone, Debug)]
pub(super) struct Representation {
    /// The path it is found at.
    pub(super) path: &'static str,
    /// Its `Content-Type`.
    pub(super) content_type: &'static str,
    /// Its `Cache-Control`, for every cache.
    pub(super) cache_control: &'static str,
    /// Its `CDN-Cache-Control`, which speaks to the edge alone.
    pub(super) cdn_cache_control: Option<&'static str>,
    /// Its strong entity tag.
    pub(super) entity_tag: HeaderValue,
    /// Its bytes.
    pub(super) body: Bytes,
}

/// Where the 20 MiB file is found.
pub(super) const LARGE_FILE: &str = "/20-mib.bin";

/// The path that no cache may store.
pub(super) const NEVER_CACHED: &str = "/never-cached";

/// The path for probes.
pub(super) const HEALTH: &str = "/health";

/// A picture, large enough for a body to break off in it.
pub(super) const WAVES: &str = "/waves.png";

/// A small stored answer; every other query makes it a new URL.
pub(super) const PULSE: &str = "/pulse.json";

/// `Last-Modified` of every representation.
pub(super) const LAST_MODIFIED: &str = "Thu, 01 Oct 2026 06:00:00 GMT";

impl Assets {
    /// Makes the site; takes some milliseconds for the 20 MiB file.
    pub(super) fn new() -> Self {
        let html = Bytes::from_static(include_bytes!("assets/index.html"));
        let files = [
            ("/", "text/html; charset=utf-8", PAGE, html.clone()),
            ("/index.html", "text/html; charset=utf-8", PAGE, html),
            ("/style.css", "text/css; charset=utf-8", ASSET, include_bytes!("assets/style.css")[..].into()),
            ("/demo.js", "text/javascript; charset=utf-8", ASSET, include_bytes!("assets/demo.js")[..].into()),
            ("/mark.svg", "image/svg+xml", ASSET, include_bytes!("assets/mark.svg")[..].into()),
            (WAVES, "image/png", ASSET, png::waves(WAVES_SIDE).into()),
            (LARGE_FILE, "application/octet-stream", ASSET, noise(LARGE_FILE_BYTES)),
            (PULSE, "application/json", NO_STORE, include_bytes!("assets/pulse.json")[..].into()),
            (NEVER_CACHED, "text/plain; charset=utf-8", NO_STORE, "No cache may store this.\n".into()),
            (HEALTH, "text/plain; charset=utf-8", NO_STORE, "ok\n".into()),
        ];
        let representations = files.into_iter().map(|(path, content_type, cache_control, body)| Representation {
            path,
            content_type,
            cache_control,
            cdn_cache_control: (path == PULSE).then_some(PULSE_AT_THE_EDGE),
            entity_tag: entity_tag(&body),
            body,
        });
        Self { representations: representations.collect() }
    }

    /// The representation at `path`, which has no query.
    pub(super) fn find(&self, path: &str) -> Option<&Representation> {
        self.representations.iter().find(|representation| representation.path == path)
    }

    /// All representations.
    #[cfg(test)]
    pub(super) fn all(&self) -> &[Representation] {
        &self.representations
    }
}

impl Default for Assets {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that look random and are the same in every run, so that a wrong splice is seen wherever it happens.
fn noise(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(NOISE_SEED).fill(&mut bytes);
    bytes.into()
}

fn entity_tag(body: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish())).expect("hexadecimal digits are field content")
}

/// Short, so that one sees responses go stale and be renewed.
const PAGE: &str = "max-age=5, stale-while-revalidate=30";
const ASSET: &str = "max-age=300, stale-while-revalidate=600";
const NO_STORE: &str = "no-store";

/// Browsers ask the edge for every pulse, while the edge keeps it.
const PULSE_AT_THE_EDGE: &str = "max-age=5, stale-while-revalidate=30";

const LARGE_FILE_BYTES: usize = 20 * 1024 * 1024;
const NOISE_SEED: u64 = 20;
const WAVES_SIDE: u16 = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_make_the_same_site() {
        let (first, second) = (Assets::new(), Assets::new());
        for (a, b) in first.all().iter().zip(second.all()) {
            assert_eq!((a.path, &a.entity_tag), (b.path, &b.entity_tag));
            assert!(a.body == b.body, "{}", a.path);
        }
    }

    #[test]
    fn the_page_refers_to_nothing_that_is_not_served() {
        let assets = Assets::new();
        let [page, script, style] = ["/", "/demo.js", "/style.css"].map(|path| assets.find(path).unwrap());
        for file in [page, script, style] {
            let text = String::from_utf8(file.body.to_vec()).unwrap();
            assert!(
                !text.contains("//cdn") && !text.contains("url(http") && !text.contains("@import"),
                "{}",
                file.path
            );
            for (_, rest) in text.match_indices("=\"/").map(|(at, _)| text.split_at(at + 2)) {
                let path = rest.split(['"', '?']).next().unwrap();
                assert!(assets.find(path).is_some(), "{} refers to {path}", file.path);
            }
        }
    }

    #[test]
    fn the_large_file_is_twenty_mebibytes() {
        assert_eq!(Assets::new().find(LARGE_FILE).map(|file| file.body.len()), Some(20 << 20));
    }

    #[test]
    fn the_pulse_is_json() {
        let assets = Assets::new();
        let pulse = assets.find(PULSE).unwrap();
        assert!(serde_json::from_slice::<serde_json::Value>(&pulse.body).is_ok());
    }
}
