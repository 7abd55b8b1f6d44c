//! A fill, from its head to its end.

fn main() {}
