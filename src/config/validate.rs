//! From the file as written to the model, with the rules that concern several keys.
//!
//! Every rule looks at values that are right by themselves; one that was refused before takes part in no rule.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use http::header::COOKIE;
use toml::Spanned;

use self::origins::{
    check_first_host, expectations, failback, latency, one_of, origin_name, origins, probe, status_set,
};
use super::faults::{Faults, quoted};
use super::file::{self, Value};
use super::load::Surroundings;
use super::model::{
    CacheBounds, CertificateSource, Config, Dns, Drain, FailoverPolicy, ForwardFields, Listen, Log, PlainHttp,
    PurgePolicy, ResponsePolicy, Secret, SiteConfig, StalePolicy, Timeouts,
};
use super::names::Region;
use super::units::{ErrorStatus, FromText};
use crate::semantics::cache_control::SURROGATE_CONTROL;
use crate::semantics::freshness::{FreshnessPolicy, Negative};
use crate::semantics::key::KeyPolicy;
use crate::semantics::no_fallback::NO_FALLBACK;
use crate::semantics::query::QueryPolicy;
use crate::semantics::storable::StorePolicy;
use crate::semantics::surrogate::TAG_FIELDS;
use crate::semantics::transformation::CodingPolicy;

mod origins;

/// The model of `file`; of no use when a fault was found, here or before.
pub(super) fn validate(file: file::File, surroundings: &Surroundings<'_>, faults: &mut Faults) -> Config {
    let regions = regions(&file.node, surroundings.region, faults);
    check_addresses(&file, faults);
    check_plain_http(&file, faults);
    check_names(&file.site, faults);
    at_most(faults, ("dns.ttl_min", &file.dns.ttl_min), ("dns.ttl_max", &file.dns.ttl_max));
    let admin = file.admin.listen.into_iter().map(|address| address.value).collect();
    Config {
        region: surroundings.region.to_owned(),
        name: file.node.name.value.0,
        workers: file.node.workers.value.0.unwrap_or(surroundings.cores.max(1)),
        listen: listen(file.listen, admin),
        admin_token: file.admin.token.map(|token| Secret::new(token.value.0)),
        debug_token: file.debug.token.map(|token| Secret::new(token.value.0)),
        cache: cache(&file.cache, faults),
        dns: Dns {
            servers: file.dns.servers.into_iter().map(|server| server.value.0).collect(),
            timeout: file.dns.timeout.value,
            ttl_min: file.dns.ttl_min.value,
            ttl_max: file.dns.ttl_max.value,
            allow: file.dns.allow.into_iter().map(|network| network.value.0).collect(),
        },
        state_directory: state_directory(file.state, surroundings),
        log: Log { access: file.log.access.value, events: file.log.events.value },
        drain: Drain { delay: file.node.drain_delay.value, timeout: file.node.drain_timeout.value },
        certificates: certificates(file.certificate, faults),
        sites: file.site.into_iter().map(|written| site(written, &regions, surroundings.region, faults)).collect(),
    }
}

/// The declared regions; the node's own must be one of them. None when one was refused: it may be any.
fn regions(node: &file::Node, own: &str, faults: &mut Faults) -> BTreeSet<String> {
    if faults.touch("node.regions", EVERYWHERE) {
        return BTreeSet::new();
    }
    let at = node.regions.span().start;
    let regions: BTreeSet<String> = node.regions.get_ref().iter().map(|region| region.value.0.clone()).collect();
    if own.is_empty() {
        return regions;
    }
    if Region::from_text(own).is_none() {
        let expected = "HOLDOVER_REGION to be lower-case letters, digits, \"-\" or \"_\"";
        faults.add("node.regions", at, &format!("HOLDOVER_REGION {}", quoted(own)), expected);
    } else if !regions.is_empty() && !regions.contains(own) {
        faults.add("node.regions", at, &format!("HOLDOVER_REGION {}", quoted(own)), &one_of(&regions));
    }
    regions
}

