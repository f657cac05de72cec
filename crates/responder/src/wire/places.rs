//! How many connections there may be at once, whoever serves them.

use std::sync::Arc;

use metrics::{Counter, Gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of a listener, and its metrics.
#[derive(Clone)]
pub struct Places {
    free: Arc<Semaphore>,
    all: u32,
    open: Gauge,
    pub(super) waits: Counter,
    pub(super) failures: Counter,
    /// Trusted proxies that did not tell for whom they came.
    pub(super) unsaid: Counter,
}

/// The place of one connection, for as long as it is open.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    open: Gauge,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

impl Places {
    /// So many places of the listener with this name in metrics.
    pub fn new(listener: &'static str, connections_max: usize) -> Self {
        let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
        metrics::gauge!("ingam_connections_max", "listener" => listener).set(f64::from(all));
        Self {
            free: Arc::new(Semaphore::new(connections_max)),
            all,
            open: metrics::gauge!("ingam_connections", "listener" => listener),
            waits: metrics::counter!("ingam_accept_waits_total", "listener" => listener),
            failures: metrics::counter!("ingam_accept_failures_total", "listener" => listener),
            unsaid: metrics::counter!("ingam_proxy_refusals_total", "listener" => listener),
        }
    }

    /// A place, if one is free.
    pub(super) fn take(&self) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        self.open.increment(1.0);
        Some(Place { _permit: permit, open: self.open.clone() })
    }

    /// Comes back when every connection has ended.
    pub(super) async fn until_empty(&self) {
        let _ = self.free.acquire_many(self.all).await;
    }
}
