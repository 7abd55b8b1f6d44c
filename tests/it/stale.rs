//! Stale responses, and when they are served.

use std::time::Duration;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);
const STRICT: &str = "[site.stale]\nwhile_revalidate = \"0s\"";
const AT_ONCE: Duration = Duration::from_millis(5);

#[tokio::test(start_paused = true)]
async fn stale_is_served_while_every_origin_is_down() {
    let mut lab = Lab::start(&["a", "b"], "").await;
    for name in ["a", "b"] {
        lab.origin(name).answers("/x", Answer::ok("kept").max_age(10));
    }
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "kept");
    // A good probe vouches for it.
    lab.time_passes(3 * SECOND).await;
    lab.news();
    lab.origin("a").dies();
    lab.origin("b").dies();
    lab.mode_becomes("stale-only").await;
    lab.time_passes(3600 * SECOND).await;
    let (a, b) = (lab.origin("a").requests("/x").len(), lab.origin("b").requests("/x").len());
    for _ in 0..20 {
        let reply = client.get("/x").await;
        reply.says(200, "kept").within(AT_ONCE);
        let status = reply.field("cache-status");
        assert!(status.starts_with("lab; hit; ttl=-") && status.ends_with("; detail=origin-down"), "{status}");
    }
    assert_eq!((lab.origin("a").requests("/x").len(), lab.origin("b").requests("/x").len()), (a, b));
    let news = lab.news();
    assert!(news.contains(&"outage-mode-changed") && news.contains(&"endpoint-changed"), "{news:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_gets_an_honest_503_at_once_while_every_origin_is_down() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    let reply = lab.client().await.get("/unknown").await;
    assert_eq!(reply.status.as_u16(), 503);
    assert_eq!(reply.field("retry-after"), "5");
    reply.within(AT_ONCE).cache_status("fwd=uri-miss; detail=origin-down");
}

#[tokio::test(start_paused = true)]
async fn stale_ends_at_its_bound() {
    let lab = Lab::start(&["a"], "[site.stale]\nmax = \"1h\"").await;
    lab.origin("a").answers("/x", Answer::ok("kept").max_age(10));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "kept");
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    lab.time_passes(3550 * SECOND).await;
    client.get("/x").await.says(200, "kept");
    lab.time_passes(100 * SECOND).await;
    assert_eq!(client.get("/x").await.status.as_u16(), 503);
}

#[tokio::test(start_paused = true)]
async fn stale_while_revalidate_answers_at_once_and_refreshes_behind() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("old").with("cache-control", "max-age=10, stale-while-revalidate=30"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    origin.answers("/x", Answer::ok("new").max_age(10).after(2 * SECOND));
    lab.time_passes(14 * SECOND).await;
    for _ in 0..5 {
        client
            .get("/x")
            .await
            .says(200, "old")
            .within(AT_ONCE)
            .cache_status("hit; ttl=-4; detail=stale-while-revalidate");
    }
    lab.time_passes(3 * SECOND).await;
    // The two seconds that the origin took count as age (RFC 9111 §4.2.3).
    client.get("/x").await.says(200, "new").cache_status("hit; ttl=7");
    assert_eq!(origin.requests("/x").len(), 2, "one refresh for all of them");
}

#[tokio::test(start_paused = true)]
async fn stale_if_error_answers_when_the_origin_fails() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("old").max_age(10));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    origin.answers("/x", Answer::new(503, "broken"));
    lab.time_passes(100 * SECOND).await;
    let reply = client.get("/x").await;
    reply.says(200, "old").cache_status("fwd=stale; fwd-status=503; ttl=-90; detail=stale-if-error").aged(100);
    client.get("/x").await.says(200, "old").cache_status("hit; ttl=-90; detail=revived");
    assert_eq!(origin.requests("/x").len(), 2, "one failure spares the origin the next requests");
}

