//! What a response tells of the road it came.

use std::time::Duration;

use crate::lab::{Answer, Lab};

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
