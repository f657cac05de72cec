//! What the CA remembers: records, their classes, and how long each class is kept.
//!
//! The layout written by [`Record::encode`] is final: a newer version of it gets a new number in the first byte.
//!
//! ```text
//! version u8 = 1 | class u8 | type u16 | id 16 | time u64 | subject 16 | end_of_life u64 | salt 16 | parts u8
//! then for each part: seal u8 | length u32 | that many bytes
//! ```
//!
//! All numbers are big-endian, times are milliseconds since the epoch, a subject or end of zeros means none.

use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::id::Id;
use crate::time::{Random, Timestamp, random_array};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A class of the retention schedule: what may be kept how long goes by class. The numbers are on disk for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Class {
    /// Who asked OCSP: a relying party's address, user agent, serial, time, answer.
    OcspRequestLog = 1,
    /// Everything that led to a certificate, and what became of it.
    Issuance = 2,
    /// Ceremonies, keys loaded and destroyed, CA certificates, changes of profile and configuration.
    CaLifecycle = 3,
    /// Sign-ins, operators' acts, reads of personal data.
    AccessLog = 4,
    /// Who gave, changed or took away whose access right.
    PermissionChange = 5,
    /// Receipts of deletion, holds, cases, disclosures.
    Retention = 6,
    /// E-mail addresses, names, preferences.
    Contact = 7,
    /// Keyed hashes of one-time passcodes and links.
    Passcode = 8,
    /// Orders and authorizations in hand, counters, leases.
    Working = 9,
    /// What `tracing` writes.
    OperationsLog = 10,
    /// A subset of logs held for a named case.
    Investigation = 11,
    /// Counts without people.
    Aggregate = 12,
}

/// How long a class is kept, counted from the record's time; where a record is about something that ends, it stays
/// until the later of its floor and two years past that end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Not deleted before this has passed.
    pub floor: Option<Duration>,
    /// Not there any more after this has passed.
    pub ceiling: Option<Duration>,
}

impl Class {
    /// All classes, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::OcspRequestLog,
        Self::Issuance,
        Self::CaLifecycle,
        Self::AccessLog,
        Self::PermissionChange,
        Self::Retention,
        Self::Contact,
        Self::Passcode,
        Self::Working,
        Self::OperationsLog,
        Self::Investigation,
        Self::Aggregate,
    ];

    /// The class with this number, as [`Class::number`] gives it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.number() == number)
    }

    /// The class of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Its number on disk.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Its name in configuration, reports and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::OcspRequestLog => "ocsp_request_log",
            Self::Issuance => "issuance",
            Self::CaLifecycle => "ca_lifecycle",
            Self::AccessLog => "access_log",
            Self::PermissionChange => "permission_change",
            Self::Retention => "retention",
            Self::Contact => "contact",
            Self::Passcode => "passcode",
            Self::Working => "working",
            Self::OperationsLog => "operations_log",
            Self::Investigation => "investigation",
            Self::Aggregate => "aggregate",
        }
    }

    /// The bounds of its retention. Years are counted as 366 days, so that a floor is never a day short.
    pub fn retention(self) -> Retention {
        let (floor, ceiling) = match self {
            Self::OcspRequestLog => (None, Some(7 * DAY)),
            // Seven years after the end of what a `ca_lifecycle` record is about; that end is in the record.
            Self::Issuance | Self::CaLifecycle | Self::Retention => (Some(7 * YEAR), None),
            Self::AccessLog => (Some(2 * YEAR), Some(10 * YEAR)),
            Self::PermissionChange => (Some(5 * YEAR), Some(10 * YEAR)),
            Self::Passcode => (None, Some(Duration::from_secs(600))),
            Self::Working => (None, Some(90 * DAY)),
            Self::OperationsLog => (None, Some(30 * DAY)),
            // Withdrawal, closing of the case, or nothing ends these; no time does.
            Self::Contact | Self::Investigation | Self::Aggregate => (None, None),
        };
        Retention { floor, ceiling }
    }
}

