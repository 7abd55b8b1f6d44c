//! Certificates, protocols and listeners.

use std::net::TcpListener;
use std::time::Duration;

use http::Version;
use serde_json::Value;

use crate::wires::{Authority, Client, LISTEN, Node, Origin, response, skip};

#[tokio::test]
async fn each_name_gets_its_own_certificate_and_site() {
    let scene = Scene::start(LISTEN).await;
    for name in ["a.test", "b.test"] {
        let reply = scene.client(name).get("/").await.unwrap();
        reply.says(200, name);
        assert_eq!(reply.version, Version::HTTP_11);
    }
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn alpn_chooses_the_protocol() {
    let scene = Scene::start(LISTEN).await;
    for (offered, expected) in [
        (vec!["h2", "http/1.1"], Version::HTTP_2),
        (vec!["http/1.1", "h2"], Version::HTTP_2),
        (vec!["h2"], Version::HTTP_2),
        (vec!["http/1.1"], Version::HTTP_11),
        (vec![], Version::HTTP_11),
    ] {
        let reply = scene.client("a.test").offering(&offered).get("/").await.unwrap();
        assert_eq!(reply.version, expected, "{offered:?}");
        reply.says(200, "a.test");
    }
    assert!(scene.client("a.test").offering(&["spdy/3"]).get("/").await.is_err());
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn an_unknown_name_gets_no_handshake() {
    let scene = Scene::start(LISTEN).await;
    let error = scene.client("c.test").get("/").await.unwrap_err();
    assert!(format!("{error:#}").contains("received fatal alert"), "{error:#}");
    scene.client("a.test").get("/").await.unwrap().says(200, "a.test");
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn a_connection_made_for_one_site_serves_no_other() {
    let scene = Scene::start(LISTEN).await;
    for protocol in ["http/1.1", "h2"] {
        let client = scene.client("a.test").offering(&[protocol]);
        for other in ["b.test", "c.test"] {
            let reply = client.clone().asking_for(other).get("/").await.unwrap();
            assert_eq!(reply.status, 421, "{protocol} {other}");
            assert!(!reply.text().contains("b.test"), "{}", reply.text());
        }
        client.asking_for("A.Test.").get("/").await.unwrap().says(200, "a.test");
    }
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn plain_http_redirects_or_serves_as_the_site_says() {
    let scene = Scene::start(LISTEN).await;
    let address = scene.node.address("http").unwrap();
    let reply = Client::plain(address, "a.test").get("/x/../y?z=1").await.unwrap();
    assert_eq!(reply.status, 301);
    let location = reply.field("location").to_owned();
    assert!(location.starts_with("https://a.test"), "{location}");
    assert!(location.ends_with("/y?z=1"), "{location}");
    Client::plain(address, "b.test").get("/").await.unwrap().says(200, "b.test");
    assert_eq!(Client::plain(address, "c.test").get("/").await.unwrap().status, 421);
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn ipv6_is_served_beside_ipv4() {
    if TcpListener::bind("[::1]:0").is_err() {
        skip("this machine has no IPv6");
        return;
    }
    let scene = Scene::start("[listen]\nhttps = [\"127.0.0.1:0\", \"[::1]:0\"]\nhttp = [\"[::1]:0\"]\n").await;
    let addresses = scene.node.addresses("https");
    assert_eq!(addresses.iter().filter(|address| address.is_ipv6()).count(), 1, "{addresses:?}");
    for address in addresses {
        Client::tls(address, "a.test", &scene.authority).get("/").await.unwrap().says(200, "a.test");
    }
    Client::plain(scene.node.address("http").unwrap(), "b.test").get("/").await.unwrap().says(200, "b.test");
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn an_https_origin_is_verified_against_its_private_authority() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let origins = [
        ("genuine.test", Origin::tls(authority.issue("localhost"), |_| response("", "genuine")).await),
        ("misnamed.test", Origin::tls(authority.issue("other.test"), |_| response("", "misnamed")).await),
        ("foreign.test", Origin::tls(stranger.issue("localhost"), |_| response("", "foreign")).await),
    ];
    let node = Node::start(&https_origins(&authority, &origins)).await;
    let address = node.address("http").unwrap();
    Client::plain(address, "genuine.test").get("/x").await.unwrap().says(200, "genuine");
    for (host, origin) in &origins[1..] {
        let reply = Client::plain(address, host).get("/x").await.unwrap();
        assert!(matches!(reply.status, 502 | 503), "{host}: {}", reply.status);
        assert_eq!(origin.requests("/x").len() + origin.requests("/").len(), 0, "{host}");
    }
    node.stops_whole().await;
}

#[tokio::test]
async fn an_origin_that_asks_for_a_certificate_gets_it_from_probes_and_requests() {
    let authority = Authority::new();
    let pair = authority.issue("localhost");
    let origin = Origin::tls_for_clients_of(&authority, pair, |_| response("", "for you")).await;
    let (chain, key) = authority.issue("edge.test");
    let own = format!(", client_certificate = {chain:?}, client_key = {key:?}");
    let mut text = String::from("[listen]\nhttp = [\"127.0.0.1:0\"]\n");
    for (host, own) in [("known.test", own.as_str()), ("unknown.test", "")] {
        let (port, anchor) = (origin.address.port(), authority.anchor());
        text += &format!(
            "[[site]]\nhosts = [\"{host}\"]\nplain_http = \"serve\"\n\
             origin = [{{ url = \"https://localhost:{port}\", ca_file = {anchor:?}{own} }}]\n"
        );
    }
    let node = Node::start(&text).await;
    let address = node.address("http").unwrap();
    Client::plain(address, "known.test").get("/x").await.unwrap().says(200, "for you");
    node.tells("endpoint-changed", |event| event["site"] == "known.test" && event["to"] == "healthy").await;
    let refused = |event: &Value| event["site"] == "unknown.test" && event["address"] == origin.address.to_string();
    let refused = node.tells("endpoint-changed", refused).await;
    assert!(refused["reason"].as_str().unwrap().contains("asks for a client certificate"), "{refused}");
    let reply = Client::plain(address, "unknown.test").get("/x").await.unwrap();
    assert!(matches!(reply.status, 502 | 503), "{}", reply.status);
    assert_eq!(origin.requests("/x").len(), 1);
    node.stops_whole().await;
}

#[tokio::test]
async fn an_origin_whose_certificate_expires_soon_is_told_of_while_it_works() {
    let authority = Authority::new();
    let origins = [
        ("leaf.test", Origin::tls(authority.issue_for("localhost", 5 * DAY), |_| response("", "leaf")).await),
        ("chain.test", {
            let pair = authority.issue_through_intermediate("localhost", 12 * DAY);
            Origin::tls(pair, |_| response("", "chain")).await
        }),
        ("fresh.test", Origin::tls(authority.issue_for("localhost", 300 * DAY), |_| response("", "fresh")).await),
    ];
    let node = Node::start(&https_origins(&authority, &origins)).await;
    for (host, days) in [("leaf.test", 5), ("chain.test", 12)] {
        let told = node.tells("origin-certificate-expiring", |event| event["site"] == host).await;
        let left = told["left_seconds"].as_u64().unwrap();
        assert!((days * 86_400 - 60..=days * 86_400).contains(&left), "{told}");
        assert_eq!(told["severity"], "notice");
    }
    node.tells("endpoint-changed", |event| event["site"] == "fresh.test" && event["to"] == "healthy").await;
    let status = node.status().await;
    for (site, days) in [(0, 4), (1, 11), (2, 299)] {
        let endpoint = &status["sites"][site]["origins"][0]["endpoints"][0];
        assert_eq!(endpoint["certificate_days_left"], days, "{endpoint}");
        assert!(endpoint["certificate_not_after"].is_string(), "{endpoint}");
    }
    assert_eq!(node.events("origin-certificate-expiring").len(), 2, "once each");
    let metrics = String::from_utf8(node.admin("/metrics").await.body.to_vec()).unwrap();
    assert_eq!(metrics.matches("holdover_origin_certificate_not_after_timestamp_seconds{").count(), 3, "{metrics}");
    node.stops_whole().await;
}

#[tokio::test]
async fn a_certificate_that_expires_is_told_of_and_no_probe_passes_with_it() {
    let authority = Authority::new();
    let pair = authority.issue_for("localhost", Duration::from_secs(4));
    let origins = [("short.test", Origin::tls(pair, |_| response("", "short")).await)];
    let node = Node::start(&https_origins(&authority, &origins)).await;
    let warned = node.tells("origin-certificate-expiring", |_| true).await;
    assert_eq!(warned["severity"], "alert");
    let expired = node.tells("origin-certificate-expired", |_| true).await;
    assert_eq!((&expired["severity"], &expired["not_after"]), (&Value::from("alert"), &warned["not_after"]));
    let address = origins[0].1.address.to_string();
    let is_ejected = |event: &Value| event["address"] == address && event["to"] == "ejected";
    let ejected = node.tells("endpoint-changed", is_ejected).await;
    assert!(ejected["reason"].as_str().unwrap().contains("certificate expired"), "{ejected}");
    node.stops_whole().await;
}

/// A site for each of these origins, which are verified against the authority.
fn https_origins(authority: &Authority, origins: &[(&str, Origin)]) -> String {
    let mut text = String::from("[listen]\nhttp = [\"127.0.0.1:0\"]\n");
    for (host, origin) in origins {
        let (port, anchor) = (origin.address.port(), authority.anchor());
        text += &format!(
            "[[site]]\nhosts = [\"{host}\"]\nplain_http = \"serve\"\n\
             origin = [{{ url = \"https://localhost:{port}\", ca_file = {anchor:?} }}]\n"
        );
    }
    text
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Two sites of one node; the second one is served in plain text too.
struct Scene {
    node: Node,
    authority: Authority,
    _origins: [Origin; 2],
}

impl Scene {
    async fn start(listen: &str) -> Self {
        let authority = Authority::new();
        let origins = [
            Origin::start(|_| response("cache-control: max-age=60\r\n", "a.test")).await,
            Origin::start(|_| response("cache-control: max-age=60\r\n", "b.test")).await,
        ];
        let site = |host: &str, plain: &str, origin: &Origin| {
            let (certificate, address) = (authority.certificate(host), origin.address);
            format!(
                "{certificate}\n[[site]]\nhosts = [\"{host}\"]\nplain_http = \"{plain}\"\norigin = [{{ url = \"http://{address}\" }}]\n"
            )
        };
        let text = [listen.to_owned(), site("a.test", "redirect", &origins[0]), site("b.test", "serve", &origins[1])];
        Self { node: Node::start(&text.concat()).await, authority, _origins: origins }
    }

    /// A visitor of this name over HTTP/1.1, who trusts the authority of both.
    fn client(&self, name: &str) -> Client {
        Client::tls(self.node.address("https").unwrap(), name, &self.authority)
    }
}
