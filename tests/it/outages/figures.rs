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
}

impl Figures {
    /// Counts up. `last_look` has been taken when all was over.
    pub(crate) fn of(samples: &[Sample], last_look: &[Sample], entries: &[Entry], moments: Moments) -> Self {
        let samples: Vec<&Sample> = samples.iter().filter(|sample| sample.due >= moments.broken).collect();
        let count = |is: &dyn Fn(&Sample) -> bool| samples.iter().filter(|sample| is(sample)).count();
        let lied_last = entries.iter().filter(|entry| entry.conduct == Conduct::Lies).map(|entry| entry.at).max();
        let after = |sample: &Sample| lied_last.is_some_and(|last| sample.due > last + IN_FLIGHT);
        let still_wrong = count(&|sample| sample.end == End::Wrong && after(sample));
        Self {
            requests: Class::ALL.map(|class| count(&|sample| sample.class == class)),
            failed: Class::ALL.map(|class| count(&|sample| sample.class == class && sample.failed())),
            wrong: count(&|sample| sample.end == End::Wrong),
            still_wrong: still_wrong + last_look.iter().filter(|sample| sample.end != End::Served).count(),
            p99: percentile(samples.iter().map(|sample| sample.took).collect(), 99),
            slow: Class::ALL.map(|class| count(&|sample| sample.class == class && sample.took > SLOW)),
            wasted: entries.iter().filter(|entry| entry.conduct != Conduct::Good).count(),
            switches: leads(entries).len(),
            back: back(entries, moments.healed),
        }
    }

    /// A row of the table: see [`Figures::HEAD`].
    pub(crate) fn row(&self, title: &str) -> String {
        let by_class = |counts: [usize; 3]| counts.map(|count| count.to_string()).join(" / ");
        let cells = [
            title.to_owned(),
            by_class(self.requests),
            by_class(self.failed),
            by_class(self.slow),
            format!("{} ms", self.p99.as_millis()),
            self.wasted.to_string(),
            self.wrong.to_string(),
            self.still_wrong.to_string(),
            self.switches.to_string(),
            self.back.map_or("–".to_owned(), |time| format!("{:.1} s", time.as_secs_f64())),
        ];
        format!("| {} |", cells.join(" | "))
    }

    /// The head of the table.
    pub(crate) const HEAD: &str = "\
| fault | requests | failed | slow | p99 | wasted | wrong | still wrong | switches | back |
|---|---|---|---|---|---|---|---|---|---|";
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
    let after: Vec<Entry> = entries.iter().filter(|entry| entry.at >= healed).copied().collect();
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
        };
        let entries: Vec<_> = (0..).zip(requests.bytes()).map(entry).collect();
        let figures = Figures::of(&[], &[], &entries, Moments { broken: began, healed: second(healed) });
        let wasted = requests.bytes().filter(u8::is_ascii_uppercase).count();
        let expected = expected.map(Duration::from_secs);
        assert_eq!((figures.switches, figures.back, figures.wasted), (switches, expected, wasted), "{requests}");
    }
}
