//! One signature for all who ask for the same at the same time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ingam_protocol::ocsp::ErrorStatus;
use tokio::sync::watch;

use crate::ocsp::kept::KeptAnswer;

/// What a flight brings.
type Outcome = Result<Arc<KeptAnswer>, ErrorStatus>;
/// Where those who wait see it; `None` until then.
type Waiting = watch::Receiver<Option<Outcome>>;

/// The signatures under way, by the DER of their CertIDs.
#[derive(Default)]
pub(super) struct Flights {
    under_way: Arc<Mutex<HashMap<Bytes, Waiting>>>,
}

/// What somebody who asks gets.
pub(super) enum Seat {
    /// A flight that landed just now has brought this.
    Landed(Arc<KeptAnswer>),
    /// Wait with the others.
    Passenger(Waiting),
    /// Sign, then call [`Flights::land`]; and wait too.
    Pilot(Landing, Waiting),
    /// Too many are under way.
    Full,
}

/// The duty to end a flight. Dropping it ends the flight without an outcome, so that a panic leaves nobody waiting.
pub(super) struct Landing {
    cert_id: Bytes,
    under_way: Arc<Mutex<HashMap<Bytes, Waiting>>>,
    sender: watch::Sender<Option<Outcome>>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.cert_id);
    }
}

impl Flights {
    /// Joins the flight for this CertID, or starts it if there is none and fewer than `flights_max` are under way.
    /// `landed` looks for what a flight that is over by now may have brought.
    pub(super) fn board(
        &self,
        cert_id: &[u8],
        flights_max: usize,
        landed: impl FnOnce() -> Option<Arc<KeptAnswer>>,
    ) -> Seat {
        let mut under_way = lock(&self.under_way);
        let is_full = under_way.len() >= flights_max;
        match under_way.entry(Bytes::copy_from_slice(cert_id)) {
            Entry::Occupied(waiting) => Seat::Passenger(waiting.get().clone()),
            Entry::Vacant(place) => {
                // Flights keep what they bring before they are removed from here, so this cannot miss it.
                if let Some(kept) = landed() {
                    return Seat::Landed(kept);
                }
                if is_full {
                    return Seat::Full;
                }
                let (sender, waiting) = watch::channel(None);
                let cert_id = place.key().clone();
                place.insert(waiting.clone());
                Seat::Pilot(Landing { cert_id, under_way: Arc::clone(&self.under_way), sender }, waiting)
            }
        }
    }

    /// Ends a flight: whoever asks from now on starts a new one, whoever waits gets the outcome.
    pub(super) fn land(&self, landing: Landing, outcome: Outcome) {
        let sender = landing.sender.clone();
        drop(landing);
        sender.send_replace(Some(outcome));
    }
}

fn lock(under_way: &Mutex<HashMap<Bytes, Waiting>>) -> MutexGuard<'_, HashMap<Bytes, Waiting>> {
    // Nothing is left half-done in there by a panic.
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}
