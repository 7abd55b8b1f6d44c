//! A fill, from its head to its end, with one follower and with a crowd.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Criterion, Throughput};
use holdover::cache::fill::{FillKey, FillReader, Fills, Joined};
use holdover::cache::store::{Store, StoreCounters};
use holdover::cache::stored::{Arrival, StoredHead};
use holdover::clock::Clock;
use holdover::semantics::key::cache_key;
use holdover::semantics::target::Target;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    fills(&mut criterion);
    criterion.final_summary();
}

/// A body arrives piece by piece, every follower reads every piece at once, and the whole is stored.
fn fills(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fill");
    group.throughput(Throughput::Bytes(BODY_BYTES));
    for followers in [1, 50] {
        let fixture = Fixture::new();
        group.bench_function(format!("1 MiB, followers: {followers}"), |bencher| {
            bencher.iter(|| fixture.fill(followers));
        });
    }
    group.finish();
}

/// What all fills of one key share.
struct Fixture {
    fills: Fills<Infallible>,
    store: Store,
    key: FillKey,
    head: Arc<StoredHead>,
    piece: Vec<u8>,
}

impl Fixture {
    fn new() -> Self {
        let target = Target::new("https", "www.test", None, "/film");
        let now = Clock::new().now().monotonic;
        let store = Store::new(64 << 20, StoreCounters::default(), now);
        let key = cache_key(&target);
        let stamps = store.fence(target.host(), target.path_and_query()).stamps_with(&[], &[]);
        let head = StoredHead::of(Arrival::plain(&key, stamps, now));
        Self {
            fills: Fills::new(0),
            store,
            key: FillKey { key, accept_encoding: "", nominated: None, has_fallback: false },
            head: Arc::new(head),
            piece: vec![b'x'; PIECE_BYTES],
        }
    }

    fn fill(&self, followers: usize) {
        let Joined::Leader(mut leader) =
            self.fills.join(self.key.clone(), self.head.received(), || self.store.fence("www.test", "/film"))
        else {
            panic!("another fill has not ended")
        };
        let mut readers: Vec<_> = (0..followers).map(|_| leader.reader()).collect();
        let body = self.store.reserve(BODY_BYTES).expect("the body fits");
        leader.head(Arc::clone(&self.head), Some(BODY_BYTES), body);
        for _ in 0..BODY_BYTES / PIECE_BYTES as u64 {
            ready(leader.append(&self.piece, &self.store, BODY_BYTES)).expect("there are readers");
            for reader in &mut readers {
                assert_eq!(read(reader), PIECE_BYTES);
            }
        }
        let head = self.store.reserve(self.head.cost()).expect("the head fits");
        leader.complete(&self.store, Some(head));
    }
}

/// Reads what is there.
fn read(reader: &mut FillReader<Infallible>) -> usize {
    let mut bytes = 0;
    while let Poll::Ready(Some(Ok(piece))) = reader.poll_read(&mut Context::from_waker(Waker::noop())) {
        bytes += piece.len();
    }
    bytes
}

/// The output of a future that does not wait.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

const BODY_BYTES: u64 = 1 << 20;

/// What one record of TLS holds, and so what usually comes at once.
const PIECE_BYTES: usize = 16 * 1024;
