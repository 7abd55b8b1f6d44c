//! A site's origins, from the written form to the model.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;

use super::ranges;
use crate::config::faults::{Faults, quoted};
use crate::config::file::{self, Value};
use crate::config::model::{
    BodyPattern, ClientCertificate, Expectation, ExpectedField, FailbackPolicy, HostField, LatencyPolicy, OriginConfig,
    ProbeExpectation, ProbePolicy, Scheme, StatusSet,
};
use crate::config::names;
use crate::config::units::Statuses;

pub(super) fn origins(
    written: Vec<Spanned<file::Origin>>,
    regions: &BTreeSet<String>,
    region: &str,
    faults: &mut Faults,
) -> Vec<OriginConfig> {
    let ranges = ranges(&written);
    let tables = written.into_iter().map(Spanned::into_inner).zip(ranges);
    tables.filter_map(|(written, range)| origin(written, range, regions, region, faults)).collect()
}

fn origin(
    origin: file::Origin,
    range: Range<usize>,
    regions: &BTreeSet<String>,
    region: &str,
    faults: &mut Faults,
) -> Option<OriginConfig> {
    for named in origin.ranks.keys().filter(|named| !regions.is_empty() && !regions.contains(named.get_ref())) {
        let expected = format!("{} (node.regions)", one_of(regions));
        faults.add("site.origin.ranks", named.span().start, &quoted(named.get_ref()), &expected);
    }
    let (name, _) = origin_name(&origin)?;
    if origin.url.as_ref().is_some_and(|url| url.value.scheme == Scheme::Http) {
        refuse_tls_files(&origin, faults);
    }
    let url = origin.url?;
    let is_address = url.value.host.parse::<IpAddr>().is_ok();
    if let Some(srv) = origin.srv.as_ref().filter(|_| is_address) {
        let found = format!("{} for the address {}", quoted(&srv.text), quoted(&url.value.host));
        faults.add("site.origin.srv", srv.span.start, &found, "a url with a host name, or no srv");
    }
    let rank = origin
        .ranks
        .iter()
        .find(|(named, _)| named.get_ref() == region)
        .map_or(origin.rank.value, |(_, rank)| rank.value);
    Some(OriginConfig {
        name,
        scheme: url.value.scheme,
        host: url.value.host,
        port: url.value.port,
        srv: origin.srv.map(|name| name.value.0),
        rank,
        weight: origin.weight.value,
        accepts: origin.accepts.value,
        requests_max: origin.requests_max.value,
        queue_max: origin.queue_max.value,
        host_field: origin.host.value,
        client_certificate: client_certificate(origin.client_certificate, origin.client_key, range, faults),
        ca_file: origin.ca_file.map(|path| path.value),
    })
}

fn refuse_tls_files(origin: &file::Origin, faults: &mut Faults) {
    for (name, file) in [
        ("ca_file", &origin.ca_file),
        ("client_certificate", &origin.client_certificate),
        ("client_key", &origin.client_key),
    ] {
        if let Some(file) = file {
            let found = format!("{} for an http:// origin", quoted(&file.text));
            let expected = format!("an https:// url, or no {name}");
            faults.add(&format!("site.origin.{name}"), file.span.start, &found, &expected);
        }
    }
}

/// Both files or neither.
fn client_certificate(
    chain: Option<Value<PathBuf>>,
    key: Option<Value<PathBuf>>,
    range: Range<usize>,
    faults: &mut Faults,
) -> Option<ClientCertificate> {
    let (missing, beside, half) = match (chain, key) {
        (Some(chain), Some(key)) => return Some(ClientCertificate { chain: chain.value, key: key.value }),
        (Some(chain), None) => ("site.origin.client_key", "client_certificate", chain),
        (None, Some(key)) => ("site.origin.client_certificate", "client_key", key),
        (None, None) => return None,
    };
    // The missing half may have been refused.
    if !faults.touch(missing, range) {
        faults.add(missing, half.span.start, &format!("nothing beside {beside}"), "the path of a file");
    }
    None
}

/// The name of an origin and the place it is taken from; none when that was refused.
pub(super) fn origin_name(origin: &file::Origin) -> Option<(String, usize)> {
    match (&origin.name, &origin.url) {
        (Some(name), _) => Some((name.value.0.clone(), name.span.start)),
        (None, Some(url)) => Some((url.value.authority(), url.span.start)),
        (None, None) => None,
    }
}

