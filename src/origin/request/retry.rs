//! What to do after a failed attempt, and how long the next one may take.
//!
//! A safe request goes on to the next candidate while tries and time last. Any other goes on only if nothing of it was
//! sent (RFC 9110 §9.2.2 would allow more; an origin's idea of idempotence is not to be relied on).

use std::time::{Duration, Instant};

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// So many requests to the site, or to the origin, are under way that no other was begun.
    Busy,
    /// No connection: refused, reset or unreachable.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// This node had no means to connect: no descriptor, port or memory was left.
    Exhausted,
    /// The TLS handshake failed, or the certificate is not the origin's.
    Tls,
    /// No response head in time.
    FirstByteTimeout,
    /// The connection ended before a response head.
    ClosedUnanswered {
        /// Whether it had carried another request before; then it may have been closed for idleness.
        reused: bool,
    },
    /// What came is no HTTP, or no response that may be passed on.
    Malformed,
    /// A response with a status that counts as a failure.
    Status(u16),
    /// A response with a status that counts as a failure, which its origin wants to be passed on as it is.
    LastWord,
    /// A response that is not what the site expects for its path.
    Unexpected,
    /// A response that is not the rest of the body that is to be continued.
    Mismatch,
    /// The body ended before it was complete.
    BodyBroken,
    /// The body came too slowly.
    BodyStalled,
    /// More bytes came than the response announced.
    Surplus,
    /// The body is not the one that its digest is of.
    Corrupt,
    /// The request's own deadline passed, whatever the endpoint would have done.
    Deadline,
    /// There was no endpoint to try.
    NoCandidate,
    /// The body of the request broke off, on the client's side.
    Upload,
}

impl FailureKind {
    /// The word for events, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect-timeout",
            Self::Exhausted => "exhausted",
            Self::Tls => "tls",
            Self::FirstByteTimeout => "first-byte-timeout",
            Self::ClosedUnanswered { .. } => "closed-unanswered",
            Self::Malformed => "malformed",
            Self::Status(_) => "status",
            Self::LastWord => "no-fallback",
            Self::Unexpected => "unexpected",
            Self::Mismatch => "mismatch",
            Self::BodyBroken => "body-broken",
            Self::BodyStalled => "body-stalled",
            Self::Surplus => "surplus",
            Self::Corrupt => "corrupt",
            Self::Deadline => "deadline",
            Self::NoCandidate => "no-candidate",
            Self::Upload => "upload",
        }
    }

    /// Whether it speaks against the endpoint's health.
    pub fn is_evidence(self) -> bool {
        !matches!(
            self,
            Self::Busy
                | Self::ClosedUnanswered { reused: true }
                | Self::Deadline
                | Self::Exhausted
                | Self::LastWord
                | Self::Mismatch
                | Self::NoCandidate
                | Self::Upload
        )
    }

    /// Whether it says that some of the bytes are wrong, and not which.
    pub fn voids(self) -> bool {
        matches!(self, Self::Surplus | Self::Corrupt)
    }

    /// Whether a response had begun, so that what is left of it is to be continued and not asked for anew.
    pub fn is_mid_body(self) -> bool {
        matches!(self, Self::BodyBroken | Self::BodyStalled)
    }
}

/// A request at the moment an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Endpoints tried, this one included.
    pub tries: usize,
    /// Candidates not yet tried.
    pub candidates_left: usize,
    /// Whether any byte of the request, its body included, may have reached the endpoint.
    pub sent: bool,
    /// Whether the method is safe (RFC 9110 §9.2.1).
    pub safe: bool,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// The same endpoint on a new connection.
    RetryFresh,
    /// The next candidate.
    NextCandidate,
    /// Nothing more can be done; a status goes to the client as it came.
    GiveUp,
}

/// What to do after a failed attempt. The `deadline` is the request's own; for a broken body, that of its continuation.
pub fn next_step(
    failure: FailureKind,
    attempt: &Attempt,
    tries_max: usize,
    deadline: Instant,
    now: Instant,
) -> NextStep {
    let time_left = deadline.saturating_duration_since(now);
    let is_final = matches!(failure, FailureKind::Deadline | FailureKind::LastWord | FailureKind::Upload);
    if is_final || time_left < WORTHWHILE || (attempt.sent && !attempt.safe) {
        return NextStep::GiveUp;
    }
    if failure == (FailureKind::ClosedUnanswered { reused: true }) {
        // Says nothing about the endpoint, and cannot happen again on a new connection: not counted as a try.
        return NextStep::RetryFresh;
    }
    if attempt.tries >= tries_max {
        NextStep::GiveUp
    } else if attempt.candidates_left > 0 {
        NextStep::NextCandidate
    } else if failure.is_mid_body() {
        NextStep::RetryFresh
    } else {
        NextStep::GiveUp
    }
}

/// How long one phase of an attempt may take: an even share of the time left, and never more than the phase's own
/// timeout. `tries_left` counts this attempt, and is bounded by the candidates left as well as by the policy.
pub fn split_deadline(deadline: Instant, phase_timeout: Duration, tries_left: usize, now: Instant) -> Duration {
    let tries_left = u32::try_from(tries_left.max(1)).unwrap_or(u32::MAX);
    phase_timeout.min(deadline.saturating_duration_since(now) / tries_left)
}

