//! An origin with a bounded number of places.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::lab::{Answer, Lab, Reply};

const MILLISECOND: Duration = Duration::from_millis(1);

/// The paths that a crowd asks for: one each, so that nobody waits for another's answer.
const PATHS: [&str; 3] = ["/1", "/2", "/3"];

async fn lab(origins: &[(&str, &str, Duration)]) -> Lab {
    let keys: Vec<_> = origins.iter().map(|(name, keys, _)| (*name, *keys)).collect();
    let lab = Lab::start_with(&keys, "[site.failover]\nhedge_budget = 0").await;
    for (name, _, delay) in origins {
        for path in PATHS {
            lab.origin(name).answers(path, Answer::ok(*name).with("cache-control", "no-store").after(*delay));
        }
    }
    lab
}

/// All paths at once; the replies in the order of their arrival.
async fn crowd(lab: &Lab) -> Vec<Reply> {
    let mut crowd = JoinSet::new();
    for path in PATHS {
        let mut client = lab.client().await;
        crowd.spawn(async move { client.get(path).await });
    }
    let mut replies = crowd.join_all().await;
    replies.sort_by_key(|reply| reply.first_byte);
    replies
}

#[tokio::test(start_paused = true)]
async fn the_third_request_at_an_origin_with_two_places_waits_for_one() {
    let lab = lab(&[("a", "requests_max = 2", 300 * MILLISECOND)]).await;
    let replies = crowd(&lab).await;
    replies[1].says(200, "a").within(310 * MILLISECOND);
    replies[2].says(200, "a").within(610 * MILLISECOND);
    assert!(replies[2].first_byte >= 600 * MILLISECOND);
    assert!(lab.metrics().contains("holdover_origin_requests{site=\"www\",origin=\"a\"} 0"), "{}", lab.metrics());
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_the_queue_full_goes_on_to_the_next_origin() {
    let keys = "requests_max = 1\nqueue_max = 1";
    let lab = lab(&[("a", keys, 300 * MILLISECOND), ("b", "", Duration::ZERO)]).await;
    let replies = crowd(&lab).await;
    replies[0].says(200, "b").within(10 * MILLISECOND);
    replies[1].says(200, "a").within(310 * MILLISECOND);
    replies[2].says(200, "a").within(610 * MILLISECOND);
}

#[tokio::test(start_paused = true)]
async fn whoever_waited_as_long_as_for_a_connect_goes_on_to_the_next_origin() {
    let lab = lab(&[("a", "requests_max = 2", 2500 * MILLISECOND), ("b", "", Duration::ZERO)]).await;
    let replies = crowd(&lab).await;
    replies[0].says(200, "b").within(1010 * MILLISECOND);
    replies[2].says(200, "a");
}

#[tokio::test(start_paused = true)]
async fn with_nobody_left_to_ask_the_answer_says_when_to_come_back() {
    let mut lab = lab(&[("a", "requests_max = 2\nqueue_max = 0", 300 * MILLISECOND)]).await;
    lab.news();
    let replies = crowd(&lab).await;
    assert_eq!((replies[0].status.as_u16(), replies[0].field("retry-after")), (503, "5"));
    replies[0].cache_status("fwd=uri-miss; detail=busy").within(10 * MILLISECOND);
    replies[1].says(200, "a");
    assert_eq!(lab.news(), Vec::<&str>::new(), "this is no evidence against the origin");
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_again_when_a_client_leaves_or_a_body_breaks() {
    let lab = lab(&[("a", "requests_max = 1\nqueue_max = 0", Duration::ZERO)]).await;
    lab.origin("a").answers("/never", Answer::ok("late").after(3000 * MILLISECOND));
    lab.origin("a").answers("/cut", Answer::ok("a whole body").with("cache-control", "no-store").breaking_at(3));
    let mut leaving = lab.client().await;
    let left = tokio::spawn(async move { leaving.send("POST", "/never", &[], "").await });
    lab.time_passes(100 * MILLISECOND).await;
    assert_eq!(lab.client().await.get("/1").await.status.as_u16(), 503);
    left.abort();
    lab.time_passes(100 * MILLISECOND).await;
    lab.client().await.get("/1").await.says(200, "a");
    assert_eq!(lab.client().await.get("/cut").await.body, None);
    lab.client().await.get("/2").await.says(200, "a");
}

#[tokio::test(start_paused = true)]
async fn a_body_goes_on_at_an_origin_with_a_single_place() {
    let lab = lab(&[("a", "requests_max = 1\nqueue_max = 0", Duration::ZERO)]).await;
    lab.origin("a").answers("/x", Answer::ok("a whole body").max_age(60).etag("v1").with_ranges().breaking_at(3));
    lab.client().await.get("/x").await.says(200, "a whole body");
}
