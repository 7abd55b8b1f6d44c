//! Failures that are shared with those who come a moment later.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::lab::{Answer, Lab, Reply};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Clients that ask for the path, one every `interval`.
async fn arrivals(lab: &Lab, count: usize, interval: Duration, path: &'static str) -> Vec<Reply> {
    let mut crowd = JoinSet::new();
    for _ in 0..count {
        let mut client = lab.client().await;
        crowd.spawn(async move { client.get(path).await });
        lab.time_passes(interval).await;
    }
    crowd.join_all().await
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_comes_over_five_seconds_costs_three_fetches_an_origin_while_all_answer_500() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", Answer::new(500, "broken").after(SECOND));
    lab.origin("b").answers("/x", Answer::new(500, "broken too").after(SECOND));
    for reply in arrivals(&lab, 100, 50 * MILLISECOND, "/x").await {
        reply.says(500, "broken too").within(3 * SECOND);
    }
    for name in ["a", "b"] {
        let fetches = lab.origin(name).requests("/x").len();
        assert!((2..=3).contains(&fetches), "{fetches} of {name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_held_says_so() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::new(500, "broken").with("cache-control", "no-cache, no-store"));
    let mut client = lab.client().await;
    client.get("/x").await.says(500, "broken").cache_status("fwd=uri-miss; fwd-status=500");
    lab.time_passes(700 * MILLISECOND).await;
    let held = client.get("/x").await;
    held.says(500, "broken").cache_status("fwd=uri-miss; fwd-status=500; collapsed; detail=held").aged(0);
    client.send("HEAD", "/x", &[], "").await.says(500, "");
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
    lab.origin("a").answers("/x", Answer::ok("body"));
    lab.time_passes(600 * MILLISECOND).await;
    client.get("/x").await.says(200, "body");
}

#[tokio::test(start_paused = true)]
async fn a_failure_without_a_response_is_held_as_well() {
    let lab = Lab::start(&["a"], "[site.timeouts]\nfirst_byte = \"1s\"").await;
    lab.origin("a").answers("/x", Answer::ok("late").after(3600 * SECOND));
    let mut client = lab.client().await;
    client.get("/x").await.cache_status("fwd=uri-miss; detail=first-byte-timeout");
    let held = client.get("/x").await;
    held.cache_status("fwd=uri-miss; collapsed; detail=first-byte-timeout").within(MILLISECOND);
    assert_eq!((held.status.as_u16(), held.field("retry-after")), (504, "5"));
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_purge_ends_the_hold() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for (path, answer) in [("/x", Answer::new(500, "broken")), ("/y", Answer::ok("never").hanging_up())] {
        lab.origin("a").answers(path, answer);
        assert!(client.get(path).await.status.is_server_error());
        lab.origin("a").answers(path, Answer::ok("body").max_age(60));
        assert!(client.get(path).await.status.is_server_error(), "it is held");
        assert_eq!(lab.purge(json!({ "urls": [format!("https://www.test{path}")] })).await.0, 200);
        client.get(path).await.says(200, "body");
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_may_hold_no_failure() {
    let lab = Lab::start(&["a"], "[site.failover]\nhold = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::new(500, "broken"));
    for _ in 0..3 {
        lab.client().await.get("/x").await.says(500, "broken").cache_status("fwd=uri-miss; fwd-status=500");
    }
    assert_eq!(lab.origin("a").requests("/x").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_about_one_client_is_not_held() {
    for (name, value) in [("set-cookie", "session=1"), ("cache-control", "private"), ("vary", "*")] {
        let lab = Lab::start(&["a"], "").await;
        lab.origin("a").answers("/x", Answer::new(500, "broken").with(name, value));
        for _ in 0..2 {
            lab.client().await.get("/x").await.says(500, "broken");
        }
        assert_eq!(lab.origin("a").requests("/x").len(), 2, "{name}");
    }
    let lab = Lab::start(&["a"], "[site.request]\nauthorization = \"cache\"").await;
    lab.origin("a").answers("/x", Answer::new(500, "broken"));
    let mut client = lab.client().await;
    client.get_with("/x", &[("authorization", "Basic YTpi")]).await.says(500, "broken");
    client.get("/x").await.says(500, "broken").cache_status("fwd=uri-miss; fwd-status=500");
    client.get_with("/x", &[("authorization", "Basic YTpi")]).await.cache_status("fwd=uri-miss; fwd-status=500");
}

#[tokio::test(start_paused = true)]
async fn that_the_node_has_no_place_left_is_not_held() {
    let lab = Lab::start_with(&[("a", "requests_max = 1\nqueue_max = 0")], "").await;
    lab.origin("a").answers("/slow", Answer::ok("slow").after(100 * MILLISECOND));
    lab.origin("a").answers("/x", Answer::ok("body"));
    let mut slow = lab.client().await;
    let slow = tokio::spawn(async move { slow.get("/slow").await });
    lab.time_passes(50 * MILLISECOND).await;
    lab.client().await.get("/x").await.cache_status("fwd=uri-miss; detail=busy");
    slow.await.unwrap().says(200, "slow");
    lab.client().await.get("/x").await.says(200, "body");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_failing_urls_takes_a_small_part_of_the_memory() {
    let lab = Lab::start(&["a"], "[site.failover]\nhold = \"1m\"").await;
    let mut client = lab.client().await;
    for number in 0..500 {
        let path = format!("/{number}");
        lab.origin("a").answers(&path, Answer::new(500, "broken".repeat(100)).chunked());
        assert_eq!(client.get(&path).await.status.as_u16(), 500);
    }
    let ledger = lab.shared().store.ledger();
    assert!((1..=ledger.bound() / 64).contains(&ledger.used()), "{} bytes", ledger.used());
    client.get("/499").await.cache_status("fwd=uri-miss; fwd-status=500; collapsed; detail=held");
    lab.time_passes(80 * SECOND).await;
    lab.shared().fills.let_go(lab.shared().clock.now().monotonic);
    assert_eq!(ledger.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_selects_a_failure_that_is_held_is_paid_for() {
    let with_head = Answer::new(500, "broken").with("vary", "user-agent");
    for (failure, copies) in [(with_head, 3), (Answer::ok("never").hanging_up(), 2)] {
        let lab = Lab::start(&["a"], "").await;
        lab.origin("a").answers("/x", Answer::new(500, "broken").with("vary", "user-agent").after(SECOND));
        let (mut plain, mut wordy) = (lab.client().await, lab.client().await);
        let plain = tokio::spawn(async move { plain.get("/x").await });
        let wordy = tokio::spawn(async move { wordy.get_with("/x", &[("user-agent", &"x".repeat(3000))]).await });
        lab.time_passes(SECOND / 2).await;
        lab.origin("a").answers("/x", failure);
        plain.await.unwrap().says(500, "broken");
        assert!(wordy.await.unwrap().status.is_server_error());
        let used = lab.shared().store.ledger().used();
        assert!(used >= copies * 3000, "{used} bytes for {copies} copies");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_has_a_stale_copy_does_not_get_a_failure_that_others_share() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"\nrevive = \"100ms\"").await;
    let origin = lab.origin("a");
    origin.answers("/x", Answer::ok("Hallo").max_age(10).with("vary", "accept-language"));
    let german = [("accept-language", "de")];
    let mut client = lab.client().await;
    client.get_with("/x", &german).await.says(200, "Hallo");
    lab.time_passes(20 * SECOND).await;
    origin.answers("/x", Answer::new(500, "broken"));
    client.get_with("/x", &[("accept-language", "fr")]).await.says(500, "broken");
    client
        .get_with("/x", &german)
        .await
        .says(200, "Hallo")
        .cache_status("fwd=stale; fwd-status=500; ttl=-10; detail=stale-if-error");
    assert_eq!(origin.requests("/x").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_request_tried_in_the_dark_is_tried_whatever_is_held() {
    let lab = Lab::start(&["a"], "[site.failover]\nhold = \"1m\"\n[site.probe]\npath = \"/probe\"").await;
    let origin = lab.origin("a");
    origin.answers("/probe", Answer::ok("fine"));
    origin.answers("/x", Answer::new(500, "broken"));
    lab.time_passes(10 * SECOND).await;
    let mut client = lab.client().await;
    client.get("/x").await.says(500, "broken");
    origin.answers("/probe", Answer::new(500, "broken"));
    lab.mode_becomes("stale-only").await;
    origin.answers("/x", Answer::ok("body").with("cache-control", "no-store"));
    for _ in 0..10 {
        client.get("/x").await;
        lab.time_passes(SECOND).await;
    }
    assert!(origin.requests("/x").len() > 1, "probes may be wrong");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_says_when_to_come_back_is_left_alone_until_then_and_no_longer_than_a_minute() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for (path, stated, left_alone) in [("/x", "30", 30 * SECOND), ("/y", "3600", 60 * SECOND)] {
        lab.origin("a").answers(path, Answer::new(503, "too much").with("retry-after", stated));
        let reply = client.get(path).await;
        assert_eq!(reply.says(503, "too much").field("retry-after"), stated);
        lab.origin("a").answers(path, Answer::ok("body"));
        lab.time_passes(left_alone - SECOND).await;
        client.get(path).await.says(503, "too much").aged(u32::try_from(left_alone.as_secs()).unwrap() - 1);
        lab.time_passes(SECOND).await;
        client.get(path).await.says(200, "body");
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_does_not_say_when_to_come_back_to_the_others() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", Answer::new(503, "too much").with("retry-after", "30"));
    lab.origin("b").answers("/x", Answer::new(503, "too much").with("retry-after", "30"));
    let mut client = lab.client().await;
    client.get("/x").await.says(503, "too much");
    lab.origin("b").answers("/x", Answer::ok("body"));
    lab.time_passes(2 * SECOND).await;
    client.get("/x").await.says(200, "body");
}

#[tokio::test(start_paused = true)]
async fn a_stale_copy_answers_until_an_origin_wants_to_be_asked_again() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::ok("old").max_age(10));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    lab.time_passes(20 * SECOND).await;
    let back = httpdate::fmt_http_date(lab.shared().clock.now().wall + 40 * SECOND);
    lab.origin("a").answers("/x", Answer::new(503, "too much").with("retry-after", &back));
    client.get("/x").await.says(200, "old").cache_status("fwd=stale; fwd-status=503; ttl=-10; detail=stale-if-error");
    lab.time_passes(38 * SECOND).await;
    client.get("/x").await.says(200, "old").cache_status("hit; ttl=-48; detail=revived");
    assert_eq!(lab.origin("a").requests("/x").len(), 2);
    lab.time_passes(3 * SECOND).await;
    client.get("/x").await.says(200, "old");
    assert_eq!(lab.origin("a").requests("/x").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_limits_this_node_is_spared_by_the_crowd_and_by_what_is_stored() {
    let lab = Lab::start(&["a", "b"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::new(429, "slower, please").after(200 * MILLISECOND));
    for reply in arrivals(&lab, 20, 40 * MILLISECOND, "/x").await {
        reply.says(429, "slower, please");
    }
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
    lab.origin("a").answers("/y", Answer::ok("old").max_age(10));
    let mut client = lab.client().await;
    client.get("/y").await.says(200, "old");
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").answers("/y", Answer::new(429, "slower, please"));
    client.get("/y").await.says(200, "old").cache_status("fwd=stale; fwd-status=429; ttl=-10; detail=stale-if-error");
    assert!(lab.origin("b").requests("/y").is_empty(), "it is no failure of the origin");
}

const LAST_WORD: &str = "[site.stale]\nwhile_revalidate = \"0s\"\n[site.probe]\nenabled = false";

fn last_word(value: &str) -> Answer {
    Answer::new(503, "closed for today").with("no-fallback", value)
}

#[tokio::test(start_paused = true)]
async fn an_origin_has_the_last_word_if_it_wants() {
    let mut lab = Lab::start(&["a", "b"], LAST_WORD).await;
    lab.origin("b").answers("/x", Answer::ok("mirror").max_age(10));
    lab.origin("a").answers("/x", Answer::ok("old").max_age(10));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "old");
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").answers("/x", last_word("?1").max_age(60));
    lab.news();
    for _ in 0..10 {
        let reply = client.get("/x").await;
        assert_eq!(reply.says(503, "closed for today").field("no-fallback"), "");
        lab.time_passes(2 * SECOND).await;
    }
    assert!(lab.origin("b").requests("/x").is_empty());
    assert_eq!(lab.news(), Vec::<&str>::new(), "this is no evidence against the origin");
    lab.origin("a").dies();
    lab.origin("b").dies();
    client.get("/x").await.says(200, "old");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_shares_the_last_word() {
    let lab = Lab::start(&["a", "b"], LAST_WORD).await;
    lab.origin("a").answers("/x", last_word("1").with("cache-control", "no-cache").after(200 * MILLISECOND));
    for reply in arrivals(&lab, 20, 40 * MILLISECOND, "/x").await {
        reply.says(503, "closed for today");
    }
    assert_eq!((lab.origin("a").requests("/x").len(), lab.origin("b").requests("/x").len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn another_origin_is_asked_where_nobody_may_have_the_last_word_or_it_is_not_wanted() {
    for (settings, value) in [(LAST_WORD, "?0"), ("[site.failover]\nno_fallback = false", "?1")] {
        let lab = Lab::start(&["a", "b"], settings).await;
        lab.origin("a").answers("/x", last_word(value));
        lab.origin("b").answers("/x", Answer::ok("mirror"));
        lab.client().await.get("/x").await.says(200, "mirror");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_word_is_not_waited_out_by_a_hedge() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", last_word("1").after(SECOND));
    lab.origin("b").answers("/x", Answer::ok("mirror").after(2 * SECOND));
    lab.client().await.get("/x").await.says(503, "closed for today").within(SECOND + SECOND / 10);
}

const VARIED: &str =
    "[site.request]\nfields = [\"accept-language\"]\n[site.stale]\nwhile_revalidate = \"0s\"\nfirst = \"stale\"";

#[tokio::test(start_paused = true)]
async fn who_has_no_stale_copy_does_not_get_what_was_given_up_early_by_one_who_has() {
    for failure in [Answer::new(500, "broken"), Answer::ok("never").hanging_up()] {
        let lab = Lab::start(&["a", "b"], VARIED).await;
        lab.origin("a").answers("/x", Answer::ok("Hallo").max_age(10).with("vary", "accept-language"));
        let mut client = lab.client().await;
        client.get_with("/x", &[("accept-language", "de")]).await.says(200, "Hallo");
        lab.time_passes(20 * SECOND).await;
        lab.origin("a").answers("/x", failure);
        lab.origin("b").answers("/x", Answer::ok("Salut").with("vary", "accept-language"));
        client.get_with("/x", &[("accept-language", "de")]).await.says(200, "Hallo");
        client.get_with("/x", &[("accept-language", "fr")]).await.says(200, "Salut");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_no_stale_copy_gets_an_origins_own_words() {
    let lab = Lab::start(&["a"], VARIED).await;
    lab.origin("a").answers("/x", Answer::ok("Hallo").max_age(10).with("vary", "accept-language"));
    let mut client = lab.client().await;
    client.get_with("/x", &[("accept-language", "de")]).await.says(200, "Hallo");
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").answers("/x", Answer::new(500, "broken"));
    client.get_with("/x", &[("accept-language", "de")]).await.says(200, "Hallo");
    client.get_with("/x", &[("accept-language", "fr")]).await.says(500, "broken");
}

#[tokio::test(start_paused = true)]
async fn a_failure_whose_body_does_not_end_does_not_hide_an_origin_that_is_back() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::new(500, "broken").chunked().repeating(SECOND / 5));
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = lab.client().await;
        clients.push(tokio::spawn(async move { client.begin("GET", "/x", &[], "").await }));
        lab.time_passes(SECOND / 5).await;
    }
    assert_eq!(lab.origin("a").requests("/x").len(), 1);
    lab.time_passes(SECOND).await;
    lab.origin("a").answers("/x", Answer::ok("body"));
    let reply = lab.client().await.begin("GET", "/x", &[], "").await;
    assert_eq!(reply.status().as_u16(), 200);
    drop(clients);
}

#[tokio::test(start_paused = true)]
async fn a_stale_copy_is_not_kept_from_an_origin_by_what_another_one_says() {
    let lab = Lab::start(&["a", "b"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    for status in [503, 429] {
        let mut client = lab.client().await;
        let path = if status == 503 { "/x" } else { "/y" };
        lab.origin("a").answers(path, Answer::ok("old").max_age(10));
        client.get(path).await.says(200, "old");
        lab.time_passes(20 * SECOND).await;
        for name in ["a", "b"] {
            lab.origin(name).answers(path, Answer::new(status, "too much").with("retry-after", "60"));
        }
        client.get(path).await.says(200, "old");
        lab.time_passes(15 * SECOND).await;
        lab.origin("a").answers(path, Answer::ok("new"));
        // With 429 no other one was asked, and none would be now.
        lab.client().await.get(path).await.says(200, if status == 503 { "new" } else { "old" });
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_says_that_another_request_met_the_failure() {
    let lab = Lab::start(&["a"], "[site.stale]\nwhile_revalidate = \"0s\"").await;
    lab.origin("a").answers("/x", Answer::ok("old").max_age(10));
    let (mut one, mut two) = (lab.client().await, lab.client().await);
    one.get("/x").await.says(200, "old");
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").answers("/x", Answer::new(500, "broken").after(SECOND / 5));
    let (one, two) = tokio::join!(one.get("/x"), two.get("/x"));
    let replies = [one, two];
    let collapsed = replies.iter().filter(|reply| reply.says(200, "old").field("cache-status").contains("collapsed"));
    assert_eq!((collapsed.count(), lab.origin("a").requests("/x").len()), (1, 2));
}
