//! What must not be lost when a connection rests, in virtual time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use http::Response;
use http::request::Parts;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::config::model::CertificateSource;
use crate::listen::deadline::AbortReason;
use crate::listen::http::RequestBody;
use crate::listen::lab::{Answer, GET, Lab, SECOND, Script, instant};
use crate::listen::protocol::Protocol;
use crate::serve::client::ClientConnection;
use crate::serve::responding::Responding;
use crate::tls::{CertificateTable, Certificates, server_config};

#[tokio::test(start_paused = true)]
async fn a_silent_connection_has_no_large_buffer() {
    let mut lab = Lab::new(Protocol::Http1, instant);
    sleep(SECOND).await;
    assert_eq!(lab.room(), READ_AHEAD_BYTES, "before its first request");
    for _ in 0..3 {
        lab.send(GET).await;
        lab.reads("HTTP/1.1 200 OK\r\n").await;
        assert!(lab.room() > READ_AHEAD_BYTES, "right after a request");
        sleep(SECOND).await;
        assert_eq!(lab.room(), READ_AHEAD_BYTES, "a moment later");
    }
    lab.closed_at(3 + 15).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_in_pieces_is_read_whole_whatever_their_size() {
    let head = format!("GET / HTTP/1.1\r\nHost: a.example\r\nX: {}\r\n\r\n", "x".repeat(5000));
    for size in [1, 700, READ_AHEAD_BYTES, READ_AHEAD_BYTES + 1, head.len()] {
        let mut lab = Lab::new(Protocol::Http1, instant);
        for _ in 0..2 {
            for piece in head.as_bytes().chunks(size) {
                lab.client.write_all(piece).await.expect("the connection is sound");
                sleep(SECOND / 1000).await;
            }
            lab.reads("HTTP/1.1 200 OK\r\n").await;
            sleep(SECOND).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_tls_has_decrypted_is_read_whole() {
    let source = CertificateSource::SelfSigned { names: vec!["a.example".to_owned()] };
    let table = CertificateTable::load(&[source]).expect("the name is valid");
    let mut roots = RootCertStore::empty();
    let certificate = table.choose(None).expect("it was loaded").cert[0].clone();
    roots.add(certificate).expect("it may be its own anchor");
    let acceptor =
        TlsAcceptor::from(server_config(Arc::new(Certificates::new(table))).expect("there are random bytes"));
    let mut lab = Lab::over(Protocol::Http1, instant, move |pipe| async move {
        acceptor.accept(pipe).await.expect("the handshake succeeds")
    });

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("the provider has all versions").with_root_certificates(roots).with_no_client_auth();
    let name = "a.example".try_into().expect("it is valid");
    let connector = TlsConnector::from(Arc::new(config));
    let mut client = connector.connect(name, &mut lab.client).await.expect("the handshake succeeds");
    // Two requests in one record, far larger than what is read at rest.
    let head = format!("GET / HTTP/1.1\r\nHost: a.example\r\nX: {}\r\n\r\n", "x".repeat(5000));
    for _ in 0..3 {
        client.write_all(head.repeat(2).as_bytes()).await.expect("the connection is sound");
        for _ in 0..2 {
            let mut answer = Vec::new();
            while !answer.ends_with(b"0\r\n\r\n") {
                answer.push(client.read_u8().await.expect("the connection is sound"));
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        }
        sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_head_that_came_with_a_request_is_not_lost() {
    let mut lab = Lab::new(Protocol::Http1, instant);
    let (half, rest) = GET.split_at(9);
    lab.send(&[GET, half].concat()).await;
    lab.reads("HTTP/1.1 200 OK\r\n").await;
    sleep(5 * SECOND).await;
    lab.send(&[rest, half].concat()).await;
    lab.reads("HTTP/1.1 200 OK\r\n").await;
    // It has the deadline of a head, not that of an idle connection.
    lab.aborted_at(5 + 10, AbortReason::HeadOverdue).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_nobody_reads_is_never_taken_for_a_request() {
    let requests = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&requests);
    // The response is complete while the request's body is still held, as when an origin answers early.
    let early = move |_: Parts, body: RequestBody, _: &ClientConnection, _: Instant| -> Answer {
        count.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            sleep(8 * SECOND).await;
            drop(body);
        });
        Responding::Now(Response::new(Script::new([(0, "hello".into())])))
    };
    let mut lab = Lab::new(Protocol::Http1, early);
    lab.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\r\n").await;
    lab.reads("HTTP/1.1 200 OK\r\n").await;
    sleep(5 * SECOND).await;
    lab.send(GET).await;
    lab.closed_at(8).await;
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_body_that_was_read_a_connection_rests() {
    for body in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
        let mut lab = Lab::new(Protocol::Http1, |_: Parts, body: RequestBody, _: &ClientConnection, _| -> Answer {
            Responding::later(async {
                let body = http_body_util::BodyExt::collect(body).await.expect("it is whole").to_bytes();
                Response::new(Script::new([(0, body)]))
            })
        });
        lab.send(&format!("POST / HTTP/1.1\r\nHost: a.example\r\n{body}")).await;
        lab.reads("HTTP/1.1 200 OK\r\n").await;
        sleep(SECOND).await;
        assert_eq!(lab.room(), READ_AHEAD_BYTES, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_waits_in_buffers_arrives_whole() {
    const BYTES: usize = 40 * 1024;
    let mut lab = Lab::new(Protocol::Http1, |_: Parts, _: RequestBody, _: &ClientConnection, _| -> Answer {
        Responding::Now(Response::new(Script::new([(0, vec![b'x'; BYTES].into())])))
    });
    lab.send(GET).await;
    // hyper has all of it and the pipe is full.
    sleep(5 * SECOND).await;
    let mut bytes = vec![0; BYTES];
    lab.client.read_exact(&mut bytes).await.expect("the connection is sound");
    sleep(SECOND).await;
    lab.closed_at(5 + 15).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_drains_at_once() {
    let mut lab = Lab::new(Protocol::Http1, instant);
    lab.send(GET).await;
    lab.reads("HTTP/1.1 200 OK\r\n").await;
    sleep(SECOND).await;
    assert_eq!(lab.room(), READ_AHEAD_BYTES);
    lab.drain.cancel();
    lab.closed_at(1).await;
    assert_eq!(lab.client.read(&mut [0; 16]).await.ok(), Some(0), "with an end, not a reset");
}
