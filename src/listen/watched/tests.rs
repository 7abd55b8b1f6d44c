//! A real socket and its client, while only virtual time passes.

use std::io::Read;
use std::net::TcpListener;
use std::task::Waker;

use socket2::{Domain, Socket, Type};
use tokio::time::advance;

use super::*;
use crate::clock::Clock;
use crate::listen::lab::{SECOND, limits};
use crate::listen::socket;
use crate::listen::unsent::UNSENT_MIN_BYTES;

#[tokio::test(start_paused = true)]
async fn a_quick_client_that_reads_on_slowly_is_not_taken_for_dead() {
    let mut lab = Lab::new();
    lab.is_quick().await;
    for second in 0..1000 {
        assert!(lab.a_second_passes(2048).await, "it was given up after {second} s");
    }
    assert_eq!(lab.limit(), UNSENT_MIN_BYTES as u32, "it is treated as any other again");
}

#[tokio::test(start_paused = true)]
async fn a_quick_client_that_stops_is_given_up_somewhat_later() {
    let mut lab = Lab::new();
    lab.is_quick().await;
    let mut seconds = 0;
    while lab.a_second_passes(0).await {
        seconds += 1;
    }
    let expected = limits().write_timeout.as_secs() - 1..2 * limits().write_timeout.as_secs();
    assert!(expected.contains(&seconds), "{seconds} s");
}

#[tokio::test(start_paused = true)]
async fn a_client_over_http_2_may_not_leave_more_unsent() {
    let mut lab = Lab::over(Protocol::Http2);
    for _ in 0..100 {
        lab.takes_all().await;
    }
    assert_eq!(lab.limit(), UNSENT_MIN_BYTES as u32);
}

/// A connection whose server writes as much as the socket takes, and its client.
struct Lab {
    server: Watched<TcpStream>,
    watch: Arc<Watch>,
    client: std::net::TcpStream,
}

impl Lab {
    fn new() -> Self {
        Self::over(Protocol::Http1)
    }

    fn over(protocol: Protocol) -> Self {
        let listener: TcpListener =
            socket::bind("http", ([127, 0, 0, 1], 0).into(), 1).expect("the loopback address has free ports").remove(0);
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets");
        // So that it is the server's kernel that holds what it has not read.
        client.set_recv_buffer_size(16 * 1024).expect("it is a size");
        client.connect(&listener.local_addr().expect("it is bound").into()).expect("it listens");
        client.set_nonblocking(true).expect("it is a socket");
        let (accepted, _) = listener.accept().expect("a client waits");
        accepted.set_nonblocking(true).expect("it is a socket");
        let watch = Arc::new(Watch::new(protocol, &limits(), Clock::new()));
        let stream = TcpStream::from_std(accepted).expect("there is a runtime");
        let mut server = Watched::tcp(stream, Arc::new(Connections::new(1)));
        server.watch(Arc::clone(&watch));
        Self { server, watch, client: client.into() }
    }

    fn limit(&self) -> u32 {
        SockRef::from(&self.server.io).tcp_notsent_lowat().expect("it has options")
    }

    /// The client takes whatever comes, until the server's kernel takes much at once.
    async fn is_quick(&mut self) {
        while self.limit() == UNSENT_MIN_BYTES as u32 {
            self.takes_all().await;
        }
        self.server_writes().await;
    }

    async fn takes_all(&mut self) {
        self.server_writes().await;
        let mut bytes = vec![0; 1 << 20];
        while self.client.read(&mut bytes).is_ok() {}
    }

    /// The client reads so many bytes in a second; whether it is not given up in that.
    async fn a_second_passes(&mut self, bytes: usize) -> bool {
        advance(SECOND).await;
        let _ = self.client.read(&mut vec![0; bytes]);
        self.server_writes().await;
        self.watch.activity(None).response_patience.is_none_or(|end| end > self.watch.look())
    }

    async fn server_writes(&mut self) {
        tokio::task::yield_now().await;
        self.watch.look();
        let context = &mut Context::from_waker(Waker::noop());
        while let Poll::Ready(wrote) = Pin::new(&mut self.server).poll_write(context, &[0; 16 * 1024]) {
            wrote.expect("the client is there");
        }
    }
}
