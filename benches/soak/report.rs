//! What was measured, and whether it is within what was promised.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::node::Memory;
use crate::visitor::Tally;
use crate::workloads::Workload;

/// The node's memory at one moment of the soak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Since the soak began.
    pub(crate) at: Duration,
    /// What was going on.
    pub(crate) workload: Workload,
    pub(crate) memory: Memory,
}

impl Sample {
    /// For those who watch.
    pub(crate) fn line(&self) -> String {
        let Self { at, workload, memory } = self;
        let (live, resident) = (mebibytes(memory.live), mebibytes(memory.resident));
        let name = workload.as_str();
        format!("{:7.1} s  {name:8} live {live:6} MiB  RSS {resident:6} MiB", at.as_secs_f64())
    }
}

/// The most that may be resident under a bound of so many bytes.
pub(crate) const fn resident_max(bound: u64) -> u64 {
    bound + bound * 15 / 100 + (64 << 20)
}

/// One workload in figures.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    workload: Workload,
    bound: u64,
    live_peak: u64,
    resident_peak: u64,
    resident_end: u64,
    whole: u64,
    bytes: u64,
    wrong: u64,
    failed: u64,
}

impl Figures {
    /// Of a workload's samples, in order, and what its visitors got.
    pub(crate) fn new(workload: Workload, samples: &[Sample], tally: &Tally) -> Self {
        let most = |value: fn(&Memory) -> u64| samples.iter().map(|sample| value(&sample.memory)).max().unwrap_or(0);
        Self {
            workload,
            bound: most(|memory| memory.bound),
            live_peak: most(|memory| memory.live),
            resident_peak: most(|memory| memory.resident_peak),
            resident_end: samples.last().map_or(0, |sample| sample.memory.resident),
            whole: tally.whole.load(Ordering::Relaxed),
            bytes: tally.bytes.load(Ordering::Relaxed),
            wrong: tally.wrong.load(Ordering::Relaxed),
            failed: tally.failed.load(Ordering::Relaxed),
        }
    }

    /// Promises that were broken.
    pub(crate) fn violations(&self) -> Vec<String> {
        let name = self.workload.as_str();
        let broken = [
            (self.bound == 0, "no sample was taken"),
            (self.live_peak > self.bound, "more was live than the bound allows"),
            (self.resident_peak > resident_max(self.bound), "more was resident than 1.15 times the bound and 64 MiB"),
            (self.wrong > 0, "bodies were wrong"),
            (self.failed > 0, "requests failed"),
            (self.whole == 0, "no body was received"),
        ];
        broken.into_iter().filter(|(is_broken, _)| *is_broken).map(|(_, what)| format!("{name}: {what}")).collect()
    }

    /// Its row in the table under [`HEADING`].
    pub(crate) fn row(&self) -> String {
        format!(
            "| {} | {:.2} | {} | {:.2} | {} | {} | {} | {} | {} |",
            self.workload.as_str(),
            ratio(self.live_peak, self.bound),
            mebibytes(self.resident_peak),
            ratio(self.resident_peak, resident_max(self.bound)),
            mebibytes(self.resident_end),
            self.whole,
            mebibytes(self.bytes),
            self.wrong,
            self.failed,
        )
    }
}

/// The first two lines of the table.
pub(crate) const HEADING: &str = "\
| workload | peak live ÷ bound | peak RSS, MiB | ÷ limit | RSS at its end, MiB | whole bodies | MiB checked | wrong | failed |
|---|---|---|---|---|---|---|---|---|";

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Rounded to the nearest.
pub(crate) const fn mebibytes(bytes: u64) -> u64 {
    (bytes + (1 << 19)) >> 20
}
