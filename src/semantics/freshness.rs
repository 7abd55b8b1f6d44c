//! Freshness lifetime, current age and the stale windows (RFC 9111 §4.2, RFC 5861).

use std::time::{Duration, SystemTime};

use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use super::cache_control::ResponseDirectives;
use super::date::http_date;
use super::field;

/// How long responses of a site are fresh and how long they may be served stale, where the origin leaves a choice.
#[derive(Clone, Debug, PartialEq)]
pub struct FreshnessPolicy {
    /// Heuristic freshness as a share of the time since `Last-Modified` (§4.2.2), in percent.
    pub heuristic_percent: u32,
    /// Longest heuristic freshness.
    pub heuristic_max: Duration,
    /// Stale-while-revalidate window of fresh responses whose origin states none.
    pub stale_while_revalidate: Duration,
    /// Nothing is ever served this long after it expired, or later.
    pub stale_max: Duration,
    /// Prohibitions that the operator overrides, by agreement with the origin.
    pub stale_despite: Vec<Prohibition>,
}

impl Default for FreshnessPolicy {
    fn default() -> Self {
        Self {
            heuristic_percent: 10,
            heuristic_max: Duration::from_secs(24 * 60 * 60),
            stale_while_revalidate: Duration::from_secs(60),
            stale_max: Duration::from_secs(24 * 60 * 60),
            stale_despite: Vec::new(),
        }
    }
}

/// How long errors are fresh whose origin says nothing of that: for a site to decide, as a crowd that asks for what is not
/// there costs an origin as much as one that asks for what is.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Negative(pub Vec<(StatusCode, Duration)>);

impl Negative {
    /// The lifetime of this status, if it has one.
    pub fn lifetime(&self, status: StatusCode) -> Option<Duration> {
        self.0.iter().find(|(known, _)| *known == status).map(|(_, lifetime)| *lifetime)
    }
}

/// A response directive that forbids serving stale (§4.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prohibition {
    /// `must-revalidate` (§5.2.2.2).
    MustRevalidate,
    /// `no-cache` (§5.2.2.4): not even fresh without validation.
    NoCache,
    /// `proxy-revalidate` (§5.2.2.8).
    ProxyRevalidate,
    /// `s-maxage` (§5.2.2.10), which "incorporates the semantics of the proxy-revalidate response directive".
    SharedMaxAge,
}

impl Prohibition {
    /// The directive, as metrics and configuration name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MustRevalidate => "must-revalidate",
            Self::NoCache => "no-cache",
            Self::ProxyRevalidate => "proxy-revalidate",
            Self::SharedMaxAge => "s-maxage",
        }
    }
}

/// What the origin said about time, as arithmetic needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifetime {
    /// freshness_lifetime (§4.2.1); zero if the response is never fresh.
    pub freshness: Duration,
    /// corrected_initial_age (§4.2.3).
    pub initial_age: Duration,
    /// The origin's stale-while-revalidate window.
    pub stale_while_revalidate: Option<Duration>,
    /// The origin's stale-if-error window.
    pub stale_if_error: Option<Duration>,
    /// The strongest prohibition of serving stale that the policy does not override, else the strongest one.
    pub prohibition: Option<Prohibition>,
}

/// A [`Lifetime`] in few bytes, as it is kept with what is stored.
#[derive(Clone, Copy, Debug)]
pub struct PackedLifetime {
    freshness: PackedDuration,
    initial_age: PackedDuration,
    stale_while_revalidate: PackedDuration,
    stale_if_error: PackedDuration,
    prohibition: Option<Prohibition>,
}

impl PackedLifetime {
    /// The lifetime, each duration within what [`PackedDuration`] tells.
    pub fn get(&self) -> Lifetime {
        let stated = |window: PackedDuration| (window != PackedDuration::NONE).then(|| window.get());
        Lifetime {
            freshness: self.freshness.get(),
            initial_age: self.initial_age.get(),
            stale_while_revalidate: stated(self.stale_while_revalidate),
            stale_if_error: stated(self.stale_if_error),
            prohibition: self.prohibition,
        }
    }

    /// [`Lifetime::current_age`] of it.
    pub fn current_age(&self, resident: Duration) -> Duration {
        self.initial_age.get().saturating_add(resident)
    }
}

impl From<Lifetime> for PackedLifetime {
    fn from(lifetime: Lifetime) -> Self {
        let window = |stated: Option<Duration>| stated.map_or(PackedDuration::NONE, PackedDuration::of);
        Self {
            freshness: PackedDuration::of(lifetime.freshness),
            initial_age: PackedDuration::of(lifetime.initial_age),
            stale_while_revalidate: window(lifetime.stale_while_revalidate),
            stale_if_error: window(lifetime.stale_if_error),
            prohibition: lifetime.prohibition,
        }
    }
}

