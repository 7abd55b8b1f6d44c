//! A cache in the middle, a name server, three ranked origins and a load, each in its own network.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use holdover::clock::Clock;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::content::{Bulk, Class, Site};
use super::figures::{Figures, Moments, leads_again};
use super::gathering::Tally;
use super::load::{Load, Sample, Visitor};
use super::origin::{Conduct, Entry, Journal, Origin};
use super::report::{self, Row};
use super::subject::{Cache, NAMES, Subject};
use super::zone::Zone;
use super::{HASTE, peers};
use crate::wires::{Namespace, Network, poll, skip};

/// What is played, and to whom.
pub(crate) struct Play<'a> {
    /// What happens, in words for the table.
    pub(crate) title: &'a str,
    /// The node's, for the site.
    pub(crate) settings: &'a str,
    /// The bodies of the load.
    pub(crate) bulk: Bulk,
    /// Who is measured beside the node.
    pub(crate) peers: &'a [Cache],
}

impl<'a> Play<'a> {
    /// One for the node, which returns in haste, and all its peers, with light bodies.
    pub(crate) fn of(title: &'a str) -> Self {
        Self { title, settings: HASTE, bulk: Bulk::Light, peers: Cache::PEERS }
    }

    /// Plays `fault` under a load; `fault` leaves all whole again. The figures of the node; `None`, having said so, where
    /// there are no namespaces.
    pub(crate) fn runs(&self, fault: impl AsyncFn(&mut Scene) + Send + Sync) -> Option<Figures> {
        self.stages(Figures::HEAD, async |scene| {
            let (figures, notes) = scene.play(&fault).await;
            let cells = figures.cells();
            (figures, cells, notes)
        })
    }

    /// Lets a crowd come without any other load, as `crowd` says. The tally of the node, or `None` as above.
    pub(crate) fn gathers(&self, crowd: impl AsyncFn(&mut Scene) -> Tally + Send + Sync) -> Option<Tally> {
        self.stages(Tally::HEAD, async |scene| {
            let tally = crowd(scene).await;
            let cells = tally.cells();
            let notes = scene.subject.notes();
            (tally, cells, notes)
        })
    }

    /// For the node, and for its peers where figures are wanted for the page.
    fn stages<T: Send>(
        &self,
        head: &str,
        work: impl AsyncFn(&mut Scene) -> (T, Vec<String>, Vec<String>) + Send + Sync,
    ) -> Option<T> {
        let _stage = Stage::enter();
        let node = self.stage(Cache::Holdover, None, head, &work)?;
        for cache in self.peers.iter().copied().filter(|_| report::is_wanted()) {
            match peers::version(cache) {
                Some(version) => drop(self.stage(cache, Some(&version), head, &work)?),
                None => {
                    skip(&format!("{} is not installed, and has no figures in the table", peers::program(cache).0));
                    report::omit(head, self.title, cache.name());
                }
            }
        }
        Some(node)
    }

    fn stage<T: Send>(
        &self,
        cache: Cache,
        version: Option<&str>,
        head: &str,
        work: &(impl AsyncFn(&mut Scene) -> (T, Vec<String>, Vec<String>) + Send + Sync),
    ) -> Option<T> {
        let network = Network::new(4)?;
        let networks = network.peers.clone();
        let (result, cells, notes) = network.center.block_on(async || {
            let mut scene = Scene::start(&networks, cache, self.settings, self.bulk).await;
            let done = work(&mut scene).await;
            scene.subject.stops().await;
            done
        });
        report::record(&Row { head, title: self.title, cache: cache.name(), version, cells }, &notes);
        Some(result)
    }
}

/// What can be done to the site.
pub(crate) struct Scene {
    /// By rank.
    pub(crate) origins: Vec<Origin>,
    /// Knows the origins by the names in [`NAMES`].
    pub(crate) zone: Zone,
    /// What the origins serve.
    pub(crate) site: Arc<Site>,
    /// In the middle.
    pub(crate) subject: Subject,
    visitors: Vec<Arc<Visitor>>,
    bulk: Bulk,
    load: Option<Load>,
    /// Of loads that are over.
    samples: Vec<Sample>,
    journal: Journal,
    clock: Clock,
}

impl Scene {
    /// The origin of the first rank.
    pub(crate) fn first(&mut self) -> &mut Origin {
        &mut self.origins[0]
    }

    /// All origins take to this.
    pub(crate) async fn all_become(&mut self, conduct: Conduct) {
        for origin in &mut self.origins {
            origin.becomes(conduct).await;
        }
    }

    /// Lets the load go on for so many seconds: the first number, and the second where figures are made for the page.
    pub(crate) async fn goes_on(&mut self, brief: usize, long: usize) {
        let long = if self.subject.is_node() { long } else { long.min(PEERS_SECONDS) };
        let load = self.load.as_mut().expect("the load is not paused");
        load.goes_on(if report::is_wanted() { long } else { brief }).await;
    }

    /// Sends nothing until the load is resumed, and waits for what was sent.
    pub(crate) async fn pauses(&mut self) {
        let load = self.load.take().expect("the load is not paused");
        self.samples.extend(load.finishes().await);
    }