pub(super) fn one_of(regions: &BTreeSet<String>) -> String {
    let regions: Vec<String> = regions.iter().map(|region| quoted(region)).collect();
    format!("one of {}", regions.join(", "))
}

/// Probes of an origin that wants the client's host name send the site's first one.
pub(super) fn check_first_host(site: &file::Site, faults: &mut Faults) {
    let Some(wildcard) = site.hosts.first().filter(|host| host.value.0.starts_with('*')) else { return };
    let client_host = |origin: &Spanned<file::Origin>| origin.get_ref().host.value == HostField::Client;
    if site.probe.enabled.value && site.origin.iter().any(client_host) {
        let found =
            format!("{} first, while probes of an origin with host = \"client\" need a name", quoted(&wildcard.text));
        faults.add("site.hosts", wildcard.span.start, &found, "a host name without wildcard first");
    }
}

/// Each has to expect something, and of some path that none before it takes.
pub(super) fn expectations(written: Vec<Spanned<file::Expect>>, faults: &mut Faults) -> Vec<Expectation> {
    let ranges = ranges(&written);
    let mut is_over = false;
    for (one, range) in written.iter().map(Spanned::get_ref).zip(ranges) {
        let start = range.start;
        if faults.touch("site.expect.", range) {
            continue;
        }
        if one.types.is_none() && one.statuses.is_none() && one.min.is_none() {
            faults.add("site.expect", start, "nothing expected", "at least one of types, statuses and min");
        }
        if is_over {
            let found = "an expectation behind one of every path";
            faults.add("site.expect", start, found, "the one without extensions and prefixes last");
        }
        is_over |= one.extensions.is_none() && one.prefixes.is_none();
    }
    written.into_iter().map(|one| expectation(one.into_inner())).collect()
}

fn expectation(written: file::Expect) -> Expectation {
    Expectation {
        extensions: written.extensions.into_iter().flatten().map(|extension| extension.value.0).collect(),
        prefixes: written.prefixes.into_iter().flatten().map(|prefix| prefix.value.0).collect(),
        types: written.types.into_iter().flatten().map(|media_type| media_type.value.0).collect(),
        statuses: written.statuses.as_deref().map(status_set),
        length_min: written.min.map_or(0, |min| min.value.0),
    }
}

pub(super) fn probe(probe: file::Probe, faults: &mut Faults) -> ProbePolicy {
    ProbePolicy {
        expect: probe_expectation(&probe, faults),
        lame_duck: fields(&probe.lame_duck),
        enabled: probe.enabled.value,
        path: probe.path.value.0,
        interval: probe.interval.value,
        interval_in_transition: probe.interval_in_transition.value,
        interval_down: probe.interval_down.value.max(probe.interval.value),
        timeout: probe.timeout.value,
        rise: probe.rise.value,
        fall: probe.fall.value,
    }
}

pub(super) fn failback(written: &file::Failback) -> FailbackPolicy {
    FailbackPolicy {
        mode: written.mode.value,
        probes: written.probes.value,
        hold_down: written.hold_down.value,
        dwell: written.dwell.value,
        ramp: written.ramp.value,
    }
}

pub(super) fn latency(written: &file::Latency) -> LatencyPolicy {
    LatencyPolicy {
        demote: written.demote.value,
        budget: written.budget.as_ref().map(|budget| budget.value),
        factor: written.factor.value,
    }
}

fn probe_expectation(probe: &file::Probe, faults: &mut Faults) -> ProbeExpectation {
    let body_pattern = probe.body_regex.as_ref().and_then(|written| match BodyPattern::new(&written.value.0) {
        Ok(pattern) => Some(pattern),
        Err(reason) => {
            let expected = format!("a regular expression ({reason})");
            faults.add("site.probe.body_regex", written.span.start, &quoted(&written.text), &expected);
            None
        }
    });
    ProbeExpectation {
        statuses: status_set(&probe.expect),
        latency_max: probe.latency_max.as_ref().map(|latency| latency.value),
        fields: fields(&probe.fields),
        body: probe.body.as_ref().map(|body| body.value.0.clone()),
        body_pattern,
        body_min: probe.body_min.as_ref().map_or(0, |length| length.value.0),
    }
}

fn fields(written: &[Value<names::ExpectedField>]) -> Vec<ExpectedField> {
    written.iter().map(|field| field.value.0.clone()).collect()
}

pub(super) fn status_set(statuses: &[Value<Statuses>]) -> StatusSet {
    StatusSet(statuses.iter().map(|range| (range.value.0, range.value.1)).collect())
}
