//! Taking responses out of the cache, at the next request and whatever is on its way.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

/// The lab's clients are in this network.
const FROM_CLIENTS: &str = "[site.purge]\nfrom = [\"198.51.100.0/24\"]";

#[tokio::test(start_paused = true)]
async fn what_a_purge_covers_is_asked_for_again_and_the_rest_is_not() {
    let cases = [
        (json!({"urls": ["https://www.test/shoes/red?size=9"]}), "/shoes/red?size=9", "/shoes/red?size=10"),
        (json!({"urls": ["http://WWW.test:8080/shoes/./red?size=9"]}), "/shoes/red?size=9", "/shoes/red"),
        (json!({"prefixes": ["https://www.test/shoes/"]}), "/shoes/red", "/shoesale"),
        (json!({"tags": ["shoes", "hats"]}), "/shoes/red", "/coats/red"),
        (json!({"hosts": ["www.test"]}), "/shoes/red", ""),
        (json!({"all": true}), "/shoes/red", ""),
    ];
    for (purge, covered, other) in cases {
        let lab = Lab::start(&["a"], "").await;
        let mut client = lab.client().await;
        for path in [covered, other].into_iter().filter(|path| !path.is_empty()) {
            let tag = path.split('/').nth(1).unwrap();
            lab.origin("a").answers(path, Answer::ok("old").max_age(60).with("surrogate-key", &format!("x {tag}")));
            client.get(path).await.says(200, "old");
            lab.origin("a").answers(path, Answer::ok("new").max_age(60));
        }
        let (status, receipt) = lab.purge(purge.clone()).await;
        assert_eq!((status, receipt), (200, json!({"sequence": 1, "mode": "hard", "responses": 1})), "{purge}");
        client.get(covered).await.says(200, "new").cache_status("fwd=uri-miss; fwd-status=200; stored");
        if !other.is_empty() {
            client.get(other).await.says(200, "old").cache_status("hit; ttl=59");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_soft_purge_serves_stale_while_it_asks_and_when_nobody_answers() {
    let mut lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("old").max_age(3600).with("cache-tag", "a"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    lab.news();
    lab.purge(json!({"tags": ["a"], "soft": true})).await;
    assert_eq!(lab.news(), ["purged"]);
    lab.time_passes(2 * SECOND).await;
    origin.answers("/x", Answer::ok("new").max_age(3600).with("cache-tag", "a"));
    client.get("/x").await.says(200, "old").cache_status("hit; ttl=-2; detail=stale-while-revalidate");
    lab.time_passes(SECOND).await;
    client.get("/x").await.says(200, "new").cache_status("hit; ttl=3599");

    lab.purge(json!({"tags": ["a"], "soft": true})).await;
    origin.dies();
    lab.mode_becomes("stale-only").await;
    client.get("/x").await.says(200, "new");
    assert!(lab.metrics().contains("holdover_purges_total{mode=\"soft\"} 2\n"), "{}", lab.metrics());
}

#[tokio::test(start_paused = true)]
async fn a_fill_begun_before_a_purge_is_neither_stored_nor_joined_after_it() {
    for purge in [json!({"urls": ["https://www.test/x"]}), json!({"tags": ["late"]}), json!({"hosts": ["www.test"]})] {
        let lab = Lab::start(&["a"], "").await;
        let origin = lab.origin("a");
        let old = Answer::ok("old").max_age(60).with("xkey", "late");
        origin.answers("/x", old.after(2 * SECOND));
        let (mut one, mut two, mut three) = (lab.client().await, lab.client().await, lab.client().await);
        let (before, after, later) = tokio::join!(
            one.get("/x"),
            async {
                lab.time_passes(SECOND).await;
                lab.purge(purge.clone()).await;
                origin.answers("/x", Answer::ok("new").max_age(60).after(2 * SECOND));
                two.get("/x").await
            },
            async {
                lab.time_passes(5 * SECOND / 2).await;
                three.get("/x").await
            }
        );
        before.says(200, "old");
        after.says(200, "new");
        later.says(200, "new");
        one.get("/x").await.says(200, "new");
        assert_eq!(origin.requests("/x").len(), 2, "{purge}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fill_begun_before_a_soft_purge_is_stored_stale() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("old").max_age(60).after(2 * SECOND));
    let mut client = lab.client().await;
    let (before, _) = tokio::join!(client.get("/x"), async {
        lab.time_passes(SECOND).await;
        lab.purge(json!({"all": true, "soft": true})).await;
    });
    before.says(200, "old");
    origin.answers("/x", Answer::ok("new").max_age(60));
    client.get("/x").await.says(200, "old").cache_status("hit; ttl=-1; detail=stale-while-revalidate");
    lab.time_passes(SECOND).await;
    client.get("/x").await.says(200, "new");
}

#[tokio::test(start_paused = true)]
async fn a_validation_brings_nothing_purged_back() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("old").max_age(1).etag("1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    lab.time_passes(2 * SECOND).await;
    origin.answers("/x", Answer::ok("old").max_age(60).etag("1").after(SECOND / 10));
    let (_, _) = tokio::join!(client.get("/x"), async {
        lab.time_passes(SECOND / 20).await;
        lab.purge(json!({"urls": ["https://www.test/x"]})).await;
    });
    origin.answers("/x", Answer::ok("new").max_age(60));
    client.get("/x").await.says(200, "new").cache_status("fwd=uri-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn every_variant_of_a_url_goes_with_it() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for (coding, body) in [("gzip", "zipped"), ("br", "brotli")] {
        let answer = Answer::ok(body).max_age(60).with("vary", "accept-encoding").with("content-encoding", coding);
        lab.origin("a").answers("/x", answer);
        client.get_with("/x", &[("accept-encoding", coding)]).await.says(200, body);
    }
    let (_, receipt) = lab.purge(json!({"urls": ["https://www.test/x"]})).await;
    assert_eq!(receipt["responses"], 2);
    client.get_with("/x", &[("accept-encoding", "gzip")]).await.cache_status("fwd=uri-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn memory_comes_back_with_the_sweep() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for number in 0..20 {
        let path = format!("/{number}");
        lab.origin("a").answers(&path, Answer::ok("x".repeat(10_000)).max_age(60).with("xkey", "all"));
        client.get(&path).await;
    }
    let store = &lab.shared().store;
    assert!(store.ledger().used() > 200_000);
    lab.purge(json!({"tags": ["all"]})).await;
    store.sweep();
    assert_eq!((store.ledger().used(), store.keys()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn more_tags_than_are_kept_are_not_stored() {
    let lab = Lab::start(&["a"], "").await;
    let tags: String = (0..300).map(|number| format!("tag{number} ")).collect();
    lab.origin("a").answers("/x", Answer::ok("x").max_age(60).with("surrogate-key", &tags));
    let mut client = lab.client().await;
    client.get("/x").await.cache_status("fwd=uri-miss; fwd-status=200");
    client.get("/x").await.cache_status("fwd=uri-miss; fwd-status=200");
}

#[tokio::test(start_paused = true)]
async fn the_purge_method_takes_its_target_out() {
    let lab = Lab::start(&["a"], FROM_CLIENTS).await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("old").max_age(60));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    origin.answers("/x", Answer::ok("new").max_age(60));
    let soft = client.send("PURGE", "/x", &[("fastly-soft-purge", "1")], "").await;
    soft.says(200, "{\"mode\":\"soft\",\"responses\":1,\"sequence\":1}\n");
    client.get("/x").await.says(200, "old");
    let hard = client.send("PURGE", "/x", &[], "").await;
    assert_eq!(hard.status, 200);
    client.get("/x").await.says(200, "new");
    client.send("PURGE", "/unknown", &[], "").await.says(200, "{\"mode\":\"hard\",\"responses\":0,\"sequence\":3}\n");
    assert_eq!(origin.requests("/unknown").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_purge_method_needs_an_address_or_a_token() {
    let token = "[site.purge]\nfrom = [\"10.0.0.0/8\"]\ntoken = \"correct-horse-battery\"";
    let lab = Lab::start(&["a"], token).await;
    lab.origin("a").answers("/x", Answer::ok("old").max_age(60));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    for fields in [&[][..], &[("authorization", "Bearer wrong-horse-battery")], &[("authorization", "Basic x")]] {
        assert_eq!(client.send("PURGE", "/x", fields, "").await.status, 403);
    }
    client.get("/x").await.cache_status("hit; ttl=60");
    let fields = [("authorization", "bearer correct-horse-battery")];
    assert_eq!(client.send("PURGE", "/x", &fields, "").await.status, 200);
    client.get("/x").await.cache_status("fwd=uri-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn without_anybody_who_may_the_purge_method_is_passed_on() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    client.send("PURGE", "/x", &[], "").await.says(404, "not here");
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_purge_with_one_bad_name_purges_nothing() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("old").max_age(60).with("xkey", "a"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    let deep = format!("https://www.test{}/", "/d".repeat(17));
    let (status, answer) =
        lab.purge(json!({"tags": ["a"], "hosts": ["elsewhere.test"], "prefixes": ["https://www.test/x", deep]})).await;
    assert_eq!(status, 400);
    let problems: Vec<&str> = answer["problems"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(
        problems[0].starts_with("prefixes[0] \"https://www.test/x\": expected a URL that ends with"),
        "{problems:?}"
    );
    assert!(problems[1].ends_with("expected at most 16 directories"), "{problems:?}");
    assert!(problems[2].contains("no site serves this host"), "{problems:?}");
    client.get("/x").await.cache_status("hit; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn a_purge_is_json_by_post() {
    let lab = Lab::start(&["a"], "").await;
    let body = || Full::from(Bytes::from(r#"{"all": true}"#));
    let plain = Request::post("/v1/purge")
        .header("host", "localhost:9090")
        .header("content-type", "text/plain")
        .body(body())
        .unwrap();
    assert_eq!(lab.admin(plain).await.0, 415);
    let get = Request::get("/v1/purge").body(Full::default()).unwrap();
    assert_eq!(lab.admin(get).await.0, 405);
    let large = Request::post("/v1/purge").header("host", "localhost:9090").header("content-type", "application/json");
    assert_eq!(lab.admin(large.body(Full::from(" ".repeat(5 << 20))).unwrap()).await.0, 413);
    let parameters = Request::post("/v1/purge")
        .header("host", "localhost:9090")
        .header("content-type", "application/json; charset=utf-8");
    assert_eq!(lab.admin(parameters.body(body()).unwrap()).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_purged_while_it_waits_is_not_served() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"\nwait = \"2s\"").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("old").max_age(1));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    lab.time_passes(2 * SECOND).await;
    origin.answers("/x", Answer::new(503, "down").after(SECOND));
    let (reply, _) = tokio::join!(client.get("/x"), async {
        lab.time_passes(SECOND / 2).await;
        lab.purge(json!({"urls": ["https://www.test/x"]})).await;
    });
    assert_ne!(reply.text(), "old", "purged half a second before it was served");
}

#[tokio::test(start_paused = true)]
async fn a_fresh_fallback_purged_while_it_waits_is_not_served() {
    let lab = Lab::start(&["a"], "[site.request]\ndirectives = \"all\"").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("old").max_age(600));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    origin.answers("/x", Answer::new(503, "down").after(2 * SECOND));
    let no_cache = [("cache-control", "no-cache")];
    let (reply, _) = tokio::join!(client.get_with("/x", &no_cache), async {
        lab.time_passes(SECOND / 2).await;
        lab.purge(json!({"urls": ["https://www.test/x"]})).await;
    });
    assert_ne!(reply.text(), "old");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_behind_a_validation_that_is_purged_is_one_more_fetch() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    let old = || Answer::ok("old").with("cache-control", "max-age=1, must-revalidate").etag("1");
    origin.answers("/x", old());
    lab.client().await.get("/x").await.says(200, "old");
    lab.time_passes(3 * SECOND).await;
    origin.answers("/x", old().after(SECOND));
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let mut client = lab.client().await;
        crowd.spawn(async move { client.get("/x").await });
    }
    lab.time_passes(SECOND / 2).await;
    lab.purge(json!({"urls": ["https://www.test/x"]})).await;
    crowd.join_all().await;
    let asked = origin.requests("/x").len();
    assert!(asked <= 4, "{asked} requests to the origin");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_survives_several_purges_while_it_waits() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("body").max_age(60).after(SECOND));
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = lab.client().await;
        crowd.spawn(async move { client.get("/x").await });
    }
    for _ in 0..5 {
        lab.time_passes(SECOND * 9 / 10).await;
        lab.purge(json!({"urls": ["https://www.test/x"]})).await;
    }
    let replies = crowd.join_all().await;
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wildcard_is_no_host_to_purge() {
    let origin = "[[site.origin]]\nname = \"o\"\nurl = \"http://a.test\"\n";
    let wild = format!("\n{origin}\n[[site]]\nname = \"wild\"\nhosts = [\"*.wild.test\"]\n");
    let lab = Lab::start(&["a"], &wild).await;
    let (status, answer) = lab.purge(json!({"hosts": ["*.wild.test"]})).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_second_soft_purge_does_not_prolong_the_stale_window() {
    let lab = Lab::start(&["a"], "[site.stale]\nmax = \"1h\"").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("old").max_age(1_000_000).with("xkey", "t"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    for _ in 0..5 {
        lab.purge(json!({"tags": ["t"], "soft": true})).await;
        lab.shared().store.sweep();
        lab.time_passes(3000 * SECOND).await;
    }
    origin.answers("/x", Answer::ok("new").max_age(60));
    lab.purge(json!({"tags": ["t"], "soft": true})).await;
    // Made stale 15000 s ago; nothing may be served 3600 s after.
    client.get("/x").await.says(200, "new");
}

#[tokio::test(start_paused = true)]
async fn a_prefix_with_a_query_is_refused_even_if_the_query_does_not_count() {
    let lab = Lab::start(&["a"], "[site.key]\nquery_drop = [\"page\"]").await;
    let (status, answer) = lab.purge(json!({"prefixes": ["https://www.test/a/?page=2"]})).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_page_of_another_name_cannot_purge() {
    let lab = Lab::start(&["a"], "").await;
    let request =
        Request::post("/v1/purge").header("content-type", "application/json").header("host", "evil.test:9090");
    let request = request.header("origin", "http://evil.test:9090");
    let (status, answer) = lab.admin(request.body(Full::from(Bytes::from("{\"all\": true}"))).unwrap()).await;
    assert!((400..500).contains(&status), "{status} {answer}");
}

#[tokio::test(start_paused = true)]
async fn a_soft_purge_ends_a_revival() {
    let lab = Lab::start(&["a"], "[site.request]\ndirectives = \"all\"\n[site.stale]\nrevive = \"60s\"").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("old").max_age(600));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    origin.answers("/x", Answer::new(503, "down"));
    client.get_with("/x", &[("cache-control", "no-cache")]).await.says(200, "old");
    origin.answers("/x", Answer::ok("new").max_age(600));
    lab.purge(json!({"all": true, "soft": true})).await;
    client.get("/x").await.says(200, "old");
    lab.time_passes(10 * SECOND).await;
    client.get("/x").await.says(200, "new");
}
