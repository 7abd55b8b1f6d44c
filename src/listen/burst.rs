//! How much of a response is sealed into TLS records before the socket has taken what was sealed before.
//!
//! What is sealed is a copy, and stays in memory for as long as the client does not take it. Few bytes at a time are
//! dear, since each burst is a system call; many are a gift to whoever reads slowly. So bursts grow while the socket takes
//! them whole, and are small again once it does not; of thousands of clients, each has to take one whole at once for more.

/// The burst of one connection.
#[derive(Debug)]
pub(super) struct Burst {
    /// Bytes sealed that the socket has not taken.
    sealed: usize,
    /// Most of them.
    size: usize,
    /// Whether the socket has refused some of them.
    is_blocked: bool,
    /// Bytes sealed since the connection began, as long as that matters.
    young: usize,
}

impl Burst {
    /// That of a new connection.
    pub(super) fn new() -> Self {
        Self { sealed: 0, size: BURST_MIN_BYTES, is_blocked: false, young: 0 }
    }

    /// Bytes that may be sealed in the next record or records; none before the socket takes some.
    pub(super) fn room(&self) -> usize {
        let room = self.size.saturating_sub(self.sealed);
        if self.young < YOUNG_BYTES { room.min(FIRST_RECORD_BYTES) } else { room }
    }

    /// So many bytes were sealed.
    pub(super) fn seal(&mut self, bytes: usize) {
        self.sealed += bytes;
        self.young = (self.young + bytes).min(YOUNG_BYTES);
    }

    /// The socket took everything; `is_crowded` when there are many connections.
    pub(super) fn taken(&mut self, is_crowded: bool) {
        if self.sealed >= self.size && !(self.is_blocked && is_crowded) {
            self.size = (self.size * 2).min(BURST_MAX_BYTES);
        }
        (self.sealed, self.is_blocked) = (0, false);
    }

    /// The socket took part of it, or nothing.
    pub(super) fn blocked(&mut self) {
        (self.size, self.is_blocked) = (BURST_MIN_BYTES, true);
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
        TakenInACrowd,
    }

    #[track_caller]
    fn check(steps: &[Step], expected_room: usize) {
        let mut burst = Burst::new();
        burst.young = YOUNG_BYTES;
        for step in steps {
            match step {
                Step::Blocked => burst.blocked(),
                Step::Seal(bytes) => burst.seal(*bytes),
                Step::Taken => burst.taken(false),
                Step::TakenInACrowd => burst.taken(true),
            }
        }
        assert_eq!(burst.room(), expected_room);
    }

    #[test]
    fn a_burst_ends_where_the_socket_has_to_take_it() {
        check(&[], BURST_MIN_BYTES);
        check(&[Step::Seal(1000)], BURST_MIN_BYTES - 1000);
        check(&[Step::Seal(BURST_MIN_BYTES)], 0);
        check(&[Step::Seal(BURST_MIN_BYTES + 1)], 0);
    }

    #[test]
    fn bursts_grow_while_the_socket_takes_them_whole() {
        let full = |size| [Step::Seal(size), Step::Taken];
        check(&full(BURST_MIN_BYTES), 2 * BURST_MIN_BYTES);
        check(&full(1000), BURST_MIN_BYTES);
        let many: Vec<_> = (0..20).flat_map(|_| full(BURST_MAX_BYTES)).collect();
        check(&many, BURST_MAX_BYTES);
    }

    #[test]
    fn a_client_that_does_not_keep_up_pins_little() {
        check(&[Step::Seal(BURST_MIN_BYTES), Step::Taken, Step::Blocked], BURST_MIN_BYTES);
        check(&[Step::Seal(BURST_MIN_BYTES), Step::Blocked], 0);
        let slow = |taken| [Step::Seal(BURST_MIN_BYTES), Step::Blocked, taken];
        check(&slow(Step::Taken), 2 * BURST_MIN_BYTES);
        check(&slow(Step::TakenInACrowd), BURST_MIN_BYTES);
        let quick = [Step::Seal(BURST_MIN_BYTES), Step::TakenInACrowd, Step::TakenInACrowd];
        check(&[slow(Step::TakenInACrowd), quick].concat(), 2 * BURST_MIN_BYTES);
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
