//! Complaints that could come with every request, written once a second at most.

use std::sync::atomic::{AtomicU64, Ordering};

use ingam_protocol::Timestamp;

/// Lets one complaint a second through.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    /// The second of the last one, plus one; zero means that there was none.
    last: AtomicU64,
}

impl Seldom {
    /// Whether this complaint may be written now.
    pub(crate) fn may_speak(&self, now: Timestamp) -> bool {
        let second = now.unix_s() + 1;
        self.last.swap(second, Ordering::Relaxed) != second
    }
}
