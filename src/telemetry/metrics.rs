//! Figures for Prometheus: one declaration per metric yields the registry and the reference page.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use super::confinement::Usage;
use super::event::Event;
use super::process;
use super::site_metrics::{SiteFamilies, SiteMetrics};

/// Every metric of the node; clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Access log lines lost.
    pub access_log_dropped: Counter,
    /// Bytes of stored responses and fills in flight, as the ledger counts them.
    pub cache_bytes: Gauge,
    /// Keys evicted, or refused on arrival, to keep within the bound.
    pub cache_evictions: Counter,
    /// Variants that made room for others of their key.
    pub cache_variants_displaced: Counter,
    /// The bound of `cache_bytes`.
    pub cache_capacity_bytes: Gauge,
    /// The part of `cache_bytes` that nobody counts.
    pub cache_excess_bytes: Gauge,
    /// Stored responses.
    pub cache_objects: Gauge,
    /// Client connections open.
    pub connections: Gauge,
    /// Connections closed at once, because as many as may be were open.
    pub connections_refused: Counter,
    /// Connections closed because their client kept the node waiting.
    pub connections_stalled: Counter,
    /// Event log lines lost.
    pub event_log_dropped: Counter,
    /// Fills in flight.
    pub fills_inflight: Gauge,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: Counter,
    cgroup_limit: Labeled<Gauge, 1>,
    cgroup_used: Labeled<Gauge, 1>,
    dns_answer: Labeled<Gauge, 2>,
    dns_refresh: Labeled<Counter, 3>,
    events: Labeled<Counter, 1>,
    origin_active: Labeled<Gauge, 2>,
    origin_certificate: Labeled<Gauge, 2>,
    origin_failovers: Labeled<Counter, 3>,
    origin_up: Labeled<Gauge, 3>,
    outage_mode: Labeled<Gauge, 2>,
    panics: Counter,
    process: ProcessMetrics,
    purges: Labeled<Counter, 1>,
    purged_responses: Labeled<Counter, 1>,
    site_families: SiteFamilies,
    sites: Arc<Mutex<BTreeMap<String, Arc<SiteMetrics>>>>,
    endpoints: Arc<Mutex<BTreeSet<Endpoint>>>,
    registry: Arc<Registry>,
    descriptions: Arc<[Description]>,
}

/// What the reference page says of one metric.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// As queried, for counters with `_total`.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts, in one phrase.
    pub help: &'static str,
}