/// With less time than this left, an attempt would only add load, and its failure would say nothing about the endpoint.
pub const WORTHWHILE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[track_caller]
    fn check(failure: FailureKind, attempt: Attempt, expected: NextStep) {
        check_with(failure, attempt, 10_000, expected);
    }

    #[track_caller]
    fn check_with(failure: FailureKind, attempt: Attempt, milliseconds_left: u64, expected: NextStep) {
        let now = Clock::new().now().monotonic;
        let deadline = now + Duration::from_millis(milliseconds_left);
        assert_eq!(next_step(failure, &attempt, TRIES_MAX, deadline, now), expected, "{failure:?} {attempt:?}");
    }

    #[test]
    fn a_safe_request_goes_on_to_the_next_candidate() {
        for failure in ALL {
            let expected = match failure {
                FailureKind::ClosedUnanswered { reused: true } => NextStep::RetryFresh,
                FailureKind::Deadline | FailureKind::LastWord | FailureKind::Upload => NextStep::GiveUp,
                _ => NextStep::NextCandidate,
            };
            check(failure, GET, expected);
        }
    }

    #[test]
    fn an_unsafe_request_goes_on_only_if_nothing_of_it_was_sent() {
        for failure in ALL {
            check(failure, Attempt { safe: false, ..GET }, NextStep::GiveUp);
        }
        let unsent = Attempt { safe: false, sent: false, ..GET };
        check(FailureKind::Connect, unsent, NextStep::NextCandidate);
        check(FailureKind::ClosedUnanswered { reused: true }, unsent, NextStep::RetryFresh);
    }

    #[test]
    fn tries_are_bounded() {
        check(FailureKind::Connect, Attempt { tries: 2, ..GET }, NextStep::NextCandidate);
        check(FailureKind::Connect, Attempt { tries: 3, ..GET }, NextStep::GiveUp);
        check(FailureKind::BodyBroken, Attempt { tries: 3, ..GET }, NextStep::GiveUp);
        check(FailureKind::ClosedUnanswered { reused: true }, Attempt { tries: 3, ..GET }, NextStep::RetryFresh);
        check(FailureKind::ClosedUnanswered { reused: false }, Attempt { tries: 3, ..GET }, NextStep::GiveUp);
    }

    #[test]
    fn without_candidates_only_a_broken_body_is_worth_another_connection() {
        check(FailureKind::Connect, Attempt { candidates_left: 0, ..GET }, NextStep::GiveUp);
        check(FailureKind::Status(503), Attempt { candidates_left: 0, ..GET }, NextStep::GiveUp);
        check(FailureKind::BodyBroken, Attempt { candidates_left: 0, ..GET }, NextStep::RetryFresh);
        check(FailureKind::BodyStalled, Attempt { candidates_left: 0, ..GET }, NextStep::RetryFresh);
    }

    #[test]
    fn no_attempt_begins_with_less_than_200_milliseconds_left() {
        check_with(FailureKind::Connect, GET, 200, NextStep::NextCandidate);
        check_with(FailureKind::Connect, GET, 199, NextStep::GiveUp);
        check_with(FailureKind::ClosedUnanswered { reused: true }, GET, 0, NextStep::GiveUp);
    }

    #[test]
    fn what_says_nothing_of_the_endpoint_is_no_evidence() {
        let innocent: Vec<_> = ALL.into_iter().filter(|failure| !failure.is_evidence()).collect();
        assert_eq!(
            innocent,
            [
                FailureKind::Exhausted,
                FailureKind::ClosedUnanswered { reused: true },
                FailureKind::LastWord,
                FailureKind::Mismatch,
                FailureKind::Deadline,
                FailureKind::Upload
            ]
        );
    }

    #[test]
    fn an_attempt_leaves_time_for_the_next_ones() {
        let now = Clock::new().now().monotonic;
        for (left, timeout, tries_left, expected) in [
            (10_000, 1_000, 3, 1_000),
            (10_000, 3_000, 3, 3_000),
            (6_000, 3_000, 3, 2_000),
            (6_000, 3_000, 2, 3_000),
            (2_000, 3_000, 1, 2_000),
            (2_000, 3_000, 0, 2_000),
            (0, 3_000, 2, 0),
        ] {
            let deadline = now + Duration::from_millis(left);
            let share = split_deadline(deadline, Duration::from_millis(timeout), tries_left, now);
            assert_eq!(share, Duration::from_millis(expected), "{left} ms left, {tries_left} tries");
        }
    }

    const TRIES_MAX: usize = 3;

    const GET: Attempt = Attempt { tries: 1, candidates_left: 2, sent: true, safe: true };

    const ALL: [FailureKind; 18] = [
        FailureKind::Connect,
        FailureKind::ConnectTimeout,
        FailureKind::Exhausted,
        FailureKind::Tls,
        FailureKind::FirstByteTimeout,
        FailureKind::ClosedUnanswered { reused: true },
        FailureKind::ClosedUnanswered { reused: false },
        FailureKind::Malformed,
        FailureKind::Status(503),
        FailureKind::LastWord,
        FailureKind::Unexpected,
        FailureKind::Mismatch,
        FailureKind::BodyBroken,
        FailureKind::BodyStalled,
        FailureKind::Surplus,
        FailureKind::Corrupt,
        FailureKind::Deadline,
        FailureKind::Upload,
    ];
}
