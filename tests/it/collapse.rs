//! Crowds and fills.

use std::time::Duration;

use holdover::cache::ledger::Reservation;
use holdover::serve::site::FILLS_MAX;
use http_body_util::BodyExt;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_crowd_on_one_unknown_url_is_one_fetch() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).after(SECOND));
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let mut client = lab.client().await;
        crowd.spawn(async move { client.get("/x").await });
    }
    let replies = crowd.join_all().await;
    replies.iter().for_each(|reply| {
        reply.says(200, "body").within(2 * SECOND);
    });
    let collapsed = replies.iter().filter(|reply| reply.field("cache-status").contains("collapsed")).count();
    assert_eq!((collapsed, lab.origin("a").requests("/x").len()), (199, 1));
}

#[tokio::test(start_paused = true)]
async fn a_crowd_in_two_languages_is_two_fetches() {
    for status in [200, 500] {
        let lab = Lab::start(&["a"], "[site.request]\nfields = [\"accept-language\"]").await;
        let answer = Answer::new(status, "body").max_age(60).with("vary", "accept-language").after(SECOND);
        lab.origin("a").answers("/x", answer);
        let mut crowd = tokio::task::JoinSet::new();
        for number in 0..100 {
            let mut client = lab.client().await;
            let language = ["de", "en"][number % 2];
            crowd.spawn(async move { client.get_with("/x", &[("accept-language", language)]).await });
        }
        crowd.join_all().await.iter().for_each(|reply| {
            reply.says(status, "body").within(2 * SECOND + SECOND / 10);
        });
        assert_eq!(lab.origin("a").requests("/x").len(), 2, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_meets_a_vary_that_changes_goes_alone_in_the_end() {
    let lab = Lab::start(&["a"], "[site.request]\nfields = [\"accept-language\", \"x-a\"]").await;
    let answer = |vary| Answer::ok("body").max_age(60).with("vary", vary).after(SECOND);
    lab.origin("a").answers("/x", answer("accept-language"));
    let mut crowd = tokio::task::JoinSet::new();
    for (language, other) in [("de", "1"), ("en", "1"), ("en", "2"), ("en", "3")] {
        let mut client = lab.client().await;
        crowd.spawn(async move { client.get_with("/x", &[("accept-language", language), ("x-a", other)]).await });
    }
    lab.time_passes(SECOND / 2).await;
    lab.origin("a").answers("/x", answer("x-a"));
    crowd.join_all().await.iter().for_each(|reply| {
        reply.says(200, "body").within(3 * SECOND + SECOND / 10);
    });
    assert_eq!(lab.origin("a").requests("/x").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn requests_for_the_head_or_for_a_part_wait_for_the_one_fetch_of_the_whole() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("a whole body").max_age(60).after(SECOND));
    let mut crowd = tokio::task::JoinSet::new();
    for number in 0..30 {
        let mut client = lab.client().await;
        crowd.spawn(async move {
            match number % 3 {
                0 => client.send("HEAD", "/x", &[], "").await.says(200, "").field("content-length") == "12",
                1 => client.get_with("/x", &[("range", "bytes=2-6")]).await.says(206, "whole").status == 206,
                _ => client.get("/x").await.says(200, "a whole body").status == 200,
            }
        });
    }
    assert!(crowd.join_all().await.into_iter().all(|is_right| is_right));
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_meets_a_failure_does_not_repeat_it_one_by_one() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::new(500, "broken").after(SECOND));
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut client = lab.client().await;
        crowd.spawn(async move { client.get("/x").await });
    }
    crowd.join_all().await.iter().for_each(|reply| {
        reply.says(500, "broken").within(2 * SECOND);
    });
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_on_an_uncacheable_url_waits_for_one_look_and_then_goes_in_parallel() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("mine").with("cache-control", "private").after(SECOND));
    for round in 1..=2 {
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let mut client = lab.client().await;
            crowd.spawn(async move { client.get("/x").await });
        }
        let most = if round == 1 { 2 * SECOND + SECOND / 10 } else { SECOND + SECOND / 10 };
        crowd.join_all().await.iter().for_each(|reply| {
            reply.says(200, "mine").within(most);
        });
    }
    assert_eq!(lab.origin("a").requests("/x").len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_fill_outlives_the_client_that_began_it() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60).after(SECOND));
    let mut client = lab.client().await;
    let gone = tokio::spawn(async move { client.get("/x").await });
    lab.time_passes(SECOND / 2).await;
    gone.abort();
    lab.time_passes(SECOND).await;
    lab.client().await.get("/x").await.says(200, "body").cache_status("hit; ttl=58");
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn followers_get_the_first_bytes_while_the_rest_is_still_to_come() {
    let lab = Lab::start(&["a"], "[site.timeouts]\nbody_idle = \"30s\"").await;
    lab.origin("a").answers("/x", Answer::ok("first and last").max_age(60).stalling_at(5));
    let (mut leader, mut follower) = (lab.client().await, lab.client().await);
    for client in [&mut leader, &mut follower] {
        let mut response = client.begin("GET", "/x", &[], "").await;
        let first = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&first[..], b"first");
    }
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_incomplete_is_stored() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/length", Answer::ok("a whole body").max_age(60).breaking_at(3));
    lab.origin("a").answers("/chunks", Answer::ok("a whole body").max_age(60).chunked().breaking_at(3));
    for path in ["/length", "/chunks"] {
        assert_eq!(lab.client().await.get(path).await.body, None, "{path} broke off");
        assert_eq!(lab.client().await.get(path).await.body, None, "{path} is asked for again");
        assert!(lab.origin("a").requests(path).len() >= 2);
    }
    lab.time_passes(SECOND).await;
    assert_eq!(lab.shared().store.ledger().used(), 0, "and nothing of it is kept");
}