#[tokio::test(start_paused = true)]
async fn a_slow_origin_is_not_waited_for_when_a_stale_copy_is_at_hand() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("old").max_age(10));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    origin.answers("/x", Answer::ok("new").max_age(10).after(2 * SECOND));
    lab.time_passes(100 * SECOND).await;
    let reply = client.get("/x").await;
    reply.says(200, "old").within(Duration::from_millis(320)).cache_status("fwd=stale; ttl=-90; detail=slow-origin");
    lab.time_passes(3 * SECOND).await;
    client.get("/x").await.says(200, "new");
}

#[tokio::test(start_paused = true)]
async fn must_revalidate_is_obeyed_in_an_outage_too() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("old").with("cache-control", "max-age=10, must-revalidate"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    lab.time_passes(10 * SECOND).await;
    assert_eq!(client.get("/x").await.status.as_u16(), 503);
}

#[tokio::test(start_paused = true)]
async fn an_operator_may_serve_it_despite_must_revalidate() {
    let lab = Lab::start(&["a"], "[site.stale]\ndespite = [\"must-revalidate\"]").await;
    lab.origin("a").answers("/x", Answer::ok("old").with("cache-control", "max-age=10, must-revalidate"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    lab.time_passes(10 * SECOND).await;
    client.get("/x").await.says(200, "old");
}

#[tokio::test(start_paused = true)]
async fn a_failure_never_displaces_a_usable_response() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("good").max_age(1));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "good");
    origin.answers("/x", Answer::new(500, "broken").max_age(600));
    lab.time_passes(100 * SECOND).await;
    client.get("/x").await.says(200, "good");
    origin.answers("/x", Answer::ok("longer body").max_age(600).breaking_at(3));
    lab.time_passes(100 * SECOND).await;
    let cut = client.get("/x").await;
    assert_eq!(cut.body, None, "what broke off is not ended as if it were whole");
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    lab.client().await.get("/x").await.says(200, "good");
}

#[tokio::test(start_paused = true)]
async fn with_stale_first_the_next_origin_is_not_asked() {
    let lab = Lab::start(&["a", "b"], "[site.stale]\nfirst = \"stale\"").await;
    lab.origin("a").answers("/x", Answer::ok("old").max_age(10));
    lab.origin("b").answers("/x", Answer::ok("mirror").max_age(10));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    lab.origin("a").answers("/x", Answer::new(500, "broken"));
    lab.time_passes(100 * SECOND).await;
    client.get("/x").await.says(200, "old");
    assert!(lab.origin("b").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_request_does_not_cost_the_stored_response() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("good").max_age(1));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "good");
    lab.time_passes(100 * SECOND).await;
    lab.origin("a").answers("/x", Answer::new(431, "too many fields"));
    client.get("/x").await.says(431, "too many fields");
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    lab.client().await.get("/x").await.says(200, "good");
}

#[tokio::test(start_paused = true)]
async fn an_error_takes_no_usable_responses_place_whatever_lifetime_it_states() {
    let lab =
        Lab::start(&["a"], "[site.store]\nnegative = { 503 = \"1m\" }\n[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(10));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").answers("/x", Answer::new(503, "overloaded").max_age(600));
    client.get("/x").await.says(200, "body").cache_status("fwd=stale; fwd-status=503; ttl=-10; detail=stale-if-error");
    client.get("/x").await.says(200, "body");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_stored_retires_nothing() {
    let lab = Lab::start(&["a"], STRICT).await;
    lab.origin("a").answers("/x", Answer::ok("small").max_age(10).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "small");
    lab.time_passes(20 * SECOND).await;
    let large = "x".repeat(6_000_000);
    lab.origin("a").answers("/x", Answer::ok(large.as_str()).max_age(10).chunked());
    client.get("/x").await.says(200, &large);
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    client.get("/x").await.says(200, "small");
}

#[tokio::test(start_paused = true)]
async fn a_negative_lifetime_is_as_long_as_it_says() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    client.get("/x").await.says(404, "not here");
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    lab.time_passes(69 * SECOND).await;
    client.get("/x").await.says(200, "body");
}
