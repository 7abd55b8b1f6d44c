//! How much the kernel takes for a client beyond what its window and the network have room for.
//!
//! Much is cheap: a client that empties it quickly is served in few turns. But a slow one is then silent for long, since
//! the kernel wakes a writer only once half of it is gone, and whoever is silent cannot be told from one that is dead. So
//! only clients that have shown to be quick get more than little. One that slows down is not awaited in silence, but
//! pressed to take a few bytes every second: the socket takes them as soon as the client has taken anything.

use std::time::Duration;

/// What one connection may leave unsent in the kernel (`TCP_NOTSENT_LOWAT`). Times are counted from its start.
#[derive(Debug)]
pub(super) struct Unsent {
    /// Bytes from which on the socket refuses more.
    limit: usize,
    /// How often it has made room quickly at this limit since it last took long.
    proofs: u32,
    /// While it refuses: since when, or since it was last pressed.
    refuses_since: Option<Duration>,
    /// Whether it was pressed since it last took bytes by itself.
    is_pressed: bool,
}

impl Unsent {
    /// That of a new connection.
    pub(super) fn new() -> Self {
        Self { limit: UNSENT_MIN_BYTES, proofs: 0, refuses_since: None, is_pressed: false }
    }

    /// The socket, one of `open`, took bytes by itself; the limit to be set, if it is another one.
    pub(super) fn taken(&mut self, now: Duration, open: usize) -> Option<usize> {
        let since = self.refuses_since.take()?;
        let limit = self.limit;
        if std::mem::take(&mut self.is_pressed) || now.saturating_sub(since) > QUICK_WAIT {
            // The kernel holds less than half of the limit when it takes bytes again, so this is at once true of it.
            (self.limit, self.proofs) = ((limit / 2).max(UNSENT_MIN_BYTES), 0);
        } else {
            self.proofs += 1;
            if self.proofs >= PROOFS {
                (self.limit, self.proofs) = (limit.max(share(open)), 0);
            }
        }
        (self.limit != limit).then_some(self.limit)
    }

    /// The socket took nothing; the limit to be set before it is pressed, if it is to be.
    pub(super) fn refused(&mut self, now: Duration) -> Option<usize> {
        if !self.is_due(now) {
            return None;
        }
        self.refuses_since = Some(now);
        if !std::mem::replace(&mut self.is_pressed, true) {
            // What went in last may lie beyond the limit, as a whole segment.
            self.limit += SEGMENT_BYTES;
        }
        Some(self.limit)
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
        let lower = self.limit.saturating_sub(STEP_BYTES).max(UNSENT_MIN_BYTES);
        let moved = bytes + self.limit - lower;
        self.limit = lower;
        (lower, moved)
    }
}

/// Most that one of `open` connections may leave unsent.
fn share(open: usize) -> usize {
    (SHARED_BYTES / open.max(1)).min(UNSENT_MAX_BYTES)
}

/// What every connection may leave unsent. The kernel wakes us at half of it, so that a client at 2 KiB/s shows progress
/// every 8 s.
pub(super) const UNSENT_MIN_BYTES: usize = 32 * 1024;

/// With half of it 10 MiB cost 7 % more, with a quarter 11 %, with an eighth 20 %.
const UNSENT_MAX_BYTES: usize = 1024 * 1024;

/// What is shared out among all connections. Two thousand have no more of it than any.
const SHARED_BYTES: usize = 64 * 1024 * 1024;

/// A client may leave its share unsent after it has made room so many times quickly. What the buffers of its own system take
/// before it has read anything makes fewer.
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

    /// The limit after `steps`, one of `open` connections, and whether it is pressed in the last of them.
    fn play(steps: &[Step], open: usize) -> (usize, bool) {
        let (mut unsent, mut now, mut is_pressed) = (Unsent::new(), Duration::ZERO, false);
        for step in steps {
            is_pressed = false;
            match *step {
                Refused(milliseconds) => {
                    now += Duration::from_millis(milliseconds);
                    is_pressed = unsent.refused(now).is_some();
                }
                Taken(milliseconds) => {
                    now += Duration::from_millis(milliseconds);
                    let before = unsent.limit;
                    let told = unsent.taken(now, open);
                    assert_eq!(told, (unsent.limit != before).then_some(unsent.limit));
                }
                GaveWay => {
                    let before = unsent.limit;
                    assert_eq!(unsent.gave_way(PRESS_BYTES), (unsent.limit, PRESS_BYTES + before - unsent.limit));
                }
            }
        }
        (unsent.limit, is_pressed)
    }

    #[track_caller]
    fn check(steps: &[&[Step]], open: usize, expected_kibibytes: usize) {
        assert_eq!(play(&steps.concat(), open).0, expected_kibibytes * 1024);
    }

    /// So many waits that end quickly.
    fn quick(times: usize) -> Vec<Step> {
        [Refused(1), Taken(250)].repeat(times)
    }

    #[test]
    fn who_is_quick_may_leave_more_unsent() {
        check(&[&quick(7)], 1, 32);
        check(&[&quick(8)], 1, 1024);
        check(&[&quick(1000)], 1, 1024);
        check(&[&[Taken(0); 1000]], 1, 32);
    }

    #[test]
    fn the_more_connections_the_less_of_each() {
        check(&[&quick(8)], 64, 1024);
        check(&[&quick(8)], 128, 512);
        check(&[&quick(8)], 1024, 64);
        check(&[&quick(8)], 2048, 32);
        check(&[&quick(8)], 10_000, 32);
    }

    #[test]
    fn a_wait_that_lasts_halves_it() {
        let slow = [Refused(0), Taken(251)];
        check(&[&quick(8), &slow], 1, 512);
        check(&[&quick(8), &slow, &slow, &quick(7)], 1, 256);
        check(&[&quick(8), &slow, &slow, &quick(8)], 1, 1024);
        check(&[&quick(8), &slow.repeat(10)], 1, 32);
        check(&[&quick(7), &slow, &quick(7)], 1, 32);
    }

    #[test]
    fn only_who_may_leave_much_is_pressed_and_only_once_a_second() {
        let pressed = |steps: &[&[Step]]| play(&steps.concat(), 1).1;
        assert!(!pressed(&[&[Refused(0), Refused(60_000)]]));
        assert!(!pressed(&[&quick(8), &[Refused(0), Refused(999)]]));
        assert!(pressed(&[&quick(8), &[Refused(0), Refused(1000)]]));
        assert!(!pressed(&[&quick(8), &[Refused(0), Refused(1000), Refused(999)]]));
        assert!(pressed(&[&quick(8), &[Refused(0), Refused(1000), GaveWay, Refused(0), Refused(1000)]]));
    }

    #[test]
    fn who_is_pressed_may_leave_less_each_time_until_it_is_little() {
        let waits = [Refused(0), Refused(1000)];
        check(&[&quick(8), &waits], 512, 128 + 64);
        check(&[&quick(8), &waits, &[GaveWay]], 512, 128 + 64 - 8);
        check(&[&quick(8), &waits, &[GaveWay, Refused(1000), GaveWay]], 512, 128 + 64 - 16);
        check(&[&quick(8), &waits, &[GaveWay; 50]], 512, 32);
        check(&[&quick(8), &waits, &[Taken(0)]], 512, 96);
    }
}
