//! Answers in such numbers as no test signs: for benchmarks, behind the feature `synthetic`.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use ingam_protocol::ocsp::{CertStatus, HashAlgorithm};
use ingam_protocol::time::{Random, random_array};
use ingam_protocol::{Serial, Timestamp};
use ingam_signer::Issuer;
use ring::signature::Ed25519KeyPair;

use super::manifest::{ListedIssuer, ListedSeries, ListedTable, Manifest};
use super::publisher::{MANIFEST, write};
use crate::corpus::{AnswerSigner, Corpus, Entry, TableBuilder, Told};
use crate::issuers::Issuers;

/// As many entries as a table has that a pass makes.
const TABLE_ENTRIES: u64 = 1 << 16;
/// How many signatures there are: no two answers need one of their own for what is measured.
const POOL: usize = 4096;

/// Writes the answers about `count` certificates of an issuer into a folder as a CA would, signed by nobody: signatures are chance.
/// Serial numbers are those of [`synthetic_serial`].
///
/// # Errors
/// If the folder cannot be written, or the numbers do not fit.
pub fn write_synthetic(
    folder: &Path,
    issuer: &Issuer,
    count: u64,
    now: Timestamp,
    key: &Ed25519KeyPair,
    random: &dyn Random,
) -> io::Result<()> {
    let hashes = BTreeSet::from([HashAlgorithm::Sha1]);
    let corpus = Corpus::of(&Issuers::new(std::slice::from_ref(issuer)), &hashes);
    let series = corpus.series().first().ok_or_else(|| io::Error::other("there is no such issuer"))?;
    let signer = AnswerSigner {
        responder_key_hash: [7; 20],
        certificate: None,
        not_after: issuer.not_after,
        validity: Duration::from_secs(7 * 24 * 60 * 60 - 1),
    };
    let pool: Vec<[u8; 64]> = (0..POOL).map(|_| random_array(random)).collect();
    let mut base = Vec::new();
    let mut builder = TableBuilder::new(&series.owner);
    for number in 0..count {
        let serial = synthetic_serial(number, count).ok_or_else(|| io::Error::other("too many"))?;
        let index = usize::try_from(number).unwrap_or(usize::MAX) % POOL;
        let signature = pool.get(index).copied().unwrap_or([1; 64]);
        let told = Told::Status(CertStatus::Good);
        let entry = Entry { serial, told, this_update: now, signer: 0, signature };
        if !builder.push(&entry, &signer) {
            return Err(io::Error::other("serial numbers are not in order"));
        }
        if number % TABLE_ENTRIES == TABLE_ENTRIES - 1 || number + 1 == count {
            let full = std::mem::replace(&mut builder, TableBuilder::new(&series.owner)).finish();
            let listed = ListedTable::of(full.file());
            let name = listed.file().ok_or_else(|| io::Error::other("a table is too large"))?;
            write(folder, &name, full.file())?;
            base.push(listed);
        }
    }
    let listed = ListedSeries {
        issuer: issuer.name.clone(),
        hash: HashAlgorithm::Sha1.into(),
        oldest: Some(now),
        base,
        newer: Vec::new(),
    };
    let manifest = Manifest {
        sequence: 1,
        made_at: now,
        known_at: now,
        expires_at: now.plus(Duration::from_secs(3600)),
        issuers: vec![ListedIssuer::of(issuer)],
        series: vec![listed],
        delegates: Vec::new(),
    };
    write(folder, MANIFEST, &manifest.to_file(Some(key)))
}

/// The serial number with this place among `count`: 18 bytes, spread evenly, the same each time, so that
/// whoever asks can make it again. `None` if there are too many.
pub fn synthetic_serial(number: u64, count: u64) -> Option<Serial> {
    let step = (u64::MAX >> 2).checked_div(count)?;
    let place = (1 << 62) | number.checked_mul(step)?;
    let mixed = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Serial::from_be_bytes(&[&place.to_be_bytes()[..], &mixed.to_be_bytes(), &[7, 7]].concat())
}