/// At least one listener, no two on one address, and a certificate for HTTPS.
fn check_addresses(file: &file::File, faults: &mut Faults) {
    let listen = &file.listen;
    let lists = [("listen.https", &listen.https), ("listen.http", &listen.http), ("admin.listen", &file.admin.listen)];
    let mut seen: Vec<(&str, SocketAddr)> = Vec::new();
    for (path, addresses) in lists {
        for address in addresses {
            if let Some((other_path, other)) = seen.iter().find(|(_, other)| overlap(*other, address.value)) {
                let expected = format!("an address apart from {} of {other_path}", quoted(&other.to_string()));
                faults.add(path, address.span.start, &quoted_or_default(address), &expected);
            }
            seen.push((path, address.value));
        }
    }
    if listen.https.is_empty() && listen.http.is_empty() && !faults.touch("listen.http", EVERYWHERE) {
        faults.add("listen", 0, "no address", "an address in listen.https or listen.http, such as \"0.0.0.0:8443\"");
    }
    let without_certificate = file.certificate.is_empty() && !faults.touch("certificate", EVERYWHERE);
    if let Some(address) = listen.https.first().filter(|_| without_certificate) {
        let found = format!("{} without a certificate", quoted(&address.text));
        let expected = "a [[certificate]], for a start with self_signed = [\"localhost\"]";
        faults.add("listen.https", address.span.start, &found, expected);
    }
}

/// Whether one of two sockets would take the other's connections. Families are apart: `[::]` is bound as IPv6 alone.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_host = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    // Port 0 is any free port.
    one.port() != 0 && one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && same_host
}

/// A redirect needs a place to redirect to.
fn check_plain_http(file: &file::File, faults: &mut Faults) {
    if file.listen.http.is_empty() || !file.listen.https.is_empty() || faults.touch("listen.https", EVERYWHERE) {
        return;
    }
    for site in &file.site {
        let plain_http = &site.plain_http;
        if plain_http.value == PlainHttp::Redirect && !faults.concern("site.plain_http", plain_http.span.start) {
            let found = format!("{} while nothing listens for HTTPS", quoted(&plain_http.text));
            faults.add("site.plain_http", plain_http.span.start, &found, "\"serve\", or an address in listen.https");
        }
    }
}

/// Site names, host names and, within a site, origin names are unique.
fn check_names(sites: &[file::Site], faults: &mut Faults) {
    let mut site_names = BTreeMap::new();
    let mut hosts = BTreeMap::new();
    for (index, site) in sites.iter().enumerate() {
        if let Some((name, at)) = site_name(site) {
            let is_written = site.name.is_some();
            let other_is_written = site_names.insert(name.clone(), is_written);
            // Two names that are both taken from `hosts` are reported there.
            if other_is_written.is_some_and(|other| other || is_written) {
                faults.add("site.name", at, &quoted(&name), "a name no other site has");
            }
        }
        for host in &site.hosts {
            let expected = match hosts.insert(host.value.0.as_str(), index) {
                None => continue,
                Some(owner) if owner == index => "every host name once",
                Some(_) => "a host name no other site has",
            };
            faults.add("site.hosts", host.span.start, &quoted(&host.text), expected);
        }
        let mut origin_names = BTreeSet::new();
        for (name, at) in site.origin.iter().filter_map(|origin| origin_name(origin.get_ref())) {
            if !origin_names.insert(name.clone()) {
                faults.add("site.origin.name", at, &quoted(&name), "a name no other origin of the site has");
            }
        }
    }
}

/// The name of a site and the place it is taken from; none when that was refused.
fn site_name(site: &file::Site) -> Option<(String, usize)> {
    match &site.name {
        Some(name) => Some((name.value.0.clone(), name.span.start)),
        None => site.hosts.first().map(|host| (host.value.0.clone(), host.span.start)),
    }
}

