//! What requests are told apart by, and that origins see no more than that.

use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::lab::{Answer, Lab};

#[tokio::test(start_paused = true)]
async fn parameters_that_are_dropped_from_the_key_do_not_reach_the_origin() {
    let lab = Lab::start(&["a"], "[site.key]\nquery_drop = [\"utm_*\"]\nquery_sort = true").await;
    lab.origin("a").answers("/x?a=1&b=2", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    client.get("/x?utm_source=mail&b=2&a=1").await.says(200, "body");
    for same in ["/x?a=1&b=2", "/x?b=2&a=1&%75tm_id=7"] {
        client.get(same).await.says(200, "body").cache_status("hit; ttl=60");
    }
    client.get("/x?a=1;utm_source=mail").await.says(404, "not here");
    assert_eq!(lab.origin("a").requests("/x?a=1&b=2").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_whole_query_can_be_dropped() {
    let lab = Lab::start(&["a"], "[site.key]\nquery_keep = []").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    for path in ["/x?1", "/x?2", "/x"] {
        client.get(path).await.says(200, "body");
    }
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_bypasses_the_cache_keeps_its_query_and_invalidates_the_reduced_one() {
    let lab = Lab::start(&["a"], "[site.key]\nquery_keep = []").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("before").max_age(60));
    origin.answers("/x?next=1", Answer::ok("done"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "before");
    client.send("POST", "/x?next=1", &[], "order").await.says(200, "done");
    origin.answers("/x", Answer::ok("after").max_age(60));
    client.get("/x?2").await.says(200, "after").cache_status("fwd=uri-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn a_purge_of_a_url_as_clients_write_it_reaches_what_is_stored_of_it() {
    let settings =
        "[site.key]\nquery_drop = [\"utm_*\"]\nfields = [\"x-country\"]\n[site.purge]\nfrom = [\"0.0.0.0/0\"]";
    let lab = Lab::start(&["a"], settings).await;
    lab.origin("a").answers("/x?a=1", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    for by_method in [false, true] {
        client.get_with("/x?a=1", &[("x-country", "DE")]).await.says(200, "body");
        if by_method {
            client.send("PURGE", "/x?a=1&utm_source=mail", &[], "").await;
        } else {
            lab.purge(json!({"urls": ["https://www.test/x?utm_source=mail&a=1"]})).await;
        }
        let reply = client.get_with("/x?a=1", &[("x-country", "DE")]).await;
        reply.cache_status("fwd=uri-miss; fwd-status=200; stored");
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_in_the_key_reaches_the_origin_as_it_is_in_the_key() {
    let lab = Lab::start(&["a"], "[site.key]\nfields = [\"x-country\"]").await;
    let origin = lab.origin("a");
    let mut client = lab.client().await;
    for (country, body) in [("DE", "Hallo"), ("FR", "Bonjour")] {
        origin.answers("/x", Answer::ok(body).max_age(60).with("vary", "X-Country"));
        client.get_with("/x", &[("x-country", country)]).await.says(200, body);
    }
    client.get_with("/x", &[("x-country", "DE")]).await.says(200, "Hallo").cache_status("hit; ttl=59");
    origin.answers("/x", Answer::ok("Hello").max_age(60));
    client.get("/x").await.says(200, "Hello").cache_status("fwd=uri-miss; fwd-status=200; stored");
    // What Connection names does not reach the origin, and so is not in the key either.
    let hidden = client.get_with("/x", &[("x-country", "DE"), ("connection", "x-country")]).await;
    hidden.says(200, "Hello").cache_status("hit; ttl=60");
    let sent = origin.requests("/x");
    assert!(sent[0].contains("x-country: DE\r\n") && sent[1].contains("x-country: FR\r\n"), "{sent:?}");
    assert!(!sent[2].contains("x-country"), "{}", sent[2]);
}

#[tokio::test(start_paused = true)]
async fn invalidation_reaches_every_key_of_the_url() {
    let lab = Lab::start(&["a"], "[site.key]\nfields = [\"x-country\"]").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    let countries = ["DE", "FR"].map(|country| [("x-country", country)]);
    for country in &countries {
        client.get_with("/x", country).await.says(200, "body");
    }
    client.send("POST", "/x", &[], "").await.says(200, "body");
    for country in &countries {
        client.get_with("/x", country).await.cache_status("fwd=uri-miss; fwd-status=200; stored");
        client.get_with("/x", country).await.cache_status("hit; ttl=60");
    }
}

#[tokio::test(start_paused = true)]
async fn explain_finds_what_is_stored_under_a_url_as_clients_write_it() {
    let settings = "[site.key]\nquery_drop = [\"utm_*\"]\nfields = [\"x-country\"]\ncookies = [\"lang\"]";
    let lab = Lab::start(&["a"], settings).await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let fields = [("x-country", "DE"), ("cookie", "lang=de; session=1")];
    lab.client().await.get_with("/x?utm_source=mail", &fields).await.says(200, "body");
    let url = "/v1/explain?url=https://www.test/x?utm_id=2&field=x-country:DE&field=cookie:lang%3Dde%3B%20session%3D2";
    let (_, told) = lab.admin(Request::get(url).body(Full::default()).unwrap()).await;
    assert_eq!(told["answer"]["way"], "hit", "{told}");
    assert_eq!(told["key"], "https://www.test/x\nx-country: DE\ncookie: lang=de");
}

#[tokio::test(start_paused = true)]
async fn cookies_in_the_key_are_the_cookies_that_the_origin_gets() {
    let lab = Lab::start(&["a"], "[site.key]\ncookies = [\"lang\"]\n[site.request]\nfields = [\"*\"]").await;
    let origin = lab.origin("a");
    let mut client = lab.client().await;
    origin.answers("/x", Answer::ok("Hallo").max_age(60).with("vary", "Cookie"));
    client.get_with("/x", &[("cookie", "session=1; lang=de")]).await.says(200, "Hallo");
    client.get_with("/x", &[("cookie", "lang=de; session=2")]).await.says(200, "Hallo").cache_status("hit; ttl=60");
    origin.answers("/x", Answer::ok("Hello").max_age(60).with("vary", "Cookie"));
    client.get_with("/x", &[("cookie", "session=3")]).await.says(200, "Hello");
    client.get("/x").await.says(200, "Hello").cache_status("hit; ttl=60");
    let sent = origin.requests("/x");
    assert!(sent[0].contains("cookie: lang=de\r\n") && !sent[1].contains("cookie"), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_with_too_much_for_a_key_bypasses_the_cache() {
    let lab = Lab::start(&["a"], "[site.key]\ncookies = [\"lang\"]").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let long = format!("lang={}", "x".repeat(2000));
    for _ in 0..2 {
        let reply = lab.client().await.get_with("/x", &[("cookie", &long)]).await;
        reply.says(200, "body").cache_status("fwd=bypass; fwd-status=200");
    }
}
