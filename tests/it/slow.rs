//! Origins that answer, though far too slowly, and probes that are wrong.

use std::time::Duration;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

/// Two origins that answer `/0` to `/999` after 10 ms, with their names. No request is asked of one while the other owes an
/// answer.
async fn lab(settings: &str) -> Lab {
    let lab = Lab::start(&["a", "b"], &format!("[site.failover]\nhedge_budget = 0\n{settings}")).await;
    answer(&lab, "a", SECOND / 100);
    answer(&lab, "b", SECOND / 100);
    lab
}

fn answer(lab: &Lab, name: &str, delay: Duration) {
    for number in 0..1000 {
        let answer = Answer::ok(name).with("cache-control", "no-store").after(delay);
        lab.origin(name).answers(&format!("/{number}"), answer);
    }
}

/// Asks for these pages, one each 50 ms, each by a client of its own; gives how many took more than half a second, and
/// how many `a` answered.
async fn load(lab: &Lab, pages: std::ops::Range<usize>) -> (usize, usize) {
    let mut requests = Vec::new();
    for number in pages {
        let mut client = lab.client().await;
        requests.push(tokio::spawn(async move {
            let reply = client.get(&format!("/{number}")).await;
            assert_eq!(reply.status.as_u16(), 200);
            (reply.first_byte > SECOND / 2, reply.text() == "a")
        }));
        lab.time_passes(SECOND / 20).await;
    }
    let (mut slow, mut by_a) = (0, 0);
    for request in requests {
        let (took_long, is_a) = request.await.unwrap();
        slow += usize::from(took_long);
        by_a += usize::from(is_a);
    }
    (slow, by_a)
}

