//! `holdover healthcheck`: for images without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::args::Healthcheck;
use super::config_file::{Loaded, load_config, print};
use super::exit;

/// Asks `/readyz` of the node's admin listener.
#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
pub(super) fn healthcheck(arguments: &Healthcheck) -> anyhow::Result<ExitCode> {
    let address = match arguments.address {
        Some(address) => address,
        None => match load_config(&arguments.file)? {
            Loaded::Faulty(problems) => {
                print(&problems);
                return Ok(exit::CONFIGURATION.into());
            }
            Loaded::Whole(config, path) => *config
                .listen
                .admin
                .first()
                .with_context(|| format!("{} has no admin listener to ask", path.display()))?,
        },
    };
    let address = reachable(address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(async { timeout(PATIENCE, ready(address)).await });
    asked
        .unwrap_or_else(|_| bail!("no answer within {PATIENCE:?}"))
        .with_context(|| format!("{address} is not ready"))?;
    println!("{address} is ready");
    Ok(ExitCode::SUCCESS)
}

async fn ready(address: SocketAddr) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/readyz").header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request);
    let answer = tokio::select! {
        answer = answer => answer?,
        ended = connection => {
            ended?;
            bail!("the connection ended without an answer");
        }
    };
    if !answer.status().is_success() {
        bail!("it answers {}", answer.status());
    }
    Ok(())
}

/// A wildcard address is for listening; to connect, it takes this host's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

const PATIENCE: Duration = Duration::from_secs(2);
