//! See `holdover_fuzz::checks::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdover_fuzz::checks::config(input));
