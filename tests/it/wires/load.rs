//! A steady stream of requests, whatever becomes of them.

use std::sync::Arc;
use std::time::Duration;

use holdover::clock::Clock;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Client, PATIENCE, Reply};

/// A load in progress.
pub(crate) struct Load {
    begun: watch::Receiver<usize>,
    samples: JoinHandle<Vec<Sample>>,
}

/// What became of one request.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Its path.
    pub(crate) path: String,
    /// The whole response, or why there is none.
    pub(crate) reply: Result<Reply, String>,
    /// How long it took.
    pub(crate) time: Duration,
}

impl Load {
    /// Sends `count` requests, one every 20 ms, to the paths that `path` gives.
    pub(crate) fn start(client: Client, count: usize, path: impl Fn(usize) -> String + Send + 'static) -> Self {
        let (begin, begun) = watch::channel(0);
        let samples = tokio::spawn(async move {
            let (clock, client) = (Clock::new(), Arc::new(client));
            let mut requests = JoinSet::new();
            let mut due = interval(INTERVAL);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for number in 0..count {
                due.tick().await;
                let (clock, client, path) = (clock.clone(), Arc::clone(&client), path(number));
                requests.spawn(async move {
                    let began = clock.now().monotonic;
                    let reply = client.get(&path).await.map_err(|error| format!("{error:#}"));
                    Sample { path, reply, time: clock.now().monotonic - began }
                });
                begin.send_replace(number + 1);
            }
            requests.join_all().await
        });
        Self { begun, samples }
    }

    /// Waits until this many requests were sent.
    pub(crate) async fn reaches(&mut self, count: usize) {
        timeout(PATIENCE, self.begun.wait_for(|begun| *begun >= count)).await.unwrap().unwrap();
    }

    /// Waits for all answers.
    pub(crate) async fn finishes(self) -> Vec<Sample> {
        self.samples.await.unwrap()
    }
}

impl Sample {
    /// Why this is not a whole 200 response; `None` if it is.
    pub(crate) fn failure(&self) -> Option<String> {
        match &self.reply {
            Ok(reply) if reply.status == 200 => None,
            Ok(reply) => Some(format!("{}: {} after {:?}: {}", self.path, reply.status, self.time, reply.text())),
            Err(error) => Some(format!("{}: {error} after {:?}", self.path, self.time)),
        }
    }
}

/// 50 requests a second.
const INTERVAL: Duration = Duration::from_millis(20);
