//! Content codings that the node makes itself.

use std::io::Read;
use std::time::Duration;

use holdover::semantics::key::cache_key;
use holdover::semantics::target::Target;

use crate::lab::{Answer, Lab, Reply};

const SECOND: Duration = Duration::from_secs(1);
const ANY: (&str, &str) = ("accept-encoding", "gzip, deflate, br, zstd");
const GZIP: (&str, &str) = ("accept-encoding", "gzip");

#[tokio::test(start_paused = true)]
async fn the_first_client_gets_the_response_as_it_comes_and_the_next_one_compressed() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", html(&page()).max_age(60).etag("v1"));
    let mut client = lab.client().await;
    let first = client.get_with("/x", &[ANY]).await;
    first.says(200, &page()).cache_status("fwd=uri-miss; fwd-status=200; stored");
    assert_eq!((first.field("vary"), first.field("etag")), ("Accept-Encoding", "\"v1\""));
    assert_eq!(lab.compresses(), 1);
    let second = client.get_with("/x", &[ANY]).await;
    second.cache_status("hit; ttl=60");
    assert_eq!((second.field("content-encoding"), second.field("vary")), ("br", "Accept-Encoding"));
    assert_eq!((second.field("etag"), decoded(&second)), ("\"v1~br1\"", page()));
    assert!(second.body.as_ref().unwrap().len() < page().len() / 2);
    let head = client.send("HEAD", "/x", &[ANY], "").await;
    assert_eq!(head.field("content-length"), second.field("content-length"));
    assert_eq!((head.field("content-encoding"), head.field("etag")), ("br", "\"v1~br1\""));
    let plain = client.get("/x").await;
    plain.says(200, &page());
    assert_eq!((plain.field("vary"), plain.field("etag")), ("Accept-Encoding", "\"v1\""));
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_coding_is_made_when_it_is_first_wanted_and_only_once() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", html(&page()).max_age(60));
    let mut client = lab.client().await;
    client.get("/x").await;
    assert_eq!(lab.compresses(), 0, "nobody wants any");
    for _ in 0..3 {
        client.get_with("/x", &[GZIP]).await.says(200, &page());
    }
    assert_eq!(lab.compresses(), 1);
    // What is there is sent while what is better is made.
    let any = client.get_with("/x", &[ANY]).await;
    assert_eq!((any.field("content-encoding"), decoded(&any)), ("gzip", page()));
    assert_eq!(lab.compresses(), 1);
    for (accepted, coding) in [(ANY, "br"), (GZIP, "gzip"), (("accept-encoding", "br;q=0, gzip;q=0.5"), "gzip")] {
        let reply = client.get_with("/x", &[accepted]).await;
        assert_eq!((reply.field("content-encoding"), decoded(&reply)), (coding, page()));
    }
    assert_eq!(lab.compresses(), 0);
    let metrics = lab.metrics();
    assert!(
        metrics.contains("holdover_cache_codings_total{site=\"www\",coding=\"br\",outcome=\"made\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("holdover_http_coded_responses_total{site=\"www\",coding=\"gzip\"} 3"), "{metrics}");
    let date = ("if-modified-since", "Sun, 06 Nov 2044 08:49:37 GMT");
    client.send("HEAD", "/x", &[GZIP], "").await;
    client.get_with("/x", &[GZIP, ("if-none-match", "*")]).await.says(304, "");
    client.get_with("/x", &[GZIP, date]).await.says(304, "");
    let metrics = lab.metrics();
    assert!(
        metrics.contains("holdover_http_coded_responses_total{site=\"www\",coding=\"gzip\"} 3"),
        "no content: {metrics}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_validates_the_representation_that_it_has() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", html(&page()).max_age(60).etag("v1"));
    let mut client = lab.client().await;
    // Another node made it, or this one before it was restarted: even the miss knows that nothing has changed.
    for expected in ["fwd=uri-miss; fwd-status=200; stored", "hit; ttl=60"] {
        let reply = client.get_with("/x", &[ANY, ("if-none-match", "\"v1~br1\"")]).await;
        reply.says(304, "").cache_status(expected);
        assert_eq!((reply.field("etag"), reply.field("vary")), ("\"v1~br1\"", "Accept-Encoding"));
    }
    lab.compresses();
    for (accepted, tag, status) in [
        (ANY, "\"v1~br1\"", 304),
        (ANY, "\"v0~br1\", \"v1~zstd1\"", 304),
        (ANY, "\"v1\"", 304),
        (ANY, "\"v2~br1\"", 200),
        (GZIP, "\"v1~br1\"", 200),
    ] {
        let reply = client.get_with("/x", &[accepted, ("if-none-match", tag)]).await;
        assert_eq!(reply.status.as_u16(), status, "{tag}");
        assert!(status == 200 || tag.contains(reply.field("etag")), "{tag}");
        assert_eq!(reply.field("vary"), "Accept-Encoding");
        assert_eq!(reply.headers.contains_key("content-encoding"), status == 200 && accepted == ANY);
    }
}

