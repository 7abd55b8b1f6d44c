//! When another endpoint is asked beside those that owe an answer ("The Tail at Scale", Dean and Barroso 2013).

use std::time::{Duration, Instant};

/// A request that waits for a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Whether it may be sent once more: by its method, and by the tries and candidates that are left.
    pub repeatable: bool,
    /// Endpoints that owe an answer; at least 1.
    pub asked: usize,
    /// When the last of them was asked.
    pub since: Instant,
    /// How long heads of that one usually take at most.
    pub longest_usual: Duration,
    /// Whether none of them would be asked if the request came now: ejected, for example, or found slow.
    pub forsaken: bool,
}

/// Whether another endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hedge {
    /// At this time, if the budget allows it.
    At(Instant),
    /// Not while this stays so.
    Never,
    /// At once, as another try: those that owe an answer are given up.
    Now,
}

/// Whether another endpoint is asked beside those that owe an answer.
pub fn hedge(waiting: &Waiting) -> Hedge {
    if !waiting.repeatable || waiting.asked >= ASKED_MAX {
        Hedge::Never
    } else if waiting.forsaken {
        Hedge::Now
    } else {
        Hedge::At(waiting.since + waiting.longest_usual)
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
        let waiting = Waiting { repeatable: true, asked: 1, since, longest_usual, forsaken: false };
        for (waiting, expected) in [
            (waiting, Hedge::At(since + longest_usual)),
            (Waiting { asked: 2, ..waiting }, Hedge::At(since + longest_usual)),
            (Waiting { asked: 3, ..waiting }, Hedge::Never),
            (Waiting { repeatable: false, ..waiting }, Hedge::Never),
            (Waiting { forsaken: true, ..waiting }, Hedge::Now),
            (Waiting { forsaken: true, asked: 3, ..waiting }, Hedge::Never),
            (Waiting { forsaken: true, repeatable: false, ..waiting }, Hedge::Never),
        ] {
            assert_eq!(hedge(&waiting), expected, "{waiting:?}");
        }
    }
}
