//! `holdover status`: what a running node says of itself.

use std::process::ExitCode;

use anyhow::Context;

use super::admin_client::{AdminClient, show};
use super::args::Status;
use super::exit;

/// Prints the node's `/status`.
pub(super) fn status(target: &Status) -> anyhow::Result<ExitCode> {
    let Some(client) = AdminClient::new(&target.node)? else { return Ok(exit::CONFIGURATION.into()) };
    let answer = client.ask("/status", None);
    Ok(show(answer.with_context(|| format!("failed to ask {}", client.address))?))
}
