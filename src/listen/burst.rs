//! How much of a response is sealed into TLS records before the socket has taken what was sealed before.
//!
//! What is sealed is a copy, and stays in memory for as long as the client does not take it. Few bytes at a time are
//! dear, since each burst is a system call; many are a gift to whoever reads slowly. So bursts grow while the socket takes
//! them whole. Once it does not they are small again, and for the rest of the response nothing is sealed before the socket
//! has been asked for room, so that a slow client has nothing in hand while it is waited for.

/// The burst of one connection.
#[derive(Debug)]
pub(super) struct Burst {
    /// Bytes sealed that the socket has not taken.
    sealed: usize,
    /// Most of them.
    size: usize,
    /// Whether the socket has refused some of this response.
    is_slow: bool,
    /// Bytes sealed since the connection began, as long as that matters.
    young: usize,
}

impl Burst {
    /// That of a new connection.
    pub(super) fn new() -> Self {
        Self { sealed: 0, size: BURST_MIN_BYTES, is_slow: false, young: 0 }
    }

    /// Bytes that may be sealed in the next record or records; none before the socket takes some.
    pub(super) fn room(&self) -> usize {
        let room = self.size.saturating_sub(self.sealed);
        if self.young < YOUNG_BYTES { room.min(FIRST_RECORD_BYTES) } else { room }
    }

    /// Whether the socket is to be asked for room before a byte more is sealed; `is_tight` when all connections together
    /// have too much in hand.
    pub(super) fn asks(&self, is_tight: bool) -> bool {
        self.sealed == 0 && (self.is_slow || is_tight)
    }

    /// So many bytes were sealed.
    pub(super) fn seal(&mut self, bytes: usize) {
        self.sealed += bytes;
        self.young = (self.young + bytes).min(YOUNG_BYTES);
    }

    /// The socket took everything.
    pub(super) fn taken(&mut self, is_tight: bool) {
        if self.sealed < self.size {
            // There was no more to send: the end of a response.
            self.is_slow = false;
        } else if is_tight {
            self.size = BURST_MIN_BYTES;
        } else {
            self.size = (self.size * 2).min(BURST_MAX_BYTES);
        }
        self.sealed = 0;
    }

    /// The socket took part of it, or nothing, or has no room for any; bytes that were sealed, most of which it may still
    /// have to take.
    pub(super) fn blocked(&mut self) -> usize {
        (self.size, self.is_slow) = (BURST_MIN_BYTES, true);
        self.sealed
    }
}

/// Nearly the longest TLS record (RFC 8446 §5.1): with what a record has besides, it fits into 16 KiB, where the longest one
/// takes 20 of an allocator. Less would make more records of the same bytes.
const BURST_MIN_BYTES: usize = 16 * 1024 - 64;

/// A chunk of a stored body with the head before it. More was not measured to be cheaper, and a slow reader pins this much.
const BURST_MAX_BYTES: usize = 80 * 1024;

/// What a new connection's first records hold. A client can use a record once all of it has come, and the first packets
/// of a connection hold no more than 14 KiB (RFC 6928): of a longest record it would wait for a second round trip.
const FIRST_RECORD_BYTES: usize = 4 * 1024;

/// After so many bytes the network takes more at once, and records are as long as they can be.
const YOUNG_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a burst.
    #[derive(Clone, Copy)]
    enum Step {
        Blocked,
        Seal(usize),
        Taken,
        TakenWhileTight,
    }

    #[track_caller]
    fn check(steps: &[Step], expected_room: usize, expected_to_ask: bool) {
        let mut burst = Burst::new();
        burst.young = YOUNG_BYTES;
        for step in steps {
            match step {
                Step::Blocked => {
                    burst.blocked();
                }
                Step::Seal(bytes) => burst.seal(*bytes),
                Step::Taken => burst.taken(false),
                Step::TakenWhileTight => burst.taken(true),
            }
        }
        assert_eq!((burst.room(), burst.asks(false)), (expected_room, expected_to_ask));
    }

    #[test]
    fn a_burst_ends_where_the_socket_has_to_take_it() {
        check(&[], BURST_MIN_BYTES, false);
        check(&[Step::Seal(1000)], BURST_MIN_BYTES - 1000, false);
        check(&[Step::Seal(BURST_MIN_BYTES)], 0, false);
        check(&[Step::Seal(BURST_MIN_BYTES + 1)], 0, false);
    }

    #[test]
    fn bursts_grow_while_the_socket_takes_them_whole() {
        let full = |size| [Step::Seal(size), Step::Taken];
        check(&full(BURST_MIN_BYTES), 2 * BURST_MIN_BYTES, false);
        check(&full(1000), BURST_MIN_BYTES, false);
        let many: Vec<_> = (0..20).flat_map(|_| full(BURST_MAX_BYTES)).collect();
        check(&many, BURST_MAX_BYTES, false);
        check(&[many, vec![Step::Seal(BURST_MAX_BYTES), Step::TakenWhileTight]].concat(), BURST_MIN_BYTES, false);
    }

    #[test]
    fn a_client_that_does_not_keep_up_has_nothing_in_hand_for_the_rest_of_the_response() {
        let slow = [Step::Seal(BURST_MIN_BYTES), Step::Blocked];
        check(&slow, 0, false);
        check(&[slow, [Step::Taken, Step::Blocked]].concat(), BURST_MIN_BYTES, true);
        let full = [Step::Seal(BURST_MIN_BYTES), Step::Taken];
        check(&[slow, [Step::Taken, Step::Blocked], full].concat(), 2 * BURST_MIN_BYTES, true);
        check(&[&slow[..], &[Step::Taken, Step::Blocked], &[Step::Seal(1000)]].concat(), BURST_MIN_BYTES - 1000, false);
        let last = [Step::Seal(1000), Step::Taken];
        check(&[slow, [Step::Taken, Step::Blocked], last].concat(), BURST_MIN_BYTES, false);
    }

    #[test]
    fn while_memory_is_tight_everybody_is_asked_and_nothing_is_sealed_twice() {
        let mut burst = Burst::new();
        assert!(burst.asks(true));
        burst.seal(1000);
        assert!(!burst.asks(true), "what is in hand is sent first");
        assert_eq!(burst.blocked(), 1000);
    }

    #[test]
    fn the_first_records_are_short() {
        let mut burst = Burst::new();
        let mut records = Vec::new();
        while burst.young < YOUNG_BYTES {
            records.push(burst.room());
            burst.seal(burst.room());
            burst.taken(false);
        }
        assert_eq!(records, vec![FIRST_RECORD_BYTES; YOUNG_BYTES / FIRST_RECORD_BYTES]);
        assert_eq!(burst.room(), BURST_MIN_BYTES);
    }
}
