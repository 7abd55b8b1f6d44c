//! Who is dialed when, while a request has no connection yet (Happy Eyeballs, RFC 8305).
//!
//! The best candidate is dialed at once. While nothing came of it, the next one is dialed beside it: after a delay, or as
//! soon as a dial fails. The first connection wins. A stream that opens and has yet to shake hands shows that packets
//! arrive, so it gets the delay once more; a far origin would lose every race otherwise.

use std::time::{Duration, Instant};

use super::retry::WORTHWHILE;

/// The dials of one request.
#[derive(Clone, Debug)]
pub struct Race {
    delay: Duration,
    deadline: Instant,
    /// Dials that have neither failed nor won.
    under_way: usize,
    /// When the next candidate may be dialed.
    next_at: Instant,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Dial the next candidate; the race counts it as under way.
    Dial,
    /// Wait for news of a dial, and no longer than until then.
    WaitUntil(Instant),
    /// The time is up.
    TimeIsUp,
    /// Every dial has failed, and nobody is left.
    Lost,
}

impl Race {
    /// A race that has to be won before `deadline`, with `delay` between dials.
    pub fn new(delay: Duration, deadline: Instant, now: Instant) -> Self {
        Self { delay, deadline, under_way: 0, next_at: now }
    }

    /// What to do when `left` candidates may yet be dialed.
    pub fn next(&mut self, left: usize, now: Instant) -> Move {
        let time_left = self.deadline.saturating_duration_since(now);
        if time_left.is_zero() {
            return Move::TimeIsUp;
        }
        let may_dial = left > 0 && self.under_way < DIALS_MAX && time_left >= WORTHWHILE;
        if may_dial && now >= self.next_at {
            self.under_way += 1;
            self.next_at = now + self.delay;
            Move::Dial
        } else if self.under_way == 0 && left == 0 {
            Move::Lost
        } else if self.under_way == 0 && !may_dial {
            Move::TimeIsUp
        } else {
            Move::WaitUntil(if may_dial { self.next_at.min(self.deadline) } else { self.deadline })
        }
    }

    /// A stream has opened, and its handshake began.
    pub fn opened(&mut self, now: Instant) {
        self.next_at = now + self.delay;
    }

    /// A dial has failed.
    pub fn failed(&mut self, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        self.next_at = now;
    }
}

/// RFC 8305 §5: "Connection Attempt Delay".
pub const DIAL_DELAY: Duration = Duration::from_millis(250);

/// Dials of one request at a time. In three quarters of a second one of three has come through, or a fourth would not
/// either; and in an outage every request makes so many.
pub const DIALS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    /// What happens, by milliseconds since the start: `open` and `fail`; other times are those of a timer. Expected are the
    /// times of dials, and how it ends if nobody wins: `lost`, `late` or `waits`.
    #[track_caller]
    fn check(candidates: usize, deadline: u64, news: &[(u64, &str)], expected: &str) {
        let start = Clock::new().now().monotonic;
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut race = Race::new(DIAL_DELAY, at(deadline), start);
        let (mut left, mut now, mut seen, mut news) = (candidates, 0, Vec::new(), news.iter().copied().peekable());
        let end = loop {
            match race.next(left, at(now)) {
                Move::Dial => {
                    left -= 1;
                    seen.push(now.to_string());
                }
                Move::Lost => break "lost",
                Move::TimeIsUp => break "late",
                Move::WaitUntil(until) => {
                    let until = u64::try_from((until - start).as_millis()).expect("a short race");
                    let Some((when, what)) = news.next_if(|(when, _)| *when <= until) else {
                        now = until;
                        continue;
                    };
                    now = when;
                    match what {
                        "open" => race.opened(at(now)),
                        "fail" => race.failed(at(now)),
                        _ => break "won",
                    }
                }
            }
        };
        seen.push(end.to_owned());
        assert_eq!(seen.join(" "), expected, "{candidates} candidates");
    }

    #[test]
    fn candidates_are_dialed_one_delay_after_another() {
        check(1, 10_000, &[(20, "won")], "0 won");
        check(2, 10_000, &[(249, "won")], "0 won");
        check(2, 10_000, &[(270, "won")], "0 250 won");
        check(3, 10_000, &[(620, "won")], "0 250 500 won");
    }

    #[test]
    fn a_failure_brings_the_next_one_at_once() {
        check(3, 10_000, &[(10, "fail"), (20, "won")], "0 10 won");
        check(3, 10_000, &[(10, "fail"), (20, "fail"), (30, "fail")], "0 10 20 lost");
        check(4, 10_000, &[(300, "fail"), (310, "won")], "0 250 300 won");
        check(4, 10_000, &[(300, "fail"), (600, "won")], "0 250 300 550 won");
    }

    #[test]
    fn dials_at_a_time_are_bounded() {
        check(9, 10_000, &[(2_000, "won")], "0 250 500 won");
        check(9, 10_000, &[(900, "fail"), (2_000, "won")], "0 250 500 900 won");
    }

    #[test]
    fn a_stream_that_opens_gets_the_delay_once_more() {
        check(2, 10_000, &[(200, "open"), (440, "won")], "0 won");
        check(2, 10_000, &[(200, "open"), (460, "won")], "0 450 won");
    }

    #[test]
    fn the_deadline_ends_it_and_no_dial_begins_shortly_before() {
        check(1, 1_000, &[], "0 late");
        check(3, 600, &[], "0 250 late");
        check(3, 450, &[(251, "fail")], "0 250 late");
        check(2, 400, &[(201, "fail")], "0 late");
        check(2, 400, &[(200, "fail"), (210, "won")], "0 200 won");
        check(1, 100, &[], "late");
        check(0, 1_000, &[], "lost");
    }
}
