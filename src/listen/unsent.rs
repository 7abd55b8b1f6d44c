//! How much the kernel takes for a client beyond what its window and the network have room for.
//!
//! Much is cheap: a client that empties it quickly is served in few turns. But a slow one is then silent for long, since
//! the kernel wakes a writer only once half of it is gone, and whoever is silent cannot be told from one that is dead. So
//! only clients that have shown to be quick get more than little. One that slows down is not awaited in silence, but
//! pressed to take a few bytes every second: the socket takes them as soon as the client has taken anything.
//!
//! What quick clients leave unsent is memory of the kernel that nobody gets back from one that stops reading. So all of them
//! share what they may have, and once it is given out, whoever is quick has no more than whoever is slow.

use std::time::Duration;

/// What one connection may leave unsent in the kernel (`TCP_NOTSENT_LOWAT`). Times are counted from its start.
#[derive(Debug)]
pub(super) struct Unsent {
    /// Bytes from which on the socket refuses more, while it is not pressed.
    limit: usize,
    /// By how much more it takes since it was pressed.
    surplus: usize,
    /// How often it has made room quickly at this limit since it last took long.
    proofs: u32,
    /// While it refuses: since when, or since it was last pressed.
    refuses_since: Option<Duration>,
    /// Whether it was pressed since it last took bytes by itself.
    is_pressed: bool,
}

/// What follows from the socket having taken bytes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The client is quick, and may have a larger grant.
    Quick,
    /// Nothing.
    Same,
    /// The client took long: the limit to be set.
    Slow(usize),
}

impl Unsent {
    /// That of a new connection.
    pub(super) fn new() -> Self {
        Self { limit: UNSENT_MIN_BYTES, surplus: 0, proofs: 0, refuses_since: None, is_pressed: false }
    }

    /// The socket took bytes by itself.
    pub(super) fn taken(&mut self, now: Duration) -> Taken {
        let Some(since) = self.refuses_since.take() else { return Taken::Same };
        if std::mem::take(&mut self.is_pressed) || now.saturating_sub(since) > QUICK_WAIT {
            // The kernel holds less than half of the limit when it takes bytes again, so this is at once true of it.
            let before = self.limit + self.surplus;
            self.limit = (before / 2).clamp(UNSENT_MIN_BYTES, self.limit);
            (self.surplus, self.proofs) = (0, 0);
            return if self.limit == before { Taken::Same } else { Taken::Slow(self.limit) };
        }
        self.proofs += 1;
        if self.proofs < PROOFS {
            return Taken::Same;
        }
        self.proofs = 0;
        if self.limit < UNSENT_MAX_BYTES { Taken::Quick } else { Taken::Same }
    }

    /// It has so many of the shared bytes; the limit to be set.
    pub(super) fn grant(&mut self, bytes: usize) -> usize {
        self.limit = UNSENT_MIN_BYTES + bytes;
        self.limit
    }

    /// How many of the shared bytes it needs. What was pressed beyond the limit is none of them: it lies in the segment that
    /// any connection may have beyond its own.
    pub(super) fn granted(&self) -> usize {
        self.limit - UNSENT_MIN_BYTES
    }

    /// The socket took nothing; the limit to be set before it is pressed, if it is to be.
    pub(super) fn refused(&mut self, now: Duration) -> Option<usize> {
        if !self.is_due(now) {
            return None;
        }
        self.refuses_since = Some(now);
        if !std::mem::replace(&mut self.is_pressed, true) {
            // What went in last may lie beyond the limit, as a whole segment.
            self.surplus = SEGMENT_BYTES;
        }
        Some(self.limit + self.surplus)
    }

