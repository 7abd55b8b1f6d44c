//! A node, its origins and its clients in one runtime, without a network and with time that stands still unless
//! everybody waits.

mod client;
mod network;
mod origin;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdover::admin::api::Admin;
use holdover::cache::compressor::Compressor;
use holdover::clock::Clock;
use holdover::config::model::LogTarget;
use holdover::config::{Surroundings, load};
use holdover::listen::http::Conditions;
use holdover::listen::protocol::Protocol;
use holdover::node::assembly::{Assembly, World};
use holdover::origin::dns::memory::Memory;
use holdover::origin::steward::StewardHandle;
use holdover::serve::worker::{Shared, Worker};
use holdover::telemetry::{Event, Events, Metrics};
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use client::{Client, Http2Client, Reply};
use network::Network;
pub(crate) use origin::{Answer, ScriptedOrigin, sha256};

/// One site, `www.test`, on one node.
pub(crate) struct Lab {
    configuration: String,
    network: Arc<Network>,
    memory: watch::Sender<Memory>,
    worker: Arc<Worker>,
    colleague: Arc<Worker>,
    conditions: Conditions,
    admin: Admin,
    steward: StewardHandle,
    compressor: Arc<Compressor>,
    metrics: Metrics,
    events: Receiver<Arc<Event>>,
}

impl Lab {
    /// A node whose site has these origins, ranked in this order, all alive. `settings` are further TOML tables of the
    /// site, such as `[site.stale]`.
    pub(crate) async fn start(origins: &[&str], settings: &str) -> Self {
        let origins: Vec<_> = origins.iter().map(|name| (*name, "")).collect();
        Self::start_with(&origins, settings).await
    }

    /// The same, with further keys for each origin.
    pub(crate) async fn start_with(origins: &[(&str, &str)], settings: &str) -> Self {
        let mut text = String::from(NODE);
        text.push_str(settings);
        let network = Arc::new(Network::default());
        for (index, (name, keys)) in origins.iter().enumerate() {
            network.add(name, index);
            text.push_str(&format!(
                "\n[[site.origin]]\nname = \"{name}\"\nurl = \"http://{name}.test\"\nrank = {}\n{keys}\n",
                index + 1
            ));
        }
        Self::node(text, network, Memory::default(), Clock::new()).await
    }

    /// Another node in its place, which has of the first one no more than what it would have saved.
    pub(crate) async fn restart(self) -> Self {
        let saved = self.memory.borrow().encode();
        let Self { configuration, network, conditions, .. } = self;
        Self::node(configuration, network, Memory::decode(saved.as_bytes()).unwrap(), conditions.clock).await
    }

    async fn node(configuration: String, network: Arc<Network>, memory: Memory, clock: Clock) -> Self {
        let config = load(&configuration, &Surroundings::none("lab.toml")).unwrap();
        let metrics = Metrics::new();
        let events = Events::new(&LogTarget::Off, clock.clone(), metrics.clone()).unwrap();
        let received = events.subscribe();
        let world = World { dial: network.clone(), resolve: network.clone() };
        let memory = watch::Sender::new(memory);
        let (clocks, told, figures) = (clock.clone(), events.clone(), metrics.clone());
        let mut assembly = Assembly::new(&config, world, memory.clone(), clocks, told, figures).unwrap();
        for steward in assembly.stewards.drain(..) {
            tokio::spawn(steward.run());
        }
        let tasks = TaskTracker::new();
        let conditions = Conditions {
            limits: Arc::new(config.listen),
            clock,
            events,
            tasks: tasks.clone(),
            drain: CancellationToken::new(),
        };
        let (admin, compressor) = (assembly.admin.clone(), Arc::clone(&assembly.compressor));
        let steward = admin.sites[0].clone();
        let (worker, colleague) = (assembly.worker(tasks.clone()), assembly.worker(tasks));
        let tended = Arc::clone(&worker);
        tokio::spawn(async move { tended.tend().await });
        let lab = Self {
            configuration,
            network,
            memory,
            worker,
            colleague,
            conditions,
            admin,
            steward,
            compressor,
            metrics,
            events: received,
        };
        // The first lookups and probes.
        lab.time_passes(Duration::from_secs(1)).await;
        lab
    }

    /// An origin by name.
    pub(crate) fn origin(&self, name: &str) -> Arc<ScriptedOrigin> {
        self.network.origin(name)
    }

