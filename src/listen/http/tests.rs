//! Stalled and honest clients against a connection, with paused time.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::*;
use crate::listen::lab::{Answer, GET, H2Client, Lab, SECOND, Script, conditions, instant};

// ---- HTTP/1: what a client may leave undone ----

#[tokio::test(start_paused = true)]
async fn h1_without_a_byte_is_closed_at_the_head_deadline() {
    let mut lab = Lab::new(Protocol::Http1, instant);
    lab.aborted_at(10, AbortReason::HeadOverdue).await;
}

#[tokio::test(start_paused = true)]
async fn h1_half_a_head_is_closed_at_the_head_deadline() {
    let mut lab = Lab::new(Protocol::Http1, instant);
    lab.send("GET / HTTP/1.1\r\nHost: a.ex").await;
    lab.aborted_at(10, AbortReason::HeadOverdue).await;
}

#[tokio::test(start_paused = true)]
async fn h1_a_dripping_head_is_closed_at_the_head_deadline() {
    let mut lab = Lab::new(Protocol::Http1, instant);
    for byte in "GET / HTT".chars() {
        lab.send(&byte.to_string()).await;
        sleep(SECOND).await;
    }
    lab.aborted_at(10, AbortReason::HeadOverdue).await;
}

#[tokio::test(start_paused = true)]
async fn h1_idle_between_requests_is_closed_at_the_idle_deadline() {
    let mut lab = Lab::new(Protocol::Http1, instant);
    lab.send(GET).await;
    lab.reads("HTTP/1.1 200 OK\r\n").await;
    sleep(8 * SECOND).await;
    lab.send(GET).await;
    lab.reads("HTTP/1.1 200 OK\r\n").await;
    lab.closed_at(23).await;
}

#[tokio::test(start_paused = true)]
async fn h1_half_a_later_head_has_the_head_deadline_from_its_first_byte() {
    let mut lab = Lab::new(Protocol::Http1, instant);
    lab.send(GET).await;
    lab.reads("HTTP/1.1 200 OK\r\n").await;
    sleep(2 * SECOND).await;
    lab.send("GE").await;
    lab.aborted_at(12, AbortReason::HeadOverdue).await;
}

#[tokio::test(start_paused = true)]
async fn h1_a_response_nobody_reads_is_aborted_at_the_write_deadline() {
    let mut lab = Lab::new(Protocol::Http1, large);
    lab.send(GET).await;
    lab.ends_at(20, |ending| matches!(ending, Ending::Aborted(AbortReason::ResponseStalled))).await;
}

#[tokio::test(start_paused = true)]
async fn h1_a_response_read_below_the_floor_is_aborted() {
    let mut lab = Lab::new(Protocol::Http1, large);
    lab.send(GET).await;
    let mut piece = [0; 256];
    while !lab.served.is_finished() {
        lab.client.read_exact(&mut piece).await.expect("the buffer still holds bytes");
        sleep(SECOND).await;
    }
    // A quarter of the floor: of each second, three quarters are lost.
    assert!((26..=28).contains(&lab.seconds()), "{}", lab.seconds());
}

#[tokio::test(start_paused = true)]
async fn h1_a_response_read_slowly_but_above_the_floor_is_completed() {
    let mut lab = Lab::new(Protocol::Http1, large);
    lab.send("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").await;
    let mut total = 0;
    let mut piece = [0; 8192];
    loop {
        match lab.client.read(&mut piece).await.expect("the connection is sound") {
            0 => break,
            bytes => total += bytes,
        }
        sleep(4 * SECOND).await;
    }
    assert!(total > LARGE && lab.seconds() > 4 * LARGE as u64 / 8192, "{total} bytes in {} s", lab.seconds());
    assert!(matches!(lab.served.await, Ok(Ending::Closed)));
}

#[tokio::test(start_paused = true)]
async fn h1_a_stalled_request_body_is_aborted_at_the_head_deadline() {
    let mut lab = Lab::new(Protocol::Http1, upload);
    lab.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\n0123456789").await;
    lab.aborted_at(10, AbortReason::RequestStalled).await;
}