/// The `Content-Type` of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut catalog = Catalog::default();
        let build: Labeled<Gauge, 1> = catalog.labeled("holdover_build_info", &["version"], "Always 1");
        build.at([env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            access_log_dropped: catalog.plain("holdover_access_log_dropped_total", "Access log lines lost"),
            cache_bytes: catalog
                .plain("holdover_cache_bytes", "Bytes of stored responses, of fills in flight and of the excess"),
            cache_capacity_bytes: catalog.plain("holdover_cache_capacity_bytes", "The bound of holdover_cache_bytes"),
            cache_excess_bytes: catalog.plain(
                "holdover_cache_excess_bytes",
                "Bytes of the bound taken by connections, buffers and the allocator, beyond what is granted for them",
            ),
            cache_objects: catalog.plain("holdover_cache_objects", "Stored responses"),
            connections: catalog.plain("holdover_connections", "Client connections open"),
            connections_refused: catalog.plain(
                "holdover_connections_refused_total",
                "Connections closed at once, because as many as may be were open or memory was used up",
            ),
            connections_stalled: catalog.plain(
                "holdover_connections_stalled_total",
                "Connections closed because their client kept the node waiting",
            ),
            event_log_dropped: catalog.plain("holdover_event_log_dropped_total", "Event log lines lost"),
            fills_inflight: catalog.plain("holdover_fills_inflight", "Fills in flight"),
            handshakes_failed: catalog
                .plain("holdover_tls_handshakes_failed_total", "TLS handshakes that failed or took too long"),
            cache_evictions: catalog.plain(
                "holdover_cache_evictions_total",
                "Keys evicted, or refused on arrival, to keep within the bound",
            ),
            cache_variants_displaced: catalog.plain(
                "holdover_cache_variants_displaced_total",
                "Variants that made room for others of their key, which may have 8",
            ),
            cgroup_limit: catalog.labeled(
                "holdover_memory_cgroup_limit_bytes",
                &["cgroup"],
                "Lowest memory limit of a cgroup that the process lives in (memory.max or memory.high); not shown where there is none",
            ),
            cgroup_used: catalog.labeled(
                "holdover_memory_cgroup_bytes",
                &["cgroup"],
                "What is used of holdover_memory_cgroup_limit_bytes, cached files left out",
            ),
            dns_answer: catalog.labeled(
                "holdover_dns_answer_timestamp_seconds",
                &["site", "origin"],
                "When DNS last gave good addresses for the origin, in seconds since 1970",
            ),
            dns_refresh: catalog.labeled(
                "holdover_dns_refresh_total",
                &["site", "origin", "result"],
                "Lookups of origin names",
            ),
            events: catalog.labeled("holdover_events_total", &["event"], "Events, as in the event log"),
            origin_active: catalog.labeled(
                "holdover_origin_active",
                &["site", "origin"],
                "1 for the origin that the site prefers, 0 for the others",
            ),
            origin_certificate: catalog.labeled(
                "holdover_origin_certificate_not_after_timestamp_seconds",
                &["site", "origin"],
                "When the first of the certificates that the origin's addresses show expires, in seconds since 1970",
            ),
            origin_failovers: catalog.labeled(
                "holdover_origin_failovers_total",
                &["site", "from", "to"],
                "Changes of the preferred origin; `none` is no usable origin",
            ),
            origin_up: catalog.labeled(
                "holdover_origin_up",
                &["site", "origin", "address"],
                "1 while the address may get requests (all but ejected), else 0",
            ),
            outage_mode: catalog.labeled(
                "holdover_outage_mode",
                &["site", "mode"],
                "1 for the site's outage mode, 0 for the others",
            ),
            panics: catalog.plain("holdover_panics_total", "Requests that ended in a panic, each one a bug"),
            purges: catalog.labeled("holdover_purges_total", &["mode"], "Purges by operators"),
            purged_responses: catalog.labeled(
                "holdover_purged_responses_total",
                &["mode"],
                "Responses that purges by operators covered, stored or arriving",
            ),
            process: ProcessMetrics::declare(&mut catalog),
            site_families: SiteFamilies::declare(&mut catalog),
            sites: Arc::default(),
            endpoints: Arc::default(),
            registry: Arc::new(catalog.registry),
            descriptions: catalog.descriptions.into(),
        }
    }

    /// Everything in OpenMetrics text, which Prometheus and its kin read; blocks for some microseconds on `/proc`.
    pub fn encode(&self) -> String {
        self.process.refresh();
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes every character");
        text
    }

    /// All metrics in the order of their declaration, for the reference page.
    pub fn describe(&self) -> &[Description] {
        &self.descriptions
    }

    /// The metrics of one site, the same ones for the same name; to be kept, not asked for per request.
    pub fn site(&self, name: &str) -> Arc<SiteMetrics> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let site = sites
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(SiteMetrics::new(name, self.site_families.clone())));
        site.clone()
    }

    /// Shows how much of a cgroup's memory limit is used, or nothing while it has none.
    pub fn set_cgroup_memory(&self, cgroup: &Path, usage: Option<Usage>) {
        let cgroup = cgroup.to_string_lossy();
        let gauges = [&self.cgroup_used, &self.cgroup_limit];
        let Some(Usage { used_bytes, limit_bytes }) = usage else {
            return gauges.into_iter().for_each(|gauge| gauge.remove([&cgroup]));
        };
        for (gauge, bytes) in gauges.into_iter().zip([used_bytes, limit_bytes]) {
            gauge.at([&cgroup]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }

    /// Counts one lookup of an origin's name: `changed`, `same` or `failed`.
    pub fn dns_refreshed(&self, site: &str, origin: &str, result: &'static str) {
        self.dns_refresh.at([site, origin, result]).inc();
    }

    /// Shows when DNS last gave good addresses for an origin, in seconds since 1970.
    pub fn set_dns_answered(&self, site: &str, origin: &str, answered_at: u64) {
        self.dns_answer.at([site, origin]).set(i64::try_from(answered_at).unwrap_or(i64::MAX));
    }

    /// Shows when the first certificate of an origin expires, or nothing.
    pub fn set_origin_certificate_end(&self, site: &str, origin: &str, end: Option<SystemTime>) {
        let Some(end) = end else { return self.origin_certificate.remove([site, origin]) };
        let seconds = end.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.origin_certificate.at([site, origin]).set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// Shows whether an address gets requests; [`Metrics::observe`] keeps it true from then on.
    pub fn set_origin_up(&self, site: &str, origin: &str, address: SocketAddr, up: bool) {
        let endpoint = Endpoint { site: site.to_owned(), origin: origin.to_owned(), address };
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint);
        self.origin_up.at([site, origin, &address.to_string()]).set(i64::from(up));
    }

    /// Shows whether an origin is the one its site prefers; [`Metrics::observe`] keeps it true from then on.
    pub fn set_origin_active(&self, site: &str, origin: &str, active: bool) {
        self.origin_active.at([site, origin]).set(i64::from(active));
    }

    /// Shows a site's outage mode; [`Metrics::observe`] keeps it true from then on.
    pub fn set_outage_mode(&self, site: &str, mode: &'static str) {
        for known in OUTAGE_MODES {
            self.outage_mode.at([site, known]).set(i64::from(known == mode));
        }
    }

    /// Counts an event and follows the state it tells of; [`Events`](super::Events) calls it.
    pub(super) fn observe(&self, event: &Event) {
        self.events.at([event.name()]).inc();
        match event {
            Event::AddressesChanged { site, origin, removed, .. } => self.forget_addresses(site, origin, removed),
            Event::EndpointChanged { site, origin, address, to, .. } => {
                self.set_origin_up(site, origin, *address, *to != "ejected");
            }
            Event::FailedOver { site, from, to, .. } => {
                let [from_label, to_label] = [from, to].map(|origin| origin.as_deref().unwrap_or("none"));
                self.origin_failovers.at([site, from_label, to_label]).inc();
                for (origin, active) in [(from, false), (to, true)] {
                    if let Some(origin) = origin {
                        self.set_origin_active(site, origin, active);
                    }
                }
            }
            Event::Purged { mode, responses, .. } => {
                self.purges.at([mode]).inc();
                self.purged_responses.at([mode]).inc_by(*responses);
            }
            Event::OutageModeChanged { site, to, .. } => self.set_outage_mode(site, to),
            Event::RequestPanicked { .. } => {
                self.panics.inc();
            }
            Event::AcceptFailed { .. }
            | Event::AccessLogDropped { .. }
            | Event::AddressesRefused { .. }
            | Event::AddressesRemembered { .. }
            | Event::CertificateLoaded { .. }
            | Event::DrainFinished { .. }
            | Event::DrainStarted { .. }
            | Event::LameDuckBegan { .. }
            | Event::LameDuckEnded { .. }
            | Event::Listening { .. }
            | Event::MemoryShort { .. }
            | Event::MemorySuffices { .. }
            | Event::NodeStarted { .. }
            | Event::NodeStopped
            | Event::OrderRemembered { .. }
            | Event::OriginCertificateExpired { .. }
            | Event::OriginCertificateExpiring { .. }
            | Event::OriginChanged { .. }
            | Event::OriginOrdered { .. }
            | Event::OriginRamped { .. }
            | Event::ResolveFailed { .. }
            | Event::ResponsesTakenBack { .. }
            | Event::StateIgnored { .. }
            | Event::StateNotSaved { .. } => {}
        }
    }

    /// Addresses come and go with DNS; those gone must not stay as labels for ever.
    fn forget_addresses(&self, site: &str, origin: &str, removed: &[SocketAddr]) {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).retain(|endpoint| {
            let gone = endpoint.site == site && endpoint.origin == origin && removed.contains(&endpoint.address);
            if gone {
                self.origin_up.remove([site, origin, &endpoint.address.to_string()]);
            }
            !gone
        });
    }
}

