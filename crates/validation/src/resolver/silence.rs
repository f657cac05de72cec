//! Which of the configured servers kept silent a moment ago. Each validation asks with a resolver of its own, which would wait
//! for a dead server anew; so much is handed on from one to the next, and it is no answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a silent server is left out, as long as there are others. It is short, as the silence may be that of a zone's own
/// servers behind it.
pub(super) const REST: Duration = Duration::from_secs(30);

/// The servers there are, each with the moment at which it last kept silent.
#[derive(Default)]
pub(super) struct Silences(Mutex<BTreeMap<SocketAddr, Option<Instant>>>);

impl Silences {
    pub(super) fn new(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(Mutex::new(servers.into_iter().map(|server| (server, None)).collect()))
    }

    /// Notes that a server gave no answer in time; of others than those there are nothing is noted.
    pub(super) fn silent(&self, server: SocketAddr) {
        if let Some(since) = self.lock().get_mut(&server) {
            tracing::info!(%server, rest_s = REST.as_secs(), "no answer in time: other servers are asked for a while");
            *since = Some(Instant::now());
        }
    }

    /// Notes that a server answers.
    pub(super) fn heard(&self, server: SocketAddr) {
        if let Some(since) = self.lock().get_mut(&server) {
            *since = None;
        }
    }

    /// Whether a server is better left alone.
    pub(super) fn is_resting(&self, server: SocketAddr) -> bool {
        self.lock().get(&server).copied().flatten().is_some_and(|since| since.elapsed() < REST)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Option<Instant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_rests_until_it_is_heard_or_its_time_is_over() {
        let [known, other] = ["192.0.2.1:53", "192.0.2.2:53"].map(|text| text.parse().unwrap());
        let silences = Silences::new([known]);
        assert!(!silences.is_resting(known));
        silences.silent(known);
        silences.silent(other);
        assert!(silences.is_resting(known) && !silences.is_resting(other));
        silences.heard(known);
        assert!(!silences.is_resting(known));
        silences.silent(known);
        tokio::time::advance(REST).await;
        assert!(!silences.is_resting(known));
    }
}
