//! How a CA fares, in its own words: which role is ready, what each lacks, how old and how full things are.
//!
//! A [`Report`] is made by the process that runs the parts; `/readyz`, the admin API and `ingam status` show the same one.
//! It names issuers, queues and files, and no person: no account, no certificate of a subscriber, no address.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::profile::IssuerName;
use crate::time::Timestamp;

/// Everything that is known of a CA's health at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When this was looked at.
    pub at: Timestamp,
    /// The version of the program.
    pub version: String,
    /// `production`, `staging` or `development`.
    pub environment: String,
    /// When the process started, by the clock of then.
    pub started: Timestamp,
    /// For how many seconds it has run.
    pub uptime_s: u64,
    /// Every role of this process, each once.
    pub roles: Vec<RoleReport>,
    /// Every issuing CA.
    pub issuers: Vec<IssuerReport>,
    /// The certificates of the process's own listeners.
    pub certificates: Vec<CertificateReport>,
    /// Everything that can fill up with work.
    pub queues: Vec<QueueReport>,
    /// What is on the disk.
    pub storage: StorageReport,
    /// How far the clock can be believed.
    pub clock: ClockReport,
}

impl Report {
    /// Whether every role is ready.
    pub fn ready(&self) -> bool {
        self.roles.iter().all(|role| role.ready)
    }

    /// What is said of one role.
    pub fn role(&self, role: Role) -> Option<&RoleReport> {
        self.roles.iter().find(|report| report.role == role)
    }
}

/// A part of the CA that can be ready or not, and that can be asked for alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// ACME over https.
    Frontend,
    /// What the network says: challenges, CAA, and transparency logs.
    Validation,
    /// Keys, and the time that they sign by.
    Signer,
    /// OCSP and CRLs.
    Responder,
    /// The one truth, and the disk that it lies on.
    Store,
    /// The archive of records.
    Journal,
}

impl Role {
    /// All roles, in the order in which they are reported.
    pub const ALL: [Self; 6] =
        [Self::Frontend, Self::Validation, Self::Signer, Self::Responder, Self::Store, Self::Journal];

    /// Its name in JSON, metrics and `?role=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Validation => "validation",
            Self::Signer => "signer",
            Self::Responder => "responder",
            Self::Store => "store",
            Self::Journal => "journal",
        }
    }

    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One role: whether it can do its work, and what it lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleReport {
    /// Which role.
    pub role: Role,
    /// Whether it can do its work: nothing that it lacks is [`Level::Failing`].
    pub ready: bool,
    /// What it lacks, worst first.
    pub lacks: Vec<Lack>,
}

impl RoleReport {
    /// A role that lacks these things.
    pub fn new(role: Role, mut lacks: Vec<Lack>) -> Self {
        lacks.sort_by_key(|lack| std::cmp::Reverse(lack.level));
        let ready = lacks.iter().all(|lack| lack.level != Level::Failing);
        Self { role, ready, lacks }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Work goes on, and somebody should look.
    Warning,
    /// The role cannot do its work, or must not.
    Failing,
}

impl Level {
    /// Its name in JSON and text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Failing => "failing",
        }
    }
}

/// Something that a role lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// What kind of thing, for machines.
    pub code: Code,
    /// How bad it is.
    pub level: Level,
    /// What was seen, in one sentence.
    pub detail: String,
    /// What to do about it, in one sentence.
    pub fix: String,
}

