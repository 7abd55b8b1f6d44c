//! See `holdover_fuzz::checks::targeted_field`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| holdover_fuzz::checks::targeted_field(input));
