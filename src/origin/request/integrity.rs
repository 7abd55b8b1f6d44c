//! Whether a body is the one that its digests are of (RFC 9530).

use aws_lc_rs::digest::{Context, SHA256, SHA512};

use crate::semantics::digest::{Algorithm, Digest};

/// Hashes a body while it passes.
pub struct Integrity {
    expected: Vec<Digest>,
    hashes: Vec<(Algorithm, Context)>,
}

/// What a whole body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// As its digests say, or there are none.
    Right,
    /// Other than one of its digests says.
    Wrong,
}

impl Integrity {
    /// For a body of which all of `expected` are digests; each algorithm is calculated once.
    pub fn new(expected: Vec<Digest>) -> Self {
        let mut integrity = Self { expected, hashes: Vec::new() };
        integrity.begin_again();
        integrity
    }

    /// Whether there is anything to verify.
    pub fn is_stated(&self) -> bool {
        !self.expected.is_empty()
    }

    /// The body comes once more from its beginning.
    pub fn begin_again(&mut self) {
        let is_stated = |algorithm| self.expected.iter().any(|digest| digest.algorithm == algorithm);
        let known = [(Algorithm::Sha256, &SHA256), (Algorithm::Sha512, &SHA512)];
        let stated = known.into_iter().filter(|(algorithm, _)| is_stated(*algorithm));
        self.hashes = stated.map(|(algorithm, hash)| (algorithm, Context::new(hash))).collect();
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.hashes.iter_mut().for_each(|(_, hash)| hash.update(bytes));
    }

    /// What the bytes are, if that was all.
    pub fn judge(&self) -> Content {
        let is_right = |(algorithm, hash): &(Algorithm, Context)| {
            let found = hash.clone().finish();
            let mut expected = self.expected.iter().filter(|digest| digest.algorithm == *algorithm);
            expected.all(|digest| digest.value == found.as_ref())
        };
        if self.hashes.iter().all(is_right) { Content::Right } else { Content::Wrong }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: &[(Algorithm, &str)], pieces: &[&str], content: Content) {
        let expected = expected.iter().map(|(algorithm, hex)| {
            let byte = |place| u8::from_str_radix(&hex[place..place + 2], 16).expect("two hexadecimal digits");
            Digest { algorithm: *algorithm, value: (0..hex.len()).step_by(2).map(byte).collect() }
        });
        let mut integrity = Integrity::new(expected.collect());
        pieces.iter().for_each(|piece| integrity.take(piece.as_bytes()));
        assert_eq!(integrity.judge(), content, "{pieces:?}");
    }

    #[test]
    fn a_body_is_what_all_of_its_digests_say() {
        let (short, long) = ((Algorithm::Sha256, SHORT), (Algorithm::Sha512, LONG));
        for pieces in [&["abc"][..], &["a", "", "bc"]] {
            check(&[short], pieces, Content::Right);
            check(&[short, long, short], pieces, Content::Right);
        }
        for pieces in [&["abd"][..], &["ab"], &["abc", "d"], &[]] {
            check(&[short], pieces, Content::Wrong);
            check(&[long], pieces, Content::Wrong);
        }
        check(&[], &["anything"], Content::Right);
    }

    #[test]
    fn digests_that_contradict_each_other_are_never_right() {
        check(&[(Algorithm::Sha256, SHORT), (Algorithm::Sha256, OTHER)], &["abc"], Content::Wrong);
        check(&[(Algorithm::Sha256, OTHER), (Algorithm::Sha512, LONG)], &["abc"], Content::Wrong);
    }

    #[test]
    fn what_begins_again_forgets_what_came() {
        let value = Context::new(&SHA256).finish().as_ref().to_vec();
        let mut integrity = Integrity::new(vec![Digest { algorithm: Algorithm::Sha256, value }]);
        integrity.take(b"x");
        assert_eq!(integrity.judge(), Content::Wrong);
        integrity.begin_again();
        assert_eq!(integrity.judge(), Content::Right);
    }

    /// Of "abc" (FIPS 180-2, appendices B.1 and C.1).
    const SHORT: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    const LONG: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                        2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    const OTHER: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ae";
}
