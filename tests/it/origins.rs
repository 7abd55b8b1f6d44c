//! Names, addresses and probes.

use std::time::Duration;

use bytes::Bytes;
use holdover::origin::dns::answers::Lookup;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_name_that_no_longer_resolves_keeps_its_last_good_addresses() {
    let mut lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("a").with("cache-control", "no-store"));
    for lookup in [Lookup::Failed("SERVFAIL".into()), Lookup::Empty, Lookup::NoSuchName] {
        lab.origin("a").resolves_to(Some(lookup));
        lab.time_passes(300 * SECOND).await;
        lab.client().await.get("/x").await.says(200, "a");
    }
    assert!(lab.news().contains(&"resolve-failed"));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_never_resolved_is_an_unhealthy_origin_and_nothing_worse() {
    let lab = Lab::start(&["a", "b"], "").await;
    let gone =
        Lab::start(&["a", "b"], "[[site.origin]]\nname = \"lost\"\nurl = \"http://nowhere.invalid\"\nrank = 1\n").await;
    for lab in [lab, gone] {
        lab.origin("a").answers("/x", Answer::ok("a").with("cache-control", "no-store"));
        lab.client().await.get("/x").await.says(200, "a").within(SECOND / 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_while_dns_is_dead_serves_from_the_addresses_of_its_last_run() {
    for lookup in [Lookup::Failed("timeout".into()), Lookup::Empty, Lookup::NoSuchName] {
        let lab = Lab::start(&["a", "b"], "").await;
        for name in ["a", "b"] {
            lab.origin(name).answers("/x", Answer::ok(name).with("cache-control", "no-store"));
            lab.origin(name).resolves_to(Some(lookup.clone()));
        }
        lab.time_passes(600 * SECOND).await;
        let mut lab = lab.restart().await;
        lab.client().await.get("/x").await.says(200, "a").within(SECOND / 10);
        assert_eq!(lab.mode().await, "normal");
        let origin = origin_status(&lab).await;
        assert_eq!(origin["answer_remembered"], true);
        let age = origin["answer_age_seconds"].as_f64().unwrap();
        assert!((570.0..610.0).contains(&age), "{age}");
        let shown = lab.metrics().contains("holdover_dns_answer_timestamp_seconds{site=\"www\",origin=\"a\"} 1");
        assert!(shown, "{}", lab.metrics());
        assert!(origin["lookup_failure"].is_string(), "the name was looked up all the same");
        let news = lab.news();
        assert!(["addresses-remembered", "resolve-failed"].iter().all(|event| news.contains(event)), "{news:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_gives_way_to_the_first_good_answer() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("a").with("cache-control", "no-store"));
    let lookup = Lookup::Failed("SERVFAIL".into());
    lab.origin("a").resolves_to(Some(lookup));
    let lab = lab.restart().await;
    lab.origin("a").moves_to([192, 0, 2, 99].into());
    lab.origin("a").resolves_to(None);
    lab.time_passes(5 * SECOND).await;
    lab.client().await.get("/x").await.says(200, "a").within(SECOND / 10);
    let origin = origin_status(&lab).await;
    assert_eq!(origin["answer_remembered"], false);
    assert_eq!(origin["endpoints"][0]["address"], "192.0.2.99:80");
}

async fn origin_status(lab: &Lab) -> Value {
    let request = Request::get("/status").header("host", "127.0.0.1").body(Full::<Bytes>::default()).unwrap();
    lab.admin(request).await.1["sites"][0]["origins"][0].clone()
}

#[tokio::test(start_paused = true)]
async fn an_origin_whose_probe_lacks_the_expected_text_is_left() {
    let lab = Lab::start(&["a", "b"], "[site.probe]\nbody = \"home\"").await;
    for name in ["a", "b"] {
        lab.origin(name).answers("/x", Answer::ok(name).with("cache-control", "no-store"));
    }
    lab.client().await.get("/x").await.says(200, "a");
    lab.origin("a").answers("/", Answer::ok("<h1>Default page</h1>"));
    lab.time_passes(10 * SECOND).await;
    lab.client().await.get("/x").await.says(200, "b");
}

#[tokio::test(start_paused = true)]
async fn an_origin_whose_probe_is_not_answered_as_expected_is_left() {
    let page = |body: &str| Answer::ok(body).with("content-type", "text/html");
    let settings = r#"
        [site.probe]
        latency_max = "200ms"
        fields = ["content-type: text/html"]
        body_regex = "<h1>(Home|Start)</h1>"
        body_min = 20
    "#;
    for (bad, reason) in [
        (page("<h1>Home</h1> and more").after(SECOND / 2), "its head took 500ms, longer than 200ms"),
        (Answer::ok("<h1>Home</h1> and more"), "it has no field content-type"),
        (page("<h1>It works!</h1> and more"), "nothing in the body matches \"<h1>(Home|Start)</h1>\""),
        (page("<h1>Home</h1>"), "a body of 13 bytes, where at least 20 are expected"),
    ] {
        let lab = Lab::start(&["a", "b"], settings).await;
        for name in ["a", "b"] {
            lab.origin(name).answers("/", page("<h1>Start</h1> and more"));
            lab.origin(name).answers("/x", Answer::ok(name).with("cache-control", "no-store"));
        }
        lab.time_passes(60 * SECOND).await;
        lab.client().await.get("/x").await.says(200, "a");
        lab.origin("a").answers("/", bad);
        lab.time_passes(10 * SECOND).await;
        lab.client().await.get("/x").await.says(200, "b");
        assert_eq!(lab.why_ejected("a").await, format!("3 probes failed in a row, the last: {reason}"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_fails_requests_is_left_though_its_probes_pass() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", Answer::new(500, "broken"));
    lab.origin("b").answers("/x", Answer::ok("b").with("cache-control", "no-store"));
    let mut client = lab.client().await;
    for _ in 0..20 {
        client.get("/x").await.says(200, "b");
    }
    let wasted = lab.origin("a").requests("/x").len();
    assert!(wasted <= 5, "{wasted} requests were wasted on the bad origin");
}

#[tokio::test(start_paused = true)]
async fn one_url_that_always_fails_takes_nothing_else_down() {
    for (origins, settings) in [(&["a", "b"][..], ""), (&["a"][..], "[site.timeouts]\nfirst_byte = \"1s\"")] {
        let lab = Lab::start(origins, settings).await;
        for name in origins {
            let origin = lab.origin(name);
            origin.answers("/good", Answer::ok("good").with("cache-control", "no-store"));
            origin.answers("/fails", Answer::new(500, "broken"));
            origin.answers("/slow", Answer::ok("late").after(5 * SECOND));
            origin.answers("/cut", Answer::ok("a whole body").etag("v1").breaking_at(3));
            origin.answers("/odd", Answer::ok("").with("transfer-encoding", "gzip, chunked"));
        }
        let mut client = lab.client().await;
        for path in ["/fails", "/slow", "/cut", "/odd"] {
            for _ in 0..6 {
                client.get(path).await;
            }
            client.get("/good").await.says(200, "good").within(SECOND / 10);
            assert_eq!(lab.mode().await, "normal", "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn urls_that_another_origin_does_not_have_convict_nobody() {
    let lab = Lab::start(&["a", "b"], "").await;
    let mut client = lab.client().await;
    for number in 0..10 {
        let path = format!("/{number}");
        lab.origin("a").answers(&path, Answer::new(500, "broken"));
        client.get(&path).await.says(404, "not here");
    }
    lab.time_passes(SECOND / 10).await;
    assert_eq!(lab.preferred().await.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_breaks_bodies_which_others_complete_is_left() {
    let lab = Lab::start(&["a", "b"], "").await;
    let whole = Answer::ok("a whole body").with("cache-control", "no-store").etag("v1").with_ranges();
    lab.origin("a").answers("/x", whole.clone().breaking_at(3));
    lab.origin("b").answers("/x", whole);
    let mut client = lab.client().await;
    for _ in 0..10 {
        client.get("/x").await.says(200, "a whole body");
    }
    assert_eq!(lab.preferred().await.as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_asked_for_is_no_answer() {
    for (status, field) in [(206, ("content-range", "bytes 0-4/9")), (304, ("etag", "\"v1\""))] {
        let lab = Lab::start(&["a", "b"], "").await;
        lab.origin("a").answers("/x", Answer::new(status, "first").with(field.0, field.1));
        lab.origin("b").answers("/x", Answer::ok("whole"));
        lab.client().await.get("/x").await.says(200, "whole");
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_stays_down_is_probed_less_often_and_found_back_all_the_same() {
    let lab = Lab::start(&["a", "b"], "").await;
    for name in ["a", "b"] {
        lab.origin(name).answers("/x", Answer::ok(name).with("cache-control", "no-store"));
    }
    lab.origin("a").answers("/", Answer::new(500, "broken"));
    let mut rates = Vec::new();
    for minutes in [4, 36] {
        lab.time_passes(minutes * 60 * SECOND).await;
        let before = lab.origin("a").probes();
        lab.time_passes(100 * SECOND).await;
        rates.push(lab.origin("a").probes() - before);
    }
    assert!((45..=56).contains(&rates[0]) && (9..=11).contains(&rates[1]), "{rates:?}");
    lab.origin("a").answers("/", Answer::ok("mended"));
    lab.time_passes(180 * SECOND).await;
    lab.client().await.get("/x").await.says(200, "a");
}

#[tokio::test(start_paused = true)]
async fn what_the_node_itself_lacks_is_no_fault_of_an_origin() {
    let mut lab = Lab::start(&["a", "b"], "[site.failover]\nwarm = 0").await;
    for name in ["a", "b"] {
        lab.origin(name).answers("/x", Answer::ok(name).with("cache-control", "no-store"));
        lab.origin(name).is_out_of_means();
    }
    lab.news();
    for _ in 0..10 {
        let reply = lab.client().await.get("/x").await;
        assert_eq!((reply.status.as_u16(), reply.field("retry-after")), (503, "5"));
        lab.time_passes(SECOND).await;
    }
    assert_eq!(lab.mode().await, "normal");
    assert_eq!(lab.news(), Vec::<&str>::new());
    lab.origin("a").returns();
    lab.client().await.get("/x").await.says(200, "a");
}
