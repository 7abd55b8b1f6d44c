//! What reaches a socket, and when.

use std::sync::Arc;
use std::task::Waker;

use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::tls::self_signed;

#[tokio::test]
async fn many_records_leave_in_one_write() {
    let (mut corked, mut client) = connected().await;
    let mut pieces = 0;
    // Past the first records, which are shorter than these pieces together.
    corked.write_all(&[b'y'; 64 * 1024]).await.expect("it is open");
    corked.flush().await.expect("it is open");
    client.read_exact(&mut [0; 64 * 1024]).await.expect("it was sent");
    corked.tls.get_mut().0.writes = 0;
    while pieces < 10 {
        let (head, body) = (IoSlice::new(&[b'h'; 100]), IoSlice::new(&[b'b'; 1000]));
        pieces += corked.write_vectored(&[head, body]).await.expect("it is open") / 1100;
    }
    assert_eq!(corked.tls.get_ref().0.writes, 0);
    corked.flush().await.expect("it is open");
    assert_eq!(corked.tls.get_ref().0.writes, 1);
    let mut received = vec![0; 11_000];
    client.read_exact(&mut received).await.expect("it was sent");
    assert!(received.chunks(1100).all(|piece| piece[99..101] == *b"hb"), "the order is kept");
}

#[tokio::test]
async fn a_client_that_reads_nothing_pins_one_burst() {
    let (mut corked, mut client) = connected().await;
    let body = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while let Poll::Ready(wrote) = poll_write(&mut corked, &body[sent..]) {
        sent += wrote.expect("it is open");
    }
    assert!(sent <= PIPE_BYTES + BURST_MOST_BYTES, "{sent} bytes were sealed");
    let reading = async {
        let mut received = vec![0; body.len()];
        client.read_exact(&mut received).await.map(|_| received)
    };
    let writing = async {
        corked.write_all(&body[sent..]).await?;
        corked.flush().await
    };
    let (received, written) = tokio::join!(reading, writing);
    written.expect("it is open");
    assert!(received.expect("it was sent") == body, "every byte once");
}

#[tokio::test]
async fn nothing_is_sealed_for_a_slow_client_before_there_is_room() {
    let (mut corked, mut client) = connected().await;
    let body = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while let Poll::Ready(wrote) = poll_write(&mut corked, &body[sent..]) {
        sent += wrote.expect("it is open");
    }
    // All that it was owed has been taken, and no more than that would be.
    corked.tls.get_mut().0.has_room = false;
    let mut received = vec![0; sent];
    let refused = loop {
        client.read_exact(&mut received[..1]).await.expect("it was sent");
        received.pop();
        match poll_write(&mut corked, &body[sent..]) {
            Poll::Pending if !corked.tls.get_ref().1.wants_write() => break received,
            outcome => assert!(outcome.is_pending(), "nothing may be sealed"),
        }
    };
    assert!(refused.len() < sent);
    corked.tls.get_mut().0.has_room = true;
    assert!(matches!(poll_write(&mut corked, &body[sent..]), Poll::Ready(Ok(bytes)) if bytes > 0));
}

#[tokio::test]
async fn a_record_is_read_without_asking_for_another() {
    let (mut corked, mut client) = connected().await;
    client.write_all(&[b'x'; 100]).await.expect("it is open");
    client.flush().await.expect("it is open");
    corked.tls.get_mut().0.reads = 0;
    assert_eq!(corked.read(&mut [0; 4096]).await.expect("it was sent"), 100);
    assert_eq!(corked.tls.get_ref().0.reads, 1);
}

#[tokio::test]
async fn what_a_client_sends_is_read_in_pieces_of_any_size() {
    let (mut corked, mut client) = connected().await;
    let sent: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
    let writing = async {
        client.write_all(&sent).await?;
        client.shutdown().await
    };
    let reading = async {
        let mut received = Vec::new();
        for size in [1, 7, 1000, 16 * 1024, 40_000].into_iter().cycle() {
            let mut piece = vec![0; size];
            let bytes = corked.read(&mut piece).await?;
            if bytes == 0 {
                break;
            }
            received.extend_from_slice(&piece[..bytes]);
        }
        io::Result::Ok(received)
    };
    let (received, written) = tokio::join!(reading, writing);
    written.expect("it is open");
    assert!(received.expect("it was sent") == sent, "every byte once");
}

fn poll_write(corked: &mut Corked<Socket>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    Pin::new(corked).poll_write(&mut Context::from_waker(Waker::noop()), bytes)
}

/// Both ends of a connection whose handshake is over.
async fn connected() -> (Corked<Socket>, tokio_rustls::client::TlsStream<DuplexStream>) {
    let own = self_signed(&["localhost".to_owned()]).expect("it is a name");
    let mut roots = RootCertStore::empty();
    roots.add(own.certificate.clone()).expect("it is its own issuer");
    let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config.with_no_client_auth().with_single_cert(vec![own.certificate], PrivateKeyDer::from(own.key))
        })
        .expect("the key belongs to the certificate");
    let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS needs")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = duplex(PIPE_BYTES);
    let name = ServerName::try_from("localhost").expect("it is a name");
    let connector = TlsConnector::from(Arc::new(client));
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let socket = Socket { io: near, reads: 0, writes: 0, has_room: true };
    let (accepted, connected) = tokio::join!(acceptor.accept(socket), connector.connect(name, far));
    let mut corked = Corked::new(Box::new(accepted.expect("the handshake succeeds")), Arc::new(Connections::new(1)));
    corked.tls.get_mut().0.writes = 0;
    (corked, connected.expect("the handshake succeeds"))
}

/// A socket that counts what it is asked for, and to take.
struct Socket {
    io: DuplexStream,
    reads: usize,
    writes: usize,
    has_room: bool,
}

impl Room for Socket {
    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_room { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.reads += 1;
        Pin::new(&mut this.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writes += 1;
        Pin::new(&mut this.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writes += 1;
        Pin::new(&mut this.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

/// The longest burst.
const BURST_MOST_BYTES: usize = 80 * 1024;

/// What a client that reads nothing takes.
const PIPE_BYTES: usize = 128 * 1024;
