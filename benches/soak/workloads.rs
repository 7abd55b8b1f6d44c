//! What the node goes through: each workload is made to fill its memory in a way of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use holdover::clock::Clock;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout_at};

use crate::content::{fraction, path};
use crate::node::Node;
use crate::origin::SLOW_ROOM;
use crate::visitor::{Over, Pace, Tally, Visitor};

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// A hundred thousand bodies of 1 KiB to 64 MiB, asked for by Zipf's law.
    Zipf,
    /// Nobody asks twice: first for 1 KiB, then for up to 64 KiB, then for up to 1 MiB.
    Misses,
    /// A thousand fills of 1 MiB in flight, each taking seconds.
    Fills,
    /// Five thousand slow readers of 1 MiB over HTTP/1.1 and TLS, while other responses push theirs out.
    Readers,
    /// As many over HTTP/2, a hundred on each connection.
    Streams,
    /// Bodies by Zipf's law, first small ones and then such of up to 1 MiB, while they are purged: one by one, every other
    /// one, which leaves holes, and all at once.
    Purges,
}

impl Workload {
    /// In the order in which they follow each other, on one node.
    pub(crate) const ALL: [Self; 6] =
        [Self::Zipf, Self::Misses, Self::Fills, Self::Readers, Self::Streams, Self::Purges];

    /// Its word on the command line, in the table and in the plot.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Zipf => "zipf",
            Self::Misses => "misses",
            Self::Fills => "fills",
            Self::Readers => "readers",
            Self::Streams => "streams",
            Self::Purges => "purges",
        }
    }
}

/// One run of a workload.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) node: Arc<Node>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) clock: Clock,
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    /// Numbers bodies that nobody has asked for before.
    pub(crate) fresh: Arc<AtomicU64>,
}

impl Run {
    /// Plays `workload` until the end; whoever is not done by then leaves.
    pub(crate) async fn play(&self, workload: Workload) -> anyhow::Result<()> {
        let mut crowd = JoinSet::new();
        match workload {
            Workload::Zipf => self.spread(&mut crowd, 48, Self::popular),
            Workload::Misses => self.miss(&mut crowd),
            Workload::Fills => self.fill(&mut crowd),
            Workload::Readers => {
                self.read_slowly(&mut crowd);
                self.push_out(&mut crowd);
            }
            Workload::Streams => {
                self.read_slowly_together(&mut crowd).await?;
                self.push_out(&mut crowd);
            }
            Workload::Purges => {
                self.spread(&mut crowd, 24, Self::purged);
                self.purge(&mut crowd);
            }
        }
        let all = async { while crowd.join_next().await.is_some() {} };
        // They never leave by themselves before.
        let _over = timeout_at(self.end.into(), all).await;
        Ok(())
    }

    fn visitor(&self, over: Over, pace: Pace) -> Visitor {
        Visitor::new(&self.node, &self.tally, over, pace)
    }

    fn fresh(&self, room: &str, length: u64) -> String {
        path(room, self.fresh.fetch_add(1, Ordering::Relaxed), length)
    }

    /// `count` visitors who ask for what is popular more often, by its rank.
    fn spread(&self, crowd: &mut JoinSet<()>, count: usize, choose: fn(&Self, u64) -> String) {
        for _ in 0..count {
            let (run, mut visitor) = (self.clone(), self.visitor(Over::Http, Pace::Full));
            crowd.spawn(async move {
                loop {
                    // The inverse of Zipf's distribution with exponent 1.
                    let rank = (BODIES as f64).powf(fastrand::f64()) as u64;
                    visitor.visit(&choose(&run, rank)).await;
                }
            });
        }
    }

    fn popular(&self, rank: u64) -> String {
        path("zipf", rank, length(rank, SMALLEST, LARGEST, 8))
    }

    fn purged(&self, rank: u64) -> String {
        let room = if rank.is_multiple_of(2) { "purges/even" } else { "purges/odd" };
        let largest = if self.progress() < 0.5 { 4 << 10 } else { 1 << 20 };
        path(room, rank, length(rank, SMALLEST, largest, 8))
    }

    fn miss(&self, crowd: &mut JoinSet<()>) {
        for _ in 0..64 {
            let (run, mut visitor) = (self.clone(), self.visitor(Over::Http, Pace::Full));
            crowd.spawn(async move {
                loop {
                    let (smallest, largest) = match run.progress() {
                        ..0.33 => (SMALLEST, SMALLEST),
                        ..0.66 => (SMALLEST, 64 << 10),
                        _ => (128 << 10, 1 << 20),
                    };
                    let random = fastrand::u64(..);
                    visitor.visit(&run.fresh("misses", length(random, smallest, largest, 1))).await;
                }
            });
        }
    }