    /// The socket has no room at `now`; whether it is to be pressed.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        let since = *self.refuses_since.get_or_insert(now);
        self.is_much() && now.saturating_sub(since) >= PRESS_INTERVAL
    }

    /// Whether it may leave more unsent than any.
    pub(super) fn is_much(&self) -> bool {
        self.limit > UNSENT_MIN_BYTES
    }

    /// It took `bytes` when pressed; the limit to be set, and how much its client has taken at least.
    pub(super) fn gave_way(&mut self, bytes: usize) -> (usize, usize) {
        let before = self.limit + self.surplus;
        let lower = before.saturating_sub(STEP_BYTES).max(UNSENT_MIN_BYTES);
        self.limit = self.limit.min(lower);
        self.surplus = lower - self.limit;
        (lower, bytes + before - lower)
    }
}

/// How many of the shared bytes a connection has that has shown to be quick, when it had `had` and `left` were left. All
/// together never have more than there are, and whoever comes late finds a quarter of what the others have left.
pub(super) fn share(had: usize, left: usize) -> usize {
    let share = ((had + left) / 4).min(UNSENT_MAX_BYTES - UNSENT_MIN_BYTES);
    if share < SHARE_MIN_BYTES { had } else { had.max(share) }
}

/// What every connection may leave unsent. The kernel wakes us at half of it, so that a client at 2 KiB/s shows progress
/// every 8 s.
pub(super) const UNSENT_MIN_BYTES: usize = 32 * 1024;

/// With half of it 10 MiB cost 7 % more, with a quarter 11 %, with an eighth 20 %.
const UNSENT_MAX_BYTES: usize = 1024 * 1024;

/// What all connections together may leave unsent beyond what every one may: the most for 64 of them.
pub(super) const SHARED_BYTES: usize = 64 * 1024 * 1024;

/// With less 10 MiB cost no less.
const SHARE_MIN_BYTES: usize = 96 * 1024;

/// A client gets a share after it has made room so many times quickly. What the buffers of its own system take before it has
/// read anything makes fewer.
const PROOFS: u32 = 8;

/// A quick client makes room within this time: 2 MiB/s for half of the most.
const QUICK_WAIT: Duration = Duration::from_millis(250);

/// Between two attempts to press bytes on a client. Of one that waits as long, nothing can be hurried.
const PRESS_INTERVAL: Duration = Duration::from_secs(1);

/// What a client is pressed to take: what it takes in 4 s at the least speed, and a small part of what it has.
pub(super) const PRESS_BYTES: usize = 4 * 1024;

/// By how much the limit goes down when a client takes what it is pressed to, until it is as low as any: with the bytes
/// pressed on it, what a client at 2 KiB/s has taken after 6 s.
const STEP_BYTES: usize = 8 * 1024;

