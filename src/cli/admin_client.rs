//! Talks to the admin listener of a running node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::args::RunningNode;
use super::config_file::{Loaded, load_config, print};
use super::exit;

/// Where to ask, and with which token.
pub(super) struct AdminClient {
    /// The admin listener.
    pub(super) address: SocketAddr,
    token: Option<String>,
}

impl AdminClient {
    /// A client for the node that the command line or its configuration names; `None` once everything that is wrong with
    /// the configuration has been printed. With an address, only a configuration that is named is read.
    pub(super) fn new(node: &RunningNode) -> anyhow::Result<Option<Self>> {
        let mut token = node.token_file.as_ref().map(|file| {
            let text = std::fs::read_to_string(file);
            text.with_context(|| format!("failed to read {}", file.display())).map(|text| text.trim().to_owned())
        });
        let mut address = node.address;
        if address.is_none() || node.file.config.is_some() {
            match load_config(&node.file)? {
                Loaded::Faulty(problems) => {
                    print(&problems);
                    return Ok(None);
                }
                Loaded::Whole(config, path) => {
                    let configured = config.admin_token.map(|token| Ok(token.expose().to_owned()));
                    token = token.or(configured);
                    address = address.or(config.listen.admin.first().copied());
                    address.with_context(|| format!("{} has no admin listener to ask", path.display()))?;
                }
            }
        }
        let address = address.context("no admin listener to ask")?;
        Ok(Some(Self { address: reachable(address), token: token.transpose()? }))
    }

    /// Sends one request and reads the answer; `json` makes it a POST.
    pub(super) fn ask(&self, path: &str, json: Option<String>) -> anyhow::Result<(StatusCode, String)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = runtime.block_on(async { timeout(PATIENCE, self.exchange(path, json)).await });
        asked.unwrap_or_else(|_| bail!("no answer within {PATIENCE:?}"))
    }

    async fn exchange(&self, path: &str, json: Option<String>) -> anyhow::Result<(StatusCode, String)> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder().uri(path).header(header::HOST, self.address.to_string());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if json.is_some() {
            request = request.method("POST").header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(json.unwrap_or_default())))?;
        let answer = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok((head.status, String::from_utf8_lossy(&body).into_owned()))
        };
        // Whatever ends the connection ends the answer too, and says why.
        let (answer, _) = tokio::join!(answer, connection);
        answer
    }
}

/// Prints what a node answered: on standard output what was asked for, on standard error why not.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) fn show((status, text): (StatusCode, String)) -> ExitCode {
    if status.is_success() {
        print!("{text}");
        return ExitCode::SUCCESS;
    }
    eprint!("holdover: the node answers {status}\n{text}");
    exit::FAILED.into()
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
