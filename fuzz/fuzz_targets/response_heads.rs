//! See `holdover_fuzz::checks::response_heads`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdover_fuzz::checks::response_heads(input));
