//! Hit ratios at equal memory: the store beside LRU, SIEVE and S3-FIFO, over the same requests. Ends with a failure when
//! the store falls short of a target.
//!
//! Requests are the same whenever it runs; only moka hashes keys differently every time, which moves its ratios by a tenth
//! of a point or two.

use std::io::{self, Write, stdout};
use std::process::ExitCode;

use holdover::Holdover;
use lru::Lru;
use policy::{Policy, Request};
use s3_fifo::S3Fifo;
use sieve::Sieve;
use trace::{Mix, Shape, footprint, trace};

mod holdover;
mod list;
mod lru;
mod policy;
mod s3_fifo;
mod sieve;
mod trace;

fn main() -> io::Result<ExitCode> {
    lru::prove();
    sieve::prove();
    s3_fifo::prove();
    let overhead = u32::try_from(Holdover::overhead()).unwrap_or(u32::MAX);
    let mut out = stdout();
    writeln!(
        out,
        "Hits in percent of requests, and of bytes, once a quarter of the requests has filled the caches.\n"
    )?;
    writeln!(
        out,
        "| requests | memory ÷ bytes of all | store | LRU | SIEVE | S3-FIFO | bytes: store | LRU | SIEVE | S3-FIFO |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|")?;
    let mut missed = Vec::new();
    for shape in SHAPES {
        let requests = trace(shape, overhead);
        for percent in MEMORY_PERCENT {
            let row = Row::play(shape, percent, footprint(shape, overhead) * percent / 100, &requests);
            row.write(&mut out)?;
            missed.extend(row.missed());
        }
    }
    writeln!(out)?;
    for line in &missed {
        writeln!(out, "FAIL: {line}")?;
    }
    if missed.is_empty() {
        writeln!(out, "PASS: every row is within its targets")?;
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One trace at one size of memory.
struct Row {
    shape: Shape,
    percent: u64,
    store: Ratio,
    lru: Ratio,
    sieve: Ratio,
    s3_fifo: Ratio,
    /// Responses that the ledger had no room for.
    refused: u64,
}

impl Row {
    fn play(shape: Shape, percent: u64, bound_bytes: u64, requests: &[Request]) -> Self {
        let mut store = Holdover::new(bound_bytes);
        Self {
            shape,
            percent,
            store: Ratio::of(&mut store, requests),
            lru: Ratio::of(&mut Lru::new(bound_bytes), requests),
            sieve: Ratio::of(&mut Sieve::new(bound_bytes), requests),
            s3_fifo: Ratio::of(&mut S3Fifo::new(bound_bytes), requests),
            refused: store.refused,
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let all = [self.store, self.lru, self.sieve, self.s3_fifo];
        write!(out, "| {} | {} % |", self.shape.name, self.percent)?;
        all.iter().try_for_each(|ratio| write!(out, " {:.1} |", ratio.requests))?;
        all.iter().try_for_each(|ratio| write!(out, " {:.1} |", ratio.bytes))?;
        writeln!(out)
    }

    /// The targets that the store misses.
    fn missed(&self) -> Vec<String> {
        let store = self.store.requests;
        let least = [
            ("LRU", self.lru.requests + self.shape.ahead_of_lru),
            ("SIEVE", self.sieve.requests - BEHIND_MAX),
            ("S3-FIFO", self.s3_fifo.requests - BEHIND_MAX),
        ];
        let what = format!("{}, {} %", self.shape.name, self.percent);
        let behind = least.into_iter().filter(|(_, least)| store < *least);
        let mut missed: Vec<_> =
            behind.map(|(peer, least)| format!("{what}: {store:.1}, not {least:.1}, by {peer}")).collect();
        if self.refused > 0 {
            missed.push(format!("{what}: the ledger refused {} responses", self.refused));
        }
        missed
    }
}

/// Hits in percent.
#[derive(Clone, Copy)]
struct Ratio {
    requests: f64,
    bytes: f64,
}

impl Ratio {
    fn of(policy: &mut impl Policy, requests: &[Request]) -> Self {
        let (mut hits, mut hit_bytes, mut bytes) = (0.0, 0.0, 0.0);
        let (first, rest) = requests.split_at(requests.len() / 4);
        for request in first {
            policy.request(*request);
        }
        for request in rest {
            bytes += f64::from(request.bytes);
            if policy.request(*request) {
                hits += 1.0;
                hit_bytes += f64::from(request.bytes);
            }
        }
        Self { requests: 100.0 * hits / rest.len() as f64, bytes: 100.0 * hit_bytes / bytes }
    }
}

const SHAPES: [Shape; 8] = [
    Shape { name: "Zipf 0.8", alpha: 0.8, ..PLAIN },
    Shape { name: "Zipf 1.0", alpha: 1.0, ..PLAIN },
    Shape { name: "Zipf 0.8, the popular smaller", alpha: 0.8, correlation: 0.5, ..PLAIN },
    Shape { name: "Zipf 1.0, the popular smaller", alpha: 1.0, correlation: 0.5, ..PLAIN },
    Shape { name: "Zipf 0.8, scans", alpha: 0.8, mix: Mix::Scans, ..PLAIN },
    Shape { name: "Zipf 1.0, scans", alpha: 1.0, mix: Mix::Scans, ..PLAIN },
    Shape { name: "Zipf 1.0, a crawl", alpha: 1.0, mix: Mix::Crawl, ..PLAIN },
    // Fashion is what LRU is good at.
    Shape { name: "Zipf 1.0, drifting", alpha: 1.0, mix: Mix::Drift, ahead_of_lru: 0.0, ..PLAIN },
];

const PLAIN: Shape = Shape { name: "", alpha: 1.0, correlation: 0.0, mix: Mix::Nothing, ahead_of_lru: 5.0 };

const MEMORY_PERCENT: [u64; 2] = [1, 10];

/// How far behind SIEVE and S3-FIFO the store may be, in points.
const BEHIND_MAX: f64 = 1.0;
