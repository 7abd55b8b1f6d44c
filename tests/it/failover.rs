//! The next origin takes over, and the first one gets its place back.

use std::time::Duration;

use crate::lab::{Answer, Lab};
use crate::wires::Folder;

const SECOND: Duration = Duration::from_secs(1);

async fn lab_with_two_origins(settings: &str) -> Lab {
    let lab = Lab::start(&["a", "b"], settings).await;
    for name in ["a", "b"] {
        lab.origin(name).answers("/x", Answer::ok(name).with("cache-control", "no-store"));
    }
    lab
}

#[tokio::test(start_paused = true)]
async fn requests_go_to_the_first_rank() {
    let lab = lab_with_two_origins("").await;
    let mut client = lab.client().await;
    for _ in 0..10 {
        client.get("/x").await.says(200, "a");
    }
    assert!(lab.origin("b").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_same_request_goes_on_to_the_next_origin_when_the_first_refuses() {
    let lab = lab_with_two_origins("").await;
    lab.origin("a").dies();
    lab.client().await.get("/x").await.says(200, "b").within(SECOND / 10);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_accepts_and_never_answers_is_left_at_the_first_byte_timeout() {
    let lab = lab_with_two_origins("[site.timeouts]\nfirst_byte = \"1s\"").await;
    lab.origin("a").wedges();
    lab.client().await.get("/x").await.says(200, "b").within(2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_failure_status_sends_the_request_on_and_the_best_answer_wins() {
    let lab = lab_with_two_origins("").await;
    lab.origin("a").answers("/x", Answer::new(503, "overloaded"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "b");
    lab.origin("b").answers("/x", Answer::new(500, "broken"));
    client.get("/x").await.says(500, "broken");
    lab.origin("b").dies();
    client.get("/x").await.says(503, "overloaded");
}

#[tokio::test(start_paused = true)]
async fn a_not_found_is_an_answer_and_not_a_failure() {
    let lab = lab_with_two_origins("").await;
    lab.client().await.get("/missing").await.says(404, "not here");
    assert!(lab.origin("b").requests("/missing").is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_no_origin_left_the_answer_is_quick_and_says_when_to_come_back() {
    let lab = lab_with_two_origins("").await;
    lab.origin("a").dies();
    lab.origin("b").dies();
    let reply = lab.client().await.get("/x").await;
    assert_eq!(reply.status.as_u16(), 503);
    assert_eq!(reply.field("retry-after"), "5");
    reply.within(SECOND / 10);
}

#[tokio::test(start_paused = true)]
async fn the_whole_request_keeps_its_deadline_whatever_the_origins_do() {
    let lab = lab_with_two_origins("[site.timeouts]\nrequest = \"4s\"\nfirst_byte = \"3s\"").await;
    lab.origin("a").wedges();
    lab.origin("b").wedges();
    let reply = lab.client().await.get("/x").await;
    assert_eq!(reply.status.as_u16(), 504);
    reply.within(4 * SECOND + SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn failback_waits_for_probes_and_hold_down() {
    let lab =
        lab_with_two_origins("[site.failback]\nprobes = 3\nhold_down = \"20s\"\ndwell = \"20s\"\nramp = \"0s\"").await;
    let mut client = lab.client().await;
    lab.origin("a").dies();
    client.get("/x").await.says(200, "b");
    while lab.preferred().await.as_deref() != Some("b") {
        lab.time_passes(SECOND / 10).await;
    }
    lab.origin("a").returns();
    lab.time_passes(10 * SECOND).await;
    client.get("/x").await.says(200, "b");
    lab.time_passes(20 * SECOND).await;
    client.get("/x").await.says(200, "a");
}

#[tokio::test(start_paused = true)]
async fn while_every_origin_is_down_probes_alone_find_the_one_that_returns() {
    let lab = lab_with_two_origins("").await;
    lab.origin("a").dies();
    lab.origin("b").dies();
    lab.mode_becomes("stale-only").await;
    lab.origin("b").returns();
    lab.mode_becomes("recovering").await;
    lab.client().await.get("/x").await.says(200, "b");
}

#[tokio::test(start_paused = true)]
async fn a_reused_connection_that_died_unanswered_is_replaced_once() {
    let lab = lab_with_two_origins("").await;
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "a");
    // Resets its connections, and is back before anybody notices.
    lab.origin("a").dies();
    lab.origin("a").returns();
    client.get("/x").await.says(200, "a");
    assert!(lab.origin("b").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_too_late_are_not_held_against_an_origin() {
    let mut lab = Lab::start(&["a"], "[site.timeouts]\nrequest = \"5s\"\nfirst_byte = \"5s\"").await;
    lab.origin("a").answers("/x", Answer::ok("mine").with("cache-control", "private").after(SECOND * 49 / 10));
    lab.news();
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = lab.client().await;
        crowd.spawn(async move { client.get("/x").await });
    }
    for reply in crowd.join_all().await {
        reply.within(6 * SECOND);
    }
    assert_eq!(lab.news(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_says_it_is_going_away_is_spared_and_gets_its_place_back_at_once() {
    for going in [
        Answer::ok("fine").with("x-health", "draining"),
        Answer::new(503, "no").with("x-envoy-immediate-health-check-fail", "true"),
    ] {
        let mut lab = lab_with_two_origins("").await;
        lab.time_passes(10 * SECOND).await;
        lab.news();
        lab.origin("a").answers("/", going);
        lab.time_passes(10 * SECOND).await;
        let asked = lab.origin("a").requests("/x").len();
        let mut client = lab.client().await;
        for _ in 0..10 {
            client.get("/x").await.says(200, "b");
        }
        assert_eq!(lab.origin("a").requests("/x").len(), asked);
        assert_eq!(lab.mode().await, "normal");
        lab.origin("a").answers("/", Answer::ok("fine"));
        lab.time_passes(3 * SECOND).await;
        client.get("/x").await.says(200, "a");
        assert_eq!(lab.news(), ["lame-duck-began", "failed-over", "lame-duck-ended", "failed-over"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_going_away_is_asked_when_there_is_no_other() {
    let lab = lab_with_two_origins("").await;
    let going = || Answer::ok("fine").with("x-health", "drain");
    lab.time_passes(10 * SECOND).await;
    for name in ["a", "b"] {
        lab.origin(name).answers("/", going());
    }
    lab.time_passes(10 * SECOND).await;
    lab.client().await.get("/x").await.says(200, "a");
    lab.origin("a").answers("/", Answer::ok("fine"));
    lab.origin("b").answers("/", Answer::ok("fine"));
    lab.time_passes(10 * SECOND).await;
    lab.origin("a").answers("/", going());
    lab.origin("b").dies();
    lab.time_passes(10 * SECOND).await;
    lab.client().await.get("/x").await.says(200, "a");
}

#[tokio::test(start_paused = true)]
async fn what_an_origin_says_of_its_failure_is_better_than_what_this_node_could() {
    let lab = lab_with_two_origins("").await;
    lab.origin("a").answers("/x", Answer::new(500, "an apology"));
    lab.origin("b").answers("/x", Answer::ok("late").after(3600 * SECOND));
    lab.client().await.get("/x").await.says(500, "an apology").within(4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn while_origins_come_back_stale_is_served_at_once_and_refreshed_behind_it() {
    let settings = "[site.stale]\nwhile_revalidate = \"0s\"\nrevive = \"100ms\"";
    let lab = Lab::start_with(&[("a", "requests_max = 2\nqueue_max = 1")], settings).await;
    let paths: Vec<_> = (0..40).map(|number| format!("/{number}")).collect();
    let mut client = lab.client().await;
    for path in &paths {
        lab.origin("a").answers(path, Answer::ok("old").max_age(1));
        client.get(path).await.says(200, "old");
    }
    lab.time_passes(2 * SECOND).await;
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    for path in &paths {
        lab.origin("a").answers(path, Answer::ok("new").max_age(600).after(SECOND / 2));
    }
    lab.origin("a").returns();
    lab.mode_becomes("recovering").await;
    for path in &paths {
        let reply = client.get(path).await;
        assert!(reply.says(200, "old").within(SECOND / 100).field("cache-status").ends_with("; detail=recovering"));
    }
    let asked = |lab: &Lab| paths.iter().map(|path| lab.origin("a").requests(path).len() - 1).sum::<usize>();
    assert!(asked(&lab) <= 2, "an origin gets no more than it has places for");
    while lab.mode().await == "recovering" {
        lab.time_passes(SECOND / 10).await;
    }
    for path in &paths {
        let reply = client.get(path).await;
        reply.within(SECOND * 4 / 10);
        assert_eq!(reply.status.as_u16(), 200, "{path} is stored, whatever the origin has to do");
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_has_its_own_page_for_when_no_origin_answers() {
    let folder = Folder::new();
    let page = folder.write("sorry.html", "<h1>Tea break</h1>");
    let lab = lab_with_two_origins(&format!("error_page = {page:?}")).await;
    lab.origin("a").dies();
    lab.origin("b").dies();
    let mut client = lab.client().await;
    for down in [false, true] {
        let reply = client.get("/x").await;
        reply.says(503, "<h1>Tea break</h1>");
        let fields = ["content-type", "cache-control", "retry-after"].map(|name| reply.field(name));
        assert_eq!(fields, ["text/html; charset=utf-8", "no-store", "5"]);
        reply.cache_status(if down { "fwd=uri-miss; detail=origin-down" } else { "fwd=uri-miss; detail=connect" });
        assert_eq!(client.send("HEAD", "/x", &[], "").await.says(503, "").field("content-length"), "18");
        lab.mode_becomes("stale-only").await;
    }
    let unstored = client.get_with("/x", &[("cache-control", "only-if-cached")]).await;
    assert_eq!(unstored.field("content-type"), "text/html; charset=utf-8", "nobody could be asked");
    let misdirected = client.get_with("/x", &[("host", "other.test")]).await;
    assert_eq!((misdirected.status.as_u16(), misdirected.field("content-type")), (421, "text/plain; charset=utf-8"));
}
