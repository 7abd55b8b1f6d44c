//! Freshness.
use std::time::Duration;
/// Stub.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FreshnessPolicy {
    /// a
    pub heuristic_percent: u32,
    /// b
    pub heuristic_max: Duration,
    /// c
    pub stale_while_revalidate: Duration,
    /// d
    pub stale_max: Duration,
    /// e
    pub stale_despite: Vec<Prohibition>,
}
/// Stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prohibition {
    /// a
    MustRevalidate,
    /// b
    NoCache,
    /// c
    ProxyRevalidate,
    /// d
    SharedMaxAge,
}
