//! How a request comes by a connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdover::origin::dns::answers::Lookup;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::lab::{Answer, Lab};
use crate::wires::{Client, Node, own_address, poll};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// RFC 8305 §5, and the round trips around it.
const DIAL_DELAY: Duration = Duration::from_millis(260);

/// Probes that come too seldom to be evidence here.
const SELDOM_PROBED: &str = "[site.probe]\ninterval = \"60s\"\ninterval_in_transition = \"60s\"";

async fn lab(origins: &[&str], settings: &str) -> Lab {
    let lab = Lab::start(origins, settings).await;
    for name in origins {
        lab.origin(name).answers("/x", Answer::ok(*name).with("cache-control", "no-store"));
    }
    lab
}

#[tokio::test(start_paused = true)]
async fn a_blackholed_origin_costs_a_quarter_of_a_second_until_it_is_ejected_though_nobody_waited() {
    let mut lab = lab(&["a", "b"], SELDOM_PROBED).await;
    lab.origin("a").is_blackholed();
    let mut client = lab.client().await;
    for _ in 0..3 {
        client.get("/x").await.says(200, "b").within(DIAL_DELAY);
    }
    assert_eq!(lab.preferred().await.as_deref(), Some("a"));
    lab.time_passes(SECOND).await;
    assert_eq!(lab.preferred().await.as_deref(), Some("b"));
    client.get("/x").await.says(200, "b").within(5 * MILLISECOND);
    assert!(lab.news().contains(&"failed-over"));
    assert!(lab.metrics().contains("origin=\"a\",outcome=\"connect-timeout\"} 3"), "{}", lab.metrics());
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_address_that_leads_nowhere_costs_a_quarter_of_a_second() {
    let lab = lab(&["a"], "[site.probe]\nenabled = false").await;
    let addresses = ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|text| text.parse::<IpAddr>().unwrap()).to_vec();
    lab.origin("a").resolves_to(Some(Lookup::Found { addresses, ttl: 60 * SECOND, whole: true }));
    lab.time_passes(60 * SECOND).await;
    for _ in 0..16 {
        lab.client().await.get("/x").await.says(200, "a").within(DIAL_DELAY);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_came_too_late_is_there_for_the_next_request() {
    let lab = lab(&["a", "b"], SELDOM_PROBED).await;
    lab.origin("a").is_far(SECOND / 2);
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "b").within(DIAL_DELAY);
    lab.time_passes(SECOND / 2).await;
    client.get("/x").await.says(200, "a").within(5 * MILLISECOND);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_must_not_be_repeated_races_its_connects_and_is_sent_once() {
    let lab = lab(&["a", "b"], SELDOM_PROBED).await;
    lab.origin("a").is_far(SECOND / 2);
    let fields = [("content-length", "4")];
    lab.client().await.send("POST", "/x", &fields, "once").await.says(200, "b").within(DIAL_DELAY);
    lab.time_passes(SECOND).await;
    assert_eq!((lab.origin("a").requests("/x").len(), lab.origin("b").requests("/x").len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_lost_the_race_is_asked_when_the_winner_fails() {
    let lab = lab(&["a", "b"], SELDOM_PROBED).await;
    lab.origin("a").is_far(SECOND / 2);
    lab.origin("b").answers("/x", Answer::new(503, "overloaded"));
    lab.client().await.get("/x").await.says(200, "a").within(SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_was_dialed_beside_the_winner_is_not_used_up() {
    let lab = lab(&["a", "b"], &format!("{SELDOM_PROBED}\n[site.failover]\ntries = 2\nwarm = 0")).await;
    lab.origin("a").is_far(300 * MILLISECOND);
    lab.origin("b").is_far(400 * MILLISECOND);
    lab.origin("a").answers("/x", Answer::new(503, "overloaded"));
    lab.client().await.get("/x").await.says(200, "b").within(SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_was_dialed_beside_the_winner_is_asked_before_those_that_are_ejected() {
    let settings = "[site.failover]\ntries = 4\nwarm = 0";
    let lab = lab(&["a", "b", "c"], settings).await;
    lab.origin("c").answers("/", Answer::new(500, "broken"));
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").is_far(300 * MILLISECOND);
    lab.origin("b").is_far(400 * MILLISECOND);
    lab.origin("a").answers("/x", Answer::new(503, "overloaded"));
    lab.client().await.get("/x").await.says(200, "b").within(SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_ejected_origin_wins_no_race_against_one_that_is_only_far() {
    let lab = lab(&["a", "b"], "").await;
    lab.origin("b").answers("/", Answer::new(500, "broken"));
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").is_far(SECOND / 2);
    lab.client().await.get("/x").await.says(200, "a");
    assert!(lab.origin("b").requests("/x").is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_the_only_usable_origin_cannot_be_reached_an_ejected_one_is_asked() {
    let lab = lab(&["a", "b"], SELDOM_PROBED).await;
    lab.origin("b").dies();
    lab.time_passes(70 * SECOND).await;
    let mut client = lab.client().await;
    for _ in 0..3 {
        lab.origin("a").answers("/x", Answer::new(503, "overloaded"));
        client.get("/x").await.says(503, "overloaded");
        // Until it is held no longer.
        lab.time_passes(2 * SECOND).await;
    }
    lab.origin("b").returns();
    lab.origin("a").dies();
    lab.origin("a").is_blackholed();
    client.get("/x").await.says(200, "b").within(SECOND + 5 * MILLISECOND);
}

#[tokio::test(start_paused = true)]
async fn while_the_first_origin_connects_an_idle_connection_of_the_next_one_is_used() {
    let lab = lab(&["a", "b"], SELDOM_PROBED).await;
    let mut client = lab.client().await;
    lab.origin("a").answers("/x", Answer::new(503, "overloaded"));
    client.get("/x").await.says(200, "b");
    lab.origin("a").dies();
    lab.origin("a").is_blackholed();
    let accepted = lab.origin("b").accepted();
    client.get("/x").await.says(200, "b").within(DIAL_DELAY);
    assert_eq!(lab.origin("b").accepted(), accepted);
}

#[tokio::test(start_paused = true)]
async fn a_request_with_no_candidate_left_waits_for_the_connection_and_not_for_ever() {
    let lab = lab(&["a"], SELDOM_PROBED).await;
    lab.origin("a").is_far(SECOND / 2);
    lab.client().await.get("/x").await.says(200, "a");
    lab.origin("a").dies();
    lab.origin("a").is_blackholed();
    let reply = lab.client().await.get("/x").await;
    assert_eq!(reply.status.as_u16(), 504);
    reply.within(SECOND + 5 * MILLISECOND);
}

#[tokio::test(start_paused = true)]
async fn an_origin_says_how_long_its_connections_may_be_idle() {
    let lab = lab(&["a"], SELDOM_PROBED).await;
    let answer = Answer::ok("a").with("cache-control", "no-store");
    lab.origin("a").answers("/x", answer.with("keep-alive", "timeout=4"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "a");
    let accepted = lab.origin("a").accepted();
    lab.time_passes(SECOND * 29 / 10).await;
    client.get("/x").await.says(200, "a");
    assert_eq!(lab.origin("a").accepted(), accepted);
    lab.time_passes(SECOND * 31 / 10).await;
    client.get("/x").await.says(200, "a");
    assert_eq!(lab.origin("a").accepted(), accepted + 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_ejected_loses_its_connections() {
    let lab = lab(&["a", "b"], "[site.timeouts]\nidle = \"10m\"").await;
    lab.client().await.get("/x").await.says(200, "a");
    lab.time_passes(60 * SECOND).await;
    // A probe may be under way.
    assert!((1..=2).contains(&lab.origin("a").open()), "{} connections", lab.origin("a").open());
    lab.origin("a").is_blackholed();
    lab.time_passes(20 * SECOND).await;
    assert_eq!(lab.origin("a").open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_whole_pool_of_stale_connections_costs_one_retry_on_a_new_one() {
    let lab = lab(&["a", "b"], SELDOM_PROBED).await;
    let mut crowd = tokio::task::JoinSet::new();
    for path in ["/1", "/2", "/3", "/4"] {
        lab.origin("a").answers(path, Answer::ok("a").after(SECOND / 10));
        let mut client = lab.client().await;
        crowd.spawn(async move { client.get(path).await });
    }
    crowd.join_all().await;
    lab.time_passes(SECOND / 100).await;
    let accepted = lab.origin("a").accepted();
    lab.origin("a").forgets_its_connections();
    lab.client().await.get("/x").await.says(200, "a");
    assert_eq!(lab.origin("a").requests("/x").len(), 2);
    assert_eq!(lab.origin("a").accepted(), accepted + 1);
}

#[tokio::test(start_paused = true)]
async fn no_request_with_a_body_goes_over_a_connection_that_the_origin_may_just_be_closing() {
    let lab = lab(&["a"], SELDOM_PROBED).await;
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "a");
    lab.time_passes(SECOND / 100).await;
    lab.origin("a").forgets_its_connections();
    client.send("OPTIONS", "/x", &[], "question").await.says(200, "a");
    assert_eq!(lab.origin("a").requests("/x").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failover_waits_for_no_handshake() {
    let lab = lab(&["a", "b"], SELDOM_PROBED).await;
    lab.time_passes(60 * SECOND).await;
    assert!((1..=2).contains(&lab.origin("b").open()), "{} connections", lab.origin("b").open());
    lab.origin("a").dies();
    lab.origin("b").is_far(SECOND / 2);
    lab.client().await.get("/x").await.says(200, "b").within(5 * MILLISECOND);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_warm_at_an_ejected_origin_or_where_it_is_not_wanted() {
    let lab = lab(&["a", "b"], "[site.failover]\nwarm = 0").await;
    lab.time_passes(60 * SECOND).await;
    assert_eq!(lab.origin("b").open(), 0);
    let lab = self::lab(&["a", "b"], "").await;
    lab.origin("b").is_blackholed();
    lab.time_passes(60 * SECOND).await;
    let accepted = lab.origin("b").accepted();
    lab.time_passes(60 * SECOND).await;
    assert_eq!((lab.origin("b").accepted(), lab.origin("b").open()), (accepted, 0));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_drained_or_going_away_is_not_kept_warm() {
    let lab = lab(&["a", "b"], "[site.probe]\nlame_duck = [\"x-lame-duck\"]").await;
    lab.time_passes(60 * SECOND).await;
    assert_ne!(lab.origin("b").open(), 0);
    lab.origin("b").answers("/", Answer::ok("home").with("x-lame-duck", "1"));
    lab.time_passes(60 * SECOND).await;
    assert_eq!(lab.origin("b").open(), 0);
}

#[tokio::test]
async fn over_real_sockets_a_failover_finds_a_connection_that_was_there_before() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (refusing, standby) = (own_address(), listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_with(counted.fetch_add(1, Ordering::Relaxed), stream));
        }
    });
    let node = Node::start(&format!(
        "[node]\nworkers = 1\n[listen]\nhttp = [\"127.0.0.1:0\"]\n[[site]]\nhosts = [\"www.test\"]\nplain_http = \"serve\"\n\
         [site.probe]\nenabled = false\n\
         [[site.origin]]\nurl = \"http://{refusing}\"\n[[site.origin]]\nurl = \"http://{standby}\"\nrank = 2\n"
    ))
    .await;
    let known = poll("a warm connection", async || {
        let known = accepted.load(Ordering::Relaxed);
        (known > 0).then_some(known)
    })
    .await;
    let reply = Client::plain(node.address("http").unwrap(), "www.test").get("/").await.unwrap();
    let number: usize = String::from_utf8_lossy(&reply.body).parse().unwrap();
    assert!(number < known, "connection {number} is newer than the {known} that were kept warm");
    node.stops_whole().await;
}

/// Answers every request with the number of the connection.
async fn answer_with(number: usize, mut stream: TcpStream) -> Option<()> {
    let body = number.to_string();
    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        stream.write_all(response.as_bytes()).await.ok()?;
    }
}
