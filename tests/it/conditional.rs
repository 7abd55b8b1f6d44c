//! Validation, on both sides of the cache.

use std::time::Duration;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);
const STRICT: &str = "[site.stale]\nwhile_revalidate = \"0s\"";

#[tokio::test(start_paused = true)]
async fn a_client_that_has_the_response_gets_304_from_the_cache() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).etag("v1"));
    let mut client = lab.client().await;
    let condition = [("if-none-match", "\"v0\", \"v1\"")];
    let miss = client.get_with("/x", &condition).await;
    miss.says(304, "");
    assert!(!lab.origin("a").requests("/x")[0].contains("if-none-match"), "the whole response is fetched and stored");
    let hit = client.get_with("/x", &condition).await;
    hit.says(304, "").cache_status("hit; ttl=60");
    assert_eq!(hit.field("etag"), "\"v1\"");
    client.get_with("/x", &[("if-none-match", "\"v2\"")]).await.says(200, "body");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_for_the_origin_to_compare_with_what_the_client_has() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("mine").with("cache-control", "private").etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "mine");
    let condition = [("if-none-match", "\"v1\"")];
    client.get_with("/x", &condition).await.says(304, "").cache_status("fwd=uri-miss; fwd-status=304");
    assert_eq!(client.send("HEAD", "/x", &[], "").await.says(200, "").field("content-length"), "4");
    let requests = lab.origin("a").requests("/x");
    assert!(requests[1].contains("if-none-match: \"v1\"\r\n"), "{}", requests[1]);
    assert!(requests[2].starts_with("HEAD "), "{}", requests[2]);
}

