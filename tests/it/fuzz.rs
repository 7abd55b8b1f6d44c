//! The fuzz targets of `fuzz/`, run briefly with a simple mutator; cargo-fuzz runs the same ones guided by coverage.
//!
//! `HOLDOVER_FUZZ_RUNS` says how often each target runs, then from a random seed; `HOLDOVER_FUZZ_SEED` repeats a failure.

#[expect(unreachable_pub, reason = "the guided fuzzer uses it from another crate")]
#[path = "../../fuzz/src/checks.rs"]
mod checks;
#[expect(unreachable_pub, reason = "the guided fuzzer uses it from another crate")]
#[path = "../../fuzz/src/sections.rs"]
mod sections;
#[expect(unreachable_pub, reason = "the guided fuzzer uses it from another crate")]
#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

use fastrand::Rng;
use targets::{TARGETS, Target};

#[test]
fn no_text_breaks_what_reads_it() {
    let runs = number("HOLDOVER_FUZZ_RUNS");
    let seed = number("HOLDOVER_FUZZ_SEED").unwrap_or_else(|| runs.map_or(0, |_| fastrand::u64(..)));
    for target in &TARGETS {
        let mut rng = Rng::with_seed(seed);
        for _ in 0..runs.unwrap_or(RUNS) {
            check(target, &mutant(target.seeds, &mut rng), seed);
        }
    }
}

#[test]
fn every_target_has_its_file_for_the_guided_fuzzer() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    let declared: Vec<_> = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")).collect();
    let known: Vec<_> = TARGETS.iter().map(|target| format!("{}.rs\"", target.name)).collect();
    assert_eq!(declared, known);
}

fn check(target: &Target, input: &[u8], seed: u64) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!("{} fails, with seed {seed}, on b\"{}\"", target.name, input.escape_ascii());
    }
}

/// A text made from the seeds by a few cuts, joins and damages, or a seed itself.
fn mutant(seeds: &[&str], rng: &mut Rng) -> Vec<u8> {
    let pick = |rng: &mut Rng| seeds[rng.usize(..seeds.len())].as_bytes();
    let mut text = pick(rng).to_vec();
    for _ in 0..rng.usize(..=DAMAGES_MAX) {
        let (from, to) = span(text.len(), rng);
        match rng.u8(..6) {
            0 => drop(text.drain(from..to)),
            1 => text[from..to].fill(INTERESTING[rng.usize(..INTERESTING.len())]),
            2 => text.insert(from, INTERESTING[rng.usize(..INTERESTING.len())]),
            3 => text.insert(from, rng.u8(..)),
            4 => {
                let copy = text[from..to].to_vec();
                text.splice(from..from, copy);
            }
            _ => {
                let other = pick(rng);
                let (start, end) = span(other.len(), rng);
                text.splice(from..to, other[start..end].iter().copied());
            }
        }
    }
    text
}

/// A short piece of a text of this length, possibly empty.
fn span(length: usize, rng: &mut Rng) -> (usize, usize) {
    let from = rng.usize(..=length);
    (from, from + rng.usize(..=(length - from).min(SPAN_MAX)))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var_os(variable)?;
    Some(text.to_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{variable} is a whole number")))
}

/// Enough to notice what is plainly broken, and about a second for all targets together.
const RUNS: u64 = 2000;

const DAMAGES_MAX: usize = 6;

const SPAN_MAX: usize = 40;

/// Bytes that mean something to one of the readers.
const INTERESTING: &[u8] = b"\0\t\n\r \"#%&'()*+,-./0129:;<=>?@AZ[\\]^_az{|}~\x7f\x80\xc3\xff";