fn listen(listen: file::Listen, admin: Vec<SocketAddr>) -> Listen {
    Listen {
        https: listen.https.into_iter().map(|address| address.value).collect(),
        http: listen.http.into_iter().map(|address| address.value).collect(),
        admin,
        connections_max: listen.connections_max.value,
        handshake_timeout: listen.handshake_timeout.value,
        head_timeout: listen.head_timeout.value,
        idle_timeout: listen.idle_timeout.value,
        h2_idle_timeout: listen.h2_idle_timeout.value,
        write_timeout: listen.write_timeout.value,
        age_max: listen.age_max.value,
    }
}

fn cache(cache: &file::Cache, faults: &mut Faults) -> CacheBounds {
    let memory = cache.memory.value.0;
    let Some(object_max) = &cache.object_max else {
        return CacheBounds { memory, object_max: memory / OBJECT_SHARE };
    };
    if object_max.value.0 > memory && !faults.concern("cache.memory", cache.memory.span.start) {
        let expected = format!("at most cache.memory ({})", quoted_or_default(&cache.memory));
        faults.add("cache.object_max", object_max.span.start, &quoted(&object_max.text), &expected);
    }
    CacheBounds { memory, object_max: object_max.value.0 }
}

/// The one written, or the first of those that systemd made for the node (`StateDirectory=`), joined by colons.
fn state_directory(state: file::State, surroundings: &Surroundings<'_>) -> Option<PathBuf> {
    let made = || PathBuf::from_text((surroundings.environment)("STATE_DIRECTORY")?.split(':').next()?);
    state.directory.map(|directory| directory.value).or_else(made)
}

fn certificates(sources: Vec<Spanned<file::Certificate>>, faults: &mut Faults) -> Vec<CertificateSource> {
    let ranges = ranges(&sources);
    sources.into_iter().zip(ranges).filter_map(|(source, range)| certificate(source, range, faults)).collect()
}

/// From the start of each table to that of the next.
fn ranges<T>(tables: &[Spanned<T>]) -> Vec<Range<usize>> {
    let starts = tables.iter().map(|table| table.span().start);
    let ends = starts.clone().skip(1).chain([usize::MAX]);
    starts.zip(ends).map(|(start, end)| start..end).collect()
}

/// Files or names; both or neither is a fault, and so is half a pair.
fn certificate(
    source: Spanned<file::Certificate>,
    range: Range<usize>,
    faults: &mut Faults,
) -> Option<CertificateSource> {
    let at = range.start;
    let expected = "either chain and key, or self_signed";
    match source.into_inner() {
        file::Certificate { chain: Some(chain), key: Some(key), self_signed: None } => {
            Some(CertificateSource::Files { chain: chain.value, key: key.value })
        }
        file::Certificate { chain: None, key: None, self_signed: Some(names) } => {
            Some(CertificateSource::SelfSigned { names: names.into_iter().map(|name| name.value.0).collect() })
        }
        file::Certificate { self_signed: Some(_), .. } => {
            faults.add("certificate", at, "self_signed beside chain or key", expected);
            None
        }
        // The missing half may have been refused.
        _ if faults.touch("certificate.", range) => None,
        file::Certificate { chain: Some(_), .. } => {
            faults.add("certificate.key", at, "nothing", "the path of a file");
            None
        }
        file::Certificate { key: Some(_), .. } => {
            faults.add("certificate.chain", at, "nothing", "the path of a file");
            None
        }
        file::Certificate { .. } => {
            faults.add("certificate", at, "neither files nor names", expected);
            None
        }
    }
}

