//! A client that fell behind a body which is not kept: from there on it reads from an origin by itself.
//!
//! Others read on at their own pace, and memory that is short is none that a slow client could be given. So what it lacks
//! is asked for again, as when an origin's body breaks off: of the same representation, by its strong ETag.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::body::{BodyError, Source};
use super::exchange::{Audience, Exchange};
use super::judge::Fallback;
use super::pass::{PIECES_AHEAD, pump};
use super::worker::Worker;
use crate::cache::stored::StoredHead;
use crate::origin::request::body::OriginBody;
use crate::origin::request::splice::Incomplete;

/// What a client asks for when it is left behind.
#[derive(Debug)]
pub struct Laggard {
    worker: Arc<Worker>,
    exchange: Exchange,
    head: Arc<StoredHead>,
}

impl Laggard {
    /// One that reads the response with `head`, which is about to arrive.
    pub fn new(worker: &Arc<Worker>, exchange: &Exchange, head: &Arc<StoredHead>) -> Self {
        Self { worker: Arc::clone(worker), exchange: exchange.clone(), head: Arc::clone(head) }
    }

    /// The rest of the body, from `offset` on.
    pub fn left_at(self, offset: u64) -> Source {
        let (sender, receiver) = mpsc::channel::<Result<Bytes, BodyError>>(PIECES_AHEAD);
        let tasks = self.worker.tasks.clone();
        tasks.spawn(async move {
            let metrics = Arc::clone(&self.exchange.site.metrics);
            match self.rest(offset).await {
                Some(body) => {
                    metrics.left_behind(CONTINUED);
                    pump(body, sender).await;
                }
                None => {
                    metrics.left_behind(CUT_OFF);
                    let _client_left = sender.send(Err(BodyError)).await;
                }
            }
        });
        Source::Origin(receiver)
    }

    /// `None` as well when there is no telling whether another body is the rest of this one.
    async fn rest(self, offset: u64) -> Option<OriginBody> {
        let Self { worker, exchange, head } = self;
        let incomplete = Incomplete::new(&head.fields().to_headers(0), offset, None)?;
        let (conditions, fallback) = (Vec::new(), Fallback::Nothing);
        let forward = exchange.cacheable_forward(&worker.signature, conditions, fallback, Audience::Everybody);
        worker.fetcher.rest(&exchange.site.pool, forward, incomplete).await
    }
}

/// The word for those that got the rest.
const CONTINUED: &str = "continued";

/// The word for those whose response broke off.
const CUT_OFF: &str = "cut-off";
