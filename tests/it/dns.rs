//! Names resolved by real name servers, good ones and bad ones.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use holdover::clock::Clock;
use holdover::config::model::Dns;
use holdover::origin::dns::answers::Lookup;
use holdover::origin::dns::discovery::{DnsResolve, Resolve};

use crate::wires::{
    Client, Folder, NameServer, Node, Origin, Saying, addresses, alias, lasting, own_address, poll, response, service,
};

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
    node.tells("addresses-changed", |event| event["origin"] == "o").await;
    let client = Client::plain(node.address("http").unwrap(), "www.test");
    client.get("/").await.unwrap().says(200, "home");
    node.stops_whole().await;
}

#[tokio::test]
async fn services_say_where_to_connect_and_the_url_whom_to_ask_for() {
    let origins = [
        Origin::start(|_| response("cache-control: no-store\r\n", "first")).await,
        Origin::start(|_| response("cache-control: no-store\r\n", "second")).await,
    ];
    let ports = origins.each_ref().map(|origin| origin.address.port());
    let name_server = NameServer::start(move |name, wanted| match (name, wanted) {
        (SERVICE, RecordType::SRV) => Saying::Records(vec![
            service(SERVICE, (20, 1, ports[1]), "b.origin.test"),
            service(SERVICE, (10, 1, ports[0]), "a.origin.test"),
        ]),
        ("a.origin.test" | "b.origin.test", _) => Saying::Records(addresses(name, wanted, &[LOOPBACK])),
        _ => Saying::Code(ResponseCode::NXDomain),
    })
    .await;
    let text = format!(
        "[dns]\nallow = [\"127.0.0.1\"]\nservers = [\"{}\"]\n{SITE}url = \"http://origin.test\"\nsrv = \"{SERVICE}\"\n",
        name_server.address,
    );
    let node = Node::start(&text).await;
    let client = Client::plain(node.address("http").unwrap(), "www.test");
    for (number, port) in ports.iter().enumerate() {
        let healthy = node.tells("endpoint-changed", |event| {
            event["to"] == "healthy"
                && event["address"].as_str().is_some_and(|text| text.ends_with(&format!(":{port}")))
        });
        assert_eq!(healthy.await["origin"], "o", "{number}");
    }
    for _ in 0..10 {
        client.get("/x").await.unwrap().says(200, "first");
    }
    let [first, second] = origins;
    let heads = first.requests("/x");
    assert!(heads.len() == 10 && heads.iter().all(|head| head.contains("\r\nhost: origin.test\r\n")), "{heads:?}");
    assert!(second.requests("/x").is_empty(), "the next priority waits until nothing of the first works");
    let endpoint = &node.status().await["sites"][0]["origins"][0]["endpoints"][0];
    assert_eq!((&endpoint["priority"], &endpoint["weight"]), (&10.into(), &1.0.into()));
    node.stops_whole().await;
}

const SERVICE: &str = "_http._tcp.origin.test";

