//! The one way in which this room takes its locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Every critical section here leaves its state whole, so a panic elsewhere while it was held does no harm.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