fn site(site: file::Site, regions: &BTreeSet<String>, region: &str, faults: &mut Faults) -> SiteConfig {
    check_times(&site, faults);
    check_first_host(&site, faults);
    check_cookies(&site, faults);
    let name = site_name(&site).map(|(name, _)| name).unwrap_or_default();
    let consumed = consumed(&site);
    let key = key(site.key);
    SiteConfig {
        name,
        plain_http: site.plain_http.value,
        error_page: site.error_page.map(|path| path.value),
        response: ResponsePolicy { consumed, x_cache: site.response.x_cache.value },
        compression: compression(site.compression, faults),
        store: StorePolicy {
            set_cookie: site.store.set_cookie.value,
            targets: site.store.targets.into_iter().map(|name| name.value.0).collect(),
            negative: negative(&site.store.negative),
        },
        freshness: FreshnessPolicy {
            heuristic_percent: site.heuristic.percent.value.0,
            heuristic_max: site.heuristic.max.value,
            stale_while_revalidate: site.stale.while_revalidate.value,
            stale_max: site.stale.max.value,
            stale_despite: site.stale.despite.into_iter().map(|word| word.value).collect(),
        },
        stale: StalePolicy {
            wait: site.stale.wait.value,
            revive: site.stale.revive.value,
            first: site.stale.first.value,
        },
        authorization: site.request.authorization.value,
        request_directives: site.request.directives.value,
        forward_fields: forward_fields(site.request, &key, faults),
        purge: PurgePolicy {
            from: site.purge.from.into_iter().map(|network| network.value.0).collect(),
            token: site.purge.token.map(|token| Secret::new(token.value.0)),
        },
        key,
        timeouts: Timeouts {
            connect: site.timeouts.connect.value,
            first_byte: site.timeouts.first_byte.value,
            body_idle: site.timeouts.body_idle.value,
            body_rate_min: site.timeouts.body_rate_min.value.0,
            body_rate_window: site.timeouts.body_rate_window.value,
            idle: site.timeouts.idle.value,
            request: site.timeouts.request.value,
        },
        failover: FailoverPolicy {
            tries: site.failover.tries.value,
            statuses: status_set(&site.failover.statuses),
            hold: site.failover.hold.value,
            no_fallback: site.failover.no_fallback.value,
            consecutive_failures: site.failover.consecutive_failures.value,
            warm: site.failover.warm.value,
            retry_budget: site.failover.retry_budget.value.0,
            hedge_budget: site.failover.hedge_budget.value.0,
        },
        expectations: expectations(site.expect, faults),
        failback: failback(&site.failback),
        latency: latency(&site.latency),
        probe: probe(site.probe, faults),
        origins: origins(site.origin, regions, region, faults),
        hosts: site.hosts.into_iter().map(|host| host.value.0).collect(),
    }
}

/// A wait inside another one is no longer than it; otherwise it would never end by itself.
fn check_times(site: &file::Site, faults: &mut Faults) {
    let request = ("site.timeouts.request", &site.timeouts.request);
    at_most(faults, ("site.stale.wait", &site.stale.wait), request);
    at_most(faults, ("site.timeouts.connect", &site.timeouts.connect), request);
    at_most(faults, ("site.timeouts.first_byte", &site.timeouts.first_byte), request);
    let interval = ("site.probe.interval", &site.probe.interval);
    at_most(faults, ("site.probe.timeout", &site.probe.timeout), interval);
    at_most(faults, ("site.probe.interval_in_transition", &site.probe.interval_in_transition), interval);
    if !site.probe.interval_down.is_default() {
        at_most(faults, interval, ("site.probe.interval_down", &site.probe.interval_down));
    }
    if let Some(latency_max) = &site.probe.latency_max {
        at_most(faults, ("site.probe.latency_max", latency_max), ("site.probe.timeout", &site.probe.timeout));
    }
}

/// Reports a quantity above its bound: at whichever of the two is written, since the other one may be a default.
fn at_most<T: PartialOrd>(
    faults: &mut Faults,
    (path, amount): (&str, &Value<T>),
    (bound_path, bound): (&str, &Value<T>),
) {
    if amount.value <= bound.value
        || faults.concern(path, amount.span.start)
        || faults.concern(bound_path, bound.span.start)
    {
        return;
    }
    if amount.is_default() {
        let expected = format!("at least {path} ({})", quoted_or_default(amount));
        faults.add(bound_path, bound.span.start, &quoted(&bound.text), &expected);
    } else {
        let expected = format!("at most {bound_path} ({})", quoted_or_default(bound));
        faults.add(path, amount.span.start, &quoted(&amount.text), &expected);
    }
}

