//! A response with more bytes than it announced is void, and so is its connection.

use std::time::Duration;

use crate::lab::{Answer, Lab};
use crate::wires::{Authority, Client, LISTEN, Node, Origin, Piece, poll, response};

const SECOND: Duration = Duration::from_secs(1);

/// Longer than what is read with a head.
fn text() -> String {
    (0..40_000).map(|number| format!("{number:06} ")).collect()
}

#[tokio::test(start_paused = true)]
async fn what_came_with_its_head_is_asked_for_elsewhere() {
    let lab = Lab::start(&["a", "b"], "").await;
    for fields in [&[][..], &[("connection", "close")]] {
        let answer =
            |body: &str| fields.iter().fold(Answer::ok(body), |answer, (name, value)| answer.with(name, value));
        lab.origin("a").answers("/x", answer("a").with_surplus("more"));
        lab.origin("b").answers("/x", answer("b"));
        lab.client().await.get("/x").await.says(200, "b");
    }
    assert!(lab.metrics().contains(r#"origin="a",outcome="surplus"} 2"#), "{}", lab.metrics());
}

#[tokio::test(start_paused = true)]
async fn with_nobody_else_to_ask_it_is_a_failure_and_not_stored() {
    let lab = Lab::start(&["a"], "[site.failover]\nhold = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::ok("whole").max_age(60).with_surplus("more"));
    lab.origin("a").answers("/empty", Answer::ok("").max_age(60).with_surplus("more"));
    for path in ["/x", "/empty"] {
        assert_eq!(lab.client().await.get(path).await.status.as_u16(), 502, "{path}");
    }
    assert_eq!(lab.shared().store.ledger().used(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_client_is_told_that_it_is_complete() {
    let lab = Lab::start(&["a", "b"], "").await;
    let answer = |path| lab.origin("a").answers(path, Answer::ok(text()).max_age(60).with_surplus("more"));
    answer("/1");
    answer("/2");
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    let (first, follower) = tokio::join!(one.get("/1"), two.get("/1"));
    assert_eq!((first.status.as_u16(), first.body), (200, None));
    assert_eq!((follower.status.as_u16(), follower.body), (200, None));
    assert_eq!(lab.http2_client().await.send("GET", "/2", &[]).await.body, None);
    lab.time_passes(SECOND).await;
    assert_eq!(lab.shared().store.ledger().used(), 0);
    assert!(lab.origin("b").requests("/1").is_empty(), "nobody knows which of its bytes are right");
}

#[tokio::test(start_paused = true)]
async fn its_last_piece_is_asked_of_whoever_knows_how_long_it_is() {
    for length in [text().len(), text().len() - 7] {
        let lab = Lab::start(&["a", "b"], "").await;
        let answer = |body: String| Answer::ok(body).max_age(60).etag("v1").with_ranges();
        lab.origin("a").answers("/x", answer(text()[..length].to_owned()).with_surplus("000000 "));
        lab.origin("b").answers("/x", answer(text()));
        let (mut one, mut two) = (lab.client().await, lab.client().await);
        let (first, follower) = tokio::join!(one.get("/x"), two.get("/x"));
        let whole = (length == text().len()).then(|| text().into());
        assert_eq!((first.body, follower.body), (whole.clone(), whole), "{length} bytes announced");
        assert_eq!(lab.origin("b").requests("/x").len(), 1);
        lab.time_passes(SECOND).await;
        assert_eq!(lab.shared().store.ledger().used(), 0, "what was void in part is not stored");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_a_moment_later_takes_the_response_back() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    lab.origin("a").answers("/x", Answer::ok("first").with("cache-control", "max-age=1, stale-while-revalidate=600"));
    client.get("/x").await.says(200, "first");
    lab.origin("a").answers("/x", Answer::ok("second").max_age(60).with_late_surplus(SECOND, "more"));
    lab.time_passes(700 * SECOND).await;
    client.get("/x").await.says(200, "second");
    client.get("/x").await.says(200, "second").cache_status("hit; ttl=60");
    lab.time_passes(2 * SECOND).await;
    lab.origin("a").answers("/x", Answer::ok("third").max_age(60));
    client.get("/x").await.says(200, "third");
}

#[tokio::test(start_paused = true)]
async fn what_an_origin_says_over_an_idle_connection_takes_nothing_back() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    let farewell = "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    lab.origin("a").answers("/x", Answer::ok("x").max_age(60).with_late_surplus(5 * SECOND, farewell));
    client.get("/x").await.says(200, "x");
    lab.time_passes(10 * SECOND).await;
    client.get("/x").await.says(200, "x");
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stored_response_stays() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    lab.origin("a").answers("/x", Answer::ok("first").with("cache-control", "max-age=1, stale-while-revalidate=600"));
    client.get("/x").await.says(200, "first");
    for void in ["second".to_owned(), text()] {
        lab.origin("a").answers("/x", Answer::ok(void).max_age(60).with_surplus("more"));
        for _ in 0..2 {
            // Behind the client's back it is asked for anew.
            lab.time_passes(20 * SECOND).await;
            client.get("/x").await.says(200, "first");
        }
    }
    assert!(lab.origin("a").requests("/x").len() >= 4);
    lab.origin("a").answers("/x", Answer::ok("third").max_age(60));
    lab.time_passes(20 * SECOND).await;
    client.get("/x").await;
    lab.time_passes(SECOND).await;
    client.get("/x").await.says(200, "third");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_body_is_void_with_any() {
    let lab = Lab::start(&["a", "b"], "").await;
    let mut client = lab.client().await;
    for (path, status) in [("/204", 204), ("/head", 200)] {
        lab.origin("a").answers(path, Answer::new(status, "").with("x-is", "a").with_surplus("more"));
        lab.origin("b").answers(path, Answer::new(status, "").with("x-is", "b"));
        let method = if path == "/head" { "HEAD" } else { "GET" };
        let reply = client.send(method, path, &[("authorization", "Basic eDp5")], "").await;
        assert_eq!((reply.status.as_u16(), reply.field("x-is")), (status, "b"), "{path}");
    }
    lab.origin("a").answers("/x", Answer::ok("x").max_age(1).etag("v1").with("x-is", "a"));
    client.get("/x").await.says(200, "x");
    lab.time_passes(2 * SECOND).await;
    lab.origin("a").answers("/x", Answer::ok("x").max_age(1).etag("v1").with("x-is", "void").with_surplus("more"));
    lab.origin("b").answers("/x", Answer::ok("x").max_age(1).etag("v1").with("x-is", "b"));
    client.get("/x").await;
    lab.time_passes(SECOND / 10).await;
    assert_eq!(client.get("/x").await.field("x-is"), "b");
}

#[tokio::test(start_paused = true)]
async fn its_connection_carries_no_other_request() {
    let lab = Lab::start(&["a"], "[site.failover]\nwarm = 0").await;
    lab.origin("a").answers("/x", Answer::ok(text()).with_surplus("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong"));
    lab.origin("a").answers("/y", Answer::ok("right"));
    let mut client = lab.client().await;
    assert_eq!(client.get("/x").await.body, None);
    lab.time_passes(SECOND / 100).await;
    client.get("/y").await.says(200, "right");
}

#[tokio::test(start_paused = true)]
async fn what_comes_a_moment_after_its_end_answers_nobody_else() {
    let lab = Lab::start(&["a"], "[site.failover]\nwarm = 0").await;
    let surplus = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncache-control: max-age=60\r\n\r\nwrong";
    let mut client = lab.client().await;
    for number in 0..5 {
        let (first, next) = (format!("/first/{number}"), format!("/next/{number}"));
        lab.origin("a").answers(&first, Answer::ok("first").with_late_surplus(SECOND / 1000, surplus));
        lab.origin("a").answers(&next, Answer::ok("right").after(SECOND / 100));
        client.get(&first).await.says(200, "first");
        client.get(&next).await.says(200, "right");
    }
}

#[tokio::test(start_paused = true)]
async fn a_continuation_with_more_than_the_whole_is_void() {
    let lab = Lab::start(&["a", "b"], "").await;
    let answer = |body: String| Answer::ok(body).max_age(60).etag("v1");
    lab.origin("a").answers("/x", answer(text()).breaking_at(100_000));
    lab.origin("b").answers("/x", answer(text() + "more").chunked());
    assert_eq!(lab.client().await.get("/x").await.body, None);
    lab.time_passes(SECOND).await;
    assert_eq!(lab.shared().store.ledger().used(), 0);
}

/// The pieces that a response of 1 MB and four bytes more is sent in.
fn sent(path: &str) -> Vec<Piece> {
    let body = "x".repeat(1 << 20);
    let field = if path.ends_with("close") { "connection: close\r\n" } else { "" };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncache-control: max-age=60\r\n{field}\r\n", body.len());
    let pieces = match path {
        "/at-once" | "/at-once-close" => vec![head + &body + "more"],
        "/head-first" | "/head-first-close" => vec![head, body + "more"],
        // A kept connection is looked at once when the body ends; one that closes, until its end.
        "/after-it-close" => vec![head, body, "more".to_owned()],
        _ => return response("", "home"),
    };
    pieces.into_iter().map(|piece| Piece::Bytes(piece.into())).collect()
}

#[tokio::test]
async fn over_sockets_it_is_noticed_in_whatever_pieces_it_is_sent() {
    let authority = Authority::new();
    let answer = |head: &str| sent(head.split(' ').nth(1).unwrap_or_default());
    let plain = Origin::start(answer).await;
    let tls = Origin::tls(authority.issue("localhost"), answer).await;
    let (port, anchor) = (tls.address.port(), authority.anchor());
    let mut text = LISTEN.to_owned();
    for (host, origin) in [
        ("plain.test", format!("url = \"http://{}\"", plain.address)),
        ("tls.test", format!("url = \"https://localhost:{port}\", ca_file = {anchor:?}")),
    ] {
        let certificate = authority.certificate(host);
        text += &format!("{certificate}[[site]]\nhosts = [\"{host}\"]\norigin = [{{ {origin} }}]\n");
    }
    let node = Node::start(&text).await;
    for (host, protocol) in [("plain.test", "http/1.1"), ("plain.test", "h2"), ("tls.test", "http/1.1")] {
        let client = Client::tls(node.address("https").unwrap(), host, &authority).offering(&[protocol]);
        client.get("/").await.unwrap().says(200, "home");
        for path in ["/at-once", "/head-first", "/at-once-close", "/head-first-close", "/after-it-close"] {
            let _first = client.get(path).await;
            poll("a response with surplus not to be stored", async || match client.get(path).await {
                // Noticed a moment after the end, it has reached a client, and is taken back.
                Ok(reply) if reply.field("cache-status").contains("hit") => None,
                Ok(_) | Err(_) => Some(()),
            })
            .await;
        }
        client.get("/").await.unwrap().says(200, "home");
    }
    node.stops_whole().await;
}
