//! When another endpoint is asked beside those that owe an answer ("The Tail at Scale", Dean and Barroso 2013).

use std::time::{Duration, Instant};

use super::retry::WORTHWHILE;

/// A request that waits for a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Whether a client waits as well: to ask another endpoint because one is slow saves time, and nothing else.
    pub awaited: bool,
    /// Whether it may be sent more than once, by its method.
    pub repeatable: bool,
    /// Whether there are tries and candidates left.
    pub has_means: bool,
    /// Endpoints that owe an answer; at least 1.
    pub asked: usize,
    /// When the last of them was asked.
    pub since: Instant,
    /// How long heads of that one usually take at most.
    pub longest_usual: Duration,
    /// When all of them will have had as long as their heads usually take at most.
    pub usual_until: Instant,
    /// When there must be a response head.
    pub deadline: Instant,
    /// Whether none of them would be asked if the request came now: ejected, for example, or drained.
    pub forsaken: bool,
    /// Whether every origin has gone down since the request began, these among them.
    pub down: bool,
}

/// Whether another endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hedge {
    /// At this time, if the budget allows it.
    At(Instant),
    /// From this time on nobody is waited for: every origin is down, and an answer would be here by then.
    GiveUpAt(Instant),
    /// Not while this stays so.
    Never,
    /// At once, as another try, whatever the budget of hedges: nobody would be sent to those that owe an answer now, though
    /// they may still give it.
    Now,
}

/// Whether another endpoint is asked beside those that owe an answer.
pub fn hedge(waiting: &Waiting, now: Instant) -> Hedge {
    let at = if waiting.forsaken { now } else { waiting.since + waiting.longest_usual };
    let is_too_late = waiting.deadline.saturating_duration_since(at) < WORTHWHILE;
    if waiting.repeatable && waiting.down {
        Hedge::GiveUpAt(waiting.usual_until)
    } else if !waiting.repeatable || !waiting.has_means || waiting.asked >= ASKED_MAX || is_too_late {
        Hedge::Never
    } else if waiting.forsaken {
        Hedge::Now
    } else if waiting.awaited {
        Hedge::At(at)
    } else {
        Hedge::Never
    }
}

/// Endpoints that owe an answer to the same request, at most.
const ASKED_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn another_endpoint_is_asked_once_the_last_one_takes_longer_than_usual() {
        let since = Clock::new().now().monotonic;
        let longest_usual = Duration::from_millis(300);
        let deadline = since + Duration::from_millis(500);
        let waiting = Waiting {
            awaited: true,
            repeatable: true,
            has_means: true,
            asked: 1,
            since,
            longest_usual,
            usual_until: since + longest_usual,
            deadline,
            forsaken: false,
            down: false,
        };
        let down = Waiting { forsaken: true, down: true, ..waiting };
        let late = Duration::from_millis(301);
        for (waiting, after, expected) in [
            (waiting, Duration::ZERO, Hedge::At(since + longest_usual)),
            (Waiting { asked: 2, ..waiting }, Duration::ZERO, Hedge::At(since + longest_usual)),
            (Waiting { asked: 3, ..waiting }, Duration::ZERO, Hedge::Never),
            (Waiting { repeatable: false, ..waiting }, Duration::ZERO, Hedge::Never),
            (Waiting { has_means: false, ..waiting }, Duration::ZERO, Hedge::Never),
            (Waiting { awaited: false, ..waiting }, Duration::ZERO, Hedge::Never),
            (Waiting { awaited: false, forsaken: true, ..waiting }, Duration::ZERO, Hedge::Now),
            (Waiting { longest_usual: late, ..waiting }, Duration::ZERO, Hedge::Never),
            (Waiting { forsaken: true, ..waiting }, longest_usual, Hedge::Now),
            (Waiting { forsaken: true, ..waiting }, late, Hedge::Never),
            (Waiting { forsaken: true, asked: 3, ..waiting }, Duration::ZERO, Hedge::Never),
            (Waiting { forsaken: true, repeatable: false, ..waiting }, Duration::ZERO, Hedge::Never),
            (down, Duration::ZERO, Hedge::GiveUpAt(since + longest_usual)),
            (Waiting { has_means: false, ..down }, late, Hedge::GiveUpAt(since + longest_usual)),
            (Waiting { repeatable: false, ..down }, late, Hedge::Never),
            (Waiting { forsaken: false, ..down }, late, Hedge::GiveUpAt(since + longest_usual)),
        ] {
            assert_eq!(hedge(&waiting, since + after), expected, "{waiting:?} after {after:?}");
        }
    }
}