/// One address of an origin that `holdover_origin_up` shows.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Endpoint {
    site: String,
    origin: String,
    address: SocketAddr,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Collects declarations.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    registry: Registry,
    descriptions: Vec<Description>,
}

impl Catalog {
    /// Declares a metric without labels.
    pub(super) fn plain<M: Metric + TypedMetric + Clone + Default>(
        &mut self,
        name: &'static str,
        help: &'static str,
    ) -> M {
        let metric = M::default();
        self.register(name, &[], help, metric.clone());
        metric
    }

    /// Declares a metric with labels; it is shown from its first use on.
    pub(super) fn labeled<M: Metric + TypedMetric + Clone + Default, const N: usize>(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str; N],
        help: &'static str,
    ) -> Labeled<M, N> {
        let family = Family::default();
        self.register(name, labels, help, family.clone());
        Labeled { labels, family }
    }

    fn register<M: Metric + TypedMetric>(
        &mut self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        metric: M,
    ) {
        // The encoder adds the suffix of counters.
        self.registry.register(name.strip_suffix("_total").unwrap_or(name), help, metric);
        self.descriptions.push(Description { name, kind: kind::<M>(), labels, help });
    }
}

fn kind<M: TypedMetric>() -> &'static str {
    use prometheus_client::metrics::MetricType;
    match M::TYPE {
        MetricType::Counter => "counter",
        MetricType::Gauge => "gauge",
        MetricType::Histogram => "histogram",
        MetricType::Info => "info",
        MetricType::Unknown => "unknown",
    }
}