#[tokio::test(start_paused = true)]
async fn what_began_in_a_coding_is_continued_in_it() {
    let lab = Lab::start(&["a"], "").await;
    let dated = html(&page()).max_age(60).etag("v1").with("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    lab.origin("a").answers("/x", dated);
    let mut client = lab.client().await;
    client.get_with("/x", &[ANY]).await;
    lab.compresses();
    let whole = client.get_with("/x", &[ANY]).await.body.unwrap();
    let part = client.get_with("/x", &[ANY, ("range", "bytes=100-199"), ("if-range", "\"v1~br1\"")]).await;
    assert_eq!((part.status.as_u16(), part.body.as_ref().unwrap()), (206, &whole.slice(100..200)));
    assert_eq!(part.field("content-range"), format!("bytes 100-199/{}", whole.len()));
    assert_eq!((part.field("content-encoding"), part.field("etag")), ("br", "\"v1~br1\""));
    // A date does not tell representations apart, and the other coding was not made.
    for condition in ["Sun, 06 Nov 1994 08:49:37 GMT", "\"v1~gzip1\""] {
        let reply = client.get_with("/x", &[ANY, ("range", "bytes=100-199"), ("if-range", condition)]).await;
        assert_eq!((reply.status.as_u16(), decoded(&reply)), (200, page()), "{condition}");
    }
    let plain = client.get_with("/x", &[("range", "bytes=100-199"), ("if-range", "\"v1~br1\"")]).await;
    plain.says(200, &page());
}

#[tokio::test(start_paused = true)]
async fn what_began_without_a_coding_is_continued_without() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", html(&page()).max_age(60).etag("v1"));
    let mut client = lab.client().await;
    // Another node, or a download: its connection breaks in the middle of this, which has no coding yet.
    client.get_with("/x", &[ANY]).await.says(200, &page());
    assert_eq!(lab.compresses(), 1);
    let rest = client.get_with("/x", &[ANY, ("range", "bytes=100-"), ("if-range", "\"v1\"")]).await;
    rest.says(206, &page()[100..]);
    assert_eq!((rest.field("content-encoding"), rest.field("etag")), ("", "\"v1\""));
}

#[tokio::test(start_paused = true)]
async fn parts_without_a_condition_are_parts_of_one_representation() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", html(&page()).max_age(60).etag("v1"));
    let mut client = lab.client().await;
    client.get_with("/x", &[GZIP, ("range", "bytes=0-99")]).await.says(206, &page()[..100]);
    client.get_with("/x", &[GZIP]).await;
    assert_eq!(lab.compresses(), 1);
    let second = client.get_with("/x", &[GZIP, ("range", "bytes=100-199")]).await;
    assert_eq!((second.field("content-encoding"), second.field("etag")), ("", "\"v1\""));
    second.says(206, &page()[100..200]);
    let coded = client.get_with("/x", &[("accept-encoding", "gzip, *;q=0"), ("range", "bytes=0-99")]).await;
    assert_eq!((coded.status.as_u16(), coded.field("content-encoding")), (206, "gzip"), "it accepts nothing else");
}

#[tokio::test(start_paused = true)]
async fn a_416_has_no_coding() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", html(&page()).max_age(60).etag("v1"));
    let mut client = lab.client().await;
    let only = ("accept-encoding", "gzip, *;q=0");
    client.get_with("/x", &[only]).await;
    lab.compresses();
    let coded = client.get_with("/x", &[only]).await.body.unwrap().len();
    let reply = client.get_with("/x", &[only, ("range", "bytes=1000000-")]).await;
    reply.says(416, "");
    assert_eq!((reply.field("content-encoding"), reply.field("content-range")), ("", &*format!("bytes */{coded}")));
}

