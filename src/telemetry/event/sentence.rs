//! Events in words.

use std::net::SocketAddr;
use std::time::Duration;

use super::Event;
use crate::telemetry::timestamp::Timestamp;

impl Event {
    /// The event in one English sentence, without the final stop.
    pub fn sentence(&self) -> String {
        match self {
            Self::AcceptFailed { address, reason } => format!("cannot accept connections on {address}: {reason}"),
            Self::AccessLogDropped { lines } => format!("the access log lost {}", counted(*lines, "line")),
            Self::AddressesChanged { site, origin, host, added, removed, ttl } => {
                let changes = [listed("added", added), listed("removed", removed)].concat().join(", ");
                let changes = if changes.is_empty() { "another order" } else { &changes };
                format!("{site}: addresses of origin {origin} ({host}): {changes}; holds {} s", ttl.as_secs())
            }
            Self::AddressesRefused { site, origin, host, refused } => {
                format!("{site}: origin {origin}: {host} resolves to addresses that are not used: {refused}")
            }
            Self::AddressesRemembered { site, origin, host, addresses, age } => {
                let (count, age) = (counted(addresses.len() as u64, "remembered address"), age.as_secs());
                format!("{site}: origin {origin} ({host}) starts with {count}, {age} s old")
            }
            Self::CertificateLoaded { names, source } => {
                format!("certificate for {} loaded from {source}", names.join(", "))
            }
            Self::DrainFinished { in_flight: 0 } => "drained, every request was finished".to_owned(),
            Self::DrainFinished { in_flight } => {
                format!("drained, {} cut off", counted(*in_flight as u64, "request"))
            }
            Self::DrainStarted { reason } => format!("draining: {reason}"),
            Self::EndpointChanged { site, origin, address, from, to, reason } => {
                format!("{site}: origin {origin} at {address} is {to}, was {from}: {reason}")
            }
            Self::FailedOver { site, from: Some(from), to: Some(to), reason } => {
                format!("{site}: origin {to} takes over from {from}: {reason}")
            }
            Self::FailedOver { site, from: None, to: Some(to), reason } => {
                format!("{site}: origin {to} takes over: {reason}")
            }
            Self::FailedOver { site, to: None, reason, .. } => format!("{site}: no usable origin is left: {reason}"),
            Self::LameDuckBegan { site, origin, address, said } => {
                format!("{site}: origin {origin} at {address} is going away: it says {said}")
            }
            Self::LameDuckEnded { site, origin, address } => {
                format!("{site}: origin {origin} at {address} no longer says that it is going away")
            }
            Self::Listening { protocol, address } => format!("listening for {protocol} on {address}"),
            Self::MemoryShort { cgroup, limit_file, used_bytes, limit_bytes, missing_bytes, bound_bytes, .. } => {
                let [used, limit, missing, bound] =
                    [used_bytes, limit_bytes, missing_bytes, bound_bytes].map(|bytes| bytes.div_ceil(1 << 20));
                let of = match (cgroup, limit_file) {
                    (Some(cgroup), Some(file)) => {
                        format!("{used} MiB used of {limit} MiB, {file} of cgroup {}", cgroup.display())
                    }
                    _ => format!("{used} MiB in RAM of {limit} MiB for a bound of {bound} MiB"),
                };
                format!("memory is short by {missing} MiB: {of}; nobody else is let in")
            }
            Self::MemorySuffices { short, refused } => {
                let refused = counted(*refused, "connection");
                format!("memory suffices again, after {} s; {refused} refused meanwhile", short.as_secs())
            }
            Self::NodeStarted { version, region, sites } => {
                let place = if region.is_empty() { String::new() } else { format!(" in region {region}") };
                format!("holdover {version} started{place} with {}", counted(*sites as u64, "site"))
            }
            Self::NodeStopped => "stopped".to_owned(),
            Self::OrderRemembered { site, origin, duty } => {
                format!("{site}: origin {origin} is {duty}, as an operator ordered before the start")
            }
            Self::OriginCertificateExpired { site, origin, address, not_after } => {
                let not_after = Timestamp(*not_after);
                format!("{site}: the certificate of origin {origin} at {address} expired at {not_after}")
            }
            Self::OriginCertificateExpiring { site, origin, address, not_after, left } => {
                let (not_after, left) = (Timestamp(*not_after), rounded(*left));
                format!("{site}: the certificate of origin {origin} at {address} expires in {left}, at {not_after}")
            }
            Self::OriginChanged { site, origin, rank, from, to, reason } => {
                format!("{site}: origin {origin} (rank {rank}) is {to}, was {from}: {reason}")
            }
            Self::OriginOrdered { site, origin, order, by } => {
                format!("{site}: {by} orders to {order} origin {origin}")
            }
            Self::OriginRamped { site, origin, percent } => {
                format!("{site}: origin {origin} takes {percent} % of the URLs")
            }
            Self::OutageModeChanged { site, from, to, reason } => {
                format!("{site}: outage mode is {to}, was {from}: {reason}")
            }
            Self::Purged { sequence, mode, selectors, responses, by } => {
                let responses = counted(*responses, "response");
                format!("{mode} purge {sequence} by {by} of {}: {responses}", selectors.join(", "))
            }
            Self::RequestPanicked { site, message } => format!("{site}: a request panicked: {message}"),
            Self::ResolveFailed { site, origin, host, reason, kept } => {
                let kept = counted(*kept as u64, "last good address");
                format!("{site}: origin {origin}: {host} does not resolve: {reason}; {kept} in use")
            }
            Self::ResponsesTakenBack { site, origin, address, responses, since, reason } => {
                let (responses, since) = (counted(*responses, "response"), since.as_secs());
                format!(
                    "{site}: {responses} of the last {since} s from origin {origin} at {address} taken back: {reason}"
                )
            }
            Self::StateIgnored { what, reason } => format!("{what} saved earlier: not used: {reason}"),
            Self::StateNotSaved { path, reason } => format!("cannot save {}: {reason}", path.display()),
        }
    }
}

/// In days, or hours where that is less than two.
pub(super) fn rounded(duration: Duration) -> String {
    let hours = duration.as_secs().div_ceil(60 * 60);
    if hours < 48 { counted(hours, "hour") } else { counted((hours + 12) / 24, "day") }
}

fn counted(count: u64, noun: &str) -> String {
    match (count, noun.ends_with('s')) {
        (1, _) => format!("1 {noun}"),
        (_, true) => format!("{count} {noun}es"),
        (_, false) => format!("{count} {noun}s"),
    }
}

fn listed(verb: &str, addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(|address| format!("{verb} {address}")).collect()
}
