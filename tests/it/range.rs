//! Ranges, from stored and from arriving responses.

use std::time::Duration;

use http_body_util::BodyExt;

use crate::lab::{Answer, Lab, Reply, sha256};

#[tokio::test(start_paused = true)]
async fn a_single_range_is_cut_from_the_stored_response() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("0123456789").max_age(60).etag("v1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "0123456789");
    for (range, body, content_range) in
        [("bytes=2-5", "2345", "bytes 2-5/10"), ("bytes=7-", "789", "bytes 7-9/10"), ("bytes=-2", "89", "bytes 8-9/10")]
    {
        let reply = client.get_with("/x", &[("range", range)]).await;
        reply.says(206, body).cache_status("hit; ttl=60");
        assert_eq!(reply.field("content-range"), content_range);
    }
    let reply = client.get_with("/x", &[("range", "bytes=10-")]).await;
    reply.says(416, "");
    assert_eq!(reply.field("content-range"), "bytes */10");
    client.get_with("/x", &[("range", "bytes=2-5"), ("if-range", "\"v1\"")]).await.says(206, "2345");
    client.get_with("/x", &[("range", "bytes=2-5"), ("if-range", "\"v0\"")]).await.says(200, "0123456789");
}

#[tokio::test(start_paused = true)]
async fn a_part_has_no_digest_of_the_whole_content() {
    let lab = Lab::start(&["a"], "").await;
    let body = "0123456789".repeat(100);
    let digest = &*sha256(&body);
    let answer = Answer::ok(body).max_age(60).etag("v1").with("content-md5", "Q2hlY2s=");
    lab.origin("a").answers("/x", answer.with("content-digest", digest).with("repr-digest", digest));
    let mut client = lab.client().await;
    for (range, status, representation) in [
        ("bytes=2-5", 206, digest),
        ("bytes=0-1,500-501", 206, digest),
        ("bytes=1000-", 416, ""),
        ("bytes=x", 200, digest),
    ] {
        let reply = client.get_with("/x", &[("range", range)]).await;
        assert_eq!((reply.status.as_u16(), reply.field("repr-digest")), (status, representation), "{range}");
        assert_eq!(reply.headers.contains_key("content-digest"), status == 200, "{range}");
        assert_eq!(reply.headers.contains_key("content-md5"), status == 200, "{range}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_range_on_a_miss_fetches_the_whole_once_and_is_cut_from_it() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("0123456789").max_age(60).with_ranges());
    let mut client = lab.client().await;
    client.get_with("/x", &[("range", "bytes=2-5")]).await.says(206, "2345");
    client.get("/x").await.says(200, "0123456789").cache_status("hit; ttl=60");
    assert!(!lab.origin("a").requests("/x")[0].contains("range:"));
}

#[tokio::test(start_paused = true)]
async fn a_range_deep_in_a_large_body_starts_where_it_should() {
    let lab = Lab::start(&["a"], "").await;
    let body: String = (0..50_000).map(|number| format!("{number:05}")).collect();
    lab.origin("a").answers("/x", Answer::ok(body).max_age(60));
    let mut client = lab.client().await;
    for _ in 0..2 {
        client.get_with("/x", &[("range", "bytes=200000-200009")]).await.says(206, "4000040001");
    }
}

#[tokio::test(start_paused = true)]
async fn a_range_of_what_is_too_large_to_store_is_asked_of_the_origin() {
    let lab = Lab::start(&["a"], "").await;
    let body: String = (0..1_000_000).map(|number| format!("{number:06}")).collect();
    lab.origin("a").answers("/x", Answer::ok(body).max_age(60).etag("v1").with_ranges());
    let mut client = lab.client().await;
    for _ in 0..2 {
        let reply = client.get_with("/x", &[("range", "bytes=5999994-")]).await;
        reply.says(206, "999999").cache_status("fwd=uri-miss; fwd-status=206");
        assert_eq!(reply.field("content-range"), "bytes 5999994-5999999/6000000");
    }
}

#[tokio::test(start_paused = true)]
async fn several_ranges_are_cut_from_the_stored_response_into_one_answer() {
    let lab = Lab::start(&["a"], "").await;
    let body: String = (0..50_000).map(|number| format!("{number:05}")).collect();
    lab.origin("a").answers("/x", Answer::ok(body).max_age(60).etag("v1").with("content-type", "text/plain"));
    let mut client = lab.client().await;
    client.get("/x").await.cache_status("fwd=uri-miss; fwd-status=200; stored");
    let reply = client.get_with("/x", &[("range", "bytes=249995-,0-4,65530-65539")]).await;
    reply.cache_status("hit; ttl=60");
    // In the order they were asked for, one of them across two chunks.
    assert_eq!(
        parts(&reply),
        [
            ("Content-Type: text/plain\r\nContent-Range: bytes 249995-249999/250000", "49999"),
            ("Content-Type: text/plain\r\nContent-Range: bytes 0-4/250000", "00000"),
            ("Content-Type: text/plain\r\nContent-Range: bytes 65530-65539/250000", "1310613107"),
        ]
    );
    assert_eq!(reply.field("etag"), "\"v1\"");
    client.get_with("/x", &[("range", "bytes=0-4,2-9")]).await.says(206, "0000000001");
    client.get_with("/x", &[("range", "bytes=250000-,-0")]).await.says(416, "");
    let outdated = client.get_with("/x", &[("range", "bytes=0-0,-1"), ("if-range", "\"v0\"")]).await;
    assert_eq!((outdated.status.as_u16(), outdated.text().len()), (200, 250_000));
}

#[tokio::test(start_paused = true)]
async fn several_ranges_on_a_miss_are_answered_in_the_order_they_arrive_in() {
    let lab = Lab::start(&["a"], "").await;
    let body: String = (0..50_000).map(|number| format!("{number:05}")).collect();
    lab.origin("a").answers("/x", Answer::ok(body).max_age(60));
    let mut client = lab.client().await;
    let reply = client.get_with("/x", &[("range", "bytes=-5,0-4")]).await;
    reply.cache_status("fwd=uri-miss; fwd-status=200; stored");
    assert_eq!(
        parts(&reply),
        [("Content-Range: bytes 0-4/250000", "00000"), ("Content-Range: bytes 249995-249999/250000", "49999")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_range_of_an_arriving_response_waits_for_its_own_bytes_only() {
    let lab = Lab::start(&["a"], "[site.timeouts]\nbody_idle = \"1m\"").await;
    lab.origin("a").answers("/x", Answer::ok("0123456789".repeat(100)).max_age(60).stalling_at(500));
    let mut first = lab.client().await;
    let mut whole = first.begin("GET", "/x", &[], "").await;
    whole.frame().await.unwrap().unwrap();
    let mut second = lab.client().await;
    let reply = second.get_with("/x", &[("range", "bytes=495-499")]).await;
    reply.says(206, "56789").within(Duration::from_millis(1)).cache_status("fwd=uri-miss; fwd-status=200; collapsed");
    let mut late = second.begin("GET", "/x", &[("range", "bytes=500-")], "").await;
    assert_eq!(late.status(), 206);
    tokio::time::timeout(Duration::from_secs(30), late.frame()).await.expect_err("its first byte has not come");
}

#[tokio::test(start_paused = true)]
async fn what_the_origin_says_to_ranges_of_what_is_too_large_to_store_is_passed_on() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("x".repeat(5_000_000)).max_age(60));
    let mut client = lab.client().await;
    client.get("/x").await.cache_status("fwd=uri-miss; fwd-status=200");
    let several = "--y\r\nContent-Range: bytes 0-0/5000000\r\n\r\nx\r\n--y--\r\n";
    origin.answers("/x", Answer::new(206, several).with("content-type", "multipart/byteranges; boundary=y"));
    let fields = [("range", "bytes=0-0, 9-9"), ("if-range", "\"v1\"")];
    let reply = client.get_with("/x", &fields).await;
    reply.says(206, several).cache_status("fwd=uri-miss; fwd-status=206");
    assert_eq!(reply.field("content-type"), "multipart/byteranges; boundary=y");
    let sent = origin.requests("/x").pop().unwrap();
    assert!(sent.contains("range: bytes=0-0, 9-9\r\n") && sent.contains("if-range: \"v1\"\r\n"), "{sent}");
    origin.answers("/x", Answer::new(416, "").with("content-range", "bytes */5000000"));
    let reply = client.get_with("/x", &[("range", "bytes=5000000-")]).await;
    reply.says(416, "").cache_status("fwd=uri-miss; fwd-status=416");
    assert_eq!(reply.field("content-range"), "bytes */5000000");
    // Two lines of Range are none: nobody knows which one the origin would take.
    origin.answers("/x", Answer::ok("x".repeat(5_000_000)).max_age(60));
    client.get_with("/x", &[("range", "bytes=0-0"), ("range", "bytes=1-1")]).await;
    assert!(!origin.requests("/x").pop().unwrap().contains("range:"));
}

#[tokio::test(start_paused = true)]
async fn ranges_of_what_proved_too_large_without_saying_so_are_asked_of_the_origin_from_then_on() {
    let lab = Lab::start(&["a"], "").await;
    let body: String = (0..1_000_000).map(|number| format!("{number:06}")).collect();
    lab.origin("a").answers("/x", Answer::ok(body.clone()).max_age(60).chunked().with_ranges());
    let mut client = lab.client().await;
    client.get_with("/x", &[("range", "bytes=5999994-")]).await.says(200, &body);
    client.get_with("/x", &[("range", "bytes=5999994-")]).await.says(206, "999999");
}

#[tokio::test(start_paused = true)]
async fn ranges_do_not_hide_for_longer_that_the_whole_can_be_stored() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("0123456789").with("cache-control", "no-store").with_ranges());
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "0123456789");
    origin.answers("/x", Answer::ok("0123456789").max_age(60).with_ranges());
    for _ in 0..2 {
        client
            .get_with("/x", &[("range", "bytes=7-")])
            .await
            .says(206, "789")
            .cache_status("fwd=uri-miss; fwd-status=206");
        lab.time_passes(Duration::from_secs(40)).await;
    }
    let reply = client.get_with("/x", &[("range", "bytes=7-")]).await;
    reply.says(206, "789").cache_status("fwd=uri-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn only_a_get_of_a_stored_200_has_ranges() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("0123456789").max_age(60));
    lab.origin("a").answers("/gone", Answer::new(410, "not any more").max_age(60));
    lab.origin("a").answers("/none", Answer::ok("0123456789").max_age(60).with("accept-ranges", "none"));
    let mut client = lab.client().await;
    for _ in 0..2 {
        let head = client.send("HEAD", "/x", &[("range", "bytes=0-0")], "").await;
        head.says(200, "");
        assert_eq!((head.field("content-length"), head.field("accept-ranges")), ("10", "bytes"));
        let gone = client.get_with("/gone", &[("range", "bytes=0-0")]).await;
        gone.says(410, "not any more");
        assert_eq!(gone.field("accept-ranges"), "");
        assert_eq!(client.get("/none").await.field("accept-ranges"), "none");
    }
}

/// Head and content of each part of a multipart response.
#[track_caller]
fn parts(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.status, 206);
    assert_eq!(reply.field("content-length"), reply.text().len().to_string());
    assert_eq!(reply.field("content-range"), "");
    let boundary = reply.field("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
    let (delimiter, end) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}--\r\n"));
    let inside = reply.text().strip_prefix(&delimiter).and_then(|text| text.strip_suffix(&end)).unwrap();
    let parts = inside.split(&*format!("\r\n{delimiter}").leak());
    parts.map(|part| part.split_once("\r\n\r\n").unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn ranges_that_overlap_are_not_asked_of_an_origin() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("mine").with("cache-control", "private"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "mine");
    let many = format!("bytes={}", vec!["0-"; 500].join(","));
    client.get_with("/x", &[("range", &many)]).await.says(200, "mine");
    let sent = lab.origin("a").requests("/x").pop().unwrap();
    assert!(!sent.contains("0-,0-,0-"), "{} bytes of ranges", many.len());
}

#[tokio::test(start_paused = true)]
async fn a_206_that_is_not_what_was_asked_for_is_an_error_of_the_origin() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("mine").with("cache-control", "private"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "mine");
    let parts = Answer::new(206, "--x--").with("content-type", "Multipart/ByteRanges; boundary=x");
    lab.origin("a").answers("/x", parts.with("cache-control", "private"));
    client.get_with("/x", &[("range", "bytes=0-0,2-2")]).await.says(206, "--x--");
    lab.origin("a").answers("/x", Answer::new(206, "junk").with("cache-control", "private"));
    assert_eq!(client.get_with("/x", &[("range", "bytes=0-1")]).await.status, 502);
}

#[tokio::test(start_paused = true)]
async fn a_range_of_head_is_no_range() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("mine").with("cache-control", "private"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "mine");
    client.send("HEAD", "/x", &[("range", "bytes=0-0")], "").await.says(200, "");
    let sent = lab.origin("a").requests("/x").pop().unwrap();
    assert!(sent.starts_with("HEAD ") && !sent.contains("range:"), "{sent}");
}
