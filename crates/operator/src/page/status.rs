//! From facts to the words of the status page.

use askama::Template;
use ingam_authority::operator::{Approval, CertificateSummary, IssuedStatus, JobState, RevocationJob};
use ingam_protocol::Timestamp;

use super::words::{Moment, counted, percent, thousands};
use super::{Facts, Mood, Shown};
use crate::{LastError, Severity};

mod health;

use health::Health;

/// At most this many names of one certificate are shown.
const NAMES_MAX: usize = 4;

#[derive(Template)]
#[template(path = "status.html", whitespace = "minimize")]
pub(super) struct StatusPage {
    title: String,
    now: Moment,
    mood: Mood,
    headline: String,
    /// `None` if the report could not be had.
    health: Option<Health>,
    approvals: Shown<Waiting>,
    issuances: Shown<Issuance>,
    jobs: Shown<Job>,
    errors: Vec<Failure>,
    caller: String,
    roles: String,
}

/// An act that waits for a second person.
struct Waiting {
    id: String,
    act: String,
    reason: String,
    by: String,
    at: Moment,
    expires: Moment,
}

/// A certificate.
struct Issuance {
    names: Vec<String>,
    /// How many names are not shown.
    more: Option<String>,
    serial: String,
    mood: Mood,
    status: &'static str,
    reason: Option<String>,
    issued: Moment,
    ends: Moment,
    issuer: String,
}

/// A revocation job.
struct Job {
    id: String,
    reason: String,
    mood: Mood,
    state: &'static str,
    progress: String,
    percent: Option<u64>,
    revocation_reason: String,
    at: Moment,
    by: String,
}

/// An error or warning.
struct Failure {
    mood: Mood,
    kind: &'static str,
    message: String,
    /// Where in the program, and its code.
    place: String,
    count: String,
    last: Moment,
    request_id: Option<String>,
}

impl<T> Shown<T> {
    fn map<U>(&self, one: impl Fn(&T) -> U) -> Shown<U> {
        match self {
            Self::Here(items) => Shown::Here(items.iter().map(one).collect()),
            Self::Unread => Shown::Unread,
            Self::Hidden => Shown::Hidden,
        }
    }
}

impl StatusPage {
    pub(super) fn new(facts: &Facts) -> Self {
        let now = facts.now;
        let health = facts.report.as_ref().map(|report| Health::new(report, now));
        let (mood, headline) = match &health {
            Some(health) => health.headline(),
            None => (Mood::Unknown, "It is not known whether this CA is ready".to_owned()),
        };
        let environment = facts.report.as_ref().map_or("status", |report| report.environment.as_str());
        let roles: Vec<&str> = facts.roles.iter().map(|role| role.name()).collect();
        Self {
            title: format!("{headline} – Ingam, {environment}"),
            now: Moment::new(now, now),
            mood,
            headline,
            health,
            approvals: facts.approvals.map(|approval| waiting(approval, now)),
            issuances: facts.certificates.map(|found| issuance(found, now)),
            jobs: facts.jobs.map(|job| revocation_job(job, now)),
            errors: facts.errors.iter().map(|error| failure(error, now)).collect(),
            caller: facts.caller.to_string(),
            roles: roles.join(" and "),
        }
    }

    /// The sections there are, for the list of links: anchor and title.
    fn sections(&self) -> Vec<(&'static str, String)> {
        let mut sections = Vec::new();
        let mut add = |anchor, title: &str| sections.push((anchor, title.to_owned()));
        if let Some(health) = &self.health
            && !health.lacks.is_empty()
        {
            add("attention", &format!("What to look at ({})", health.lacks.len()));
        }
        match &self.approvals {
            Shown::Here(waiting) if !waiting.is_empty() => {
                add("waiting", &format!("Waiting ({})", waiting.len()));
            }
            Shown::Unread => add("waiting", "Waiting"),
            Shown::Here(_) | Shown::Hidden => {}
        }
        if self.health.is_some() {
            let all =
                [("parts", "Parts"), ("issuers", "Issuers"), ("queues", "Queues"), ("storage", "Storage")];
            all.iter().for_each(|(anchor, title)| add(anchor, title));
        }
        add("issuances", "Issuances");
        if !matches!(self.jobs, Shown::Hidden) {
            add("jobs", "Revocation jobs");
        }
        let errors = match self.errors.len() {
            0 => "Errors".to_owned(),
            number => format!("Errors ({number})"),
        };
        add("errors", &errors);
        sections
    }
}

fn waiting(approval: &Approval, now: Timestamp) -> Waiting {
    Waiting {
        id: approval.id.to_string(),
        act: approval.act.clone(),
        reason: approval.reason.clone(),
        by: approval.by.to_string(),
        at: Moment::new(approval.at, now),
        expires: Moment::new(approval.expires, now),
    }
}

fn issuance(found: &CertificateSummary, now: Timestamp) -> Issuance {
    let (mood, reason) = match found.status {
        IssuedStatus::Good => (Mood::Good, None),
        IssuedStatus::Revoked { reason, .. } => (Mood::Revoked, Some(reason.to_string())),
        IssuedStatus::Expired => (Mood::Over, None),
    };
    let more = found.identifiers.len().saturating_sub(NAMES_MAX);
    let more = (more > 0).then(|| {
        let count = u64::try_from(more).unwrap_or(u64::MAX);
        format!("and {}", counted(count, "more name"))
    });
    Issuance {
        names: found.identifiers.iter().take(NAMES_MAX).map(ToString::to_string).collect(),
        more,
        serial: found.serial.to_string(),
        mood,
        status: found.status.name(),
        reason,
        issued: Moment::new(found.row.issued, now),
        ends: Moment::new(found.row.not_after, now),
        issuer: found.issuer.to_string(),
    }
}

fn revocation_job(job: &RevocationJob, now: Timestamp) -> Job {
    let mood = match job.state {
        JobState::Done => Mood::Good,
        JobState::Gathering | JobState::Running => Mood::Going,
        JobState::Paused => Mood::Paused,
        JobState::Cancelled => Mood::Over,
    };
    let dealt_with = job.revoked.saturating_add(job.skipped);
    let skipped = match job.skipped {
        0 => String::new(),
        skipped => format!("; {} by others", thousands(skipped)),
    };
    Job {
        id: job.id.to_string(),
        reason: job.reason.clone(),
        mood,
        state: job.state.name(),
        progress: format!("{} of {}{skipped}", thousands(job.revoked), thousands(job.total)),
        percent: percent(dealt_with, job.total).filter(|_| !job.state.is_over()),
        revocation_reason: job.revocation_reason.to_string(),
        at: Moment::new(job.at, now),
        by: job.by.to_string(),
    }
}

fn failure(error: &LastError, now: Timestamp) -> Failure {
    let (mood, kind) = match error.severity {
        Severity::Warning => (Mood::Warning, "warning"),
        Severity::Error => (Mood::Failing, "error"),
    };
    let part = error.part.trim_start_matches("ingam_");
    Failure {
        mood,
        kind,
        message: error.message.clone(),
        place: error.code.as_ref().map_or_else(|| part.to_owned(), |code| format!("{code} in {part}")),
        count: match error.count {
            1 => "once".to_owned(),
            count => counted(count, "time"),
        },
        last: Moment::new(error.last, now),
        request_id: error.request_id.clone(),
    }
}
