//! Requests that the cache has no part in.

use crate::lab::{Answer, Lab};

#[tokio::test(start_paused = true)]
async fn a_post_passes_through_with_its_body_and_invalidates() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    client.get("/x").await;
    client.get("/x").await.cache_status("hit; ttl=60");
    client
        .send("POST", "/x", &[("cookie", "a=b")], "form")
        .await
        .says(200, "body")
        .cache_status("fwd=method; fwd-status=200");
    let head = &lab.origin("a").requests("/x")[1];
    assert!(head.starts_with("POST ") && head.contains("content-length: 4") && head.contains("cookie: a=b"), "{head}");
    client.get("/x").await.cache_status("fwd=uri-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn a_post_that_reached_an_origin_is_never_repeated() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", Answer::new(503, "overloaded"));
    lab.origin("b").answers("/x", Answer::ok("twice"));
    lab.client().await.send("POST", "/x", &[], "form").await.says(503, "overloaded");
    assert!(lab.origin("b").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_post_of_which_nothing_was_sent_goes_to_the_next_origin() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").dies();
    lab.origin("b").answers("/x", Answer::ok("once"));
    lab.client().await.send("POST", "/x", &[], "form").await.says(200, "once");
    assert_eq!(lab.origin("b").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn methods_that_are_not_served_are_refused_without_asking_anybody() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    assert_eq!(client.send("TRACE", "/x", &[], "").await.status.as_u16(), 405);
    assert_eq!(client.send("GET", "/x", &[], "a body").await.status.as_u16(), 400);
    let looped = lab.client().await.get_with("/x", &[("cdn-loop", "other, lab")]).await;
    assert_eq!(looped.status.as_u16(), 508);
    assert!(lab.origin("a").requests("/x").is_empty());
}
