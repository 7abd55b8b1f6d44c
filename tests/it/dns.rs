//! Names resolved by real name servers, good ones and bad ones.

use std::net::{IpAddr, Ipv4Addr};

use crate::wires::{Client, Folder, NameServer, Node, Origin, poll, response};

#[tokio::test]
async fn a_node_started_while_dns_is_dead_serves_from_what_the_last_one_saved() {
    let (folder, origin) = (Folder::new(), Origin::start(|_| response("cache-control: no-store\r\n", "home")).await);
    let name_server = NameServer::of(LOOPBACK).await;
    let text = format!(
        "[dns]\nallow = [\"127.0.0.1\"]\nservers = [\"{}\"]\ntimeout = \"300ms\"\n[state]\ndirectory = {:?}\n{SITE}url = \"http://origin.test:{}\"\n",
        name_server.address,
        folder.path(),
        origin.address.port()
    );
    let node = Node::start(&text).await;
    let client = Client::plain(node.address("http").unwrap(), "www.test");
    poll("the origin", async || client.get("/").await.ok().filter(|reply| reply.status == 200)).await;
    // Whatever the pause between two times of saving, the end is one more.
    node.stops_whole().await;
    assert!(folder.read("origins.json").contains("origin.test"), "{}", folder.read("origins.json"));
    drop(name_server);

    let node = Node::start(&text).await;
    let client = Client::plain(node.address("http").unwrap(), "www.test");
    client.get("/").await.unwrap().says(200, "home");
    let origin = &node.status().await["sites"][0]["origins"][0];
    assert_eq!(origin["answer_remembered"], true);
    node.tells("addresses-remembered", |event| event["origin"] == "o").await;
    node.tells("resolve-failed", |event| event["kept"] == 1).await;
    client.get("/").await.unwrap().says(200, "home");
    node.stops_whole().await;

    folder.write("origins.json", "{\"version\":1,");
    let node = Node::start(&text).await;
    node.tells("state-ignored", |event| event["what"].as_str().is_some_and(|what| what.ends_with("origins.json")))
        .await;
    node.stops_whole().await;
}

#[tokio::test]
async fn a_node_that_cannot_save_says_so_once_and_serves() {
    let origin = Origin::start(|_| response("cache-control: no-store\r\n", "home")).await;
    let name_server = NameServer::of(LOOPBACK).await;
    let text = format!(
        "[dns]\nallow = [\"127.0.0.1\"]\nservers = [\"{}\"]\n[state]\ndirectory = \"/proc/nowhere\"\n{SITE}url = \"http://origin.test:{}\"\n",
        name_server.address,
        origin.address.port()
    );
    let node = Node::start(&text).await;
    node.tells("state-not-saved", |event| event["path"] == "/proc/nowhere/origins.json").await;
    let client = Client::plain(node.address("http").unwrap(), "www.test");
    client.get("/").await.unwrap().says(200, "home");
    assert_eq!(node.events("state-not-saved").len(), 1);
    node.stops_whole().await;
}

#[tokio::test]
async fn an_answer_that_leads_back_to_the_nodes_own_machine_is_not_used_unless_it_is_allowed() {
    let origin = Origin::start(|_| response("cache-control: no-store\r\n", "home")).await;
    let name_server = NameServer::of(LOOPBACK).await;
    let dns = format!("[dns]\nservers = [\"{}\"]\n", name_server.address);
    let site = format!("{SITE}url = \"http://origin.test:{}\"\n", origin.address.port());
    let node = Node::start(&format!("{dns}{site}")).await;
    let refused = node.tells("resolve-failed", |event| event["origin"] == "o").await;
    assert_eq!(refused["reason"], "no address of the answer is used: 127.0.0.1 (loopback)");
    let client = Client::plain(node.address("http").unwrap(), "www.test");
    assert_eq!(client.get("/").await.unwrap().status, 503);
    node.stops_whole().await;
    assert!(origin.requests("/").is_empty());

    let node = Node::start(&format!("{dns}allow = [\"127.0.0.0/8\"]\n{site}")).await;
    let client = Client::plain(node.address("http").unwrap(), "www.test");
    client.get("/").await.unwrap().says(200, "home");
    node.stops_whole().await;
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const SITE: &str = r#"
[listen]
http = ["127.0.0.1:0"]
[[site]]
hosts = ["www.test"]
plain_http = "serve"
[[site.origin]]
name = "o"
"#;
