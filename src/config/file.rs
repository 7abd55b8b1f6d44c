//! The file as written: the only types that are deserialized. Defaults are filled in before, from `keys`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use toml::Spanned;

use super::fields::{CookieName, KeyField, MediaType, RequestField, TargetedField};
use super::model::{Accepts, Authorization, FailbackMode, FirstRemedy, HostField, LogTarget, PlainHttp};
use super::names::{
    ExpectedField, Extension, HostPattern, Name, NameServer, Network, OriginUrl, PathPrefix, ProbePath, ProbeText,
    Region, ServiceName, Token,
};
use super::units::{Bytes, FromText, Percent, Statuses, Workers};
use crate::semantics::cache_control::Honored;
use crate::semantics::content_coding::ContentCoding;
use crate::semantics::freshness::Prohibition;
use crate::semantics::query::ParameterPattern;
use crate::semantics::storable::SetCookie;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) node: Node,
    pub(super) listen: Listen,
    pub(super) admin: Admin,
    pub(super) debug: Debug,
    pub(super) cache: Cache,
    pub(super) dns: Dns,
    pub(super) state: State,
    pub(super) log: Log,
    #[serde(default)]
    pub(super) certificate: Vec<Spanned<Certificate>>,
    #[serde(default)]
    pub(super) site: Vec<Site>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) name: Value<Name>,
    pub(super) workers: Value<Workers>,
    pub(super) regions: Spanned<Vec<Value<Region>>>,
    pub(super) drain_delay: Value<Duration>,
    pub(super) drain_timeout: Value<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    #[serde(default)]
    pub(super) https: Vec<Value<SocketAddr>>,
    #[serde(default)]
    pub(super) http: Vec<Value<SocketAddr>>,
    pub(super) connections_max: Value<usize>,
    pub(super) handshake_timeout: Value<Duration>,
    pub(super) head_timeout: Value<Duration>,
    pub(super) idle_timeout: Value<Duration>,
    pub(super) h2_idle_timeout: Value<Duration>,
    pub(super) write_timeout: Value<Duration>,
    pub(super) age_max: Value<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) listen: Vec<Value<SocketAddr>>,
    pub(super) token: Option<Value<Token>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Debug {
    pub(super) token: Option<Value<Token>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cache {
    pub(super) memory: Value<Bytes>,
    pub(super) object_max: Option<Value<Bytes>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dns {
    pub(super) servers: Vec<Value<NameServer>>,
    pub(super) timeout: Value<Duration>,
    pub(super) ttl_min: Value<Duration>,
    pub(super) ttl_max: Value<Duration>,
    pub(super) allow: Vec<Value<Network>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) directory: Option<Value<PathBuf>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) access: Value<LogTarget>,
    pub(super) events: Value<LogTarget>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    pub(super) chain: Option<Value<PathBuf>>,
    pub(super) key: Option<Value<PathBuf>>,
    pub(super) self_signed: Option<Vec<Value<HostPattern>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    pub(super) name: Option<Value<Name>>,
    #[serde(default)]
    pub(super) hosts: Vec<Value<HostPattern>>,
    pub(super) plain_http: Value<PlainHttp>,
    pub(super) error_page: Option<Value<PathBuf>>,
    pub(super) key: Key,
    pub(super) store: Store,
    pub(super) stale: Stale,
    pub(super) heuristic: Heuristic,
    pub(super) request: Request,
    pub(super) purge: Purge,
    pub(super) response: Response,
    pub(super) compression: Compression,
    pub(super) timeouts: Timeouts,
    pub(super) failover: Failover,
    #[serde(default)]
    pub(super) expect: Vec<Spanned<Expect>>,
    pub(super) failback: Failback,
    pub(super) latency: Latency,
    pub(super) probe: Probe,
    #[serde(default)]
    pub(super) origin: Vec<Spanned<Origin>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) query_keep: Option<Vec<Value<ParameterPattern>>>,
    pub(super) query_drop: Vec<Value<ParameterPattern>>,
    pub(super) query_sort: Value<bool>,
    pub(super) fields: Vec<Value<KeyField>>,
    pub(super) cookies: Vec<Value<CookieName>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub(super) set_cookie: Value<SetCookie>,
    pub(super) targets: Vec<Value<TargetedField>>,
    pub(super) negative: BTreeMap<Spanned<String>, Value<Duration>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stale {
    pub(super) max: Value<Duration>,
    pub(super) while_revalidate: Value<Duration>,
    pub(super) wait: Value<Duration>,
    pub(super) revive: Value<Duration>,
    pub(super) first: Value<FirstRemedy>,
    pub(super) despite: Vec<Value<Prohibition>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Heuristic {
    pub(super) percent: Value<Percent>,
    pub(super) max: Value<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) fields: Vec<Value<RequestField>>,
    pub(super) directives: Value<Honored>,
    pub(super) authorization: Value<Authorization>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Purge {
    pub(super) from: Vec<Value<Network>>,
    pub(super) token: Option<Value<Token>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Response {
    pub(super) forward_targeted: Value<bool>,
    pub(super) x_cache: Value<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compression {
    pub(super) codings: Vec<Value<ContentCoding>>,
    pub(super) types: Vec<Value<MediaType>>,
    pub(super) min: Value<Bytes>,
    pub(super) max: Value<Bytes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Timeouts {
    pub(super) connect: Value<Duration>,
    pub(super) first_byte: Value<Duration>,
    pub(super) body_idle: Value<Duration>,
    pub(super) body_rate_min: Value<Bytes>,
    pub(super) body_rate_window: Value<Duration>,
    pub(super) idle: Value<Duration>,
    pub(super) request: Value<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failover {
    pub(super) tries: Value<usize>,
    pub(super) statuses: Vec<Value<Statuses>>,
    pub(super) hold: Value<Duration>,
    pub(super) no_fallback: Value<bool>,
    pub(super) consecutive_failures: Value<u32>,
    pub(super) warm: Value<usize>,
    pub(super) retry_budget: Value<Percent>,
    pub(super) hedge_budget: Value<Percent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) extensions: Option<Vec<Value<Extension>>>,
    pub(super) prefixes: Option<Vec<Value<PathPrefix>>>,
    pub(super) types: Option<Vec<Value<MediaType>>>,
    pub(super) statuses: Option<Vec<Value<Statuses>>>,
    pub(super) min: Option<Value<Bytes>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failback {
    pub(super) probes: Value<u32>,
    pub(super) hold_down: Value<Duration>,
    pub(super) dwell: Value<Duration>,
    pub(super) ramp: Value<Duration>,
    pub(super) mode: Value<FailbackMode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Latency {
    pub(super) demote: Value<bool>,
    pub(super) budget: Option<Value<Duration>>,
    pub(super) factor: Value<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    pub(super) enabled: Value<bool>,
    pub(super) path: Value<ProbePath>,
    pub(super) interval: Value<Duration>,
    pub(super) interval_in_transition: Value<Duration>,
    pub(super) interval_down: Value<Duration>,
    pub(super) timeout: Value<Duration>,
    pub(super) expect: Vec<Value<Statuses>>,
    pub(super) latency_max: Option<Value<Duration>>,
    pub(super) fields: Vec<Value<ExpectedField>>,
    pub(super) body: Option<Value<ProbeText>>,
    pub(super) body_regex: Option<Value<ProbeText>>,
    pub(super) body_min: Option<Value<Bytes>>,
    pub(super) lame_duck: Vec<Value<ExpectedField>>,
    pub(super) rise: Value<u32>,
    pub(super) fall: Value<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    pub(super) name: Option<Value<Name>>,
    pub(super) url: Option<Value<OriginUrl>>,
    pub(super) srv: Option<Value<ServiceName>>,
    pub(super) rank: Value<u32>,
    #[serde(default)]
    pub(super) ranks: BTreeMap<Spanned<String>, Value<u32>>,
    pub(super) weight: Value<u32>,
    pub(super) accepts: Value<Accepts>,
    pub(super) requests_max: Value<usize>,
    pub(super) queue_max: Value<usize>,
    pub(super) host: Value<HostField>,
    pub(super) ca_file: Option<Value<PathBuf>>,
    pub(super) client_certificate: Option<Value<PathBuf>>,
    pub(super) client_key: Option<Value<PathBuf>>,
}

/// A value and where it stands.
pub(super) struct Value<T> {
    pub(super) value: T,
    /// As written, variables replaced.
    pub(super) text: String,
    /// Byte range in the file; empty when the value is the default.
    pub(super) span: Range<usize>,
}

impl<T> Value<T> {
    pub(super) fn is_default(&self) -> bool {
        self.span.is_empty()
    }
}

impl<'de, T: FromText> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Scalar>::deserialize(deserializer)?;
        let span = spanned.span();
        let text = spanned.into_inner().0;
        let value = T::from_text(&text).ok_or_else(|| D::Error::custom("a value that was not checked"))?;
        Ok(Self { value, text, span })
    }
}

/// Any single value, as text; numbers in decimal.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("text, a number, true or false")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}
