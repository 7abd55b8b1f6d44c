//! Requests that no honest client sends, over real sockets: refused, and the node goes on.

use crate::wires::{Authority, Client, LISTEN, Node, Origin, Piece, response};

#[tokio::test]
async fn malformed_heads_are_refused() {
    let scene = Scene::start().await;
    for (name, bytes) in [
        ("junk", "\u{1}\u{2}\u{3}\u{4}\r\n\r\n".to_owned()),
        ("no version", "GET /\r\n\r\n".to_owned()),
        ("a version of the future", "GET / HTTP/3.0\r\nhost: a.test\r\n\r\n".to_owned()),
        ("a field without colon", "GET / HTTP/1.1\r\nhost: a.test\r\nnonsense\r\n\r\n".to_owned()),
        ("space before the colon", "GET / HTTP/1.1\r\nhost : a.test\r\n\r\n".to_owned()),
        ("a folded field", "GET / HTTP/1.1\r\nhost: a.test\r\nx: a\r\n b\r\n\r\n".to_owned()),
        ("a bare CR in a value", "GET / HTTP/1.1\r\nhost: a.test\r\nx: a\rb\r\n\r\n".to_owned()),
        ("a NUL in a value", "GET / HTTP/1.1\r\nhost: a.test\r\nx: a\0b\r\n\r\n".to_owned()),
        ("an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("a huge field", format!("GET / HTTP/1.1\r\nhost: a.test\r\nx: {}\r\n\r\n", "y".repeat(100_000))),
        ("a huge target", format!("GET /{} HTTP/1.1\r\nhost: a.test\r\n\r\n", "y".repeat(100_000))),
        ("many fields", format!("GET / HTTP/1.1\r\nhost: a.test\r\n{}\r\n", "x: y\r\n".repeat(5_000))),
    ] {
        scene.refuses(name, &bytes).await;
    }
    scene.lives_on().await;
}

#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let scene = Scene::start().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: b.test\r\n\r\n";
    for (name, fields) in [
        ("length and chunks", "content-length: 4\r\ntransfer-encoding: chunked\r\n"),
        ("chunks and length", "transfer-encoding: chunked\r\ncontent-length: 4\r\n"),
        ("two lengths", "content-length: 4\r\ncontent-length: 5\r\n"),
        ("a list of lengths", "content-length: 4, 5\r\n"),
        ("a signed length", "content-length: +4\r\n"),
        ("a hexadecimal length", "content-length: 0x4\r\n"),
        ("an unknown coding", "transfer-encoding: xchunked\r\n"),
        ("chunked twice", "transfer-encoding: chunked, chunked\r\n"),
        ("chunked not last", "transfer-encoding: chunked, identity\r\n"),
        ("a disguised coding", "transfer-encoding: \u{b}chunked\r\n"),
    ] {
        let bytes = |method| format!("{method} / HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n0\r\n\r\n{smuggled}");
        scene.refuses(&format!("GET with {name}"), &bytes("GET")).await;
        // A body may be taken for what its last coding says, if nothing after it is (RFC 9112 §6.3).
        let answer = scene.client.raw(bytes("POST").as_bytes()).await;
        assert!(answer.matches("HTTP/1.").count() <= 1 && !answer.contains("site b"), "POST with {name}: {answer}");
    }
    let bytes = format!("GET / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 4\r\n\r\nbody{smuggled}");
    scene.refuses("GET with a body", &bytes).await;
    assert_eq!([scene.a.requests("/smuggled"), scene.b.requests("/smuggled")], [const { Vec::<String>::new() }; 2]);
    scene.lives_on().await;
}

