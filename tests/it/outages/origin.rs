//! An origin in a network of its own, which breaks in one way at a time.

use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use holdover::clock::Clock;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::answer;
use super::content::Site;
use crate::wires::Namespace;

/// What an origin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// It serves the site.
    Good,
    /// Nothing listens.
    Refuses,
    /// It accepts connections and never answers.
    Hangs,
    /// It answers 500, though its health page is fine.
    Fails,
    /// The same after a second.
    FailsLate,
    /// It answers 503, though its health page is fine.
    IsOverloaded,
    /// It answers 200 with another page than asked for, cacheable; its health page tells.
    Lies,
    /// It takes 1.5 s before every head, though its health page is fine.
    Drags,
    /// It closes after half of every body, short of its `Content-Length`.
    Truncates,
    /// The same in chunks, without the last one.
    Aborts,
    /// The same with a reset.
    Resets,
    /// It sends half of every body, and nothing more.
    Stalls,
    /// It sends half of every body, and 200 bytes a second after that.
    Drips,
    /// It sends more after every body, beyond its `Content-Length`.
    SendsSurplus,
    /// It sends every body whole, under half its length as `Content-Length`.
    Understates,
}

impl Conduct {
    /// Whether it breaks bodies alone: what has none is fine.
    pub(super) fn is_of_bodies(self) -> bool {
        match self {
            Self::Truncates
            | Self::Aborts
            | Self::Resets
            | Self::Stalls
            | Self::Drips
            | Self::SendsSurplus
            | Self::Understates => true,
            Self::Good
            | Self::Refuses
            | Self::Hangs
            | Self::Fails
            | Self::FailsLate
            | Self::IsOverloaded
            | Self::Lies
            | Self::Drags => false,
        }
    }
}

/// An origin of the site.
pub(crate) struct Origin {
    namespace: Namespace,
    shared: Arc<Shared>,
    listening: Option<Listening>,
}

impl Origin {
    /// Starts a good one of `site`, which takes `latency` for every head, and writes down in `journal` what it is asked
    /// for.
    pub(crate) async fn start(
        number: usize,
        latency: Duration,
        namespace: &Namespace,
        site: &Arc<Site>,
        journal: &Journal,
    ) -> Self {
        let shared = Shared {
            number,
            latency,
            conduct: Mutex::new(Conduct::Good),
            site: Arc::clone(site),
            journal: journal.clone(),
            clock: Clock::new(),
        };
        let mut origin = Self { namespace: namespace.clone(), shared: Arc::new(shared), listening: None };
        origin.listens().await;
        origin
    }

    /// Its network.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Changes what it does. From and to what concerns whole connections that is a restart, and from what would go on for
    /// minutes.
    pub(crate) async fn becomes(&mut self, conduct: Conduct) {
        let before = std::mem::replace(&mut *self.shared.conduct.lock().unwrap(), conduct);
        let is_endless = matches!(before, Conduct::Stalls | Conduct::Drips);
        if is_endless || [before, conduct].iter().any(|conduct| matches!(conduct, Conduct::Refuses | Conduct::Hangs)) {
            self.stops().await;
        }
        if conduct != Conduct::Refuses && self.listening.is_none() {
            self.listens().await;
        }
    }

    async fn listens(&mut self) {
        let address = SocketAddr::from(([0, 0, 0, 0], PORT));
        let listener = self.namespace.within(move || std::net::TcpListener::bind(address)).await.unwrap();
        listener.set_nonblocking(true).unwrap();
        let (listener, shared) = (Arc::new(TcpListener::from_std(listener).unwrap()), Arc::clone(&self.shared));
        let accepting = tokio::spawn(accept(Arc::clone(&listener), shared));
        self.listening = Some(Listening { listener, accepting });
    }

    /// Listener and connections are closed when this returns.
    async fn stops(&mut self) {
        if let Some(Listening { listener, accepting }) = self.listening.take() {
            accepting.abort();
            drop(accepting.await);
            // A process that another test is about to start may have a copy of the socket for a moment longer.
            let _it_listens = SockRef::from(&*listener).shutdown(Shutdown::Both);
        }
    }
}

/// A listener, and what accepts from it.
struct Listening {
    listener: Arc<TcpListener>,
    accepting: JoinHandle<()>,
}

async fn accept(listener: Arc<TcpListener>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _no_latency_of_its_own = stream.set_nodelay(true);
        // Those that have ended are not kept.
        while connections.try_join_next().is_some() {}
        connections.spawn(answer::serve(stream, Arc::clone(&shared)));
    }
}

/// What all connections of an origin share.
pub(super) struct Shared {
    number: usize,
    pub(super) latency: Duration,
    conduct: Mutex<Conduct>,
    pub(super) site: Arc<Site>,
    journal: Journal,
    pub(super) clock: Clock,
}

impl Shared {
    /// What it does at the moment.
    pub(super) fn conduct(&self) -> Conduct {
        *self.conduct.lock().unwrap()
    }

    /// Writes down that `path` was asked for, and how it is going to be answered.
    pub(super) fn note(&self, path: &str, conduct: Conduct) {
        let at = self.clock.now().monotonic;
        let entry = Entry { at, origin: self.number, conduct, path: path.to_owned() };
        self.journal.0.lock().unwrap().push(entry);
    }
}

/// What all origins were asked for, health pages aside, in order.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<Entry>>>);

/// A request that reached an origin.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// When.
    pub(crate) at: Instant,
    /// Which origin; 0 is the first.
    pub(crate) origin: usize,
    /// How it is answered.
    pub(crate) conduct: Conduct,
    /// What for.
    pub(crate) path: String,
}

impl Journal {
    /// All entries from `since` on.
    pub(crate) fn since(&self, since: Instant) -> Vec<Entry> {
        self.0.lock().unwrap().iter().filter(|entry| entry.at >= since).cloned().collect()
    }
}

/// Where origins listen.
pub(crate) const PORT: u16 = 8080;
