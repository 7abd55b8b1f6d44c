//! Enums that are written as words.

use super::model::{Accepts, Authorization, FailbackMode, FirstRemedy, PlainHttp};
use super::units::FromText;
use crate::semantics::cache_control::Honored;
use crate::semantics::content_coding::ContentCoding;
use crate::semantics::freshness::Prohibition;
use crate::semantics::storable::SetCookie;

/// An enum whose variants have one written word each.
pub(super) trait Word: Clone + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

/// The words of `W`, in the order of its table.
pub(super) fn words<W: Word>() -> Vec<&'static str> {
    W::WORDS.iter().map(|(word, _)| *word).collect()
}

impl Word for Accepts {
    const WORDS: &'static [(&'static str, Self)] = &[("all", Self::All), ("read-only", Self::ReadOnly)];
}

impl Word for ContentCoding {
    const WORDS: &'static [(&'static str, Self)] = &[("br", Self::Brotli), ("zstd", Self::Zstd), ("gzip", Self::Gzip)];
}

impl Word for Authorization {
    const WORDS: &'static [(&'static str, Self)] = &[("bypass", Self::Bypass), ("cache", Self::Cache)];
}

impl Word for FailbackMode {
    const WORDS: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("manual", Self::Manual)];
}

impl Word for FirstRemedy {
    const WORDS: &'static [(&'static str, Self)] = &[("origin", Self::Origin), ("stale", Self::Stale)];
}

impl Word for Honored {
    const WORDS: &'static [(&'static str, Self)] = &[("safe", Self::Safe), ("all", Self::All), ("none", Self::None)];
}

impl Word for PlainHttp {
    const WORDS: &'static [(&'static str, Self)] = &[("redirect", Self::Redirect), ("serve", Self::Serve)];
}

impl Word for Prohibition {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("must-revalidate", Self::MustRevalidate),
        ("proxy-revalidate", Self::ProxyRevalidate),
        ("s-maxage", Self::SharedMaxAge),
        ("no-cache", Self::NoCache),
    ];
}

impl Word for SetCookie {
    const WORDS: &'static [(&'static str, Self)] =
        &[("explicit", Self::Explicit), ("letter", Self::Letter), ("never", Self::Never)];
}

impl<W: Word> FromText for W {
    fn from_text(text: &str) -> Option<Self> {
        W::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone())
    }
}
