//! One active probe of one address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::endpoint::Evidence;
use super::expectation::{AnswerHead, Examination, Verdict};
use crate::clock::Clock;
use crate::config::model::{ProbeExpectation, ProbePolicy};
use crate::origin::causes::with_causes;
use crate::origin::pool::{Origin, Pool};
use crate::origin::request::connect::{Dial, connect_in_full};
use crate::origin::request::wire::Wire;

/// What one probe found.
#[derive(Clone, Debug)]
pub struct Probed {
    /// What the answer, or that there is none, says of the address.
    pub evidence: Evidence,
    /// The certificates that the address showed, verified, its own first; none over plain HTTP or when there was no handshake.
    pub shown: Vec<CertificateDer<'static>>,
}

/// Asks `address` of an origin for the probe path, over the dialer that traffic uses.
pub async fn probe(dial: &dyn Dial, clock: &Clock, pool: &Arc<Pool>, origin: usize, address: SocketAddr) -> Probed {
    let policy = &pool.config.probe;
    let mut shown = Vec::new();
    let Some(origin) = pool.origins.get(origin) else {
        return Probed { evidence: Evidence::ProbeFailed("no such origin".to_owned()), shown };
    };
    let host = pool.config.hosts.first().map_or("", |host| host.trim_start_matches("*."));
    let tasks = TaskTracker::new();
    let exchange = async {
        let (sender, certificates) = match connect_in_full(dial, origin, address, policy.timeout, &tasks).await {
            Err(error) if !error.kind.is_evidence() => return Ok(Evidence::ProbeUndone),
            connected => connected.map_err(|error| error.to_string())?,
        };
        shown = certificates;
        exchange(sender, clock, origin, host, policy).await
    };
    let late = |_| Err(format!("no answer within {:?}", policy.timeout));
    let evidence = timeout(policy.timeout, exchange).await.unwrap_or_else(late).unwrap_or_else(Evidence::ProbeFailed);
    Probed { evidence, shown }
}

async fn exchange(
    mut sender: Wire,
    clock: &Clock,
    origin: &Origin,
    client_host: &str,
    policy: &ProbePolicy,
) -> Result<Evidence, String> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(policy.path.as_str())
        .header(header::HOST, origin.host_field(client_host))
        .header(header::USER_AGENT, HeaderValue::from_static(USER_AGENT))
        .header(header::CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync())
        .map_err(|error| error.to_string())?;
    let asked = clock.monotonic();
    let response = sender.try_send_request(request).await.map_err(|error| with_causes(&error.into_error()))?;
    let latency = clock.monotonic().saturating_duration_since(asked);
    if let Some(said) = policy.lame_duck.iter().find(|field| field.is_in(response.headers())) {
        return Ok(Evidence::LameDuck(said.to_string()));
    }
    examine(response, latency, &policy.expect).await.map(|()| Evidence::ProbePassed)
}

/// Reads as much of an answer as it takes to judge it.
async fn examine(response: Response<Incoming>, latency: Duration, expect: &ProbeExpectation) -> Result<(), String> {
    let (head, mut body) = response.into_parts();
    let mut examination = Examination::new(expect);
    let length = body.size_hint().exact();
    let head = AnswerHead { status: head.status, headers: &head.headers, length, latency };
    let mut verdict = examination.head(&head);
    loop {
        match verdict {
            Verdict::Enough => return Ok(()),
            Verdict::Failed(reason) => return Err(reason),
            Verdict::NeedMore => {}
        }
        verdict = match body.frame().await {
            None => examination.end(),
            Some(frame) => {
                let frame = frame.map_err(|error| format!("the body broke off: {}", with_causes(&error)))?;
                frame.data_ref().map_or(Verdict::NeedMore, |data| examination.piece(data))
            }
        };
    }
}

const USER_AGENT: &str = concat!("holdover-probe/", env!("CARGO_PKG_VERSION"));