/// What a record tells. The numbers are on disk for ever; a type belongs to exactly one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u16)]
pub enum RecordType {
    /// An account was made.
    AccountCreated = 1,
    /// An account's contacts or consent changed.
    AccountUpdated = 2,
    /// An account was deactivated by its holder.
    AccountDeactivated = 3,
    /// An account has another key now.
    AccountKeyChanged = 4,
    /// A key was made to which an account can be bound (RFC 8555, section 7.3.4).
    ExternalKeyMade = 5,
    /// Such a key was withdrawn.
    ExternalKeyWithdrawn = 6,
    /// A subject asked, by its account key, what is held about it, or for its erasure.
    SubjectAsked = 7,
    /// A subject was told what is held about it, as each is once a year.
    SubjectTold = 8,
    /// A subject objected to mail, or took that back.
    SubjectObjected = 9,
    /// An order was made, with its authorizations.
    OrderCreated = 10,
    /// An order failed for good.
    OrderFailed = 11,
    /// A client said that its answer to a challenge is in place.
    ChallengeAnswered = 20,
    /// What was seen when a challenge was checked.
    ValidationFinished = 21,
    /// An authorization was deactivated by its holder.
    AuthorizationDeactivated = 22,
    /// An authorization was made ahead of any order.
    AuthorizationCreated = 23,
    /// An account may order again for names whose checks had failed for long: its holder or an operator wished so.
    PausesLifted = 24,
    /// A validation was tried out, which counts for nothing.
    ValidationTried = 25,
    /// An order was claimed; the exact bytes to be signed are fixed, with their serial number.
    CertificatePrepared = 30,
    /// The key is about to be used for a prepared certificate.
    SignatureAsked = 31,
    /// A certificate was signed; its serial number counts as issued.
    CertificateIssued = 32,
    /// A signature came too late or never: the serial number is revoked and the certificate never delivered.
    IssuanceAbandoned = 33,
    /// A finalize was refused by what was seen of CAA, or by too few who saw it.
    IssuanceRefused = 34,
    /// A finalized order waits for the signer, which was not there.
    IssuanceWaits = 35,
    /// A precertificate was signed; its serial number counts as issued.
    PrecertificateIssued = 36,
    /// The key is about to be used for the certificate of a precertificate; the SCTs and the exact bytes are fixed.
    CertificateAsked = 37,
    /// A certificate was revoked.
    CertificateRevoked = 40,
    /// A public key may never be used again.
    KeyBlocked = 41,
    /// A public key that was blocked may be used again.
    KeyUnblocked = 42,
    /// A set of certificates was opened for an incident, or certificates were put into it.
    IncidentChanged = 43,
    /// Many certificates are to be revoked, or that work was held, taken up or given up.
    RevocationJobChanged = 44,
    /// Things of this class that are still there, as they were when a segment of the journal that tells of them had had its
    /// time: accounts with what is known of them, keys for external accounts, blocked keys, incidents, revocation jobs.
    IssuanceCarried = 45,
    /// OCSP answers were signed, as a batch.
    OcspSigned = 50,
    /// A CRL was signed.
    CrlSigned = 51,
    /// A CA certificate or a responder's certificate was made.
    AuthorityCertificateCreated = 60,
    /// The process started with these keys, profiles and settings.
    Started = 61,
    /// The configuration of the running process was changed.
    ConfigurationChanged = 62,
    /// An operator's rule on a name was made, changed or taken back.
    NameRuleChanged = 63,
    /// An operator gave somebody a rate limit of their own, or took it back.
    LimitOverridden = 65,
    /// A backup was made: which, where to, and what is in it.
    BackupMade = 66,
    /// The store was made anew: from a backup, or from the journal.
    StoreRestored = 67,
    /// The same of this class: rules on names, rate limits of somebody's own, versions of the privacy page.
    LifecycleCarried = 68,
    /// An operator did something, or wanted to: who, as what, from where, why, and what came of it.
    OperatorActed = 70,
    /// Personal data was read: by whom, whose, why.
    PersonalDataRead = 71,
    /// A dangerous act waits for a second person, or that person decided.
    ApprovalChanged = 72,
    /// Somebody was given a role.
    RoleGranted = 80,
    /// A role was taken from somebody.
    RoleTaken = 81,
    /// Roles that somebody still had when a segment of the journal that tells of them had had its time.
    PermissionCarried = 82,
    /// A segment of the log of OCSP requests was destroyed: its key, then its file.
    RequestSegmentDestroyed = 90,
    /// Requests of that log are held for a case, or the end of a hold was moved, or it ended.
    RequestHoldChanged = 91,
    /// A subject's contact data was erased, and the key destroyed that they were sealed under.
    SubjectErased = 94,
    /// An operator corrected a subject's contact data.
    SubjectCorrected = 95,
    /// A segment of the journal was destroyed, by which rule, and where it stood in the chain: the receipt.
    SegmentDestroyed = 96,
    /// Rows of the store were taken out whose time was over, counted by table and class: the receipt.
    RowsSwept = 97,
    /// A hold was opened, renewed or released: as long as it is in force, what it is about stays.
    HoldChanged = 98,
    /// How many OCSP requests came in an hour, for what, and with which answers.
    OcspRequestsCounted = 100,
    /// A case was opened, changed or closed: why personal data may leave, and what stands in the way.
    CaseChanged = 101,
    /// Personal data of a subject was given out: to whom, by what right, which fields. The data itself is not in it.
    DataDisclosed = 102,
    /// A subject was told that its data was or will be given out, or cannot be told.
    NoticeGiven = 103,
    /// Holds and cases that were still there when a segment of the journal that tells of them had had its time.
    RetentionCarried = 104,
}

