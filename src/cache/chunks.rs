//! Bodies as lists of our own chunks.
//!
//! A slice of a network read buffer pins the whole buffer, so bodies are copied into chunks of one size. Chunks of one
//! size also make every offset findable in constant time, for ranges and for readers that follow a growing body.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::ledger::Reservation;

/// Size of every chunk of a body but its last, in bytes. Larger chunks waste more of the last one while it grows,
/// smaller ones cost more per byte to send.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Pieces of a chunk before they are joined: an origin that sends byte by byte must not make finding one expensive.
const PIECES_MAX: usize = 64;

/// A body that grows at its end and may be forgotten from its start.
#[derive(Debug, Default)]
pub struct GrowingBody {
    /// Chunks before the first kept one.
    forgotten: usize,
    full: VecDeque<Bytes>,
    /// The current chunk as it came, piece by piece, so that readers share every piece at once.
    pieces: Vec<Bytes>,
    pieces_bytes: usize,
    open: BytesMut,
    length: u64,
    expected: Option<u64>,
}

impl GrowingBody {
    /// An empty body; `expected_bytes` is its declared length, which saves memory in the last chunk.
    pub fn new(expected_bytes: Option<u64>) -> Self {
        Self { expected: expected_bytes, ..Self::default() }
    }

    /// Bytes appended so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Copies `data` to the end.
    pub fn append(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.open.capacity() == 0 {
                self.open = BytesMut::with_capacity(self.next_capacity());
            }
            let room = (CHUNK_BYTES - self.pieces_bytes).min(self.open.capacity());
            let (now, later) = data.split_at(room.min(data.len()));
            self.open.extend_from_slice(now);
            // The piece that fills the buffer takes it along, and a body that is one piece is nobody else's.
            let is_full = self.open.len() == self.open.capacity();
            let piece = if is_full { std::mem::take(&mut self.open) } else { self.open.split() }.freeze();
            self.pieces_bytes += piece.len();
            self.length += piece.len() as u64;
            self.pieces.push(piece);
            if self.pieces_bytes == CHUNK_BYTES {
                self.close_chunk();
            } else if self.pieces.len() == PIECES_MAX {
                let joined = self.join_pieces();
                self.pieces.push(joined);
            }
            data = later;
        }
    }

    /// The bytes at `offset` up to the end of a chunk or piece; empty at the end of what is there.
    ///
    /// # Errors
    /// [`Forgotten`] when the bytes at `offset` are no longer kept.
    pub fn read(&self, offset: u64) -> Result<Bytes, Forgotten> {
        let (chunk, mut within) = place(offset);
        let index = chunk.checked_sub(self.forgotten).ok_or(Forgotten)?;
        if let Some(full) = self.full.get(index) {
            return Ok(full.slice(within..));
        }
        if index > self.full.len() {
            return Ok(Bytes::new());
        }
        for piece in &self.pieces {
            match within.checked_sub(piece.len()) {
                Some(rest) => within = rest,
                None => return Ok(piece.slice(within..)),
            }
        }
        Ok(Bytes::new())
    }

    /// Drops whole chunks that end at or before `offset`.
    pub fn forget_before(&mut self, offset: u64) {
        let wanted = (offset / CHUNK_BYTES as u64) as usize;
        while self.forgotten < wanted && self.full.pop_front().is_some() {
            self.forgotten += 1;
        }
    }

    /// Bytes still kept.
    pub fn kept(&self) -> u64 {
        self.length - (self.forgotten * CHUNK_BYTES) as u64
    }

    /// The finished body, if none of it was forgotten; `reservation` pays for it as long as it lives.
    ///
    /// # Errors
    /// Gives the reservation back when part of the body is no longer kept.
    pub fn seal(&mut self, mut reservation: Reservation) -> Result<StoredBody, Reservation> {
        if self.forgotten > 0 {
            return Err(reservation);
        }
        if self.pieces_bytes > 0 {
            self.close_chunk();
        }
        reservation.shrink_to(self.length);
        let mut chunks = std::mem::take(&mut self.full);
        let content = if self.length > SMALL_BYTES_MAX {
            Content::Chunks(Vec::from(chunks).into())
        } else {
            // Not a copy, if nobody reads it already.
            Content::Small(chunks.pop_front().map(Vec::from).unwrap_or_default().into())
        };
        Ok(StoredBody { content, reservation })
    }

    /// One chunk out of its pieces, exactly as large as they are.
    fn close_chunk(&mut self) {
        let single = self.pieces.len() == 1 && self.open.capacity() == 0;
        let chunk = if single { self.pieces.pop().unwrap_or_default() } else { self.join_pieces() };
        self.full.push_back(chunk);
        self.pieces_bytes = 0;
        self.open = BytesMut::new();
    }

    fn join_pieces(&mut self) -> Bytes {
        let mut joined = Vec::with_capacity(self.pieces_bytes);
        self.pieces.drain(..).for_each(|piece| joined.extend_from_slice(&piece));
        Bytes::from(joined)
    }

    fn next_capacity(&self) -> usize {
        let room = CHUNK_BYTES - self.pieces_bytes;
        match self.expected.map(|expected| expected.saturating_sub(self.length)) {
            Some(rest) if rest > 0 => room.min(usize::try_from(rest).unwrap_or(room)),
            _ => room,
        }
    }
}

/// The bytes asked for are no longer kept: their reader was too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten;

/// A complete body. Its bytes are paid for until the last reader lets go of it.
#[derive(Debug)]
pub struct StoredBody {
    content: Content,
    reservation: Reservation,
}

#[derive(Debug)]
enum Content {
    /// Of more than [`SMALL_BYTES_MAX`] bytes.
    Chunks(Box<[Bytes]>),
    /// Without what every [`Bytes`] has beside its bytes.
    Small(Box<[u8]>),
}

