//! A node in the middle, a name server, three ranked origins and a load, each in its own network.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use holdover::clock::Clock;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::content::Class;
use super::figures::{Figures, Moments, leads_again};
use super::load::{Load, Sample, Visitor};
use super::origin::{Conduct, Journal, Origin, PORT};
use super::report;
use super::zone::Zone;
use crate::wires::{Authority, Client, Folder, Namespace, Network, Node, poll};

/// What can be done to the site.
pub(crate) struct Scene {
    /// By rank.
    pub(crate) origins: Vec<Origin>,
    /// Knows the origins by the names in [`NAMES`].
    pub(crate) zone: Zone,
    /// Under test.
    pub(crate) node: Node,
    visitors: [Arc<Visitor>; 3],
    load: Option<Load>,
    /// Of loads that are over.
    samples: Vec<Sample>,
    /// Files of the node's, for as long as it may start again.
    _files: (Authority, Folder),
    journal: Journal,
    clock: Clock,
}

impl Scene {
    /// Plays `fault` against a node with `settings` for the site on top of [`SITE`]; `fault` leaves all whole again.
    /// `None`, having said so, where there are no namespaces.
    pub(crate) fn plays(title: &str, settings: &str, fault: impl AsyncFnOnce(&mut Self) + Send) -> Option<Figures> {
        let _stage = Stage::enter();
        let network = Network::new(4)?;
        let peers = network.peers.clone();
        let (figures, notes) = network.center.block_on(async || Self::start(&peers, settings).await.play(fault).await);
        report::record(title, &figures, &notes);
        Some(figures)
    }

    /// The origin of the first rank.
    pub(crate) fn first(&mut self) -> &mut Origin {
        &mut self.origins[0]
    }

    /// Lets the load go on for so many seconds: the first number, and the second where figures are made for the page.
    pub(crate) async fn goes_on(&mut self, brief: usize, long: usize) {
        let load = self.load.as_mut().expect("the load is not paused");
        load.goes_on(if report::is_wanted() { long } else { brief }).await;
    }

    /// Sends nothing until the load is resumed, and waits for what was sent.
    pub(crate) async fn pauses(&mut self) {
        let load = self.load.take().expect("the load is not paused");
        self.samples.extend(load.finishes().await);
    }

    /// Goes on with the load.
    pub(crate) fn resumes(&mut self) {
        self.load = Some(Load::start(&self.visitors, RATE, self.samples.len()));
    }

    async fn start(peers: &[Namespace], settings: &str) -> Self {
        let (journal, authority, state) = (Journal::default(), Authority::new(), Folder::new());
        let zone = Zone::start(&peers[3]).await;
        let mut origins = Vec::new();
        for (number, latency) in LATENCIES.into_iter().enumerate() {
            zone.leads(NAMES[number], peers[number].addresses[0]);
            origins.push(Origin::start(number, latency, &peers[number], &journal).await);
        }
        let node = Node::start(&configuration(&peers[3], &authority, &state, settings)).await;
        for name in NAMES {
            node.tells("endpoint-changed", |event| event["origin"] == *name && event["to"] == "healthy").await;
        }
        let visitors = visitors(&node, &authority);
        all_ask(&visitors, |_| Class::stored().collect()).await;
        let load = Some(Load::start(&visitors, RATE, 0));
        Self {
            origins,
            zone,
            node,
            visitors,
            load,
            samples: Vec::new(),
            _files: (authority, state),
            journal,
            clock: Clock::new(),
        }
    }

