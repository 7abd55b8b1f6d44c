//! Starts a node: sockets, workers, the control loops, in this order, so that nothing serves that is not whole.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, anyhow};
use rustix::process::setpriority_process;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::assembly::{Assembly, World};
use super::housekeeping::Housekeeping;
use super::running::{Node, WorkerThread};
use super::state::{Keeper, recall};
use crate::cache::compressor::Compressor;
use crate::cache::remote_encoder::remote_encoder;
use crate::clock::Clock;
use crate::config::model::{Config, Listen};
use crate::listen::accept::{Entrance, Reception};
use crate::listen::connections::Connections;
use crate::listen::http::Conditions;
use crate::listen::socket;
use crate::origin::dns::discovery::DnsResolve;
use crate::origin::request::connect::TcpDial;
use crate::serve::client::ClientConnection;
use crate::serve::handle::handle;
use crate::serve::responding::Responding;
use crate::serve::worker::Worker;
use crate::telemetry::{Event, Events, Metrics};
use crate::tls::certificates::{CertificateTable, Certificates};
use crate::tls::server::server_config;

/// Starts a node on this (control) runtime and on one thread per worker.
///
/// # Errors
/// Everything that keeps it from serving: certificates, trust anchors, logs, addresses. All faults of certificates are
/// named at once.
pub async fn start(config: Config, clock: Clock, events: Events, metrics: Metrics) -> anyhow::Result<Node> {
    let world = World { dial: Arc::new(TcpDial::default()), resolve: Arc::new(DnsResolve::new(&config.dns)) };
    let memory = watch::Sender::new(recall(&config, &events));
    let mut assembly = Assembly::new(&config, world, memory.clone(), clock.clone(), events.clone(), metrics)?;
    let https = acceptor(&config, &events)?;
    let bound = Bound::bind(&config.listen, config.workers)?;
    let addresses = bound.addresses();
    let compressor = assembly.compressor.clone();
    let compressing = compress(Arc::clone(&compressor)).context("failed to start a thread")?;

    let mut control = JoinSet::new();
    for steward in assembly.stewards.drain(..) {
        control.spawn(steward.run());
    }
    let keeper = config.state_directory.as_ref().map(|directory| Keeper::start(directory, &memory, &events));
    let drain = CancellationToken::new();
    let connections = Arc::new(Connections::new(config.listen.connections_max));
    control.spawn(Housekeeping::new(&assembly, Arc::clone(&connections), events.clone()).run());
    let limits = Arc::new(config.listen.clone());
    let conditions = |tasks: &TaskTracker| Conditions {
        limits: Arc::clone(&limits),
        clock: clock.clone(),
        events: events.clone(),
        tasks: tasks.clone(),
        drain: drain.clone(),
    };

    let mut workers = Vec::new();
    for (index, listeners) in bound.by_worker.into_iter().enumerate() {
        let tasks = TaskTracker::new();
        let worker = assembly.worker(tasks.clone());
        let post = Post {
            worker,
            conditions: conditions(&tasks),
            connections: Arc::clone(&connections),
            listeners,
            https: https.clone(),
        };
        workers.push(post.man(index)?);
    }

    let admin_tasks = TaskTracker::new();
    let admin = assembly.admin.clone();
    let respond = move |request, body, client: &ClientConnection, _| {
        let (admin, client) = (admin.clone(), client.peer.ip());
        Responding::later(async move { admin.handle(request, body, client).await })
    };
    // Admin connections are few and never refused for the crowd on the data plane.
    let room = Arc::new(Connections::new(ADMIN_CONNECTIONS_MAX));
    let admin_limits = Conditions { drain: CancellationToken::new(), ..conditions(&admin_tasks) };
    let admin_drain = admin_limits.drain.clone();
    let reception = Arc::new(Reception::new(admin_limits, room, respond));
    for listener in bound.admin {
        let listener = tokio::net::TcpListener::from_std(listener).context("failed to watch the admin listener")?;
        admin_tasks.spawn(Arc::clone(&reception).accept(listener, Entrance::Http));
    }

    for (protocol, address) in &addresses {
        events.emit(Event::Listening { protocol, address: *address });
    }
    events.emit(Event::NodeStarted {
        version: env!("CARGO_PKG_VERSION").into(),
        region: config.region.clone(),
        sites: config.sites.len(),
    });
    assembly.admin.readiness.ready();
    Ok(Node {
        admin: assembly.admin,
        addresses,
        drain_policy: config.drain,
        drain,
        admin_drain,
        connections,
        workers,
        compressor,
        compressing,
        control,
        keeper,
        events,
    })
}

