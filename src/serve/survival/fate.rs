//! What becomes of a request when every origin is down: now, and for as long as that may last.

use std::time::{Duration, Instant};

use crate::cache::stored::StoredHead;
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::freshness::{FreshnessPolicy, Prohibition};
use crate::serve::judge::{Found, Origins, Way, judge};

/// How long the outage has lasted, and how metrics and `/status` call that.
pub const HORIZONS: [(&str, Duration); 5] = [
    ("now", Duration::ZERO),
    ("5m", Duration::from_secs(5 * 60)),
    ("1h", Duration::from_secs(60 * 60)),
    ("6h", Duration::from_secs(6 * 60 * 60)),
    ("24h", Duration::from_secs(24 * 60 * 60)),
];

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A stored response answers it.
    Answered,
    /// It gets an error, for this reason.
    Lost(Loss),
}

/// Its fate at each of the [`HORIZONS`].
pub type Fates = [Fate; HORIZONS.len()];

/// Why a request cannot be answered without an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The cache has no part in such requests, for this reason.
    Bypass(&'static str),
    /// The last answer was an error (5xx), of an origin or for want of one, or that is what is stored.
    Error,
    /// What is stored will have been stale for longer than it may be.
    Expired,
    /// It was storable, but is not there: evicted, refused on arrival, purged, or broken off.
    Gone,
    /// Its URL and what selects its variant are longer than what a sample keeps, so that nobody knows.
    LongUrl,
    /// The answer was not stored, for this reason.
    NotStored(&'static str),
    /// What is stored must not be served stale.
    Prohibited(Prohibition),
}

impl Loss {
    /// The word in metrics and `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass(reason) | Self::NotStored(reason) => reason,
            Self::Error => "error",
            Self::Expired => "expired",
            Self::Gone => "gone",
            Self::LongUrl => "long-url",
            Self::Prohibited(prohibition) => prohibition.as_str(),
        }
    }
}

/// The fates of a request that selects the response with this head, when the outage begins at `now`.
pub fn fates(head: &StoredHead, policy: &FreshnessPolicy, now: Instant) -> Fates {
    HORIZONS.map(|(_, lasts)| fate(head, policy, now + lasts))
}

fn fate(head: &StoredHead, policy: &FreshnessPolicy, now: Instant) -> Fate {
    if head.status.is_server_error() {
        return Fate::Lost(Loss::Error);
    }
    let found = Found { reuse: head.reuse(now, policy), age: head.age(now), revived: false };
    match judge(Some(found), &RequestDirectives::default(), || Origins::Down) {
        Way::Hit { .. } | Way::Stale { .. } => Fate::Answered,
        Way::Forward { .. } | Way::Unavailable => {
            let prohibition = head.lifetime().prohibition.filter(|one| !policy.stale_despite.contains(one));
            Fate::Lost(prohibition.map_or(Loss::Expired, Loss::Prohibited))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::cache::store::{Store, StoreCounters};
    use crate::cache::stored::Arrival;
    use crate::clock::Clock;
    use crate::semantics::freshness::Lifetime;
    use crate::semantics::key::cache_key;
    use crate::semantics::target::Target;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(60 * 60);
    const FRESH_FOR_A_MINUTE: Lifetime = Lifetime {
        freshness: MINUTE,
        initial_age: Duration::ZERO,
        stale_while_revalidate: None,
        stale_if_error: None,
        prohibition: None,
    };

    /// The losses at each horizon; an empty word is an answer.
    #[track_caller]
    fn check(case: &str, status: u16, lifetime: &Lifetime, policy: &FreshnessPolicy, expected: [&str; HORIZONS.len()]) {
        let now = Clock::new().now().monotonic;
        let store = Store::new(1 << 20, StoreCounters::default(), now);
        let key = cache_key(&Target::new("https", "www.test", None, "/"));
        let head = StoredHead::of(Arrival {
            status: StatusCode::from_u16(status).expect("a table holds statuses"),
            lifetime: lifetime.clone(),
            ..Arrival::plain(&key, store.fence("www.test", "/").stamps_with(&[], &[]), now)
        });
        let told = fates(&head, policy, now).map(|fate| match fate {
            Fate::Answered => "",
            Fate::Lost(loss) => loss.as_str(),
        });
        assert_eq!(told, expected, "{case}");
    }

    #[test]
    fn a_stored_response_answers_as_long_as_an_outage_lets_it() {
        let (plain, policy) = (&FRESH_FOR_A_MINUTE, &FreshnessPolicy::default());
        check("within stale.max", 200, plain, policy, ["", "", "", "", ""]);
        let short = FreshnessPolicy { stale_max: 2 * HOUR, ..policy.clone() };
        check("beyond stale.max", 200, plain, &short, ["", "", "", "expired", "expired"]);
        let fresh = Lifetime { freshness: 7 * HOUR, ..plain.clone() };
        check("fresh for longer", 200, &fresh, &short, ["", "", "", "", "expired"]);
        let bounded = Lifetime { stale_if_error: Some(MINUTE), ..plain.clone() };
        check("by its origin's word", 200, &bounded, policy, ["", "expired", "expired", "expired", "expired"]);
        check("an error of the client's", 404, plain, policy, ["", "", "", "", ""]);
        check("an error of the origin's", 503, plain, policy, ["error"; 5]);
    }

    #[test]
    fn what_must_not_be_stale_answers_while_it_is_fresh() {
        for (prohibition, word) in [
            (Prohibition::MustRevalidate, "must-revalidate"),
            (Prohibition::ProxyRevalidate, "proxy-revalidate"),
            (Prohibition::SharedMaxAge, "s-maxage"),
        ] {
            let lifetime = Lifetime { prohibition: Some(prohibition), ..FRESH_FOR_A_MINUTE };
            let policy = FreshnessPolicy::default();
            check("obeyed", 200, &lifetime, &policy, ["", word, word, word, word]);
            let despite = FreshnessPolicy { stale_despite: vec![prohibition], ..policy };
            check("overridden", 200, &lifetime, &despite, ["", "", "", "", ""]);
        }
        let never_fresh =
            Lifetime { freshness: Duration::ZERO, prohibition: Some(Prohibition::NoCache), ..FRESH_FOR_A_MINUTE };
        check("never fresh", 200, &never_fresh, &FreshnessPolicy::default(), ["no-cache"; 5]);
    }
}
