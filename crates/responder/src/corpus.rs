//! Answers that were signed before anybody asked, at 94 bytes a certificate: signatures, with what does not follow from the issuer
//! and from who signed. The answer is put together when it is asked for.
//!
//! - `entry`: one certificate's; `table`: many, sorted, searched by guessing.
//! - `shelf`: the tables of one issuer under one hash algorithm. A revocation or a new certificate makes a small table on top;
//!   going through everything makes those below anew, one after the other.
//! - A reader takes the shelf as it is at one moment, without a lock; a writer puts another in its place.

mod entry;
mod file;
mod shelf;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use bytes::Bytes;
use http::HeaderValue;
use ingam_protocol::ocsp::{CertId, HashAlgorithm};
use ingam_protocol::{Serial, Timestamp};

use crate::issuers::Issuers;

pub(crate) use entry::{Entry, Told};
pub(crate) use file::Hash;
pub(crate) use shelf::Shelf;
pub(crate) use table::{AnswerSigner, Assembled, Owner, SignedBy, Table, TableBuilder, entry_of};

/// The tables of one issuer under one hash algorithm.
pub(crate) struct Series {
    pub(crate) owner: Arc<Owner>,
    shelf: ArcSwap<Shelf>,
    /// The thisUpdate of the oldest answer about a certificate that has not ended, milliseconds since the epoch; zero for none.
    oldest_ms: AtomicU64,
}

impl Series {
    fn new(owner: Arc<Owner>) -> Self {
        Self { owner, shelf: ArcSwap::default(), oldest_ms: AtomicU64::new(0) }
    }

    /// The tables as they are now.
    pub(crate) fn shelf(&self) -> Guard<Arc<Shelf>> {
        self.shelf.load()
    }

    fn assemble(&self, serial: &Serial) -> Option<Assembled> {
        let shelf = self.shelf();
        let (table, entry) = shelf.find(serial)?;
        table.assemble(&entry)
    }

    /// Notes how old the oldest answer is about a certificate that has not ended, as of the last pass.
    pub(crate) fn note_oldest(&self, oldest: Option<Timestamp>) {
        self.oldest_ms.store(oldest.map_or(0, Timestamp::unix_ms), Ordering::Release);
    }

    /// The same.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        Some(self.oldest_ms.load(Ordering::Acquire)).filter(|ms| *ms > 0).map(Timestamp::from_unix_ms)
    }

    /// Puts others in their place. One writer at a time: who reads first and writes then must be alone.
    pub(crate) fn replace(&self, shelf: Shelf) {
        self.shelf.store(Arc::new(shelf));
    }
}

/// All answers that were signed in advance.
pub(crate) struct Corpus {
    series: Vec<Series>,
    /// One more than the generation of statuses up to which every revocation is in it; zero while that is not known.
    settled: AtomicU64,
    /// What responders elsewhere can take.
    published: ArcSwapOption<Published>,
}

/// A manifest, and every file that it or one before it names, by its name.
pub(crate) struct Published {
    pub(crate) manifest: Bytes,
    /// Its entity tag: it is asked for often, and may be long.
    pub(crate) tag: HeaderValue,
    pub(crate) files: HashMap<String, Bytes>,
}

impl Corpus {
    pub(crate) fn new(owners: impl IntoIterator<Item = Owner>) -> Self {
        let series = owners.into_iter().map(|owner| Series::new(Arc::new(owner))).collect();
        Self { series, settled: AtomicU64::new(0), published: ArcSwapOption::empty() }
    }

    /// Empty, for these issuers and hashes.
    pub(crate) fn of(issuers: &Issuers, hashes: &BTreeSet<HashAlgorithm>) -> Self {
        Self::new(hashes.iter().flat_map(|hash| {
            issuers.iter().filter_map(|issuer| {
                Some(Owner { issuer: issuer.name.clone(), hash: *hash, form: issuer.form(*hash)? })
            })
        }))
    }

    /// Every issuer's, under every hash algorithm that is signed in advance.
    pub(crate) fn series(&self) -> &[Series] {
        &self.series
    }

    /// Whether every revocation up to this generation of statuses is in it.
    pub(crate) fn is_settled_at(&self, generation: u64) -> bool {
        self.settled.load(Ordering::Acquire) > generation
    }

    /// Whether everything was gone through, and no change was missed since.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire) > 0
    }

    /// Notes that every revocation up to this generation is in it.
    pub(crate) fn settle(&self, generation: u64) {
        self.settled.fetch_max(generation.saturating_add(1), Ordering::AcqRel);
    }

    /// Notes that changes went by unseen: nothing in it counts by itself until everything was gone through again.
    pub(crate) fn unsettle(&self) {
        self.settled.store(0, Ordering::Release);
    }

    /// What responders elsewhere can take, if anything was published.
    pub(crate) fn published(&self) -> Option<Arc<Published>> {
        self.published.load_full()
    }

    /// Gives this out from now on.
    pub(crate) fn publish(&self, published: Published) {
        self.published.store(Some(Arc::new(published)));
    }

    /// The answer about a certificate, if it was signed in advance and not withdrawn. Its time may be over.
    pub(crate) fn find(&self, cert_id: &CertId) -> Option<Assembled> {
        let serial = cert_id.serial.as_ref()?;
        let series = self
            .series
            .iter()
            .find(|series| series.owner.hash == cert_id.hash && series.owner.form.is_of(cert_id))?;
        series.assemble(serial)
    }

    /// The same by the DER of a CertID.
    pub(crate) fn find_by_der(&self, cert_id: &[u8]) -> Option<Assembled> {
        self.series.iter().find_map(|series| series.assemble(&series.owner.form.serial_in(cert_id)?))
    }
}

#[cfg(test)]
mod tests;