impl RecordType {
    /// All types.
    pub const ALL: [Self; 59] = [
        Self::AccountCreated,
        Self::AccountUpdated,
        Self::AccountDeactivated,
        Self::AccountKeyChanged,
        Self::ExternalKeyMade,
        Self::ExternalKeyWithdrawn,
        Self::SubjectAsked,
        Self::SubjectTold,
        Self::SubjectObjected,
        Self::OrderCreated,
        Self::OrderFailed,
        Self::ChallengeAnswered,
        Self::ValidationFinished,
        Self::AuthorizationDeactivated,
        Self::AuthorizationCreated,
        Self::PausesLifted,
        Self::ValidationTried,
        Self::CertificatePrepared,
        Self::SignatureAsked,
        Self::CertificateIssued,
        Self::IssuanceAbandoned,
        Self::IssuanceRefused,
        Self::IssuanceWaits,
        Self::PrecertificateIssued,
        Self::CertificateAsked,
        Self::CertificateRevoked,
        Self::KeyBlocked,
        Self::KeyUnblocked,
        Self::IncidentChanged,
        Self::RevocationJobChanged,
        Self::IssuanceCarried,
        Self::OcspSigned,
        Self::CrlSigned,
        Self::AuthorityCertificateCreated,
        Self::Started,
        Self::ConfigurationChanged,
        Self::NameRuleChanged,
        Self::LimitOverridden,
        Self::BackupMade,
        Self::StoreRestored,
        Self::LifecycleCarried,
        Self::OperatorActed,
        Self::PersonalDataRead,
        Self::ApprovalChanged,
        Self::RoleGranted,
        Self::RoleTaken,
        Self::PermissionCarried,
        Self::RequestSegmentDestroyed,
        Self::RequestHoldChanged,
        Self::SubjectErased,
        Self::SubjectCorrected,
        Self::SegmentDestroyed,
        Self::RowsSwept,
        Self::HoldChanged,
        Self::OcspRequestsCounted,
        Self::CaseChanged,
        Self::DataDisclosed,
        Self::NoticeGiven,
        Self::RetentionCarried,
    ];

    /// The type with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Its number on disk.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// Its name in reports and on the command line, as JSON has it: `certificate_issued`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for (at, letter) in format!("{self:?}").char_indices() {
            if letter.is_ascii_uppercase() && at > 0 {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The class that its records are kept in.
    pub fn class(self) -> Class {
        match self {
            Self::AuthorityCertificateCreated
            | Self::Started
            | Self::ConfigurationChanged
            | Self::NameRuleChanged
            | Self::LimitOverridden
            | Self::BackupMade
            | Self::StoreRestored
            | Self::LifecycleCarried => Class::CaLifecycle,
            Self::OperatorActed | Self::PersonalDataRead | Self::ApprovalChanged | Self::SubjectAsked => {
                Class::AccessLog
            }
            Self::RoleGranted | Self::RoleTaken | Self::PermissionCarried => Class::PermissionChange,
            Self::RequestSegmentDestroyed
            | Self::RequestHoldChanged
            | Self::SegmentDestroyed
            | Self::RowsSwept
            | Self::HoldChanged
            | Self::SubjectTold
            | Self::SubjectObjected
            | Self::SubjectErased
            | Self::CaseChanged
            | Self::DataDisclosed
            | Self::NoticeGiven
            | Self::RetentionCarried => Class::Retention,
            Self::OcspRequestsCounted => Class::Aggregate,
            // It leads to no certificate.
            Self::ValidationTried => Class::Working,
            _ => Class::Issuance,
        }
    }
}

/// Under which key a part of a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Seal {
    /// None of its own: readable to whoever can read the segment, which may be sealed as a whole.
    Open = 0,
    /// The key of the record's subject: gone when that key is destroyed.
    Subject = 1,
}