#[tokio::test]
async fn no_first_server_delays_or_breaks_the_answer_of_the_second() {
    let forged = Saying::AfterForgeries(Box::new(Saying::Silence));
    let empty = Saying::Records(Vec::new());
    let codes = [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NXDomain].map(Saying::Code);
    for first in [Saying::Silence, Saying::Garbage, forged, empty].into_iter().chain(codes) {
        let name = format!("{first:?}");
        let first = NameServer::start(move |_, _| first.clone()).await;
        let second = NameServer::of(ADDRESS).await;
        for servers in [[&first, &second], [&second, &first]] {
            let resolver = resolver(&servers.map(|server| server.address));
            for _ in 0..3 {
                let (lookup, time) = timed(resolver.resolve("origin.test")).await;
                assert_found(&lookup, &name);
                assert!(time < TIMEOUT / 2, "{name}: {time:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_at_all_costs_nothing_either() {
    let second = NameServer::of(ADDRESS).await;
    let (lookup, time) = timed(resolver(&[own_address(), second.address]).resolve("origin.test")).await;
    assert_found(&lookup, "nobody");
    assert!(time < TIMEOUT / 2, "{time:?}");
}

#[tokio::test]
async fn every_kind_of_bad_server_alone_is_a_failure_within_the_timeout() {
    let empty = Saying::Records(Vec::new());
    let forged = Saying::AfterForgeries(Box::new(Saying::Silence));
    for (saying, expected) in [
        (Saying::Silence, "failed"),
        (Saying::Garbage, "failed"),
        (forged, "failed"),
        (Saying::Code(ResponseCode::ServFail), "failed"),
        (Saying::Code(ResponseCode::Refused), "failed"),
        (Saying::Code(ResponseCode::NXDomain), "denied"),
        (empty, "empty"),
    ] {
        let name = format!("{saying:?}");
        let servers = [
            NameServer::start({
                let saying = saying.clone();
                move |_, _| saying.clone()
            })
            .await,
            NameServer::start(move |_, _| saying.clone()).await,
        ];
        let (lookup, time) =
            timed(resolver(&servers.each_ref().map(|server| server.address)).resolve("origin.test")).await;
        let said = match lookup {
            Lookup::Failed(_) => "failed",
            Lookup::NoSuchName => "denied",
            Lookup::Empty => "empty",
            _ => "found",
        };
        assert_eq!(said, expected, "{name}");
        assert!(time < TIMEOUT + TIMEOUT / 4, "{name}: {time:?}");
    }
}

#[tokio::test]
async fn what_is_too_long_for_a_datagram_comes_over_tcp() {
    let many: Vec<IpAddr> = (1..=200).map(|number| IpAddr::from([192, 0, 2, number])).collect();
    let told = many.clone();
    let server = NameServer::start(move |name, wanted| Saying::TooLong(addresses(name, wanted, &told))).await;
    assert_eq!(resolver(&[server.address]).resolve("origin.test").await, found(&many));
    let asked = server.asked();
    assert!(["udp", "tcp"].iter().all(|protocol| asked.contains(&(protocol, RecordType::A))), "{asked:?}");
}

#[tokio::test]
async fn an_alias_whose_target_has_to_be_asked_for_holds_no_longer_than_it_says() {
    let server = NameServer::start(|name, wanted| match name {
        "origin.test" => Saying::Records(vec![alias(name, 2, "target.test")]),
        _ => Saying::Records(lasting(60, addresses(name, wanted, &[ADDRESS]))),
    })
    .await;
    let lookup = resolver(&[server.address]).resolve("origin.test").await;
    assert_eq!(lookup, Lookup::Found { addresses: vec![ADDRESS], ttl: Duration::from_secs(2), whole: true });
}

#[tokio::test]
async fn a_family_whose_lookup_fails_leaves_the_answer_open() {
    let server = NameServer::start(|name, wanted| match wanted {
        RecordType::A => Saying::Records(addresses(name, wanted, &[ADDRESS])),
        _ => Saying::Code(ResponseCode::ServFail),
    })
    .await;
    let lookup = resolver(&[server.address]).resolve("origin.test").await;
    assert_eq!(lookup, Lookup::Found { addresses: vec![ADDRESS], ttl: Duration::from_secs(1), whole: false });
}

#[tokio::test]
async fn forged_answers_that_come_before_the_true_one_are_passed_over() {
    let server = NameServer::start(|name, wanted| {
        Saying::AfterForgeries(Box::new(Saying::Records(addresses(name, wanted, &[ADDRESS]))))
    })
    .await;
    for _ in 0..3 {
        assert_eq!(resolver(&[server.address]).resolve("origin.test").await, found(&[ADDRESS]));
    }
}

fn resolver(servers: &[SocketAddr]) -> DnsResolve {
    let second = Duration::from_secs(1);
    DnsResolve::new(&Dns {
        servers: servers.to_vec(),
        timeout: TIMEOUT,
        ttl_min: second,
        ttl_max: second,
        allow: Vec::new(),
    })
}

/// Another server may yet have known more.
#[track_caller]
fn assert_found(lookup: &Lookup, first: &str) {
    assert!(matches!(lookup, Lookup::Found { addresses, .. } if *addresses == [ADDRESS]), "{first}: {lookup:?}");
}

fn found(addresses: &[IpAddr]) -> Lookup {
    Lookup::Found { addresses: addresses.to_vec(), ttl: Duration::from_secs(1), whole: true }
}

async fn timed(lookup: impl Future<Output = Lookup>) -> (Lookup, Duration) {
    let clock = Clock::new();
    let began = clock.now().monotonic;
    let lookup = lookup.await;
    (lookup, clock.now().monotonic - began)
}

/// Long enough to tell an answer at once from one at the end of it on a slow machine.
const TIMEOUT: Duration = Duration::from_millis(1500);

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

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