/// A metric with labels.
#[derive(Clone, Debug)]
pub(super) struct Labeled<M, const N: usize> {
    labels: &'static [&'static str; N],
    family: Family<[(&'static str, Arc<str>); N], M>,
}

impl<M: Clone + Default, const N: usize> Labeled<M, N> {
    /// The metric with these label values; takes a lock and allocates, so hot paths keep what they got.
    pub(super) fn at(&self, values: [&str; N]) -> M {
        self.family.get_or_create_owned(&self.label_set(values))
    }

    /// Shows the metric with these label values no longer.
    pub(super) fn remove(&self, values: [&str; N]) {
        self.family.remove(&self.label_set(values));
    }

    fn label_set(&self, values: [&str; N]) -> [(&'static str, Arc<str>); N] {
        let mut labels = self.labels.iter();
        values.map(|value| (*labels.next().expect("as many labels as values, by type"), Arc::from(value)))
    }
}

/// The conventional `process_*` metrics.
#[derive(Clone, Debug)]
struct ProcessMetrics {
    cpu_seconds: Counter<f64, AtomicU64>,
    open_descriptors: Gauge<i64, AtomicI64>,
    resident_bytes: Gauge<i64, AtomicI64>,
    start_seconds: Gauge<f64, AtomicU64>,
}

impl ProcessMetrics {
    fn declare(catalog: &mut Catalog) -> Self {
        Self {
            cpu_seconds: catalog.plain("process_cpu_seconds_total", "User and system CPU time in seconds"),
            open_descriptors: catalog.plain("process_open_fds", "Open file descriptors"),
            resident_bytes: catalog.plain("process_resident_memory_bytes", "Resident memory in bytes"),
            start_seconds: catalog.plain("process_start_time_seconds", "Start time in seconds since 1970"),
        }
    }

    fn refresh(&self) {
        let facts = process::read();
        self.cpu_seconds.inner().store(facts.cpu_seconds.to_bits(), Ordering::Relaxed);
        self.open_descriptors.set(facts.open_descriptors.cast_signed());
        self.resident_bytes.set(facts.resident_bytes.cast_signed());
        self.start_seconds.set(facts.start_seconds);
    }
}

const OUTAGE_MODES: [&str; 4] = ["normal", "degraded", "stale-only", "recovering"];

#[cfg(test)]
mod tests;