/// One part of a record's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Under which key `bytes` lie.
    pub seal: Seal,
    /// JSON where `seal` is [`Seal::Open`]; a ciphertext otherwise.
    pub bytes: Vec<u8>,
}

/// One thing that the CA remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it tells; its class follows from it.
    pub kind: RecordType,
    /// Its name: the same record written twice has the same one, and counts once.
    pub id: Id,
    /// When it happened.
    pub time: Timestamp,
    /// The account it is about.
    pub subject: Option<Id>,
    /// When that ends which it is about: a certificate's notAfter.
    pub end_of_life: Option<Timestamp>,
    /// Makes the commitment say nothing to those who only guess the contents.
    pub salt: [u8; 16],
    /// The contents, in parts that may lie under different keys.
    pub parts: Vec<Part>,
}

/// The first byte of every record written by this version.
pub const RECORD_VERSION: u8 = 1;

/// At most this many bytes are one encoded record: no less than the store takes as one value, so that what has gone into the
/// outbox can come out of it.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// Written by a newer version of the program, which has to be used to read it.
    Newer(u8),
    /// Cut short, too long, or with a number that means nothing.
    Malformed,
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newer(version) => {
                write!(f, "the record has version {version}, this program knows {RECORD_VERSION}")
            }
            Self::Malformed => f.write_str("the bytes are no record"),
        }
    }
}

impl std::error::Error for RecordError {}

impl Record {
    /// A record of now with one open part: `payload`, which is JSON.
    pub fn new(kind: RecordType, now: Timestamp, payload: Vec<u8>, random: &dyn Random) -> Self {
        Self {
            kind,
            id: Id::new(now, random),
            time: now,
            subject: None,
            end_of_life: None,
            salt: random_array(random),
            parts: vec![Part { seal: Seal::Open, bytes: payload }],
        }
    }

    /// The same record, about this account.
    pub fn about(mut self, subject: Id) -> Self {
        self.subject = Some(subject);
        self
    }

    /// The same record, about something that ends then.
    pub fn ending(mut self, end_of_life: Timestamp) -> Self {
        self.end_of_life = Some(end_of_life);
        self
    }

    /// The class it is kept in.
    pub fn class(&self) -> Class {
        self.kind.class()
    }

    /// Its bytes in the outbox and the journal.
    pub fn encode(&self) -> Vec<u8> {
        let payload: usize = self.parts.iter().map(|part| part.bytes.len() + 5).sum();
        let mut out = Vec::with_capacity(69 + payload);
        out.push(RECORD_VERSION);
        out.push(self.class().number());
        out.extend_from_slice(&self.kind.number().to_be_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.time.unix_ms().to_be_bytes());
        out.extend_from_slice(&self.subject.map_or([0; 16], |id| *id.as_bytes()));
        out.extend_from_slice(&self.end_of_life.map_or(0, Timestamp::unix_ms).to_be_bytes());
        out.extend_from_slice(&self.salt);
        out.push(u8::try_from(self.parts.len()).unwrap_or(u8::MAX));
        for part in self.parts.iter().take(usize::from(u8::MAX)) {
            out.push(part.seal as u8);
            out.extend_from_slice(&u32::try_from(part.bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(&part.bytes);
        }
        out
    }

    /// Reads what [`Record::encode`] wrote.
    ///
    /// # Errors
    /// [`RecordError::Newer`] for a version above ours, [`RecordError::Malformed`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut rest = Fields(bytes);
        let [version] = rest.array()?;
        if version > RECORD_VERSION {
            return Err(RecordError::Newer(version));
        }
        let [class] = rest.array()?;
        let kind =
            RecordType::from_number(u16::from_be_bytes(rest.array()?)).ok_or(RecordError::Malformed)?;
        if version != RECORD_VERSION || kind.class().number() != class {
            return Err(RecordError::Malformed);
        }
        let id = Id::from_bytes(rest.array()?);
        let time = timestamp(rest.array()?)?;
        let subject = Some(rest.array()?).filter(|bytes| *bytes != [0; 16]).map(Id::from_bytes);
        let end_of_life = Some(timestamp(rest.array()?)?).filter(|end| end.unix_ms() != 0);
        let salt = rest.array()?;
        let [count] = rest.array()?;
        let mut parts = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let seal = match rest.array()? {
                [0] => Seal::Open,
                [1] => Seal::Subject,
                _ => return Err(RecordError::Malformed),
            };
            let length = u32::from_be_bytes(rest.array()?);
            let bytes = rest.take(usize::try_from(length).map_err(|_| RecordError::Malformed)?)?;
            parts.push(Part { seal, bytes: bytes.to_vec() });
        }
        if !rest.0.is_empty() {
            return Err(RecordError::Malformed);
        }
        Ok(Self { kind, id, time, subject, end_of_life, salt, parts })
    }
}

