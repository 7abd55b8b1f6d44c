//! The ledger that pays for every fill and every stored response: alone, and with another thread at the same account.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use holdover::cache::ledger::Ledger;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    let ledger = Ledger::new(1 << 30);
    reservations(&mut criterion, &ledger, "");
    growth(&mut criterion, &ledger);
    let full = Ledger::new(1000);
    criterion.bench_function("ledger/refuse", |bencher| {
        bencher.iter(|| assert!(full.reserve(black_box(PIECE_BYTES)).is_none()));
    });
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                black_box(ledger.reserve(PIECE_BYTES));
            }
        });
        reservations(&mut criterion, &ledger, ", contended");
        ended.store(true, Ordering::Relaxed);
    });
    criterion.final_summary();
}

fn reservations(criterion: &mut Criterion, ledger: &Ledger, how: &str) {
    criterion.bench_function(&format!("ledger/reserve and release{how}"), |bencher| {
        bencher.iter(|| assert!(ledger.reserve(black_box(PIECE_BYTES)).is_some()));
    });
}

/// A body of unknown length: piece by piece, and what was too much given back.
fn growth(criterion: &mut Criterion, ledger: &Ledger) {
    criterion.bench_function("ledger/grow 16 times and shrink", |bencher| {
        bencher.iter(|| {
            let mut reservation = ledger.reserve(PIECE_BYTES).expect("there is room");
            for _ in 0..16 {
                assert!(reservation.grow(black_box(PIECE_BYTES)));
            }
            reservation.shrink_to(PIECE_BYTES);
        });
    });
}

/// What one record of TLS holds, and so what usually comes at once.
const PIECE_BYTES: u64 = 16 * 1024;
