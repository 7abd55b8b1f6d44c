//! See `holdover_fuzz::checks::read_tags`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdover_fuzz::checks::read_tags(input));
