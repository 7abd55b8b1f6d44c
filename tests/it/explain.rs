//! What the node says of a request before it is made.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn explain_says_what_a_request_would_meet_and_changes_nothing() {
    let lab = Lab::start(&["a", "b"], "").await;
    let origin = lab.origin("a");
    let answer = Answer::ok("body").with("cache-control", "s-maxage=60").with("age", "10").with("xkey", "red blue");
    origin.answers("/x", answer.with("vary", "accept-encoding"));
    let explain = async |path_and_fields: &str| {
        let path = format!("/v1/explain?url=https://www.test{path_and_fields}");
        lab.admin(Request::get(path).body(Full::default()).unwrap()).await
    };
    let (status, nothing) = explain("/x").await;
    assert_eq!(
        (status, &nothing["answer"]),
        (200, &json!({"way": "forward", "fwd": "uri-miss", "stale_if_error": false}))
    );
    assert_eq!(nothing["origins"][0]["origin"], "a");
    assert_eq!(nothing["origins"][1]["rank"], 2);
    lab.client().await.get_with("/x", &[("accept-encoding", "br")]).await.says(200, "body");
    lab.time_passes(20 * SECOND).await;

    let (_, hit) = explain("/x&field=accept-encoding:%20gzip,%20br").await;
    assert_eq!(hit["answer"]["fwd"], "vary-miss", "{hit}");
    let (_, hit) = explain("/x&field=accept-encoding:%20br").await;
    assert_eq!(hit["answer"], json!({"way": "hit", "ttl_seconds": 30}), "{hit}");
    assert_eq!((&hit["key"], &hit["site"]), (&json!("https://www.test/x"), &json!("www")));
    let selected = &hit["selected"];
    assert_eq!(selected["age"], json!({"on_arrival_seconds": 10.0, "resident_seconds": 20.0, "current_seconds": 30.0}));
    assert_eq!(selected["stale"]["forbidden_by"], "s-maxage");
    assert_eq!(selected["tags"], json!(["blue", "red"]));
    assert_eq!(hit["variants"], json!([{"status": 200, "vary": {"accept-encoding": "br"}}]));

    lab.purge(json!({"tags": ["red"], "soft": true})).await;
    lab.time_passes(SECOND).await;
    let (_, stale) = explain("/x&field=accept-encoding:%20br").await;
    assert_eq!(stale["answer"], json!({"way": "forward", "fwd": "stale", "stale_if_error": false}), "{stale}");
    assert_eq!(stale["selected"]["purged"], json!({"mode": "soft", "seconds_ago": 1}));
    assert_eq!((explain("/x%zz").await.0, origin.requests("/x").len()), (400, 1));
}

#[tokio::test(start_paused = true)]
async fn explain_knows_what_bypasses_the_cache() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    let reply = client.get_with("/x", &[("authorization", "Basic eDp5")]).await;
    assert!(reply.field("cache-status").contains("fwd="), "{}", reply.field("cache-status"));
    let path = "/v1/explain?url=https://www.test/x&field=authorization:%20Basic%20eDp5";
    let (_, told) = lab.admin(Request::get(path).body(Full::<Bytes>::default()).unwrap()).await;
    assert_ne!(told["answer"]["way"], "hit", "{told}");
}

#[tokio::test(start_paused = true)]
async fn explain_shows_no_cookies() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).with("vary", "cookie"));
    let mut client = lab.client().await;
    client.get_with("/x", &[("cookie", "session=s3cret")]).await.says(200, "body");
    let path = "/v1/explain?url=https://www.test/x";
    let (_, told) = lab.admin(Request::get(path).body(Full::<Bytes>::default()).unwrap()).await;
    assert!(!told.to_string().contains("s3cret"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn explain_leaves_the_store_alone() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("x".repeat(10_000)).max_age(60));
    lab.client().await.get("/x").await;
    lab.purge(json!({"all": true})).await;
    let used = lab.shared().store.ledger().used();
    let path = "/v1/explain?url=https://www.test/x";
    lab.admin(Request::get(path).body(Full::<Bytes>::default()).unwrap()).await;
    let _ = lab.shared().store.reserve(u64::MAX / 2);
    assert_eq!(lab.shared().store.ledger().used(), used);
}