#[tokio::test(start_paused = true)]
async fn conditions_that_only_an_origin_can_judge_reach_it_alone() {
    let lab = Lab::start(&["a"], "").await;
    let failed = Answer::new(412, "changed").max_age(60);
    lab.origin("a").answers("/x", failed.after(SECOND / 10));
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    let since = [("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let (matched, since) = tokio::join!(one.get_with("/x", &[("if-match", "\"v1\"")]), two.get_with("/x", &since));
    matched.says(412, "changed").cache_status("fwd=uri-miss; fwd-status=412");
    since.says(412, "changed").cache_status("fwd=uri-miss; fwd-status=412");
    let requests = lab.origin("a").requests("/x");
    assert!(requests[0].contains("if-match: \"v1\"") && requests[1].contains("if-unmodified-since: "), "{requests:?}");
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).etag("v2"));
    one.get("/x").await.says(200, "body").cache_status("fwd=uri-miss; fwd-status=200; stored");
    one.get_with("/x", &[("if-match", "\"v1\"")]).await.says(200, "body").cache_status("hit; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn a_304_freshens_the_variant_it_speaks_of() {
    let settings = "[site.request]\nfields = [\"accept-language\"]\n[site.stale]\nwhile_revalidate = \"0s\"";
    let lab = Lab::start(&["a"], settings).await;
    let mut client = lab.client().await;
    for (language, lifetime) in [("de", 100), ("en", 10)] {
        let answer = Answer::ok(language).max_age(lifetime).etag(language).with("vary", "accept-language");
        lab.origin("a").answers("/x", answer);
        client.get_with("/x", &[("accept-language", language)]).await.says(200, language);
    }
    lab.time_passes(20 * SECOND).await;
    let validated = client.get_with("/x", &[("accept-language", "en")]).await;
    validated.says(200, "en").cache_status("fwd=stale; fwd-status=304; ttl=10; stored");
    client.get_with("/x", &[("accept-language", "de")]).await.says(200, "de").cache_status("hit; ttl=79");
    assert!(lab.origin("a").requests("/x")[2].contains("if-none-match: \"en\"\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_stale_response_is_validated_and_freshened() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(10).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    lab.time_passes(20 * SECOND).await;
    client.get("/x").await.says(200, "body").cache_status("fwd=stale; fwd-status=304; ttl=10; stored");
    assert!(lab.origin("a").requests("/x")[1].contains("if-none-match: \"v1\"\r\n"));
    lab.time_passes(5 * SECOND).await;
    client.get("/x").await.says(200, "body").cache_status("hit; ttl=5").aged(5);
}

#[tokio::test(start_paused = true)]
async fn a_new_version_replaces_the_stale_one() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::ok("old").max_age(10).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    lab.origin("a").answers("/x", Answer::ok("new").max_age(10).etag("v2"));
    lab.time_passes(20 * SECOND).await;
    client.get("/x").await.says(200, "new").cache_status("fwd=stale; fwd-status=200; stored");
    client.get("/x").await.says(200, "new").cache_status("hit; ttl=10");
}

#[tokio::test(start_paused = true)]
async fn a_304_can_withdraw_what_the_response_permitted() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    for withdrawal in ["private, max-age=600", "no-store"] {
        lab.origin("a").answers("/x", Answer::ok("body").max_age(10).etag("v1"));
        let mut client = lab.client().await;
        client.get("/x").await.says(200, "body");
        lab.origin("a").answers("/x", Answer::ok("body").with("cache-control", withdrawal).etag("v1"));
        lab.time_passes(20 * SECOND).await;
        client.get("/x").await.says(200, "body");
        client.get("/x").await.says(200, "body").cache_status("fwd=uri-miss; fwd-status=200");
        lab.time_passes(70 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_that_states_a_length_has_no_body_all_the_same() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::new(304, "").with("content-length", "4").with("etag", "\"v1\""));
    let fields = [("authorization", "Basic eDp5"), ("if-none-match", "\"v1\"")];
    lab.client().await.get_with("/x", &fields).await.says(304, "");
    lab.http2_client().await.send("GET", "/x", &fields).await.says(304, "");
}

#[tokio::test(start_paused = true)]
async fn a_head_without_validators_does_not_vouch_for_what_is_stored() {
    let lab = Lab::start(&["a"], STRICT).await;
    lab.origin("a").answers("/x", Answer::ok("old!").max_age(10).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old!");
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").answers("/x", Answer::ok("new!").max_age(10));
    client.send("HEAD", "/x", &[("if-match", "*")], "").await.says(200, "");
    assert!(lab.origin("a").requests("/x")[1].contains("if-none-match: \"v1\""));
    client.get("/x").await.says(200, "new!");
}

#[tokio::test(start_paused = true)]
async fn cache_status_states_the_status_of_a_head_that_freshened() {
    let lab = Lab::start(&["a"], &format!("[site.request]\nauthorization = \"cache\"\n{STRICT}")).await;
    let answer = Answer::ok("body").with("cache-control", "public, max-age=10").with("ETag", "\"v1\"");
    lab.origin("a").answers("/x", answer);
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    lab.time_passes(20 * SECOND).await;
    let head = client.send("HEAD", "/x", &[("authorization", "Basic eDp5")], "").await;
    head.says(200, "").cache_status("fwd=stale; fwd-status=200; ttl=10; stored");
}

#[tokio::test(start_paused = true)]
async fn what_an_origin_compared_is_not_compared_again() {
    let lab = Lab::start(&["a"], "").await;
    let then = "Sun, 06 Nov 1994 08:49:37 GMT";
    lab.origin("a").answers("/x", Answer::ok("old").with("cache-control", "private").with("last-modified", then));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    // The origin went back to an older version, which it tells by comparing for equality, as nginx does.
    let reply = client.get_with("/x", &[("if-modified-since", "Sun, 06 Nov 1994 08:49:38 GMT")]).await;
    assert!(lab.origin("a").requests("/x")[1].contains("if-modified-since"));
    reply.says(200, "old");
}

#[tokio::test(start_paused = true)]
async fn a_304_withdraws_nothing_that_must_understand_permits() {
    let lab = Lab::start(&["a"], STRICT).await;
    let directives = "no-store, must-understand, max-age=10";
    lab.origin("a").answers("/x", Answer::ok("body").with("cache-control", directives).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body").cache_status("fwd=uri-miss; fwd-status=200; stored");
    lab.time_passes(20 * SECOND).await;
    client.get("/x").await.says(200, "body").cache_status("fwd=stale; fwd-status=304; ttl=10; stored");
    assert_eq!(lab.origin("a").requests("/x").len(), 2);
}
