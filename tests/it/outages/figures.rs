//! What a scene came to, from what visitors and origins saw: it holds of any cache in the middle.

use std::time::{Duration, Instant};

use holdover::clock::Clock;

use super::content::Class;
use super::load::{End, Sample};
use super::origin::{Conduct, Entry};

/// The moments that part a scene.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    /// Something broke.
    pub(crate) broken: Instant,
    /// It was whole again.
    pub(crate) healed: Instant,
}

/// What the requests from the fault on came to.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Requests by class.
    pub(crate) requests: [usize; 3],
    /// Of these, how many failed.
    pub(crate) failed: [usize; 3],
    /// How many got other bytes than they asked for.
    pub(crate) wrong: usize,
    /// How many of them after the liar was left, a last look at every URL included.
    pub(crate) still_wrong: usize,
    /// The latency that one request in a hundred exceeds.
    pub(crate) p99: Duration,
    /// How many took longer than half a second.
    pub(crate) slow: [usize; 3],
    /// Requests that reached an origin which swallowed them or answered badly.
    pub(crate) wasted: usize,
    /// How often another origin took the lead, by the requests they got.
    pub(crate) switches: usize,
    /// From healing until the first rank has the lead.
    pub(crate) back: Option<Duration>,
    /// Requests that reached origins during the fault, for each one for a URL that had expired or was unknown.
    pub(crate) fetches: f64,
    /// How long those waited who got an error during the fault; nothing where nobody did.
    pub(crate) errors: Option<Errors>,
}

/// How long an error took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errors {
    /// The longest, of the first [`NOVELTY`].
    pub(crate) at_first: Duration,
    /// What one in a hundred exceeds, of the time after it.
    pub(crate) later: Duration,
}

impl Figures {
    /// Counts up. `last_look` has been taken when all was over.
    pub(crate) fn of(samples: &[Sample], last_look: &[Sample], entries: &[Entry], moments: Moments) -> Self {
        let samples: Vec<&Sample> = samples.iter().filter(|sample| sample.due >= moments.broken).collect();
        let count = |is: &dyn Fn(&Sample) -> bool| samples.iter().filter(|sample| is(sample)).count();
        let lied_last = entries.iter().filter(|entry| entry.conduct == Conduct::Lies).map(|entry| entry.at).max();
        let after = |sample: &Sample| lied_last.is_some_and(|last| sample.due > last + IN_FLIGHT);
        let still_wrong = count(&|sample| sample.end == End::Wrong && after(sample));
        let is_unfit = |sample: &&Sample| sample.end != End::Served || sample.had_surplus;
        Self {
            requests: Class::ALL.map(|class| count(&|sample| sample.class == class)),
            failed: Class::ALL.map(|class| count(&|sample| sample.class == class && sample.failed())),
            wrong: count(&|sample| sample.end == End::Wrong),
            still_wrong: still_wrong + last_look.iter().filter(is_unfit).count(),
            p99: percentile(samples.iter().map(|sample| sample.took).collect(), 99),
            slow: Class::ALL.map(|class| count(&|sample| sample.class == class && sample.took > SLOW)),
            wasted: entries.iter().filter(|entry| entry.conduct != Conduct::Good).count(),
            switches: leads(entries).len(),
            back: back(entries, moments.healed),
            fetches: fetches(&samples, entries, moments.healed),
            errors: Errors::of(&samples, moments),
        }
    }

    /// The cells of the table: see [`Figures::HEAD`].
    pub(crate) fn cells(&self) -> Vec<String> {
        let by_class = |counts: [usize; 3]| counts.map(|count| count.to_string()).join(" / ");
        let errors = |errors: Errors| format!("{} / {} ms", errors.at_first.as_millis(), errors.later.as_millis());
        vec![
            by_class(self.requests),
            by_class(self.failed),
            by_class(self.slow),
            format!("{} ms", self.p99.as_millis()),
            self.errors.map_or("–".to_owned(), errors),
            format!("{:.2}", self.fetches),
            self.wasted.to_string(),
            self.wrong.to_string(),
            self.still_wrong.to_string(),
            self.switches.to_string(),
            self.back.map_or("–".to_owned(), |time| format!("{:.1} s", time.as_secs_f64())),
        ]
    }

    /// The head of the table.
    pub(crate) const HEAD: &str = "\
| fault | cache | requests | failed | slow | p99 | errors | fetches | wasted | wrong | still wrong | switches | back |
|---|---|---|---|---|---|---|---|---|---|---|---|---|";
}

impl Errors {
    fn of(samples: &[&Sample], moments: Moments) -> Option<Self> {
        let known = moments.broken + NOVELTY;
        let failed = samples.iter().filter(|sample| sample.failed() && sample.due < moments.healed);
        let (later, first): (Vec<&Sample>, Vec<&Sample>) = failed.partition(|sample| sample.due >= known);
        let times = |samples: &[&Sample]| samples.iter().map(|sample| sample.took).collect();
        let is_any = !(later.is_empty() && first.is_empty());
        is_any.then(|| Self { at_first: percentile(times(&first), 100), later: percentile(times(&later), 99) })
    }
}

