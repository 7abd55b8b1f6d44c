//! Looks at a response before it is believed: its head and, where that does not say, whether enough of a body comes.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::incoming::Framing;
use super::plausible::{bytes_wanted, expectation, is_demanded, judge};
use super::retry::FailureKind;
use super::splice::{Incomplete, accept};
use crate::config::model::SiteConfig;
use crate::semantics::no_fallback::forbids_fallback;

/// What a request asks for.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    /// What it asks the rest of.
    pub(super) continues: Option<&'a Incomplete>,
}

/// A response that was looked at.
#[derive(Debug, Default)]
pub(super) struct Examined {
    /// The beginning of its body, which was read for it.
    pub(super) ahead: VecDeque<Bytes>,
    /// Why it counts as a failure, and the cause in words.
    pub(super) failure: Option<(FailureKind, String)>,
}

/// Examines a response to a request. Its body is read only as far as the site's expectation wants, which is 64 KiB and a
/// piece at most, and for no longer than `patience`.
///
/// # Errors
/// How the body broke off or stalled meanwhile, in words: there is no telling whether it was long enough.
pub(super) async fn examine(
    site: &SiteConfig,
    asked: Asked<'_>,
    response: &mut Response<Incoming>,
    framing: Framing,
    patience: Duration,
) -> Result<Examined, &'static str> {
    let status = response.status();
    if site.failover.statuses.contains(status) {
        let is_last_word = site.failover.no_fallback && forbids_fallback(response.headers());
        let kind = if is_last_word { FailureKind::LastWord } else { FailureKind::Status(status.as_u16()) };
        let failure = (kind, format!("status {}", status.as_u16()));
        return Ok(Examined { failure: Some(failure), ..Examined::default() });
    }
    let headers = response.headers();
    if let Some(mismatch) = asked.continues.and_then(|incomplete| accept(incomplete, status, headers).err()) {
        let cause = format!("not the rest of the body that broke off: another {}", mismatch.as_str());
        return Ok(Examined { failure: Some((FailureKind::Mismatch, cause)), ..Examined::default() });
    }
    let expectation = expectation(&site.expectations, asked.method, asked.path);
    let Some(expectation) = expectation.filter(|_| !is_demanded(status, asked.headers)) else {
        return Ok(Examined::default());
    };
    let mut length = match framing {
        Framing::Length(length) => Some(length),
        Framing::Bodiless | Framing::Chunked | Framing::Close => None,
    };
    let mut verdict = judge(expectation, status, response.headers(), length);
    let mut ahead = VecDeque::new();
    let wanted = bytes_wanted(expectation, status, framing);
    if verdict.is_ok() && wanted > 0 {
        let reading = timeout(patience, read_ahead(response.body_mut(), wanted, &mut ahead));
        length = reading.await.unwrap_or(Err("the body stalled before it was long enough"))?;
        verdict = judge(expectation, status, response.headers(), length);
    }
    let failure = verdict.err().map(|surprise| (FailureKind::Unexpected, surprise.to_string()));
    Ok(Examined { ahead, failure })
}

/// Reads `wanted` bytes, and what comes with them; the length of the body if that was all.
async fn read_ahead(
    body: &mut Incoming,
    wanted: u64,
    ahead: &mut VecDeque<Bytes>,
) -> Result<Option<u64>, &'static str> {
    let mut received = 0;
    while received < wanted {
        match body.frame().await {
            None => return Ok(Some(received)),
            Some(Err(_)) => return Err("the body broke off before it was long enough"),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    received += data.len() as u64;
                    ahead.push_back(data);
                }
            }
        }
    }
    Ok(None)
}
