//! What a request asks of the cache (RFC 9111 §5.2.1).

use std::time::Duration;

use crate::lab::{Answer, Lab};

const ALL: &str = "[site.request]\ndirectives = \"all\"\n[site.stale]\nwhile_revalidate = \"0s\"";
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn by_default_no_client_can_make_the_origin_work() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    lab.time_passes(10 * SECOND).await;
    for fields in ["no-cache", "no-store", "max-age=0", "min-fresh=600"].map(|value| ("cache-control", value)) {
        client.get_with("/x", &[fields]).await.cache_status("hit; ttl=50");
    }
    client.get_with("/x", &[("pragma", "no-cache")]).await.cache_status("hit; ttl=50");
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_accepts_stale_gets_it_without_asking_the_origin() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(10).etag("v1"));
    lab.origin("a")
        .answers("/strict", Answer::ok("body").with("cache-control", "max-age=10, must-revalidate").etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    client.get("/strict").await.says(200, "body");
    lab.time_passes(30 * SECOND).await;
    let stale = client.get_with("/x", &[("cache-control", "max-stale=60")]).await;
    stale.says(200, "body").cache_status("hit; ttl=-20; detail=max-stale");
    client.get_with("/x", &[("cache-control", "max-stale")]).await.cache_status("hit; ttl=-20; detail=max-stale");
    let validated = client.get_with("/strict", &[("cache-control", "max-stale")]).await;
    validated.cache_status("fwd=stale; fwd-status=304; ttl=10; stored");
    client
        .get_with("/x", &[("cache-control", "max-stale=5")])
        .await
        .cache_status("fwd=stale; fwd-status=304; ttl=10; stored");
}

#[tokio::test(start_paused = true)]
async fn no_cache_has_a_fresh_response_validated_end_to_end() {
    let lab = Lab::start(&["a"], ALL).await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    lab.time_passes(10 * SECOND).await;
    for (name, asked, forwarded) in [
        ("cache-control", "no-cache", "no-cache"),
        ("cache-control", "No-Cache, max-age=\"0\", x=y", "no-cache, max-age=0"),
        ("pragma", "no-cache", "no-cache"),
    ] {
        let validated = client.get_with("/x", &[(name, asked)]).await;
        validated.says(200, "body").cache_status("fwd=request; fwd-status=304; ttl=60; stored");
        let requests = lab.origin("a").requests("/x");
        let head = requests.last().unwrap();
        let directives = format!("cache-control: {forwarded}\r\n");
        assert!(head.contains("if-none-match: \"v1\"") && head.contains(&directives), "{head}");
        lab.time_passes(SECOND).await;
    }
    client.get_with("/x", &[("cache-control", "max-age=5")]).await.cache_status("hit; ttl=59");
    client.get_with("/x", &[("cache-control", "min-fresh=30")]).await.cache_status("hit; ttl=59");
}

#[tokio::test(start_paused = true)]
async fn a_fresh_response_is_better_than_the_error_that_a_request_asked_for() {
    let lab = Lab::start(&["a"], ALL).await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(600));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    let no_cache = [("cache-control", "no-cache")];
    lab.origin("a").answers("/x", Answer::new(503, "overloaded"));
    let failed = client.get_with("/x", &no_cache).await;
    failed.says(200, "body").cache_status("fwd=request; fwd-status=503; ttl=599; detail=status");
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    assert!(client.get_with("/x", &no_cache).await.says(200, "body").field("cache-status").starts_with("lab; hit; "));
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_request_with_no_store_is_neither_stored_nor_shared() {
    let lab = Lab::start(&["a"], ALL).await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).after(SECOND));
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    let secret = [("cache-control", "no-store")];
    let (first, second) = tokio::join!(one.get_with("/x", &secret), two.get_with("/x", &secret));
    first.says(200, "body").cache_status("fwd=uri-miss; fwd-status=200");
    second.says(200, "body").cache_status("fwd=uri-miss; fwd-status=200");
    one.get("/x").await.cache_status("fwd=uri-miss; fwd-status=200; stored");
    one.get_with("/x", &secret).await.says(200, "body").cache_status("hit; ttl=59");
    assert_eq!(lab.origin("a").requests("/x").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_behind_the_back_of_a_client_does_not_pass_on_what_it_asked() {
    let lab = Lab::start(&["a"], "[site.request]\ndirectives = \"all\"").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(10).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    lab.time_passes(20 * SECOND).await;
    client.get_with("/x", &[("cache-control", "only-if-cached")]).await.says(200, "body");
    lab.time_passes(SECOND).await;
    let refresh = lab.origin("a").requests("/x").pop().unwrap();
    assert!(!refresh.contains("only-if-cached"), "{refresh}");
}

#[tokio::test(start_paused = true)]
async fn authorized_clients_renew_what_all_share_whatever_they_have() {
    let settings = "[site.request]\nauthorization = \"cache\"\n[site.stale]\nwhile_revalidate = \"0s\"";
    let lab = Lab::start(&["a"], settings).await;
    let answer = |body| Answer::ok(body).with("cache-control", "public, max-age=10");
    let fields = [("authorization", "Basic eDp5"), ("if-none-match", "\"mine\"")];
    let mut client = lab.client().await;
    lab.origin("a").answers("/x", answer("body").etag("v1"));
    client.get("/x").await.says(200, "body");
    lab.time_passes(20 * SECOND).await;
    client.get_with("/x", &fields).await.cache_status("fwd=stale; fwd-status=304; ttl=10; stored");
    assert!(!lab.origin("a").requests("/x").pop().unwrap().contains("mine"), "the cache asks by what it has");
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").answers("/x", answer("new").etag("v2"));
    client.get_with("/x", &fields).await.says(200, "new").cache_status("fwd=stale; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_in_vain_behind_the_back_of_a_client() {
    let lab = Lab::start(&["a"], "[site.request]\nauthorization = \"cache\"").await;
    let mut client = lab.client().await;
    for (path, field) in [("/x", ("authorization", "Basic eDp5")), ("/y", ("accept", "<script>"))] {
        lab.origin("a").answers(path, Answer::ok("body").max_age(10));
        client.get(path).await.says(200, "body");
        lab.time_passes(20 * SECOND).await;
        for _ in 0..5 {
            client.get_with(path, &[field]).await.says(200, "body");
            lab.time_passes(SECOND).await;
        }
        assert_eq!(lab.origin("a").requests(path).len(), 1, "what these bring could not be stored");
        client.get(path).await.says(200, "body");
        lab.time_passes(SECOND).await;
        assert_eq!(lab.origin("a").requests(path).len(), 2);
    }
}
