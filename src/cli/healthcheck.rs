//! `holdover healthcheck`: for images without a shell.

use std::process::ExitCode;

use anyhow::{Context, bail};

use super::admin_client::AdminClient;
use super::args::Healthcheck;
use super::exit;

/// Asks `/readyz` of the node's admin listener.
#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
pub(super) fn healthcheck(arguments: &Healthcheck) -> anyhow::Result<ExitCode> {
    let Some(client) = AdminClient::new(&arguments.node)? else { return Ok(exit::CONFIGURATION.into()) };
    ready(&client).with_context(|| format!("{} is not ready", client.address))?;
    println!("{} is ready", client.address);
    Ok(ExitCode::SUCCESS)
}

fn ready(client: &AdminClient) -> anyhow::Result<()> {
    let (status, _) = client.ask("/readyz", None)?;
    if !status.is_success() {
        bail!("it answers {status}");
    }
    Ok(())
}
