//! One request being answered, and the requests to origins it leads to.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};

use super::judge::Fallback;
use super::site::Site;
use crate::config::model::{FirstRemedy, ForwardFields};
use crate::origin::request::connect::RequestBody;
use crate::origin::request::fetch::Forward;
use crate::semantics::cache_control::{Honored, RequestDirectives};
use crate::semantics::forwarding::Signature;
use crate::semantics::key::{CacheKey, cache_key};
use crate::semantics::presence::Presence;
use crate::semantics::target::Target;
use crate::semantics::{coded_tag, forwarding, range};

/// A request that was routed and admitted.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The site it is for.
    pub site: Arc<Site>,
    /// The client's address.
    pub client: IpAddr,
    /// When its head had arrived.
    pub arrival: Instant,
    /// Its method.
    pub method: Method,
    /// Its protocol version.
    pub version: Version,
    /// Host and canonical path.
    pub target: Target,
    /// Its fields.
    pub headers: HeaderMap,
    /// Which of them there may be.
    pub present: Presence,
    /// What they ask of a cache, as far as the site lets that count.
    pub asked: RequestDirectives,
}

impl Exchange {
    /// The key of a request that the cache has a part in. What the site's policy leaves out of the key is out of the
    /// request from here on, so that no origin sees it.
    pub fn reduce_to_key(&mut self) -> CacheKey {
        let policy = &self.site.config.key;
        if self.present.connection {
            forwarding::remove_connection_options(&mut self.headers);
        }
        policy.normalize(&mut self.headers);
        policy.reduce(&mut self.target);
        policy.key(&self.target, &self.headers)
    }

    /// The target URI, whatever the site's keys are made of.
    pub fn url(&self) -> CacheKey {
        cache_key(&self.target)
    }

    /// Whether what an origin answers may be about fields that are outside the key, and so for this client alone.
    pub fn is_extraordinary(&self) -> bool {
        let is_sent = |name: &str| match &self.site.config.forward_fields {
            ForwardFields::All => true,
            ForwardFields::AllowList(more) => {
                forwarding::FORWARDED.contains(&name) || more.iter().any(|allowed| allowed == name)
            }
        };
        !forwarding::are_plain(&self.headers, is_sent)
    }

    /// The request for a response that may be stored: with only the fields that the site lets through, so that no field
    /// outside the key can change the answer, and GET unless it is for one client. `conditions` are those of a
    /// validation. It bears this node's `signature`.
    pub fn cacheable_forward(
        &self,
        signature: &Signature,
        conditions: Vec<(HeaderName, HeaderValue)>,
        fallback: Fallback,
        audience: Audience,
    ) -> Forward {
        let mut headers = match &self.site.config.forward_fields {
            ForwardFields::All => {
                let mut headers = self.headers.clone();
                headers.reserve(FIELDS_ADDED);
                forwarding::remove_hop_by_hop(&mut headers);
                forwarding::remove_conditions_and_range(&mut headers);
                remove_claims(&mut headers);
                forwarding::normalize(&mut headers);
                headers
            }
            ForwardFields::AllowList(more) => forwarding::only(&self.headers, more, FIELDS_ADDED),
        };
        if self.site.config.request_directives == Honored::All {
            // "A proxy, whether or not it implements a cache, MUST pass cache directives through in forwarded messages"
            // (RFC 9111 §5.2). They are written anew, since what a client writes is not in the key.
            headers.remove(header::PRAGMA);
            headers.remove(header::CACHE_CONTROL);
            headers.extend(self.asked.forwarded().map(|value| (header::CACHE_CONTROL, value)));
        }
        if let Some(credentials) = self.headers.get(header::AUTHORIZATION) {
            headers.insert(header::AUTHORIZATION, credentials.clone());
        }
        headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
        if audience == Audience::OneClient {
            // "the If-Match and If-Unmodified-Since conditional header fields are not applicable to a cache" (RFC 9111
            // §4.3.2): the origin has to see them.
            for name in [header::IF_MATCH, header::IF_UNMODIFIED_SINCE] {
                headers.extend(self.headers.get_all(&name).iter().map(|value| (name.clone(), value.clone())));
            }
            if let Some(range) = self.forwarded_range() {
                headers.insert(header::RANGE, range.clone());
                headers.extend(self.headers.get(header::IF_RANGE).map(|value| (header::IF_RANGE, value.clone())));
            }
            coded_tag::uncode_conditions(&mut headers);
        }
        headers.extend(conditions);
        let tries = match self.site.config.stale.first {
            FirstRemedy::Stale if matches!(fallback, Fallback::Fresh { .. } | Fallback::Stale { .. }) => 1,
            FirstRemedy::Stale | FirstRemedy::Origin => self.site.config.failover.tries,
        };
        Forward { tries, ..self.forward(signature, self.method_for(audience), headers, None) }
    }