#[tokio::test(start_paused = true)]
async fn h1_a_stalled_chunked_request_body_is_aborted_at_the_head_deadline() {
    let mut lab = Lab::new(Protocol::Http1, upload);
    lab.send("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    lab.aborted_at(10, AbortReason::RequestStalled).await;
}

#[tokio::test(start_paused = true)]
async fn h1_a_dripping_request_body_is_aborted() {
    let mut lab = Lab::new(Protocol::Http1, upload);
    lab.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\n").await;
    for _ in 0..10 {
        lab.send("x").await;
        sleep(SECOND).await;
    }
    lab.aborted_at(10, AbortReason::RequestStalled).await;
}

#[tokio::test(start_paused = true)]
async fn h1_a_head_beyond_the_limit_is_refused() {
    let mut lab = Lab::new(Protocol::Http1, instant);
    let head = format!("GET / HTTP/1.1\r\nHost: a.example\r\nX: {}", "x".repeat(HEAD_BYTES));
    // The server stops reading before its end.
    let _ = lab.client.write_all(head.as_bytes()).await;
    lab.reads("HTTP/1.1 431 ").await;
    lab.closed_at(0).await;
}

// ---- HTTP/1: what is not the client's fault ----

#[tokio::test(start_paused = true)]
async fn h1_a_slow_origin_is_not_held_against_the_client() {
    for respond in [slow_head, slow_body] {
        let mut lab = Lab::new(Protocol::Http1, respond);
        lab.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello").await;
        lab.reads("HTTP/1.1 200 OK\r\n").await;
        lab.closed_at(60 + 15).await;
    }
}

#[tokio::test(start_paused = true)]
async fn h1_at_its_greatest_age_a_connection_closes_after_its_request() {
    let mut lab = Lab::new(Protocol::Http1, slow_head);
    for _ in 0..3 {
        lab.send(GET).await;
        lab.reads("HTTP/1.1 200 OK\r\n").await;
    }
    assert_eq!(lab.seconds(), 180);
    sleep(14 * SECOND).await;
    lab.send(GET).await;
    // The deadline of 200 s passes while the request is in flight.
    lab.reads("HTTP/1.1 200 OK\r\n").await;
    lab.closed_at(14 + 240).await;
}

// ---- HTTP/2, frame by frame ----

#[tokio::test(start_paused = true)]
async fn h2_without_a_request_is_closed_at_the_head_deadline() {
    let headers_without_end = frame(1, 0x1, 1, &[0x82, 0x87, 0x84]);
    let half_frame = &frame(1, 0x5, 1, &[0x82, 0x87, 0x84])[..10];
    let openings: [&[u8]; 6] = [
        b"",
        &PREFACE[..12],
        PREFACE,
        &[PREFACE, &SETTINGS].concat(),
        &[PREFACE, &SETTINGS, &headers_without_end].concat(),
        &[PREFACE, &SETTINGS, half_frame].concat(),
    ];
    for opening in openings {
        let mut lab = Lab::new(Protocol::Http2, instant);
        lab.client.write_all(opening).await.expect("the connection is sound");
        lab.aborted_at(10, AbortReason::HeadOverdue).await;
    }
}

#[tokio::test(start_paused = true)]
async fn h2_a_response_behind_a_closed_window_is_aborted_at_the_write_deadline() {
    let mut lab = Lab::new(Protocol::Http2, large);
    let no_window = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    lab.client.write_all(&[PREFACE, &no_window, &h2_get()].concat()).await.expect("the connection is sound");
    lab.aborted_at(20, AbortReason::ResponseStalled).await;
    lab.tasks.close();
    timeout(SECOND, lab.tasks.wait()).await.expect("its streams end with the connection");
}

#[tokio::test(start_paused = true)]
async fn h2_a_body_that_comes_late_still_meets_the_write_deadline() {
    let mut lab = Lab::new(Protocol::Http2, late_body);
    let no_window = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    lab.client.write_all(&[PREFACE, &no_window, &h2_get()].concat()).await.expect("the connection is sound");
    lab.aborted_at(5 + 20, AbortReason::ResponseStalled).await;
}

#[tokio::test(start_paused = true)]
async fn h2_a_stalled_stream_is_reset_and_others_that_move_go_on() {
    let mut lab = Lab::new(Protocol::Http2, large);
    let mut client = lab.h2_client().await;
    let stalled = client.send_request(get()).await.expect("it is answered");
    // A piece of 32 KiB may take as many seconds beyond the write deadline, and others come in every five.
    let reset = tokio::spawn(async move {
        sleep(80 * SECOND).await;
        stalled.into_body().collect().await.map(|body| body.to_bytes().len())
    });
    while !reset.is_finished() {
        assert_eq!(h2_fetch(&mut client).await.1.len(), LARGE);
        sleep(5 * SECOND).await;
    }
    let error = reset.await.expect("it does not panic").expect_err("the stream was reset");
    assert!(format!("{error:?}").contains("CANCEL"), "{error:?}");
    assert_eq!(h2_fetch(&mut client).await.1.len(), LARGE);
}

#[tokio::test(start_paused = true)]
async fn h2_a_stalled_request_body_is_aborted_at_the_head_deadline() {
    let mut lab = Lab::new(Protocol::Http2, upload);
    let post = frame(1, 0x4, 1, &[0x83, 0x87, 0x84, 0x41, 0x01, b'a']);
    lab.client.write_all(&[PREFACE, &SETTINGS, &post].concat()).await.expect("the connection is sound");
    lab.aborted_at(10, AbortReason::RequestStalled).await;
}

#[tokio::test(start_paused = true)]
async fn h2_a_peer_that_answers_no_ping_is_gone_before_the_idle_deadline() {
    let mut lab = Lab::new(Protocol::Http2, instant);
    lab.client.write_all(&[PREFACE, &SETTINGS, &h2_get()].concat()).await.expect("the connection is sound");
    lab.ends_at(40, |_| true).await;
}

// ---- HTTP/2, with a client that keeps the rules ----

#[tokio::test(start_paused = true)]
async fn h2_idle_between_requests_is_closed_at_the_idle_deadline() {
    let mut lab = Lab::new(Protocol::Http2, instant);
    let mut client = lab.h2_client().await;
    assert_eq!(h2_fetch(&mut client).await.0, StatusCode::OK);
    lab.closed_at(60).await;
}

#[tokio::test(start_paused = true)]
async fn h2_a_slow_origin_is_not_held_against_the_client() {
    for respond in [slow_head, slow_body] {
        let mut lab = Lab::new(Protocol::Http2, respond);
        let mut client = lab.h2_client().await;
        assert_eq!(h2_fetch(&mut client).await, (StatusCode::OK, Bytes::from("hello")));
        assert_eq!(lab.seconds(), 60);
    }
}

#[tokio::test(start_paused = true)]
async fn h2_a_large_response_arrives_whole() {
    let mut lab = Lab::new(Protocol::Http2, large);
    let mut client = lab.h2_client().await;
    assert_eq!(h2_fetch(&mut client).await.1.len(), LARGE);
}

// ---- Panics ----

#[tokio::test(start_paused = true)]
async fn a_panic_costs_one_request_and_the_connection_lives() {
    for bug in [Bug::AtOnce, Bug::Later] {
        let mut lab = Lab::new(Protocol::Http1, panics_at_first(bug));
        lab.send(GET).await;
        lab.reads("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n").await;
        lab.send(GET).await;
        lab.reads("HTTP/1.1 200 OK\r\n").await;
        lab.told_of_panic("a bug").await;

        let mut lab = Lab::new(Protocol::Http2, panics_at_first(bug));
        let mut client = lab.h2_client().await;
        assert_eq!(h2_fetch(&mut client).await.0, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(h2_fetch(&mut client).await.0, StatusCode::OK);
        lab.told_of_panic("a bug").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_panics_breaks_off_its_response() {
    let mut lab = Lab::new(Protocol::Http1, panics_at_first(Bug::InBody));
    lab.send(GET).await;
    lab.told_of_panic("a bug in a body").await;
    lab.ends_at(1, |ending| matches!(ending, Ending::Panicked)).await;

    let mut lab = Lab::new(Protocol::Http2, panics_at_first(Bug::InBody));
    let mut client = lab.h2_client().await;
    let response = client.send_request(get()).await.expect("the head was sent");
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(h2_fetch(&mut client).await.0, StatusCode::OK);
    lab.told_of_panic("a bug in a body").await;
}

// ---- Drain ----

#[tokio::test(start_paused = true)]
async fn a_drain_closes_idle_connections_at_once() {
    let mut fresh = Lab::new(Protocol::Http1, instant);
    let mut idle = Lab::new(Protocol::Http1, instant);
    idle.send(GET).await;
    idle.reads("HTTP/1.1 200 OK\r\n").await;
    let mut idle_h2 = Lab::new(Protocol::Http2, instant);
    let mut client = idle_h2.h2_client().await;
    assert_eq!(h2_fetch(&mut client).await.0, StatusCode::OK);
    for lab in [&mut fresh, &mut idle, &mut idle_h2] {
        sleep(SECOND).await;
        lab.drain.cancel();
        lab.closed_at(lab.seconds()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_requests_in_flight_finish() {
    let mut lab = Lab::new(Protocol::Http1, slow_head);
    lab.send(GET).await;
    sleep(SECOND).await;
    lab.drain.cancel();
    lab.reads("HTTP/1.1 200 OK\r\nconnection: close\r\n").await;
    lab.closed_at(60).await;

    let mut lab = Lab::new(Protocol::Http2, slow_body);
    let mut client = lab.h2_client().await;
    let drain = lab.drain.clone();
    tokio::spawn(async move {
        sleep(SECOND).await;
        drain.cancel();
    });
    assert_eq!(h2_fetch(&mut client).await, (StatusCode::OK, Bytes::from("hello")));
    assert!(client.send_request(get()).await.is_err(), "GOAWAY forbids further requests");
    lab.closed_at(60).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_half_a_head() {
    let mut lab = Lab::new(Protocol::Http1, instant);
    lab.send("GET / HTT").await;
    sleep(SECOND).await;
    lab.drain.cancel();
    lab.aborted_at(6, AbortReason::FinishOverdue).await;
}

// ---- Wakers ----

#[tokio::test(start_paused = true)]
async fn whoever_polls_a_connection_last_is_woken_by_its_alarm_and_by_the_drain() {
    for (drains, expected) in [(false, AbortReason::HeadOverdue), (true, AbortReason::FinishOverdue)] {
        let conditions = conditions();
        let watch = Watch::new(Protocol::Http1, &conditions.limits, conditions.clock.clone());
        let silent = pin!(std::future::pending());
        let mut driven = pin!(drive(silent, |_| {}, |_| {}, &watch, &conditions));
        assert!(driven.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let drain = async {
            sleep(SECOND).await;
            if drains {
                conditions.drain.cancel();
            }
        };
        let (ending, ()) = tokio::join!(timeout(60 * SECOND, driven), drain);
        assert!(matches!(ending, Ok(Ending::Aborted(reason)) if reason == expected), "{ending:?}");
    }
}

// ---- Handlers ----

fn large(_: Parts, _: RequestBody, _: &ClientConnection, _: Instant) -> Answer {
    let pieces = std::iter::repeat_n((0, Bytes::from(vec![b'x'; LARGE / 8])), 8);
    Responding::Now(Response::new(Script::new(pieces)))
}

fn slow_head(_: Parts, _: RequestBody, _: &ClientConnection, _: Instant) -> Answer {
    Responding::later(async {
        sleep(60 * SECOND).await;
        Response::new(Script::new([(0, "hello".into())]))
    })
}

fn slow_body(_: Parts, _: RequestBody, _: &ClientConnection, _: Instant) -> Answer {
    Responding::Now(Response::new(Script::new([(0, "hel".into()), (60, "lo".into())])))
}

fn late_body(_: Parts, _: RequestBody, _: &ClientConnection, _: Instant) -> Answer {
    Responding::Now(Response::new(Script::new([(5, "hello".into())])))
}

fn upload(_: Parts, body: RequestBody, _: &ClientConnection, _: Instant) -> Answer {
    Responding::later(async {
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Response::new(Script::new([(0, body)]))
    })
}

/// Where the first request meets a bug.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// Before there is anything to wait for.
    AtOnce,
    /// In what is waited for.
    Later,
    /// In the body, after a first piece.
    InBody,
}

fn panics_at_first(bug: Bug) -> impl Fn(Parts, RequestBody, &ClientConnection, Instant) -> Answer + Clone {
    let seen = Arc::new(std::sync::atomic::AtomicBool::new(false));
    move |_, _, _, _| {
        let first = !seen.swap(true, std::sync::atomic::Ordering::Relaxed);
        assert!(!first || bug != Bug::AtOnce, "a bug");
        Responding::later(async move {
            assert!(!first || bug != Bug::Later, "a bug");
            let mut script = Script::new([(0, "hello".into()), (1, "hello".into())]);
            script.panics = first;
            Response::new(script)
        })
    }
}

async fn h2_fetch(client: &mut H2Client) -> (StatusCode, Bytes) {
    let response = client.send_request(get()).await.expect("it is answered");
    let status = response.status();
    (status, response.into_body().collect().await.expect("it is whole").to_bytes())
}

fn get() -> Request<Empty<Bytes>> {
    Request::get("https://a.example/").body(Empty::new()).expect("it is valid")
}

/// RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("small");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// `GET https://a/` on stream 1, whole.
fn h2_get() -> Vec<u8> {
    frame(1, 0x5, 1, &[0x82, 0x87, 0x84, 0x41, 0x01, b'a'])
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const LARGE: usize = 256 * 1024;
