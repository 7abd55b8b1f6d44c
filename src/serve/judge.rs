//! Which way a cacheable request goes: the one decision of the road, free of I/O and time.

use std::time::{Duration, Instant};

use crate::cache::stored::StoredResponse;
use crate::origin::health::outage::OutageMode;
use crate::origin::pool::Pool;
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::cache_status::ForwardReason;
use crate::semantics::freshness::{FreshnessPolicy, Reuse};

/// A stored response, as far as the decision needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// How it may be used.
    pub reuse: Reuse,
    /// Its current age.
    pub age: Duration,
    /// Whether an origin failed to validate it a moment ago.
    pub revived: bool,
}

impl Found {
    /// What there is to know of `stored` at `now`.
    pub fn of(stored: &StoredResponse, policy: &FreshnessPolicy, now: Instant) -> Self {
        let head = &stored.head;
        Self { reuse: head.reuse(now, policy), age: head.age(now), revived: stored.revived(now) }
    }
}

/// The way to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Answer with the fresh response; it stays so for `ttl`.
    Hit {
        /// Freshness left.
        ttl: Duration,
    },
    /// Ask an origin.
    Forward {
        /// What may answer should that fail.
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

impl Way {
    /// Why the request is forwarded, if it is: `reason`, unless a fresh response was found that the request did not want.
    pub fn forward_reason(self, reason: ForwardReason) -> ForwardReason {
        match self {
            Self::Forward { fallback: Fallback::Fresh { .. } } => ForwardReason::Request,
            Self::Forward { .. } | Self::Hit { .. } | Self::Stale { .. } | Self::Unavailable => reason,
        }
    }
}

/// What remains when every origin fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The fresh response that the request did not want unasked: better than an error, for what a request says of caches
    /// is advice.
    Fresh {
        /// Freshness left.
        ttl: Duration,
    },
    /// The stale response that may be garbage, for its freshness ended this long ago and its origin allows it. It is
    /// better than an error, and worse than waiting.
    LastRemedy {
        /// Time since its freshness ended.
        past: Duration,
    },
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
    /// The request accepts it (RFC 9111 §5.2.1.2).
    MaxStale,
    /// Every origin is known to be down.
    OriginDown,
    /// The origins have just come back; one is asked meanwhile.
    Recovering,
    /// An origin failed a moment ago and is not asked again so soon.
    Revived,
    /// The origin was asked and took too long; it may still answer for the next request.
    SlowOrigin,
    /// It came shortly before its origin was found failing and may be garbage, but nothing else is to be had.
    Suspect {
        /// Whether an origin was asked for this answer, and failed.
        asked: bool,
    },
    /// The origin is asked meanwhile (RFC 5861 §3).
    WhileRevalidate,
}

impl StaleReason {
    /// The word in `Cache-Status`, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IfError => "stale-if-error",
            Self::MaxStale => "max-stale",
            Self::OriginDown => "origin-down",
            Self::Recovering => "recovering",
            Self::Revived => "revived",
            Self::SlowOrigin => "slow-origin",
            Self::Suspect { .. } => "suspect",
            Self::WhileRevalidate => "stale-while-revalidate",
        }
    }

    /// Whether an origin should be asked in the background.
    pub fn refreshes(self) -> bool {
        matches!(self, Self::Recovering | Self::WhileRevalidate)
    }
}

/// How the origins of a site stand as a whole, as far as the decision needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origins {
    /// None is to be asked.
    Down,
    /// They have just come back: whoever can do without an answer of theirs does not wait for one.
    Recovering,
    /// They are to be asked.
    Up,
}

impl Origins {
    /// Those of a pool.
    pub fn of(pool: &Pool) -> Self {
        match pool.mode() {
            OutageMode::StaleOnly if pool.is_down() => Self::Down,
            OutageMode::Recovering => Self::Recovering,
            OutageMode::Degraded | OutageMode::Normal | OutageMode::StaleOnly => Self::Up,
        }
    }
}

