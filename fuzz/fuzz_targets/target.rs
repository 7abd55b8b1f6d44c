//! See `holdover_fuzz::checks::request_target`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdover_fuzz::checks::request_target(input));