#[tokio::test(start_paused = true)]
async fn a_body_too_large_to_store_is_not_joined_when_its_start_is_gone() {
    let lab = Lab::start(&["a"], "").await;
    let body = "x".repeat(6 * 1024 * 1024);
    lab.origin("a").answers("/x", Answer::ok(body.clone()).max_age(60).chunked());
    let first = lab.client().await.begin("GET", "/x", &[], "").await;
    lab.time_passes(SECOND).await;
    lab.client().await.get("/x").await.says(200, &body);
    assert_eq!(first.into_body().collect().await.unwrap().to_bytes().len(), body.len());
}

/// What becomes of a client that takes nothing while another one reads to the end of a body of 6 MiB, which is too large to
/// be stored: what it gets, and the answers to it that were counted by this word.
async fn left_behind(answer: Answer, outcome: &str) -> (Option<bool>, usize) {
    let lab = Lab::start(&["a"], "").await;
    let body = large_body();
    lab.origin("a").answers("/x", answer);
    let (mut fast, mut slow) = (lab.client().await, lab.client().await);
    let fast = tokio::spawn(async move { fast.get("/x").await });
    let slow = slow.begin("GET", "/x", &[], "").await;
    fast.await.unwrap().says(200, &body);
    let received = slow.into_body().collect().await.ok().map(|whole| whole.to_bytes() == body);
    let metric = format!("holdover_http_left_behind_responses_total{{site=\"www\",outcome=\"{outcome}\"}}");
    (received, lab.count(&metric))
}

