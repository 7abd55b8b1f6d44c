//! What is kept of one request, to see later whether it could be answered.

use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, ORIGIN};
use http::{HeaderMap, HeaderName};

use super::fate::Loss;
use crate::semantics::cache_status::ForwardReason;
use crate::semantics::key::CacheKey;
use crate::semantics::vary::Nominated;

/// One request of the last hour.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// The cache was asked, and can be asked again.
    Keyed {
        /// By what it was asked.
        key: CacheKey,
        /// What selects among the variants.
        nominated: Nominated,
        /// Why it could not be answered should nothing be found.
        otherwise: Loss,
    },
    /// It could not be answered, whatever is stored.
    Lost {
        /// The URL without its query, cut at [`SAMPLE_BYTES_MAX`] bytes.
        url: Box<str>,
        /// Why.
        loss: Loss,
    },
}

impl Sample {
    /// A request that the cache was asked for by `key`, with these fields.
    pub(super) fn keyed(key: &CacheKey, request: &HeaderMap, found: Option<Nominated<&[u8]>>) -> Self {
        // Nearly everything that varies does so by these; by what else, only a response could tell.
        let nominated = || Nominated::of(&COMMONLY_NOMINATED, request);
        Self::kept(key, found.map_or_else(nominated, Nominated::into_owned), Loss::Gone)
    }

    /// A request for `url` that the cache has no part in.
    pub(super) fn bypassing(url: &CacheKey, reason: ForwardReason, request: &HeaderMap) -> Self {
        let loss = match reason {
            ForwardReason::Method => Loss::Bypass("method"),
            _ if request.contains_key(AUTHORIZATION) => Loss::Bypass("authorization"),
            _ if request.contains_key(COOKIE) => Loss::Bypass("cookie"),
            _ => Loss::Bypass("key-too-long"),
        };
        Self::lost(url, loss)
    }

    /// The same, when a response has come that is selected by these fields.
    #[must_use]
    pub(super) fn selected_by(self, nominated: Nominated) -> Self {
        match self {
            Self::Keyed { key, otherwise, .. } => Self::kept(&key, nominated, otherwise),
            Self::Lost { .. } => self,
        }
    }

    /// The same, which would be lost for this reason should nothing be found.
    #[must_use]
    pub(super) fn otherwise(self, otherwise: Loss) -> Self {
        match self {
            Self::Keyed { key, nominated, .. } => Self::Keyed { key, nominated, otherwise },
            Self::Lost { .. } => self,
        }
    }

    fn kept(key: &CacheKey, nominated: Nominated, otherwise: Loss) -> Self {
        if key.as_str().len() + nominated.size() > SAMPLE_BYTES_MAX {
            return Self::lost(key, Loss::LongUrl);
        }
        Self::Keyed { key: key.clone(), nominated, otherwise }
    }

    fn lost(url: &CacheKey, loss: Loss) -> Self {
        let url = path_of(url.uri());
        // A canonical URL is ASCII.
        Self::Lost { url: url.get(..SAMPLE_BYTES_MAX).unwrap_or(url).into(), loss }
    }

    /// The URL without its query.
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Keyed { key, .. } => path_of(key.uri()),
            Self::Lost { url, .. } => url,
        }
    }
}

fn path_of(uri: &str) -> &str {
    uri.split('?').next().unwrap_or_default()
}

/// Request fields that variants are told apart by where nothing is known of the response.
const COMMONLY_NOMINATED: [HeaderName; 4] = [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ORIGIN];

/// Most bytes of a key and the fields that select a variant. Clients write both, and a sample must not become a way to
/// fill memory.
pub const SAMPLE_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::semantics::key::cache_key;
    use crate::semantics::target::Target;

    fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a table holds field values"))
        };
        lines.iter().map(line).collect()
    }

    fn key(path: &str) -> CacheKey {
        cache_key(&Target::new("https", "www.test", None, path))
    }

    #[test]
    fn a_request_that_the_cache_has_no_part_in_says_why() {
        for (reason, request, expected) in [
            (ForwardReason::Method, &[("authorization", "x")][..], "method"),
            (ForwardReason::Bypass, &[("authorization", "x"), ("cookie", "a=b")], "authorization"),
            (ForwardReason::Bypass, &[("cookie", "a=b")], "cookie"),
            (ForwardReason::Bypass, &[], "key-too-long"),
        ] {
            let sample = Sample::bypassing(&key("/cart?id=7"), reason, &fields(request));
            let expected = Sample::Lost { url: "https://www.test/cart".into(), loss: Loss::Bypass(expected) };
            assert_eq!(sample, expected, "{request:?}");
        }
    }

    #[test]
    fn what_is_kept_of_a_request_is_bounded() {
        let long = format!("/{}", "x".repeat(SAMPLE_BYTES_MAX));
        let sample = Sample::keyed(&key(&long), &HeaderMap::new(), None);
        assert_eq!(sample.url().len(), SAMPLE_BYTES_MAX);
        assert!(matches!(sample, Sample::Lost { loss: Loss::LongUrl, .. }), "{sample:?}");
        let value = "x".repeat(SAMPLE_BYTES_MAX);
        let wordy = Sample::keyed(&key("/x"), &fields(&[("accept", &value)]), None);
        assert!(matches!(wordy, Sample::Lost { loss: Loss::LongUrl, .. }), "{wordy:?}");
        let plain = Sample::keyed(&key("/x"), &HeaderMap::new(), None);
        assert!(matches!(plain, Sample::Keyed { .. }));
        let nominated = Nominated::of(&[ACCEPT], &fields(&[("accept", &value)]));
        assert!(matches!(plain.selected_by(nominated), Sample::Lost { loss: Loss::LongUrl, .. }));
    }

    #[test]
    fn the_query_is_nobodys_business() {
        assert_eq!(Sample::keyed(&key("/a/b?token=secret"), &HeaderMap::new(), None).url(), "https://www.test/a/b");
    }
}
