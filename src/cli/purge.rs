//! `holdover purge`: takes responses out of a running node's cache.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::admin_client::{AdminClient, show};
use super::args::Purge;
use super::exit;

/// Sends one batch to the node and prints the receipt.
pub(super) fn purge(what: &Purge) -> anyhow::Result<ExitCode> {
    let Some(client) = AdminClient::new(&what.node)? else { return Ok(exit::CONFIGURATION.into()) };
    let batch = json!({
        "urls": what.urls,
        "prefixes": what.prefixes,
        "tags": what.tags,
        "hosts": what.hosts,
        "all": what.all,
        "soft": what.soft,
    });
    let answer = client.ask("/v1/purge", Some(batch.to_string()));
    Ok(show(answer.with_context(|| format!("failed to purge at {}", client.address))?))
}
