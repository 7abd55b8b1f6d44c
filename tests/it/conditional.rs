//! Validation, on both sides of the cache.

use std::time::Duration;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_client_that_has_the_response_gets_304_from_the_cache() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).etag("v1"));
    let mut client = lab.client().await;
    let condition = [("if-none-match", "\"v0\", \"v1\"")];
    let miss = client.get_with("/x", &condition).await;
    miss.says(304, "");
    assert!(!lab.origin("a").requests("/x")[0].contains("if-none-match"), "the whole response is fetched and stored");
    let hit = client.get_with("/x", &condition).await;
    hit.says(304, "").cache_status("hit; ttl=60");
    assert_eq!(hit.field("etag"), "\"v1\"");
    client.get_with("/x", &[("if-none-match", "\"v2\"")]).await.says(200, "body");
}

#[tokio::test(start_paused = true)]
async fn a_stale_response_is_validated_and_freshened() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(10).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    lab.time_passes(20 * SECOND).await;
    client.get("/x").await.says(200, "body").cache_status("fwd=stale; fwd-status=304; ttl=10; stored");
    assert!(lab.origin("a").requests("/x")[1].contains("if-none-match: \"v1\"\r\n"));
    lab.time_passes(5 * SECOND).await;
    client.get("/x").await.says(200, "body").cache_status("hit; ttl=5").aged(5);
}

#[tokio::test(start_paused = true)]
async fn a_new_version_replaces_the_stale_one() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::ok("old").max_age(10).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    lab.origin("a").answers("/x", Answer::ok("new").max_age(10).etag("v2"));
    lab.time_passes(20 * SECOND).await;
    client.get("/x").await.says(200, "new").cache_status("fwd=stale; fwd-status=200; stored");
    client.get("/x").await.says(200, "new").cache_status("hit; ttl=10");
}

#[tokio::test(start_paused = true)]
async fn a_304_can_withdraw_what_the_response_permitted() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    for withdrawal in ["private, max-age=600", "no-store"] {
        lab.origin("a").answers("/x", Answer::ok("body").max_age(10).etag("v1"));
        let mut client = lab.client().await;
        client.get("/x").await.says(200, "body");
        lab.origin("a").answers("/x", Answer::ok("body").with("cache-control", withdrawal).etag("v1"));
        lab.time_passes(20 * SECOND).await;
        client.get("/x").await.says(200, "body");
        client.get("/x").await.says(200, "body").cache_status("fwd=uri-miss; fwd-status=200");
        lab.time_passes(70 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_that_states_a_length_has_no_body_all_the_same() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::new(304, "").with("content-length", "4").with("etag", "\"v1\""));
    let fields = [("authorization", "Basic eDp5"), ("if-none-match", "\"v1\"")];
    lab.client().await.get_with("/x", &fields).await.says(304, "");
    lab.http2_client().await.send("GET", "/x", &fields).await.says(304, "");
}
