//! What operators order, and when an origin that failed is used again.

use std::time::Duration;

use http::Request;
use http_body_util::Full;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

async fn lab_with_two_origins(settings: &str) -> Lab {
    let lab = Lab::start(&["a", "b"], settings).await;
    for name in ["a", "b"] {
        for path in ["/x", "/y"] {
            lab.origin(name).answers(path, Answer::ok(name).with("cache-control", "no-store"));
        }
    }
    lab
}

#[tokio::test(start_paused = true)]
async fn a_drained_origin_is_asked_only_when_nothing_else_is_left() {
    let mut lab = lab_with_two_origins("").await;
    let mut client = lab.client().await;
    lab.news();
    assert_eq!(lab.order("drain", "a").await["duty"], "drained");
    client.get("/x").await.says(200, "b");
    lab.origin("b").dies();
    client.get("/x").await.says(200, "a");
    lab.time_passes(10 * SECOND).await;
    client.get("/x").await.says(200, "a").within(SECOND / 10);
    lab.origin("b").returns();
    lab.time_passes(60 * SECOND).await;
    client.get("/x").await.says(200, "b");
    assert_eq!(lab.order("enable", "a").await["duty"], "auto");
    client.get("/x").await.says(200, "a");
    assert!(lab.news().starts_with(&["origin-ordered", "failed-over", "outage-mode-changed"]));
}

#[tokio::test(start_paused = true)]
async fn a_drained_origin_wins_no_race_and_loses_its_connections() {
    let lab = lab_with_two_origins("").await;
    lab.time_passes(20 * SECOND).await;
    lab.order("drain", "b").await;
    lab.time_passes(20 * SECOND).await;
    assert_eq!(lab.origin("b").open(), 0);
    lab.origin("a").is_far(SECOND / 2);
    lab.client().await.get("/x").await.says(200, "a");
}

#[tokio::test(start_paused = true)]
async fn a_disabled_origin_is_neither_asked_nor_probed() {
    let lab = lab_with_two_origins("").await;
    assert_eq!(lab.order("disable", "a").await["standing"], "out");
    let probes = lab.origin("a").probes();
    lab.origin("b").dies();
    let reply = lab.client().await.get("/x").await;
    assert_eq!(reply.status.as_u16(), 503);
    lab.time_passes(60 * SECOND).await;
    assert_eq!(lab.origin("a").probes(), probes);
    assert!(lab.origin("a").requests("/x").is_empty());
    lab.order("enable", "a").await;
    lab.time_passes(SECOND).await;
    lab.client().await.get("/x").await.says(200, "a");
}

