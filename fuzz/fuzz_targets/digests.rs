//! See `holdover_fuzz::checks::digests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdover_fuzz::checks::digests(input));
