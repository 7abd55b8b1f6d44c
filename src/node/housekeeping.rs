//! What has to be done now and then, beside everything else.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::assembly::Assembly;
use super::shortage::{News, Shortage};
use crate::cache::excess::Limit;
use crate::clock::{ANCHOR_INTERVAL, Clock};
use crate::listen::connections::Connections;
use crate::serve::survival::surveyor::survey;
use crate::serve::worker::Shared;
use crate::telemetry::confinement::Confinement;
use crate::telemetry::{Event, Events, Metrics, process};

/// Keeps the clock on wall time and the process within its memory, frees the memory of what was purged or held long
/// enough, surveys what would survive an outage, shows open connections and memory limits, and tells of lost log lines.
pub(super) struct Housekeeping {
    shared: Arc<Shared>,
    metrics: Metrics,
    connections: Arc<Connections>,
    events: Events,
    confinement: Confinement,
}

impl Housekeeping {
    pub(super) fn new(assembly: &Assembly, connections: Arc<Connections>, events: Events) -> Self {
        Self {
            shared: Arc::clone(&assembly.shared),
            metrics: assembly.admin.metrics.clone(),
            connections,
            events,
            confinement: Confinement::find(),
        }
    }

    /// Goes on until it is dropped.
    pub(super) async fn run(self) {
        let sweeps = self.repeat(ROUND, SWEEP_SHARE, |shared, _| shared.store.sweep());
        // It rests on its way.
        let surveys = self.repeat(SURVEY_ROUND, 0, |shared, ended| {
            survey(&shared.sites, &shared.store, shared.clock.now().monotonic, rests(&shared.clock, ended));
        });
        tokio::join!(self.rounds(), sweeps, surveys);
    }

    async fn rounds(&self) {
        let mut anchor = interval(ANCHOR_INTERVAL);
        let mut rounds = interval(ROUND);
        let mut measurements = interval(MEASUREMENT_INTERVAL);
        let (mut told, mut shortage) = (0, Shortage::default());
        for timer in [&mut anchor, &mut rounds, &mut measurements] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                _ = anchor.tick() => self.shared.clock.anchor_again(),
                _ = measurements.tick() => self.make_way(&mut shortage),
                _ = rounds.tick() => {
                    self.shared.fills.let_go(self.shared.clock.now().monotonic);
                    self.show_connections();
                    self.show_cgroup_memory();
                    told = self.tell_of_lost_lines(told);
                }
            }
        }
    }

    /// Makes way for what nobody counts, or shuts the door until there is room for it.
    fn make_way(&self, shortage: &mut Shortage) {
        let Shared { store, clock, .. } = &*self.shared;
        let resident_bytes = process::resident_bytes();
        let nearest = self.confinement.nearest();
        let overdraft = store.make_way(resident_bytes, nearest.map(|nearest| nearest.usage));
        self.connections.shut(overdraft.is_some());
        match shortage.look(overdraft, self.connections.refused(), clock.now().monotonic) {
            News::Began(overdraft) => {
                let nearest = nearest.filter(|_| overdraft.pressure.limit == Limit::Cgroup);
                self.events.emit(Event::MemoryShort {
                    cgroup: nearest.map(|nearest| nearest.cgroup.folder().to_owned()),
                    limit_file: nearest.map(|nearest| nearest.file),
                    used_bytes: overdraft.pressure.usage.used_bytes,
                    limit_bytes: overdraft.pressure.usage.limit_bytes,
                    missing_bytes: overdraft.missing_bytes,
                    resident_bytes,
                    bound_bytes: store.ledger().bound(),
                });
            }
            News::Ended { lasted, refused } => self.events.emit(Event::MemorySuffices { short: lasted, refused }),
            News::None => {}
        }
    }

    /// Does what may go through everything stored: on a thread of its own, `pause` and `share` times as long as it took
    /// after the last time. The work can wait for the end of the housekeeping.
    async fn repeat(&self, pause: Duration, share: u32, work: fn(&Shared, &Receiver<Infallible>)) {
        let mut rest = pause;
        loop {
            sleep(rest).await;
            let (shared, began) = (Arc::clone(&self.shared), self.shared.clock.now().monotonic);
            let (_goes_on, ended) = channel();
            // An error would be a panic, which the next round survives.
            let _done = tokio::task::spawn_blocking(move || work(&shared, &ended)).await;
            rest = pause.max(share * self.shared.clock.now().monotonic.saturating_duration_since(began));
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

    fn show_cgroup_memory(&self) {
        for cgroup in self.confinement.cgroups() {
            self.metrics.set_cgroup_memory(cgroup.folder(), cgroup.usage());
        }
    }

    /// One event for all that were lost since the last one.
    fn tell_of_lost_lines(&self, told: u64) -> u64 {
        let lost = self.shared.access_log.dropped();
        if lost > told {
            self.events.emit(Event::AccessLogDropped { lines: lost - told });
        }
        lost
    }
}

/// Rests, each in proportion to the work since the last one, since how long that takes is for the machine to say; none once
/// the housekeeping has ended.
fn rests(clock: &Clock, ended: &Receiver<Infallible>) -> impl FnMut() {
    let mut resumed = clock.monotonic();
    move || {
        let worked = clock.monotonic().saturating_duration_since(resumed);
        let _time_or_end = ended.recv_timeout((REST_SHARE * worked).min(REST_MAX));
        resumed = clock.monotonic();
    }
}

/// Often enough for a gauge that is scraped every few seconds, and rare enough for an event.
const ROUND: Duration = Duration::from_secs(5);

/// How much longer than a sweep the pause after it is, at least.
const SWEEP_SHARE: u32 = 20;

/// Between two measurements of all memory: less than it takes a thousand connections to come.
const MEASUREMENT_INTERVAL: Duration = Duration::from_millis(50);

/// Often enough for an alert; a share of an hour does not change in less.
const SURVEY_ROUND: Duration = Duration::from_secs(15);

/// How much longer than it works a survey rests, so that a worker whose core it is on keeps nearly all of it, also of a node
/// with ten million stored responses, which is never without one.
const REST_SHARE: u32 = 40;

/// On a core that is busy its work takes longer than the core gives it, and a machine may be suspended meanwhile.
const REST_MAX: Duration = Duration::from_millis(200);
