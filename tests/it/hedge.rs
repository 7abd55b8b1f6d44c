//! Requests that owe an answer for too long: another origin is asked beside, within a budget.

use std::time::Duration;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

async fn lab(origins: &[&str], settings: &str) -> Lab {
    let lab = Lab::start(origins, settings).await;
    for name in origins {
        answer(&lab, name, 10 * MILLISECOND);
    }
    lab
}

/// Lets `name` answer everything with its name after `delay`.
fn answer(lab: &Lab, name: &str, delay: Duration) {
    for number in 0..200 {
        let answer = Answer::ok(name).with("cache-control", "no-store").after(delay);
        lab.origin(name).answers(&format!("/{number}"), answer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_asked_for_elsewhere_after_a_quarter_of_a_second() {
    let lab = lab(&["a", "b"], "").await;
    answer(&lab, "a", 2 * SECOND);
    let reply = lab.client().await.get("/1").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "b"));
    assert!((250 * MILLISECOND..300 * MILLISECOND).contains(&reply.first_byte), "{:?}", reply.first_byte);
    assert_eq!((lab.origin("a").requests("/1").len(), lab.origin("b").requests("/1").len()), (1, 1));
    lab.time_passes(SECOND).await;
    let outrun = r#"holdover_origin_attempts_total{site="www",origin="a",outcome="outrun"} 1"#;
    assert!(lab.metrics().contains(outrun), "{}", lab.metrics());
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_wins_whoever_was_asked_first() {
    let lab = lab(&["a", "b"], "").await;
    answer(&lab, "a", 300 * MILLISECOND);
    answer(&lab, "b", 200 * MILLISECOND);
    assert_eq!(lab.client().await.get("/1").await.text(), "a");
    assert_eq!(lab.origin("b").requests("/1").len(), 1, "it was asked all the same");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_beside_while_nobody_waits() {
    let lab = lab(&["a", "b"], "").await;
    let lapsing = |text: &str| Answer::ok(text).with("cache-control", "max-age=1, stale-while-revalidate=60");
    lab.origin("a").answers("/lapsing", lapsing("old"));
    assert_eq!(lab.client().await.get("/lapsing").await.text(), "old");
    lab.origin("a").answers("/lapsing", lapsing("new").after(2 * SECOND));
    lab.time_passes(2 * SECOND).await;
    assert_eq!(lab.client().await.get("/lapsing").await.text(), "old");
    lab.time_passes(3 * SECOND).await;
    assert_eq!((lab.origin("a").requests("/lapsing").len(), lab.origin("b").requests("/lapsing").len()), (2, 0));
    assert_eq!(lab.client().await.get("/lapsing").await.text(), "new");
}

#[tokio::test(start_paused = true)]
async fn two_origins_that_hang_cost_half_a_second() {
    let lab = lab(&["a", "b", "c"], "").await;
    answer(&lab, "a", 60 * SECOND);
    answer(&lab, "b", 60 * SECOND);
    let reply = lab.client().await.get("/1").await;
    assert_eq!(reply.text(), "c");
    assert!(reply.first_byte < 600 * MILLISECOND, "{:?}", reply.first_byte);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_usually_so_slow_is_not_doubted() {
    let lab = lab(&["a", "b"], "").await;
    answer(&lab, "a", 400 * MILLISECOND);
    for number in 0..60 {
        lab.client().await.get(&format!("/{number}")).await;
    }
    let asked = |name: &str, numbers: std::ops::Range<u32>| {
        numbers.map(|number| lab.origin(name).requests(&format!("/{number}")).len()).sum::<usize>()
    };
    assert_eq!(asked("a", 40..60), 20);
    assert!(asked("b", 40..60) <= 2, "one in twenty takes longer than usual");
}

#[tokio::test(start_paused = true)]
async fn hedges_in_vain_come_to_an_end() {
    let lab = lab(&["a", "b"], "[site.latency]\ndemote = false").await;
    // Slower each time, so that it is never as slow as usual.
    let mut delay = 300 * MILLISECOND;
    answer(&lab, "b", 3 * SECOND);
    for number in 0..60 {
        let path = format!("/{number}");
        lab.origin("a").answers(&path, Answer::ok("a").with("cache-control", "no-store").after(delay));
        lab.client().await.get(&path).await;
        delay = (delay + delay / 8).min(2 * SECOND);
    }
    let hedges: usize = (0..60).map(|number| lab.origin("b").requests(&format!("/{number}")).len()).sum();
    assert!((10..30).contains(&hedges), "{hedges}");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_waits_for_a_slow_answer_does_not_ask_twice() {
    let lab = lab(&["a", "b"], "").await;
    for name in ["a", "b"] {
        answer(&lab, name, SECOND);
    }
    let mut crowd = Vec::new();
    for number in 0..100 {
        let mut client = lab.client().await;
        crowd.push(tokio::spawn(async move { client.get(&format!("/{number}")).await }));
    }
    for reply in crowd {
        assert_eq!(reply.await.unwrap().text(), "a");
    }
    let hedges: usize = (0..100).map(|number| lab.origin("b").requests(&format!("/{number}")).len()).sum();
    assert!((10..15).contains(&hedges), "{hedges}");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_at_an_origin_that_hangs_is_helped_at_once() {
    let lab = lab(&["a", "b"], "").await;
    answer(&lab, "a", 60 * SECOND);
    let mut crowd = Vec::new();
    for number in 0..100 {
        let mut client = lab.client().await;
        crowd.push(tokio::spawn(async move { client.get(&format!("/{number}")).await }));
    }
    for reply in crowd {
        let reply = reply.await.unwrap();
        assert_eq!(reply.text(), "b");
        assert!(reply.first_byte < SECOND, "{:?}", reply.first_byte);
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_change_something_is_never_sent_twice() {
    let lab = lab(&["a", "b"], "").await;
    lab.origin("a").answers("/1", Answer::ok("a").after(SECOND));
    let reply = lab.client().await.send("POST", "/1", &[], "order").await;
    assert_eq!((reply.text(), lab.origin("b").requests("/1").len()), ("a", 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_on_for_an_origin_that_is_out_of_use_meanwhile() {
    let lab = lab(&["a", "b"], "[site.failover]\nhedge_budget = 0").await;
    answer(&lab, "a", 60 * SECOND);
    let mut client = lab.client().await;
    let waiting = tokio::spawn(async move { client.get("/1").await });
    lab.time_passes(SECOND).await;
    lab.order("drain", "a").await;
    let reply = waiting.await.unwrap();
    assert_eq!(reply.text(), "b");
    assert!(reply.first_byte < 3 * SECOND / 2, "{:?}", reply.first_byte);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_errors_is_not_fed() {
    let lab = Lab::start(&["a", "b", "c"], "").await;
    for name in ["a", "b", "c"] {
        for number in 0..1000 {
            lab.origin(name).answers(&format!("/{number}"), Answer::new(503, "busy"));
        }
    }
    for number in 0..1000 {
        let reply = lab.client().await.get(&format!("/{number}")).await;
        assert_eq!(reply.status.as_u16(), 503);
        lab.time_passes(50 * MILLISECOND).await;
    }
    let requests: usize = ["a", "b", "c"]
        .iter()
        .map(|name| (0..1000).map(|number| lab.origin(name).requests(&format!("/{number}")).len()).sum::<usize>())
        .sum();
    assert!((1000..=1100).contains(&requests), "{requests} requests to origins for 1000 of clients");
    // One that recovers is found, and from then on nobody fails.
    for number in 0..1000 {
        lab.origin("b").answers(&format!("/{number}"), Answer::ok("b").with("cache-control", "no-store"));
    }
    lab.time_passes(2 * SECOND).await;
    for number in 0..100 {
        assert_eq!(lab.client().await.get(&format!("/{number}")).await.text(), "b", "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_dies_while_another_origin_is_asked_too_is_replaced() {
    let lab = lab(&["a", "b"], "").await;
    let mut client = lab.client().await;
    client.get("/0").await.says(200, "a");
    lab.time_passes(10 * MILLISECOND).await;
    // It ends the connection that it has, and answers on a new one.
    lab.origin("a").answers("/1", Answer::ok("a").after(300 * MILLISECOND).hanging_up());
    lab.origin("b").answers("/1", Answer::new(503, "busy").after(200 * MILLISECOND));
    let waiting = tokio::spawn(async move { client.get("/1").await });
    lab.time_passes(280 * MILLISECOND).await;
    answer(&lab, "a", 10 * MILLISECOND);
    waiting.await.unwrap().says(200, "a");
}

#[tokio::test(start_paused = true)]
async fn connections_to_the_next_origin_that_have_died_meanwhile_cost_no_time() {
    let lab = lab(&["a", "b"], "[site.probe]\ninterval = \"60s\"").await;
    lab.time_passes(10 * SECOND).await;
    assert!(lab.origin("b").open() > 0, "there are some");
    lab.origin("b").forgets_its_connections();
    answer(&lab, "a", 60 * SECOND);
    let reply = lab.client().await.get("/1").await;
    reply.says(200, "b").within(300 * MILLISECOND);
    assert_eq!(lab.origin("b").requests("/1").len(), 2, "once in vain");
}

#[tokio::test(start_paused = true)]
async fn hedges_of_clients_that_leave_are_in_vain() {
    let lab = lab(&["a", "b"], "[site.latency]\ndemote = false").await;
    answer(&lab, "a", 2 * SECOND);
    answer(&lab, "b", 2 * SECOND);
    let own = [("authorization", "Basic me")];
    for number in 0..100 {
        let mut client = lab.http2_client().await;
        let path = format!("/{number}");
        let visit = client.send("GET", &path, &own);
        assert!(tokio::time::timeout(300 * MILLISECOND, visit).await.is_err(), "it has left");
    }
    assert_eq!(lab.origin("a").requests_of_all(), 100);
    let hedges = lab.origin("b").requests_of_all();
    assert!((10..50).contains(&hedges), "{hedges}");
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_at_its_deadline_whoever_is_dialed_beside() {
    let settings =
        "[site.timeouts]\nrequest = \"4s\"\nfirst_byte = \"4s\"\nconnect = \"4s\"\n[site.failover]\ntries = 2";
    let lab = lab(&["a", "b"], settings).await;
    answer(&lab, "a", 60 * SECOND);
    lab.origin("b").is_blackholed();
    let reply = lab.client().await.get("/1").await;
    assert_eq!(reply.status.as_u16(), 504);
    reply.within(4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_fails_everywhere_takes_no_answer_from_what_another_origin_has() {
    let lab = Lab::start(&["a", "b"], "").await;
    let page = |text: &str| Answer::ok(text).with("cache-control", "no-store");
    let mut refused = 0;
    for number in 0..2_000 {
        let path = format!("/{number}");
        // Half of all fails everywhere; of the other half, the first origin lacks every tenth.
        let (of_a, of_b) = match (number % 2, number % 20) {
            (0, _) => (Answer::new(500, "a"), Answer::new(500, "b")),
            (_, 1) => (Answer::new(500, "a"), page("b")),
            (_, _) => (page("a"), page("b")),
        };
        lab.origin("a").answers(&path, of_a);
        lab.origin("b").answers(&path, of_b);
        let status = lab.client().await.get(&path).await.status.as_u16();
        refused += usize::from(number % 2 == 1 && status != 200);
        lab.time_passes(25 * MILLISECOND).await;
    }
    assert_eq!(refused, 0, "of 1000 that an origin has");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_origins_that_are_all_found_dead_meanwhile() {
    let lab = lab(&["a", "b"], "[site.timeouts]\nfirst_byte = \"9s\"\n[site.probe]\ninterval = \"1s\"").await;
    for name in ["a", "b"] {
        answer(&lab, name, 60 * SECOND);
        lab.origin(name).answers("/", Answer::new(500, "ill"));
    }
    let mut client = lab.client().await;
    let reply = client.get("/1").await;
    assert_eq!((reply.status.as_u16(), reply.field("retry-after")), (503, "5"));
    assert!(reply.first_byte < 4 * SECOND, "{:?}", reply.first_byte);
}