#[tokio::test(start_paused = true)]
async fn what_must_not_or_need_not_be_compressed_stays_as_it_is() {
    let lab = Lab::start(&["a"], "[site.compression]\nmax = \"64KiB\"").await;
    let origin = lab.origin("a");
    origin.answers("/no-transform", html(&page()).with("cache-control", "max-age=60, no-transform"));
    origin.answers("/coded", html(&page()).max_age(60).with("content-encoding", "x-own"));
    origin.answers("/image", Answer::ok(page()).max_age(60).with("content-type", "image/png"));
    origin.answers("/short", html(&page()[..1023]).max_age(60));
    origin.answers("/long", html(&page().repeat(20)).max_age(60));
    origin.answers("/missing", Answer::new(404, page()).max_age(60).with("content-type", "text/html"));
    let mut client = lab.client().await;
    for path in ["/no-transform", "/coded", "/image", "/short", "/long", "/missing"] {
        for _ in 0..2 {
            let reply = client.get_with(path, &[ANY]).await;
            assert!(!reply.headers.contains_key("vary"), "{path}");
            assert_eq!(lab.compresses(), 0, "{path}");
        }
    }
    origin.answers("/x", html(&page()).max_age(60));
    client.get_with("/x", &[ANY]).await;
    lab.compresses();
    let asked = client.get_with("/x", &[ANY, ("cache-control", "no-transform")]).await;
    asked.says(200, &page()).cache_status("hit; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn what_may_be_personal_is_not_compressed() {
    let (cookie, credentials) = (("cookie", "session=1"), ("authorization", "Basic eDp5"));
    let authorized = "[site.request]\nauthorization = \"cache\"";
    for (config, asked, field) in [
        ("[site.key]\ncookies = [\"session\"]", cookie, ("x", "y")),
        ("", cookie, ("vary", "Cookie")),
        (authorized, credentials, ("x", "y")),
        ("", ("x", "y"), ("set-cookie", "session=1")),
    ] {
        let lab = Lab::start(&["a"], config).await;
        let answer = html(&page()).with("cache-control", "public, max-age=10").etag("v1");
        lab.origin("a").answers("/x", answer.with(field.0, field.1));
        let mut client = lab.client().await;
        // A validation changes nothing of the body.
        for expected in ["fwd=uri-miss; fwd-status=200; stored", "hit; ttl=10"] {
            let reply = client.get_with("/x", &[ANY, asked]).await;
            reply.says(200, &page()).cache_status(expected);
            assert_eq!((reply.field("content-encoding"), lab.compresses()), ("", 0), "{asked:?} {field:?}");
        }
        lab.time_passes(11 * SECOND).await;
        let anybody = if asked == credentials { ("x", "y") } else { asked };
        for _ in 0..2 {
            client.get_with("/x", &[ANY, anybody, ("cache-control", "max-stale=0")]).await.says(200, &page());
            assert_eq!(lab.compresses(), 0, "{asked:?} {field:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn vary_is_the_same_before_and_after_a_validation() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", html("short").max_age(10).etag("v1").chunked());
    let mut client = lab.client().await;
    client.get_with("/x", &[ANY]).await;
    for status in ["hit; ttl=10", "fwd=stale; fwd-status=304; ttl=10; stored", "hit; ttl=10"] {
        let reply = client.get_with("/x", &[ANY]).await;
        reply.cache_status(status);
        assert_eq!(reply.field("vary"), "Accept-Encoding");
        if !status.starts_with("fwd") {
            lab.time_passes(20 * SECOND).await;
        }
    }
    assert_eq!(lab.compresses(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_become_smaller_is_served_as_it_is_and_not_tried_again() {
    let lab = Lab::start(&["a"], "").await;
    let mut random = fastrand::Rng::with_seed(3);
    let noise: Vec<u8> = (0..5000).map(|_| random.u8(..)).collect();
    lab.origin("a").answers("/x", Answer::ok(noise.clone()).max_age(60).with("content-type", "text/plain"));
    let mut client = lab.client().await;
    client.get_with("/x", &[ANY]).await;
    assert_eq!(lab.compresses(), 1);
    for accepted in [ANY, GZIP] {
        let reply = client.get_with("/x", &[accepted]).await;
        assert_eq!((reply.field("content-encoding"), reply.body.as_deref()), ("", Some(&noise[..])));
        assert_eq!(lab.compresses(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_gzip_cannot_shrink_brotli_may() {
    let lab = Lab::start(&["a"], "").await;
    let mut random = fastrand::Rng::with_seed(3);
    let noise: Vec<u8> = (0..40_000).map(|_| random.u8(..)).collect();
    lab.origin("a").answers("/x", Answer::ok(noise.repeat(4)).max_age(60).with("content-type", "text/plain"));
    let mut client = lab.client().await;
    // It repeats itself beyond the window of gzip.
    client.get_with("/x", &[GZIP]).await;
    assert_eq!(lab.compresses(), 1);
    client.get_with("/x", &[ANY]).await;
    assert_eq!(lab.compresses(), 1);
    assert_eq!(client.get_with("/x", &[ANY]).await.field("content-encoding"), "br");
    assert_eq!(client.get_with("/x", &[GZIP]).await.field("content-encoding"), "");
    assert_eq!(lab.compresses(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_moment_without_room_does_not_refuse_a_coding_for_good() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", html(&page()).max_age(60));
    let mut client = lab.client().await;
    client.get_with("/x", &[ANY]).await;
    let store = &lab.shared().store;
    // A moment in which nothing is left.
    let busy = store.ledger().reserve(store.ledger().bound() - store.ledger().used()).unwrap();
    assert_eq!(lab.compresses(), 1);
    drop(busy);
    for (pause, tried) in [(0, 0), (5, 0), (6, 1)] {
        lab.time_passes(pause * SECOND).await;
        assert_eq!(client.get_with("/x", &[ANY]).await.field("content-encoding"), "");
        assert_eq!(lab.compresses(), tried, "{pause}");
    }
    assert_eq!(client.get_with("/x", &[ANY]).await.field("content-encoding"), "br");
}

#[tokio::test(start_paused = true)]
async fn a_freshened_response_keeps_its_codings_and_a_replaced_one_does_not() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", html(&page()).max_age(10).etag("v1"));
    let mut client = lab.client().await;
    client.get_with("/x", &[ANY]).await;
    assert_eq!(lab.compresses(), 1);
    lab.time_passes(20 * SECOND).await;
    let validated = client.get_with("/x", &[ANY, ("if-none-match", "\"v0~br1\"")]).await;
    validated.cache_status("fwd=stale; fwd-status=304; ttl=10; stored");
    assert_eq!((validated.field("etag"), decoded(&validated)), ("\"v1~br1\"", page()));
    assert!(lab.origin("a").requests("/x")[1].contains("if-none-match: \"v1\"\r\n"), "the origin's own tag");
    assert_eq!(client.get_with("/x", &[ANY]).await.field("etag"), "\"v1~br1\"");
    assert_eq!(lab.compresses(), 0);
    lab.origin("a").answers("/x", html(&page().to_uppercase()).max_age(10).etag("v2"));
    lab.time_passes(20 * SECOND).await;
    client.get_with("/x", &[ANY]).await.says(200, &page().to_uppercase());
    assert_eq!(lab.compresses(), 1);
    let replaced = client.get_with("/x", &[ANY]).await;
    assert_eq!((replaced.field("etag"), decoded(&replaced)), ("\"v2~br1\"", page().to_uppercase()));
}

#[tokio::test(start_paused = true)]
async fn codings_keep_within_the_memory_that_the_cache_may_take() {
    let lab = Lab::start(&["a"], "").await;
    let (origin, mut client) = (lab.origin("a"), lab.client().await);
    let ledger = lab.shared().store.ledger();
    let (image, mut offered, mut held_most) = ("image".repeat(60_000), 0, 0);
    let held = |path: String| {
        let target = Target::new("https", "www.test", None, &path);
        lab.shared().store.variants(&cache_key(&target)).iter().map(|stored| stored.size()).sum::<u64>()
    };
    for number in 0..100 {
        let (text, other) = (format!("/{number}"), format!("/{number}.png"));
        origin.answers(&text, html(&format!("{number}{}", page())).max_age(60));
        origin.answers(&other, Answer::ok(image.clone()).max_age(60).with("content-type", "image/png"));
        for path in [&text, &other, &text, &other] {
            client.get_with(path, &[GZIP]).await;
            lab.compresses();
        }
        offered += image.len() as u64;
        // What is in the cache, codings and all, is paid for.
        let held = (0..=number).map(|number| held(format!("/{number}")) + held(format!("/{number}.png"))).sum::<u64>();
        assert!(held <= ledger.used() && ledger.used() <= ledger.bound(), "{held} of {}", ledger.used());
        held_most = held_most.max(held);
    }
    assert!(offered > ledger.bound() && held_most > ledger.bound() / 2, "{held_most} of {}", ledger.bound());
    let metrics = lab.metrics();
    assert!(
        metrics.contains("holdover_cache_codings_total{site=\"www\",coding=\"gzip\",outcome=\"made\"}"),
        "{metrics}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_origin_sees_its_own_tags_only() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/x", html(&page()).etag("v1"));
    let mut client = lab.client().await;
    let one_user = ("authorization", "Basic eDp5");
    let reply = client.get_with("/x", &[ANY, one_user, ("if-none-match", "\"v1~br1\"")]).await;
    reply.says(304, "");
    assert_eq!(reply.field("etag"), "\"v1~br1\"", "the client is told of the representation that it has");
    client.send("PUT", "/x", &[("if-match", "\"v1~br1\"")], "").await;
    let rest = [ANY, one_user, ("range", "bytes=9-"), ("if-range", "\"v1~br1\"")];
    client.get_with("/x", &rest).await.says(200, &page());
    let requests = origin.requests("/x");
    assert!(requests[0].contains("if-none-match: \"v1\"\r\n"), "{}", requests[0]);
    assert!(requests[1].contains("if-match: \"v1\"\r\n"), "{}", requests[1]);
    assert!(!requests[2].contains("range:"), "{}", requests[2]);
    // The same where the cache has a part: it was stored and coded once, and may not be stored any more.
    origin.answers("/y", html(&page()).etag("v1").with("cache-control", "no-store"));
    client.get_with("/y", &[ANY]).await.says(200, &page());
    let reply = client.get_with("/y", &[ANY, ("if-none-match", "\"v1~br1\"")]).await;
    reply.says(304, "");
    assert_eq!(reply.field("etag"), "\"v1~br1\"");
    assert!(origin.requests("/y")[1].contains("if-none-match: \"v1\"\r\n"), "{}", origin.requests("/y")[1]);
}

#[tokio::test(start_paused = true)]
async fn what_another_node_has_coded_is_validated_by_its_tag() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    let coded = html("coded").max_age(10).with("content-encoding", "br").with("vary", "accept-encoding");
    lab.origin("a").answers("/x", coded.etag("v1~br1"));
    let mut client = lab.client().await;
    client.get_with("/x", &[ANY]).await;
    lab.time_passes(20 * SECOND).await;
    client.get_with("/x", &[ANY, ("if-match", "\"v1~br1\"")]).await.says(200, "coded");
    let requests = lab.origin("a").requests("/x");
    assert!(requests[1].contains("if-none-match: \"v1~br1\"\r\n"), "{}", requests[1]);
    assert!(requests[1].contains("if-match: \"v1\"\r\n"), "{}", requests[1]);
}

#[tokio::test(start_paused = true)]
async fn a_site_may_turn_compression_off() {
    let lab = Lab::start(&["a"], "[site.compression]\ncodings = []").await;
    lab.origin("a").answers("/x", html(&page()).max_age(60));
    let mut client = lab.client().await;
    for _ in 0..2 {
        let reply = client.get_with("/x", &[ANY]).await;
        assert_eq!((reply.field("vary"), lab.compresses()), ("", 0));
    }
}

/// Some 8 KB that shrink to less than half.
fn page() -> String {
    (0..400).map(|line| format!("<p id={line}>{}</p>\n", line * line * 7919 % 1_000_003)).collect()
}

fn html(body: &str) -> Answer {
    Answer::ok(body).with("content-type", "text/html; charset=utf-8")
}

/// The body without the coding that the reply says it has.
#[track_caller]
fn decoded(reply: &Reply) -> String {
    let (coded, mut text) = (&reply.body.as_ref().expect("the body broke off")[..], String::new());
    let read = match reply.field("content-encoding") {
        "br" => brotli::Decompressor::new(coded, 4096).read_to_string(&mut text),
        "gzip" => flate2::read::GzDecoder::new(coded).read_to_string(&mut text),
        "zstd" => zstd::Decoder::new(coded).unwrap().read_to_string(&mut text),
        other => panic!("{other:?} is no coding of ours"),
    };
    read.unwrap();
    text
}
