//! Sockets, handshakes and the drain, on loopback.

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::clock::Clock;
use crate::config::model::{CertificateSource, Listen, LogTarget};
use crate::listen::http::RequestBody;
use crate::listen::socket;
use crate::serve::responding::Responding;
use crate::telemetry::{Events, Metrics};
use crate::tls::{CertificateTable, Certificates, server_config};

#[tokio::test]
async fn plain_http_speaks_http_1() {
    let lab = Lab::new(100);
    let address = lab.listen(Entrance::Http);
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    assert_eq!(h1_body(&mut stream).await, "h1 without TLS");
}

#[tokio::test]
async fn tls_settles_the_protocol_and_tells_the_name() {
    let lab = Lab::new(100);
    let address = lab.listen_tls();
    let mut stream = lab.connect_tls(address, "a.example", &[b"http/1.1"]).await.expect("the name is known");
    assert_eq!(h1_body(&mut stream).await, "h1 for Some(\"a.example\")");
    let mut stream = lab.connect_tls(address, "b.example", &[]).await.expect("the name is known");
    assert_eq!(h1_body(&mut stream).await, "h1 for Some(\"b.example\")");
    let mut stream = lab.connect_tls(address, "127.0.0.1", &[]).await.expect("the first certificate has the address");
    assert_eq!(h1_body(&mut stream).await, "h1 for None");

    let stream = lab.connect_tls(address, "a.example", &[b"h2", b"http/1.1"]).await.expect("the name is known");
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2 was settled");
    tokio::spawn(connection);
    let request = Request::get("https://a.example/").body(Empty::<Bytes>::new()).expect("it is valid");
    let response = client.send_request(request).await.expect("it is answered");
    let body = response.into_body().collect().await.expect("it is whole").to_bytes();
    assert_eq!(body, "h2 for Some(\"a.example\")");
}

#[tokio::test]
async fn an_unknown_name_gets_an_alert_and_no_certificate() {
    let lab = Lab::new(100);
    let address = lab.listen_tls();
    let error = lab.connect_tls(address, "foreign.example", &[]).await.expect_err("nobody has this name");
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    lab.until(|| lab.connections.handshakes_failed() == 1).await;
    lab.until(|| lab.connections.open() == 0).await;
}

#[tokio::test]
async fn a_handshake_has_its_deadline() {
    let lab = Lab::new(100);
    let address = lab.listen_tls();
    for opening in [&b""[..], &[22, 3, 1], &[22, 3, 1, 2, 0, 1, 0, 1, 252]] {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(opening).await.expect("it is open");
        assert_eq!(stream.read(&mut [0; 16]).await.ok(), Some(0));
    }
    lab.until(|| lab.connections.handshakes_failed() == 3).await;
}

#[tokio::test]
async fn above_the_most_connections_new_ones_are_closed_at_once() {
    let lab = Lab::new(1);
    let address = lab.listen(Entrance::Http);
    let first = TcpStream::connect(address).await.expect("it listens");
    lab.until(|| lab.connections.open() == 1).await;
    let mut second = TcpStream::connect(address).await.expect("it listens");
    assert_eq!(second.read(&mut [0; 16]).await.ok(), Some(0));
    assert_eq!((lab.connections.open(), lab.connections.refused()), (1, 1));
    drop(first);
    lab.until(|| lab.connections.open() == 0).await;
    let mut third = TcpStream::connect(address).await.expect("it listens");
    assert_eq!(h1_body(&mut third).await, "h1 without TLS");
}

#[tokio::test]
async fn a_stalled_client_is_counted() {
    let lab = Lab::new(100);
    let address = lab.listen(Entrance::Http);
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(b"GET").await.expect("it is open");
    assert_eq!(stream.read(&mut [0; 16]).await.ok(), Some(0));
    lab.until(|| lab.connections.stalled() == 1).await;
}

#[tokio::test]
async fn a_drain_ends_listeners_and_connections() {
    let lab = Lab::new(100);
    let addresses = [lab.listen(Entrance::Http), lab.listen_tls()];
    let _idle = TcpStream::connect(addresses[0]).await.expect("it listens");
    let _idle_tls = lab.connect_tls(addresses[1], "a.example", &[]).await.expect("the name is known");
    lab.until(|| lab.connections.open() == 2).await;
    lab.drain.cancel();
    lab.tasks.close();
    lab.tasks.wait().await;
    assert_eq!(lab.connections.open(), 0);
    for address in addresses {
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    }
}

