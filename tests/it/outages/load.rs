//! Visitors who come at a fixed rate, however the site is doing, and read every byte of what they get.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use holdover::clock::Clock;
use http::Method;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep_until, timeout};

use super::answer::SURPLUS_FIELD;
use super::content::{self, Bulk, Class};
use crate::wires::{Client, Connection, Reply};

/// A load in progress.
pub(crate) struct Load {
    rate: usize,
    sent: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
    samples: JoinHandle<Vec<Sample>>,
}

/// What became of one request.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// What it was for.
    pub(crate) class: Class,
    /// Its path.
    pub(crate) path: String,
    /// Who sent it.
    pub(crate) visitor: usize,
    /// When it was due.
    pub(crate) due: Instant,
    /// How long after that the last byte came.
    pub(crate) took: Duration,
    /// How it ended.
    pub(crate) end: End,
    /// Whether more followed it than its origin had said, which makes it unfit to be stored.
    pub(crate) had_surplus: bool,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With the bytes asked for.
    Served,
    /// With other bytes under a status that vouches for them.
    Wrong,
    /// With an error, and which: of the transport, a status, or that nothing came in time.
    Failed(String),
}

impl End {
    /// Of a whole response.
    pub(crate) fn of(path: &str, reply: &Reply) -> Self {
        match reply.status {
            200 if content::is_whole(path, &reply.body) => Self::Served,
            500.. => Self::Failed(format!("status {}: {}", reply.status, reply.field("cache-status"))),
            _ => Self::Wrong,
        }
    }
}

impl Sample {
    /// Whether there was an error in the place of an answer.
    pub(crate) fn failed(&self) -> bool {
        matches!(self.end, End::Failed(_))
    }
}

impl Load {
    /// Starts sending `rate` requests a second, for bodies of this size, by these visitors in turn; `first` is the number
    /// of the first one.
    pub(crate) fn start(visitors: &[Arc<Visitor>], bulk: Bulk, rate: usize, first: usize) -> Self {
        let (begin, sent) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let visitors = visitors.to_vec();
        let samples = tokio::spawn(async move {
            let began = Clock::new().now().monotonic;
            let mut requests = JoinSet::new();
            for (sent, number) in (1..).zip(first..) {
                let due = began + Duration::from_secs(1) * sent / u32::try_from(rate).unwrap();
                sleep_until(due.into()).await;
                if *stopped.borrow() {
                    break;
                }
                let (class, path) = Class::of(number, bulk);
                // All classes come to all visitors.
                let visitor = Arc::clone(&visitors[number / 10 % visitors.len()]);
                requests.spawn(async move { visitor.asks(class, path, due).await });
                begin.send_replace(number - first + 1);
            }
            requests.join_all().await
        });
        Self { rate, sent, stop, samples }
    }

    /// Waits until so many seconds' worth of requests more were sent.
    pub(crate) async fn goes_on(&mut self, seconds: usize) {
        let enough = *self.sent.borrow() + seconds * self.rate;
        self.sent.wait_for(|sent| *sent >= enough).await.unwrap();
    }

    /// Sends no more, and waits for all answers.
    pub(crate) async fn finishes(self) -> Vec<Sample> {
        self.stop.send_replace(true);
        self.samples.await.unwrap()
    }
}

/// Asks over connections that are kept.
pub(crate) struct Visitor {
    /// Its number.
    pub(crate) number: usize,
    client: Client,
    idle: Mutex<Vec<(Connection, Instant)>>,
    clock: Clock,
}

impl Visitor {
    /// One that comes as this client, and a number to know it by.
    pub(crate) fn new(number: usize, client: Client) -> Arc<Self> {
        Arc::new(Self { number, client, idle: Mutex::default(), clock: Clock::new() })
    }

    /// One request, due at a moment that may be past.
    pub(crate) async fn asks(&self, class: Class, path: String, due: Instant) -> Sample {
        let reply = timeout(PATIENCE, self.get(&path)).await;
        let took = self.clock.now().monotonic.saturating_duration_since(due);
        let had_surplus = matches!(&reply, Ok(Ok(reply)) if !reply.field(SURPLUS_FIELD).is_empty());
        let end = match reply {
            Ok(Ok(reply)) => End::of(&path, &reply),
            Ok(Err(error)) => End::Failed(format!("{error:#}")),
            Err(_) => End::Failed(format!("nothing within {PATIENCE:?}")),
        };
        Sample { class, path, visitor: self.number, due, took, end, had_surplus }
    }

    /// One request after the other, each due when the one before it has ended.
    pub(crate) async fn asks_for_all(&self, paths: Vec<String>) -> Vec<Sample> {
        let mut samples = Vec::new();
        for path in paths {
            samples.push(self.asks(Class::Hit, path, self.clock.now().monotonic).await);
        }
        samples
    }

    async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        let mut connection = match self.kept() {
            Some(connection) => connection,
            None => self.client.connect().await?,
        };
        connection.shared().into_iter().for_each(|shared| self.keep(shared));
        let reply = Reply::read(connection.begin(Method::GET, path, &[]).await?).await?;
        if connection.shared().is_none() {
            self.keep(connection);
        }
        Ok(reply)
    }

    fn kept(&self) -> Option<Connection> {
        let now = self.clock.now().monotonic;
        let mut idle = self.idle.lock().unwrap();
        idle.retain(|(connection, since)| !connection.is_closed() && now < *since + IDLE);
        idle.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: Connection) {
        self.idle.lock().unwrap().push((connection, self.clock.now().monotonic));
    }
}

/// A visitor who has waited this long has left.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Shorter than servers keep idle connections, so that none is closed under a request.
const IDLE: Duration = Duration::from_secs(5);
