//! A CA's store with many certificates, and its signer, for benchmarks. The store's tables are filled from below, as millions of orders
//! would take hours.

#![allow(dead_code, reason = "no benchmark needs all of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::profile::IssuerName;
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::{Serial, Shard, Timestamp};
use ingam_signer::hierarchy::{IssuerPlan, Plan};
use ingam_signer::{Hierarchy, IssuerUrls, KeyKind, LocalSigner};
use ingam_store::engine::redb::{RedbConfig, RedbEngine};
use ingam_store::engine::{Batch, Durability, Engine, Table};
use ingam_store::{Store, StoreProcess};

const STATUSES: Table = Table::new("statuses");
const REVOKED: Table = Table::new("revoked");
/// How many certificates are put into the store at once.
const BATCH: u64 = 100_000;

pub(crate) fn start() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

pub(crate) fn issuer() -> IssuerName {
    IssuerName::try_from("ecdsa".to_owned()).unwrap()
}

/// Puts certificates into the store, all of them revoked or none, in the order of their keys: a shard at a time.
pub(crate) fn fill(folder: &Path, certificates: u64, shards: u16, are_revoked: bool) {
    // The store itself makes what else it needs.
    close(open(folder));
    let engine = RedbEngine::open(&folder.join("store.redb"), RedbConfig::default()).unwrap();
    let random = SeededRandom::new(1);
    for shard in (0..shards).map(Shard) {
        let mut left = certificates / u64::from(shards);
        while left > 0 {
            let count = left.min(BATCH);
            let mut batch = Batch::new();
            for _ in 0..count {
                let serial = Serial::in_shard(&random, shard);
                let key = [issuer().as_str().as_bytes(), &[0], serial.as_bytes()].concat();
                batch.put(STATUSES, key.clone(), row(are_revoked));
                if are_revoked {
                    batch.put(REVOKED, key, row(are_revoked));
                }
            }
            engine.commit(&batch, Durability::Relaxed).unwrap();
            left -= count;
        }
    }
    engine.commit(&Batch::new(), Durability::Durable).unwrap();
}

/// The row of a certificate, as docs/decisions/0002 has it: version, state, reason, and three numbers.
fn row(is_revoked: bool) -> Vec<u8> {
    let not_after = start().plus(Duration::from_secs(30 * 86_400));
    let numbers = [start().unix_s(), not_after.unix_s(), 1].map(u64::to_be_bytes);
    let state = if is_revoked { [1, 3, 4] } else { [1, 2, 0] };
    [&state[..], &numbers.concat()].concat()
}

pub(crate) fn open(folder: &Path) -> (Store, StoreProcess) {
    let random = Arc::new(SeededRandom::new(2));
    Store::open(folder, &ingam_store::Config::default(), random).unwrap()
}

pub(crate) fn close((store, process): (Store, StoreProcess)) {
    drop(store);
    process.close();
}

pub(crate) fn signer(clock: &Arc<FixedClock>) -> Arc<LocalSigner> {
    let plan = Plan {
        is_public: true,
        publication: "http://localhost:14080".to_owned(),
        country: "XX".to_owned(),
        organization: "Ingam".to_owned(),
        root: IssuerName::try_from("root".to_owned()).unwrap(),
        issuers: vec![IssuerPlan { name: issuer(), key: KeyKind::EcdsaP256 }],
    };
    let random = Arc::new(SeededRandom::new(3));
    let hierarchy = Hierarchy::create(&plan, clock.as_ref(), random.as_ref()).unwrap();
    let urls = IssuerUrls {
        ocsp: "http://ca.example/ocsp".to_owned(),
        issuer: "http://ca.example/issuer/ecdsa.crt".to_owned(),
        crl: "http://ca.example/crl/ecdsa.crl".to_owned(),
    };
    let urls = BTreeMap::from([(issuer(), urls)]);
    let ledger =
        ingam_signer::Ledger::open(Arc::new(ingam_journal::simulated::SimulatedDisk::new()), clock.clone())
            .unwrap();
    Arc::new(LocalSigner::new(hierarchy, urls, ledger, clock.clone(), random).unwrap())
}