impl StoredBody {
    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match &self.content {
            Content::Chunks(chunks) => {
                let last = chunks.last().map_or(0, Bytes::len);
                (chunks.len().saturating_sub(1) * CHUNK_BYTES + last) as u64
            }
            Content::Small(bytes) => bytes.len() as u64,
        }
    }

    /// The bytes, if they are few, and what pays for them.
    ///
    /// # Errors
    /// Gives the body back when it has more than [`SMALL_BYTES_MAX`] bytes.
    pub(super) fn into_small(self) -> Result<(Box<[u8]>, Reservation), Self> {
        match self.content {
            Content::Small(bytes) => Ok((bytes, self.reservation)),
            Content::Chunks(_) => Err(self),
        }
    }

    /// The bytes at `offset` up to the end of a chunk; empty at the end.
    pub fn read(self: &Arc<Self>, offset: u64) -> Bytes {
        let (chunk, within) = place(offset);
        match &self.content {
            Content::Chunks(chunks) => match chunks.get(chunk) {
                Some(chunk) if within < chunk.len() => chunk.slice(within..),
                _ => Bytes::new(),
            },
            Content::Small(_) => Arc::clone(self).into_rest(offset).unwrap_or_default(),
        }
    }

    /// All bytes from `offset` on, which then hold the body.
    ///
    /// # Errors
    /// Gives back a body that is in chunks.
    pub fn into_rest(self: Arc<Self>, offset: u64) -> Result<Bytes, Arc<Self>> {
        match &self.content {
            Content::Chunks(_) => Err(self),
            Content::Small(_) if self.bytes(offset).is_empty() => Ok(Bytes::new()),
            Content::Small(_) => Ok(Bytes::from_owner(Small { body: self, offset })),
        }
    }

    /// The same, lent.
    pub fn bytes(&self, offset: u64) -> &[u8] {
        let (chunk, within) = place(offset);
        let chunk = match &self.content {
            Content::Chunks(chunks) => chunks.get(chunk).map(|chunk| &chunk[..]),
            Content::Small(bytes) => (chunk == 0).then_some(&bytes[..]),
        };
        chunk.and_then(|chunk| chunk.get(within..)).unwrap_or_default()
    }
}

/// A small body from `offset` on, in the hands of a reader.
struct Small {
    body: Arc<StoredBody>,
    offset: u64,
}

impl AsRef<[u8]> for Small {
    fn as_ref(&self) -> &[u8] {
        self.body.bytes(self.offset)
    }
}

/// The chunk that the byte at `offset` is in, and where in it.
fn place(offset: u64) -> (usize, usize) {
    ((offset / CHUNK_BYTES as u64) as usize, (offset % CHUNK_BYTES as u64) as usize)
}

/// Longest body that is kept as one piece, in bytes: of longer ones, what keeping chunks takes is less than a fiftieth.
const SMALL_BYTES_MAX: u64 = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::ledger::Ledger;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index % 251) as u8).collect()
    }

    fn read_all(mut read: impl FnMut(u64) -> Bytes) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let piece = read(all.len() as u64);
            if piece.is_empty() {
                return all;
            }
            all.extend_from_slice(&piece);
        }
    }

    #[track_caller]
    fn check(pieces: &[usize], expected_bytes: Option<u64>) {
        let whole = bytes(pieces.iter().sum());
        let mut body = GrowingBody::new(expected_bytes);
        let mut start = 0;
        for size in pieces {
            body.append(&whole[start..start + size]);
            start += size;
            assert_eq!(read_all(|at| body.read(at).expect("kept")), &whole[..start]);
        }
        assert_eq!(body.length(), whole.len() as u64);
        let ledger = Ledger::new(1 << 30);
        let stored = Arc::new(body.seal(ledger.reserve(1 << 20).expect("fits")).expect("nothing forgotten"));
        assert_eq!(stored.length(), whole.len() as u64);
        assert_eq!(read_all(|at| Bytes::copy_from_slice(stored.bytes(at))), whole);
        assert_eq!(read_all(|at| stored.read(at)), whole);
        assert_eq!(ledger.used(), whole.len() as u64);
        if let Content::Chunks(chunks) = &stored.content {
            assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.len() == CHUNK_BYTES));
        }
    }

    #[test]
    fn what_is_appended_is_read_whatever_the_pieces() {
        check(&[], None);
        check(&[1], Some(1));
        check(&[5, 7, 9], Some(21));
        check(&[4095, 1], None);
        check(&[4096, 1], None);
        check(&[CHUNK_BYTES], Some(CHUNK_BYTES as u64));
        check(&[CHUNK_BYTES - 1, 2], None);
        check(&[3 * CHUNK_BYTES + 17, 1, CHUNK_BYTES], None);
        check(&[16_384; 9], Some(9 * 16_384));
        check(&[1; 300], None);
    }

    #[test]
    fn a_declared_length_that_is_too_small_loses_nothing() {
        check(&[10, 10, 10], Some(5));
    }

    #[test]
    fn forgotten_bytes_are_refused_and_the_rest_is_kept() {
        let whole = bytes(3 * CHUNK_BYTES + 10);
        let mut body = GrowingBody::new(None);
        body.append(&whole);
        body.forget_before(CHUNK_BYTES as u64 + 1);
        assert_eq!(body.read(0), Err(Forgotten));
        assert_eq!(body.read(CHUNK_BYTES as u64).map(|piece| piece.len()), Ok(CHUNK_BYTES));
        assert_eq!(body.kept(), 2 * CHUNK_BYTES as u64 + 10);
        assert!(body.seal(Ledger::new(1).reserve(0).expect("fits")).is_err());
    }
}
