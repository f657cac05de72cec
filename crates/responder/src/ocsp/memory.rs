//! The kept answers, by the DER of their CertIDs.
//!
//! Many tables, each behind a lock of its own that readers share and hold for a few instructions. A table has nothing but
//! pointers: the CertID is compared where the answer has it, which is read for the client next anyway.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashTable;

use crate::ocsp::kept::KeptAnswer;

/// How many tables there are: enough that threads seldom meet, and that clearing up one is over soon.
const TABLES: usize = 256;

/// Bounded by bytes. When a table is full, those go that nobody has asked for since it was full the last time, then others.
pub(super) struct Memory {
    tables: Vec<RwLock<Table>>,
    /// For each of them.
    bytes_max: u64,
    hasher: RandomState,
}

#[derive(Default)]
struct Table {
    answers: HashTable<Arc<KeptAnswer>>,
    bytes: u64,
}

impl Memory {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            tables: (0..TABLES).map(|_| RwLock::default()).collect(),
            bytes_max: bytes_max / TABLES as u64,
            hasher: RandomState::new(),
        }
    }

    pub(super) fn find(&self, cert_id: &[u8]) -> Option<Arc<KeptAnswer>> {
        let hash = self.hasher.hash_one(cert_id);
        let table = read(self.table(hash)?);
        let kept = table.answers.find(hash, |kept| kept.cert_id() == cert_id)?;
        kept.note_asked();
        Some(Arc::clone(kept))
    }

    /// All of them, table by table.
    pub(super) fn iter(&self) -> impl Iterator<Item = Arc<KeptAnswer>> {
        self.tables.iter().flat_map(|table| read(table).answers.iter().cloned().collect::<Vec<_>>())
    }

    /// Keeps an answer in the place of the one with its CertID.
    pub(super) fn keep(&self, kept: Arc<KeptAnswer>) {
        let hash = self.hasher.hash_one(kept.cert_id());
        let Some(table) = self.table(hash) else { return };
        let mut table = write(table);
        table.remove(hash, kept.cert_id());
        table.bytes += kept.weight();
        if table.bytes > self.bytes_max {
            // Room for more than this one, as all are looked at.
            table.clear_up(self.bytes_max - self.bytes_max / 8);
        }
        table.answers.insert_unique(hash, kept, |kept| self.hasher.hash_one(kept.cert_id()));
    }

    pub(super) fn forget(&self, cert_id: &[u8]) {
        let hash = self.hasher.hash_one(cert_id);
        if let Some(table) = self.table(hash) {
            write(table).remove(hash, cert_id);
        }
    }

    /// The table's own places go by other bits of the hash.
    fn table(&self, hash: u64) -> Option<&RwLock<Table>> {
        self.tables.get(usize::from(hash.to_be_bytes()[3]))
    }
}

impl Table {
    fn remove(&mut self, hash: u64, cert_id: &[u8]) {
        if let Ok(found) = self.answers.find_entry(hash, |kept| kept.cert_id() == cert_id) {
            let (kept, _) = found.remove();
            self.bytes = self.bytes.saturating_sub(kept.weight());
        }
    }

    /// Lets answers go until `bytes_max` are left.
    fn clear_up(&mut self, bytes_max: u64) {
        let mut bytes = self.bytes;
        for spare_asked in [true, false] {
            self.answers.retain(|kept| {
                let stays = bytes <= bytes_max || (spare_asked && kept.was_asked());
                if !stays {
                    bytes = bytes.saturating_sub(kept.weight());
                }
                stays
            });
        }
        self.bytes = bytes;
    }
}

// Nothing is left half-done in there by a panic.

fn read(table: &RwLock<Table>) -> RwLockReadGuard<'_, Table> {
    table.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(table: &RwLock<Table>) -> RwLockWriteGuard<'_, Table> {
    table.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use ingam_protocol::Timestamp;
    use ingam_protocol::ocsp::CertStatus;
    use ingam_protocol::profile::IssuerName;

    use super::*;
    use crate::ocsp::Observed;
    use crate::ocsp::kept::Period;
    use crate::statuses::Status;

    fn kept(number: u32, generation: u64) -> Arc<KeptAnswer> {
        let this_update = Timestamp::from_unix_s(1_795_255_200);
        let period = Period {
            this_update,
            refresh_at: this_update,
            old_at: this_update,
            next_update: this_update.plus(Duration::from_secs(1000)),
        };
        let status = Status { status: CertStatus::Good, not_after: this_update, generation };
        let issuer = IssuerName::try_from("e1".to_owned()).unwrap();
        let cert_id = cert_id(number);
        let body = [&b"answer about "[..], &cert_id].concat();
        let usual = HeaderValue::from_static("max-age=1");
        Arc::new(KeptAnswer::new(issuer, &cert_id, &body, &usual, period, Observed { generation, status }))
    }

    fn cert_id(number: u32) -> [u8; 4] {
        number.to_be_bytes()
    }

    #[test]
    fn what_is_kept_is_found_until_it_is_forgotten_or_replaced() {
        // Room for all of them in one table, wherever chance puts them.
        let memory = Memory::new(100 * 2000 * TABLES as u64);
        for number in 0..100 {
            memory.keep(kept(number, 1));
        }
        memory.keep(kept(7, 2));
        assert_eq!(memory.find(&cert_id(7)).unwrap().status.generation, 2);
        assert_eq!(memory.find(&cert_id(8)).unwrap().status.generation, 1);
        assert_eq!(memory.iter().count(), 100);
        memory.forget(&cert_id(7));
        memory.forget(&cert_id(1000));
        assert!(memory.find(&cert_id(7)).is_none() && memory.find(&cert_id(1000)).is_none());
        assert_eq!(memory.iter().count(), 99);
    }

    #[test]
    fn memory_is_bounded_and_what_is_asked_for_stays_longest() {
        let bytes_max = 16 << 20;
        let memory = Memory::new(bytes_max);
        let often = 0..50;
        for number in 0..40_000 {
            memory.keep(kept(number, 1));
            if number % 100 == 0 {
                often.clone().for_each(|number| drop(memory.find(&cert_id(number))));
            }
        }
        let bytes: u64 = memory.iter().map(|kept| kept.weight()).sum();
        assert!(bytes <= bytes_max && bytes > bytes_max / 2, "{bytes}");
        let there = often.filter(|number| memory.find(&cert_id(*number)).is_some()).count();
        assert_eq!(there, 50);
    }
}
