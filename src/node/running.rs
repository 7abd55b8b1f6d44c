//! A node that runs, and how it stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::state::Keeper;
use crate::admin::api::Admin;
use crate::cache::compressor::Compressor;
use crate::config::model::Drain;
use crate::listen::connections::Connections;
use crate::telemetry::{Event, Events};

/// A node that serves. Dropping it leaves its workers running; [`Node::stop`] ends them.
pub struct Node {
    pub(super) admin: Admin,
    pub(super) addresses: Vec<(&'static str, SocketAddr)>,
    pub(super) drain_policy: Drain,
    pub(super) drain: CancellationToken,
    pub(super) admin_drain: CancellationToken,
    pub(super) connections: Arc<Connections>,
    pub(super) workers: Vec<WorkerThread>,
    pub(super) compressor: Arc<Compressor>,
    pub(super) compressing: [JoinHandle<()>; 2],
    pub(super) control: JoinSet<()>,
    pub(super) keeper: Option<Keeper>,
    pub(super) events: Events,
}

/// One worker, seen from outside.
pub(super) struct WorkerThread {
    pub(super) stop: CancellationToken,
    pub(super) finished: oneshot::Receiver<()>,
    pub(super) thread: JoinHandle<()>,
}

impl Node {
    /// What it listens on: protocol (`https`, `http`, `admin`) and address, port 0 resolved.
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// The first address of a protocol.
    pub fn address(&self, protocol: &str) -> Option<SocketAddr> {
        self.addresses.iter().find(|(spoken, _)| *spoken == protocol).map(|(_, address)| *address)
    }

    /// What the admin listener answers from.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Drains and stops: readiness fails, then listeners close, then requests in flight finish, each within its bound.
    /// `at_once` ends the waiting when it resolves. Gives the number of connections that were cut off.
    pub async fn stop(mut self, reason: &str, at_once: impl Future<Output = ()>) -> usize {
        self.admin.readiness.draining();
        self.events.emit(Event::DrainStarted { reason: reason.to_owned() });
        let workers = std::mem::take(&mut self.workers);
        let (mut finished, mut remains) = (Vec::new(), Vec::new());
        for WorkerThread { stop, finished: done, thread } in workers {
            finished.push(done);
            remains.push((stop, thread));
        }
        let drained = async {
            sleep(self.drain_policy.delay).await;
            self.drain.cancel();
            let all = async {
                for done in finished {
                    let _ended_either_way = done.await;
                }
            };
            let _late = timeout(self.drain_policy.timeout, all).await;
        };
        tokio::select! {
            () = drained => {}
            () = at_once => self.drain.cancel(),
        }
        let in_flight = self.connections.open();
        self.events.emit(Event::DrainFinished { in_flight });
        remains.iter().for_each(|(stop, _)| stop.cancel());
        self.admin_drain.cancel();
        self.control.shutdown().await;
        if let Some(keeper) = self.keeper.take() {
            keeper.finish(STOP_GRACE).await;
        }
        self.compressor.close();
        let threads = remains.into_iter().map(|(_, thread)| thread).chain(self.compressing).collect();
        let _late = timeout(STOP_GRACE, tokio::task::spawn_blocking(move || join(threads))).await;
        self.admin.shared.access_log.close(STOP_GRACE);
        self.events.emit(Event::NodeStopped);
        self.events.close(STOP_GRACE);
        in_flight
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A worker that panicked has said so on its own.
        let _ended_either_way = thread.join();
    }
}

/// How long after a forced stop a worker's thread, or a log's, may take to end.
const STOP_GRACE: Duration = Duration::from_secs(1);
