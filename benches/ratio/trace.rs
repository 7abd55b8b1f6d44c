//! Requests as visitors, crawlers and fashions make them: the same ones whenever it runs.

use std::f64::consts::TAU;

use fastrand::Rng;

use super::policy::Request;

/// What the requests of a trace are like.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// The exponent of Zipf's law.
    pub(crate) alpha: f64,
    /// How far sizes follow popularity: 0 not at all; at 1 a more popular object is never larger.
    pub(crate) correlation: f64,
    pub(crate) mix: Mix,
    /// How far ahead of LRU the store has to be, in points.
    pub(crate) ahead_of_lru: f64,
}

/// What comes between the requests of visitors.
#[derive(Clone, Copy)]
pub(crate) enum Mix {
    /// A crawler that asks for everything there is, one object after another: every third request.
    Crawl,
    /// Now and then the most popular object falls out of fashion, and all others gain a rank.
    Drift,
    Nothing,
    /// Objects that are asked for once: one of five requests, and now and then thousands on end.
    Scans,
}

/// All requests of a trace, to objects that take `overhead_bytes` beyond their bodies. Objects are numbered by popularity.
pub(crate) fn trace(shape: Shape, overhead_bytes: u32) -> Vec<Request> {
    let mut rng = Rng::with_seed(SEED);
    let mut sizes = sizes(&mut rng, shape.correlation, overhead_bytes);
    let popularity = Zipf::new(shape.alpha);
    let mut crawled = 0;
    (0..REQUESTS)
        .map(|number| {
            let rank = popularity.rank(&mut rng);
            let id = match shape.mix {
                Mix::Crawl if number.is_multiple_of(CRAWL_EVERY) => {
                    crawled = (crawled + CRAWL_STRIDE) % OBJECTS;
                    crawled
                }
                Mix::Drift => (rank + number / DRIFT_EVERY) % OBJECTS,
                Mix::Scans if number % SCAN_EVERY < SCAN_LENGTH || rng.usize(0..ONCE_EVERY) == 0 => {
                    sizes.push(size(normal(&mut rng), overhead_bytes));
                    sizes.len() - 1
                }
                Mix::Crawl | Mix::Nothing | Mix::Scans => rank,
            };
            Request { id: id as u32, bytes: sizes[id] }
        })
        .collect()
}

/// What the objects of visitors take together, in bytes.
pub(crate) fn footprint(shape: Shape, overhead_bytes: u32) -> u64 {
    sizes(&mut Rng::with_seed(SEED), shape.correlation, overhead_bytes).into_iter().map(u64::from).sum()
}

/// One for each object, the most popular first.
fn sizes(rng: &mut Rng, correlation: f64, overhead_bytes: u32) -> Vec<u32> {
    let mut ordered: Vec<_> = (0..OBJECTS).map(|_| normal(rng)).collect();
    ordered.sort_by(f64::total_cmp);
    let rest = (1.0 - correlation * correlation).sqrt();
    ordered.into_iter().map(|place| size(correlation * place + rest * normal(rng), overhead_bytes)).collect()
}

/// A log-normal size: bodies of 1 KiB to 4 MiB, half of them below 16 KiB.
fn size(deviation: f64, overhead_bytes: u32) -> u32 {
    let body = MEDIAN_BYTES * (SPREAD * deviation).exp();
    body.clamp(1024.0, f64::from(4 << 20)) as u32 + overhead_bytes
}

/// A number of the normal distribution, by Box and Muller.
fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (TAU * rng.f64()).cos()
}

/// Chooses ranks, each in proportion to its own power.
struct Zipf {
    /// The weights up to each rank, that rank's included.
    sums: Vec<f64>,
}

impl Zipf {
    fn new(alpha: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=OBJECTS).map(|rank| {
            sum += (rank as f64).powf(-alpha);
            sum
        });
        Self { sums: sums.collect() }
    }

    fn rank(&self, rng: &mut Rng) -> usize {
        let chosen = rng.f64() * self.sums[OBJECTS - 1];
        self.sums.partition_point(|sum| *sum <= chosen).min(OBJECTS - 1)
    }
}

const SEED: u64 = 0x5eed;

/// What visitors ask for.
const OBJECTS: usize = 100_000;

const REQUESTS: usize = 1_000_000;

const CRAWL_EVERY: usize = 3;

/// Has no divisor in common with their number, so that the crawler meets all of them before it comes again.
const CRAWL_STRIDE: usize = 61_803;

const DRIFT_EVERY: usize = 200;

/// One scan of this many requests in each so many.
const SCAN_LENGTH: usize = 10_000;
const SCAN_EVERY: usize = 100_000;

/// Beside the scans, one of this many requests is for something that nobody asks for again.
const ONCE_EVERY: usize = 5;

const MEDIAN_BYTES: f64 = 16.0 * 1024.0;

/// The standard deviation of the sizes' logarithms.
const SPREAD: f64 = 1.5;
