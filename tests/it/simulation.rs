//! Seeded schedules of what origins do to requests in flight, and what must be true of every answer.
//!
//! Three origins serve the same pages, one of them a version behind at times. Heads are late, fail or never come; bodies break
//! off, stall or end with their connection; versions change; visitors order something, and some leave. Whatever happens: every
//! byte is of the version that the answer names; nothing ends cleanly before its end; nothing stale is served for longer than
//! it may be; every head is there by its deadline; tries in vain stay within their budgets; no order arrives twice. And as
//! long as one origin is well, nobody who wants a page is lost.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use holdover::clock::Clock;
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::lab::{Answer, Client, Http2Client, Lab};

#[test]
fn whatever_happens_to_a_request_its_answer_is_true() {
    if let Some(seed) = wish(SEED).and_then(|seed| seed.parse().ok()) {
        return schedule(seed);
    }
    let schedules = if wish("HOLDOVER_TEST_ALL").as_deref() == Some("1") { SCHEDULES } else { SCHEDULES_IN_PASSING };
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || (first..schedules).step_by(threads as usize).for_each(told));
        }
    });
}

/// Runs a schedule, and says how to run it again should it fail.
#[expect(clippy::print_stderr, reason = "whoever reads the failure wants to see it once more")]
fn told(seed: u64) {
    if let Err(panic) = std::panic::catch_unwind(|| schedule(seed)) {
        eprintln!("to replay it: {SEED}={seed} cargo test --test it simulation::whatever");
        std::panic::resume_unwind(panic);
    }
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says which and how many")]
fn wish(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

fn schedule(seed: u64) {
    // What the node draws comes from the generator of its thread.
    fastrand::seed(seed);
    let runtime = runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(play(seed));
}

async fn play(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let lab = Lab::start(&NAMES, SETTINGS).await;
    let start = now();
    let sound = Some(random.usize(0..3)).filter(|_| random.u32(0..4) > 0);
    let mut world = World {
        conducts: [Conduct::Well; 3],
        sound,
        behind: Some(random.usize(0..3)).filter(|behind| Some(*behind) != sound && random.u32(0..3) == 0),
        histories: (0..PAGES.len()).map(|page| vec![(start, content(page, 0))]).collect(),
    };
    NAMES.iter().for_each(|name| world.script(&lab, name));
    let (mut visits, mut orders) = (JoinSet::new(), 0);
    let end = start + Duration::from_secs(random.u64(10..30));
    let mut disturbance = start + Duration::from_secs(1);
    while now() < end {
        if now() >= disturbance {
            world.disturb(&lab, &mut random);
            disturbance = now() + Duration::from_millis(random.u64(200..2_000));
        }
        let wish = Wish::any(&mut random);
        orders += usize::from(wish.page == ORDER);
        let visitor = Visitor::any(&lab, &mut random).await;
        let stay = Duration::from_millis(if random.u32(0..10) == 0 { random.u64(0..1_000) } else { 3_600_000 });
        visits.spawn(timeout(stay, visit(visitor, wish, orders)));
        sleep(Duration::from_millis(random.u64(5..150))).await;
    }
    while let Some(visit) = visits.join_next().await {
        if let Ok(visit) = visit.unwrap() {
            world.check(seed, &visit);
        }
    }
    check_budgets(seed, &lab, start);
    check_orders(seed, &lab, orders);
}

fn check_budgets(seed: u64, lab: &Lab, start: Instant) {
    let asked: usize = NAMES.iter().map(|name| lab.origin(name).requests_of_all()).sum();
    for (kind, percent) in [("retry", 5), ("hedge", 2)] {
        let spent = lab.count(&format!("holdover_origin_tries_in_vain_total{{site=\"www\",kind=\"{kind}\"}}"));
        let free = 10 + now().duration_since(start).as_secs() as usize + IN_FLIGHT_MAX;
        assert!(spent <= free + asked * percent / 100, "seed {seed}: {spent} of kind {kind} in vain for {asked}");
    }
}

fn check_orders(seed: u64, lab: &Lab, orders: usize) {
    let heads: Vec<_> = NAMES.iter().flat_map(|name| lab.origin(name).requests(PAGES[ORDER].path)).collect();
    for order in 1..=orders {
        let field = format!("x-order: {order}\r\n");
        let arrived = heads.iter().filter(|head| head.contains(&field)).count();
        assert!(arrived <= 1, "seed {seed}: order {order} arrived {arrived} times");
    }
}

/// What the origins serve, and how.
struct World {
    conducts: [Conduct; 3],
    /// An origin that is well all the time.
    sound: Option<usize>,
    /// An origin that serves the version before the latest.
    behind: Option<usize>,
    /// Of each page, when each of its versions came, and its bytes.
    histories: Vec<Vec<(Instant, Bytes)>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Conduct {
    Well,
    Dead,
    Blackholed,
    Late(Duration),
    Fails(u16),
    HangsUp,
    /// After this share of the body, in percent.
    Breaks(usize),
    Stalls(usize),
}

impl Conduct {
    fn any(random: &mut Rng) -> Self {
        match random.u32(0..12) {
            0..=2 => Self::Well,
            3 => Self::Dead,
            4 => Self::Blackholed,
            5 => Self::Late(Duration::from_millis(random.u64(100..LATE_MAX))),
            6 => Self::Late(Duration::from_secs(60)),
            7 => Self::Fails([500, 503][random.usize(0..2)]),
            8 => Self::HangsUp,
            9 | 10 => Self::Breaks(random.usize(0..100)),
            _ => Self::Stalls(random.usize(0..100)),
        }
    }
}

impl World {
    fn disturb(&mut self, lab: &Lab, random: &mut Rng) {
        if random.u32(0..4) == 0 {
            let page = random.usize(0..PAGES.len());
            let history = &mut self.histories[page];
            history.push((now(), content(page, history.len())));
            NAMES.iter().for_each(|name| self.script(lab, name));
            return;
        }
        let index = random.usize(0..3);
        if self.sound == Some(index) {
            return;
        }
        self.conducts[index] = Conduct::any(random);
        match self.conducts[index] {
            Conduct::Dead => lab.origin(NAMES[index]).dies(),
            Conduct::Blackholed => lab.origin(NAMES[index]).is_blackholed(),
            _ => lab.origin(NAMES[index]).returns(),
        }
        self.script(lab, NAMES[index]);
    }

    /// Lets an origin serve the latest versions in its manner.
    fn script(&self, lab: &Lab, name: &str) {
        let origin = NAMES.iter().position(|other| *other == name).unwrap();
        let (conduct, lag) = (self.conducts[origin], usize::from(self.behind == Some(origin)));
        for (index, page) in PAGES.iter().enumerate() {
            let version = (self.histories[index].len() - 1).saturating_sub(lag);
            let body = &self.histories[index][version].1;
            let share = |percent: usize| body.len() * percent / 100;
            let good = Answer::ok(body.to_vec())
                .with("cache-control", page.cache_control)
                .etag(&format!("{index}-{version}"))
                .with_ranges();
            let good = if page.is_chunked { good.chunked() } else { good };
            let answer = match conduct {
                Conduct::Well | Conduct::Dead | Conduct::Blackholed => good,
                Conduct::Late(delay) => good.after(delay),
                Conduct::Fails(status) => Answer::new(status, "ill"),
                Conduct::HangsUp => good.hanging_up(),
                Conduct::Breaks(percent) => good.breaking_at(share(percent)),
                Conduct::Stalls(percent) => good.stalling_at(share(percent)),
            };
            lab.origin(name).answers(page.path, answer);
        }
    }

    fn check(&self, seed: u64, visit: &Visit) {
        let Visit { wish, began, head, .. } = visit;
        let context = format!("seed {seed}: {visit:?}");
        assert!(head.duration_since(*began) <= DEADLINE, "too late: {context}");
        if wish.page == ORDER {
            return;
        }
        let since = |version: usize| self.histories[wish.page].get(version).map(|(since, _)| *since);
        let gone = since(visit.version + 1);
        if self.sound.is_some() {
            assert!(visit.status < 500, "lost though an origin is well: {context}");
            // Of a version that is gone nobody has the rest.
            assert!(
                visit.is_whole || gone.is_some_and(|gone| gone <= visit.end),
                "cut though an origin is well: {context}"
            );
        }
        if !matches!(visit.status, 200 | 206) {
            assert!(visit.status >= 500, "{context}");
            return;
        }
        let whole = self.histories[wish.page][visit.version].1.clone();
        let expected = match (visit.status, wish.is_head) {
            (_, true) => Bytes::new(),
            (206, false) => whole.slice(FROM..),
            (_, false) => whole,
        };
        let is_true = if visit.is_whole { visit.body == expected } else { expected.starts_with(&visit.body) };
        assert!(is_true, "{} bytes of {}: {context}", visit.body.len(), expected.len());
        let gone = since(visit.version + 1 + usize::from(self.behind.is_some()));
        if let Some(until) = gone.map(|gone| gone + PAGES[wish.page].servable) {
            assert!(*began <= until, "too old by {:?}: {context}", *began - until);
        }
    }
}

/// What a visitor wants.
#[derive(Clone, Copy, Debug)]
struct Wish {
    page: usize,
    is_head: bool,
    is_part: bool,
    insists: bool,
}

impl Wish {
    fn any(random: &mut Rng) -> Self {
        let is_head = random.u32(0..12) == 0;
        let is_part = !is_head && random.u32(0..8) == 0;
        Self { page: random.usize(0..PAGES.len()), is_head, is_part, insists: random.u32(0..16) == 0 }
    }
}

/// What a visitor got.
struct Visit {
    wish: Wish,
    began: Instant,
    head: Instant,
    end: Instant,
    status: u16,
    cache_status: String,
    /// By its entity tag.
    version: usize,
    body: Bytes,
    is_whole: bool,
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wish, status, cache_status, version, is_whole, .. } = self;
        let took = self.head.duration_since(self.began);
        let bytes = self.body.len();
        write!(
            formatter,
            "{wish:?} got {status} ({cache_status}) after {took:?}: {bytes} bytes of version {version}, "
        )?;
        write!(formatter, "{}", if *is_whole { "whole" } else { "cut" })
    }
}

/// Somebody with a connection of their own.
enum Visitor {
    Http1(Client),
    Http2(Http2Client),
}

impl Visitor {
    async fn any(lab: &Lab, random: &mut Rng) -> Self {
        match random.u32(0..4) {
            0 => Self::Http2(lab.http2_client().await),
            _ => Self::Http1(lab.client().await),
        }
    }

    async fn begin(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &'static str,
    ) -> Response<Incoming> {
        match self {
            Self::Http1(client) => client.begin(method, path, fields, body).await,
            Self::Http2(client) => client.begin(method, path, fields, body).await,
        }
    }
}

/// What becomes of a wish; of an order, if that is one, with its `number`.
async fn visit(mut visitor: Visitor, wish: Wish, number: usize) -> Visit {
    let began = now();
    let range = format!("bytes={FROM}-");
    let mut fields = Vec::new();
    if wish.is_part {
        fields.push(("range", range.as_str()));
    }
    if wish.insists {
        fields.push(("cache-control", "no-cache"));
    }
    let number = number.to_string();
    let (method, content) = match (wish.page == ORDER, wish.is_head) {
        (true, _) => ("POST", "one of these"),
        (false, true) => ("HEAD", ""),
        (false, false) => ("GET", ""),
    };
    if wish.page == ORDER {
        fields = vec![("x-order", number.as_str())];
    }
    let (response, mut body) = visitor.begin(method, PAGES[wish.page].path, &fields, content).await.into_parts();
    let head = now();
    let field = |name: &str| response.headers.get(name).map_or("", |value| value.to_str().unwrap());
    let tag = field("etag").trim_matches('"').split('-').nth(1);
    let version = tag.map_or(0, |version| version.parse().unwrap());
    let (status, cache_status) = (response.status.as_u16(), field("cache-status").to_owned());
    let (mut read, mut is_whole) = (Vec::new(), true);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            // HTTP/2 would say so for ever.
            Err(_) => {
                is_whole = false;
                break;
            }
        }
    }
    Visit { wish, began, head, end: now(), status, cache_status, version, body: read.into(), is_whole }
}

