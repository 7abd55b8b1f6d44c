//! What an intermediary does to the messages that pass through it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);
const BRIEF: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn interim_responses_neither_disturb_nor_delay_the_final_one() {
    let lab = Lab::start(&["a"], "").await;
    for (path, control) in [("/shared", "max-age=60"), ("/private", "private")] {
        let answer = Answer::ok("body").with("cache-control", control).after_interim(8, BRIEF);
        lab.origin("a").answers(path, answer);
        let reply = lab.client().await.get(path).await;
        reply.says(200, "body").within(SECOND / 2);
        assert_eq!(reply.field("link"), "");
    }
    lab.client().await.get("/shared").await.says(200, "body");
    assert_eq!(lab.origin("a").requests("/shared").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn interim_responses_without_end_are_cut_off() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", Answer::ok("late").after_interim(100, BRIEF));
    lab.origin("b").answers("/x", Answer::ok("b"));
    lab.client().await.get("/x").await.says(200, "b").within(SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn interim_responses_do_not_prolong_the_wait_for_the_final_one() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", Answer::ok("late").after_interim(100, SECOND));
    lab.origin("b").answers("/x", Answer::ok("b"));
    lab.client().await.get("/x").await.says(200, "b").within(4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn trailers_of_a_response_end_here_and_its_body_is_whole() {
    let lab = Lab::start(&["a"], "").await;
    for (path, control, asked) in [("/shared", "max-age=60", 1), ("/private", "private", 2)] {
        let answer = Answer::ok("body").with("cache-control", control).with("trailer", "x-sum").trailing("x-sum", "1");
        lab.origin("a").answers(path, answer);
        for _ in 0..2 {
            let mut connection = lab.connection();
            let head =
                format!("GET {path} HTTP/1.1\r\nhost: www.test\r\nte: trailers\r\nconnection: te, close\r\n\r\n");
            connection.write_all(head.as_bytes()).await.unwrap();
            let mut reply = String::new();
            connection.read_to_string(&mut reply).await.unwrap();
            assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("body"), "{reply}");
            assert!(!reply.contains("x-sum"), "{reply}");
        }
        let heads = lab.origin("a").requests(path);
        assert_eq!(heads.len(), asked);
        assert!(heads.iter().all(|head| !head.contains("\r\nte:")), "{heads:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_of_a_request_end_here() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body"));
    let mut connection = lab.connection();
    let head = "POST /x HTTP/1.1\r\nhost: www.test\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nte: trailers\r\n";
    let body = "connection: te, close\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";
    connection.write_all([head, body].concat().as_bytes()).await.unwrap();
    let mut reply = String::new();
    connection.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    let head = &lab.origin("a").requests("/x")[0];
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert!(!head.contains("x-sum") && !head.contains("\r\nte:"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn options_passes_through_and_is_never_stored() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("options").max_age(60).with("allow", "GET, OPTIONS"));
    let mut client = lab.client().await;
    for _ in 0..2 {
        let reply = client.send("OPTIONS", "/x", &[], "").await;
        reply.says(200, "options").cache_status("fwd=method; fwd-status=200");
        assert_eq!(reply.field("allow"), "GET, OPTIONS");
    }
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    client.get("/x").await.says(200, "body").cache_status("fwd=uri-miss; fwd-status=200; stored");
    // A safe method takes nothing away.
    client.send("OPTIONS", "/x", &[], "").await.says(200, "body");
    client.get("/x").await.cache_status("hit; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn options_of_the_server_as_a_whole_are_those_of_the_node() {
    let lab = Lab::start(&["a"], "").await;
    let reply = lab.client().await.send("OPTIONS", "*", &[], "").await;
    reply.says(204, "");
    assert_eq!(reply.field("allow"), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    for (method, body) in [("GET", ""), ("OPTIONS", "a body")] {
        assert_eq!(lab.client().await.send(method, "*", &[], body).await.status.as_u16(), 400, "{method}");
    }
    assert!(lab.origin("a").requests("*").is_empty());
}

#[tokio::test(start_paused = true)]
async fn max_forwards_is_counted_down_and_ends_at_zero() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("theirs"));
    let mut client = lab.client().await;
    let reply = client.send("OPTIONS", "/x", &[("max-forwards", "0")], "").await;
    assert_eq!(reply.says(204, "").field("allow"), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    assert!(lab.origin("a").requests("/x").is_empty());
    client.send("OPTIONS", "/x", &[("max-forwards", "10")], "").await.says(200, "theirs");
    client.send("POST", "/x", &[("max-forwards", "0")], "").await.says(200, "theirs");
    let heads = lab.origin("a").requests("/x");
    assert!(heads[0].contains("max-forwards: 9\r\n") && heads[1].contains("max-forwards: 0\r\n"), "{heads:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_connections_die_unanswered_is_sent_once_more_at_most() {
    let lab = Lab::start(&["a"], "[site.failover]\nhold = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::ok("body"));
    lab.origin("a").answers("/dead", Answer::ok("never").hanging_up());
    let mut client = lab.client().await;
    // Leaves a connection behind that the next request takes.
    client.get("/x").await.says(200, "body");
    lab.time_passes(BRIEF).await;
    for asked in [2, 3] {
        let reply = client.get("/dead").await;
        assert_eq!(reply.status.as_u16(), 502);
        reply.cache_status("fwd=uri-miss; detail=closed-unanswered");
        assert_eq!(lab.origin("a").requests("/dead").len(), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn via_names_the_version_each_message_came_with() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).with("via", "1.1 inner"));
    let via = |headers: &http::HeaderMap| {
        headers.get_all("via").iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(", ")
    };
    let mut client = lab.http2_client().await;
    for _ in 0..2 {
        assert_eq!(via(&client.send("GET", "/x", &[("via", "1.0 outer")]).await.headers), "1.1 inner, 1.1 lab");
    }
    for control in ["max-age=60", "private"] {
        let answer = Answer::ok("body").with("cache-control", control).with("via", "1.1 inner").of_old();
        lab.origin("a").answers(&format!("/{control}"), answer);
        for _ in 0..2 {
            let reply = client.send("GET", &format!("/{control}"), &[]).await;
            assert_eq!(via(&reply.headers), "1.1 inner, 1.0 lab", "{control}");
        }
    }
    let head = &lab.origin("a").requests("/x")[0];
    assert!(head.contains("via: 1.0 outer\r\n") && head.contains("via: 2 lab\r\n"), "{head}");
    assert!(head.contains("cdn-loop: lab\r\n"), "{head}");
    assert_eq!(client.send("GET", "/x", &[("via", "2 lab")]).await.status.as_u16(), 508);
}
