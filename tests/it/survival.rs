//! What the node says would survive an outage, and what does.

use std::time::Duration;

use bytes::Bytes;
use holdover::serve::survival::surveyor::survey;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::lab::{Answer, Client, Lab, Reply};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_would_survive_an_outage_is_told() {
    let lab = Lab::start(&["a", "b"], "[site.stale]\nmax = \"2h\"").await;
    for name in ["a", "b"] {
        stocks(&lab, name);
    }
    let mut client = lab.client().await;
    let visited = visits(&mut client).await;
    assert!(visited.iter().all(|reply| reply.body.is_some()));
    // A good probe vouches for what came.
    lab.time_passes(3 * SECOND).await;
    let told = survivability(&lab).await;
    lab.origin("a").dies();
    lab.origin("b").dies();
    lab.mode_becomes("stale-only").await;
    let mut passed = Duration::ZERO;
    for (horizon, after) in [("now", 0), ("5m", 300), ("1h", 3600), ("6h", 6 * 3600)] {
        lab.time_passes(after * SECOND - passed).await;
        passed = after * SECOND;
        // As a node does every few seconds, so that its hour ends with the present.
        survivability(&lab).await;
        let replies = visits(&mut client).await;
        let [requests, bytes] = answered(&visited, &replies);
        let close = |share: &Value, truth: f64| (share.as_f64().unwrap() - truth).abs() < 1e-4;
        let (shares, weight) = (&told["requests"][horizon], &told["bytes"][horizon]);
        assert!(close(shares, requests), "{horizon}: {shares} told, {requests} answered\n{told:#}");
        assert!(close(weight, bytes), "{horizon}: {weight} of the bytes told, {bytes} answered\n{told:#}");
    }
    assert_eq!(survivability(&lab).await["requests"]["now"], 0.0);
}

#[tokio::test(start_paused = true)]
async fn what_would_not_survive_is_told_with_its_reason_and_place() {
    let lab = Lab::start(&["a"], "[site.stale]\nmax = \"2h\"").await;
    stocks(&lab, "a");
    let mut client = lab.client().await;
    visits(&mut client).await;
    let told = survivability(&lab).await;
    for (reason, since, url) in [
        ("authorization", "now", "/account"),
        ("error", "now", "/broken"),
        ("expired", "6h", "/kept"),
        ("method", "now", "/form"),
        ("must-revalidate", "5m", "/strict"),
        ("no-cache", "now", "/checked"),
        ("no-store", "now", "/cart"),
        ("s-maxage", "1h", "/shared"),
        ("set-cookie", "now", "/login"),
        ("too-large", "now", "/film"),
    ] {
        let lost = told["lost"].as_array().unwrap().iter().find(|lost| lost["reason"] == reason);
        let lost = lost.unwrap_or_else(|| panic!("no {reason} in {told:#}"));
        let horizons = ["now", "5m", "1h", "6h", "24h"];
        let first = horizons.iter().find(|horizon| lost["requests"][**horizon].as_f64().unwrap() > 0.0);
        assert_eq!(first, Some(&since), "{reason}: {lost:#}");
        let urls: Vec<_> = lost["examples"].as_array().unwrap().iter().map(|example| &example["url"]).collect();
        assert!(urls.contains(&&Value::from(format!("https://www.test{url}"))), "{reason}: {lost:#}");
    }
    let metrics = lab.metrics();
    let share = &told["requests"]["1h"];
    let line = r#"holdover_survivable_ratio{site="www",by="requests",horizon="1h"} "#;
    let shown: f64 = metrics.lines().find_map(|found| found.strip_prefix(line)).unwrap().parse().unwrap();
    assert!((shown - share.as_f64().unwrap()).abs() < 1e-4, "{shown} {share}");
    assert!(metrics.contains(r#"holdover_unsurvivable_ratio{site="www",by="bytes",reason="too-large"}"#));
}

#[tokio::test(start_paused = true)]
async fn what_was_purged_or_has_come_back_is_told_as_it_is() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("body").max_age(60).with("vary", "accept-encoding, accept-language"));
    let mut client = lab.client().await;
    for language in ["de", "en"] {
        client.get_with("/x", &[("accept-language", language)]).await.says(200, "body");
    }
    assert_eq!(survivability(&lab).await["requests"]["now"], 1.0);
    lab.purge(serde_json::json!({ "urls": ["https://www.test/x"] })).await;
    let told = survivability(&lab).await;
    assert_eq!((&told["requests"]["now"], &told["lost"][0]["reason"]), (&Value::from(0.0), &Value::from("gone")));
    client.get_with("/x", &[("accept-language", "de")]).await.says(200, "body");
    let told = survivability(&lab).await;
    assert_eq!(told["requests"]["now"], 0.6667, "two of three ask for the variant that is back: {told:#}");
}

