//! Room on the disks: nothing new is begun once it is nearly gone, while there is still enough to end what is in hand and to
//! revoke. A disk that is full altogether would stop that, too, until the engine is opened again.

use std::sync::Arc;

use ingam_journal::files::Files;

use crate::error::Error;
use crate::open::Store;
use crate::transaction::Transaction;

/// With less than this on any of its disks, the store begins nothing new.
const RESERVE_BYTES: u64 = 64 << 20;

/// What a segment takes at most while it is written anew.
const SEGMENT_BYTES: u64 = 128 << 20;

/// Whether one of the folders lies on a disk without enough room. One that cannot be asked is for its user to complain
/// about.
pub(crate) fn is_short(folders: &[Arc<dyn Files>]) -> bool {
    has_less(folders, RESERVE_BYTES)
}

/// Whether there is too little for work that can wait.
pub(crate) fn is_crowded(folders: &[Arc<dyn Files>]) -> bool {
    has_less(folders, RESERVE_BYTES + SEGMENT_BYTES)
}

fn has_less(folders: &[Arc<dyn Files>], bytes: u64) -> bool {
    let free = |folder: &Arc<dyn Files>| folder.free_bytes().ok().flatten();
    folders.iter().filter_map(free).any(|free| free < bytes)
}

impl Store {
    /// Runs a transaction that begins something: an account, an order, an authorization, an issuance.
    pub(crate) async fn run_new<T, F>(&self, body: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        if self.condition().short_of_room {
            return Err(Error::Unavailable("there is no room on the disk for anything new"));
        }
        self.run(body).await
    }
}

#[cfg(test)]
mod tests {
    use ingam_journal::simulated::SimulatedDisk;

    use super::*;

    #[test]
    fn one_disk_with_too_little_is_enough() {
        let (roomy, other) = (SimulatedDisk::new(), SimulatedDisk::new());
        let folders: [Arc<dyn Files>; 2] = [Arc::new(roomy), Arc::new(other.clone())];
        assert!(!is_short(&folders), "a disk that does not tell is none");
        other.set_free(Some(RESERVE_BYTES));
        assert!(!is_short(&folders));
        other.set_free(Some(RESERVE_BYTES - 1));
        assert!(is_short(&folders));
    }
}