    /// A client with a TLS connection of its own.
    pub(crate) async fn client(&self) -> Client {
        Client::new(&self.worker, &self.conditions).await
    }

    /// A client of another worker, which has no connections to origins of its own.
    pub(crate) async fn client_of_another_worker(&self) -> Client {
        Client::new(&self.colleague, &self.conditions).await
    }

    /// A client that speaks HTTP/2.
    pub(crate) async fn http2_client(&self) -> Http2Client {
        Http2Client::new(&self.worker, &self.conditions).await
    }

    /// An HTTP/1.1 connection, byte by byte.
    pub(crate) fn connection(&self) -> DuplexStream {
        client::open(&self.worker, &self.conditions, Protocol::Http1)
    }

    /// Lets time pass; whatever is due in it happens in its order.
    pub(crate) async fn time_passes(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Waits until the site is in this outage mode.
    pub(crate) async fn mode_becomes(&self, mode: &str) {
        for _ in 0..6000 {
            if self.mode().await == mode {
                return;
            }
            self.time_passes(Duration::from_millis(10)).await;
        }
        panic!("the outage mode is {}, and does not become {mode} in a minute", self.mode().await);
    }

    /// The site's outage mode.
    pub(crate) async fn mode(&self) -> &'static str {
        self.steward.status().await.unwrap().mode.state.as_str()
    }

    /// The origin that the site prefers.
    pub(crate) async fn preferred(&self) -> Option<String> {
        self.steward.status().await.unwrap().preferred.map(|name| name.to_string())
    }

    /// Why the first address of an origin is not used.
    pub(crate) async fn why_ejected(&self, origin: &str) -> String {
        let status = self.steward.status().await.unwrap();
        let origin = status.origins.iter().find(|known| *known.name == *origin).unwrap();
        assert_eq!(origin.endpoints[0].health.state.as_str(), "ejected");
        origin.endpoints[0].health.reason.clone()
    }

    /// A request to the admin listener; status and body, which is JSON where the path speaks it.
    pub(crate) async fn admin(&self, request: Request<Full<Bytes>>) -> (u16, Value) {
        let (request, body) = request.into_parts();
        let response = self.admin.handle(request, body, IpAddr::from([198, 51, 100, 9])).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = || Value::from(String::from_utf8_lossy(&body).into_owned());
        (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or_else(|_| text()))
    }

    /// `POST /v1/origin`; what it says of the origin.
    pub(crate) async fn order(&self, order: &str, origin: &str) -> Value {
        let body = json!({ "site": "www", "origin": origin, "order": order }).to_string();
        let request =
            Request::post("/v1/origin").header("content-type", "application/json").header("host", "127.0.0.1");
        let (status, document) = self.admin(request.body(Full::from(body)).unwrap()).await;
        assert_eq!(status, 200, "{document}");
        document["origin"].clone()
    }

    /// `POST /v1/purge`.
    pub(crate) async fn purge(&self, body: Value) -> (u16, Value) {
        let request = Request::post("/v1/purge").header("content-type", "application/json").header("host", "127.0.0.1");
        self.admin(request.body(Full::from(body.to_string())).unwrap()).await
    }

    /// Makes the content codings that were ordered, as a thread does on a real node; how many there were.
    pub(crate) fn compresses(&self) -> usize {
        self.compressor.run_waiting()
    }

    /// What the workers share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.worker.shared
    }

    /// The value of one metric with its labels; 0 where nothing was counted.
    pub(crate) fn count(&self, metric: &str) -> usize {
        let metrics = self.metrics();
        let line = metrics.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse().ok());
        line.unwrap_or(0)
    }

    /// The figures as Prometheus sees them.
    pub(crate) fn metrics(&self) -> String {
        self.metrics.encode()
    }

    /// The names of the events since the last call.
    pub(crate) fn news(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.events.try_recv().ok()).map(|event| event.name()).collect()
    }
}

const NODE: &str = r#"
[node]
name = "lab"

[listen]
https = ["127.0.0.1:8443"]

[log]
access = "off"
events = "off"

[cache]
memory = "16MiB"
object_max = "4MiB"

[[certificate]]
self_signed = ["www.test"]

[[site]]
name = "www"
hosts = ["www.test"]
"#;
