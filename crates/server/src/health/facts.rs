//! What is known of the parts at one moment, before anybody judges it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::certificate::Validity;
use ingam_protocol::crl::ForeignList;
use ingam_protocol::health::{
    CertificateReport, ClockReport, IssuerReport, QueueReport, Report, RoleReport, StorageReport,
};
use ingam_protocol::profile::IssuerName;
use ingam_responder::{CrlCondition, SigningCondition, request_log};
use ingam_store::{Condition, Outbox};
use ingam_transparency::Trouble;
use ingam_validation::quorum::Reachable;

use crate::health::Parts;
use crate::health::look::{Look, Seen};
use crate::serve::sentence;
use crate::system::since_boot;

/// How long the signer may take to say whether it can sign.
const READY_WAIT: Duration = Duration::from_secs(1);

/// How often kept OCSP answers are gone through: they age by days, and there may be millions.
const ANSWERS_PERIOD: Duration = Duration::from_secs(60);
/// How deep and how far a folder of the store is gone through.
const FILES_MAX: usize = 4096;

/// The start of the process, by both clocks.
pub(super) struct Start {
    pub(super) at: Timestamp,
    /// By a clock that never jumps.
    since_boot: Duration,
    /// The time of the newest record that was there.
    newest_record: Option<Timestamp>,
}

impl Start {
    /// Now. Blocks for two reads of the store.
    pub(super) fn now(parts: &Parts) -> Result<Self, ingam_store::Error> {
        let newest_record = parts.store.outbox()?.newest.max(parts.journal.newest());
        Ok(Self { at: parts.clock.now(), since_boot: since_boot(), newest_record })
    }

    fn clock(&self, now: Timestamp, since_boot: Duration) -> ClockReport {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let passed = ms(since_boot.saturating_sub(self.since_boot));
        let shown = ms(now.since(self.at)).saturating_sub(ms(self.at.since(now)));
        let behind = self.newest_record.map_or(Duration::ZERO, |newest| newest.since(now));
        ClockReport {
            jump_ms: shown.saturating_sub(passed),
            behind_ms: u64::try_from(behind.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// What can only be seen by waiting for a disk or going through much.
pub(super) struct Looks {
    outbox: Look<Outbox>,
    journal_bytes: Look<u64>,
    disk: Look<Disk>,
    oldest_answers: Look<BTreeMap<IssuerName, Timestamp>>,
    request_log: Look<request_log::Condition>,
}

impl Looks {
    pub(super) fn new(parts: &Parts) -> Self {
        let (store, journal) = (parts.store.clone(), parts.journal.clone());
        let (state, responder) = (parts.state.clone(), parts.responder.clone());
        let request_log = parts.request_log.clone();
        Self {
            outbox: Look::new(Duration::ZERO, move || store.outbox().map_err(|error| sentence(&error))),
            journal_bytes: Look::new(Duration::ZERO, move || Ok(journal.bytes())),
            disk: Look::new(Duration::ZERO, move || Disk::of(&state)),
            oldest_answers: Look::new(ANSWERS_PERIOD, move || Ok(responder.oldest_answers())),
            request_log: Look::new(Duration::ZERO, move || Ok(request_log.condition())),
        }
    }
}

/// The file system of the state folder, and what of it is the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    /// What this process may still write.
    pub(super) free_bytes: u64,
    pub(super) bytes: u64,
    pub(super) store_bytes: u64,
}

impl Disk {
    fn of(state: &Path) -> Result<Self, String> {
        let status = rustix::fs::statvfs(state).map_err(|error| format!("statvfs: {error}"))?;
        let store_bytes = store_bytes(state).map_err(|error| format!("reading the state folder: {error}"))?;
        Ok(Self {
            free_bytes: status.f_bavail.saturating_mul(status.f_frsize),
            bytes: status.f_blocks.saturating_mul(status.f_frsize),
            store_bytes,
        })
    }
}

/// The bytes of all files whose names begin with `store.`, and of those in folders of such names.
fn store_bytes(state: &Path) -> std::io::Result<u64> {
    let mut bytes = 0_u64;
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(state)?.take(FILES_MAX) {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b"store.") {
            count(&entry, &mut bytes, &mut folders)?;
        }
    }
    let mut left = FILES_MAX;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            left = left.saturating_sub(1);
            if left == 0 {
                return Ok(bytes);
            }
            count(&entry?, &mut bytes, &mut folders)?;
        }
    }
    Ok(bytes)
}

