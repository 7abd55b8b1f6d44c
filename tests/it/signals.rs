//! How a node stops.

use std::sync::Arc;

use http::Method;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use crate::wires::{Authority, Client, LISTEN, Node, Origin, Piece, Reply, poll, response};

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight_and_takes_nothing_new() {
    let scene = Scene::start("").await;
    let slow = scene.client.begin(Method::GET, "/slow", &[]).await.unwrap();
    let queued = scene.client.clone().offering(&["h2"]).begin(Method::GET, "/slow", &[]).await.unwrap();
    scene.node.signal("TERM").await;
    let readiness = poll("readiness to fail", async || {
        let reply = scene.node.admin("/readyz").await;
        (reply.status == 503).then_some(reply)
    })
    .await;
    assert_eq!(readiness.text(), "draining\n");
    poll("the listener to close", async || scene.client.get("/quick").await.err()).await;
    scene.gate.add_permits(2);
    Reply::read(slow).await.unwrap().says(200, "first second");
    Reply::read(queued).await.unwrap().says(200, "first second");
    scene.ends_with(Some(0)).await;
}

#[tokio::test]
async fn a_drain_delay_keeps_the_door_open_while_readiness_fails() {
    let scene = Scene::start("drain_delay = \"1s\"").await;
    scene.node.signal("TERM").await;
    poll("readiness to fail", async || (scene.node.admin("/readyz").await.status == 503).then_some(())).await;
    scene.client.get("/quick").await.unwrap().says(200, "quick");
    scene.ends_with(Some(0)).await;
}

#[tokio::test]
async fn a_second_sigterm_ends_at_once() {
    let scene = Scene::start("").await;
    let slow = scene.client.begin(Method::GET, "/slow", &[]).await.unwrap();
    scene.node.signal("TERM").await;
    poll("the listener to close", async || scene.client.get("/quick").await.err()).await;
    scene.node.signal("TERM").await;
    scene.ends_with(Some(0)).await;
    assert!(slow.into_body().collect().await.is_err(), "a response cut off must not look whole");
}

#[tokio::test]
async fn a_drain_is_bounded() {
    let scene = Scene::start("drain_timeout = \"500ms\"").await;
    let slow = scene.client.begin(Method::GET, "/slow", &[]).await.unwrap();
    scene.node.signal("INT").await;
    scene.ends_with(Some(0)).await;
    assert!(slow.into_body().collect().await.is_err(), "a response cut off must not look whole");
}

/// A node before an origin that holds `/slow` back in the middle.
struct Scene {
    node: Node,
    client: Client,
    gate: Arc<Semaphore>,
    _origin: Origin,
}

impl Scene {
    async fn start(settings: &str) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let origin = Origin::start(move |head| {
            if !head.starts_with("GET /slow ") {
                return response("", "quick");
            }
            let first = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\ncache-control: no-store\r\n\r\nfirst ".to_vec();
            vec![Piece::Bytes(first), Piece::Wait(Arc::clone(&held)), Piece::Bytes(b"second".to_vec())]
        })
        .await;
        let authority = Authority::new();
        let certificate = authority.certificate("www.test");
        let site = format!("[[site]]\nhosts = [\"www.test\"]\norigin = [{{ url = \"http://{}\" }}]\n", origin.address);
        let node = Node::start(&format!("[node]\n{settings}\n{LISTEN}{certificate}{site}")).await;
        let client = Client::tls(node.address("https").unwrap(), "www.test", &authority);
        Self { node, client, gate, _origin: origin }
    }

    async fn ends_with(mut self, code: Option<i32>) {
        assert_eq!(self.node.ended().await.code(), code, "{}", self.node.stderr());
        for event in ["drain-started", "drain-finished", "node-stopped"] {
            assert_eq!(self.node.events(event).len(), 1, "{event}");
        }
    }
}
