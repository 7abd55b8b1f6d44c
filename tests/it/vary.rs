//! Variants.

use std::time::{Duration, SystemTime};

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
    lab.time_passes(SECOND / 100).await;
    for (language, body) in [("de", "Hallo"), ("en", "Hello")] {
        client.get_with("/x", &[("accept-language", language)]).await.says(200, body).cache_status("hit; ttl=59");
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

#[tokio::test(start_paused = true)]
async fn requests_for_the_same_languages_share_a_variant_and_the_origin_sees_what_they_share() {
    let lab = Lab::start(&["a"], "[site.request]\nfields = [\"accept-language\", \"x-list\"]").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("Hallo").max_age(60).with("vary", "Accept-Language, X-List"));
    let mut client = lab.client().await;
    client.get_with("/x", &[("accept-language", "en;q=0.50,DE-ch ,*;q=0"), ("x-list", "1,2")]).await.says(200, "Hallo");
    for (languages, list) in [("de-CH, en;q=0.5, *;q=0", " 1, 2 "), ("*;q=0.000,en;q=0.5,de-ch;q=1", "1 ,2")] {
        let reply = client.get_with("/x", &[("accept-language", languages), ("x-list", list)]).await;
        reply.says(200, "Hallo").cache_status("hit; ttl=60");
    }
    let sent = origin.requests("/x");
    assert!(sent[0].contains("accept-language: de-ch, en;q=0.5, *;q=0\r\n"), "{}", sent[0]);
    client.get_with("/x", &[("accept-language", "de-CH")]).await.cache_status("fwd=vary-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn a_field_that_connection_names_selects_nothing() {
    let lab = Lab::start(&["a"], "[site.request]\nfields = [\"x-tenant\"]").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("for nobody").max_age(60).with("vary", "X-Tenant"));
    let mut client = lab.client().await;
    client.get_with("/x", &[("x-tenant", "a"), ("connection", "x-tenant")]).await.says(200, "for nobody");
    client.get("/x").await.says(200, "for nobody").cache_status("hit; ttl=60");
    origin.answers("/x", Answer::ok("for a").max_age(60).with("vary", "X-Tenant"));
    client.get_with("/x", &[("x-tenant", "a")]).await.says(200, "for a");
}

#[tokio::test(start_paused = true)]
async fn of_several_that_match_the_most_recent_by_its_date_answers() {
    let lab = Lab::start(&["a"], "[site.request]\nfields = [\"x\", \"y\"]").await;
    let origin = lab.origin("a");
    let mut client = lab.client().await;
    let dated = |body: &str, vary, seconds: u64| {
        let date = httpdate::fmt_http_date(lab.shared().clock.now().wall - Duration::from_secs(seconds));
        Answer::ok(body).max_age(600).with("vary", vary).with("date", &date)
    };
    origin.answers("/x", dated("later", "x", 10));
    client.get_with("/x", &[("x", "1"), ("y", "2")]).await.says(200, "later");
    origin.answers("/x", dated("earlier", "y", 100));
    client.get_with("/x", &[("x", "2"), ("y", "1")]).await.says(200, "earlier");
    // Both match; the one that arrived last is not the most recent one.
    client.get_with("/x", &[("x", "1"), ("y", "1")]).await.says(200, "later");
    client.get_with("/x", &[("x", "3"), ("y", "1")]).await.says(200, "earlier");
}

#[tokio::test(start_paused = true)]
async fn a_full_response_to_a_validation_is_not_hidden_by_the_date_of_what_it_replaces() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    let origin = lab.origin("a");
    let now = lab.shared().clock.now().wall;
    let dated = |body: &str, date: SystemTime| Answer::ok(body).with("date", &httpdate::fmt_http_date(date));
    origin.answers("/x", dated("old", now + 500 * SECOND).max_age(1).etag("old"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    lab.time_passes(5 * SECOND).await;
    origin.answers("/x", dated("new", now).max_age(600).with("vary", "accept"));
    client.get("/x").await.says(200, "new").cache_status("fwd=stale; fwd-status=200; stored");
    assert!(client.get("/x").await.says(200, "new").field("cache-status").starts_with("lab; hit"));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_variants_leaves_those_in_use_and_is_counted() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(600).with("vary", "accept"));
    let mut client = lab.client().await;
    let types: Vec<_> = (0..7).map(|number| format!("text/{number}")).collect();
    for _ in 0..2 {
        for accept in &types {
            client.get_with("/x", &[("accept", accept)]).await.says(200, "body");
        }
    }
    for number in 0..100 {
        let reply = client.get_with("/x", &[("accept", &format!("flood/{number}"))]).await;
        reply.cache_status("fwd=vary-miss; fwd-status=200; stored");
    }
    for accept in &types {
        client.get_with("/x", &[("accept", accept)]).await.cache_status("hit; ttl=599");
    }
    assert!(lab.metrics().contains("\nholdover_cache_variants_displaced_total 99\n"), "{}", lab.metrics());
    // Those that are not asked for any more make room in the end.
    for number in 0..600 {
        client.get_with("/x", &[("accept", &format!("later/{number}"))]).await.says(200, "body");
    }
    client.get_with("/x", &[("accept", &types[0])]).await.cache_status("fwd=vary-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_varies_on_too_many_fields_is_not_stored() {
    let lab = Lab::start(&["a"], "").await;
    let fields: Vec<_> = (0..17).map(|number| format!("x-{number}")).collect();
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).with("vary", &fields.join(", ")));
    let mut client = lab.client().await;
    for _ in 0..2 {
        client.get("/x").await.says(200, "body").cache_status("fwd=uri-miss; fwd-status=200");
    }
}