fn count(
    entry: &std::fs::DirEntry,
    bytes: &mut u64,
    folders: &mut Vec<std::path::PathBuf>,
) -> std::io::Result<()> {
    match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
        Ok(metadata) => *bytes = bytes.saturating_add(metadata.len()),
        // The engine takes files away now and again.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// What certificates of a profile need of their issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProfileFacts {
    pub(super) name: String,
    /// Those that sign for it.
    pub(super) issuers: Vec<IssuerName>,
    /// From the signing to the last second of a certificate.
    pub(super) lasts: Duration,
}

/// Everything that is known at one moment.
pub(super) struct Facts {
    pub(super) now: Timestamp,
    pub(super) clock: ClockReport,
    pub(super) certificates: Vec<CertificateReport>,
    /// Why the https listeners have no newer certificate than they show.
    pub(super) renewal_trouble: Option<String>,
    pub(super) issuers: Vec<IssuerReport>,
    pub(super) profiles: Vec<ProfileFacts>,
    /// The issuers that cannot sign now, and why.
    pub(super) signing_trouble: Vec<(IssuerName, String)>,
    /// For each issuer that needs an OCSP certificate, that one's last second.
    pub(super) delegates: Vec<(IssuerName, Option<Timestamp>)>,
    /// The same for each responder apart that may sign answers, and each issuer.
    pub(super) delegates_apart: Vec<(String, IssuerName, Option<Timestamp>)>,
    /// The responders whose keys are listed, and blocked.
    pub(super) delegates_blocked: Vec<String>,
    pub(super) crls: Vec<CrlCondition>,
    /// The CRLs of CAs whose keys are offline, by their names.
    pub(super) offline_crls: Vec<(String, ForeignList)>,
    pub(super) signing: SigningCondition,
    /// What the comparison with the record has found; none where nothing is compared.
    pub(super) monitor: Option<crate::monitor::Condition>,
    /// How the sweep fares.
    pub(super) retention: ingam_retention::Condition,
    /// How old an OCSP answer may become.
    pub(super) answer_age_max: Duration,
    pub(super) queues: Vec<QueueReport>,
    /// Every remote perspective.
    pub(super) perspectives: Vec<Reachable>,
    /// Why the last certificate that was to get SCTs got none.
    pub(super) transparency: Option<Trouble>,
    pub(super) store: Condition,
    pub(super) outbox: Seen<Outbox>,
    pub(super) journal_bytes: Seen<u64>,
    pub(super) disk: Seen<Disk>,
    pub(super) request_log: Seen<request_log::Condition>,
}

/// Looks at everything.
pub(super) async fn gather(
    parts: &Parts,
    looks: &Looks,
    start: &Start,
    certificates: Vec<CertificateReport>,
) -> Facts {
    // Together, so that all of it takes no longer than the slowest.
    let (outbox, journal_bytes, disk, oldest_answers, request_log, signing_trouble) = tokio::join!(
        looks.outbox.see(),
        looks.journal_bytes.see(),
        looks.disk.see(),
        looks.oldest_answers.see(),
        looks.request_log.see(),
        signing_trouble(parts)
    );
    let now = parts.clock.now();
    let delegates = parts.signer.delegates_not_after();
    let crls = parts.responder.crls();
    let store = parts.store.condition();
    let [signatures, events] = parts.responder.queues();
    let transactions = QueueReport::new("transactions", store.transactions, store.transactions_max);
    let oldest = oldest_answers.value().cloned().unwrap_or_default();
    Facts {
        now,
        clock: start.clock(now, since_boot()),
        certificates,
        renewal_trouble: None,
        issuers: issuers(parts, &delegates, &crls, &oldest),
        profiles: profiles(parts),
        signing_trouble,
        delegates,
        delegates_apart: parts.delegates.not_after(now),
        delegates_blocked: parts.delegates.blocked(),
        crls,
        offline_crls: parts.responder.offline().lists(),
        signing: parts.responder.signing(),
        retention: parts.retention.condition(),
        monitor: parts.monitor.as_ref().map(|monitor| monitor.condition()),
        answer_age_max: parts.answer_age_max,
        queues: vec![parts.authority.checks(), parts.validation.queue(), signatures, events, transactions],
        perspectives: parts.corroboration.as_ref().map_or(Vec::new(), |all| all.standings()),
        transparency: parts.transparency.as_ref().and_then(|logs| logs.trouble()),
        store,
        outbox,
        journal_bytes,
        disk,
        request_log,
    }
}

