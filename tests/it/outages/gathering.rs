//! Crowds: clients that ask for one URL at the same moment, and what they find.

use std::time::{Duration, Instant};

use bytes::Bytes;
use holdover::clock::Clock;
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::load::{End, PATIENCE};
use super::scene::Scene;
use crate::wires::{Client, Connection, Reply};

/// What a crowd came to.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// How many there were.
    pub(crate) clients: usize,
    /// How many got what they asked for.
    pub(crate) served: usize,
    /// How many got other bytes.
    pub(crate) wrong: usize,
    /// Requests for it that reached the origins, by rank.
    pub(crate) fetches: [usize; 3],
    /// How long the first byte of a body took at most.
    pub(crate) first_byte: Duration,
    /// How long the last byte, or an error, took at most.
    pub(crate) whole: Duration,
}

impl Tally {
    /// The head of the table.
    pub(crate) const HEAD: &str = "\
| crowd | cache | clients | served | wrong | fetches | first byte | whole |
|---|---|---|---|---|---|---|---|";

    /// Its cells.
    pub(crate) fn cells(&self) -> Vec<String> {
        vec![
            self.clients.to_string(),
            self.served.to_string(),
            self.wrong.to_string(),
            self.fetches.map(|count| count.to_string()).join(" / "),
            format!("{} ms", self.first_byte.as_millis()),
            format!("{} ms", self.whole.as_millis()),
        ]
    }

    fn of(visits: &[Visit], fetches: [usize; 3]) -> Self {
        let count = |end: &End| visits.iter().filter(|visit| visit.end == *end).count();
        Self {
            clients: visits.len(),
            served: count(&End::Served),
            wrong: count(&End::Wrong),
            fetches,
            first_byte: visits.iter().filter_map(|visit| visit.first_byte).max().unwrap_or_default(),
            whole: visits.iter().map(|visit| visit.whole).max().unwrap_or_default(),
        }
    }
}

/// What one client found.
struct Visit {
    first_byte: Option<Duration>,
    whole: Duration,
    end: End,
}

impl Scene {
    /// One client asks and reads all.
    pub(crate) async fn asks(&self, path: &str) -> Reply {
        self.guest(0).get(path).await.unwrap()
    }

    /// A client asks, reads for so long, and leaves.
    pub(crate) async fn leaves(&self, path: &str, after: Duration) {
        assert!(timeout(after, self.guest(0).get(path)).await.is_err(), "it has read all");
    }

    /// A client asks, and reads nothing but the first bytes of the body.
    pub(crate) async fn lingers(&self, path: &str) -> Response<Incoming> {
        let mut response = self.guest(0).begin(Method::GET, path, &[]).await.unwrap();
        response.frame().await.unwrap().unwrap();
        response
    }

    /// So many clients connect, and then ask for this all at once.
    pub(crate) async fn crowd(&self, clients: usize, path: &str) -> Tally {
        let mut connecting = JoinSet::new();
        for number in 0..clients {
            let client = self.guest(number).clone();
            connecting.spawn(async move { client.connect().await.unwrap() });
        }
        let connections = connecting.join_all().await;
        let began = self.now();
        let mut visiting = JoinSet::new();
        for connection in connections {
            visiting.spawn(visit(connection, path.to_owned(), began));
        }
        let visits = visiting.join_all().await;
        Tally::of(&visits, self.fetches_since(began, path))
    }

    /// How often a path was asked for at each origin.
    pub(crate) fn fetches_since(&self, since: Instant, path: &str) -> [usize; 3] {
        let entries = self.entries_since(since);
        [0, 1, 2].map(|rank| entries.iter().filter(|entry| entry.origin == rank && entry.path == path).count())
    }

    /// Clients of a crowd ask for the same URL, and so over TLS where there is TLS.
    fn guest(&self, number: usize) -> &Client {
        let clients = &self.subject.clients;
        let secure = &clients[(clients.len() - 1).min(1)..];
        &secure[number % secure.len()]
    }
}

async fn visit(mut connection: Connection, path: String, began: Instant) -> Visit {
    let clock = Clock::new();
    let waited = || clock.now().monotonic.saturating_duration_since(began);
    let mut first_byte = None;
    let exchange = async {
        let response = connection.begin(Method::GET, &path, &[]).await?;
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            first_byte.get_or_insert_with(&waited);
            bytes.extend(frame?.into_data().unwrap_or_default());
        }
        anyhow::Ok(Reply {
            status: head.status.as_u16(),
            version: head.version,
            headers: head.headers,
            body: Bytes::from(bytes),
        })
    };
    let reply = timeout(PATIENCE, exchange).await;
    let whole = waited();
    let end = match reply {
        Ok(Ok(reply)) => End::of(&path, &reply),
        Ok(Err(error)) => End::Failed(format!("{error:#}")),
        Err(_) => End::Failed(format!("nothing within {PATIENCE:?}")),
    };
    Visit { first_byte, whole, end }
}
