//! The verdict on a connection, case by case.

use std::time::Duration;

use super::*;
use crate::clock::Clock;

fn limits() -> Listen {
    Listen {
        https: Vec::new(),
        http: Vec::new(),
        admin: Vec::new(),
        connections_max: 100,
        handshake_timeout: Duration::from_secs(5),
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(15),
        h2_idle_timeout: Duration::from_secs(60),
        write_timeout: Duration::from_secs(20),
        age_max: Duration::from_secs(3600),
    }
}

/// All times in seconds since the connection began.
#[derive(Clone, Copy, Default)]
struct Seen {
    h2: bool,
    requests: u32,
    in_flight: u32,
    idle_since: u64,
    first_byte: Option<u64>,
    response_patience: Option<u64>,
    request_patience: Option<u64>,
    finishing: Option<u64>,
    unread_bodies: u32,
    flush_owed: bool,
    awake: bool,
}

#[derive(Debug, PartialEq)]
enum Expected {
    Keep(u64),
    Rest,
    Finish,
    Abort(AbortReason),
}

fn check(rule: &str, seen: Seen, now: u64, expected: Expected) {
    let started = Clock::new().now().monotonic;
    let at = |seconds| started + Duration::from_secs(seconds);
    let activity = Activity {
        protocol: if seen.h2 { Protocol::Http2 } else { Protocol::Http1 },
        started,
        requests: seen.requests,
        in_flight: seen.in_flight,
        idle_since: at(seen.idle_since),
        first_byte: seen.first_byte.map(at),
        response_patience: seen.response_patience.map(at),
        request_patience: seen.request_patience.map(at),
        unread_bodies: seen.unread_bodies,
        flush_owed: seen.flush_owed,
        awake: seen.awake,
        finishing: seen.finishing.map(at),
    };
    let found = match verdict(&activity, &limits(), at(now)) {
        Verdict::Keep { until } => Expected::Keep((until - started).as_secs()),
        Verdict::Rest => Expected::Rest,
        Verdict::Finish => Expected::Finish,
        Verdict::Abort(reason) => Expected::Abort(reason),
    };
    assert_eq!(found, expected, "{rule}");
}

#[test]
fn verdicts() {
    use AbortReason::{FinishOverdue, HeadOverdue, RequestStalled, ResponseStalled};
    use Expected::{Abort, Finish, Keep};
    let new = Seen::default();
    check("the first head has head_timeout", new, 9, Keep(10));
    check("the first head has head_timeout", new, 10, Abort(HeadOverdue));
    check("its first byte buys no time", Seen { first_byte: Some(9), ..new }, 10, Abort(HeadOverdue));
    check("HTTP/2 has no longer for its first request", Seen { h2: true, ..new }, 10, Abort(HeadOverdue));

    let idle = Seen { requests: 1, idle_since: 100, ..new };
    check("HTTP/1 idles for idle_timeout", idle, 114, Keep(115));
    check("HTTP/1 idles for idle_timeout", idle, 115, Finish);
    let half_head = Seen { first_byte: Some(112), ..idle };
    check("a later head has head_timeout from its first byte", half_head, 121, Keep(122));
    check("a later head has head_timeout from its first byte", half_head, 122, Abort(HeadOverdue));
    let idle = Seen { h2: true, ..idle };
    check("HTTP/2 idles for h2_idle_timeout", idle, 159, Keep(160));
    check("HTTP/2 idles for h2_idle_timeout", idle, 160, Finish);
    check("frames that are no request buy no time", Seen { first_byte: Some(159), ..idle }, 160, Finish);

    let busy = Seen { requests: 1, in_flight: 1, ..new };
    check("a slow origin is not held against the client", busy, 3000, Keep(3001));
    check("a response has its patience", Seen { response_patience: Some(120), ..busy }, 119, Keep(120));
    let stalled = Seen { response_patience: Some(120), ..busy };
    check("a response not taken ends the connection", stalled, 120, Abort(ResponseStalled));
    let flushing = Seen { in_flight: 0, ..stalled };
    check("also when only buffers are left of it", flushing, 120, Abort(ResponseStalled));
    check("and it is not idle meanwhile", flushing, 119, Keep(120));
    let upload = Seen { request_patience: Some(50), ..busy };
    check("a request body has its patience", upload, 48, Keep(49));
    check("a stalled request body ends the connection", upload, 50, Abort(RequestStalled));

    let old = Seen { requests: 9, in_flight: 1, ..new };
    check("at age_max it finishes", old, 3600, Finish);
    let finishing = Seen { finishing: Some(3600), ..old };
    check("what is in flight may take its time", finishing, 3700, Keep(3701));
    let finishing = Seen { in_flight: 0, idle_since: 3700, ..finishing };
    check("then it has five seconds", finishing, 3704, Keep(3705));
    check("then it has five seconds", finishing, 3705, Abort(FinishOverdue));
    let drained = Seen { finishing: Some(1), ..new };
    check("a drained connection without a request has them too", drained, 6, Abort(FinishOverdue));
}

