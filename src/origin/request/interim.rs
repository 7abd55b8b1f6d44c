//! Interim responses (RFC 9110 §15.2). The HTTP library reads on past them; here they are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Request;
use tokio::sync::Notify;

/// Counts the interim responses to one request.
#[derive(Clone, Debug, Default)]
pub struct Interim(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter {
    received: AtomicU32,
    exceeded: Notify,
}

impl Interim {
    /// Counts those to `request`.
    pub fn count<B>(&self, request: &mut Request<B>) {
        let counter = Arc::clone(&self.0);
        hyper::ext::on_informational(request, move |_| {
            if counter.received.fetch_add(1, Ordering::Relaxed) == INTERIM_MAX {
                counter.exceeded.notify_one();
            }
        });
    }

    /// Waits until there are more than [`INTERIM_MAX`].
    pub async fn exceeded(&self) {
        self.0.exceeded.notified().await;
    }
}

/// Interim responses before a final one: more than any exchange needs, and an end to a flood of them before the deadline.
pub const INTERIM_MAX: u32 = 8;
