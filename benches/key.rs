//! The gate and the cache key.

fn main() {}
