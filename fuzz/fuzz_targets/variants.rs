//! See `holdover_fuzz::checks::variants`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdover_fuzz::checks::variants(input));
