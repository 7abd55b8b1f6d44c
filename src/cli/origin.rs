//! `holdover origin`: an operator's order about one origin of a running node.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::admin_client::{AdminClient, show};
use super::args::OriginOrder;
use super::exit;

/// Gives the order and prints what the origin is like after it.
pub(super) fn origin(what: &OriginOrder) -> anyhow::Result<ExitCode> {
    let Some(client) = AdminClient::new(&what.node)? else { return Ok(exit::CONFIGURATION.into()) };
    let order = json!({ "site": what.site, "origin": what.origin, "order": what.order });
    let answer = client.ask("/v1/origin", Some(order.to_string()));
    Ok(show(answer.with_context(|| format!("failed to order at {}", client.address))?))
}