/// A time that [`Timestamp`] can hold: one that it would bend would be written as other bytes than were read.
fn timestamp(bytes: [u8; 8]) -> Result<Timestamp, RecordError> {
    let ms = u64::from_be_bytes(bytes);
    Some(Timestamp::from_unix_ms(ms)).filter(|time| time.unix_ms() == ms).ok_or(RecordError::Malformed)
}

/// The salted commitment to an encoded record: what the journal's chain holds, so that the chain outlives the record.
pub fn commitment(encoded: &[u8]) -> [u8; 32] {
    let mut input = Vec::with_capacity(encoded.len() + 16);
    input.extend_from_slice(b"ingam record v1\0");
    input.extend_from_slice(encoded);
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, &input).as_ref());
    out
}

/// A cursor over fields of fixed size.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(RecordError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        self.take(N)?.try_into().map_err(|_| RecordError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SeededRandom;

    fn sample() -> Record {
        let random = SeededRandom::new(3);
        let now = Timestamp::from_unix_s(1_795_255_200);
        let mut record = Record::new(RecordType::CertificateIssued, now, b"{}".to_vec(), &random)
            .about(Id::new(now, &random))
            .ending(now.plus(DAY));
        record.parts.push(Part { seal: Seal::Subject, bytes: vec![1, 2, 3] });
        record
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = sample();
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn names_are_those_that_json_has() {
        for kind in RecordType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(RecordType::from_name(&kind.name()), Some(kind));
        }
        for class in Class::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
            assert_eq!(Class::from_name(class.name()), Some(class));
        }
    }

    #[test]
    fn the_layout_is_final() {
        let bytes = sample().encode();
        assert_eq!(bytes.len(), 1 + 1 + 2 + 16 + 8 + 16 + 8 + 16 + 1 + (5 + 2) + (5 + 3));
        assert_eq!(&bytes[..4], &[1, 2, 0, 32]);
        assert_eq!(&bytes[20..28], &1_795_255_200_000_u64.to_be_bytes());
    }

    #[test]
    fn cut_longer_newer_and_misfiled_records_are_refused() {
        let bytes = sample().encode();
        for length in 0..bytes.len() {
            assert!(Record::decode(&bytes[..length]).is_err(), "{length}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Record::decode(&longer), Err(RecordError::Malformed));
        let mut newer = bytes.clone();
        newer[0] = 2;
        assert_eq!(Record::decode(&newer), Err(RecordError::Newer(2)));
        let mut misfiled = bytes;
        misfiled[1] = Class::AccessLog.number();
        assert_eq!(Record::decode(&misfiled), Err(RecordError::Malformed));
    }

    #[test]
    fn numbers_on_disk_are_unique_and_found_again() {
        for class in Class::ALL {
            assert_eq!(Class::from_number(class.number()), Some(class));
        }
        for kind in RecordType::ALL {
            assert_eq!(RecordType::from_number(kind.number()), Some(kind));
        }
    }

    #[test]
    fn the_promises_with_numbers_hold() {
        assert_eq!(Class::OcspRequestLog.retention().ceiling, Some(7 * DAY));
        assert!(Class::Issuance.retention().floor >= Some(7 * 365 * DAY));
    }
}
