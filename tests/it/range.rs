//! Ranges, from stored and from arriving responses.

use crate::lab::{Answer, Lab};

#[tokio::test(start_paused = true)]
async fn a_single_range_is_cut_from_the_stored_response() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("0123456789").max_age(60).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "0123456789");
    for (range, body, content_range) in
        [("bytes=2-5", "2345", "bytes 2-5/10"), ("bytes=7-", "789", "bytes 7-9/10"), ("bytes=-2", "89", "bytes 8-9/10")]
    {
        let reply = client.get_with("/x", &[("range", range)]).await;
        reply.says(206, body).cache_status("hit; ttl=60");
        assert_eq!(reply.field("content-range"), content_range);
    }
    let reply = client.get_with("/x", &[("range", "bytes=10-")]).await;
    reply.says(416, "");
    assert_eq!(reply.field("content-range"), "bytes */10");
    client.get_with("/x", &[("range", "bytes=2-5"), ("if-range", "\"v1\"")]).await.says(206, "2345");
    client.get_with("/x", &[("range", "bytes=2-5"), ("if-range", "\"v0\"")]).await.says(200, "0123456789");
}

#[tokio::test(start_paused = true)]
async fn a_range_on_a_miss_fetches_the_whole_once_and_is_cut_from_it() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("0123456789").max_age(60).with_ranges());
    let mut client = lab.client().await;
    client.get_with("/x", &[("range", "bytes=2-5")]).await.says(206, "2345");
    client.get("/x").await.says(200, "0123456789").cache_status("hit; ttl=60");
    assert!(!lab.origin("a").requests("/x")[0].contains("range:"));
}

#[tokio::test(start_paused = true)]
async fn a_range_deep_in_a_large_body_starts_where_it_should() {
    let lab = Lab::start(&["a"], "").await;
    let body: String = (0..50_000).map(|number| format!("{number:05}")).collect();
    lab.origin("a").answers("/x", Answer::ok(body).max_age(60));
    let mut client = lab.client().await;
    for _ in 0..2 {
        client.get_with("/x", &[("range", "bytes=200000-200009")]).await.says(206, "4000040001");
    }
}

#[tokio::test(start_paused = true)]
async fn a_range_of_what_is_too_large_to_store_is_asked_of_the_origin() {
    let lab = Lab::start(&["a"], "").await;
    let body: String = (0..1_000_000).map(|number| format!("{number:06}")).collect();
    lab.origin("a").answers("/x", Answer::ok(body).max_age(60).etag("v1").with_ranges());
    let mut client = lab.client().await;
    for _ in 0..2 {
        let reply = client.get_with("/x", &[("range", "bytes=5999994-")]).await;
        reply.says(206, "999999").cache_status("fwd=uri-miss; fwd-status=206");
        assert_eq!(reply.field("content-range"), "bytes 5999994-5999999/6000000");
    }
}
