//! The memory soak: the real node, in a process of its own, under workloads that each try its bound in another way.
//!
//! Clients check every byte. It fails when more is live than the bound allows, when more is resident than 1.15 times the
//! bound and 64 MiB, when a byte is wrong or when a request fails.
//!
//! ```sh
//! cargo bench --bench soak -- --minutes 10 --bound 256MiB
//! ```

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use holdover::clock::Clock;

use crate::cgroup::Cgroup;
use crate::node::Node;
use crate::plot::plot;
use crate::report::{Figures, HEADING, Sample, mebibytes, resident_max};
use crate::visitor::Tally;
use crate::workloads::{Run, Workload};

mod cgroup;
mod content;
mod node;
mod origin;
mod plot;
mod report;
mod visitor;
mod workloads;

/// Drives a node against its memory bound.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long it takes in all
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// `cache.memory` of the node
    #[arg(long, default_value = "256MiB", value_parser = size)]
    bound: u64,
    /// Workloads one after another, with commas between them, or all of them
    #[arg(long, default_value = "all", value_parser = workloads)]
    workload: Workloads,
    /// The node's binary
    #[arg(long, default_value = env!("CARGO_BIN_EXE_holdover"))]
    binary: PathBuf,
    /// Put the node into a memory cgroup of 1.15 times the bound and 64 MiB, if this machine lets us
    #[arg(long)]
    cgroup: bool,
    /// Where to write the plot
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let bytes = units.into_iter().find_map(|(unit, shift)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(1 << shift)
    });
    bytes.ok_or_else(|| "expected a size such as 256MiB".to_owned())
}

#[derive(Clone, Debug)]
struct Workloads(Vec<Workload>);

fn workloads(words: &str) -> Result<Workloads, String> {
    match words {
        "all" => Ok(Workloads(Workload::ALL.to_vec())),
        words => words.split(',').map(|word| Workload::from_str(word, false)).collect::<Result<_, _>>().map(Workloads),
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let limit = resident_max(arguments.bound);
    let cgroup = match arguments.cgroup.then(|| Cgroup::new(limit)) {
        Some(Ok(cgroup)) => Some(cgroup),
        Some(Err(reason)) => {
            println!("without a cgroup: {reason:#}");
            None
        }
        None => None,
    };
    let origin = origin::start()?;
    let node = Arc::new(Node::start(&arguments.binary, arguments.bound, origin, cgroup.as_ref())?);
    println!("bound {} MiB, limit of RSS {} MiB", mebibytes(arguments.bound), mebibytes(limit));
    let soak = Soak { node, clock: Clock::new(), fresh: Arc::default() };
    let began = soak.clock.now().monotonic;
    let Workloads(chosen) = &arguments.workload;
    let each = Duration::from_secs_f64(arguments.minutes * 60.0 / chosen.len() as f64);
    let (mut samples, mut rows, mut violations) = (Vec::new(), Vec::new(), Vec::new());
    for &workload in chosen {
        let tally = Arc::default();
        let of_this = soak.measured(workload, each, began, &tally)?;
        let figures = Figures::new(workload, &of_this, &tally);
        rows.push(figures.row());
        violations.extend(figures.violations());
        violations.extend(tally.first_failure.lock().unwrap_or_else(PoisonError::into_inner).take());
        samples.extend(of_this);
    }
    println!("\n{HEADING}\n{}", rows.join("\n"));
    if let Some(path) = &arguments.svg {
        std::fs::write(path, plot(&samples)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(cgroup) = &cgroup {
        println!("\nin a cgroup of {} MiB; {}", mebibytes(limit), cgroup.failures());
    }
    violations.iter().for_each(|violation| println!("\n{violation}"));
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Soak {
    node: Arc<Node>,
    clock: Clock,
    fresh: Arc<AtomicU64>,
}

impl Soak {
    /// Plays one workload, purges everything at its end, and gives the samples taken meanwhile.
    fn measured(
        &self,
        workload: Workload,
        each: Duration,
        began: Instant,
        tally: &Arc<Tally>,
    ) -> anyhow::Result<Vec<Sample>> {
        self.node.forget_peak()?;
        let over = Arc::new(AtomicBool::new(false));
        let sampler = {
            let (node, clock, over) = (Arc::clone(&self.node), self.clock.clone(), Arc::clone(&over));
            // On a thread of its own, so that a busy load does not make it late.
            thread::spawn(move || sample(&node, &clock, &over, workload, began))
        };
        let played = self.play(workload, each, tally);
        over.store(true, Ordering::Relaxed);
        let samples = sampler.join().map_err(|_| anyhow::anyhow!("the sampler panicked"))??;
        played.map(|()| samples)
    }

    fn play(&self, workload: Workload, each: Duration, tally: &Arc<Tally>) -> anyhow::Result<()> {
        let begin = self.clock.now().monotonic;
        let (node, tally, fresh) = (Arc::clone(&self.node), Arc::clone(tally), Arc::clone(&self.fresh));
        let run = Run { node, tally, clock: self.clock.clone(), begin, end: begin + each.saturating_sub(REST), fresh };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run.play(workload))?;
        // Nobody is left: what is live drops to nothing, and what is resident ought to follow.
        drop(runtime);
        self.node.purge(r#"{"all": true}"#)?;
        pause(REST.min(each));
        Ok(())
    }
}

fn sample(
    node: &Node,
    clock: &Clock,
    over: &AtomicBool,
    workload: Workload,
    began: Instant,
) -> anyhow::Result<Vec<Sample>> {
    let (mut samples, mut told) = (Vec::new(), Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let memory = node.memory().context("the node does not answer any more")?;
        let sample = Sample { at: clock.now().monotonic.saturating_duration_since(began), workload, memory };
        if sample.at >= told {
            println!("{}", sample.line());
            told = sample.at + TELL_INTERVAL;
        }
        samples.push(sample);
        pause(SAMPLE_INTERVAL);
    }
    Ok(samples)
}

fn pause(duration: Duration) {
    thread::park_timeout(duration);
}

const SAMPLE_INTERVAL: Duration = Duration::from_millis(200);

/// Between two samples that are printed.
const TELL_INTERVAL: Duration = Duration::from_secs(2);

/// From the end of a workload to the beginning of the next, for memory to come back.
const REST: Duration = Duration::from_secs(5);