    /// How much of the time is over.
    fn progress(&self) -> f64 {
        let passed = self.clock.now().monotonic.saturating_duration_since(self.begin);
        passed.as_secs_f64() / (self.end - self.begin).as_secs_f64()
    }

    fn fill(&self, crowd: &mut JoinSet<()>) {
        for _ in 0..1000 {
            let (run, mut visitor) = (self.clone(), self.visitor(Over::Http, Pace::Full));
            crowd.spawn(async move {
                loop {
                    visitor.visit(&run.fresh(SLOW_ROOM, 1 << 20)).await;
                }
            });
        }
    }

    fn read_slowly(&self, crowd: &mut JoinSet<()>) {
        for number in 0..READERS {
            let (run, mut visitor) = (self.clone(), self.visitor(Over::Https, SLOW));
            crowd.spawn(async move {
                // They come one after another, as the handshakes keep both cores busy.
                sleep(HANDSHAKE * number).await;
                run.read(&mut visitor).await;
            });
        }
    }

    async fn read_slowly_together(&self, crowd: &mut JoinSet<()>) -> anyhow::Result<()> {
        for _ in 0..READERS / STREAMS {
            for mut visitor in self.visitor(Over::Http2, SLOW).together(STREAMS as usize).await? {
                let run = self.clone();
                crowd.spawn(async move { run.read(&mut visitor).await });
            }
        }
        Ok(())
    }

    /// Asks for a few bodies that all others ask for as well, and for others every quarter of a minute.
    async fn read(&self, visitor: &mut Visitor) {
        loop {
            let seconds = self.clock.now().monotonic.saturating_duration_since(self.begin).as_secs();
            let number = seconds / 15 * 1000 + fastrand::u64(..20);
            visitor.visit(&path("readers", number, 1 << 20)).await;
        }
    }

    /// A moderate number of misses, so that what others still read is evicted.
    fn push_out(&self, crowd: &mut JoinSet<()>) {
        for _ in 0..4 {
            let (run, mut visitor) = (self.clone(), self.visitor(Over::Http, Pace::Full));
            crowd.spawn(async move {
                let mut ticks = interval(Duration::from_millis(40));
                loop {
                    ticks.tick().await;
                    visitor.visit(&run.fresh("push", length(fastrand::u64(..), SMALLEST, 1 << 20, 1))).await;
                }
            });
        }
    }

    fn purge(&self, crowd: &mut JoinSet<()>) {
        let run = self.clone();
        crowd.spawn(async move {
            let mut ticks = interval(Duration::from_millis(50));
            for round in 0_u64.. {
                ticks.tick().await;
                let document = match round % 200 {
                    0 => r#"{"all": true}"#.to_owned(),
                    50 | 100 | 150 => r#"{"prefixes": ["http://localhost/purges/odd/"]}"#.to_owned(),
                    _ => {
                        let urls = (1..50).map(|rank| format!("\"http://localhost{}\"", run.purged(rank)));
                        let urls: Vec<_> = urls.collect();
                        format!(r#"{{"urls": [{}]}}"#, urls.join(", "))
                    }
                };
                let node = Arc::clone(&run.node);
                let purged = tokio::task::spawn_blocking(move || node.purge(&document)).await;
                if let Ok(Err(failure)) = purged {
                    run.tally.fail(format!("{failure:#}"));
                }
            }
        });
    }
}

/// Between `smallest` and `largest`, the same for the same `number`; the higher `skew` is, the smaller most of them.
fn length(number: u64, smallest: u64, largest: u64, skew: i32) -> u64 {
    let octaves = (largest as f64 / smallest as f64).log2();
    (smallest as f64 * (octaves * fraction(number).powi(skew)).exp2()) as u64
}

/// Bodies there are to choose from by Zipf's law.
const BODIES: u64 = 100_000;

const SMALLEST: u64 = 1 << 10;
const LARGEST: u64 = 64 << 20;

/// Slow readers, over either protocol.
const READERS: u32 = 5000;

/// Of those, on one HTTP/2 connection.
const STREAMS: u32 = 100;

/// One MiB takes a minute.
const SLOW: Pace = Pace::Slow(16 * 1024);

/// Between two slow readers' handshakes.
const HANDSHAKE: Duration = Duration::from_millis(2);
