//! What an origin sent shortly before it was found failing may be garbage: it is asked for anew, elsewhere.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

/// Its probes are answered with an error from here on, and everything else as before; until the first has failed.
async fn begins_to_fail(lab: &mut Lab, origin: &str) {
    lab.news();
    lab.origin(origin).answers("/", Answer::new(500, "broken"));
    while !lab.news().contains(&"endpoint-changed") {
        lab.time_passes(SECOND / 100).await;
    }
}

fn garbage() -> Answer {
    Answer::ok("garbage").max_age(600).etag("1")
}

fn right() -> Answer {
    Answer::ok("right").max_age(600).etag("1")
}

#[tokio::test(start_paused = true)]
async fn garbage_stored_before_the_first_bad_probe_is_asked_for_elsewhere_at_the_next_request() {
    let mut lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", garbage());
    lab.origin("b").answers("/x", right());
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "garbage");
    client.get("/x").await.cache_status("hit; ttl=600");
    begins_to_fail(&mut lab, "a").await;
    client.get("/x").await.says(200, "right").cache_status("fwd=stale; fwd-status=200; stored");
    client.get("/x").await.says(200, "right").cache_status("hit; ttl=600");
    let [request] = &lab.origin("b").requests("/x")[..] else { panic!("it is asked for once") };
    assert!(!request.contains("if-none-match"), "the garbage has the tag of the right bytes: {request}");
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_back_is_told_once_for_each_bad_time() {
    let mut lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", garbage());
    lab.client().await.get("/x").await.says(200, "garbage");
    lab.origin("a").answers("/", Answer::new(500, "broken"));
    lab.time_passes(30 * SECOND).await;
    let told = |news: Vec<&str>| news.iter().filter(|name| **name == "responses-taken-back").count();
    assert_eq!(told(lab.news()), 1);
    lab.origin("a").answers("/", Answer::ok("home"));
    lab.time_passes(30 * SECOND).await;
    lab.origin("a").answers("/", Answer::new(500, "broken"));
    lab.time_passes(30 * SECOND).await;
    assert_eq!(told(lab.news()), 0, "nothing came since");
}

#[tokio::test(start_paused = true)]
async fn what_came_from_elsewhere_or_before_the_last_good_probe_stays_as_it_is() {
    let mut lab = Lab::start(&["a", "b"], "").await;
    let mut client = lab.client().await;
    lab.origin("a").answers("/old", garbage());
    client.get("/old").await.says(200, "garbage");
    lab.time_passes(3 * SECOND).await;
    lab.origin("a").answers("/new", garbage());
    lab.origin("a").answers("/other", Answer::new(503, "busy"));
    for path in ["/new", "/other"] {
        lab.origin("b").answers(path, right());
        client.get(path).await;
    }
    begins_to_fail(&mut lab, "a").await;
    for path in ["/old", "/other"] {
        assert!(client.get(path).await.field("cache-status").starts_with("lab; hit; ttl=59"), "{path}");
    }
    client.get("/new").await.says(200, "right");
}

