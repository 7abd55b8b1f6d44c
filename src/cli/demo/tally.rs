//! What the drill counts, and what it takes for a promise kept.

use std::time::Duration;

/// The figures of one part of the drill, or of all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Requests answered or failed.
    pub(super) requests: u64,
    /// Requests without the answer they should have had.
    pub(super) failed: u64,
    /// Answers with other bytes than the origins have.
    pub(super) wrong: u64,
    /// Stale answers.
    pub(super) stale: u64,
    /// Honest refusals: 503 with `Retry-After` for what is stored nowhere while every origin is dead.
    pub(super) refused: u64,
    /// The longest wait for a whole answer.
    pub(super) longest: Duration,
    /// The first thing that went wrong, in words.
    pub(super) first_failure: Option<String>,
}

/// What one request met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// The right bytes, fresh or stale.
    Answer {
        /// Whether they were stale.
        stale: bool,
    },
    /// No answer, or one it should not have had.
    Failure(String),
    /// 503 with `Retry-After`, where that is right.
    Refusal,
    /// Other bytes than the origins have.
    WrongBytes,
}

impl Tally {
    /// Counts one request that took `duration`.
    pub(super) fn count(&mut self, met: Met, duration: Duration) {
        self.requests += 1;
        self.longest = self.longest.max(duration);
        match met {
            Met::Answer { stale } => self.stale += u64::from(stale),
            Met::Failure(reason) => {
                self.failed += 1;
                self.first_failure.get_or_insert(reason);
            }
            Met::Refusal => self.refused += 1,
            Met::WrongBytes => self.wrong += 1,
        }
    }

    /// Adds the figures of another part.
    pub(super) fn add(&mut self, part: &Self) {
        self.requests += part.requests;
        self.failed += part.failed;
        self.wrong += part.wrong;
        self.stale += part.stale;
        self.refused += part.refused;
        self.longest = self.longest.max(part.longest);
        if self.first_failure.is_none() {
            self.first_failure.clone_from(&part.first_failure);
        }
    }

    /// The figures in words.
    pub(super) fn sentence(&self) -> String {
        let Self { requests, failed, wrong, stale, refused, longest, .. } = self;
        let longest = longest.as_secs_f64() * 1000.0;
        format!(
            "{requests} requests: {failed} failed, {wrong} wrong, {stale} stale, {refused} refused; longest {longest:.0} ms"
        )
    }
}

/// Promises and whether they were kept.
#[derive(Debug, Default)]
pub(super) struct Promises {
    broken: Vec<String>,
}

impl Promises {
    /// Notes what was promised, and whether it held.
    pub(super) fn expect(&mut self, held: bool, promise: impl Into<String>) {
        if !held {
            self.broken.push(promise.into());
        }
    }

    /// Those that were not kept.
    pub(super) fn broken(&self) -> &[String] {
        &self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_counted_once_under_what_it_met() {
        let mut tally = Tally::default();
        tally.count(Met::Answer { stale: false }, Duration::from_millis(1));
        tally.count(Met::Answer { stale: true }, Duration::from_millis(7));
        tally.count(Met::Refusal, Duration::ZERO);
        tally.count(Met::Failure("first".into()), Duration::ZERO);
        let mut all = Tally::default();
        all.count(Met::WrongBytes, Duration::ZERO);
        all.add(&tally);
        assert_eq!(all.sentence(), "5 requests: 1 failed, 1 wrong, 1 stale, 1 refused; longest 7 ms");
        assert_eq!(all.first_failure.as_deref(), Some("first"));
    }

    #[test]
    fn a_broken_promise_is_remembered() {
        let mut promises = Promises::default();
        promises.expect(true, "kept");
        assert!(promises.broken().is_empty());
        promises.expect(false, "not kept");
        assert_eq!(promises.broken(), ["not kept"]);
    }
}
