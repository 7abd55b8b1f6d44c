//! The command line as types.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::origin::health::duty::Order;

/// An HTTPS edge cache that keeps sites up when their origins go down.
#[derive(Debug, Parser)]
#[command(name = "holdover", version, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Validate the configuration and say everything that is wrong with it
    Check(ConfigFile),
    /// Show the whole thing in one process: three origins, a certificate, the edge
    Demo(Demo),
    /// Ask a running node what a request for a URL would meet, and why
    Explain(Explain),
    /// Ask a running node whether it is ready: exit code 0 or 1
    Healthcheck(Healthcheck),
    /// Take an origin out of use, bring it back, or force its use, at a running node
    Origin(OriginOrder),
    /// Take responses out of a running node's cache; prints the receipt
    Purge(Purge),
    /// Serve
    Run(ConfigFile),
    /// Print the state of a running node: sites, origins, their health and what happened lately
    Status(Status),
    /// Print the version
    Version,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ConfigFile {
    /// Configuration file [default: $HOLDOVER_CONFIG, else /etc/holdover/holdover.toml]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Demo {
    /// Play an outage and narrate it; exit code 1 when a promise was broken
    #[arg(long)]
    pub(super) drill: bool,
    /// Port of the edge (HTTPS)
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    pub(super) port: u16,
    /// Port of the admin listener
    #[arg(long, value_name = "PORT", default_value_t = 9090)]
    pub(super) admin_port: u16,
    /// Port of the first of the three origins; the others take the next two
    #[arg(long, value_name = "PORT", default_value_t = 9001, value_parser = clap::value_parser!(u16).range(1..=65533))]
    pub(super) origin_port: u16,
}

/// The node that a command talks to, and what it has to present there.
#[derive(Args, Clone, Debug)]
pub(super) struct RunningNode {
    #[command(flatten)]
    pub(super) file: ConfigFile,
    /// Admin address of the node [default: the first one in the configuration]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) address: Option<SocketAddr>,
    /// File that holds the admin token [default: the token in the configuration]
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Healthcheck {
    #[command(flatten)]
    pub(super) node: RunningNode,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Status {
    #[command(flatten)]
    pub(super) node: RunningNode,
}

#[derive(Args, Clone, Debug)]
pub(super) struct OriginOrder {
    /// What is to happen: "drain" asks it only when nothing else is usable, "disable" not at all, "force" before all others,
    /// "enable" ends these, and "failback" ends its hold-down
    #[arg(value_name = "ORDER", value_parser = PossibleValuesParser::new(Order::ALL.map(Order::as_str)))]
    pub(super) order: String,
    /// The site, by its name in the configuration
    #[arg(value_name = "SITE")]
    pub(super) site: String,
    /// The origin, by its name in the configuration
    #[arg(value_name = "ORIGIN")]
    pub(super) origin: String,
    #[command(flatten)]
    pub(super) node: RunningNode,
}

#[derive(Args, Clone, Debug)]
pub(super) struct Explain {
    /// The URL as a client asks for it
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// A request field, such as "accept-encoding: br"; may be given several times
    #[arg(long = "field", value_name = "NAME: VALUE")]
    pub(super) fields: Vec<String>,
    #[command(flatten)]
    pub(super) node: RunningNode,
}

#[derive(Args, Clone, Debug)]
#[group(id = "selectors", required = true, multiple = true, args = ["urls", "prefixes", "tags", "hosts", "all"])]
pub(super) struct Purge {
    /// One URL, with all its variants
    #[arg(long = "url", value_name = "URL")]
    pub(super) urls: Vec<String>,
    /// Everything below a directory, by its URL, which ends with "/"
    #[arg(long = "prefix", value_name = "URL")]
    pub(super) prefixes: Vec<String>,
    /// Everything with a surrogate tag
    #[arg(long = "tag", value_name = "TAG")]
    pub(super) tags: Vec<String>,
    /// Everything of a host
    #[arg(long = "host", value_name = "HOST")]
    pub(super) hosts: Vec<String>,
    /// Everything
    #[arg(long)]
    pub(super) all: bool,
    /// Mark as stale rather than remove
    #[arg(long)]
    pub(super) soft: bool,
    #[command(flatten)]
    pub(super) node: RunningNode,
}