#[test]
fn a_connection_rests_between_two_messages() {
    use Expected::{Abort, Finish, Keep, Rest};
    let idle = Seen { requests: 1, idle_since: 100, awake: true, ..Seen::default() };
    check("it rests once it was silent for a moment", idle, 101, Rest);
    check("not at once", idle, 100, Keep(100));
    check("it rests but once", Seen { awake: false, ..idle }, 101, Keep(115));
    check("it cannot rest before its first request", Seen { requests: 0, first_byte: Some(1), ..idle }, 9, Keep(10));
    check("nor amid a head", Seen { first_byte: Some(101), ..idle }, 102, Keep(111));
    check("nor amid a request", Seen { in_flight: 1, ..idle }, 102, Keep(103));
    check("nor before a request's body has come to its end", Seen { unread_bodies: 1, ..idle }, 102, Keep(115));
    check("nor before the response has left", Seen { flush_owed: true, ..idle }, 102, Keep(115));
    check("nor while the client does not take it", Seen { response_patience: Some(120), ..idle }, 102, Keep(120));
    check("nor while a body is waited for", Seen { request_patience: Some(104), ..idle }, 102, Keep(104));
    check("nor once it is to finish", Seen { finishing: Some(102), ..idle }, 103, Keep(107));
    let abandoned = Seen { unread_bodies: 1, ..idle };
    check("what cannot rest is closed as ever", abandoned, 115, Finish);
    let half_head = Seen { first_byte: Some(101), ..idle };
    check("what cannot rest is closed as ever", half_head, 111, Abort(AbortReason::HeadOverdue));
}

#[test]
fn patience_is_a_leaky_bucket() {
    let seconds = Duration::from_secs;
    let window = seconds(10);
    let full = Patience { mark: Duration::ZERO, window };

    let waiting = full.turn(seconds(100));
    assert_eq!(waiting.mark, seconds(110), "nothing moves: given up after the window");

    let paid = waiting.pay_waiting(seconds(104), 2048);
    assert_eq!(paid.mark, seconds(112), "2 KiB are worth 2 s");
    assert_eq!(waiting.pay_waiting(seconds(108), 3072).mark, seconds(113));
    assert_eq!(waiting.pay_waiting(seconds(108), 1 << 30).mark, seconds(118), "but no more than the window");

    let moving = waiting.turn(seconds(106));
    assert_eq!(moving.mark, seconds(112), "6 s are missing, and full again 6 s later");
    assert_eq!(moving.turn(seconds(106)).mark, seconds(110), "a moment of movement gives nothing back");
    assert_eq!(moving.turn(seconds(108)).mark, seconds(114), "a movement of 2 s gives 2 s back");
    assert_eq!(moving.turn(seconds(500)).mark, seconds(510), "a long one gives all back");
    assert_eq!(moving.pay(3072).turn(seconds(106)).mark, seconds(113), "so do 3 KiB");
    assert_eq!(waiting.turn(seconds(200)).mark, seconds(210), "empty is as empty as it gets");
}