    /// The figures, and notes for whoever wants to know how they came about.
    async fn play(mut self, fault: impl AsyncFnOnce(&mut Self)) -> (Figures, Vec<String>) {
        self.goes_on(1, 5).await;
        let broken = self.now();
        fault(&mut self).await;
        let healed = self.now();
        let journal = self.journal.clone();
        let leads = poll("the first rank to lead again", async || leads_again(&journal.since(healed)).then_some(()));
        let patience = if report::is_wanted() { RETURN_MAX } else { RETURN_MAX_BRIEF };
        let _its_absence_is_a_figure = timeout(patience, leads).await;
        self.goes_on(1, 2).await;
        self.pauses().await;
        let samples = &self.samples;
        let last_look = all_ask(&self.visitors, |visitor| {
            let own = samples.iter().filter(|sample| sample.visitor == visitor);
            own.map(|sample| sample.path.clone()).collect()
        })
        .await;
        let events = self.node.all_events();
        let events = events.iter().map(|event| format!("{} {}", event["time"], event["message"]));
        let failures = samples.iter().filter(|sample| sample.failed()).take(FAILURES_SHOWN);
        let entries = self.journal.since(broken);
        let wasted = entries.iter().filter(|entry| entry.conduct != Conduct::Good).take(WASTED_SHOWN);
        let wasted = wasted.map(|entry| format!("wasted {:?} after the fault", entry.at - broken));
        let notes = events.chain(failures.map(|sample| format!("{sample:?}"))).chain(wasted).collect();
        self.node.stops_whole().await;
        (Figures::of(&self.samples, &last_look, &entries, Moments { broken, healed }), notes)
    }

    fn now(&self) -> Instant {
        self.clock.now().monotonic
    }
}

/// A competent operator's configuration, with times short enough for a test.
fn configuration(names: &Namespace, authority: &Authority, state: &Folder, settings: &str) -> String {
    let servers = names.addresses.map(|address| address.to_string());
    let certificate = authority.certificate(HOST);
    let mut text = format!("{LISTEN}[dns]\nservers = {servers:?}\ntimeout = \"1s\"\n");
    text += &format!("[state]\ndirectory = {:?}\n{certificate}{SITE}{settings}", state.path());
    for (rank, name) in (1..).zip(NAMES) {
        text += &format!("[[site.origin]]\nname = \"{name}\"\nurl = \"http://{name}:{PORT}\"\nrank = {rank}\n");
    }
    text
}

/// One over plain HTTP/1.1, one over TLS, one over HTTP/2.
fn visitors(node: &Node, authority: &Authority) -> [Arc<Visitor>; 3] {
    let (http, https) = (node.address("http").unwrap(), node.address("https").unwrap());
    let tls = Client::tls(https, HOST, authority);
    let mut number = 0..;
    [Client::plain(http, HOST), tls.clone(), tls.offering(&["h2"])]
        .map(|client| Visitor::new(number.next().unwrap(), client))
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

/// Requests a second.
pub(crate) const RATE: usize = 200;

const HOST: &str = "www.test";

/// The origins' names, by rank.
pub(crate) const NAMES: [&str; 3] = ["one.test", "two.test", "three.test"];

/// What each of them takes for a head.
const LATENCIES: [Duration; 3] = [Duration::from_millis(5), Duration::from_millis(15), Duration::from_millis(30)];

/// So long a return is waited for.
const RETURN_MAX: Duration = Duration::from_secs(15);

/// The same where it is only to be quick or not.
const RETURN_MAX_BRIEF: Duration = Duration::from_secs(3);

/// Paths that a visitor asks for one after the other.
const PATHS_IN_TURN: usize = 50;

/// More failures say the same.
const FAILURES_SHOWN: usize = 5;

/// The first of them show when an origin was left and tried again.
const WASTED_SHOWN: usize = 20;

/// Ports of its own network, and so the same after a restart.
const LISTEN: &str = r#"
[listen]
https = ["127.0.0.1:8443"]
http = ["127.0.0.1:8080"]
"#;

/// Half a second lies between a fault and its first probe, a quarter between a request and its next try. A head may take
/// longer than an origin that drags, as it has to where pages are made for each visitor.
const SITE: &str = r#"
[[site]]
hosts = ["www.test"]
plain_http = "serve"
[site.timeouts]
connect = "250ms"
first_byte = "2s"
[site.probe]
path = "/healthz"
interval = "500ms"
interval_in_transition = "100ms"
timeout = "400ms"
"#;