#[tokio::test(start_paused = true)]
async fn an_hour_later_it_is_forgotten() {
    let lab = Lab::start(&["a"], "").await;
    stocks(&lab, "a");
    let mut client = lab.client().await;
    client.get("/cart").await;
    client.get("/elsewhere").await;
    let refused = client.send("CONNECT", "/", &[], "").await;
    assert_eq!(refused.status.as_u16(), 405);
    for minute in 0..59 {
        let told = survivability(&lab).await;
        assert_eq!(told["samples"], 4, "two requests, each by number and by bytes, after {minute} minutes");
        lab.time_passes(60 * SECOND).await;
    }
    lab.time_passes(120 * SECOND).await;
    assert_eq!(survivability(&lab).await, Value::Null);
    assert!(!lab.metrics().contains("survivable_ratio{"));
}

/// A bit of everything.
fn stocks(lab: &Lab, origin: &str) {
    let origin = lab.origin(origin);
    let film = "x".repeat(5_000_000);
    for (path, answer) in [
        ("/kept", Answer::ok("kept").max_age(600)),
        ("/large", Answer::ok(&film[..50_000]).max_age(600)),
        ("/varied", Answer::ok("varied").max_age(30).with("vary", "accept-encoding, x-region")),
        ("/strict", Answer::ok("strict").with("cache-control", "max-age=120, must-revalidate")),
        ("/shared", Answer::ok("shared").with("cache-control", "s-maxage=1800")),
        ("/checked", Answer::ok("checked").with("cache-control", "no-cache")),
        ("/cart", Answer::ok("cart").with("cache-control", "no-store")),
        ("/login", Answer::ok("login").with("set-cookie", "a=b")),
        ("/account", Answer::ok("account")),
        ("/form", Answer::ok("form").max_age(600)),
        ("/film", Answer::ok(film.as_str()).max_age(600)),
        ("/broken", Answer::new(500, "broken")),
    ] {
        origin.answers(path, answer);
    }
}

/// Requests for all of it, some of them twice.
async fn visits(client: &mut Client) -> Vec<Reply> {
    let mut replies = Vec::new();
    for path in ["/kept", "/kept", "/kept", "/large", "/strict", "/shared", "/checked", "/cart", "/cart", "/login"] {
        replies.push(client.get(path).await);
    }
    for path in ["/film", "/broken", "/nowhere", "/kept?page=2"] {
        replies.push(client.get(path).await);
    }
    for region in ["north", "south", "north"] {
        replies.push(client.get_with("/varied", &[("accept-encoding", "br"), ("x-region", region)]).await);
    }
    replies.push(client.get_with("/account", &[("authorization", "Basic eA==")]).await);
    replies.push(client.send("POST", "/form", &[("content-length", "1")], "x").await);
    replies.push(client.send("HEAD", "/kept", &[], "").await);
    replies.push(client.get_with("/large", &[("range", "bytes=0-99")]).await);
    replies
}

/// The shares of requests and of bytes of `before` that were answered later.
fn answered(before: &[Reply], later: &[Reply]) -> [f64; 2] {
    let length = |reply: &Reply| reply.body.as_ref().map_or(0, Bytes::len) as f64;
    let is_answered = |reply: &&Reply| !reply.status.is_server_error();
    let total: f64 = before.iter().map(length).sum();
    let bytes: f64 = before.iter().zip(later).filter(|(_, later)| is_answered(later)).map(|(one, _)| length(one)).sum();
    [later.iter().filter(is_answered).count() as f64 / before.len() as f64, bytes / total]
}

/// What `/status` says after a survey.
async fn survivability(lab: &Lab) -> Value {
    let shared = lab.shared();
    survey(&shared.sites, &shared.store, shared.clock.now().monotonic, || {});
    let (_, status) = lab.admin(Request::get("/status").body(Full::default()).unwrap()).await;
    status["sites"][0]["survivability"].clone()
}