#[tokio::test(start_paused = true)]
async fn a_suspect_is_the_last_remedy() {
    let mut lab = Lab::start(&["a", "b"], "[site.stale]\nfirst = \"stale\"").await;
    lab.origin("a").answers("/x", garbage().with("cache-control", "stale-while-revalidate=600"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "garbage");
    begins_to_fail(&mut lab, "a").await;
    lab.origin("a").answers("/x", Answer::new(503, "busy"));
    lab.origin("b").answers("/x", Answer::new(503, "busy").after(SECOND));
    let reply = client.get("/x").await;
    reply.says(200, "garbage").cache_status("fwd=stale; fwd-status=503; ttl=-1; detail=suspect");
    assert!(reply.first_byte >= SECOND, "it waits for whoever may have something better");
    for origin in ["a", "b"] {
        lab.origin(origin).dies();
    }
    lab.mode_becomes("stale-only").await;
    let reply = client.get("/x").await;
    reply.says(200, "garbage").within(SECOND / 100);
    assert!(reply.field("cache-status").starts_with("lab; hit; ttl=-"), "{reply:?}");
    assert!(reply.field("cache-status").ends_with("; detail=suspect"), "{reply:?}");
    lab.origin("b").returns();
    lab.origin("b").answers("/x", right());
    lab.mode_becomes("recovering").await;
    client.get("/x").await.says(200, "right");
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_served_stale_is_no_last_remedy_either() {
    let mut lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", garbage().with("cache-control", "must-revalidate"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "garbage");
    begins_to_fail(&mut lab, "a").await;
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    assert_eq!(client.get("/x").await.status.as_u16(), 503);
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_served_stale_is_asked_for_elsewhere_too() {
    let mut lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", garbage().with("cache-control", "must-revalidate"));
    lab.origin("b").answers("/x", right());
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "garbage");
    begins_to_fail(&mut lab, "a").await;
    client.get("/x").await.says(200, "right");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_fails_wins_no_race_for_what_is_asked_for_elsewhere() {
    let mut lab = Lab::start(&["a", "b"], "[site.failover]\nwarm = 0").await;
    lab.origin("a").answers("/x", garbage());
    lab.origin("b").answers("/x", right());
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "garbage");
    begins_to_fail(&mut lab, "a").await;
    lab.origin("b").is_far(SECOND / 2);
    client.get("/x").await.says(200, "right");
}

#[tokio::test(start_paused = true)]
async fn a_suspect_does_not_hide_a_variant_that_is_as_good_as_before() {
    let mut lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", right().with("vary", "accept-encoding"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "right");
    lab.time_passes(5 * SECOND).await;
    lab.origin("a").answers("/x", garbage());
    client.get_with("/x", &[("accept-encoding", "gzip")]).await.says(200, "garbage");
    begins_to_fail(&mut lab, "a").await;
    client.get("/x").await.says(200, "right");
}

#[tokio::test(start_paused = true)]
async fn a_head_is_of_the_term_that_it_came_in_however_long_its_body_is_examined() {
    let mut lab = Lab::start(&["a"], "[[site.expect]]\nmin = 5\n[site.timeouts]\nbody_idle = \"30s\"").await;
    lab.origin("a").answers("/x", garbage().chunked().pausing_at(3, 5 * SECOND));
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    let (first, ()) = tokio::join!(one.get("/x"), async {
        begins_to_fail(&mut lab, "a").await;
        lab.origin("a").answers("/", Answer::ok("home"));
    });
    first.says(200, "garbage");
    lab.origin("a").answers("/x", right());
    two.get("/x").await.says(200, "right");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_restarts_alone_helps_itself_out() {
    let mut lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", right());
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "right");
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    assert!(lab.news().contains(&"responses-taken-back"));
    client.get("/x").await.says(200, "right");
    lab.origin("a").returns();
    lab.mode_becomes("recovering").await;
    client.get("/x").await.says(200, "right").cache_status("fwd=stale; fwd-status=200; stored");
    client.get("/x").await.says(200, "right").cache_status("hit; ttl=600");
}

#[tokio::test(start_paused = true)]
async fn failed_requests_alone_take_nothing_back() {
    let mut lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", right());
    lab.origin("a").answers("/y", Answer::new(500, "broken"));
    lab.origin("b").answers("/y", Answer::ok("y"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "right");
    for _ in 0..5 {
        client.get("/y").await.says(200, "y");
    }
    assert!(lab.news().contains(&"endpoint-changed"));
    client.get("/x").await.cache_status("hit; ttl=599");
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_when_a_probe_fails_is_suspect_too() {
    let mut lab = Lab::start(&["a", "b"], "[site.failover]\ntries = 1").await;
    lab.origin("a").answers("/x", garbage().after(5 * SECOND / 2));
    lab.origin("b").answers("/x", right());
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    let (first, ()) = tokio::join!(one.get("/x"), begins_to_fail(&mut lab, "a"));
    first.says(200, "garbage");
    two.get("/x").await.says(200, "right");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_as_good_as_every_term_that_it_came_in() {
    for recovers in [false, true] {
        let mut lab = Lab::start(&["a", "b"], "[site.timeouts]\nbody_idle = \"30s\"").await;
        lab.origin("a").answers("/x", garbage().pausing_at(3, 10 * SECOND));
        lab.origin("b").answers("/x", right());
        let (mut one, mut two) = (lab.client().await, lab.client().await);
        let (first, ()) = tokio::join!(one.get("/x"), async {
            // A good probe lies between the head and the failure.
            lab.time_passes(3 * SECOND).await;
            begins_to_fail(&mut lab, "a").await;
            if recovers {
                lab.origin("a").answers("/", Answer::ok("home"));
            }
        });
        first.says(200, "garbage");
        two.get("/x")
            .await
            .says(200, if recovers { "garbage" } else { "right" })
            .cache_status("fwd=stale; fwd-status=200; stored");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_continued_elsewhere_is_as_good_as_both_of_its_origins() {
    let mut lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", garbage().with_ranges().breaking_at(3));
    lab.origin("b").answers("/x", garbage().with_ranges());
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "garbage");
    lab.origin("a").answers("/x", right());
    begins_to_fail(&mut lab, "b").await;
    client.get("/x").await.says(200, "right");
}

#[tokio::test(start_paused = true)]
async fn what_became_suspect_on_its_way_replaces_nothing_that_is_not() {
    let mut lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("right").max_age(1));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "right");
    lab.time_passes(5 * SECOND).await;
    lab.origin("a").answers("/x", Answer::ok("garbage").max_age(600).after(5 * SECOND / 2));
    client.get("/x").await.says(200, "right");
    begins_to_fail(&mut lab, "a").await;
    lab.time_passes(SECOND).await;
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    client.get("/x").await.says(200, "right");
}

#[tokio::test(start_paused = true)]
async fn explain_says_what_is_suspect() {
    let mut lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", garbage());
    lab.client().await.get("/x").await.says(200, "garbage");
    begins_to_fail(&mut lab, "a").await;
    lab.time_passes(SECOND).await;
    let question = Request::get("/v1/explain?url=https://www.test/x").body(Full::default()).unwrap();
    let (_, told) = lab.admin(question).await;
    assert_eq!(told["answer"]["way"], "forward");
    assert_eq!(
        (&told["selected"]["reuse"], &told["selected"]["purged"]["mode"]),
        (&Value::from("last-remedy"), &Value::from("suspect"))
    );
}
