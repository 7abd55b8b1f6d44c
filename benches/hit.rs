//! A hit on the road of requests.

fn main() {}