#[tokio::test(start_paused = true)]
async fn an_origin_in_a_brown_out_is_left_after_a_few_slow_answers() {
    let lab = lab("").await;
    assert_eq!(load(&lab, 0..40).await, (0, 40));
    answer(&lab, "a", 3 * SECOND / 2);
    let (slow, _) = load(&lab, 100..500).await;
    assert!((1..=20).contains(&slow), "{slow} slow answers of 400");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_others_outrun_is_asked_for_longer_until_it_is_found_slow() {
    let lab = Lab::start(&["a", "b"], "").await;
    answer(&lab, "a", SECOND / 10);
    answer(&lab, "b", SECOND / 10);
    assert_eq!(load(&lab, 0..40).await, (0, 40));
    answer(&lab, "a", 3 * SECOND / 2);
    let (slow, by_a) = load(&lab, 100..300).await;
    assert!(slow <= 20 && by_a <= 5, "{slow} slow answers of 200, {by_a} by a");
    let asked: usize = (100..300).map(|number| lab.origin("a").requests(&format!("/{number}")).len()).sum();
    assert!(asked < 40, "{asked} requests of 200");
    assert_eq!(lab.preferred().await.as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_few_urls_that_others_are_faster_with_make_no_slow_origin() {
    let mut lab = Lab::start(&["a", "b"], "").await;
    answer(&lab, "a", SECOND / 5);
    answer(&lab, "b", SECOND / 100);
    load(&lab, 0..40).await;
    lab.news();
    for number in 100..106 {
        let page = Answer::ok("a").with("cache-control", "no-store").after(2 * SECOND / 5);
        lab.origin("a").answers(&format!("/{number}"), page);
        assert_eq!(lab.client().await.get(&format!("/{number}")).await.status.as_u16(), 200);
        lab.time_passes(2 * SECOND).await;
    }
    assert!(!lab.origin("b").requests("/100").is_empty());
    assert_eq!(lab.news(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_trickle_finds_out_that_it_is_quick_again() {
    let lab = lab("[site.failback]\ndwell = \"1s\"\nramp = \"0s\"").await;
    load(&lab, 0..40).await;
    answer(&lab, "a", 3 * SECOND / 2);
    load(&lab, 100..200).await;
    assert_eq!(lab.preferred().await.as_deref(), Some("b"));
    answer(&lab, "a", SECOND / 100);
    load(&lab, 200..600).await;
    assert_eq!(lab.preferred().await.as_deref(), Some("a"));
    assert_eq!(load(&lab, 600..620).await, (0, 20));
}

#[tokio::test(start_paused = true)]
async fn one_slow_url_makes_no_slow_origin() {
    let lab = lab("").await;
    load(&lab, 0..40).await;
    lab.origin("a").answers("/7", Answer::ok("a").with("cache-control", "no-store").after(2 * SECOND));
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = lab.client().await;
        waiting.push(tokio::spawn(async move { client.get("/7").await.text().to_owned() }));
        lab.time_passes(SECOND / 20).await;
    }
    for reply in waiting {
        assert_eq!(reply.await.unwrap(), "a");
    }
    assert_eq!(lab.preferred().await.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn an_origin_over_its_budget_is_left_even_if_that_is_usual_for_it() {
    let lab = lab("[site.latency]\nbudget = \"300ms\"").await;
    answer(&lab, "a", SECOND / 2 + SECOND / 10);
    let (slow, _) = load(&lab, 0..100).await;
    assert!((1..=20).contains(&slow), "{slow} slow answers of 100");
}

#[tokio::test(start_paused = true)]
async fn probes_that_are_wrong_do_not_keep_a_site_down() {
    let lab = lab("").await;
    for name in ["a", "b"] {
        lab.origin(name).answers("/", Answer::new(500, "the probe path is broken"));
    }
    lab.mode_becomes("stale-only").await;
    let mut client = lab.client().await;
    let mut refused = 0;
    for number in 0..100 {
        let reply = client.get(&format!("/{number}")).await;
        assert!(reply.first_byte < SECOND / 10, "nobody waits for a trial: {reply:?}");
        refused += usize::from(reply.status.as_u16() == 503);
        lab.time_passes(SECOND / 10).await;
    }
    assert!((1..=60).contains(&refused), "{refused} of 100 requests were refused, in 10 s");
    client.get("/900").await.says(200, "a");
}

#[tokio::test(start_paused = true)]
async fn with_every_origin_dead_one_request_in_seconds_is_tried_behind_the_clients_back() {
    let lab = lab("").await;
    lab.origin("a").dies();
    lab.origin("b").dies();
    lab.mode_becomes("stale-only").await;
    let mut client = lab.client().await;
    for number in 0..100 {
        let reply = client.get(&format!("/{number}")).await;
        assert_eq!((reply.status.as_u16(), reply.first_byte < SECOND / 20), (503, true));
        lab.time_passes(SECOND / 10).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_asked_later_is_not_outrun() {
    let mut lab = Lab::start(&["a", "b", "c"], "").await;
    answer(&lab, "a", SECOND / 100);
    answer(&lab, "b", SECOND / 10);
    load(&lab, 0..40).await;
    lab.order("drain", "a").await;
    load(&lab, 40..80).await;
    lab.order("enable", "a").await;
    lab.time_passes(10 * SECOND).await;
    lab.news();
    let mut waiting = Vec::new();
    for number in 100..110 {
        let page = Answer::ok("a").with("cache-control", "no-store").pausing_at(1, SECOND).after(3 * SECOND / 20);
        lab.origin("a").answers(&format!("/{number}"), page);
        let mut client = lab.client().await;
        waiting.push(tokio::spawn(async move { client.get(&format!("/{number}")).await.text().to_owned() }));
    }
    lab.time_passes(SECOND / 10).await;
    lab.order("drain", "a").await;
    for reply in waiting {
        assert_eq!(reply.await.unwrap(), "a");
    }
    assert_eq!(lab.origin("b").requests("/100").len(), 1, "it was asked beside");
    let told = lab.news();
    assert!(!told.contains(&"origin-changed"), "{told:?}");
}