    /// The method of a request for `audience`: HEAD brings nothing that could be stored.
    pub fn method_for(&self, audience: Audience) -> Method {
        match audience {
            Audience::Everybody => Method::GET,
            Audience::OneClient => self.method.clone(),
        }
    }

    /// Whether it states conditions that are for an origin to judge, so that a cache passes them on (RFC 9111 §4.3.2).
    pub fn has_conditions_for_an_origin(&self) -> bool {
        [header::IF_MATCH, header::IF_UNMODIFIED_SINCE].iter().any(|name| self.headers.contains_key(name))
    }

    /// By what the client wants to know whether what it has is current, with the tags that an origin knows.
    pub fn own_conditions(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut own = HeaderMap::new();
        for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
            own.extend(self.headers.get_all(&name).iter().map(|value| (name.clone(), value.clone())));
        }
        coded_tag::uncode_conditions(&mut own);
        own.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The Range field, where an origin may be asked for the part that it names.
    pub fn forwarded_range(&self) -> Option<&HeaderValue> {
        let is_sound = self.method == Method::GET && range::is_sound(&self.headers);
        self.headers.get(header::RANGE).filter(|_| is_sound)
    }

    /// The client's own request, passed on with every end-to-end field and this node's `signature`.
    pub fn own_forward(&self, signature: &Signature, body: Option<RequestBody>) -> Forward {
        let mut headers = self.headers.clone();
        forwarding::remove_hop_by_hop(&mut headers);
        remove_claims(&mut headers);
        coded_tag::uncode_conditions(&mut headers);
        if self.method == Method::OPTIONS {
            forwarding::count_forward(&mut headers);
        }
        headers.insert(FORWARDED_FOR, HeaderValue::try_from(self.client.to_string()).unwrap_or(EMPTY));
        self.forward(signature, self.method.clone(), headers, body)
    }

    fn forward(
        &self,
        signature: &Signature,
        method: Method,
        mut headers: HeaderMap,
        body: Option<RequestBody>,
    ) -> Forward {
        headers.remove(header::HOST);
        headers.remove(header::EXPECT);
        // Both are in the key, so that an answer may depend on them.
        let authority = self.target.authority();
        headers.insert(FORWARDED_HOST, HeaderValue::try_from(authority).unwrap_or(EMPTY));
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(self.target.scheme()));
        forwarding::join_cookies(&mut headers);
        signature.append_via(&mut headers, self.version);
        signature.append_cdn_loop(&mut headers);
        Forward {
            method,
            target: Uri::try_from(self.target.path_and_query()).expect("the gate lets only URI characters through"),
            authority: authority.into(),
            headers,
            body,
            tries: self.site.config.failover.tries,
            deadline: self.deadline(),
            last_resort: None,
            excluded: None,
            continues: None,
            wary: false,
            awaited: true,
        }
    }

    /// Its fields, if there is a Range among them.
    pub fn ranged(&self) -> Option<&HeaderMap> {
        self.present.range.then_some(&self.headers)
    }

    /// Whether it carries credentials; only where the site lets the cache have a part in such requests.
    pub fn is_authorized(&self) -> bool {
        self.headers.contains_key(header::AUTHORIZATION)
    }

    /// When the client must have been answered.
    pub fn deadline(&self) -> Instant {
        self.arrival + self.site.config.timeouts.request
    }
}

/// Removes what a client says about itself that only an intermediary before us could know, and there is none.
fn remove_claims(headers: &mut HeaderMap) {
    for name in [header::FORWARDED, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO] {
        headers.remove(name);
    }
}

/// Whom an answer that may be stored is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever wants it, now and later: the whole response is fetched, whatever this client wants of it or has of it, so
    /// that ranges and preconditions can be answered from it here.
    Everybody,
    /// This client alone: what it wants and has is for the origin to consider, which may save the body.
    OneClient,
}

/// Fields that a request to an origin has more than the client's, unless they are conditions; one of them is `Host`.
const FIELDS_ADDED: usize = 6;

const EMPTY: HeaderValue = HeaderValue::from_static("");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("holdover/", env!("CARGO_PKG_VERSION")));