    /// Begins or goes on with the load.
    pub(crate) fn resumes(&mut self) {
        self.load = Some(Load::start(&self.visitors, self.bulk, RATE, self.samples.len()));
    }

    /// Lets time pass that something takes to happen, such as to expire.
    pub(crate) async fn time_passes(&self, time: Duration) {
        sleep(time).await;
    }

    /// What the origins were asked for since a moment.
    pub(crate) fn entries_since(&self, since: Instant) -> Vec<Entry> {
        self.journal.since(since)
    }

    /// The moment.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now().monotonic
    }

    async fn start(networks: &[Namespace], cache: Cache, settings: &str, bulk: Bulk) -> Self {
        let (journal, site) = (Journal::default(), Arc::new(Site::new()));
        let zone = Zone::start(&networks[NAMES.len()]).await;
        let mut origins = Vec::new();
        for (number, latency) in LATENCIES.into_iter().enumerate() {
            zone.leads(NAMES[number], networks[number].addresses[0]);
            origins.push(Origin::start(number, latency, &networks[number], &site, &journal).await);
        }
        let subject = Subject::start(cache, networks, settings).await;
        let visitors = subject.visitors();
        Self {
            origins,
            zone,
            site,
            subject,
            visitors,
            bulk,
            load: None,
            samples: Vec::new(),
            journal,
            clock: Clock::new(),
        }
    }

    /// The figures, and notes for whoever wants to know how they came about.
    async fn play(&mut self, fault: &impl AsyncFn(&mut Self)) -> (Figures, Vec<String>) {
        all_ask(&self.visitors, |_| Class::stored(self.bulk).collect()).await;
        self.resumes();
        self.goes_on(1, 3).await;
        let broken = self.now();
        fault(self).await;
        let healed = self.now();
        let journal = self.journal.clone();
        let leads = poll("the first rank to lead again", async || leads_again(&journal.since(healed)).then_some(()));
        let patience = if report::is_wanted() { RETURN_MAX } else { RETURN_MAX_BRIEF };
        let _its_absence_is_a_figure = timeout(patience, leads).await;
        self.goes_on(1, 2).await;
        self.pauses().await;
        let (samples, entries) = (&self.samples, self.journal.since(broken));
        let last_look = all_ask(&self.visitors, |visitor| {
            let own = samples.iter().filter(|sample| sample.visitor == visitor);
            own.map(|sample| sample.path.clone()).collect()
        })
        .await;
        let failures = samples.iter().filter(|sample| sample.failed()).take(FAILURES_SHOWN);
        let wasted = entries.iter().filter(|entry| entry.conduct != Conduct::Good).take(WASTED_SHOWN);
        let wasted = wasted.map(|entry| format!("wasted {:?} after the fault", entry.at - broken));
        let failures = failures.map(|sample| format!("{sample:?}"));
        let notes = self.subject.notes().into_iter().chain(failures).chain(wasted).collect();
        (Figures::of(samples, &last_look, &entries, Moments { broken, healed }), notes)
    }
}

/// Has each visitor ask for the paths of its number, a few at a time.
async fn all_ask(visitors: &[Arc<Visitor>], paths: impl Fn(usize) -> BTreeSet<String>) -> Vec<Sample> {
    let mut asking = JoinSet::new();
    for visitor in visitors {
        let mut paths: Vec<String> = paths(visitor.number).into_iter().collect();
        while !paths.is_empty() {
            let (visitor, own) = (Arc::clone(visitor), paths.split_off(paths.len().saturating_sub(PATHS_IN_TURN)));
            asking.spawn(async move { visitor.asks_for_all(own).await });
        }
    }
    asking.join_all().await.concat()
}

/// Room for a few scenes at a time, since they measure times; for one where the figures are for the page.
struct Stage;

impl Stage {
    fn enter() -> Self {
        let most = if report::is_wanted() { 1 } else { SCENES };
        let mut playing = PLAYING.lock().unwrap();
        while *playing >= most {
            playing = LEFT.wait(playing).unwrap();
        }
        *playing += 1;
        Self
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        *PLAYING.lock().unwrap() -= 1;
        LEFT.notify_one();
    }
}

static PLAYING: Mutex<usize> = Mutex::new(0);
static LEFT: Condvar = Condvar::new();

/// Scenes at a time.
const SCENES: usize = 3;

/// A peer shows in so many seconds what it does in a minute.
const PEERS_SECONDS: usize = 20;

/// Requests a second.
pub(crate) const RATE: usize = 200;

/// What each origin takes for a head.
const LATENCIES: [Duration; 3] = [Duration::from_millis(5), Duration::from_millis(15), Duration::from_millis(30)];

/// So long a return is waited for.
const RETURN_MAX: Duration = Duration::from_secs(8);

/// The same where it is only to be quick or not.
const RETURN_MAX_BRIEF: Duration = Duration::from_secs(3);

/// Paths that a visitor asks for one after the other.
const PATHS_IN_TURN: usize = 50;

/// More failures say the same.
const FAILURES_SHOWN: usize = 5;

/// The first of them show when an origin was left and tried again.
const WASTED_SHOWN: usize = 20;