/// Cookies in the key are all the cookies an origin gets; to pass on the others would be another request than the key says.
fn check_cookies(site: &file::Site, faults: &mut Faults) {
    let cookie = site.request.fields.iter().find(|field| field.value.0 == "cookie");
    if let Some(cookie) = cookie.filter(|_| !site.key.cookies.is_empty()) {
        let found = format!("{} beside site.key.cookies", quoted(&cookie.text));
        faults.add("site.request.fields", cookie.span.start, &found, "one of the two");
    }
}

fn key(written: file::Key) -> KeyPolicy {
    let patterns = |patterns: Vec<Value<_>>| patterns.into_iter().map(|pattern| pattern.value).collect();
    let mut key = KeyPolicy {
        query: QueryPolicy {
            keep: written.query_keep.map(patterns),
            drop: patterns(written.query_drop),
            sort: written.query_sort.value,
        },
        fields: written.fields.into_iter().map(|field| field.value.0).collect(),
        cookies: written.cookies.into_iter().map(|cookie| cookie.value.0.into()).collect(),
    };
    // Their order is no part of the policy.
    key.fields.sort_unstable_by(|this, other| this.as_str().cmp(other.as_str()));
    key.fields.dedup();
    key.cookies.sort_unstable();
    key.cookies.dedup();
    key
}

fn forward_fields(request: file::Request, key: &KeyPolicy, faults: &mut Faults) -> ForwardFields {
    let count = request.fields.len();
    if let Some(all) = request.fields.iter().find(|field| field.value.0 == "*") {
        if count > 1 {
            faults.add(
                "site.request.fields",
                all.span.start,
                "\"*\" beside other fields",
                "\"*\" alone for all fields",
            );
        }
        return ForwardFields::All;
    }
    let mut names: Vec<String> = request.fields.into_iter().map(|field| field.value.0).collect();
    names.extend(key.fields.iter().map(|name| name.as_str().to_owned()));
    if !key.cookies.is_empty() {
        names.push(COOKIE.as_str().to_owned());
    }
    ForwardFields::AllowList(names)
}

fn negative(written: &BTreeMap<Spanned<String>, Value<Duration>>) -> Negative {
    let lifetime = |(status, lifetime): (&Spanned<String>, &Value<Duration>)| {
        ErrorStatus::from_text(status.get_ref()).map(|status| (status.0, lifetime.value))
    };
    Negative(written.iter().filter_map(lifetime).collect())
}

/// The targeted fields of the site, the fields of surrogates and, where it counts, `No-Fallback`; each once.
fn consumed(site: &file::Site) -> Vec<HeaderName> {
    if site.response.forward_targeted.value {
        return Vec::new();
    }
    let mut names: Vec<_> = site.store.targets.iter().map(|name| name.value.0.clone()).collect();
    names.push(SURROGATE_CONTROL);
    names.extend(TAG_FIELDS);
    names.extend(site.failover.no_fallback.value.then_some(NO_FALLBACK));
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names
}

fn compression(compression: file::Compression, faults: &mut Faults) -> CodingPolicy {
    let max = ("site.compression.max", &compression.max);
    at_most(faults, ("site.compression.min", &compression.min), max);
    CodingPolicy {
        codings: compression.codings.into_iter().map(|coding| coding.value).collect(),
        types: compression.types.into_iter().map(|media_type| media_type.value.0).collect(),
        length_min: compression.min.value.0,
        length_max: compression.max.value.0,
    }
}

fn quoted_or_default<T>(value: &Value<T>) -> String {
    let text = quoted(&value.text);
    if value.is_default() { format!("{text} by default") } else { text }
}

const EVERYWHERE: Range<usize> = 0..usize::MAX;

/// One response takes at most this part of the cache by default.
const OBJECT_SHARE: u64 = 64;
