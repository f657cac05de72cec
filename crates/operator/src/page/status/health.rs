//! What the health report says, in the page's words.

use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::health::{
    ClockReport, IssuerReport, Lack, Level, QueueReport, Report, Role, StorageReport,
};

use crate::page::Mood;
use crate::page::words::{Moment, counted, percent, size, span, thousands};

/// What the page shows of a report.
pub(super) struct Health {
    pub(super) environment: String,
    pub(super) version: String,
    pub(super) started: Moment,
    /// Worst first.
    pub(super) lacks: Vec<Lacking>,
    pub(super) parts: Vec<Part>,
    pub(super) issuers: Vec<Issuer>,
    pub(super) certificates: Vec<OwnCertificate>,
    pub(super) queues: Vec<Measure>,
    pub(super) storage: Vec<Measure>,
}

/// Something that a role lacks.
pub(super) struct Lacking {
    pub(super) mood: Mood,
    pub(super) word: &'static str,
    pub(super) role: &'static str,
    pub(super) detail: String,
    pub(super) fix: String,
    pub(super) code: &'static str,
}

/// A role.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) mood: Mood,
    pub(super) word: String,
}

/// An issuing CA.
pub(super) struct Issuer {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) ends: Moment,
    pub(super) crl: Option<Crl>,
    pub(super) ocsp_certificate_ends: Option<Moment>,
    pub(super) oldest_answer: Option<Moment>,
}

/// An issuer's current CRL.
pub(super) struct Crl {
    pub(super) number: String,
    pub(super) entries: String,
    pub(super) made: Moment,
    pub(super) next: Moment,
}

/// A certificate of a listener.
pub(super) struct OwnCertificate {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) begins: Moment,
    pub(super) ends: Moment,
}

/// A number, and how much of what there is it is.
pub(super) struct Measure {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) percent: Option<u64>,
}

impl Health {
    pub(super) fn new(report: &Report, now: Timestamp) -> Self {
        let lacks =
            report.roles.iter().flat_map(|role| role.lacks.iter().map(|lack| lacking(role.role, lack)));
        let mut lacks: Vec<Lacking> = lacks.collect();
        lacks.sort_by_key(|lack| std::cmp::Reverse(lack.mood));
        let certificates = report.certificates.iter().map(|certificate| OwnCertificate {
            name: certificate.name.clone(),
            kind: certificate.kind.clone(),
            begins: Moment::new(certificate.not_before, now),
            ends: Moment::new(certificate.not_after, now),
        });
        let mut storage = storage(&report.storage);
        storage.push(clock(&report.clock));
        Self {
            environment: report.environment.clone(),
            version: report.version.clone(),
            started: Moment::new(report.started, now),
            lacks,
            parts: report.roles.iter().map(|role| part(role.role, role.ready, &role.lacks)).collect(),
            issuers: report.issuers.iter().map(|one| issuer(one, now)).collect(),
            certificates: certificates.collect(),
            queues: report.queues.iter().map(queue).collect(),
            storage,
        }
    }

    /// The one sentence on top.
    pub(super) fn headline(&self) -> (Mood, String) {
        let failing = self.parts.iter().filter(|part| part.mood == Mood::Failing).count();
        let (failing, warnings) = (number(failing), number(self.lacks.len()));
        match (failing, warnings) {
            (0, 0) => (Mood::Good, "All parts are ready".to_owned()),
            (0, warnings) => {
                (Mood::Warning, format!("All parts are ready, with {}", counted(warnings, "warning")))
            }
            (1, _) => (Mood::Failing, "1 part is not ready".to_owned()),
            (failing, _) => (Mood::Failing, format!("{failing} parts are not ready")),
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Frontend => "Front end",
        Role::Validation => "Validation",
        Role::Signer => "Signer",
        Role::Responder => "Responder",
        Role::Store => "Store",
        Role::Journal => "Journal",
    }
}

fn about(role: Role) -> &'static str {
    match role {
        Role::Frontend => "ACME over https",
        Role::Validation => "Challenges and CAA",
        Role::Signer => "Keys and time",
        Role::Responder => "OCSP and CRLs",
        Role::Store => "State and disk",
        Role::Journal => "Archive of records",
    }
}

