//! See `holdover_fuzz::checks::read_content_range`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdover_fuzz::checks::read_content_range(input));