/// Whether a cache asks more of origins than its clients ask of it.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
fn fetches(samples: &[&Sample], entries: &[Entry], healed: Instant) -> f64 {
    let misses = samples.iter().filter(|sample| sample.class != Class::Hit && sample.due < healed).count();
    let fetches = entries.iter().filter(|entry| entry.at < healed).count();
    fetches as f64 / misses.max(1) as f64
}

/// The time that `percent` of these do not exceed.
fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// When each new lead began, and whose it is: an origin leads from the first of [`RUN`] requests in a row that it gets.
fn leads(entries: &[Entry]) -> Vec<(Instant, usize)> {
    let mut leads: Vec<(Instant, usize)> = Vec::new();
    let mut leader = 0;
    for run in entries.chunk_by(|a, b| a.origin == b.origin).filter(|run| run.len() >= RUN) {
        if run[0].origin != leader {
            leader = run[0].origin;
            leads.push((run[0].at, leader));
        }
    }
    leads
}

/// From healing until the first rank has the lead; nothing if that does not happen.
fn back(entries: &[Entry], healed: Instant) -> Option<Duration> {
    let after = entries.split_at(entries.partition_point(|entry| entry.at < healed)).1;
    let mut runs = after.chunk_by(|a, b| a.origin == b.origin).filter(|run| run.len() >= RUN);
    runs.find(|run| run[0].origin == 0).map(|run| run[0].at.saturating_duration_since(healed))
}

/// Whether the first rank gets every request.
pub(crate) fn leads_again(entries: &[Entry]) -> bool {
    entries.len() >= RUN && entries.iter().rev().take(RUN).all(|entry| entry.origin == 0)
}

/// So many requests in a row are no chance: hedges, races and trials are single ones.
const RUN: usize = 10;

/// What nobody calls quick.
const SLOW: Duration = Duration::from_millis(500);

/// So long after a fault a cache may still find out that there is nobody left to ask.
pub(crate) const NOVELTY: Duration = Duration::from_secs(2);

/// What was asked of an origin before it was left may still be under way for as long.
const IN_FLIGHT: Duration = Duration::from_millis(100);

/// One letter per request, each a second after the one before it: who got it, the broken origin as a capital.
#[test]
fn ten_requests_in_a_row_are_a_lead_and_fewer_are_not() {
    for (requests, healed, switches, expected) in [
        ("aaaaaaaaaaaa", 0, 0, Some(0)),
        ("aaaaaaaaaabbbbbbbbbaaaaaaaaaa", 10, 0, Some(9)),
        ("Abbbbbbbbbbbcbbbbbbbbbbaaaaaaaaaa", 20, 2, Some(3)),
        ("aaaaaaaaaaAbbbbbbbbbbaaaaaaaaa", 15, 1, None),
    ] {
        let began = Clock::new().now().monotonic;
        let second = |number: u32| began + Duration::from_secs(1) * number;
        let entry = |(number, letter): (u32, u8)| Entry {
            at: second(number),
            origin: usize::from(letter.to_ascii_lowercase() - b'a'),
            conduct: if letter.is_ascii_uppercase() { Conduct::Fails } else { Conduct::Good },
            path: "/".to_owned(),
        };
        let entries: Vec<_> = (0..).zip(requests.bytes()).map(entry).collect();
        let figures = Figures::of(&[], &[], &entries, Moments { broken: began, healed: second(healed) });
        let wasted = requests.bytes().filter(u8::is_ascii_uppercase).count();
        let expected = expected.map(Duration::from_secs);
        assert_eq!((figures.switches, figures.back, figures.wasted), (switches, expected, wasted), "{requests}");
    }
}

#[test]
fn errors_before_the_outage_is_known_are_one_figure_and_those_after_it_another() {
    let began = Clock::new().now().monotonic;
    let second = |number: u32| began + Duration::from_secs(1) * number;
    let sample = |(due, class, milliseconds, end): (u32, Class, u64, End)| Sample {
        class,
        path: "/".to_owned(),
        visitor: 0,
        due: second(due),
        took: Duration::from_millis(milliseconds),
        end,
        had_surplus: false,
    };
    let failed = || End::Failed("status 503".to_owned());
    let samples = [
        (0, Class::Unknown, 700, failed()),
        (1, Class::Hit, 900, End::Served),
        (1, Class::Unknown, 300, failed()),
        (2, Class::Unknown, 20, failed()),
        (3, Class::Expiring, 5, End::Served),
        (5, Class::Unknown, 4000, failed()),
    ];
    let entry = |number| Entry { at: second(number), origin: 0, conduct: Conduct::IsOverloaded, path: "/".to_owned() };
    let entries: Vec<_> = [0, 0, 1, 1, 1, 2, 5].map(entry).into();
    let moments = Moments { broken: began, healed: second(4) };
    let figures = Figures::of(&samples.map(sample), &[], &entries, moments);
    let errors = figures.errors.map(|errors| (errors.at_first.as_millis(), errors.later.as_millis()));
    assert_eq!(errors, Some((700, 20)));
    assert_eq!(format!("{:.2}", figures.fetches), "1.50");
}