/// The kinds of things that roles can lack. The names are what alerts are built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The process was told to end.
    Stopping,
    /// The certificate of the https listeners ends soon, or has ended.
    HttpsCertificate,
    /// A newer certificate of the https listeners could not be taken up or made.
    HttpsRenewal,
    /// Many challenges wait to be checked.
    ChecksQueue,
    /// Many validations and CAA checks are under way.
    ValidationsQueue,
    /// Remote perspectives do not answer.
    Perspectives,
    /// Transparency logs gave no SCTs.
    Transparency,
    /// No issuing CA is loaded.
    NoIssuer,
    /// An issuer cannot sign: its token is out, the ledger cannot be written, or the signer's process is away.
    Signing,
    /// An issuing CA ends soon, or has ended.
    IssuerCertificate,
    /// An issuing CA ends before the certificates of a profile would.
    ProfileValidity,
    /// The OCSP certificate of an issuer is missing, was not renewed in time, or has ended, or the key of a responder apart is blocked.
    OcspCertificate,
    /// The wall clock jumped while the process ran.
    ClockJump,
    /// The wall clock is behind what is on record.
    ClockBehind,
    /// An issuer's CRL is missing, older than it should be, or has ended.
    Crl,
    /// OCSP answers cannot be signed.
    OcspSigning,
    /// The oldest OCSP answer is older than any should be.
    OcspAnswerAge,
    /// What is given out of a certificate disagrees with its record, or nobody compares.
    StatusDisagreement,
    /// Many OCSP requests wait for a signature.
    OcspQueue,
    /// Many signatures wait to be put on record.
    SigningEventsQueue,
    /// The log of OCSP requests has what should be gone, or cannot note what it should.
    RequestLog,
    /// The last commit failed, or the thread that commits has ended.
    Commit,
    /// The store could not be read, or not in time.
    Read,
    /// Many transactions wait to be committed.
    TransactionsQueue,
    /// The disk is nearly full, or could not be asked.
    Disk,
    /// Records wait too long for the journal.
    OutboxAge,
    /// The journal did not take records the last time.
    Archive,
    /// What has had its time was not swept out for long, or the clock is not believed.
    Retention,
}

impl Code {
    /// All codes but [`Code::Stopping`], each with the one role that can lack it. Every role can be stopping.
    pub const PLACES: [(Self, Role); 27] = [
        (Self::HttpsCertificate, Role::Frontend),
        (Self::HttpsRenewal, Role::Frontend),
        (Self::ChecksQueue, Role::Validation),
        (Self::ValidationsQueue, Role::Validation),
        (Self::Perspectives, Role::Validation),
        (Self::Transparency, Role::Validation),
        (Self::NoIssuer, Role::Signer),
        (Self::Signing, Role::Signer),
        (Self::IssuerCertificate, Role::Signer),
        (Self::ProfileValidity, Role::Signer),
        (Self::OcspCertificate, Role::Signer),
        (Self::ClockJump, Role::Signer),
        (Self::ClockBehind, Role::Signer),
        (Self::Crl, Role::Responder),
        (Self::OcspSigning, Role::Responder),
        (Self::OcspAnswerAge, Role::Responder),
        (Self::StatusDisagreement, Role::Responder),
        (Self::OcspQueue, Role::Responder),
        (Self::SigningEventsQueue, Role::Responder),
        (Self::RequestLog, Role::Responder),
        (Self::Commit, Role::Store),
        (Self::Read, Role::Store),
        (Self::TransactionsQueue, Role::Store),
        (Self::Disk, Role::Store),
        (Self::OutboxAge, Role::Journal),
        (Self::Archive, Role::Journal),
        (Self::Retention, Role::Journal),
    ];

    /// Its name in JSON, text and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::HttpsCertificate => "https_certificate",
            Self::HttpsRenewal => "https_renewal",
            Self::ChecksQueue => "checks_queue",
            Self::ValidationsQueue => "validations_queue",
            Self::Perspectives => "perspectives",
            Self::Transparency => "transparency",
            Self::NoIssuer => "no_issuer",
            Self::Signing => "signing",
            Self::IssuerCertificate => "issuer_certificate",
            Self::ProfileValidity => "profile_validity",
            Self::OcspCertificate => "ocsp_certificate",
            Self::ClockJump => "clock_jump",
            Self::ClockBehind => "clock_behind",
            Self::Crl => "crl",
            Self::OcspSigning => "ocsp_signing",
            Self::OcspAnswerAge => "ocsp_answer_age",
            Self::StatusDisagreement => "status_disagreement",
            Self::OcspQueue => "ocsp_queue",
            Self::SigningEventsQueue => "signing_events_queue",
            Self::RequestLog => "request_log",
            Self::Commit => "commit",
            Self::Read => "read",
            Self::TransactionsQueue => "transactions_queue",
            Self::Disk => "disk",
            Self::OutboxAge => "outbox_age",
            Self::Archive => "archive",
            Self::Retention => "retention",
        }
    }
}

