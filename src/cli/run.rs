//! `holdover run`: serves until a signal asks for the end.

use std::process::ExitCode;

use anyhow::Context;

use super::args::ConfigFile;
use super::descriptors::raise_limit;
use super::exit;
use super::named_files::load_usable;
use super::signals::Signals;
use crate::clock::Clock;
use crate::config::model::Config;
use crate::node::start::start;
use crate::telemetry::{Events, Metrics};

/// Serves what the file says. SIGTERM, SIGINT and SIGQUIT drain; a second one ends at once.
pub(super) fn run(file: &ConfigFile) -> anyhow::Result<ExitCode> {
    let Some((config, path)) = load_usable(file)? else { return Ok(exit::CONFIGURATION.into()) };
    raise_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve(config));
    // Whoever did not end within its bounds is not waited for.
    runtime.shutdown_background();
    served.with_context(|| format!("failed to run {}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("failed to listen for signals")?;
    let (clock, metrics) = (Clock::new(), Metrics::new());
    let events =
        Events::new(&config.log.events, clock.clone(), metrics.clone()).context("failed to open the event log")?;
    let node = start(config, clock, events, metrics).await?;
    let reason = signals.next().await;
    node.stop(reason, async {
        signals.next().await;
    })
    .await;
    Ok(())
}
