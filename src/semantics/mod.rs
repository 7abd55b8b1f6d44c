//! HTTP caching rules, one RFC section a file: pure, without I/O, clocks or locks.

pub mod accept_language;
pub mod cache_control;
pub mod cache_status;
pub mod coded_tag;
pub mod content_coding;
pub mod content_range;
pub mod date;
pub mod digest;
pub mod field;
pub mod field_lines;
pub mod forwarding;
pub mod freshness;
pub mod invalidation;
pub mod key;
pub mod no_fallback;
pub mod presence;
pub mod query;
pub mod range;
pub mod retry_after;
pub mod storable;
pub mod surrogate;
pub mod target;
pub mod transformation;
pub mod validator;
pub mod vary;