#[tokio::test]
async fn the_accept_loop_survives_failures_and_tells_of_them_once_a_second() {
    let lab = Lab::new(100);
    let mut told = lab.events.subscribe();
    // Bound and not listening: each accept fails.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("there are sockets");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("there are ports");
    socket.set_nonblocking(true).expect("it can be");
    let listener = TcpListener::from_std(socket.into()).expect("the runtime has I/O");
    let address = listener.local_addr().expect("it is bound");
    let accepting = lab.tasks.spawn(Arc::clone(&lab.reception).accept(listener, Entrance::Http));
    let event = told.recv().await.expect("it is told");
    assert!(matches!(&*event, Event::AcceptFailed { address: found, .. } if *found == address), "{event:?}");
    sleep(4 * ACCEPT_PAUSE).await;
    assert!(told.try_recv().is_err() && !accepting.is_finished());
    lab.drain.cancel();
    accepting.await.expect("it ends with the drain");
}

#[test]
fn only_failures_of_one_connection_are_passed_over() {
    let check = |kind: io::ErrorKind, expected| assert_eq!(concerns_client(&kind.into()), expected, "{kind}");
    check(io::ErrorKind::ConnectionAborted, true);
    check(io::ErrorKind::ConnectionReset, true);
    check(io::ErrorKind::Interrupted, true);
    check(io::ErrorKind::OutOfMemory, false);
    check(io::ErrorKind::InvalidInput, false);
    // EMFILE and ENFILE have no kind of their own.
    assert!(!concerns_client(&io::Error::from_raw_os_error(24)));
    assert!(!concerns_client(&io::Error::from_raw_os_error(23)));
}

// ---- The lab ----

type Answer = Responding<Full<Bytes>>;

type Handler = fn(Parts, RequestBody, &ClientConnection, Instant) -> Answer;

fn tell_connection(_: Parts, _: RequestBody, client: &ClientConnection, _: Instant) -> Answer {
    let text = match &client.tls {
        Some(tls) => format!("{} for {:?}", client.protocol, tls.sni.as_deref()),
        None => format!("{} without TLS", client.protocol),
    };
    Responding::Now(Response::new(Full::from(text)))
}

/// One worker's reception on real sockets.
struct Lab {
    reception: Arc<Reception<Handler>>,
    connections: Arc<Connections>,
    roots: RootCertStore,
    certificates: Arc<Certificates>,
    events: Events,
    tasks: TaskTracker,
    drain: CancellationToken,
}

impl Lab {
    fn new(connections_max: usize) -> Self {
        let limits = Listen {
            https: Vec::new(),
            http: Vec::new(),
            admin: Vec::new(),
            connections_max,
            handshake_timeout: Duration::from_millis(300),
            head_timeout: Duration::from_millis(300),
            idle_timeout: Duration::from_secs(15),
            h2_idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(10),
            age_max: Duration::from_secs(3600),
        };
        let clock = Clock::new();
        let events = Events::new(&LogTarget::Off, clock.clone(), Metrics::new()).expect("nothing is opened");
        let (tasks, drain) = (TaskTracker::new(), CancellationToken::new());
        let conditions = Conditions {
            limits: Arc::new(limits),
            clock,
            events: events.clone(),
            tasks: tasks.clone(),
            drain: drain.clone(),
        };
        let connections = Arc::new(Connections::new(connections_max));
        let reception = Arc::new(Reception::new(conditions, Arc::clone(&connections), tell_connection as Handler));
        let sources = [&["localhost"][..], &["a.example", "b.example"]]
            .map(|names| CertificateSource::SelfSigned { names: names.iter().map(|&name| name.to_owned()).collect() });
        let table = CertificateTable::load(&sources).expect("the names are valid");
        let mut roots = RootCertStore::empty();
        for name in ["localhost", "a.example"] {
            let certificate = table.choose(Some(name)).expect("it was loaded").cert[0].clone();
            roots.add(certificate).expect("it may be its own anchor");
        }
        let certificates = Arc::new(Certificates::new(table));
        Self { reception, connections, roots, certificates, events, tasks, drain }
    }

    fn listen_tls(&self) -> SocketAddr {
        let config = server_config(Arc::clone(&self.certificates)).expect("the system has random bytes");
        self.listen(Entrance::Https(config.into()))
    }

    async fn connect_tls(
        &self,
        address: SocketAddr,
        name: &'static str,
        protocols: &[&[u8]],
    ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has all versions")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name).expect("it is valid");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Waits for what other tasks bring about.
    async fn until(&self, holds: impl Fn() -> bool) {
        let wait = async {
            while !holds() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), wait).await.expect("it comes true");
    }

    fn listen(&self, entrance: Entrance) -> SocketAddr {
        let mut listeners = socket::bind("test", SocketAddr::from(([127, 0, 0, 1], 0)), 1).expect("there are ports");
        let listener = TcpListener::from_std(listeners.remove(0)).expect("the runtime has I/O");
        let address = listener.local_addr().expect("it is bound");
        self.tasks.spawn(Arc::clone(&self.reception).accept(listener, entrance));
        address
    }
}

/// Reads the body of one response on a connection of its own.
async fn h1_body(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    let request = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("the connection is sound");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("the response is whole");
    text.split_once("\r\n\r\n").expect("it has a head").1.to_owned()
}
