//! What the demo relies on: same files everywhere, kills that cut bodies, revival on the same address.

use std::net::Ipv4Addr;

use http::header::{CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::handshake;

use super::*;
use crate::cli::demo::assets::{HEALTH, NEVER_CACHED, PULSE};

#[tokio::test]
async fn all_origins_serve_the_same_and_say_who_they_are() {
    let assets = Assets::new();
    let a = DemoOrigin::start("a", LOOPBACK, &assets, Behavior::default()).await.unwrap();
    let b = DemoOrigin::start("b", LOOPBACK, &assets, Behavior::default()).await.unwrap();
    for representation in assets.all() {
        let (from_a, from_b) = (get(&a, representation.path, &[]).await, get(&b, representation.path, &[]).await);
        assert_eq!(from_a.status(), StatusCode::OK, "{}", representation.path);
        assert_eq!(from_a.headers()[ETAG], from_b.headers()[ETAG], "{}", representation.path);
        assert_eq!(
            (&from_a.headers()[X_ORIGIN], &from_b.headers()[X_ORIGIN]),
            (&"a".parse().unwrap(), &"b".parse().unwrap())
        );
        let bytes = [collect(from_a).await, collect(from_b).await].map(|body| body.unwrap());
        assert!(bytes[0] == representation.body && bytes[1] == representation.body, "{}", representation.path);
    }
    assert_eq!(a.requests(), assets.all().len() as u64);
}

#[tokio::test]
async fn pages_are_fresh_for_seconds_and_some_paths_never() {
    let origin = DemoOrigin::start("a", LOOPBACK, &Assets::new(), Behavior::default()).await.unwrap();
    for (path, cache_control) in [
        ("/", "max-age=5, stale-while-revalidate=30"),
        ("/waves.png", "max-age=300, stale-while-revalidate=600"),
        (PULSE, "no-store"),
        (NEVER_CACHED, "no-store"),
        (HEALTH, "no-store"),
    ] {
        assert_eq!(get(&origin, path, &[]).await.headers()[CACHE_CONTROL], cache_control, "{path}");
    }
    assert_eq!(
        get(&origin, "/pulse.json?beat=1", &[]).await.headers()["cdn-cache-control"],
        "max-age=5, stale-while-revalidate=30"
    );
    assert_eq!(get(&origin, "/nothing", &[]).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_body_cut_by_a_kill_is_resumed_on_another_origin() {
    let assets = Assets::new();
    let slow = Behavior { large_file_rate: Some(4 * 1024 * 1024) };
    let a = DemoOrigin::start("a", LOOPBACK, &assets, slow).await.unwrap();
    let b = DemoOrigin::start("b", LOOPBACK, &assets, Behavior::default()).await.unwrap();

    let mut cut = get(&a, LARGE_FILE, &[]).await;
    let tag = cut.headers()[ETAG].clone();
    let mut received = Vec::new();
    let failure = loop {
        match cut.body_mut().frame().await {
            Some(Ok(frame)) => received.extend(frame.into_data().unwrap()),
            Some(Err(error)) => break error,
            None => panic!("the body ended cleanly after {} bytes", received.len()),
        }
        if received.len() > 200_000 {
            a.kill();
        }
    };
    let cause = std::error::Error::source(&failure).and_then(|cause| cause.downcast_ref::<io::Error>());
    assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::ConnectionReset), "{failure:?}");
    let expected = &assets.find(LARGE_FILE).unwrap().body;
    assert!(received.len() < expected.len() / 2, "the kill came too late: {}", received.len());

    let range = format!("bytes={}-", received.len());
    let rest = get(&b, LARGE_FILE, &[(RANGE, range.as_str()), (IF_RANGE, tag.to_str().unwrap())]).await;
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    let content_range = format!("bytes {}-{}/{}", received.len(), expected.len() - 1, expected.len());
    assert_eq!(rest.headers()[CONTENT_RANGE], content_range);
    received.extend(collect(rest).await.unwrap());
    assert!(received == *expected);
}

#[tokio::test]
async fn a_killed_origin_refuses_until_it_is_revived_on_the_same_address() {
    let origin = DemoOrigin::start("a", LOOPBACK, &Assets::new(), Behavior::default()).await.unwrap();
    let kept = TcpStream::connect(origin.address()).await.unwrap();
    assert_eq!(get(&origin, HEALTH, &[]).await.status(), StatusCode::OK);
    for _ in 0..3 {
        origin.kill();
        // An idle connection ends with the origin; after that the listener is gone as well.
        let _ = kept.readable().await;
        let ending = origin.life.lock().unwrap().tasks.clone();
        ending.wait().await;
        let refused = TcpStream::connect(origin.address()).await.map_err(|error| error.kind());
        assert_eq!(refused.err(), Some(io::ErrorKind::ConnectionRefused));
        origin.revive().await.unwrap();
        origin.revive().await.unwrap();
        assert_eq!(get(&origin, HEALTH, &[]).await.status(), StatusCode::OK);
    }
    assert_eq!(origin.requests(), 4);
}

#[tokio::test]
async fn an_address_in_use_is_an_error() {
    let first = DemoOrigin::start("a", LOOPBACK, &Assets::new(), Behavior::default()).await.unwrap();
    let second = DemoOrigin::start("b", first.address(), &Assets::new(), Behavior::default()).await;
    assert_eq!(second.map_err(|error| error.kind()).err(), Some(io::ErrorKind::AddrInUse));
}

#[tokio::test(start_paused = true)]
async fn a_paced_body_takes_its_time() {
    let clock = crate::clock::Clock::new();
    let begin = clock.now().monotonic;
    let body = PacedBody::new(Bytes::from(vec![7; 10_000]), Some(5_000), None);
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 10_000);
    let took = clock.now().monotonic - begin;
    assert!((Duration::from_millis(1900)..Duration::from_millis(2100)).contains(&took), "{took:?}");
}

async fn get(origin: &DemoOrigin, path: &str, fields: &[(HeaderName, &str)]) -> Response<Incoming> {
    let stream = TcpStream::connect(origin.address()).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::get(path).header("host", "localhost");
    for (name, value) in fields {
        request = request.header(name, *value);
    }
    sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, hyper::Error> {
    Ok(response.into_body().collect().await?.to_bytes())
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