/// A duration in four bytes, rounded down: in milliseconds up to 24 days, in seconds up to 68 years, and never longer. "If
/// a cache receives a delta-seconds value greater than the greatest integer it can represent […] the cache MUST consider
/// the value to be 2147483648 (2^31) or the greatest positive integer it can conveniently represent." (RFC 9111 §1.2.2)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedDuration(u32);

impl PackedDuration {
    /// No duration.
    const NONE: Self = Self(u32::MAX);

    /// The longest one that is not longer than `duration`.
    pub fn of(duration: Duration) -> Self {
        match u32::try_from(duration.as_millis()) {
            Ok(milliseconds) if milliseconds < IN_SECONDS => Self(milliseconds),
            _ => Self(IN_SECONDS | duration.as_secs().min(SECONDS_MAX) as u32),
        }
    }

    /// The duration.
    pub fn get(self) -> Duration {
        match self.0.checked_sub(IN_SECONDS) {
            None => Duration::from_millis(self.0.into()),
            Some(seconds) => Duration::from_secs(seconds.into()),
        }
    }

    /// Four bytes that it can be made from again.
    pub fn to_bits(self) -> u32 {
        self.0
    }

    /// The one with these [bits](Self::to_bits).
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// From here on, a packed duration is in seconds.
const IN_SECONDS: u32 = 1 << 31;

/// The longest packed duration: of a second more there are no bits but those that stand for none.
const SECONDS_MAX: u64 = (IN_SECONDS - 2) as u64;

/// The lifetime of a response received at `response_time` for a request begun at `request_time`, both wall time of this
/// node.
pub fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    request_time: SystemTime,
    response_time: SystemTime,
    policy: &FreshnessPolicy,
    negative: &Negative,
) -> Lifetime {
    // "using the time the message was received if it is not present" (§4.2.1)
    let date = headers.get(DATE).and_then(http_date).unwrap_or(response_time);
    let stated = freshness_lifetime(status, headers, directives, date, response_time, policy);
    let is_silent = stated.is_zero() && !directives.has_explicit_expiration(headers);
    let granted = negative.lifetime(status).filter(|_| is_silent);
    let lifetime = Lifetime {
        freshness: granted.unwrap_or(stated),
        initial_age: corrected_initial_age(headers, date, request_time, response_time),
        // What is not there may be there soon: the lifetime that a site grants an error is not prolonged.
        stale_while_revalidate: directives.stale_while_revalidate.or(granted.map(|_| Duration::ZERO)),
        stale_if_error: directives.stale_if_error,
        prohibition: prohibition(directives, policy),
    };
    if directives.no_cache {
        // "no-store and no-cache make max-age inoperative" (RFC 9213 §2.2)
        return Lifetime { freshness: Duration::ZERO, stale_while_revalidate: Some(Duration::ZERO), ..lifetime };
    }
    lifetime
}

impl Lifetime {
    /// current_age, `resident` (monotonic) after the response was received or last validated (§4.2.3).
    pub fn current_age(&self, resident: Duration) -> Duration {
        // current_age = corrected_initial_age + resident_time;
        self.initial_age.saturating_add(resident)
    }
}

/// How a stored response may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Without asking anyone.
    Fresh {
        /// Until it is stale; never zero.
        ttl: Duration,
    },
    /// At once, while it is validated in the background (RFC 5861 §3).
    StaleWhileRevalidate {
        /// Since it became stale.
        past: Duration,
    },
    /// When no origin answers, or none without error (RFC 5861 §4, RFC 9111 §4.2.4).
    StaleIfError {
        /// Since it became stale.
        past: Duration,
    },
    /// When no origin answers, or none without error, and asked without a validator: it may be garbage.
    LastRemedy {
        /// Since it became stale.
        past: Duration,
    },
    /// After successful validation only, whatever happens.
    Unusable {
        /// Since it became stale.
        past: Duration,
    },
}

impl Reuse {
    /// The same of a stored response that may be garbage: it is stale, and answers only where nothing else does.
    #[must_use]
    pub fn of_a_suspect(self) -> Self {
        match self {
            Self::StaleWhileRevalidate { past } | Self::StaleIfError { past } | Self::LastRemedy { past } => {
                Self::LastRemedy { past }
            }
            Self::Fresh { .. } => Self::LastRemedy { past: Duration::ZERO },
            Self::Unusable { past } => Self::Unusable { past },
        }
    }
}

