//! A body that breaks off goes on from another origin.

use std::time::Duration;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

fn text() -> String {
    (0..40_000).map(|number| format!("{number:06} ")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_goes_on_from_the_next_origin_and_is_stored_whole() {
    let lab = Lab::start(&["a", "b"], "").await;
    let whole = Answer::ok(text()).max_age(60).etag("v1").with_ranges();
    lab.origin("a").answers("/x", whole.clone().breaking_at(100_000));
    lab.origin("b").answers("/x", whole);
    let mut client = lab.client().await;
    client.get("/x").await.says(200, &text());
    let resumed = &lab.origin("b").requests("/x")[0];
    assert!(resumed.contains("range: bytes=100000-\r\n") && resumed.contains("if-range: \"v1\"\r\n"), "{resumed}");
    client.get("/x").await.says(200, &text()).cache_status("hit; ttl=59");
    assert!(lab.metrics().contains("holdover_origin_bodies_continued_total"), "{}", lab.metrics());
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_goes_on_from_the_next_origin() {
    let lab = Lab::start(&["a", "b"], "[site.timeouts]\nbody_idle = \"2s\"").await;
    let whole = Answer::ok(text()).max_age(60).etag("v1").with_ranges();
    lab.origin("a").answers("/x", whole.clone().stalling_at(5000));
    lab.origin("b").answers("/x", whole);
    lab.client().await.get("/x").await.says(200, &text());
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_ignores_ranges_is_read_from_the_start_and_skipped() {
    let lab = Lab::start(&["a", "b"], "").await;
    let whole = Answer::ok(text()).max_age(60).etag("v1");
    lab.origin("a").answers("/x", whole.clone().breaking_at(70_000));
    lab.origin("b").answers("/x", whole);
    lab.client().await.get("/x").await.says(200, &text());
}

#[tokio::test(start_paused = true)]
async fn another_representation_is_never_spliced_in() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", Answer::ok(text()).max_age(60).etag("v1").with_ranges().breaking_at(5000));
    lab.origin("b").answers("/x", Answer::ok(text()).max_age(60).etag("v2").with_ranges());
    assert_eq!(lab.client().await.get("/x").await.body, None);
    lab.time_passes(SECOND).await;
    assert_eq!(lab.shared().store.ledger().used(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_strong_validator_the_break_is_passed_on() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", Answer::ok(text()).max_age(60).breaking_at(5000));
    lab.origin("b").answers("/x", Answer::ok(text()).max_age(60));
    assert_eq!(lab.client().await.get("/x").await.body, None);
    assert!(lab.origin("b").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_is_continued_too() {
    let lab = Lab::start(&["a", "b"], "").await;
    let whole = Answer::ok(text()).with("cache-control", "private").etag("v1").with_ranges();
    lab.origin("a").answers("/x", whole.clone().breaking_at(100_000));
    lab.origin("b").answers("/x", whole);
    lab.client().await.get("/x").await.says(200, &text());
}

#[tokio::test(start_paused = true)]
async fn a_continuation_asks_for_its_own_range_and_not_for_the_clients() {
    let lab = Lab::start(&["a", "b"], "").await;
    let whole = Answer::ok(text()).etag("v1");
    lab.origin("a").answers("/x", whole.clone().breaking_at(100_000));
    lab.origin("b").answers("/x", whole.with_ranges());
    let fields = [("authorization", "Basic eDp5"), ("range", "bytes=0-"), ("if-none-match", "\"v0\"")];
    lab.client().await.get_with("/x", &fields).await.says(200, &text());
    let resumed = &lab.origin("b").requests("/x")[0];
    assert!(resumed.contains("range: bytes=100000-\r\n") && !resumed.contains("bytes=0-"), "{resumed}");
    assert!(!resumed.contains("if-none-match"), "{resumed}");
}

#[tokio::test(start_paused = true)]
async fn a_whole_that_ends_before_the_break_continues_nothing() {
    let lab = Lab::start(&["a", "b"], "").await;
    let whole = Answer::ok(text()).max_age(60).etag("v1").chunked();
    lab.origin("a").answers("/x", whole.breaking_at(5000));
    lab.origin("b").answers("/x", Answer::ok("short").max_age(60).etag("v1").chunked());
    assert_eq!(lab.client().await.get("/x").await.body, None);
    lab.time_passes(SECOND).await;
    assert_eq!(lab.shared().store.ledger().used(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_origin_whose_body_broke_off_is_asked_before_those_that_are_ejected() {
    let lab = Lab::start(&["a", "b", "c", "d"], "").await;
    for origin in ["b", "c", "d"] {
        lab.origin(origin).dies();
    }
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").answers("/x", Answer::ok(text()).max_age(60).etag("v1").with_ranges().breaking_at(5000));
    lab.client().await.get("/x").await.says(200, &text());
}

#[tokio::test(start_paused = true)]
async fn an_origin_whose_body_broke_off_wins_no_race_against_one_that_is_only_far() {
    let lab = Lab::start(&["a", "b"], "[site.failover]\nwarm = 0").await;
    let whole = Answer::ok(text()).max_age(60).etag("v1").with_ranges();
    lab.origin("a").answers("/x", whole.clone().breaking_at(5000));
    lab.origin("b").answers("/x", whole);
    lab.origin("b").is_far(SECOND / 2);
    lab.client().await.get("/x").await.says(200, &text());
    assert_eq!((lab.origin("a").requests("/x").len(), lab.origin("b").requests("/x").len()), (1, 1));
}
