//! What has to be done now and then, beside everything else.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::assembly::Assembly;
use crate::cache::store::Store;
use crate::clock::{ANCHOR_INTERVAL, Clock};
use crate::listen::connections::Connections;
use crate::telemetry::{AccessLog, Event, Events, Metrics};

/// Keeps the clock on wall time, frees the memory of what was purged, shows open connections, and tells of lost log lines.
pub(super) struct Housekeeping {
    clock: Clock,
    metrics: Metrics,
    access_log: AccessLog,
    store: Store,
    connections: Arc<Connections>,
    events: Events,
}

impl Housekeeping {
    pub(super) fn new(assembly: &Assembly, connections: Arc<Connections>, events: Events) -> Self {
        Self {
            clock: assembly.shared.clock.clone(),
            metrics: assembly.admin.metrics.clone(),
            access_log: assembly.shared.access_log.clone(),
            store: assembly.shared.store.clone(),
            connections,
            events,
        }
    }

    /// Goes on until it is dropped.
    pub(super) async fn run(self) {
        tokio::join!(self.rounds(), self.sweeps());
    }

    async fn rounds(&self) {
        let mut anchor = interval(ANCHOR_INTERVAL);
        let mut rounds = interval(ROUND);
        let mut told = 0;
        for timer in [&mut anchor, &mut rounds] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                _ = anchor.tick() => self.clock.anchor_again(),
                _ = rounds.tick() => {
                    self.show_connections();
                    told = self.tell_of_lost_lines(told);
                }
            }
        }
    }

    /// Goes through everything stored when something was purged: on a thread of its own, and for a small part of the time.
    async fn sweeps(&self) {
        let mut pause = ROUND;
        loop {
            sleep(pause).await;
            let (store, began) = (self.store.clone(), self.clock.now().monotonic);
            // An error would be a panic, which the next round survives.
            let _swept = tokio::task::spawn_blocking(move || store.sweep()).await;
            pause = ROUND.max(SWEEP_SHARE * self.clock.now().monotonic.saturating_duration_since(began));
        }
    }

    /// The listeners count for themselves; the counters of the metrics follow.
    fn show_connections(&self) {
        self.metrics.connections.set(i64::try_from(self.connections.open()).unwrap_or(i64::MAX));
        for (counter, counted) in [
            (&self.metrics.connections_refused, self.connections.refused()),
            (&self.metrics.connections_stalled, self.connections.stalled()),
            (&self.metrics.handshakes_failed, self.connections.handshakes_failed()),
        ] {
            counter.inc_by(counted.saturating_sub(counter.get()));
        }
    }

    /// One event for all that were lost since the last one.
    fn tell_of_lost_lines(&self, told: u64) -> u64 {
        let lost = self.access_log.dropped();
        if lost > told {
            self.events.emit(Event::AccessLogDropped { lines: lost - told });
        }
        lost
    }
}

/// Often enough for a gauge that is scraped every few seconds, and rare enough for an event.
const ROUND: Duration = Duration::from_secs(5);

/// How much longer than a sweep the pause after it is, at least.
const SWEEP_SHARE: u32 = 20;