/// A page, and how it may be stored.
struct Page {
    path: &'static str,
    cache_control: &'static str,
    is_chunked: bool,
    /// How long after its replacement a version may be served.
    servable: Duration,
}

const fn page(path: &'static str, cache_control: &'static str, servable: u64) -> Page {
    Page { path, cache_control, is_chunked: false, servable: Duration::from_millis(servable) }
}

const PAGES: [Page; 7] = [
    page("/brief", "max-age=1", LATE_MAX + 1_000 + STALE_MAX),
    Page { is_chunked: true, ..page("/pieces", "max-age=1", LATE_MAX + 1_000 + STALE_MAX) },
    page("/refreshed", "max-age=1, stale-while-revalidate=2", LATE_MAX + 1_000 + STALE_MAX),
    page("/strict", "max-age=1, must-revalidate", LATE_MAX + 1_000),
    page("/fresh", "no-store", 0),
    page("/long", "max-age=60", LATE_MAX + 60_000 + STALE_MAX),
    page("/order", "no-store", 0),
];

/// The paused time.
fn now() -> Instant {
    Clock::new().now().monotonic.into()
}
/// The page that is not asked for, but posted to.
const ORDER: usize = 6;

/// The bytes of one version of a page: from a few to some hundred thousand.
fn content(page: usize, version: usize) -> Bytes {
    let mut random = Rng::with_seed((page * 1000 + version) as u64);
    let length = [FROM + 1, 700, 9_000, 70_000, 300_000][random.usize(0..5)];
    (0..length).map(|_| random.alphanumeric() as u8).collect()
}

const NAMES: [&str; 3] = ["a", "b", "c"];

const SETTINGS: &str =
    "[site.stale]\nmax = \"5s\"\n[site.failback]\nhold_down = \"1s\"\ndwell = \"1s\"\nramp = \"0s\"\n";

/// As in [`SETTINGS`], in milliseconds.
const STALE_MAX: u64 = 5_000;

/// How long an origin may think, in milliseconds, about what it knew when it was asked; who comes meanwhile shares that.
const LATE_MAX: u64 = 2_500;

/// Where parts begin that visitors ask for.
const FROM: usize = 100;

/// The request's own, and what the node adds for a leader that never reports.
const DEADLINE: Duration = Duration::from_millis(10_600);

/// Requests under way at a time, at most: one in 77 ms, for up to ten seconds.
const IN_FLIGHT_MAX: usize = 130;

/// Schedules when all tests are wanted.
const SCHEDULES: u64 = 200;

/// Schedules otherwise.
const SCHEDULES_IN_PASSING: u64 = 40;

/// Which schedule to run.
const SEED: &str = "HOLDOVER_SEED";
