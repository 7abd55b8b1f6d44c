//! vary.
