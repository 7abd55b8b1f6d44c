//! The origin: whatever path it is asked for, it makes up the body on its way out.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::content::Content;

/// Bodies below this room come slowly.
pub(crate) const SLOW_ROOM: &str = "fills";

/// Starts the origin on a thread of its own, for as long as the process lives; gives its address.
pub(crate) fn start() -> anyhow::Result<SocketAddr> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _inside = runtime.enter();
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        socket.listen(BACKLOG)?
    };
    let address = listener.local_addr()?;
    thread::Builder::new().name("origin".to_owned()).spawn(move || runtime.block_on(serve(listener)))?;
    Ok(address)
}

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // A node that hangs up ends the connection, and nothing else.
        tokio::spawn(async move { drop(answer_all(stream).await) });
    }
}

async fn answer_all(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    loop {
        while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            received.drain(..end + 4);
            answer(&mut stream, head.split(' ').nth(1).unwrap_or_default()).await?;
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

async fn answer(stream: &mut TcpStream, path: &str) -> io::Result<()> {
    let Some(content) = Content::of(path) else {
        return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    };
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=86400\r\nContent-Type: application/octet-stream\r\n";
    // Some do not say how long they are, so that the node has to find out.
    let is_chunked = content.length % 4 == 1;
    let framing = match is_chunked {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {}", content.length),
    };
    stream.write_all(format!("{head}ETag: \"{path}\"\r\n{framing}\r\n\r\n").as_bytes()).await?;
    let mut piece = vec![0; PIECE_BYTES.min(content.length as usize)];
    let mut offset = 0;
    while offset < content.length {
        let bytes = piece.len().min((content.length - offset) as usize);
        content.write(offset, &mut piece[..bytes]);
        if is_chunked {
            stream.write_all(format!("{bytes:x}\r\n").as_bytes()).await?;
        }
        stream.write_all(&piece[..bytes]).await?;
        if is_chunked {
            stream.write_all(b"\r\n").await?;
        }
        offset += bytes as u64;
        if path.trim_start_matches('/').starts_with(SLOW_ROOM) {
            sleep(PAUSE).await;
        }
    }
    if is_chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

/// Connections that wait to be accepted: a thousand come at the same moment.
const BACKLOG: u32 = 4096;

/// What is made up at once.
const PIECE_BYTES: usize = 64 * 1024;

/// After each piece of a slow body: 1 MiB takes four seconds.
const PAUSE: Duration = Duration::from_millis(250);
