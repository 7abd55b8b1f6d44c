//! What a response tells of the road it came.

use std::time::Duration;

use crate::lab::{Answer, Lab};

const DEBUG: &str = "[debug]\ntoken = \"correct-horse-battery\"\n";
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn x_cache_says_in_a_word_what_became_of_a_request() {
    let lab = Lab::start(&["a"], "[site.response]\nx_cache = true").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(10).with("x-cache", "HIT from somewhere else"));
    let mut client = lab.client().await;
    let words = |reply: &crate::lab::Reply| {
        reply.headers.get_all("x-cache").iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(words(&client.get("/x").await), ["MISS"]);
    assert_eq!(words(&client.get("/x").await), ["HIT"]);
    assert_eq!(words(&client.get_with("/x", &[("authorization", "Basic eDp5")]).await), ["BYPASS"]);
    lab.time_passes(10 * SECOND + SECOND / 2).await;
    // Stale for half a second: `ttl` counts whole ones.
    let stale = client.get("/x").await;
    stale.cache_status("hit; ttl=0; detail=stale-while-revalidate");
    assert_eq!(words(&stale), ["STALE"]);
    let counted = lab.metrics().lines().any(|line| line.contains("stale-while-revalidate") && line.ends_with(" 1"));
    assert!(counted, "{}", lab.metrics());
    assert_eq!(words(&client.send("POST", "/x", &[], "form").await), ["BYPASS"]);
}

#[tokio::test(start_paused = true)]
async fn without_x_cache_that_of_an_origin_is_left_alone() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(10).with("x-cache", "theirs"));
    assert_eq!(lab.client().await.get("/x").await.field("x-cache"), "theirs");
    lab.origin("a").answers("/y", Answer::ok("body"));
    assert_eq!(lab.client().await.get("/y").await.field("x-cache"), "");
}

#[tokio::test(start_paused = true)]
async fn a_client_with_the_token_is_told_the_key_the_origin_and_what_caches_were_told() {
    let lab = Lab::start(&["a"], DEBUG).await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).with("surrogate-key", "home"));
    let mut client = lab.client().await;
    let token = ("holdover-debug", "correct-horse-battery");
    for expected in ["fwd=uri-miss; fwd-status=200; stored", "hit; ttl=60"] {
        let told = client.get_with("/x", &[token]).await;
        told.says(200, "body").cache_status(&format!("{expected}; key=\"https://www.test/x\""));
        assert_eq!((told.field("holdover-origin"), told.field("surrogate-key")), ("a", "home"));
        // What others are told in the same second is kept for others alone.
        for _ in 0..3 {
            let other = client.get("/x").await;
            assert_eq!(other.cache_status("hit; ttl=60").field("surrogate-key"), "");
        }
    }
    // No key was looked for.
    let told = client.get_with("/x", &[token, ("authorization", "Basic eDp5")]).await;
    told.says(200, "body").cache_status("fwd=bypass; fwd-status=200");
    assert_eq!((told.field("holdover-origin"), told.field("surrogate-key")), ("a", "home"));
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    let refused = client.get_with("/y", &[token]).await;
    refused.cache_status("fwd=uri-miss; key=\"https://www.test/y\"; detail=origin-down");
}

#[tokio::test(start_paused = true)]
async fn a_client_without_the_token_is_told_nothing_more() {
    for (settings, value) in [(DEBUG, "correct-horse-batterie"), (DEBUG, ""), ("", "correct-horse-battery")] {
        let lab = Lab::start(&["a"], settings).await;
        lab.origin("a").answers("/x", Answer::ok("body").max_age(60).with("surrogate-key", "home"));
        let mut client = lab.client().await;
        for expected in ["fwd=uri-miss; fwd-status=200; stored", "hit; ttl=60"] {
            let reply = client.get_with("/x", &[("holdover-debug", value)]).await;
            reply.says(200, "body").cache_status(expected);
            assert_eq!((reply.field("holdover-origin"), reply.field("surrogate-key")), ("", ""));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_token_ends_at_the_node_and_makes_no_variant() {
    let lab = Lab::start(&["a"], &format!("{DEBUG}[site.request]\nfields = [\"*\"]")).await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).with("vary", "holdover-debug"));
    let mut client = lab.client().await;
    for value in ["correct-horse-battery", "another-horse-battery"] {
        client.get_with("/x", &[("holdover-debug", value)]).await.says(200, "body");
        client.send("POST", "/other", &[("holdover-debug", value)], "form").await;
    }
    assert!(client.get("/x").await.field("cache-status").starts_with("lab; hit"));
    let heads = [lab.origin("a").requests("/x"), lab.origin("a").requests("/other")].concat();
    assert_eq!(heads.len(), 3);
    assert!(heads.iter().all(|head| !head.contains("horse")), "{heads:?}");
}