#[tokio::test]
async fn targets_that_are_not_one_canonical_url_are_refused() {
    let scene = Scene::start().await;
    for (name, head) in [
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        ("HTTP/1.0 without host", "GET / HTTP/1.0\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nhost: a.test\r\nhost: b.test\r\n\r\n"),
        ("the same host twice", "GET / HTTP/1.1\r\nhost: a.test\r\nhost: a.test\r\n\r\n"),
        ("an empty host", "GET / HTTP/1.1\r\nhost:\r\n\r\n"),
        ("a list of hosts", "GET / HTTP/1.1\r\nhost: a.test, b.test\r\n\r\n"),
        ("a host with user", "GET / HTTP/1.1\r\nhost: b.test@a.test\r\n\r\n"),
        ("a host with path", "GET / HTTP/1.1\r\nhost: a.test/b.test\r\n\r\n"),
        ("a bad port", "GET / HTTP/1.1\r\nhost: a.test:99999\r\n\r\n"),
        ("a URL of another host", "GET https://b.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ("a URL with user", "GET https://b.test@a.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ("another site", "GET / HTTP/1.1\r\nhost: b.test\r\n\r\n"),
        ("no site", "GET / HTTP/1.1\r\nhost: c.test\r\n\r\n"),
        ("another scheme", "GET ftp://a.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ("no path", "GET a.test HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ("a hidden dot segment", "GET /x/%2e%2e/y HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ("a hidden slash", "GET /x/..%2fy HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ("a backslash", "GET /x\\y HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ("a NUL", "GET /x%00y HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ("half a percent sign", "GET /x%2 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ("a byte beyond ASCII", "GET /\u{e4} HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ("CONNECT", "CONNECT a.test:443 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        ("TRACE", "TRACE / HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    ] {
        // Refusals by the handler keep the connection, so the client asks for its end.
        let bytes = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        scene.refuses(name, &bytes).await;
    }
    scene.lives_on().await;
}

#[tokio::test]
async fn junk_where_a_handshake_belongs_ends_the_connection() {
    let scene = Scene::start().await;
    let raw = Client::plain(scene.node.address("https").unwrap(), "a.test");
    let not_tls: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"\x16\x03\x01\xff\xff",
        &[0; 512],
        &[0xff; 512],
        b"\x16\x03\x01\x00\x05hello",
    ];
    for bytes in not_tls {
        let answer = raw.raw(bytes).await;
        assert!(!answer.contains("site"), "{answer}");
    }
    scene.lives_on().await;
}

#[tokio::test]
async fn a_pipeline_stays_in_order_and_with_its_site() {
    let scene = Scene::start().await;
    let one = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let other = "GET / HTTP/1.1\r\nhost: b.test\r\nconnection: close\r\n\r\n";
    let answer = scene.client.raw(format!("{one}{one}{other}").as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 421").count(), 1, "{answer}");
    assert!(!answer.contains("site b"), "{answer}");
    scene.lives_on().await;
}

#[tokio::test]
async fn an_origin_that_states_a_length_without_a_body_breaks_no_protocol() {
    let authority = Authority::new();
    let origin = Origin::start(|head| {
        let status = head.split(['/', ' ']).nth(2).unwrap_or_default();
        match status {
            "204" | "304" => vec![Piece::Bytes(format!("HTTP/1.1 {status} x\r\ncontent-length: 3\r\n\r\n").into())],
            _ => response("", "home"),
        }
    })
    .await;
    let (certificate, address) = (authority.certificate("a.test"), origin.address);
    let site = format!("[[site]]\nhosts = [\"a.test\"]\norigin = [{{ url = \"http://{address}\" }}]\n");
    let node = Node::start(&format!("{LISTEN}{certificate}{site}")).await;
    for protocol in ["http/1.1", "h2"] {
        let client = Client::tls(node.address("https").unwrap(), "a.test", &authority).offering(&[protocol]);
        for (path, status) in [("/204", 204), ("/304", 304)] {
            // Authorized requests go through to the origin, whose 304 is then the answer.
            let fields = [("authorization", "Basic eA=="), ("if-none-match", "\"x\"")];
            let reply = client.get_with(path, &fields).await;
            reply.unwrap_or_else(|error| panic!("{protocol} {path}: {error:#}")).says(status, "");
        }
    }
    node.stops_whole().await;
}

/// Two sites, and a client on connections for the first one.
struct Scene {
    node: Node,
    client: Client,
    a: Origin,
    b: Origin,
}

impl Scene {
    async fn start() -> Self {
        let authority = Authority::new();
        let a = Origin::start(|_| response("cache-control: max-age=60\r\n", "site a")).await;
        let b = Origin::start(|_| response("cache-control: max-age=60\r\n", "site b")).await;
        // Impatient, so that half a handshake or half a request does not hold the test up.
        let mut text = format!("{LISTEN}handshake_timeout = \"1s\"\nhead_timeout = \"1s\"\nidle_timeout = \"1s\"\n");
        for (host, origin) in [("a.test", &a), ("b.test", &b)] {
            let (certificate, address) = (authority.certificate(host), origin.address);
            text +=
                &format!("{certificate}[[site]]\nhosts = [\"{host}\"]\norigin = [{{ url = \"http://{address}\" }}]\n");
        }
        let node = Node::start(&text).await;
        let https = node.address("https").unwrap();
        // Both responses are stored, so that they could be given away.
        Client::tls(https, "b.test", &authority).get("/").await.unwrap().says(200, "site b");
        let client = Client::tls(https, "a.test", &authority);
        client.get("/").await.unwrap().says(200, "site a");
        Self { node, client, a, b }
    }

    /// The first answer, if there is one, is a 4xx or 5xx, and no site's content comes.
    async fn refuses(&self, name: &str, bytes: &str) {
        let answer = self.client.raw(bytes.as_bytes()).await;
        let refused = ["HTTP/1.1 4", "HTTP/1.1 5", "HTTP/1.0 4", "HTTP/1.0 5"];
        assert!(answer.is_empty() || refused.iter().any(|start| answer.starts_with(start)), "{name}: {answer}");
        assert!(!answer.contains("site "), "{name}: {answer}");
    }

    async fn lives_on(self) {
        self.client.get("/").await.unwrap().says(200, "site a");
        self.node.stops_whole().await;
    }
}