/// How a response of this lifetime may be used, `resident` (monotonic) after it was received or last validated, and this
/// long after an operator made it stale, if one did.
pub fn assess(
    lifetime: &Lifetime,
    resident: Duration,
    made_stale: Option<Duration>,
    policy: &FreshnessPolicy,
) -> Reuse {
    // response_is_fresh = (freshness_lifetime > current_age)
    let age = lifetime.current_age(resident);
    let past = match (age.checked_sub(lifetime.freshness), made_stale) {
        (None, None) => return Reuse::Fresh { ttl: lifetime.freshness - age },
        (expired, made_stale) => expired.max(made_stale).unwrap_or_default(),
    };
    // "A cache MUST NOT generate a stale response if it is prohibited by an explicit in-protocol directive".
    if lifetime.prohibition.is_some_and(|prohibition| !policy.stale_despite.contains(&prohibition)) {
        return Reuse::Unusable { past };
    }
    // "A cache MUST NOT generate a stale response unless it is disconnected or doing so is explicitly permitted by the
    // client or origin server (e.g., by […] extension directives such as those defined in [RFC5861], or configuration
    // in accordance with an out-of-band contract)."
    if past < lifetime.stale_while_revalidate_window(policy) {
        Reuse::StaleWhileRevalidate { past }
    } else if past < lifetime.stale_if_error.unwrap_or(policy.stale_max).min(policy.stale_max) {
        Reuse::StaleIfError { past }
    } else {
        Reuse::Unusable { past }
    }
}

impl Lifetime {
    /// The policy's window prolongs a freshness that somebody granted; a response without any is not to be shared
    /// unasked.
    fn stale_while_revalidate_window(&self, policy: &FreshnessPolicy) -> Duration {
        let default = if self.freshness.is_zero() { Duration::ZERO } else { policy.stale_while_revalidate };
        self.stale_while_revalidate.unwrap_or(default).min(policy.stale_max)
    }
}

/// Statuses that are heuristically cacheable (RFC 9110 §15.1). 206 is one as well, and never stored here.
pub(super) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn freshness_lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    date: SystemTime,
    response_time: SystemTime,
    policy: &FreshnessPolicy,
) -> Duration {
    // "If the cache is shared and the s-maxage response directive is present, use its value, or
    // If the max-age response directive is present, use its value, or"
    if let Some(lifetime) = directives.s_maxage.or(directives.max_age) {
        return lifetime;
    }
    // "If the Expires response header field is present, use its value minus the value of the Date response header
    // field". "A cache recipient MUST interpret invalid date formats, especially the value "0", as representing a time
    // in the past (i.e., "already expired")." (§5.3)
    if directives.has_explicit_expiration(headers) {
        let expires = headers.get(EXPIRES).and_then(http_date);
        return expires.and_then(|expires| expires.duration_since(date).ok()).unwrap_or_default();
    }
    // "heuristics can only be used on responses without explicit freshness whose status codes are defined as
    // heuristically cacheable […] and on responses without explicit freshness that have been marked as explicitly
    // cacheable (e.g., with a public response directive)." (§4.2.2)
    if !is_heuristically_cacheable(status) && !directives.public {
        return Duration::ZERO;
    }
    // "If the response has a Last-Modified header field, caches are encouraged to use a heuristic expiration value that
    // is no more than some fraction of the interval since that time." A Date in the future must not stretch that
    // interval.
    let last_modified = headers.get(LAST_MODIFIED).and_then(http_date);
    let interval = last_modified.and_then(|modified| date.min(response_time).duration_since(modified).ok());
    let seconds = interval.unwrap_or_default().as_secs().saturating_mul(u64::from(policy.heuristic_percent)) / 100;
    Duration::from_secs(seconds).min(policy.heuristic_max)
}

fn corrected_initial_age(
    headers: &HeaderMap,
    date: SystemTime,
    request_time: SystemTime,
    response_time: SystemTime,
) -> Duration {
    // apparent_age = max(0, response_time - date_value); in whole seconds, since that is all that a date has.
    let apparent_age = Duration::from_secs(response_time.duration_since(date).unwrap_or_default().as_secs());
    // response_delay = response_time - request_time;
    // corrected_age_value = age_value + response_delay;
    let response_delay = response_time.duration_since(request_time).unwrap_or_default();
    let corrected_age_value = age_value(headers).saturating_add(response_delay);
    // corrected_initial_age = max(apparent_age, corrected_age_value);
    apparent_age.max(corrected_age_value)
}

fn age_value(headers: &HeaderMap) -> Duration {
    // "a cache encountering a message with a list-based Age field value SHOULD use the first member of the field value,
    // discarding subsequent ones. If the field value (after discarding additional members, as per above) is invalid
    // […], a cache SHOULD ignore the field." (§5.1)
    field::members(headers, AGE).next().and_then(field::delta_seconds).unwrap_or_default()
}

fn prohibition(directives: &ResponseDirectives, policy: &FreshnessPolicy) -> Option<Prohibition> {
    let mut stated = [
        (directives.no_cache, Prohibition::NoCache),
        (directives.must_revalidate, Prohibition::MustRevalidate),
        (directives.proxy_revalidate, Prohibition::ProxyRevalidate),
        (directives.s_maxage.is_some(), Prohibition::SharedMaxAge),
    ]
    .into_iter()
    .filter_map(|(stated, prohibition)| stated.then_some(prohibition));
    let strongest = stated.clone().next();
    stated.find(|prohibition| !policy.stale_despite.contains(prohibition)).or(strongest)
}

#[cfg(test)]
mod tests;
