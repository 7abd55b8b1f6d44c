//! One active probe of one address.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use memchr::memmem;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::connect::{Dial, connect};
use super::pool::{Origin, Pool};
use crate::config::model::ProbePolicy;

/// Asks `address` of an origin for the probe path, over the dialer that traffic uses.
///
/// # Errors
/// The reason, in words, why the answer is not that of a healthy origin.
pub async fn probe(dial: &dyn Dial, pool: &Arc<Pool>, origin: usize, address: SocketAddr) -> Result<(), String> {
    let policy = &pool.config.probe;
    let origin = pool.origins.get(origin).ok_or("no such origin")?;
    let host = pool.config.hosts.first().map_or("", |host| host.trim_start_matches("*."));
    let tasks = TaskTracker::new();
    let exchange = exchange(dial, origin, host, address, policy, &tasks);
    timeout(policy.timeout, exchange).await.unwrap_or_else(|_| Err(format!("no answer within {:?}", policy.timeout)))
}

async fn exchange(
    dial: &dyn Dial,
    origin: &Origin,
    client_host: &str,
    address: SocketAddr,
    policy: &ProbePolicy,
    tasks: &TaskTracker,
) -> Result<(), String> {
    let mut sender = connect(dial, origin, address, policy.timeout, tasks)
        .await
        .map_err(|error| format!("{}: {}", error.kind.as_str(), error.cause))?;
    let request = Request::builder()
        .method(Method::GET)
        .uri(policy.path.as_str())
        .header(header::HOST, origin.host_field(client_host))
        .header(header::USER_AGENT, HeaderValue::from_static(USER_AGENT))
        .header(header::CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    if !policy.expect.contains(response.status()) {
        return Err(format!("status {}", response.status().as_u16()));
    }
    match &policy.body {
        Some(expected) => contains(response.into_body(), expected).await,
        None => Ok(()),
    }
}

/// Whether `expected` occurs in the first [`PREFIX_BYTES`] of the body.
async fn contains(mut body: Incoming, expected: &str) -> Result<(), String> {
    let mut prefix = Vec::new();
    while prefix.len() < PREFIX_BYTES {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame.map_err(|error| format!("the body broke off: {error}"))?.into_data() {
            prefix.extend_from_slice(&data[..data.len().min(PREFIX_BYTES - prefix.len())]);
        }
        if memmem::find(&prefix, expected.as_bytes()).is_some() {
            return Ok(());
        }
    }
    Err(format!("{expected:?} is not in the first {PREFIX_BYTES} bytes of the body"))
}

const PREFIX_BYTES: usize = 16 * 1024;

const USER_AGENT: &str = concat!("holdover-probe/", env!("CARGO_PKG_VERSION"));