/// Makes content codings: one thread at the usual priority has the dealings with everybody else, and one encodes while
/// nothing else needs the processor.
fn compress(compressor: Arc<Compressor>) -> io::Result<[JoinHandle<()>; 2]> {
    let (remote, encoder) = remote_encoder();
    let encoding = thread::Builder::new().name("encoder".to_owned()).spawn(move || {
        // On Linux this is the thread's own; should it fail, one busy thread among several is what remains.
        let _at_usual_priority = setpriority_process(None, LOWEST_PRIORITY);
        encoder.run();
    })?;
    let compressing = thread::Builder::new().name("compressor".to_owned()).spawn(move || compressor.run(&remote))?;
    Ok([compressing, encoding])
}

fn acceptor(config: &Config, events: &Events) -> anyhow::Result<Option<TlsAcceptor>> {
    if config.listen.https.is_empty() {
        return Ok(None);
    }
    let table = CertificateTable::load(&config.certificates).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow!("{}", faults.join("\n"))
    })?;
    for certificate in table.loaded() {
        let (names, source) = (certificate.names.clone(), certificate.source.clone());
        events.emit(Event::CertificateLoaded { names, source });
    }
    let server = server_config(Arc::new(Certificates::new(table))).context("failed to set up TLS")?;
    Ok(Some(TlsAcceptor::from(server)))
}

/// Sockets that are listening already, so that a start which fails has taken nothing over.
struct Bound {
    by_worker: Vec<Vec<(Plain, TcpListener)>>,
    admin: Vec<TcpListener>,
}

/// Whether a listener speaks plain HTTP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    No,
    Yes,
}

impl Bound {
    fn bind(listen: &Listen, workers: usize) -> anyhow::Result<Self> {
        let mut by_worker: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        let https = listen.https.iter().map(|address| ("https", Plain::No, address));
        let http = listen.http.iter().map(|address| ("http", Plain::Yes, address));
        for (protocol, plain, address) in https.chain(http) {
            let listeners = socket::bind(protocol, *address, workers)?;
            by_worker.iter_mut().zip(listeners).for_each(|(worker, listener)| worker.push((plain, listener)));
        }
        let mut admin = Vec::new();
        for address in &listen.admin {
            admin.extend(socket::bind("admin", *address, 1)?);
        }
        Ok(Self { by_worker, admin })
    }

    fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let data = self.by_worker.first().into_iter().flatten().map(|(plain, listener)| match plain {
            Plain::No => ("https", listener),
            Plain::Yes => ("http", listener),
        });
        let admin = self.admin.iter().map(|listener| ("admin", listener));
        data.chain(admin).filter_map(|(protocol, listener)| Some((protocol, listener.local_addr().ok()?))).collect()
    }
}

/// One worker's place: everything it takes onto its thread.
struct Post {
    worker: Arc<Worker>,
    conditions: Conditions,
    connections: Arc<Connections>,
    listeners: Vec<(Plain, TcpListener)>,
    https: Option<TlsAcceptor>,
}

impl Post {
    fn man(self, index: usize) -> anyhow::Result<WorkerThread> {
        let (done, finished) = oneshot::channel();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            runtime.block_on(stopped.run_until_cancelled(self.serve()));
            let _nobody_waits = done.send(());
        })?;
        Ok(WorkerThread { stop, finished, thread })
    }

    /// Ends when the drain has begun and every task is done.
    async fn serve(self) {
        let Self { worker, conditions, connections, listeners, https } = self;
        let (tasks, drain) = (conditions.tasks.clone(), conditions.drain.clone());
        let tended = Arc::clone(&worker);
        let respond =
            move |request, body, client: &ClientConnection, arrival| handle(&worker, request, body, client, arrival);
        let reception = Arc::new(Reception::new(conditions, connections, respond));
        for (plain, listener) in listeners {
            let entrance = match (plain, &https) {
                (Plain::Yes, _) => Entrance::Http,
                (Plain::No, Some(acceptor)) => Entrance::Https(acceptor.clone()),
                (Plain::No, None) => continue,
            };
            // The socket was made nonblocking by us, which is all that can be wrong with it.
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                tasks.spawn(Arc::clone(&reception).accept(listener, entrance));
            }
        }
        let _ends_with_the_drain = drain.run_until_cancelled(tended.tend()).await;
        tasks.close();
        tasks.wait().await;
    }
}

/// The end of the scale of nice values: a thread that gets what the others leave.
const LOWEST_PRIORITY: i32 = 19;

/// Enough for scrapers, probes and people; a bound because everything has one.
const ADMIN_CONNECTIONS_MAX: usize = 256;
