//! What stands in the middle: the node, or another cache that the same happens to.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use super::load::Visitor;
use super::origin::PORT;
use super::peers::Peer;
use crate::wires::{Authority, Client, Folder, Namespace, Node};

/// Whose figures they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    /// Ours.
    Holdover,
    /// nginx, from the distribution.
    Nginx,
    /// Varnish, from the distribution.
    Varnish,
}

impl Cache {
    /// Those that we are measured beside.
    pub(crate) const PEERS: &'static [Self] = &[Self::Nginx, Self::Varnish];

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Holdover => "Holdover",
            Self::Nginx => "nginx",
            Self::Varnish => "Varnish",
        }
    }
}

/// A running cache, and those who may ask it.
pub(crate) struct Subject {
    running: Running,
    /// Clients that come over the protocols it is measured with.
    pub(crate) clients: Vec<Client>,
    /// Files for as long as it may start again.
    _files: (Authority, Folder),
}

enum Running {
    Node(Node),
    Peer(Peer),
}

impl Subject {
    /// Starts one among these networks, with `settings` for the site of ours; it finds all origins well.
    pub(crate) async fn start(cache: Cache, peers: &[Namespace], settings: &str) -> Self {
        let files = (Authority::new(), Folder::new());
        let (authority, folder) = &files;
        let origins = peers.iter().map(|origin| SocketAddr::from((origin.addresses[0], PORT)));
        let origins: Vec<SocketAddr> = origins.take(NAMES.len()).collect();
        let running = match cache {
            Cache::Holdover => Running::Node(node(&peers[NAMES.len()], authority, folder, settings).await),
            Cache::Nginx => Running::Peer(Peer::nginx(folder, &authority.issue(HOST), &origins, HTTP, HTTPS).await),
            Cache::Varnish => Running::Peer(Peer::varnish(folder, &origins, HTTP).await),
        };
        let plain = Client::plain(HTTP, HOST);
        let tls = Client::tls(HTTPS, HOST, authority);
        let clients = match cache {
            Cache::Holdover | Cache::Nginx => vec![plain, tls.clone(), tls.offering(&["h2"])],
            // It has no TLS.
            Cache::Varnish => vec![plain],
        };
        Self { running, clients, _files: files }
    }

    /// One visitor for each protocol.
    pub(crate) fn visitors(&self) -> Vec<Arc<Visitor>> {
        self.clients.iter().enumerate().map(|(number, client)| Visitor::new(number, client.clone())).collect()
    }

    /// Whether it is ours.
    pub(crate) fn is_node(&self) -> bool {
        matches!(self.running, Running::Node(_))
    }

    /// The node, in scenes that no other cache plays.
    pub(crate) fn node(&mut self) -> &mut Node {
        match &mut self.running {
            Running::Node(node) => node,
            Running::Peer(_) => panic!("only the node is asked for what a node does"),
        }
    }

    /// What it says of what it did.
    pub(crate) fn notes(&self) -> Vec<String> {
        match &self.running {
            Running::Node(node) => {
                let events = node.all_events();
                events.iter().map(|event| format!("{} {}", event["time"], event["message"])).collect()
            }
            Running::Peer(_) => Vec::new(),
        }
    }

    /// Ends it, whole.
    pub(crate) async fn stops(self) {
        match self.running {
            Running::Node(node) => node.stops_whole().await,
            Running::Peer(peer) => peer.stops().await,
        }
    }
}

async fn node(names: &Namespace, authority: &Authority, state: &Folder, settings: &str) -> Node {
    let node = Node::start(&configuration(names, authority, state, settings)).await;
    for name in NAMES {
        node.tells("endpoint-changed", |event| event["origin"] == *name && event["to"] == "healthy").await;
    }
    node
}

/// A competent operator's configuration, with times short enough for a test.
fn configuration(names: &Namespace, authority: &Authority, state: &Folder, settings: &str) -> String {
    let servers = names.addresses.map(|address| address.to_string());
    let certificate = authority.certificate(HOST);
    let mut text = format!("[listen]\nhttps = [\"{HTTPS}\"]\nhttp = [\"{HTTP}\"]\n");
    text += &format!("[dns]\nservers = {servers:?}\ntimeout = \"1s\"\n");
    text += &format!("[state]\ndirectory = {:?}\n{certificate}{SITE}{settings}", state.path());
    for (rank, name) in (1..).zip(NAMES) {
        text += &format!("[[site.origin]]\nname = \"{name}\"\nurl = \"http://{name}:{PORT}\"\nrank = {rank}\n");
    }
    text
}

/// The site's.
const HOST: &str = "www.test";

/// The origins' names, by rank.
pub(crate) const NAMES: [&str; 3] = ["one.test", "two.test", "three.test"];

/// Ports of its own network, and so the same after a restart.
const HTTP: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));
const HTTPS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8443));

/// Half a second lies between a fault and its first probe, a quarter between a request and its next try. A head may take
/// longer than an origin that drags, as it has to where pages are made for each visitor.
const SITE: &str = r#"
[[site]]
hosts = ["www.test"]
plain_http = "serve"
[site.timeouts]
connect = "250ms"
first_byte = "1800ms"
[site.probe]
path = "/healthz"
interval = "500ms"
interval_in_transition = "100ms"
timeout = "400ms"
"#;