/// Asks for each issuer whether it could sign now; a signer that does not say so within a second cannot.
async fn signing_trouble(parts: &Parts) -> Vec<(IssuerName, String)> {
    let mut trouble = Vec::new();
    for issuer in parts.signer.issuers() {
        let name = &issuer.name;
        match tokio::time::timeout(READY_WAIT, parts.signer.ready(name)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => trouble.push((name.clone(), error.to_string())),
            Err(_) => {
                trouble.push((name.clone(), "the signer does not answer within a second".to_owned()));
                // The others are at the same signer.
                break;
            }
        }
    }
    trouble
}

fn issuers(
    parts: &Parts,
    delegates: &[(IssuerName, Option<Timestamp>)],
    crls: &[CrlCondition],
    oldest: &BTreeMap<IssuerName, Timestamp>,
) -> Vec<IssuerReport> {
    let report = |issuer: &ingam_signer::Issuer| {
        let name = &issuer.name;
        let not_before = Validity::read(&issuer.certificate).map(|validity| validity.not_before);
        IssuerReport {
            name: name.clone(),
            key: issuer.key.name().to_owned(),
            // The signer reads the certificate too, and would not have it otherwise.
            not_before: not_before.unwrap_or_default(),
            not_after: issuer.not_after,
            crl: crls.iter().find(|crl| crl.issuer == *name).and_then(|crl| crl.current.clone()),
            ocsp_certificate_not_after: delegates
                .iter()
                .find(|(issuer, _)| issuer == name)
                .and_then(|(_, not_after)| *not_after),
            oldest_answer: oldest.get(name).copied(),
        }
    };
    parts.signer.issuers().iter().map(report).collect()
}

fn profiles(parts: &Parts) -> Vec<ProfileFacts> {
    let catalog = &parts.authority.policy().catalog;
    let facts = catalog.iter().map(|profile| ProfileFacts {
        name: profile.name.to_string(),
        issuers: profile.issuers.signing().cloned().collect(),
        lasts: profile.validity.saturating_sub(profile.backdate),
    });
    facts.collect()
}

/// The report of what was found and what is thought of it.
pub(super) fn report(parts: &Parts, start: &Start, facts: Facts, roles: Vec<RoleReport>) -> Report {
    let outbox = facts.outbox.value();
    let disk = facts.disk.value();
    let age = |oldest: Option<Timestamp>| oldest.map_or(0, |oldest| facts.now.since(oldest).as_secs());
    Report {
        at: facts.now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        environment: parts.environment.clone(),
        started: start.at,
        uptime_s: since_boot().saturating_sub(start.since_boot).as_secs(),
        roles,
        issuers: facts.issuers,
        certificates: facts.certificates,
        queues: facts.queues,
        storage: StorageReport {
            outbox_records: outbox.map(|outbox| outbox.records),
            outbox_oldest_age_s: outbox.map(|outbox| age(outbox.oldest)),
            disk_free_bytes: disk.map(|disk| disk.free_bytes),
            disk_bytes: disk.map(|disk| disk.bytes),
            store_bytes: disk.map(|disk| disk.store_bytes),
            journal_bytes: facts.journal_bytes.value().copied(),
        },
        clock: facts.clock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_store_are_counted_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("store.redb", 100), ("store.redb.log", 20), ("hierarchy.json", 5000)] {
            std::fs::write(folder.path().join(name), vec![0; bytes]).unwrap();
        }
        let sled = folder.path().join("store.sled/blobs");
        std::fs::create_dir_all(&sled).unwrap();
        std::fs::write(sled.join("a"), [0; 3]).unwrap();
        let disk = Disk::of(folder.path()).unwrap();
        assert_eq!(disk.store_bytes, 123);
        assert!(disk.free_bytes > 0 && disk.bytes >= disk.free_bytes);
        assert!(Disk::of(&folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn a_clock_that_jumps_is_told_from_one_that_runs() {
        let at = Timestamp::from_unix_s(1_000_000);
        let newest_record = Some(at.plus(Duration::from_secs(10)));
        let start = Start { at, since_boot: Duration::from_secs(100), newest_record };
        let clock = |wall_s: u64, boot_s: u64| {
            start.clock(Timestamp::from_unix_s(wall_s), Duration::from_secs(boot_s))
        };
        assert_eq!(clock(1_000_060, 160), ClockReport { jump_ms: 0, behind_ms: 0 });
        assert_eq!(clock(1_003_660, 160), ClockReport { jump_ms: 3_600_000, behind_ms: 0 });
        assert_eq!(clock(999_000, 160), ClockReport { jump_ms: -1_060_000, behind_ms: 1_010_000 });
    }
}
