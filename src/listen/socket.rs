//! Listening sockets, one per worker and address, and what accepted ones have from them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use thiserror::Error;

use super::unsent::UNSENT_MIN_BYTES;

/// An address that cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address} ({protocol}): {}", reason(error))]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What was to be spoken there: `https`, `http` or `admin`.
    pub protocol: &'static str,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

/// One nonblocking listener per worker, all on one address, over which the kernel spreads connections (`SO_REUSEPORT`).
/// Port 0 becomes one free port, the same for all. To be handed to `tokio::net::TcpListener::from_std` on the worker.
///
/// With `SO_REUSEPORT` a second node of the same user would silently share the port and take half of the connections, so
/// the address is bound once without it, and only if that succeeds given up and bound again for good. What another
/// process does between the two goes unnoticed.
///
/// # Errors
/// The address is taken, not ours, or needs a privilege.
///
/// # Panics
/// If `workers` is 0.
pub fn bind(protocol: &'static str, address: SocketAddr, workers: usize) -> Result<Vec<TcpListener>, BindError> {
    assert!(workers > 0, "a node has at least one worker");
    let named = |error| BindError { address, protocol, error };
    drop(bound(address, Sharing::Alone).map_err(named)?);
    let first = listening(address).map_err(named)?;
    let address_in_use = first.local_addr().map_err(named)?;
    let mut listeners = vec![first];
    for _ in 1..workers {
        listeners.push(listening(address_in_use).map_err(named)?);
    }
    Ok(listeners)
}

/// Whether other sockets may be bound to the same address.
#[derive(PartialEq, Eq)]
enum Sharing {
    Alone,
    WithWorkers,
}

fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address, Sharing::WithWorkers)?;
    prepare(&socket)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bound(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Without it, connections of an earlier run in TIME_WAIT would hold the port for a minute.
    socket.set_reuse_address(true)?;
    if sharing == Sharing::WithWorkers {
        socket.set_reuse_port(true)?;
    }
    // So that 0.0.0.0 and [::] can both be listed, and mean what they say.
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "address already in use; another process, or another listener of this one, has it".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "address not available; no interface of this machine has it".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; ports below 1024 need the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Sets on a listener what the system hands on to the connections that it accepts, which saves each of them five calls.
///
/// `TCP_USER_TIMEOUT` stays unset: Linux 6.18 applies it to clients that read steadily through a small window, and resets
/// them. Clients that are gone are found by keep-alive, by PING and by the write deadline.
fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_notsent_lowat(UNSENT_MIN_BYTES as u32)
}

/// Connections that wait for accept, per listener; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Silence after which the kernel asks whether the client's host is still there.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);

/// Between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use socket2::SockRef;

    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn all_workers_listen_on_the_one_port_that_was_free() {
        let listeners = bind("https", loopback(0), 3).expect("the loopback address has free ports");
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().expect("it is bound")).collect();
        assert_eq!(addresses.len(), 3);
        assert_ne!(addresses[0].port(), 0);
        assert!(addresses.iter().all(|address| *address == addresses[0]));
    }

    #[test]
    fn accepted_connections_have_what_their_listener_has() {
        let listeners = bind("https", loopback(0), 1).expect("the loopback address has free ports");
        let address = listeners[0].local_addr().expect("it is bound");
        let _client = TcpStream::connect(address).expect("it listens");
        let (accepted, _) = listeners[0].accept().expect("a client waits");
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().expect("it has options"));
        assert!(socket.keepalive().expect("it has options"));
        assert_eq!(socket.tcp_keepalive_time().expect("it has options"), KEEPALIVE_TIME);
        assert_eq!(socket.tcp_keepalive_interval().expect("it has options"), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_notsent_lowat().expect("it has options"), UNSENT_MIN_BYTES as u32);
    }

    #[test]
    fn a_port_another_node_has_is_refused_by_name() {
        let listeners = bind("https", loopback(0), 2).expect("the loopback address has free ports");
        let taken = listeners[0].local_addr().expect("it is bound");
        let error = bind("https", taken, 2).expect_err("the port is taken");
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {taken} (https): address already in use; another process, or another listener of \
                 this one, has it"
            )
        );
        drop(listeners);
        assert!(bind("https", taken, 2).is_ok());
    }

    #[test]
    fn a_foreign_address_is_refused_by_name() {
        let error = bind("http", SocketAddr::from(([192, 0, 2, 1], 0)), 1).expect_err("nobody has this address");
        let expected =
            "cannot listen on 192.0.2.1:0 (http): address not available; no interface of this machine has it";
        assert_eq!(error.to_string(), expected);
    }
}