fn large_body() -> String {
    (0..1 << 20).map(|number| format!("{number:06}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_left_behind_gets_the_rest_from_an_origin() {
    let answer = || Answer::ok(large_body()).max_age(60).chunked().etag("v1").after(SECOND);
    assert_eq!(left_behind(answer().with_ranges(), "continued").await, (Some(true), 1), "as a part");
    assert_eq!(left_behind(answer(), "continued").await, (Some(true), 1), "or as the end of the whole");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_left_behind_is_cut_off_when_the_rest_cannot_be_told_from_others() {
    let answer = Answer::ok(large_body()).max_age(60).chunked().after(SECOND);
    assert_eq!(left_behind(answer, "cut-off").await, (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_left_behind_is_not_told_that_a_part_without_its_end_is_whole() {
    let answer = Answer::ok(large_body()).max_age(60).chunked().etag("v1").after(SECOND);
    assert_eq!(left_behind(answer.with_short_ranges(1000), "continued").await, (None, 1));
}

#[tokio::test(start_paused = true)]
async fn with_the_memory_full_a_body_of_unknown_length_streams_through() {
    let lab = Lab::start(&["a"], "").await;
    let ledger = lab.shared().store.ledger();
    let _everything = ledger.reserve(ledger.bound() - ledger.used()).unwrap();
    let body = "x".repeat(3 * 1024 * 1024);
    lab.origin("a").answers("/small", Answer::ok("body").max_age(60).chunked());
    lab.origin("a").answers("/large", Answer::ok(body.clone()).max_age(60).chunked());
    lab.client().await.get("/small").await.says(200, "body");
    lab.client().await.get("/large").await.says(200, &body);
}

#[tokio::test(start_paused = true)]
async fn with_room_for_a_window_alone_a_crowd_shares_what_can_be_gone_on_with() {
    let body = large_body()[..3 << 20].to_owned();
    let answer = || Answer::ok(body.clone()).max_age(60).after(SECOND);
    for (answer, fetches) in [(answer().etag("v1").with_ranges(), 1), (answer(), 2)] {
        let lab = Lab::start(&["a"], "").await;
        let ledger = lab.shared().store.ledger();
        let _others = ledger.reserve(ledger.bound() / 2 - 256 * 1024).unwrap();
        lab.origin("a").answers("/x", answer);
        let (mut one, mut two) = (lab.client().await, lab.client().await);
        let (one, two) = tokio::join!(one.get("/x"), two.get("/x"));
        one.says(200, &body);
        two.says(200, &body);
        assert_eq!(lab.origin("a").requests("/x").len(), fetches);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_shares_one_fetch_of_a_body_that_finds_room_a_moment_later() {
    let lab = Lab::start(&["a"], "").await;
    let body = large_body()[..3 << 20].to_owned();
    lab.origin("a").answers("/x", Answer::ok(body.clone()).max_age(60).after(SECOND));
    let ledger = lab.shared().store.ledger();
    let others = ledger.reserve(ledger.bound() / 2 - 256 * 1024).unwrap();
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    let leave = async {
        lab.time_passes(SECOND + SECOND / 100).await;
        drop(others);
    };
    let (one, two, ()) = tokio::join!(one.get("/x"), two.get("/x"), leave);
    one.says(200, &body);
    two.says(200, &body);
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_memory_is_short_nothing_takes_more_of_it() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut client = lab.client().await;
    let _everything = memory_becomes_short(&lab);
    for method in ["GET", "POST"] {
        assert_eq!(client.send(method, "/x", &[], "").await.status, 503, "{method}");
    }
    assert_eq!(lab.origin("a").requests("/x").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn memory_that_is_short_for_a_moment_costs_a_moment() {
    let lab = Lab::start(&["a"], "").await;
    for method in ["GET", "POST"] {
        lab.origin("a").answers("/x", Answer::ok("body").with("cache-control", "no-store"));
        let (mut client, everything) = (lab.client().await, memory_becomes_short(&lab));
        let relief = async {
            lab.time_passes(SECOND / 20).await;
            drop(everything);
            lab.shared().store.make_way(0, None);
        };
        let (reply, ()) = tokio::join!(client.send(method, "/x", &[], ""), relief);
        reply.says(200, "body").within(SECOND / 15);
    }
}

/// The process is said to take more than can make way for it, since what is given back has all the rest.
fn memory_becomes_short(lab: &Lab) -> Reservation {
    let store = &lab.shared().store;
    let ledger = store.ledger();
    let everything = ledger.reserve(ledger.bound() - ledger.used()).unwrap();
    store.make_way(4 * ledger.bound() + (1 << 30), None);
    assert!(store.is_overdrawn());
    everything
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_for_one_client_is_not_shared_by_a_crowd() {
    for (name, value) in [("set-cookie", "session=1"), ("cache-control", "private"), ("vary", "*")] {
        let lab = Lab::start(&["a"], "").await;
        lab.origin("a").answers("/x", Answer::new(500, "broken").with(name, value).after(SECOND));
        let (mut one, mut two) = (lab.client().await, lab.client().await);
        let (one, two) = tokio::join!(one.get("/x"), two.get("/x"));
        one.says(500, "broken");
        two.says(500, "broken");
        assert_eq!(lab.origin("a").requests("/x").len(), 2, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_be_validated_before_use_is_not_shared_by_a_crowd() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").with("cache-control", "no-cache").after(SECOND));
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    let (one, two) = tokio::join!(one.get("/x"), two.get("/x"));
    for reply in [one, two] {
        assert!(!reply.says(200, "body").field("cache-status").contains("collapsed"), "{reply:?}");
    }
    assert_eq!(lab.origin("a").requests("/x").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_went_stale_while_it_arrives_is_not_joined() {
    let lab = Lab::start(&["a"], "[site.timeouts]\nbody_idle = \"30s\"").await;
    lab.origin("a").answers("/x", Answer::ok("first and last").max_age(2).stalling_at(5));
    let (mut first, mut fresh, mut late) = (lab.client().await, lab.client().await, lab.client().await);
    let _first = first.begin("GET", "/x", &[], "").await;
    lab.time_passes(SECOND).await;
    let _fresh = fresh.begin("GET", "/x", &[], "").await;
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
    lab.time_passes(2 * SECOND).await;
    let _late = late.begin("GET", "/x", &[], "").await;
    assert_eq!(lab.origin("a").requests("/x").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn clients_that_leave_cannot_pile_up_requests_to_an_origin() {
    let lab = Lab::start(&["a"], "[site.timeouts]\nrequest = \"60s\"\nfirst_byte = \"60s\"").await;
    lab.origin("a").answers("/kept", Answer::ok("kept").max_age(60));
    lab.client().await.get("/kept").await.says(200, "kept");
    for number in 0..FILLS_MAX {
        lab.origin("a").answers(&format!("/{number}"), Answer::ok("late").after(3600 * SECOND));
        let mut client = lab.client().await;
        let gone = tokio::spawn(async move { client.get(&format!("/{number}")).await });
        lab.time_passes(Duration::from_millis(2)).await;
        gone.abort();
    }
    let reply = lab.client().await.get("/one-more").await;
    reply.within(SECOND / 100).cache_status("fwd=uri-miss; detail=busy");
    assert_eq!((reply.status.as_u16(), reply.field("retry-after")), (503, "5"));
    lab.client().await.get("/kept").await.says(200, "kept");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_left_when_nobody_reads_it() {
    let lab = Lab::start(&["a"], "[site.timeouts]\nbody_idle = \"30s\"").await;
    lab.origin("a").answers("/x", Answer::ok("tick").max_age(60).chunked().repeating(20 * SECOND));
    let mut client = lab.client().await;
    let gone = tokio::spawn(async move { client.get("/x").await });
    lab.time_passes(SECOND).await;
    gone.abort();
    lab.time_passes(30 * SECOND).await;
    assert_eq!(lab.shared().fills.count(), 1);
    lab.time_passes(60 * SECOND).await;
    assert_eq!(lab.shared().fills.count(), 0);
    assert_eq!(lab.shared().store.ledger().used(), 0);
}
