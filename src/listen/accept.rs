//! From a listening socket to served connections, on one worker.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connections::{Connections, Place};
use super::corked::Corked;
use super::http::{Conditions, Ending, Respond, serve_connection};
use super::protocol::Protocol;
use super::watched::{Watch, Watched};
use crate::serve::client::{ClientConnection, TlsFacts};
use crate::telemetry::Event;

/// What is spoken on a listener.
#[derive(Clone)]
pub enum Entrance {
    /// HTTP/1.1 in plain text.
    Http,
    /// HTTP/2 or HTTP/1.1 over TLS, by ALPN.
    Https(TlsAcceptor),
}

/// Receives clients on one worker, which must run a tokio runtime with I/O and time.
pub struct Reception<R> {
    conditions: Conditions,
    connections: Arc<Connections>,
    handshakes: Semaphore,
    respond: R,
}

impl<R: Respond> Reception<R> {
    /// Answers with `respond` whoever `connections`, which all workers share, has room for.
    pub fn new(conditions: Conditions, connections: Arc<Connections>, respond: R) -> Self {
        // A token of the worker's own keeps its connections from meeting those of other workers at one lock.
        let conditions = Conditions { drain: conditions.drain.child_token(), ..conditions };
        Self { conditions, connections, handshakes: Semaphore::new(HANDSHAKES), respond }
    }

    /// Accepts until the drain, whatever fails; connections live on in tasks of their own.
    pub async fn accept(self: Arc<Self>, listener: TcpListener, entrance: Entrance) {
        let mut failed_at = None;
        while let Some(accepted) = self.conditions.drain.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    if let Some(place) = self.connections.admit() {
                        let received = Arc::clone(&self).receive(stream, peer, entrance.clone(), place);
                        self.conditions.tasks.spawn(received);
                    }
                }
                Err(error) if concerns_client(&error) => {}
                Err(error) => {
                    self.tell(&listener, &error, &mut failed_at);
                    self.conditions.drain.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
                }
            }
        }
    }

    /// Tells of a failure to accept, unless it told of another one a moment ago.
    fn tell(&self, listener: &TcpListener, error: &io::Error, failed_at: &mut Option<Instant>) {
        let now = self.conditions.clock.now().monotonic;
        if failed_at.is_some_and(|before| now.saturating_duration_since(before) < ACCEPT_EVENT_INTERVAL) {
            return;
        }
        *failed_at = Some(now);
        let address = listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
        self.conditions.events.emit(Event::AcceptFailed { address, reason: error.to_string() });
    }

    async fn receive(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, entrance: Entrance, place: Place) {
        let mut socket = Watched::tcp(stream, Arc::clone(&self.connections));
        let ending = match entrance {
            Entrance::Http => {
                let watch = self.watch(Protocol::Http1);
                socket.watch(Arc::clone(&watch));
                self.serve(socket, watch, peer, None).await
            }
            Entrance::Https(acceptor) => {
                // Boxed, so that a connection does not lie in memory as large as its handshake.
                let Some(mut stream) = Box::pin(self.handshake(&acceptor, socket)).await else {
                    return self.connections.handshake_failed();
                };
                let (socket, session) = stream.get_mut();
                let watch = self.watch(Protocol::from_alpn(session.alpn_protocol()));
                socket.watch(Arc::clone(&watch));
                let tls = TlsFacts { sni: session.server_name().map(Arc::from) };
                self.serve(Corked::new(stream, Arc::clone(&self.connections)), watch, peer, Some(tls)).await
            }
        };
        if let Ending::Aborted(_) = ending {
            self.connections.stalled_once();
        }
        drop(place);
    }

    fn watch(&self, protocol: Protocol) -> Arc<Watch> {
        Arc::new(Watch::new(protocol, &self.conditions.limits, self.conditions.clock.clone()))
    }

    async fn serve<IO>(&self, io: IO, watch: Arc<Watch>, peer: SocketAddr, tls: Option<TlsFacts>) -> Ending
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let client = Arc::new(ClientConnection { peer, tls, protocol: watch.protocol().as_str() });
        serve_connection(io, watch, client, self.respond.clone(), &self.conditions).await
    }

    /// TLS from accept to its end, in time. A silent client holds no place among the handshakes.
    async fn handshake(
        &self,
        acceptor: &TlsAcceptor,
        socket: Watched<TcpStream>,
    ) -> Option<Box<TlsStream<Watched<TcpStream>>>> {
        let established = async {
            socket.get_ref().readable().await.ok()?;
            let _place = self.handshakes.acquire().await.ok()?;
            acceptor.accept(socket).await.ok().map(Box::new)
        };
        timeout(self.conditions.limits.handshake_timeout, established).await.ok().flatten()
    }
}

/// Whether the failure is that of one connection, so that the next one may be accepted at once.
fn concerns_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut)
}

/// TLS handshakes under way at once on one worker; further clients wait within their deadline. It bounds the memory that
/// handshakes hold; a smaller number would let fewer stalled clients keep all others out.
const HANDSHAKES: usize = 512;

/// Rest after a failure that the next accept would meet again, such as no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Least time between two events of such failures, per listener.
const ACCEPT_EVENT_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