/// The longest segment that the kernel makes of what is written.
const SEGMENT_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a connection, the first two after so many milliseconds.
    #[derive(Clone, Copy)]
    enum Step {
        Refused(u64),
        Taken(u64),
        GaveWay,
    }

    use Step::{GaveWay, Refused, Taken};

    /// The limit after `steps` of a connection whose share is so much, and whether it is pressed in the last of them.
    fn play(steps: &[Step], share: usize) -> (usize, bool) {
        let (mut unsent, mut limit, mut now) = (Unsent::new(), UNSENT_MIN_BYTES, Duration::ZERO);
        let mut is_pressed = false;
        for step in steps {
            is_pressed = false;
            match *step {
                Refused(milliseconds) => {
                    now += Duration::from_millis(milliseconds);
                    let raised = unsent.refused(now);
                    is_pressed = raised.is_some();
                    limit = raised.unwrap_or(limit);
                }
                Taken(milliseconds) => {
                    now += Duration::from_millis(milliseconds);
                    limit = match unsent.taken(now) {
                        super::Taken::Quick => unsent.grant(share),
                        super::Taken::Same => limit,
                        super::Taken::Slow(lower) => lower,
                    };
                }
                GaveWay => {
                    let (lower, moved) = unsent.gave_way(PRESS_BYTES);
                    assert_eq!(moved, PRESS_BYTES + limit - lower);
                    limit = lower;
                }
            }
            assert_eq!(limit, unsent.limit + unsent.surplus);
            assert!(unsent.granted() <= share, "it has {} of {share}", unsent.granted());
        }
        (limit, is_pressed)
    }

    /// `most_kibibytes` is the limit of a quick client.
    #[track_caller]
    fn check(steps: &[&[Step]], most_kibibytes: usize, expected_kibibytes: usize) {
        let share = most_kibibytes * 1024 - UNSENT_MIN_BYTES;
        assert_eq!(play(&steps.concat(), share).0, expected_kibibytes * 1024);
    }

    /// So many waits that end quickly.
    fn quick(times: usize) -> Vec<Step> {
        [Refused(1), Taken(250)].repeat(times)
    }

    #[test]
    fn who_is_quick_may_leave_more_unsent() {
        check(&[&quick(7)], 1024, 32);
        check(&[&quick(8)], 1024, 1024);
        check(&[&quick(1000)], 1024, 1024);
        check(&[&[Taken(0); 1000]], 1024, 32);
    }

    #[test]
    fn who_comes_late_has_a_quarter_of_what_is_left() {
        let mib = 1024;
        for (had, left, expected) in [
            (0, 64 * mib, 992),
            (0, 4 * mib, 992),
            (0, 3 * mib, 768),
            (0, 384, 96),
            (0, 383, 0),
            (0, 0, 0),
            (992, 64 * mib, 992),
            (992, 0, 992),
            (496, 64 * mib, 992),
            (496, 2 * mib, 636),
            (496, 1488, 496),
            (100, 100, 100),
        ] {
            assert_eq!(share(had * 1024, left * 1024), expected * 1024, "had {had}, left {left}");
        }
    }

    #[test]
    fn sixty_four_quick_clients_have_the_most_or_nearly_so() {
        let mut left = SHARED_BYTES;
        let shares = std::iter::repeat_with(|| {
            let share = share(0, left);
            left -= share;
            share
        });
        let kibibytes: Vec<_> = shares.take(80).map(|share| share / 1024).collect();
        assert_eq!(kibibytes[..63], [992; 63]);
        assert_eq!(kibibytes[63..], [760, 570, 427, 320, 240, 180, 135, 101, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_wait_that_lasts_halves_it() {
        let slow = [Refused(0), Taken(251)];
        check(&[&quick(8), &slow], 1024, 512);
        check(&[&quick(8), &slow, &slow, &quick(7)], 1024, 256);
        check(&[&quick(8), &slow, &slow, &quick(8)], 1024, 1024);
        check(&[&quick(8), &slow.repeat(10)], 1024, 32);
        check(&[&quick(7), &slow, &quick(7)], 1024, 32);
    }

    #[test]
    fn only_who_may_leave_much_is_pressed_and_only_once_a_second() {
        let pressed = |steps: &[&[Step]]| play(&steps.concat(), UNSENT_MAX_BYTES - UNSENT_MIN_BYTES).1;
        assert!(!pressed(&[&[Refused(0), Refused(60_000)]]));
        assert!(!pressed(&[&quick(8), &[Refused(0), Refused(999)]]));
        assert!(pressed(&[&quick(8), &[Refused(0), Refused(1000)]]));
        assert!(!pressed(&[&quick(8), &[Refused(0), Refused(1000), Refused(999)]]));
        assert!(pressed(&[&quick(8), &[Refused(0), Refused(1000), GaveWay, Refused(0), Refused(1000)]]));
    }

    #[test]
    fn who_is_pressed_may_leave_less_each_time_until_it_is_little() {
        let waits = [Refused(0), Refused(1000)];
        check(&[&quick(8), &waits], 128, 128 + 64);
        check(&[&quick(8), &waits, &[GaveWay]], 128, 128 + 64 - 8);
        check(&[&quick(8), &waits, &[GaveWay, Refused(1000), GaveWay]], 128, 128 + 64 - 16);
        check(&[&quick(8), &waits, &[GaveWay; 50]], 128, 32);
        check(&[&quick(8), &waits, &[Taken(0)]], 128, 96);
        check(&[&quick(8), &waits, &[Taken(0)]], 40, 40);
    }
}
