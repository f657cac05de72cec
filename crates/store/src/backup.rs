//! Backups of a CA that runs, and what is made of them.
//!
//! ```text
//! committer, between two transactions: snapshot of the store, how far the journal goes
//!    │ the CA goes on
//!    ▼
//! rows of the snapshot, journal up to there, files of the state folder ──age──▶ FOLDER/objects/SHA-256.age
//!                                              list of them, signed, chained ──▶ FOLDER/sets/NNNNNN.json
//! ```
//!
//! Everything is encrypted for a recipient whose identity is not at the CA. What an earlier set of the same folder has is not
//! written again: objects are named by what is in them. Contacts' keys and the log of OCSP requests are for the caller to
//! leave out.
//!
//! - `age`: the format of files, which other programs open, too. `manifest`: sets, their signatures and their chain.
//! - [`make`] writes a set, [`restore`] makes a state folder of one, [`not_revoked`] says what such a folder lacks, [`prune`] lets
//!   old ones go.

mod age;
mod compare;
mod make;
mod manifest;
mod prune;
mod restore;
mod text;

pub use age::{Decrypting, Encrypting, Identity, Recipient};
pub use compare::{Missing, Revocation, not_revoked};
pub use make::{BackupPlan, Made, make};
pub use manifest::SigningKey;
pub use prune::{Pruned, prune};
pub use restore::{LOG_BEFORE_RESTORE, RestorePlan, Restored, refuse_half_restored, restore};

use ingam_journal::{SegmentInfo, Still};

use crate::engine;
use crate::error::Error;
use crate::open::Store;

/// The rows of the store, as a file of a set.
const EXPORT: &str = "store.export";

/// The first bytes of such a file.
const EXPORT_MAGIC: &[u8; 16] = b"ingam export 1\0\0";

/// The store at one moment, and how far the journal went then: what was answered before is in one of both, nothing half.
pub struct Snapshot {
    rows: Box<dyn engine::Snapshot>,
    segments: Vec<SegmentInfo>,
}

impl Snapshot {
    /// How far the journal went.
    pub fn segments(&self) -> &[SegmentInfo] {
        &self.segments
    }
}

impl Store {
    /// The store as it is between two transactions. It costs no pause; the file of the store may grow while it is held.
    ///
    /// # Errors
    /// [`Error`] if the engine fails, or offers none.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let (engine, journal) = (self.engine_shared(), self.journal_arc().clone());
        self.run(move |_| {
            // The archiver takes records out of the outbox by transactions, too: none falls between these two.
            let rows = engine.snapshot().map_err(|cause| Error::Engine("taking a snapshot", cause))?;
            Ok(Snapshot { rows, segments: journal.segments() })
        })
        .await
    }

    /// Keeps the files of the journal's closed segments as they are: to be held from before a snapshot until they are copied.
    pub fn keep_still(&self) -> Still<'_> {
        self.journal_arc().keep_still()
    }
}
