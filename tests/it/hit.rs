//! Stored responses answer.

use std::time::Duration;

use crate::lab::{Answer, Lab, Reply};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_second_request_is_a_hit_with_its_age() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).with("content-type", "text/plain"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body").cache_status("fwd=uri-miss; fwd-status=200; stored");
    lab.time_passes(10 * SECOND).await;
    let reply = client.get("/x").await;
    reply.says(200, "body").cache_status("hit; ttl=50").aged(10);
    assert_eq!(reply.field("content-type"), "text/plain");
    assert_eq!(reply.field("via"), "1.1 lab");
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_shared_by_all_connections_and_survives_its_origin() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    lab.client().await.get("/x").await.says(200, "body");
    lab.origin("a").dies();
    lab.client().await.get("/x").await.says(200, "body").cache_status("hit; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn what_is_hit_many_times_in_a_second_tells_the_time_at_each() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::ok("old").max_age(3).etag("v1").with("x-release", "1"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    for age in 0..3 {
        for _ in 0..4 {
            let reply = client.get("/x").await;
            reply.says(200, "old").cache_status(&format!("hit; ttl={}", 3 - age)).aged(age);
            assert_eq!((reply.field("x-release"), reply.field("via")), ("1", "1.1 lab"));
            let known = client.get_with("/x", &[("if-none-match", "\"v1\"")]).await;
            known.says(304, "").cache_status(&format!("hit; ttl={}", 3 - age)).aged(age);
            let part = client.get_with("/x", &[("range", "bytes=1-1")]).await;
            part.says(206, "l").cache_status(&format!("hit; ttl={}", 3 - age)).aged(age);
        }
        lab.time_passes(SECOND).await;
    }
    lab.origin("a").answers("/x", Answer::ok("new").max_age(3).etag("v2").with("x-release", "2"));
    client.get("/x").await.says(200, "new");
    for _ in 0..4 {
        let reply = client.get("/x").await;
        assert_eq!(reply.says(200, "new").cache_status("hit; ttl=3").field("x-release"), "2");
    }
}