fn lacking(role: Role, lack: &Lack) -> Lacking {
    let (mood, word) = match lack.level {
        Level::Warning => (Mood::Warning, "Warning"),
        Level::Failing => (Mood::Failing, "Failing"),
    };
    let (detail, fix, code) = (lack.detail.clone(), lack.fix.clone(), lack.code.name());
    Lacking { mood, word, role: name(role), detail, fix, code }
}

fn part(role: Role, ready: bool, lacks: &[Lack]) -> Part {
    let (mood, word) = match (ready, number(lacks.len())) {
        (false, _) => (Mood::Failing, "not ready".to_owned()),
        (true, 0) => (Mood::Good, "ready".to_owned()),
        (true, warnings) => (Mood::Warning, counted(warnings, "warning")),
    };
    Part { name: name(role), about: about(role), mood, word }
}

fn issuer(report: &IssuerReport, now: Timestamp) -> Issuer {
    let crl = report.crl.as_ref().map(|crl| Crl {
        number: thousands(crl.number),
        entries: match crl.entries {
            1 => "1 entry".to_owned(),
            entries => format!("{} entries", thousands(entries)),
        },
        made: Moment::new(crl.this_update, now),
        next: Moment::new(crl.next_update, now),
    });
    Issuer {
        name: report.name.to_string(),
        key: report.key.clone(),
        ends: Moment::new(report.not_after, now),
        crl,
        ocsp_certificate_ends: report.ocsp_certificate_not_after.map(|at| Moment::new(at, now)),
        oldest_answer: report.oldest_answer.map(|at| Moment::new(at, now)),
    }
}

fn queue(report: &QueueReport) -> Measure {
    let name = match report.name.as_str() {
        "checks" => "Challenges to check",
        "validations" => "Validations under way",
        "ocsp_signatures" => "OCSP signatures",
        "signing_events" => "Signatures to put on record",
        "transactions" => "Transactions to commit",
        other => other,
    };
    Measure {
        name: name.to_owned(),
        value: format!("{} of {}", thousands(report.waiting), thousands(report.max)),
        percent: percent(report.waiting, report.max),
    }
}

fn storage(report: &StorageReport) -> Vec<Measure> {
    let unknown = || "not known".to_owned();
    let plain = |name: &str, value: Option<String>| Measure {
        name: name.to_owned(),
        value: value.unwrap_or_else(unknown),
        percent: None,
    };
    let outbox = report.outbox_records.map(|records| match report.outbox_oldest_age_s {
        Some(age_s) if records > 0 => {
            format!("{}, the oldest {} old", thousands(records), span(Duration::from_secs(age_s)))
        }
        _ => thousands(records),
    });
    let disk = report.disk_free_bytes.zip(report.disk_bytes);
    let disk = Measure {
        name: "Disk of the state folder".to_owned(),
        value: disk.map_or_else(unknown, |(free, all)| format!("{} free of {}", size(free), size(all))),
        percent: disk.and_then(|(free, all)| percent(all.saturating_sub(free), all)),
    };
    vec![
        plain("Records that wait for the journal", outbox),
        disk,
        plain("Files of the store", report.store_bytes.map(size)),
        plain("Segments of the journal", report.journal_bytes.map(size)),
    ]
}

fn clock(report: &ClockReport) -> Measure {
    let seconds = |milliseconds: u64| format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100);
    let jump = seconds(report.jump_ms.unsigned_abs());
    let value = if report.behind_ms > 0 {
        format!("{} behind what is on record", seconds(report.behind_ms))
    } else if report.jump_ms >= 100 {
        format!("{jump} ahead since the start")
    } else if report.jump_ms <= -100 {
        format!("{jump} behind since the start")
    } else {
        "steady since the start".to_owned()
    };
    Measure { name: "Clock".to_owned(), value, percent: None }
}
