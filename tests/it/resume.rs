//! A body that breaks off goes on from another origin.

use std::time::Duration;

use holdover::clock::Clock;
use http_body_util::BodyExt;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

/// What becomes of a whole answer.
type Break = fn(Answer) -> Answer;

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
async fn a_body_that_drips_goes_on_from_the_next_origin() {
    let lab = Lab::start(&["a", "b"], "").await;
    let whole = Answer::ok(text()).max_age(60).etag("v1").with_ranges();
    for path in ["/1", "/2"] {
        lab.origin("a").answers(path, whole.clone().dripping_at(5000));
        lab.origin("b").answers(path, whole.clone());
    }
    let clock = Clock::new();
    let began = clock.now().monotonic;
    let (mut one, mut two, mut three) = (lab.client().await, lab.client().await, lab.http2_client().await);
    let (first, follower, other) = tokio::join!(one.get("/1"), two.get("/1"), three.send("GET", "/2", &[]));
    for reply in [first, follower, other] {
        reply.says(200, &text());
    }
    assert!(clock.now().monotonic - began < 7 * SECOND, "a window, and one for what came before it");
    assert!(lab.metrics().contains(r#"continued_total{site="www",from="a",to="b"} 2"#), "{}", lab.metrics());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_goes_on_dripping_when_nobody_has_anything_better() {
    let drip = |answer: Answer| answer.max_age(60).dripping_at(1000);
    let short = &text()[..5000];
    for (name, origins, tag, other, asked) in [
        ("nobody to ask", &["a"][..], "v1", None, 0),
        ("another version", &["a", "b"], "v1", Some(Answer::ok(short).etag("v2").with_ranges()), 1),
        ("an error", &["a", "b"], "v1", Some(Answer::new(503, "busy")), 1),
        ("no strong tag", &["a", "b"], "", Some(Answer::ok(short).etag("v1").with_ranges()), 0),
    ] {
        let lab = Lab::start(origins, "").await;
        let slow = if tag.is_empty() { Answer::ok(short) } else { Answer::ok(short).etag(tag) };
        lab.origin("a").answers("/x", drip(slow.with_ranges()));
        if let Some(other) = other {
            lab.origin("b").answers("/x", other);
        }
        lab.client().await.get("/x").await.says(200, short);
        assert_eq!(lab.origin("a").requests("/x").len(), 1, "{name}: it is not asked twice");
        let others = origins.iter().filter(|origin| **origin != "a");
        let asked_of_others: usize = others.map(|origin| lab.origin(origin).requests("/x").len()).sum();
        assert_eq!(asked_of_others, asked, "{name}");
        assert_eq!(lab.preferred().await.as_deref(), Some("a"), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_everywhere_is_left_a_few_times_and_then_taken_as_it_comes() {
    let lab = Lab::start(&["a", "b"], "").await;
    for origin in ["a", "b"] {
        lab.origin(origin).answers("/x", Answer::ok(&text()[..5000]).max_age(60).etag("v1").dripping_at(1000));
    }
    lab.client().await.get("/x").await.says(200, &text()[..5000]);
    assert_eq!((lab.origin("a").requests("/x").len(), lab.origin("b").requests("/x").len()), (2, 2));
    assert_eq!(lab.preferred().await.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_floor_of_nothing_leaves_no_body() {
    let lab = Lab::start(&["a", "b"], "[site.timeouts]\nbody_rate_min = \"0\"").await;
    let whole = Answer::ok(&text()[..5000]).etag("v1").with_ranges();
    lab.origin("a").answers("/x", whole.clone().dripping_at(1000));
    lab.origin("b").answers("/x", whole);
    lab.client().await.get("/x").await.says(200, &text()[..5000]);
    assert!(lab.origin("b").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_convicts_no_origin() {
    let lab = Lab::start(&["a", "b"], "").await;
    let long = text().repeat(10);
    let whole = Answer::ok(long.clone()).with("cache-control", "private").etag("v1").with_ranges();
    for origin in ["a", "b"] {
        lab.origin(origin).answers("/x", whole.clone());
    }
    let mut client = lab.client().await;
    let response = client.begin("GET", "/x", &[], "").await;
    lab.time_passes(20 * SECOND).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), long.as_bytes());
    assert!(lab.origin("b").requests("/x").is_empty());
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
    lab.origin("a").answers("/x", Answer::ok(text()).max_age(60).etag("v1").breaking_at(5000));
    lab.origin("b").answers("/x", Answer::ok(text()).max_age(60).etag("v2").with_ranges());
    assert_eq!(lab.client().await.get("/x").await.body, None);
    lab.time_passes(SECOND).await;
    assert_eq!(lab.shared().store.ledger().used(), 0);
}

#[tokio::test(start_paused = true)]
async fn origins_that_disagree_are_passed_over_and_not_to_blame() {
    let lab = Lab::start(&["a", "b", "c"], "").await;
    for number in 0..5 {
        let path = format!("/{number}");
        let whole = Answer::ok(text()).max_age(60).etag("v1").with_ranges();
        lab.origin("a").answers(&path, whole.clone().breaking_at(5000));
        lab.origin("b").answers(&path, Answer::ok(text()).max_age(60).etag("v2").with_ranges());
        lab.origin("c").answers(&path, whole);
        lab.client().await.get(&path).await.says(200, &text());
    }
    assert_eq!(lab.preferred().await.as_deref(), Some("b"), "{}", lab.why_ejected("a").await);
    assert!(lab.metrics().contains(r#"origin="b",outcome="mismatch"}"#), "{}", lab.metrics());
}

#[tokio::test(start_paused = true)]
async fn a_continuation_is_what_the_site_expects() {
    let lab = Lab::start(&["a", "b", "c"], "[[site.expect]]\ntypes = [\"text/plain\"]").await;
    let typed = |kind: &str| Answer::ok(text()).max_age(60).etag("v1").with("content-type", kind);
    lab.origin("a").answers("/x", typed("text/plain").breaking_at(5000));
    lab.origin("b").answers("/x", typed("text/html"));
    lab.origin("c").answers("/x", typed("text/plain"));
    lab.client().await.get("/x").await.says(200, &text());
    assert!(lab.metrics().contains(r#"continued_total{site="www",from="a",to="c"} 1"#), "{}", lab.metrics());
}

#[tokio::test(start_paused = true)]
async fn however_a_body_breaks_every_client_gets_every_byte() {
    let broken: [(&str, Break); 6] = [
        ("cut", |whole| whole.breaking_at(100_000)),
        ("cut at the last byte", |whole| whole.breaking_at(279_999)),
        ("cut before the first byte", |whole| whole.breaking_at(0)),
        ("chunks cut", |whole| whole.chunked().breaking_at(100_000)),
        ("stalled", |whole| whole.stalling_at(100_000)),
        ("dripping", |whole| whole.dripping_at(100_000)),
    ];
    for (name, breaks) in broken {
        let lab = Lab::start(&["a", "b"], "").await;
        let whole = Answer::ok(text()).max_age(60).etag("v1").with_ranges();
        lab.origin("a").answers("/x", breaks(whole.clone()));
        lab.origin("b").answers("/x", whole);
        let (mut one, mut two, mut three) = (lab.client().await, lab.client().await, lab.http2_client().await);
        let (first, second, third) = tokio::join!(one.get("/x"), two.get("/x"), three.send("GET", "/x", &[]));
        for reply in [first, second, third] {
            assert_eq!(reply.body.as_deref(), Some(text().as_bytes()), "{name}");
        }
        assert_eq!(lab.origin("a").requests("/x").len(), 1, "{name}");
        one.get("/x").await.says(200, &text());
        assert_eq!(lab.origin("b").requests("/x").len(), 1, "{name}: it is stored");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_version_that_breaks_does_not_displace_the_stored_one() {
    let broken: [(&str, Break); 3] = [
        ("cut", |whole| whole.breaking_at(100_000)),
        ("chunks cut", |whole| whole.chunked().breaking_at(100_000)),
        ("stalled", |whole| whole.stalling_at(100_000)),
    ];
    for (name, breaks) in broken {
        let lab = Lab::start(&["a"], "").await;
        let mut client = lab.client().await;
        lab.origin("a").answers("/x", Answer::ok("old").max_age(1).etag("v1"));
        client.get("/x").await.says(200, "old");
        lab.time_passes(10 * SECOND).await;
        lab.origin("a").answers("/x", breaks(Answer::ok(text()).max_age(60).etag("v2")));
        let second = client.get("/x").await;
        assert!(second.body.is_none() || second.text() == "old", "{name}");
        lab.time_passes(20 * SECOND).await;
        assert!(lab.origin("a").requests("/x").len() > 1, "{name}");
        lab.origin("a").dies();
        lab.mode_becomes("stale-only").await;
        lab.client().await.get("/x").await.says(200, "old");
    }
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

#[tokio::test(start_paused = true)]
async fn a_body_that_only_its_client_wants_is_continued_for_nobody_else() {
    let lab = Lab::start(&["a", "b"], "").await;
    let whole = Answer::ok(text()).with("cache-control", "private").etag("v1").with_ranges();
    lab.origin("a").answers("/x", whole.clone().stalling_at(5000));
    lab.origin("b").answers("/x", whole);
    let mut client = lab.client().await;
    let response = client.begin("GET", "/x", &[], "").await;
    lab.time_passes(SECOND).await;
    drop((client, response));
    lab.time_passes(20 * SECOND).await;
    assert!(lab.origin("b").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_goes_on_while_others_are_asked() {
    let lab = Lab::start(&["a", "b"], "").await;
    let whole = Answer::ok(text()).max_age(60).etag("v1").with_ranges();
    lab.origin("a").answers("/x", whole.clone().dripping_at(5000));
    lab.origin("b").answers("/x", whole.after(5 * SECOND / 2));
    let clock = Clock::new();
    let mut client = lab.client().await;
    let mut body = client.begin("GET", "/x", &[], "").await.into_body();
    let (mut got, mut longest) = (Vec::new(), Duration::ZERO);
    loop {
        let began = clock.now().monotonic;
        let Some(frame) = body.frame().await else { break };
        longest = longest.max(clock.now().monotonic - began);
        got.extend(frame.unwrap().into_data().unwrap());
    }
    assert_eq!(got, text().as_bytes());
    assert!(longest < SECOND, "{longest:?}");
}
