//! Bodies of which every byte follows from the path and its offset, so that every byte a client gets can be checked.

/// The path of a body of `length` bytes; `room` and `number` only tell it from others.
pub(crate) fn path(room: &str, number: u64, length: u64) -> String {
    format!("/{room}/{number}-{length}")
}

/// The body behind a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    /// Length in bytes.
    pub(crate) length: u64,
    seed: u64,
}

impl Content {
    /// What `path` is the path of, if it is one of ours.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (_, length) = path.rsplit_once('-')?;
        Some(Self { length: length.parse().ok()?, seed: path.bytes().fold(FNV_BASIS, mixed) })
    }

    /// Writes what is at `offset`.
    pub(crate) fn write(&self, offset: u64, buffer: &mut [u8]) {
        let ahead = (offset.next_multiple_of(8) - offset) as usize;
        let (first, rest) = buffer.split_at_mut(ahead.min(buffer.len()));
        let word = self.word(offset / 8).to_le_bytes();
        let within = (offset % 8) as usize;
        first.copy_from_slice(&word[within..][..first.len()]);
        for (index, place) in (offset.div_ceil(8)..).zip(rest.chunks_mut(8)) {
            place.copy_from_slice(&self.word(index).to_le_bytes()[..place.len()]);
        }
    }

    /// Whether `bytes` are what is at `offset`.
    pub(crate) fn is(&self, offset: u64, bytes: &[u8]) -> bool {
        let mut expected = [0; 4096];
        let mut at = offset;
        bytes.chunks(expected.len()).all(|piece| {
            let expected = &mut expected[..piece.len()];
            self.write(at, expected);
            at += piece.len() as u64;
            expected == piece
        })
    }

    fn word(&self, index: u64) -> u64 {
        let word = self.seed.wrapping_add(index.wrapping_mul(GOLDEN));
        word ^ (word >> 29)
    }
}

fn mixed(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
}

/// A number in [0, 1) for each `number`, the same in every run.
pub(crate) fn fraction(number: u64) -> f64 {
    let hash = number.to_le_bytes().into_iter().fold(FNV_BASIS, mixed);
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(GOLDEN);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// 2^64 divided by the golden ratio: its multiples are spread evenly.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