#[tokio::test(start_paused = true)]
async fn head_is_answered_from_the_response_to_get() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    let reply = client.send("HEAD", "/x", &[], "").await;
    reply.says(200, "");
    assert_eq!(reply.field("content-length"), "4");
    assert!(lab.origin("a").requests("/x")[0].starts_with("GET "), "the whole response is fetched, once");
    let reply = client.send("HEAD", "/x", &[], "").await;
    reply.says(200, "").cache_status("hit; ttl=60");
    assert_eq!(reply.field("content-length"), "4");
    client.get("/x").await.says(200, "body").cache_status("hit; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_stored_is_not() {
    let lab = Lab::start(&["a"], "").await;
    let origin = lab.origin("a");
    origin.answers("/private", Answer::ok("mine").with("cache-control", "private, max-age=60"));
    origin.answers("/no-store", Answer::ok("once").with("cache-control", "no-store"));
    origin.answers("/cookie", Answer::ok("you").with("set-cookie", "id=7").max_age(60));
    let mut client = lab.client().await;
    for path in ["/private", "/no-store", "/cookie"] {
        client.get(path).await.cache_status("fwd=uri-miss; fwd-status=200");
        client.get(path).await.cache_status("fwd=uri-miss; fwd-status=200");
        assert_eq!(origin.requests(path).len(), 2, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn fields_that_are_for_one_client_reach_that_one_alone() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    let control = "max-age=10, no-cache=\"set-cookie\", private=x-user";
    let answer = |id: &str| {
        let named = Answer::ok("body").etag("v1").with("cache-control", control).with("set-cookie", id);
        named.with("x-user", id).with("x-kept", "yes").after(SECOND / 10)
    };
    lab.origin("a").answers("/x", answer("id=7"));
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    let (leader, follower) = tokio::join!(one.get("/x"), async {
        lab.time_passes(SECOND / 20).await;
        two.get("/x").await
    });
    let of = |reply: &Reply| ["set-cookie", "x-user", "x-kept"].map(|name| reply.field(name).to_owned());
    assert_eq!(of(leader.says(200, "body")), ["id=7", "id=7", "yes"]);
    assert_eq!(of(follower.says(200, "body")), ["", "", "yes"]);
    assert_eq!(of(two.get("/x").await.says(200, "body").cache_status("hit; ttl=9")), ["", "", "yes"]);
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").answers("/x", answer("id=8"));
    let validated = two.get("/x").await;
    validated.says(200, "body").cache_status("fwd=stale; fwd-status=304; ttl=9; stored");
    assert_eq!(of(&validated), ["id=8", "id=8", "yes"]);
    assert_eq!(of(one.get("/x").await.says(200, "body")), ["", "", "yes"]);
}

#[tokio::test(start_paused = true)]
async fn a_cookie_that_comes_with_a_validation_is_stored_only_where_cookies_are() {
    for (policy, second) in [("explicit", ""), ("letter", "id=8")] {
        let settings = format!("[site.store]\nset_cookie = \"{policy}\"\n[site.stale]\nwhile_revalidate = \"0s\"");
        let lab = Lab::start(&["a"], &settings).await;
        lab.origin("a").answers("/x", Answer::ok("body").max_age(10).etag("v1"));
        let mut client = lab.client().await;
        client.get("/x").await.says(200, "body");
        lab.time_passes(20 * SECOND).await;
        lab.origin("a").answers("/x", Answer::ok("body").max_age(10).etag("v1").with("set-cookie", "id=8"));
        assert_eq!(client.get("/x").await.says(200, "body").field("set-cookie"), "id=8");
        assert_eq!(client.get("/x").await.says(200, "body").field("set-cookie"), second, "{policy}");
        assert_eq!(lab.origin("a").requests("/x").len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_to_caches_does_not_reach_clients_unless_they_are_caches() {
    for (settings, kept) in [("", false), ("[site.response]\nforward_targeted = true", true)] {
        let lab = Lab::start(&["a"], settings).await;
        let meant_for_caches = ["cdn-cache-control", "surrogate-control", "surrogate-key", "cache-tag", "xkey"]
            .map(|name| (name, "max-age=60"));
        let answer = meant_for_caches.iter().fold(Answer::ok("body"), |answer, (name, value)| answer.with(name, value));
        lab.origin("a")
            .answers("/x", answer.with("other-cache-control", "max-age=1").with("cache-control", "no-store"));
        let mut client = lab.client().await;
        client.get("/x").await.cache_status("fwd=uri-miss; fwd-status=200; stored");
        let replies = [client.get("/x").await, client.send("POST", "/x", &[], "form").await];
        for reply in replies {
            for (name, value) in meant_for_caches {
                assert_eq!(reply.field(name), if kept { value } else { "" }, "{name}");
            }
            assert_eq!((reply.field("cache-control"), reply.field("other-cache-control")), ("no-store", "max-age=1"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_names_the_fields_that_take_the_place_of_cache_control() {
    let lab = Lab::start(&["a"], "[site.store]\ntargets = [\"Lab-Cache-Control\"]").await;
    let answer = Answer::ok("body").with("cdn-cache-control", "no-store").with("lab-cache-control", "max-age=60");
    lab.origin("a").answers("/x", answer.with("cache-control", "private"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "body");
    let hit = client.get("/x").await;
    hit.says(200, "body").cache_status("hit; ttl=60");
    assert_eq!((hit.field("lab-cache-control"), hit.field("cdn-cache-control")), ("", "no-store"));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_asked_for_again_at_once() {
    let lab = Lab::start(&["a"], "[site.store]\nnegative = { 404 = \"10s\", 403 = \"5s\" }").await;
    let mut client = lab.client().await;
    for (status, lifetime) in [(404, 10), (403, 5), (410, 0)] {
        let path = format!("/{status}");
        lab.origin("a").answers(&path, Answer::new(status, "no").after(SECOND / 10));
        client.get(&path).await.says(status, "no");
        client.get(&path).await.says(status, "no");
        assert_eq!(lab.origin("a").requests(&path).len(), if lifetime > 0 { 1 } else { 2 }, "{status}");
        lab.time_passes(lifetime * SECOND).await;
        client.get(&path).await.says(status, "no");
        lab.time_passes(SECOND).await;
        assert_eq!(lab.origin("a").requests(&path).len(), if lifetime > 0 { 2 } else { 3 }, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn any_final_status_is_stored_when_the_origin_states_its_lifetime() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for (status, stored) in
        [(299, true), (404, true), (415, true), (499, true), (599, true), (400, true), (413, false), (429, false)]
    {
        let path = format!("/{status}");
        lab.origin("a").answers(&path, Answer::new(status, "body").max_age(60));
        client.get(&path).await.says(status, "body");
        // A failure would answer for a moment longer.
        lab.time_passes(2 * SECOND).await;
        client.get(&path).await.says(status, "body");
        assert_eq!(lab.origin("a").requests(&path).len(), if stored { 1 } else { 2 }, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_origin_says_to_an_extraordinary_request_is_for_its_client_alone() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for accept in ["x".repeat(5000), "t\u{e9}xt".to_owned()] {
        lab.origin("a").answers("/x", Answer::new(400, "header too large").max_age(60));
        let fields = [("accept", accept.as_str())];
        client.get_with("/x", &fields).await.says(400, "header too large").cache_status("fwd=uri-miss; fwd-status=400");
        lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
        client.get("/x").await.says(200, "body").cache_status("fwd=uri-miss; fwd-status=200; stored");
        client.get_with("/x", &fields).await.says(200, "body").cache_status("hit; ttl=60");
        lab.purge(serde_json::json!({"all": true})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_with_authorization_goes_through_and_leaves_nothing_behind() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    let reply = client.get_with("/x", &[("authorization", "Basic eDp5"), ("cookie", "a=b")]).await;
    reply.says(200, "body").cache_status("fwd=bypass; fwd-status=200");
    assert!(lab.origin("a").requests("/x")[0].contains("cookie: a=b"), "what bypasses the cache carries everything");
    client.get("/x").await.cache_status("fwd=uri-miss; fwd-status=200; stored");
}

#[tokio::test(start_paused = true)]
async fn what_authorized_clients_get_is_stored_where_site_and_origin_let_it() {
    let lab = Lab::start(&["a"], "[site.request]\nauthorization = \"cache\"").await;
    let credentials = [("authorization", "Basic eDp5"), ("cookie", "a=b")];
    let mut client = lab.client().await;
    lab.origin("a").answers("/open", Answer::ok("body").with("cache-control", "public, max-age=60"));
    client.get_with("/open", &credentials).await.says(200, "body").cache_status("fwd=uri-miss; fwd-status=200; stored");
    let head = &lab.origin("a").requests("/open")[0];
    assert!(head.contains("authorization: Basic eDp5") && !head.contains("cookie"), "{head}");
    client.get("/open").await.says(200, "body").cache_status("hit; ttl=60");
    client.get_with("/open", &credentials).await.says(200, "body").cache_status("hit; ttl=60");

    lab.origin("a").answers("/mine", Answer::ok("mine").max_age(60).after(SECOND / 10));
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    let (one, two) = tokio::join!(one.get_with("/mine", &credentials), two.get("/mine"));
    one.says(200, "mine").cache_status("fwd=uri-miss; fwd-status=200");
    two.says(200, "mine").cache_status("fwd=uri-miss; fwd-status=200; stored");
    assert_eq!(lab.origin("a").requests("/mine").len(), 2);
    client.get_with("/mine", &credentials).await.says(200, "mine").cache_status("hit; ttl=59");
}

#[tokio::test(start_paused = true)]
async fn fields_outside_the_key_do_not_reach_the_origin() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let poison = [("x-forwarded-host", "evil.test"), ("x-original-url", "/admin"), ("cookie", "a=b")];
    lab.client().await.get_with("/x", &poison).await.says(200, "body");
    let head = lab.origin("a").requests("/x")[0].to_lowercase();
    for (_, value) in poison {
        assert!(!head.contains(value), "{head}");
    }
    assert!(head.contains("host: a.test\r\n") && head.contains("via: 1.1 lab\r\n"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_response_larger_than_one_chunk_comes_back_byte_for_byte() {
    let lab = Lab::start(&["a"], "").await;
    let body: String = (0..60_000).map(|number| format!("{number:05}")).collect();
    lab.origin("a").answers("/x", Answer::ok(body.clone()).max_age(60));
    lab.origin("a").answers("/chunked", Answer::ok(body.clone()).max_age(60).chunked());
    let mut client = lab.client().await;
    for path in ["/x", "/x", "/chunked", "/chunked"] {
        client.get(path).await.says(200, &body);
    }
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
    assert_eq!(lab.origin("a").requests("/chunked").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_may_be_stored_streams_through() {
    let lab = Lab::start(&["a"], "").await;
    let body = "x".repeat(5 * 1024 * 1024);
    lab.origin("a").answers("/known", Answer::ok(body.clone()).max_age(60));
    lab.origin("a").answers("/unknown", Answer::ok(body.clone()).max_age(60).chunked());
    let mut client = lab.client().await;
    for path in ["/known", "/unknown", "/known", "/unknown"] {
        client.get(path).await.says(200, &body);
        assert!(lab.shared().store.ledger().used() <= lab.shared().store.ledger().bound());
    }
    assert_eq!(lab.origin("a").requests("/known").len(), 2);
    assert_eq!(lab.origin("a").requests("/unknown").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_target_is_never_asked_for() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for (path, host, status) in [
        ("/x", "other.test", 421),
        ("/a%00b", "www.test", 400),
        ("/%2e%2e/secret", "www.test", 400),
        ("/x", "user@www.test", 400),
    ] {
        let reply = client.get_with(path, &[("host", host)]).await;
        assert_eq!(reply.status.as_u16(), status, "{path} at {host}");
        assert_eq!(reply.field("cache-control"), "no-store");
    }
    assert!(lab.origin("a").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_request_is_counted_under_its_outcome() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    client.get("/x").await;
    client.get("/x").await;
    let figures = lab.metrics();
    for cache in ["hit", "uri-miss"] {
        let counted = figures.lines().any(|line| {
            line.starts_with("holdover_http_requests_total")
                && line.contains(&format!("cache=\"{cache}\""))
                && line.contains("site=\"www\"")
                && line.ends_with(" 1")
        });
        assert!(counted, "{figures}");
    }
}

#[tokio::test(start_paused = true)]
async fn workers_answer_from_one_cache_and_are_counted_together() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut clients = [lab.client().await, lab.client_of_another_worker().await];
    for (round, status) in [(0, "fwd=uri-miss; fwd-status=200; stored"), (1, "hit; ttl=60"), (2, "hit; ttl=60")] {
        clients[round % 2].get("/x").await.says(200, "body").cache_status(status);
    }
    for client in &mut clients {
        assert_eq!(client.get_with("/x", &[("host", "other.test")]).await.status, 421);
    }
    let (figures, labels) = (lab.metrics(), "proto=\"h1\",method=\"GET\",code");
    for line in [
        format!("holdover_http_requests_total{{site=\"www\",{labels}=\"2xx\",cache=\"hit\"}} 2"),
        format!("holdover_http_requests_total{{site=\"-\",{labels}=\"4xx\",cache=\"refused\"}} 2"),
        "holdover_http_response_bytes_total{site=\"www\",cache=\"hit\"} 8".to_owned(),
        "holdover_http_request_duration_seconds_count{site=\"www\",cache=\"hit\"} 2".to_owned(),
    ] {
        assert!(figures.lines().any(|found| found == line), "{line} is not in\n{figures}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_without_a_date_is_dated_by_its_arrival() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    let first = client.get("/x").await;
    lab.time_passes(Duration::from_secs(30)).await;
    let second = client.get("/x").await;
    second.aged(30);
    assert_eq!(first.field("date"), second.field("date"));
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_client_left_before_the_answer_is_counted_too() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).after(Duration::from_secs(1)));
    let mut client = lab.client().await;
    let gone = tokio::spawn(async move { client.get("/x").await });
    lab.time_passes(Duration::from_millis(500)).await;
    gone.abort();
    lab.time_passes(Duration::from_millis(100)).await;
    let figures = lab.metrics();
    let counted = figures.lines().any(|line| {
        line.starts_with("holdover_http_requests_total") && line.contains("site=\"www\"") && line.ends_with(" 1")
    });
    assert!(counted, "{figures}");
}

#[tokio::test(start_paused = true)]
async fn where_cookies_reach_the_origin_a_request_with_one_has_no_part_in_the_cache() {
    for fields in ["*", "cookie"] {
        let lab = Lab::start(&["a"], &format!("[site.request]\nfields = [\"{fields}\"]")).await;
        lab.origin("a").answers("/x", Answer::ok("yours").max_age(60));
        let mut client = lab.client().await;
        client
            .get_with("/x", &[("cookie", "id=7")])
            .await
            .says(200, "yours")
            .cache_status("fwd=bypass; fwd-status=200");
        lab.origin("a").answers("/x", Answer::ok("everybody's").max_age(60));
        client.get("/x").await.says(200, "everybody's").cache_status("fwd=uri-miss; fwd-status=200; stored");
    }
}

#[tokio::test(start_paused = true)]
async fn the_origin_is_told_what_the_key_holds() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    lab.client().await.get("/x").await.says(200, "body");
    let head = &lab.origin("a").requests("/x")[0];
    assert!(head.contains("x-forwarded-proto: https\r\n") && head.contains("x-forwarded-host: www.test\r\n"), "{head}");
    assert!(!head.contains("x-forwarded-for"), "who asks is not in the key: {head}");
}

#[tokio::test(start_paused = true)]
async fn only_if_cached_asks_nobody() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    let fields = [("cache-control", "only-if-cached")];
    let refused = client.get_with("/x", &fields).await;
    assert_eq!(refused.status.as_u16(), 504);
    refused.cache_status("fwd=uri-miss; detail=only-if-cached");
    client.get("/x").await;
    client.get_with("/x", &fields).await.says(200, "body").cache_status("hit; ttl=60");
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn surrogate_control_keeps_its_own_syntax() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for (path, control) in [("/extended", "max-age=60+600"), ("/other", "max-age=0;elsewhere")] {
        let answer = Answer::ok("body").max_age(60).with("surrogate-control", control);
        lab.origin("a").answers(path, answer);
        client.get(path).await.says(200, "body");
        client.get(path).await.says(200, "body").cache_status("hit; ttl=60");
    }
}
