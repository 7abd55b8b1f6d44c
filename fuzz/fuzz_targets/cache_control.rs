//! See `holdover_fuzz::checks::cache_control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdover_fuzz::checks::cache_control(input));