/// One issuing CA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerReport {
    /// Its name inside the CA.
    pub name: IssuerName,
    /// What kind of key it has, by its name in the configuration: `ecdsa-p256`, `rsa-4096`.
    pub key: String,
    /// The first second of its certificate.
    pub not_before: Timestamp,
    /// The last second of its certificate.
    pub not_after: Timestamp,
    /// Its current CRLs; `None` while one was never made.
    pub crl: Option<CrlReport>,
    /// The last second of its delegated OCSP certificate; `None` if it signs its answers itself, or has none yet.
    pub ocsp_certificate_not_after: Option<Timestamp>,
    /// The thisUpdate of the oldest OCSP answer in memory that counts; `None` if none is kept.
    pub oldest_answer: Option<Timestamp>,
}

/// The current CRLs of an issuer: one, or one for each shard, of which this is what they have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlReport {
    /// The highest number.
    pub number: u64,
    /// From when the oldest holds.
    pub this_update: Timestamp,
    /// When the first of them is followed by another at the latest.
    pub next_update: Timestamp,
    /// How many certificates all of them list.
    pub entries: u64,
}

/// A certificate that the process shows to those who connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateReport {
    /// What it is for: `https`.
    pub kind: String,
    /// Which of them it is.
    pub name: String,
    /// Its first second.
    pub not_before: Timestamp,
    /// Its last second.
    pub not_after: Timestamp,
}

/// Something that holds work in hand, up to a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueReport {
    /// Its name: `checks`, `validations`, `ocsp_signatures`, `signing_events`, `transactions`.
    pub name: String,
    /// How much is in it, waiting or in work.
    pub waiting: u64,
    /// How much fits.
    pub max: u64,
}

impl QueueReport {
    /// A queue with this much in it.
    pub fn new(name: &str, waiting: usize, max: usize) -> Self {
        let count = |number| u64::try_from(number).unwrap_or(u64::MAX);
        Self { name: name.to_owned(), waiting: count(waiting), max: count(max) }
    }
}

/// What is on the disk. A number that could not be had is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageReport {
    /// How many records wait for the journal.
    pub outbox_records: Option<u64>,
    /// How many seconds ago the oldest of them was made; zero if none waits.
    pub outbox_oldest_age_s: Option<u64>,
    /// How many bytes the process may still write to the file system of the state folder.
    pub disk_free_bytes: Option<u64>,
    /// How many bytes that file system has.
    pub disk_bytes: Option<u64>,
    /// How many bytes the store's files have.
    pub store_bytes: Option<u64>,
    /// How many bytes the journal's segments have.
    pub journal_bytes: Option<u64>,
}

/// How far the wall clock can be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReport {
    /// How many milliseconds the wall clock has gained on the clock that never jumps since the process started; negative
    /// if it has lost.
    pub jump_ms: i64,
    /// How many milliseconds the wall clock is behind the newest record that was there at the start; zero if it is not.
    pub behind_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lack(code: Code, level: Level) -> Lack {
        Lack { code, level, detail: "it is so".into(), fix: "change it".into() }
    }

    #[test]
    fn a_role_is_ready_unless_something_fails() {
        let warned = RoleReport::new(Role::Store, vec![lack(Code::Disk, Level::Warning)]);
        assert!(warned.ready);
        let lacks = vec![lack(Code::Disk, Level::Warning), lack(Code::Commit, Level::Failing)];
        let failing = RoleReport::new(Role::Store, lacks);
        assert!(!failing.ready);
        assert_eq!(failing.lacks[0].code, Code::Commit, "the worst comes first");
        let mut report = Report {
            at: Timestamp::from_unix_s(100),
            version: "1".into(),
            environment: "staging".into(),
            started: Timestamp::from_unix_s(90),
            uptime_s: 10,
            roles: vec![warned.clone()],
            issuers: Vec::new(),
            certificates: Vec::new(),
            queues: Vec::new(),
            storage: StorageReport::default(),
            clock: ClockReport::default(),
        };
        assert!(report.ready());
        report.roles.push(RoleReport::new(Role::Journal, vec![lack(Code::Archive, Level::Failing)]));
        assert!(!report.ready());
        assert_eq!(report.role(Role::Store), Some(&warned));
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }

    #[test]
    fn names_are_those_of_the_json() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
            assert_eq!(Role::from_name(role.name()), Some(role));
        }
        for (code, _) in Code::PLACES.into_iter().chain([(Code::Stopping, Role::Store)]) {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
        for level in [Level::Warning, Level::Failing] {
            assert_eq!(serde_json::to_value(level).unwrap(), level.name());
        }
    }
}