/// Judges what was found for a request with these directives, while the site's `origins` stand like that: what is fresh
/// enough for the request does not depend on it. An outage overrules what the request asks for: there is nobody left to
/// ask.
pub fn judge(found: Option<Found>, asked: &RequestDirectives, origins: impl FnOnce() -> Origins) -> Way {
    if let Some(Found { reuse: Reuse::Fresh { ttl }, age, .. }) = found
        && asked.accept_fresh(age, ttl)
    {
        return Way::Hit { ttl };
    }
    let origins = origins();
    let down = origins == Origins::Down;
    let Some(Found { reuse, age, revived }) = found else {
        return if down { Way::Unavailable } else { Way::Forward { fallback: Fallback::Nothing } };
    };
    match reuse {
        Reuse::Fresh { ttl } if down => Way::Hit { ttl },
        Reuse::Fresh { ttl } => Way::Forward { fallback: Fallback::Fresh { ttl } },
        Reuse::StaleWhileRevalidate { past } | Reuse::StaleIfError { past } if down => {
            Way::Stale { past, reason: StaleReason::OriginDown }
        }
        Reuse::StaleWhileRevalidate { past } | Reuse::StaleIfError { past } if revived => {
            Way::Stale { past, reason: StaleReason::Revived }
        }
        Reuse::StaleWhileRevalidate { past } if !asked.insist_on_fresh() => {
            Way::Stale { past, reason: StaleReason::WhileRevalidate }
        }
        Reuse::StaleIfError { past } if origins == Origins::Recovering && !asked.insist_on_fresh() => {
            Way::Stale { past, reason: StaleReason::Recovering }
        }
        Reuse::StaleIfError { past } if asked.accept_stale(age, past) => {
            Way::Stale { past, reason: StaleReason::MaxStale }
        }
        Reuse::StaleWhileRevalidate { past } | Reuse::StaleIfError { past } => {
            Way::Forward { fallback: Fallback::Stale { past } }
        }
        // Even if every origin failed a moment ago: better asked in vain than garbage.
        Reuse::LastRemedy { past } if down => Way::Stale { past, reason: StaleReason::Suspect { asked: false } },
        Reuse::LastRemedy { past } => Way::Forward { fallback: Fallback::LastRemedy { past } },
        Reuse::Unusable { .. } if down => Way::Unavailable,
        Reuse::Unusable { .. } => Way::Forward { fallback: Fallback::Nothing },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::cache_control::MaxStale;

    const AGE: Duration = Duration::from_secs(20);
    const PAST: Duration = Duration::from_secs(5);
    const FRESH: Reuse = Reuse::Fresh { ttl: PAST };
    const WHILE_REVALIDATE: Reuse = Reuse::StaleWhileRevalidate { past: PAST };
    const IF_ERROR: Reuse = Reuse::StaleIfError { past: PAST };
    const LAST_REMEDY: Reuse = Reuse::LastRemedy { past: PAST };
    const UNUSABLE: Reuse = Reuse::Unusable { past: PAST };

    fn nothing_asked() -> RequestDirectives {
        RequestDirectives::default()
    }

    fn no_cache() -> RequestDirectives {
        RequestDirectives { no_cache: true, ..nothing_asked() }
    }

    fn max_stale(seconds: u64) -> RequestDirectives {
        RequestDirectives { max_stale: Some(MaxStale::For(Duration::from_secs(seconds))), ..nothing_asked() }
    }

    #[track_caller]
    fn check(reuse: Reuse, revived: bool, down: bool, asked: &RequestDirectives, expected: Way) {
        check_with(reuse, revived, if down { Origins::Down } else { Origins::Up }, asked, expected);
    }

    #[track_caller]
    fn check_with(reuse: Reuse, revived: bool, origins: Origins, asked: &RequestDirectives, expected: Way) {
        assert_eq!(judge(Some(Found { reuse, age: AGE, revived }), asked, || origins), expected);
    }

    fn stale(reason: StaleReason) -> Way {
        Way::Stale { past: PAST, reason }
    }

    fn forward(fallback: Fallback) -> Way {
        Way::Forward { fallback }
    }

    #[test]
    fn fresh_is_a_hit_whatever_the_origins_do() {
        for (revived, down) in [(false, false), (true, false), (false, true), (true, true)] {
            check(FRESH, revived, down, &nothing_asked(), Way::Hit { ttl: PAST });
            check(FRESH, revived, down, &max_stale(0), Way::Hit { ttl: PAST });
        }
    }

    #[test]
    fn a_request_may_want_better_than_fresh_unless_nobody_can_be_asked() {
        for asked in [
            no_cache(),
            RequestDirectives { max_age: Some(AGE / 2), ..nothing_asked() },
            RequestDirectives { min_fresh: Some(AGE), ..nothing_asked() },
        ] {
            check(FRESH, false, false, &asked, forward(Fallback::Fresh { ttl: PAST }));
            check(FRESH, false, true, &asked, Way::Hit { ttl: PAST });
            check(WHILE_REVALIDATE, false, false, &asked, forward(Fallback::Stale { past: PAST }));
            check(WHILE_REVALIDATE, false, true, &asked, stale(StaleReason::OriginDown));
        }
    }

    #[test]
    fn stale_is_served_at_once_while_every_origin_is_down() {
        check(WHILE_REVALIDATE, false, true, &nothing_asked(), stale(StaleReason::OriginDown));
        check(IF_ERROR, true, true, &no_cache(), stale(StaleReason::OriginDown));
    }

    #[test]
    fn what_must_not_be_served_stale_is_not_even_in_an_outage_or_on_request() {
        check(UNUSABLE, true, true, &max_stale(60), Way::Unavailable);
        check(UNUSABLE, false, false, &max_stale(60), forward(Fallback::Nothing));
    }

    #[test]
    fn a_suspect_answers_only_when_nobody_can_be_asked() {
        for asked in [nothing_asked(), no_cache(), max_stale(60)] {
            check(LAST_REMEDY, false, false, &asked, forward(Fallback::LastRemedy { past: PAST }));
            check(LAST_REMEDY, false, true, &asked, stale(StaleReason::Suspect { asked: false }));
            check(LAST_REMEDY, true, false, &asked, forward(Fallback::LastRemedy { past: PAST }));
        }
    }

    #[test]
    fn one_failure_spares_the_origin_the_next_requests() {
        check(IF_ERROR, true, false, &nothing_asked(), stale(StaleReason::Revived));
        check(IF_ERROR, true, false, &no_cache(), stale(StaleReason::Revived));
        check(IF_ERROR, false, false, &nothing_asked(), forward(Fallback::Stale { past: PAST }));
    }

    #[test]
    fn stale_while_revalidate_does_not_wait() {
        check(WHILE_REVALIDATE, false, false, &nothing_asked(), stale(StaleReason::WhileRevalidate));
        check(WHILE_REVALIDATE, false, false, &max_stale(1), stale(StaleReason::WhileRevalidate));
    }

    #[test]
    fn nobody_waits_for_origins_that_have_just_come_back_who_has_something_stale() {
        for (reuse, revived, asked, expected) in [
            (IF_ERROR, false, nothing_asked(), stale(StaleReason::Recovering)),
            (IF_ERROR, false, max_stale(60), stale(StaleReason::Recovering)),
            (IF_ERROR, true, nothing_asked(), stale(StaleReason::Revived)),
            (IF_ERROR, false, no_cache(), forward(Fallback::Stale { past: PAST })),
            (WHILE_REVALIDATE, false, nothing_asked(), stale(StaleReason::WhileRevalidate)),
            (LAST_REMEDY, false, nothing_asked(), forward(Fallback::LastRemedy { past: PAST })),
            (UNUSABLE, false, nothing_asked(), forward(Fallback::Nothing)),
            (FRESH, false, nothing_asked(), Way::Hit { ttl: PAST }),
        ] {
            check_with(reuse, revived, Origins::Recovering, &asked, expected);
        }
    }

    #[test]
    fn a_client_that_accepts_stale_does_not_wait() {
        check(IF_ERROR, false, false, &max_stale(5), stale(StaleReason::MaxStale));
        check(IF_ERROR, false, false, &max_stale(4), forward(Fallback::Stale { past: PAST }));
    }

    #[test]
    fn nothing_stored_waits_for_an_origin_unless_none_can_answer() {
        assert_eq!(judge(None, &max_stale(60), || Origins::Up), forward(Fallback::Nothing));
        assert_eq!(judge(None, &nothing_asked(), || Origins::Down), Way::Unavailable);
        assert_eq!(judge(None, &nothing_asked(), || Origins::Recovering), forward(Fallback::Nothing));
    }
}
