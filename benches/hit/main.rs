//! A hit on the road of requests: the whole of it, from the request's head to the last byte of the body handed over,
//! with all that is counted; only HTTP's framing and TLS are missing.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use holdover::clock::Clock;
use http::StatusCode;

mod node;
use node::{Asked, Node, request};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    sizes(&mut criterion);
    codings(&mut criterion);
    numbers(&mut criterion);
    workers(&mut criterion);
    criterion.final_summary();
}

/// Bodies are handed over in chunks, never copied, so a hit of 1 MiB costs little more than one of 1 KiB.
fn sizes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hit/size");
    for (name, bytes) in [("1 KiB", 1 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        let node = Node::new();
        node.store("/object", bytes);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || request("/object"),
                |request| hit(&node, request, bytes),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A text that was compressed before, for a client that takes it so.
fn codings(criterion: &mut Criterion) {
    let node = Node::new();
    node.store_codable("/text", 64 << 10);
    // The first one orders what the others get.
    node.answer(request("/text"));
    node.compress();
    let (status, coded_bytes) = node.answer(request("/text"));
    assert!(status == StatusCode::OK && coded_bytes < 64 << 10);
    criterion.bench_function("hit/coded", |bencher| {
        let ask = || request("/text");
        bencher.iter_batched(ask, |request| hit(&node, request, coded_bytes), criterion::BatchSize::SmallInput);
    });
}

/// Among many small stored responses, every one of them asked for in turn: how far from flat a hit's cost is. Ten million
/// take some 8 GiB, and are stored when `HOLDOVER_BENCH_MILLIONS` is set.
fn numbers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hit/among");
    // As a test it runs once, unoptimized.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let most = match std::env::var_os("HOLDOVER_BENCH_MILLIONS") {
        Some(_) => 10_000_000,
        None if is_bench => 1_000_000,
        None => 1_000,
    };
    for count in [1_000, 10_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|&count| count <= most) {
        let node = Node::new();
        for number in 0..count {
            node.store(&path(number), SMALL_BYTES);
        }
        let mut number = 0;
        group.bench_function(count.to_string(), |bencher| {
            let next = || {
                number = (number + STRIDE) % count;
                request(&path(number))
            };
            bencher.iter_batched(next, |request| hit(&node, request, SMALL_BYTES), criterion::BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// Two workers at once, each on a processor of its own, beside one: what they write in common costs each of them.
fn workers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hit/workers");
    for (name, paths) in [
        ("1", &["/first"][..]),
        ("2, of the same response", &["/first", "/first"]),
        ("2, of a response each", &["/first", "/second"]),
    ] {
        let nodes = Node::workers(paths.len());
        ["/first", "/second"].iter().for_each(|path| nodes[0].store(path, 1 << 10));
        group.bench_function(name, |bencher| bencher.iter_custom(|hits| all_hit(&nodes, paths, hits)));
    }
    group.finish();
}

/// How long the slowest of `nodes` takes to answer so many requests for its path, without making them.
fn all_hit(nodes: &[Node], paths: &[&str], hits: u64) -> Duration {
    let (clock, together) = (&Clock::new(), &Barrier::new(nodes.len()));
    thread::scope(|scope| {
        let answer = |(node, path): (&Node, &&str)| {
            together.wait();
            let (mut left, mut taken) = (hits, Duration::ZERO);
            while left > 0 {
                let requests: Vec<_> = (0..left.min(BATCH)).map(|_| request(path)).collect();
                left -= requests.len() as u64;
                let began = clock.monotonic();
                requests.into_iter().for_each(|request| hit(node, request, 1 << 10));
                taken += clock.monotonic() - began;
            }
            taken
        };
        let answering: Vec<_> = nodes.iter().zip(paths).map(|work| scope.spawn(move || answer(work))).collect();
        answering.into_iter().map(|answered| answered.join().expect("no hit fails")).max().unwrap_or_default()
    })
}

/// One request, answered from the store and read to the end.
fn hit(node: &Node, request: Asked, bytes: usize) {
    assert_eq!(node.answer(request), (StatusCode::OK, bytes));
}

fn path(number: usize) -> String {
    format!("/assets/{number}.js")
}

/// Requests made at a time.
const BATCH: u64 = 64;

/// A prime that divides no number of responses, so that all of them are asked for, and neighbors not in a row.
const STRIDE: usize = 7919;

/// The body of a small response.
const SMALL_BYTES: usize = 64;
