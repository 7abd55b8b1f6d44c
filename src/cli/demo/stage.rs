//! Sets the demo's stage: origins, certificate, node.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::sync::broadcast::Receiver;

use super::assets::Assets;
use super::origins::{Behavior, DemoOrigin};
use super::timeline::Timeline;
use crate::cli::args::Demo;
use crate::clock::Clock;
use crate::config::{Surroundings, load};
use crate::listen::socket::BindError;
use crate::node::running::Node;
use crate::node::start::start;
use crate::telemetry::{Event, Events, Metrics};
use crate::tls::self_signed::self_signed;

/// Three origins and a node in front of them, in this process.
pub(super) struct Stage {
    assets: Assets,
    origins: [(&'static str, DemoOrigin); 3],
    node: Node,
    events: Events,
    folder: Folder,
}

impl Stage {
    /// Starts everything.
    pub(super) async fn set(arguments: &Demo, timeline: &Timeline) -> anyhow::Result<Self> {
        let assets = Assets::new();
        let origins = [
            origin("a", arguments.origin_port, &assets).await?,
            origin("b", arguments.origin_port + 1, &assets).await?,
            origin("c", arguments.origin_port + 2, &assets).await?,
        ];
        let folder = Folder::make()?;
        let (certificate, key) = (folder.file("certificate.pem"), folder.file("key.pem"));
        let pair = self_signed(&["localhost".into()])?;
        std::fs::write(&certificate, pair.certificate_pem())?;
        std::fs::write(&key, pair.key_pem())?;

        let variable = |name: &str| match name {
            "EDGE_PORT" => Some(arguments.port.to_string()),
            "ADMIN_PORT" => Some(arguments.admin_port.to_string()),
            "ORIGIN_A" => Some(arguments.origin_port.to_string()),
            "ORIGIN_B" => Some((arguments.origin_port + 1).to_string()),
            "ORIGIN_C" => Some((arguments.origin_port + 2).to_string()),
            "CERTIFICATE" => Some(certificate.display().to_string()),
            "KEY" => Some(key.display().to_string()),
            _ => None,
        };
        let cores = std::thread::available_parallelism().map_or(1, Into::into);
        let surroundings = Surroundings { cores, environment: &variable, ..Surroundings::none("demo.toml") };
        let config = load(CONFIGURATION, &surroundings)
            .map_err(|problems| anyhow!(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;

        let (clock, metrics) = (Clock::new(), Metrics::new());
        let events = Events::new(&config.log.events, clock.clone(), metrics.clone())?;
        let node = start(config, clock, events.clone(), metrics).await.map_err(|error| {
            let flag = match error.downcast_ref::<BindError>() {
                Some(taken) if taken.protocol == "admin" => "--admin-port",
                Some(_) => "--port",
                None => return error,
            };
            anyhow!("{error}; choose another port with {flag}")
        })?;
        timeline.tell("three origins and the edge are up");
        Ok(Self { assets, origins, node, events, folder })
    }

    /// The origins by name, in the order of their ranks.
    pub(super) fn origins(&self) -> &[(&'static str, DemoOrigin); 3] {
        &self.origins
    }

    /// What the origins serve.
    pub(super) fn assets(&self) -> &Assets {
        &self.assets
    }

    /// The node.
    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// The events from here on.
    pub(super) fn events(&self) -> Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// The certificate's file, which a client can trust.
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.file("certificate.pem")
    }

    /// The port of the edge.
    pub(super) fn edge_port(&self) -> u16 {
        self.node.address("https").map_or(0, |address| address.port())
    }

    /// The port of the admin listener.
    pub(super) fn admin_port(&self) -> u16 {
        self.node.address("admin").map_or(0, |address| address.port())
    }

    /// Stops the node, then the origins.
    pub(super) async fn strike(self) {
        self.node.stop("the demo is over", tokio::time::sleep(STOP_MAX)).await;
    }
}

async fn origin(name: &'static str, port: u16, assets: &Assets) -> anyhow::Result<(&'static str, DemoOrigin)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let behavior = Behavior { large_file_rate: Some(LARGE_FILE_RATE) };
    let started = DemoOrigin::start(name, address, assets, behavior).await;
    let origin = started.with_context(|| {
        format!("cannot listen on {address} (origin {name}); choose other ports with --origin-port")
    })?;
    Ok((name, origin))
}

/// A folder that goes with the demo.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("holdover-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("failed to make {}", path.display()))?;
        Ok(Self(path))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind in the folder for temporary files does no harm.
        let _removed_or_not = std::fs::remove_dir_all(&self.0);
    }
}

const CONFIGURATION: &str = include_str!("demo.toml");

/// Bytes per second of the 20 MiB file, so that an origin can be lost in the middle of it.
const LARGE_FILE_RATE: u64 = 10 * 1024 * 1024;

const STOP_MAX: Duration = Duration::from_secs(3);
