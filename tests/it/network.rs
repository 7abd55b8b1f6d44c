//! An origin behind a network that swallows packets: a namespace of its own, with a firewall.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::wires::{Client, Load, Nginx, Node, Place, Sample, cannot_run, lacks, run};

#[tokio::test]
async fn a_blackholed_origin_fails_nobody_and_slows_few() {
    let Some(network) = Network::new().await else { return };
    let origins =
        [Nginx::start(Place::Namespace(&network.name, network.inside)).await, Nginx::start(Place::Loopback).await];
    let mut text = SITE.to_owned();
    for (index, origin) in origins.iter().enumerate() {
        origin.site.write("index.html", "home");
        (0..COUNT).for_each(|number| drop(origin.site.write(&format!("{number}.html"), "page")));
        let (rank, address) = (index + 1, origin.address);
        text += &format!("[[site.origin]]\nname = \"{rank}\"\nurl = \"http://{address}\"\nrank = {rank}\n");
    }
    let node = Node::start(&text).await;
    for name in ["1", "2"] {
        node.tells("endpoint-changed", |event| event["origin"] == name && event["to"] == "healthy").await;
    }
    let client = Client::plain(node.address("http").unwrap(), "www.test");
    let mut load = Load::start(client, COUNT, |number| format!("/{number}.html"));
    load.reaches(100).await;
    network.swallows().await;
    let samples = load.finishes().await;
    let failures: Vec<_> = samples.iter().filter_map(Sample::failure).collect();
    assert!(failures.is_empty(), "{} of {COUNT} failed:\n{}", failures.len(), failures.join("\n"));
    let slow: Vec<_> = samples.iter().filter(|sample| sample.time > SLOW).map(|sample| sample.time).collect();
    assert!(slow.len() <= SLOW_MAX, "{} of {COUNT} requests were slow: {slow:?}", slow.len());
    node.tells("endpoint-changed", |event| event["origin"] == "1" && event["to"] == "ejected").await;
    node.stops_whole().await;
}

/// A namespace joined to ours by a pair of virtual interfaces; gone with the test.
struct Network {
    name: String,
    inside: IpAddr,
}

impl Network {
    /// `None`, having said so, where the kernel or the rights for it are missing.
    async fn new() -> Option<Self> {
        if lacks("ip") || lacks("nft") {
            return None;
        }
        // A /30 of the range for benchmarks (RFC 2544), by process, so that test runs do not meet.
        let id = std::process::id();
        let [.., high, low] = (id << 2).to_be_bytes();
        let (outside, inside) = (Ipv4Addr::new(198, 18, high, low + 1), Ipv4Addr::new(198, 18, high, low + 2));
        let network = Self { name: format!("holdover-{id}"), inside: inside.into() };
        let name = &network.name;
        let (ours, theirs) = (format!("hold{id}"), format!("over{id}"));
        let made = sh(&format!(
            "ip netns add {name} && ip link add {ours} type veth peer name {theirs} netns {name} && \
             ip address add {outside}/30 dev {ours} && ip link set {ours} up && \
             ip -n {name} address add {inside}/30 dev {theirs} && ip -n {name} link set {theirs} up && \
             ip -n {name} link set lo up"
        ))
        .await;
        if let Err(reason) = made {
            cannot_run(&format!("there is no network namespace: {reason}"));
            return None;
        }
        Some(network)
    }

    /// From here on every packet that arrives in the namespace is dropped.
    async fn swallows(&self) {
        let rules = "add table ip t; add chain ip t c { type filter hook input priority 0; policy drop; }";
        sh(&format!("ip netns exec {} nft '{rules}'", self.name)).await.unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Takes the interfaces along.
        let delete = ["netns", "delete", &self.name];
        let _gone_either_way = std::process::Command::new("ip").env("PATH", PATH).args(delete).status();
    }
}

async fn sh(script: &str) -> Result<(), String> {
    let output = run("env", [&format!("PATH={PATH}"), "sh", "-c", script]).await;
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

const PATH: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// Eight seconds of load.
const COUNT: usize = 400;

const SLOW: Duration = Duration::from_millis(500);

/// How many requests may be slow because they met the hole before the node knew of it.
const SLOW_MAX: usize = 5;

/// Every request that meets the hole waits for one of these timeouts, so they are what it costs.
const SITE: &str = r#"
[listen]
http = ["127.0.0.1:0"]
[[site]]
hosts = ["www.test"]
plain_http = "serve"
[site.timeouts]
connect = "250ms"
first_byte = "400ms"
"#;
