//! What the node tells its operators: state changes, one line per request, metrics.

pub mod access_log;
pub mod confinement;
pub mod event;
pub mod events;
mod histogram;
mod json_line;
mod line_writer;
pub mod metrics;
pub mod process;
mod sharded;
pub mod site_metrics;
pub mod timestamp;

pub use access_log::{AccessLog, AccessRecord};
pub use event::{Event, Severity};
pub use events::Events;
pub use metrics::Metrics;
pub use site_metrics::{OriginGauges, OriginMetrics, RequestSample, SiteMetrics};
