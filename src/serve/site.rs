//! Sites at run time: policies, origins and counters, found by host name.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::error_page::ErrorPage;
use super::survival::sampler::Sampler;
use crate::cache::compressor::Compressor;
use crate::config::model::SiteConfig;
use crate::origin::pool::Pool;
use crate::telemetry::SiteMetrics;

/// One site. Workers have [shares](Site::share) of it: what a request holds of its site is counted, and a count that several
/// processors write goes to and fro between them.
#[derive(Debug)]
pub struct Site {
    /// Unique name.
    pub name: Arc<str>,
    /// Policies.
    pub config: Arc<SiteConfig>,
    /// Served when no origin answers.
    pub error_page: Option<ErrorPage>,
    /// Origins.
    pub pool: Arc<Pool>,
    /// Counters, their labels resolved once.
    pub metrics: Arc<SiteMetrics>,
    /// What would survive an outage.
    pub sampler: Arc<Sampler>,
    /// Makes content codings of what is stored; shared by all sites.
    pub compressor: Arc<Compressor>,
    /// Room for fills: they outlive their clients, so that the number of clients is no bound on them.
    pub fills: Arc<Semaphore>,
}

impl Site {
    /// The same site for one more worker.
    #[must_use]
    pub fn share(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            config: Arc::clone(&self.config),
            error_page: self.error_page.clone(),
            pool: Arc::clone(&self.pool),
            metrics: Arc::new(self.metrics.share()),
            sampler: Arc::clone(&self.sampler),
            compressor: Arc::clone(&self.compressor),
            fills: Arc::clone(&self.fills),
        }
    }
}

/// Fills of one site under way at once. At a tenth of a second each that is 40,000 misses a second; a site that needs
/// more is being attacked, or its origins are drowning.
pub const FILLS_MAX: usize = 4096;

/// All sites by host name; immutable, published as a whole.
#[derive(Debug, Default)]
pub struct SiteTable {
    sites: Vec<Arc<Site>>,
    /// In order, and not hashed: a node has few names, and they are not for clients to choose.
    exact: BTreeMap<Box<str>, Arc<Site>>,
    /// By the part after `*.`.
    wildcard: BTreeMap<Box<str>, Arc<Site>>,
}

impl SiteTable {
    /// The table of `sites`, whose host names the configuration keeps distinct.
    pub fn new(sites: impl IntoIterator<Item = Arc<Site>>) -> Self {
        let mut table = Self::default();
        for site in sites {
            for host in &site.config.hosts {
                match host.strip_prefix("*.") {
                    Some(parent) => table.wildcard.insert(parent.into(), Arc::clone(&site)),
                    None => table.exact.insert(host.as_str().into(), Arc::clone(&site)),
                };
            }
            table.sites.push(site);
        }
        table
    }

    /// Every site once.
    pub fn sites(&self) -> &[Arc<Site>] {
        &self.sites
    }

    /// The site of a lower-case host name: by the exact name, else by the longest wildcard above it.
    pub fn find(&self, host: &str) -> Option<&Arc<Site>> {
        self.exact.get(host).or_else(|| {
            let mut rest = host;
            while let Some((_, parent)) = rest.split_once('.') {
                if let Some(site) = self.wildcard.get(parent) {
                    return Some(site);
                }
                rest = parent;
            }
            None
        })
    }
}
