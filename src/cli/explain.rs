//! `holdover explain`: what a request would meet at a running node, and why.

use std::process::ExitCode;

use anyhow::Context;

use super::admin_client::{AdminClient, show};
use super::args::Explain;
use super::exit;

/// Asks the node and prints what it says.
pub(super) fn explain(question: &Explain) -> anyhow::Result<ExitCode> {
    let Some(client) = AdminClient::new(&question.node)? else { return Ok(exit::CONFIGURATION.into()) };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("url", &question.url);
    question.fields.iter().for_each(|field| {
        query.append_pair("field", field);
    });
    let answer = client.ask(&format!("/v1/explain?{}", query.finish()), None);
    Ok(show(answer.with_context(|| format!("failed to ask {}", client.address))?))
}
