//! Which way a cacheable request goes: the one decision of the road, free of I/O and time.

use std::time::Duration;

use crate::semantics::freshness::Reuse;

/// The way to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Answer with the fresh response; it stays so for `ttl`.
    Hit {
        /// Freshness left.
        ttl: Duration,
    },
    /// Ask an origin; whether the stale response may answer should that fail.
    Forward {
        /// Whether a stale response may answer instead.
        fallback: Fallback,
    },
    /// Answer with the stale response at once.
    Stale {
        /// Time since its freshness ended.
        past: Duration,
        /// Why without asking an origin first.
        reason: StaleReason,
    },
    /// Nothing may answer, and no origin can be asked.
    Unavailable,
}

/// What remains when every origin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing that may be served.
    Nothing,
    /// The stale response, for its freshness ended this long ago and its origin allows it.
    Stale {
        /// Time since its freshness ended.
        past: Duration,
    },
}

/// Why a stale response is served; the `detail` of its `Cache-Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// An origin was asked and failed (RFC 5861 §4).
    IfError,
    /// Every origin is known to be down.
    OriginDown,
    /// An origin failed a moment ago and is not asked again so soon.
    Revived,
    /// The origin was asked and took too long; it may still answer for the next request.
    SlowOrigin,
    /// The origin is asked meanwhile (RFC 5861 §3).
    WhileRevalidate,
}

impl StaleReason {
    /// The word in `Cache-Status`, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IfError => "stale-if-error",
            Self::OriginDown => "origin-down",
            Self::Revived => "revived",
            Self::SlowOrigin => "slow-origin",
            Self::WhileRevalidate => "stale-while-revalidate",
        }
    }

    /// Whether an origin should be asked in the background.
    pub fn refreshes(self) -> bool {
        self == Self::WhileRevalidate
    }
}

/// Judges what was found (`None`: nothing) when a failed revalidation has `revived` it or not, and every origin of the
/// site is `down` or not.
pub fn judge(found: Option<Reuse>, revived: bool, down: bool) -> Way {
    match found {
        Some(Reuse::Fresh { ttl }) => Way::Hit { ttl },
        Some(Reuse::StaleWhileRevalidate { past } | Reuse::StaleIfError { past }) if down => {
            Way::Stale { past, reason: StaleReason::OriginDown }
        }
        Some(Reuse::StaleWhileRevalidate { past } | Reuse::StaleIfError { past }) if revived => {
            Way::Stale { past, reason: StaleReason::Revived }
        }
        Some(Reuse::StaleWhileRevalidate { past }) => Way::Stale { past, reason: StaleReason::WhileRevalidate },
        Some(Reuse::Unusable { .. }) | None if down => Way::Unavailable,
        Some(Reuse::StaleIfError { past }) => Way::Forward { fallback: Fallback::Stale { past } },
        Some(Reuse::Unusable { .. }) | None => Way::Forward { fallback: Fallback::Nothing },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAST: Duration = Duration::from_secs(5);

    #[track_caller]
    fn check(found: Option<Reuse>, revived: bool, down: bool, expected: Way) {
        assert_eq!(judge(found, revived, down), expected);
    }

    #[test]
    fn fresh_is_a_hit_whatever_the_origins_do() {
        for (revived, down) in [(false, false), (true, false), (false, true), (true, true)] {
            check(Some(Reuse::Fresh { ttl: PAST }), revived, down, Way::Hit { ttl: PAST });
        }
    }

    #[test]
    fn stale_is_served_at_once_while_every_origin_is_down() {
        let down = Way::Stale { past: PAST, reason: StaleReason::OriginDown };
        check(Some(Reuse::StaleWhileRevalidate { past: PAST }), false, true, down);
        check(Some(Reuse::StaleIfError { past: PAST }), true, true, down);
    }

    #[test]
    fn what_must_not_be_served_stale_is_not_even_in_an_outage() {
        check(Some(Reuse::Unusable { past: PAST }), true, true, Way::Unavailable);
        check(Some(Reuse::Unusable { past: PAST }), false, false, Way::Forward { fallback: Fallback::Nothing });
    }

    #[test]
    fn one_failure_spares_the_origin_the_next_requests() {
        check(
            Some(Reuse::StaleIfError { past: PAST }),
            true,
            false,
            Way::Stale { past: PAST, reason: StaleReason::Revived },
        );
        check(
            Some(Reuse::StaleIfError { past: PAST }),
            false,
            false,
            Way::Forward { fallback: Fallback::Stale { past: PAST } },
        );
    }

    #[test]
    fn stale_while_revalidate_does_not_wait() {
        check(
            Some(Reuse::StaleWhileRevalidate { past: PAST }),
            false,
            false,
            Way::Stale { past: PAST, reason: StaleReason::WhileRevalidate },
        );
    }

    #[test]
    fn nothing_stored_waits_for_an_origin_unless_none_can_answer() {
        check(None, false, false, Way::Forward { fallback: Fallback::Nothing });
        check(None, false, true, Way::Unavailable);
    }
}
