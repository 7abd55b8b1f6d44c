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
    let expected = limits().write_timeout.as_secs() - 1..limits().write_timeout.as_secs() + 17;
    assert!(expected.contains(&seconds), "{seconds} s");
}

#[tokio::test(start_paused = true)]
async fn what_the_kernel_has_for_a_client_that_was_given_up_is_let_go() {
    let mut lab = Lab::new();
    lab.is_quick().await;
    while lab.a_second_passes(0).await {}
    let end = lab.server_is_dropped().expect_err("the response has no end");
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn what_the_kernel_has_for_a_client_that_was_not_given_up_is_sent() {
    let mut lab = Lab::new();
    lab.is_quick().await;
    let unread = lab.server_is_dropped().expect("it is not broken off");
    assert!(unread > UNSENT_MIN_BYTES, "{unread}");
}

#[tokio::test(start_paused = true)]
async fn a_client_over_http_2_may_not_leave_more_unsent() {
    let mut lab = Lab::over(Protocol::Http2);
    for _ in 0..100 {
        lab.takes_all().await;
    }
    assert_eq!(lab.limit(), UNSENT_MIN_BYTES as u32);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_quick_and_falls_silent_gives_back_its_share_once_it_has_taken_all() {
    let mut lab = Lab::new();
    lab.watch.wakes();
    lab.is_quick().await;
    assert!(!lab.gives_back().await, "it is in the midst of a response");
    lab.watch.rests();
    assert!(!lab.gives_back().await, "it has not taken all of it");
    assert_eq!(lab.limit(), UNSENT_MIN_BYTES as u32);
    while lab.client_reads(1 << 20) {}
    assert!(lab.gives_back().await);
}

#[tokio::test(start_paused = true)]
async fn the_next_response_gives_back_what_rest_could_not() {
    let mut lab = Lab::new();
    lab.is_quick().await;
    assert!(!lab.gives_back().await, "it has not taken all of the last one");
    lab.takes_all().await;
    lab.takes_all().await;
    assert!(lab.has_given_back(), "what was left of it was taken");
    lab.is_quick().await;
    assert!(!lab.has_given_back());
}

#[tokio::test(start_paused = true)]
async fn a_connection_does_not_end_while_its_client_has_much_to_take() {
    let mut lab = Lab::new();
    lab.is_quick().await;
    assert!(!lab.ends().await);
    while lab.client_reads(1 << 20) {}
    assert!(lab.ends().await && lab.has_given_back());
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
        while self.client_reads(1 << 20) {}
    }

    /// The client reads at most so many bytes; whether there were any.
    fn client_reads(&mut self, bytes: usize) -> bool {
        self.client.read(&mut vec![0; bytes]).is_ok_and(|bytes| bytes > 0)
    }

    /// The client reads so many bytes in a second; whether it is not given up in that.
    async fn a_second_passes(&mut self, bytes: usize) -> bool {
        advance(SECOND).await;
        self.client_reads(bytes);
        self.server_writes().await;
        self.watch.activity(None).response_patience.is_none_or(|end| end > self.watch.look())
    }

    /// The server finds that the client has sent nothing; whether it has nothing of what is shared then.
    async fn gives_back(&mut self) -> bool {
        tokio::task::yield_now().await;
        let context = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut self.server).poll_read(context, &mut ReadBuf::new(&mut [0; 1])).is_pending());
        self.has_given_back()
    }

    fn has_given_back(&self) -> bool {
        self.server.kernel.as_ref().is_some_and(|kernel| kernel.grant.is_empty())
    }

    /// The server closes the connection; whether it has.
    async fn ends(&mut self) -> bool {
        tokio::task::yield_now().await;
        let context = &mut Context::from_waker(Waker::noop());
        Pin::new(&mut self.server).poll_shutdown(context).map(|ended| ended.expect("the client is there")).is_ready()
    }

    /// The connection is dropped; what the client reads to the end of it.
    fn server_is_dropped(self) -> io::Result<usize> {
        let Self { server, mut client, .. } = self;
        drop(server);
        client.set_nonblocking(false)?;
        client.read_to_end(&mut Vec::new())
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
