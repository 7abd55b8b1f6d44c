//! cache_control.
