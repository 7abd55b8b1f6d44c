//! Variants.

use std::time::Duration;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn each_variant_answers_the_requests_that_select_it() {
    let lab = Lab::start(&["a"], "[site.request]\nfields = [\"accept-language\"]").await;
    let origin = lab.origin("a");
    let mut client = lab.client().await;
    for (language, body) in [("de", "Hallo"), ("en", "Hello")] {
        origin.answers("/x", Answer::ok(body).max_age(60).with("vary", "Accept-Language"));
        client.get_with("/x", &[("accept-language", language)]).await.says(200, body);
    }
    for (language, body) in [("de", "Hallo"), ("en", "Hello")] {
        client.get_with("/x", &[("accept-language", language)]).await.says(200, body).cache_status("hit; ttl=60");
    }
    origin.answers("/x", Answer::ok("Bonjour").max_age(60).with("vary", "Accept-Language"));
    let french = client.get_with("/x", &[("accept-language", "fr")]).await;
    french.says(200, "Bonjour").cache_status("fwd=vary-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn clients_that_accept_the_same_codings_share_a_variant() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).with("vary", "Accept-Encoding"));
    let mut client = lab.client().await;
    client.get_with("/x", &[("accept-encoding", "gzip, deflate, br")]).await.says(200, "body");
    client.get_with("/x", &[("accept-encoding", "br;q=0.9,gzip")]).await.cache_status("hit; ttl=60");
    client.get("/x").await.cache_status("fwd=vary-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_varies_on_anything_is_not_stored() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).with("vary", "*"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    client.get("/x").await.cache_status("fwd=uri-miss; fwd-status=200");
}

#[tokio::test(start_paused = true)]
async fn a_validated_variant_answers_only_requests_that_select_it() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    let origin = lab.origin("a");
    let german = Answer::ok("Hallo").max_age(10).with("vary", "Accept-Language").etag("de");
    origin.answers("/x", german.clone());
    lab.client().await.get_with("/x", &[("accept-language", "de")]).await.says(200, "Hallo");
    lab.time_passes(20 * SECOND).await;
    origin.answers("/x", german.after(SECOND / 10));
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    let (one, two) = tokio::join!(one.get_with("/x", &[("accept-language", "de")]), async {
        lab.time_passes(SECOND / 20).await;
        two.get_with("/x", &[("accept-language", "fr")]).await
    });
    one.cache_status("fwd=stale; fwd-status=304; ttl=9; stored");
    two.cache_status("fwd=vary-miss; fwd-status=200; stored");
    assert_eq!(origin.requests("/x").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_coded_response_answers_only_clients_that_accept_its_coding_though_vary_forgets_to_say_so() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("zipped").max_age(60).with("content-encoding", "gzip"));
    let mut client = lab.client().await;
    client.get_with("/x", &[("accept-encoding", "gzip")]).await.says(200, "zipped");
    client.get_with("/x", &[("accept-encoding", "gzip")]).await.cache_status("hit; ttl=60");
    lab.origin("a").answers("/x", Answer::ok("plain").max_age(60));
    client.get("/x").await.says(200, "plain").cache_status("fwd=vary-miss; fwd-status=200; stored");
}
