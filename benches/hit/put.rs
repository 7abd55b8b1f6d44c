//! Puts responses into a store.

use std::sync::Arc;

use holdover::cache::chunks::GrowingBody;
use holdover::cache::store::Store;
use holdover::cache::stored::{Arrival, StoredHead, StoredResponse};

/// Stores a response as a fill would, with a body of so many bytes; `None` when it finds no room.
pub(crate) fn put(store: &Store, arrival: Arrival, body_bytes: u64) -> Option<()> {
    let mut body = GrowingBody::new(Some(body_bytes));
    body.append(&vec![b'x'; body_bytes as usize]);
    let body = body.seal(store.reserve(body_bytes)?).expect("nothing was forgotten");
    let head = StoredHead::of(arrival);
    let paid = store.reserve(head.cost())?;
    store.store(Arc::new(StoredResponse::new(head, body, paid)));
    Some(())
}
