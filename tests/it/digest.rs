//! Bodies that state their digest (RFC 9530) are what it says, or are void.

use std::time::Duration;

use crate::lab::{Answer, Lab, sha256};

const SECOND: Duration = Duration::from_secs(1);

/// Longer than what is read with a head.
fn text() -> String {
    (0..40_000).map(|number| format!("{number:06} ")).collect()
}

/// A response with `text` and the digest of it in the field `name`.
fn right(text: &str, name: &str) -> Answer {
    Answer::ok(text).max_age(60).etag("v1").with_ranges().with(name, &sha256(text))
}

/// The same with the first byte changed on its way.
fn wrong(text: &str, name: &str) -> Answer {
    Answer::ok(format!("?{}", &text[1..])).max_age(60).etag("v1").with_ranges().with(name, &sha256(text))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_what_its_digest_says_is_stored_with_it() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for (path, body) in [("/short", "short"), ("/long", &*text()), ("/empty", "")] {
        for name in ["repr-digest", "content-digest"] {
            for (kind, answer) in [("", right(body, name)), ("-chunked", right(body, name).chunked())] {
                let path = format!("{path}{kind}-{name}");
                lab.origin("a").answers(&path, answer);
                client.get(&path).await.says(200, body);
                let again = client.get(&path).await;
                again.says(200, body).cache_status("hit; ttl=60");
                assert_eq!(again.field(name), sha256(body), "{path}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_body_is_broken_off_and_never_stored() {
    let lab = Lab::start(&["a"], "").await;
    for (path, body) in [("/short", "short"), ("/long", &*text())] {
        for name in ["repr-digest", "content-digest"] {
            for (kind, answer) in [("", wrong(body, name)), ("-chunked", wrong(body, name).chunked())] {
                let path = format!("{path}{kind}-{name}");
                lab.origin("a").answers(&path, answer);
                let (mut one, mut two, mut three) = (lab.client().await, lab.client().await, lab.http2_client().await);
                let (first, second, third) =
                    tokio::join!(one.get(&path), two.get(&path), three.send("GET", &path, &[]));
                assert_eq!((first.body, second.body, third.body), (None, None, None), "{path}");
                lab.time_passes(SECOND).await;
                assert_eq!(lab.shared().store.ledger().used(), 0, "{path}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn as_long_as_nobody_has_any_of_it_it_is_asked_for_elsewhere() {
    for ranges in [true, false] {
        let lab = Lab::start(&["a", "b"], "").await;
        for number in 0..4 {
            let path = format!("/{number}");
            lab.origin("a").answers(&path, wrong("short", "repr-digest"));
            let whole = Answer::ok("short").max_age(60).etag("v1");
            lab.origin("b").answers(&path, if ranges { whole.with_ranges() } else { whole });
            lab.client().await.get(&path).await.says(200, "short");
        }
        assert_eq!(lab.preferred().await.as_deref(), Some("b"), "it counts against who sent it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_digest_that_is_wrong_counts_only_against_who_states_it() {
    let lab = Lab::start(&["a", "b"], "[site.probe]\nenabled = false").await;
    for number in 0..10 {
        let path = format!("/{number}");
        let whole = Answer::ok("short").max_age(60).etag("v1").with_ranges();
        lab.origin("a").answers(&path, whole.clone().with("repr-digest", &sha256("another")));
        lab.origin("b").answers(&path, whole);
        lab.client().await.get(&path).await;
    }
    assert_eq!(lab.preferred().await.as_deref(), Some("b"));
    lab.client().await.get("/9").await.says(200, "short");
}

#[tokio::test(start_paused = true)]
async fn what_others_send_instead_is_verified_too() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/broken", right(&text(), "repr-digest").breaking_at(100_000));
    lab.origin("b").answers("/broken", Answer::ok("?".repeat(280_000)).etag("v1").with_ranges());
    lab.origin("a").answers("/void", wrong("short", "repr-digest"));
    lab.origin("b").answers("/void", Answer::ok("wrong").etag("v1").with_ranges());
    for path in ["/broken", "/void"] {
        assert_eq!(lab.client().await.get(path).await.body, None, "{path}");
    }
    lab.time_passes(SECOND).await;
    assert_eq!(lab.shared().store.ledger().used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_in_two_parts_is_what_the_digest_of_its_first_head_says() {
    let lab = Lab::start(&["a", "b"], "").await;
    for (path, answer) in
        [("/length", right(&text(), "content-digest")), ("/chunks", right(&text(), "repr-digest").chunked())]
    {
        lab.origin("a").answers(path, answer.breaking_at(100_000));
        lab.origin("b").answers(path, Answer::ok(text()).max_age(60).etag("v1").with_ranges());
        let mut client = lab.client().await;
        client.get(path).await.says(200, &text());
        let again = client.get(path).await;
        assert!(again.says(200, &text()).field("cache-status").starts_with("lab; hit"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_new_version_does_not_displace_the_stored_one() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    lab.origin("a").answers("/x", Answer::ok("old").with("cache-control", "max-age=1, stale-while-revalidate=600"));
    client.get("/x").await.says(200, "old");
    lab.origin("a").answers("/x", wrong(&text(), "repr-digest"));
    for _ in 0..3 {
        lab.time_passes(20 * SECOND).await;
        client.get("/x").await.says(200, "old");
    }
    assert!(lab.origin("a").requests("/x").len() > 2);
}

#[tokio::test(start_paused = true)]
async fn of_a_part_that_a_client_asked_for_only_the_digest_of_the_content_counts() {
    let lab = Lab::start(&["a"], "").await;
    let part =
        Answer::new(206, "0123").with("content-range", "bytes 0-3/10").with("repr-digest", &sha256("0123456789"));
    lab.origin("a").answers("/right", part.clone().with("content-digest", &sha256("0123")));
    lab.origin("a").answers("/wrong", part.with("content-digest", &sha256("0124")));
    let fields = [("range", "bytes=0-3"), ("authorization", "Basic eDp5")];
    lab.client().await.get_with("/right", &fields).await.says(206, "0123");
    assert_eq!(lab.client().await.get_with("/wrong", &fields).await.body, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_digest_that_is_known_is_passed_on_and_says_nothing() {
    let lab = Lab::start(&["a"], "").await;
    for (path, value) in [("/md5", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"), ("/junk", "sha-256=?"), ("/old", "sha-256=abc=")]
    {
        lab.origin("a").answers(path, Answer::ok("x").with("content-digest", value));
        let reply = lab.client().await.get(path).await;
        assert_eq!(reply.says(200, "x").field("content-digest"), value);
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_without_content_has_no_digest_of_the_content() {
    let lab = Lab::start(&["a"], "").await;
    let digest = sha256("x");
    let answer = Answer::ok("x").max_age(60).etag("v1");
    lab.origin("a").answers("/x", answer.with("content-digest", &digest).with("repr-digest", &digest));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "x");
    for (method, fields, status) in [("HEAD", &[][..], 200), ("GET", &[("if-none-match", "\"v1\"")], 304)] {
        let reply = client.send(method, "/x", fields, "").await;
        assert_eq!((reply.status.as_u16(), reply.field("repr-digest")), (status, &*digest));
        assert!(!reply.headers.contains_key("content-digest"), "{reply:?}");
    }
}
