//! `holdover demo`.

use std::process::ExitCode;

use super::drill::drill;
use super::stage::Stage;
use super::timeline::Timeline;
use crate::cli::args::Demo;
use crate::cli::exit;
use crate::cli::signals::Signals;

/// Runs the demo until a signal comes, or its drill to the end.
pub(in crate::cli) fn demo(arguments: &Demo) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let timeline = Timeline::new();
        let stage = Stage::set(arguments, &timeline).await?;
        let kept = if arguments.drill {
            tokio::select! {
                kept = drill(&stage, &timeline) => kept?,
                signal = signals.next() => {
                    timeline.tell(&format!("{signal}: the drill is cut short"));
                    false
                }
            }
        } else {
            timeline.invite(&stage);
            timeline.follow(&stage, signals.next()).await;
            true
        };
        stage.strike().await;
        Ok(if kept { ExitCode::SUCCESS } else { exit::FAILED.into() })
    })
}
