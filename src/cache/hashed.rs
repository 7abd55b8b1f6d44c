//! Tables whose keys are hashes already, made in a way that nobody can foresee.

use std::hash::{BuildHasherDefault, Hasher};

/// Hashes what is a hash.
pub(super) type Hashed = BuildHasherDefault<HashOfHash>;

/// The hash of a number: itself.
#[derive(Debug, Default)]
pub(super) struct HashOfHash(u64);

impl Hasher for HashOfHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
