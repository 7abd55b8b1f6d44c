//! Whether a socket would take more, without giving it any.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A stream that can be asked for room.
pub(super) trait Room {
    /// Ready when some bytes would be taken, or when the stream has failed, as the next write will tell.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Whether its client makes room so quickly that it need not be asked before each burst.
    fn is_quick(&self) -> bool {
        false
    }
}

impl Room for TcpStream {
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_write_ready(context))?;
            // Ready until a write was refused: only the kernel knows better.
            match self.try_io(Interest::WRITABLE, || ask(self)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                answer => return Poll::Ready(answer),
            }
        }
    }
}

fn ask(socket: &impl AsFd) -> io::Result<()> {
    let mut asked = [PollFd::new(socket, PollFlags::OUT)];
    match poll(&mut asked, Some(&Timespec::default()))? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_full_socket_has_no_room_until_the_client_reads() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback address has free ports");
        let address = listener.local_addr().expect("it is bound");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, (mut socket, _)) = (client.expect("it listens"), accepted.expect("a client comes"));
        poll_fn(|context| socket.poll_room(context)).await.expect("it is open");
        let mut sent = 0;
        poll_fn(|context| {
            while socket.poll_room(context)?.is_ready() {
                match socket.try_write(&[b'x'; 4096]) {
                    Ok(bytes) => sent += bytes,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            Poll::Ready(Ok::<_, io::Error>(()))
        })
        .await
        .expect("it is open");
        let reading = async { client.read_exact(&mut vec![0; sent]).await };
        let (read, room) = tokio::join!(reading, poll_fn(|context| socket.poll_room(context)));
        read.expect("all of it was sent");
        room.expect("it is open");
        socket.write_all(b"more").await.expect("there is room");
    }

    #[tokio::test]
    async fn a_socket_that_has_failed_does_not_keep_anybody_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback address has free ports");
        let address = listener.local_addr().expect("it is bound");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (client, (mut socket, _)) = (client.expect("it listens"), accepted.expect("a client comes"));
        poll_fn(|context| {
            while socket.poll_room(context)?.is_ready() {
                let _full = socket.try_write(&[b'x'; 4096]);
            }
            Poll::Ready(Ok::<_, io::Error>(()))
        })
        .await
        .expect("it is open");
        client.set_zero_linger().expect("it is open");
        drop(client);
        poll_fn(|context| socket.poll_room(context)).await.expect("the next write tells");
        assert!(socket.write_all(b"more").await.is_err());
    }
}
