//! cache_status.
