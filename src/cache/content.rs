//! A stored body in the hands of whoever reads it.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::chunks::StoredBody;
use super::stored::StoredResponse;

/// A complete body: by itself, or with the response that it is part of. Clones share it, and it is paid for until the last
/// of them is gone.
#[derive(Clone, Debug)]
pub enum StoredContent {
    /// One that several responses may have.
    Shared(Arc<StoredBody>),
    /// A small one, which lies in its response.
    Within(Arc<StoredResponse>),
}

impl StoredContent {
    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Shared(body) => body.length(),
            Self::Within(response) => response.length(),
        }
    }

    /// The bytes at `offset` up to the end of a chunk; empty at the end.
    pub fn read(&self, offset: u64) -> Bytes {
        match self {
            Self::Shared(body) => body.read(offset),
            Self::Within(_) => self.clone().into_rest(offset).unwrap_or_default(),
        }
    }

    /// All bytes from `offset` on, which then hold the body: whoever reads a popular one to its end at once counts as one of
    /// its users once.
    ///
    /// # Errors
    /// Gives back a body that is in chunks.
    pub fn into_rest(self, offset: u64) -> Result<Bytes, Self> {
        match self {
            Self::Shared(body) => body.into_rest(offset).map_err(Self::Shared),
            Self::Within(response) => {
                let mut bytes = Bytes::from_owner(Within(response));
                bytes.advance(usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len())));
                Ok(bytes)
            }
        }
    }
}

/// A small body while it is sent.
struct Within(Arc<StoredResponse>);

impl AsRef<[u8]> for Within {
    fn as_ref(&self) -> &[u8] {
        self.0.within()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::chunks::GrowingBody;
    use crate::cache::store::{Store, StoreCounters};
    use crate::cache::stored::{Arrival, StoredHead};
    use crate::clock::Clock;
    use crate::semantics::key::cache_key;
    use crate::semantics::target::Target;

    #[test]
    fn a_body_is_read_and_paid_for_wherever_it_is() {
        for codable in [false, true] {
            for length in [0, 1, 4096, 4097, 100_000] {
                check(length, codable);
            }
        }
    }

    #[track_caller]
    fn check(length: usize, codable: bool) {
        let whole: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        let now = Clock::new().now().monotonic;
        let store = Store::new(1 << 20, StoreCounters::default(), now);
        let key = cache_key(&Target::new("https", "a", None, "/"));
        let stamps = store.fence("a", "/").stamps_with(&[], &[]);
        let head = StoredHead::of(Arrival { codable, ..Arrival::plain(&key, stamps, now) });
        let mut body = GrowingBody::new(None);
        body.append(&whole);
        let body = body.seal(store.reserve(length as u64).expect("it fits")).expect("nothing was forgotten");
        let paid = store.reserve(head.cost()).expect("it fits");
        let response = Arc::new(StoredResponse::new(head, body, paid));
        assert_eq!((response.length(), response.codings().is_some()), (length as u64, codable));
        let again = response.head.clone();
        let paid = store.reserve(response.cost_under(&again)).expect("it fits");
        let freshened = Arc::new(response.freshened(again, paid));
        assert_eq!(freshened.size(), response.size());
        for response in [response, freshened] {
            let (content, size) = (response.content(), response.size());
            assert!((0..200).contains(&(size - response.head.cost() - length as u64)), "{size}");
            drop(response);
            assert!(store.ledger().used() >= length as u64, "its reader holds it");
            assert_eq!(content.length(), length as u64);
            let mut read = Vec::new();
            while read.len() < length {
                read.extend_from_slice(&content.read(read.len() as u64));
            }
            assert_eq!(read, whole);
            for offset in [0, 1, length, usize::MAX] {
                let expected = whole.get(offset..).unwrap_or_default();
                match content.clone().into_rest(offset as u64) {
                    Ok(rest) => assert_eq!(rest, expected),
                    Err(chunks) => assert!(length > 4096 && chunks.length() == length as u64),
                }
            }
            assert!(content.read(length as u64).is_empty() && content.read(u64::MAX).is_empty());
        }
        assert_eq!(store.ledger().used(), 0);
    }
}
