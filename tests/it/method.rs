//! Requests that the cache has no part in.

use std::net::IpAddr;
use std::time::Duration;

use holdover::origin::dns::answers::Lookup;
use tokio::io::AsyncWriteExt;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_post_passes_through_with_its_body_and_invalidates() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    client.get("/x").await;
    client.get("/x").await.cache_status("hit; ttl=60");
    client
        .send("POST", "/x", &[("cookie", "a=b")], "form")
        .await
        .says(200, "body")
        .cache_status("fwd=method; fwd-status=200");
    let head = &lab.origin("a").requests("/x")[1];
    assert!(head.starts_with("POST ") && head.contains("content-length: 4") && head.contains("cookie: a=b"), "{head}");
    client.get("/x").await.cache_status("fwd=uri-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn a_post_invalidates_what_its_answer_names_on_this_site() {
    let lab = Lab::start(&["a"], "").await;
    for path in ["/list", "/item", "/kept"] {
        lab.origin("a").answers(path, Answer::ok("old").max_age(60));
    }
    let mut client = lab.client().await;
    for path in ["/list", "/item", "/kept"] {
        client.get(path).await.says(200, "old");
    }
    let created = Answer::new(201, "").with("location", "https://www.test/item").with("content-location", "list");
    lab.origin("a").answers("/new", created);
    client.send("POST", "/new", &[], "form").await.says(201, "");
    lab.origin("a").answers("/failed", Answer::new(409, "").with("location", "/kept"));
    client.send("POST", "/failed", &[], "form").await.says(409, "");
    lab.origin("a").answers("/elsewhere", Answer::ok("").with("location", "https://other.test/kept"));
    client.send("POST", "/elsewhere", &[], "form").await.says(200, "");
    for path in ["/list", "/item"] {
        client.get(path).await.cache_status("fwd=uri-miss; fwd-status=200; stored");
    }
    client.get("/kept").await.says(200, "old");
    assert_eq!(lab.origin("a").requests("/kept").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_reached_an_origin_is_never_repeated() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", Answer::new(503, "overloaded"));
    lab.origin("b").answers("/x", Answer::ok("twice"));
    lab.client().await.send("POST", "/x", &[], "form").await.says(503, "overloaded");
    assert!(lab.origin("b").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_post_of_which_nothing_was_sent_goes_to_the_next_origin() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").dies();
    lab.origin("b").answers("/x", Answer::ok("once"));
    lab.client().await.send("POST", "/x", &[], "form").await.says(200, "once");
    assert_eq!(lab.origin("b").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn methods_that_are_not_served_are_refused_without_asking_anybody() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    assert_eq!(client.send("TRACE", "/x", &[], "").await.status.as_u16(), 405);
    assert_eq!(client.send("GET", "/x", &[], "a body").await.status.as_u16(), 400);
    let looped = lab.client().await.get_with("/x", &[("cdn-loop", "other, lab")]).await;
    assert_eq!(looped.status.as_u16(), 508);
    assert!(lab.origin("a").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn cookies_that_came_in_pieces_are_one_field_to_the_origin() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body"));
    let mut client = lab.http2_client().await;
    client.send("GET", "/x", &[("authorization", "Basic eDp5"), ("cookie", "a=b"), ("cookie", "c=d")]).await;
    let head = &lab.origin("a").requests("/x")[0];
    assert!(head.contains("cookie: a=b; c=d\r\n"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_client_cannot_say_where_it_came_from() {
    let spoofed = [
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "evil.test"),
        ("forwarded", "for=10.0.0.1;host=evil.test"),
    ];
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body"));
    lab.client().await.send("POST", "/x", &spoofed, "form").await.says(200, "body");
    let head = &lab.origin("a").requests("/x")[0];
    assert!(!head.contains("10.0.0.1") && !head.contains("evil.test"), "{head}");
    for line in ["x-forwarded-for: 198.51.100.7", "x-forwarded-proto: https", "x-forwarded-host: www.test"] {
        assert!(head.contains(&format!("{line}\r\n")), "{head}");
    }
    let lab = Lab::start(&["a"], "[site.request]\nfields = [\"*\"]").await;
    lab.origin("a").answers("/x", Answer::ok("body"));
    lab.client().await.get_with("/x", &spoofed).await.says(200, "body");
    let head = &lab.origin("a").requests("/x")[0];
    assert!(!head.contains("10.0.0.1") && !head.contains("evil.test"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_has_no_body_when_head_is_refused() {
    let lab = Lab::start(&["a"], "").await;
    lab.client().await.send("HEAD", "/a%00b", &[], "").await.says(400, "");
    lab.http2_client().await.send("HEAD", "/a%00b", &[]).await.says(400, "");
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_breaks_off_is_not_the_origins_fault() {
    let mut lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").after(SECOND));
    lab.news();
    for _ in 0..5 {
        let mut connection = lab.connection();
        let head = b"POST /x HTTP/1.1\r\nhost: www.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
        connection.write_all(head).await.unwrap();
        lab.time_passes(SECOND / 10).await;
        connection.write_all(b"no chunk size\r\n").await.unwrap();
        lab.time_passes(SECOND / 10).await;
    }
    assert_eq!(lab.news(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stalls_is_not_the_origins_fault() {
    let mut lab = Lab::start(&["a"], "[site.probe]\nenabled = false").await;
    lab.origin("a").answers("/x", Answer::ok("body"));
    lab.client().await.get("/").await;
    lab.time_passes(SECOND).await;
    lab.news();
    for _ in 0..5 {
        let mut connection = lab.connection();
        let head = b"POST /x HTTP/1.1\r\nhost: www.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
        connection.write_all(head).await.unwrap();
        lab.time_passes(20 * SECOND).await;
    }
    assert_eq!(lab.news(), Vec::<&str>::new());
    assert!(lab.metrics().contains("outcome=\"upload\""), "{}", lab.metrics());
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_does_not_make_its_address_look_slow() {
    let lab = Lab::start(&["a", "b"], "").await;
    // Both are addresses of the first.
    let addresses = [1, 2].map(|last| IpAddr::from([192, 0, 2, last])).to_vec();
    lab.origin("a").resolves_to(Some(Lookup::Found { addresses, ttl: 600 * SECOND, whole: true }));
    lab.time_passes(120 * SECOND).await;
    for origin in ["a", "b"] {
        lab.origin(origin).answers("/x", Answer::ok(origin).with("cache-control", "no-store"));
    }
    let mut connection = lab.connection();
    let head = b"POST /x HTTP/1.1\r\nhost: www.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    connection.write_all(head).await.unwrap();
    lab.time_passes(2 * SECOND).await;
    connection.write_all(b"5\r\nhello\r\n0\r\n\r\n").await.unwrap();
    lab.time_passes(SECOND / 10).await;
    let asked = ["a", "b"].into_iter().find(|origin| !lab.origin(origin).requests("/x").is_empty()).unwrap();
    let mut client = lab.client().await;
    for _ in 0..40 {
        client.get("/x").await;
    }
    assert!(lab.origin(asked).requests("/x").len() > 5, "{}", lab.origin(asked).requests("/x").len());
}

#[tokio::test(start_paused = true)]
async fn head_states_no_length_that_is_not_known() {
    let lab = Lab::start(&["a"], "").await;
    for (path, control) in [("/shared", "max-age=60"), ("/private", "private")] {
        lab.origin("a").answers(path, Answer::ok("body").with("cache-control", control).chunked());
        assert_eq!(lab.client().await.send("HEAD", path, &[], "").await.says(200, "").field("content-length"), "");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_before_a_post_is_neither_stored_nor_shared_after_it() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("old").max_age(60).after(2 * SECOND));
    let mut before = lab.client().await;
    let before = tokio::spawn(async move { before.get("/x").await });
    lab.time_passes(SECOND).await;
    lab.origin("a").answers("/x", Answer::ok("new").max_age(60));
    let mut client = lab.client().await;
    client.send("POST", "/x", &[], "form").await.says(200, "new");
    client.get("/x").await.says(200, "new");
    before.await.unwrap().says(200, "old");
    client.get("/x").await.says(200, "new");
}