#[tokio::test(start_paused = true)]
async fn a_forced_origin_is_asked_first_whatever_its_probes_say() {
    let lab = lab_with_two_origins("").await;
    lab.origin("b").answers("/", Answer::new(500, "probes fail"));
    lab.time_passes(10 * SECOND).await;
    lab.order("force", "b").await;
    lab.client().await.get("/x").await.says(200, "b");
    lab.order("force", "a").await;
    lab.client().await.get("/x").await.says(200, "a");
    let (_, status) = lab.admin(Request::get("/status").body(Full::default()).unwrap()).await;
    let origins = status["sites"][0]["origins"].as_array().unwrap();
    let duties: Vec<_> = origins.iter().map(|origin| origin["duty"].as_str().unwrap()).collect();
    assert_eq!(duties, ["forced", "auto"]);
    let history = status["sites"][0]["history"].as_array().unwrap();
    assert!(history.iter().any(|line| line["message"].as_str().unwrap().contains("orders to force origin b")));
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_ordered_survives_a_restart() {
    for (wanted, of) in [("drain", "a"), ("disable", "a"), ("force", "b")] {
        let lab = lab_with_two_origins("").await;
        lab.order(wanted, of).await;
        lab.time_passes(3600 * SECOND).await;
        let mut lab = lab.restart().await;
        let news = lab.news();
        assert!(news.contains(&"order-remembered") && !news.contains(&"failed-over"), "{wanted}: {news:?}");
        assert_eq!(lab.preferred().await.as_deref(), Some("b"), "{wanted}");
        lab.client().await.get("/x").await.says(200, "b");
        let mut lab = lab.restart().await;
        assert!(lab.news().contains(&"order-remembered"), "{wanted}: a second restart forgets nothing either");
        assert_eq!(lab.order("enable", of).await["duty"], "auto");
        let mut lab = lab.restart().await;
        assert!(!lab.news().contains(&"order-remembered"), "{wanted} is over");
        lab.client().await.get("/x").await.says(200, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_was_disabled_is_not_probed_by_the_next_run_either() {
    let lab = lab_with_two_origins("").await;
    lab.order("disable", "a").await;
    let probes = lab.origin("a").probes();
    let lab = lab.restart().await;
    lab.time_passes(60 * SECOND).await;
    assert_eq!(lab.origin("a").probes(), probes);
    assert_eq!(lab.mode().await, "degraded");
}

#[tokio::test(start_paused = true)]
async fn nobody_wins_a_race_against_a_forced_origin() {
    let lab = lab_with_two_origins("").await;
    lab.order("force", "a").await;
    lab.origin("a").is_far(SECOND / 2);
    lab.client().await.get("/x").await.says(200, "a");
    assert!(lab.origin("b").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_came_from_a_forced_origin_is_asked_for_there_again() {
    let lab = lab_with_two_origins("").await;
    for name in ["a", "b"] {
        lab.origin(name).answers("/z", Answer::ok(name).max_age(600));
    }
    let mut client = lab.client().await;
    lab.origin("a").answers("/", Answer::new(500, "probes fail"));
    client.get("/z").await.says(200, "a");
    lab.time_passes(10 * SECOND).await;
    lab.order("force", "a").await;
    client.get("/z").await.says(200, "a").cache_status("fwd=stale; fwd-status=200; stored");
    lab.time_passes(10 * SECOND).await;
    client.get("/z").await.says(200, "a").cache_status("hit; ttl=590");
}

#[tokio::test(start_paused = true)]
async fn under_manual_failback_an_origin_comes_back_on_order() {
    let lab = lab_with_two_origins("[site.failback]\nmode = \"manual\"\nramp = \"0s\"").await;
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "a");
    lab.origin("a").dies();
    lab.time_passes(10 * SECOND).await;
    lab.origin("a").returns();
    lab.time_passes(600 * SECOND).await;
    client.get("/x").await.says(200, "b");
    assert_eq!(lab.order("failback", "a").await["standing"], "in");
    client.get("/x").await.says(200, "a");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_back_gets_some_urls_before_others() {
    let lab = Lab::start(&["a", "b"], "").await;
    let paths: Vec<String> = (0..40).map(|number| format!("/{number}")).collect();
    for (name, path) in ["a", "b"].iter().flat_map(|name| paths.iter().map(move |path| (name, path))) {
        lab.origin(name).answers(path, Answer::ok(*name).with("cache-control", "no-store"));
    }
    lab.origin("a").dies();
    lab.time_passes(10 * SECOND).await;
    lab.origin("a").returns();
    let mut client = lab.client().await;
    let mut counts = Vec::new();
    for _ in 0..30 {
        let mut back = 0;
        for path in &paths {
            back += usize::from(client.get(path).await.text() == "a");
        }
        counts.push(back);
        lab.time_passes(3 * SECOND).await;
    }
    counts.dedup();
    assert!(counts.is_sorted(), "no URL goes to and fro: {counts:?}");
    assert_eq!((counts.first(), counts.last()), (Some(&0), Some(&40)));
    assert!(counts.len() >= 4, "in steps: {counts:?}");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_makes_no_sense_changes_nothing() {
    let mut lab = lab_with_two_origins("").await;
    lab.news();
    for (body, status, problem) in [
        (r#"{"site": "www", "origin": "a", "order": "stop"}"#, 400, "expected one of \"disable\", \"drain\""),
        (r#"{"site": "web", "origin": "a", "order": "drain"}"#, 404, "site \"web\": expected one of \"www\""),
        (r#"{"site": "www", "origin": "c", "order": "drain"}"#, 404, "origin \"c\": expected one of \"a\", \"b\""),
        ("drain", 400, "expected an object of"),
    ] {
        let request =
            Request::post("/v1/origin").header("content-type", "application/json").header("host", "127.0.0.1");
        let (answered, document) = lab.admin(request.body(Full::from(body)).unwrap()).await;
        assert_eq!(answered, status, "{document}");
        assert!(document["problems"][0].as_str().unwrap().contains(problem), "{document}");
    }
    assert_eq!(lab.news(), Vec::<&str>::new());
}
