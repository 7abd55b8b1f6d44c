//! What is said of a stale response that answers, because nothing better can or because it need not wait.

use std::time::Duration;

use http::StatusCode;

use super::hit::whole_seconds;
use super::judge::StaleReason;
use crate::semantics::cache_status::{CacheStatus, CacheStatusMember, ForwardReason};

/// What `Cache-Status` says of a response whose freshness ended `past` ago. RFC 9211 keeps `hit` and `fwd` apart: it is a hit
/// when no origin was asked for this answer; otherwise `forward_status` is what the origin said, if anything, and
/// `collapsed` whether to another request.
pub fn stale(
    past: Duration,
    reason: StaleReason,
    forward_status: Option<StatusCode>,
    collapsed: bool,
) -> CacheStatusMember {
    let status = match reason {
        StaleReason::IfError | StaleReason::SlowOrigin | StaleReason::Suspect { asked: true } => {
            CacheStatus::Forward(ForwardReason::Stale)
        }
        StaleReason::MaxStale
        | StaleReason::OriginDown
        | StaleReason::Recovering
        | StaleReason::Revived
        | StaleReason::Suspect { asked: false }
        | StaleReason::WhileRevalidate => CacheStatus::Hit,
    };
    CacheStatusMember {
        ttl: Some(-whole_seconds(past)),
        forward_status,
        collapsed,
        detail: Some(reason.as_str()),
        stale: true,
        ..CacheStatusMember::new(status)
    }
}
