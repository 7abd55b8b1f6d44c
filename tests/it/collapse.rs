//! Crowds and fills.

use std::time::Duration;

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
