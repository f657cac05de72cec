//! From what the authority knows to what goes over the wire, and back.

mod cases;
mod requests;
mod retention;

use ingam_authority::operator::{
    AccountView, Approval, CertificateEvidence, CertificateFilter, CertificateSummary, ExternalKey,
    ExternalKeyStatus, Found, Grant, Incident, IssuedBetween, IssuedStatus, KeyBlock, KeyName, LimitOverride,
    LimitsShown, NameRule, Pause, Plan, PlannedJob, RevocationJob, Selection as Selected, SubjectSummary,
};
use ingam_authority::{DryRun, Look, OrderView, RenewalSummary, Standing, Trial};
use ingam_protocol::acme::{self, ErrorType, Failure, Verdict};
use ingam_protocol::bytes::{base64url, hex};
use ingam_protocol::limit::Favoured;
use ingam_protocol::profile::{IssuerName, ProfileName};
use ingam_protocol::record::{Record, Seal};
use ingam_protocol::{Reason, Timestamp, pem};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::api;
use crate::extract;
use crate::problem::Problem;

pub(crate) use cases::{
    case, case_detail, due_notice, new_case, new_disclosure, objection, telling, transparency_report,
};
pub(crate) use requests::{held_request, request_hold, request_hour, request_log};
pub(crate) use retention::{new_scope, record_hold, retention, retention_report};

/// At most this many serial numbers are one selection.
const SERIALS_MAX: usize = 10_000;
/// At most this many certificates are revoked in a second.
const PER_SECOND_MAX: u32 = 10_000;

pub(crate) fn page<T, U>(
    found: Found<T>,
    next: impl Fn(&[u8]) -> String,
    one: impl Fn(T) -> U,
) -> api::Page<U> {
    let next = found.next.map(|place| next(&place));
    api::Page { items: found.items.into_iter().map(one).collect(), next }
}

/// A word of ours as its type writes it.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn failure(error: ErrorType, detail: &str) -> String {
    format!("{}: {detail}", error.name())
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::to_rfc3339)
}

pub(crate) fn account(view: &AccountView, url_prefix: &str) -> api::Account {
    let account = &view.account;
    api::Account {
        id: account.id.to_string(),
        url: format!("{url_prefix}{}", account.id),
        status: word(&account.status()),
        created: account.created.to_rfc3339(),
        terms_agreed: time(account.terms_agreed),
        deactivated: time(account.deactivated),
        key_thumbprint: base64url(&account.key.thumbprint()),
        key_kind: account.key.kind_name(),
        key_blocked: view.key_blocked,
        external_key: account.external.as_ref().map(|external| external.key.to_string()),
    }
}

/// What another crate writes as JSON by itself.
pub(crate) fn value(told: &impl serde::Serialize) -> Value {
    serde_json::to_value(told).unwrap_or_default()
}

pub(crate) fn subject(found: &SubjectSummary) -> api::Subject {
    let told = found.row.told.as_ref();
    api::Subject {
        account: found.account.to_string(),
        contacts: found.contacts.iter().map(|contact| contact.expose().to_owned()).collect(),
        since: found.row.since.to_rfc3339(),
        due: found.due.to_rfc3339(),
        told: time(told.map(|told| told.at)),
        told_by: told.map(|told| told.by.to_string()),
        mail_objected: time(found.row.mail_objected),
    }
}

pub(crate) fn external_key(key: &ExternalKey, now: Timestamp) -> api::ExternalKey {
    let withdrawn = key.withdrawn.as_ref();
    api::ExternalKey {
        id: key.id.to_string(),
        holder: key.holder.clone(),
        status: ExternalKeyStatus::of(key, now).name().to_owned(),
        profiles: key.profiles.iter().map(ToString::to_string).collect(),
        names: key.names.iter().map(ToString::to_string).collect(),
        by: key.by.to_string(),
        created: key.at.to_rfc3339(),
        expires: time(key.expires),
        account: key.bound.map(|bound| bound.account.to_string()),
        bound: time(key.bound.map(|bound| bound.at)),
        withdrawn_by: withdrawn.map(|withdrawn| withdrawn.by.to_string()),
        withdrawn: time(withdrawn.map(|withdrawn| withdrawn.at)),
        withdrawal_reason: withdrawn.map(|withdrawn| withdrawn.reason.clone()),
    }
}

pub(crate) fn order(view: &OrderView) -> api::Order {
    let order = &view.order;
    api::Order {
        id: order.id.to_string(),
        account: order.account.to_string(),
        status: word(&view.status),
        identifiers: order.identifiers.iter().map(ToString::to_string).collect(),
        profile: order.profile.to_string(),
        created: order.created.to_rfc3339(),
        expires: order.expires.to_rfc3339(),
        authorizations: order.authorizations.iter().map(ToString::to_string).collect(),
        certificate: order.certificate.as_ref().map(ToString::to_string),
        error: view.error.as_ref().map(|why| failure(why.error, &why.detail)),
    }
}

pub(crate) fn authorization(found: &acme::Authorization, now: Timestamp) -> api::Authorization {
    let challenges = found.challenges.iter().map(|challenge| api::Challenge {
        kind: challenge.kind.name().to_owned(),
        status: word(&challenge.status()),
        answered: time(challenge.answered),
        finished: challenge.finished.as_ref().map(|finished| finished.at.to_rfc3339()),
        error: challenge.finished.as_ref().and_then(|finished| match &finished.verdict {
            Verdict::Valid => None,
            Verdict::Invalid(why) => Some(failure(why.error, &why.detail)),
        }),
    });
    api::Authorization {
        id: found.id.to_string(),
        account: found.account.to_string(),
        identifier: found.identifier().to_string(),
        status: word(&found.status(now)),
        created: found.created.to_rfc3339(),
        expires: found.expires().to_rfc3339(),
        challenges: challenges.collect(),
    }
}

pub(crate) fn certificate(found: &CertificateSummary) -> api::Certificate {
    let (revoked, revocation_reason) = match found.status {
        IssuedStatus::Revoked { at, reason } => (Some(at.to_rfc3339()), Some(reason.to_string())),
        IssuedStatus::Good | IssuedStatus::Expired => (None, None),
    };
    api::Certificate {
        serial: found.serial.to_string(),
        issuer: found.issuer.to_string(),
        status: found.status.name().to_owned(),
        names: found.identifiers.iter().map(ToString::to_string).collect(),
        issued: found.row.issued.to_rfc3339(),
        not_before: found.row.not_before.to_rfc3339(),
        not_after: found.row.not_after.to_rfc3339(),
        revoked,
        revocation_reason,
        account: found.row.account.to_string(),
        order: found.row.order.to_string(),
        key_thumbprint: base64url(&found.row.key_thumbprint),
    }
}

pub(crate) fn certificate_detail(
    found: &CertificateSummary,
    chain: &[Vec<u8>],
    renewal: &RenewalSummary,
) -> api::CertificateDetail {
    let leaf = pem::certificate(&found.row.der);
    let rest = chain.iter().map(|der| pem::certificate(der));
    api::CertificateDetail {
        certificate: certificate(found),
        fingerprint: hex(digest(&SHA256, &found.row.der).as_ref()),
        pem: std::iter::once(leaf).chain(rest).collect(),
        renewal: renewal.told.as_ref().map(|told| api::Renewal {
            start: told.window.start.to_rfc3339(),
            end: told.window.end.to_rfc3339(),
            explanation_url: told.explanation_url.clone(),
        }),
        replaces: renewal.replaces.as_ref().map(ToString::to_string),
        replaced_by_order: renewal.replaced_by.as_ref().map(|order| order.id.to_string()),
        replaced_by: renewal
            .replaced_by
            .as_ref()
            .and_then(|order| order.certificate.as_ref())
            .map(ToString::to_string),
    }
}

pub(crate) fn certificate_evidence(found: &CertificateEvidence) -> api::CertificateEvidence {
    let identifiers = found.identifiers.iter().map(|one| {
        let shown = one.shown();
        let finished = shown.and_then(|shown| shown.finished.as_ref());
        let host = &one.authorization.host;
        api::IdentifierEvidence {
            identifier: one.identifier.to_string(),
            authorization: one.authorization.id.to_string(),
            authorization_domain: one.authorization_domain(),
            challenge: shown.map(|shown| shown.kind.name().to_owned()),
            section: shown.map(|shown| shown.kind.baseline_section(host).to_owned()),
            answered: time(shown.and_then(|shown| shown.answered)),
            finished: time(finished.map(|finished| finished.at)),
            quorum: finished.and_then(|finished| finished.quorum).map(|quorum| quorum.to_string()),
            validation: one.validation.map(|id| id.to_string()),
        }
    });
    let mut records: Vec<&Record> = found.records.values().collect();
    records.sort_by_key(|record| (record.time, record.id));
    api::CertificateEvidence {
        certificate: certificate(&found.certificate),
        profile: found.order.as_ref().map(|order| order.profile.to_string()),
        identifiers: identifiers.collect(),
        prepared: found.prepared.map(|id| id.to_string()),
        records: records.into_iter().map(log_entry).collect(),
        missing: found.missing.clone(),
    }
}

/// The reason that CRLs and OCSP will say.
pub(crate) fn revocation_reason(text: &str) -> Result<Reason, Problem> {
    let numbers = [0, 1, 3, 4, 5, 9];
    let known = numbers.into_iter().filter_map(Reason::from_number).find(|reason| reason.to_string() == text);
    known.ok_or_else(|| {
        Problem::invalid(
            "revocation_reason is unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or \
             privilegeWithdrawn",
        )
    })
}

/// A selection as the authority takes it.
pub(crate) fn selection(sent: &api::Selection) -> Result<Selected, Problem> {
    if sent.serials.len() > SERIALS_MAX {
        return Err(Problem::invalid(format!(
            "at most {SERIALS_MAX} serial numbers at once: put more into an incident, and select that"
        )));
    }
    let serials: Vec<_> = sent.serials.iter().map(|text| extract::serial(text)).collect::<Result<_, _>>()?;
    let filter = CertificateFilter {
        serials: (!serials.is_empty()).then_some(serials),
        account: extract::optional(sent.account.as_ref(), extract::id)?,
        key: extract::optional(sent.key.as_ref(), extract::thumbprint)?,
        name: extract::optional(sent.name.as_ref(), extract::host)?,
        below: extract::optional(sent.below.as_ref(), extract::name)?,
        profile: None,
        issuer: extract::optional(sent.issuer.as_ref(), issuer)?,
        issued: IssuedBetween {
            from: extract::optional(sent.issued_from.as_ref(), extract::time)?,
            until: extract::optional(sent.issued_until.as_ref(), extract::time)?,
        },
        expires_until: None,
        status: None,
    };
    let selected = Selected { filter, incident: sent.incident.clone() };
    if selected == Selected::default() {
        return Err(Problem::invalid(
            "the selection is empty, which would mean every certificate: give at least one condition",
        ));
    }
    Ok(selected)
}

pub(crate) fn issuer(text: &str) -> Result<IssuerName, Problem> {
    IssuerName::try_from(text.to_owned()).map_err(Problem::invalid)
}

pub(crate) fn profile(text: &str) -> Result<ProfileName, Problem> {
    ProfileName::try_from(text.to_owned()).map_err(|_| Problem::invalid("profile is no name of a profile"))
}

pub(crate) fn planned_job(request: &api::RevocationRequest) -> Result<PlannedJob, Problem> {
    if !(1..=PER_SECOND_MAX).contains(&request.per_second) {
        return Err(Problem::invalid(format!("per_second has to lie between 1 and {PER_SECOND_MAX}")));
    }
    let told = serde_json::value::to_raw_value(&request.selection)
        .map_err(|_| Problem::invalid("the selection cannot be written down"))?;
    Ok(PlannedJob {
        selection: selection(&request.selection)?,
        told,
        reason: revocation_reason(&request.revocation_reason)?,
        per_second: request.per_second,
        expected: request.expected,
    })
}

pub(crate) fn plan(plan: &Plan) -> api::RevocationPlan {
    api::RevocationPlan {
        count: plan.count,
        already_revoked: plan.already_revoked,
        expired: plan.expired,
        missing: plan.missing,
        accounts: u64::try_from(plan.accounts.len()).unwrap_or(u64::MAX),
        sample: plan.sample.iter().map(certificate).collect(),
    }
}

pub(crate) fn job(job: &RevocationJob) -> api::RevocationJob {
    api::RevocationJob {
        id: job.id.to_string(),
        state: job.state.name().to_owned(),
        selection: serde_json::from_str(job.selection.get()).unwrap_or_default(),
        revocation_reason: job.revocation_reason.to_string(),
        per_second: job.per_second,
        total: job.total,
        revoked: job.revoked,
        skipped: job.skipped,
        by: job.by.to_string(),
        at: job.at.to_rfc3339(),
        ended: time(job.ended),
        reason: job.reason.clone(),
    }
}

pub(crate) fn incident(incident: &Incident) -> api::Incident {
    api::Incident {
        name: incident.name.clone(),
        summary: incident.summary.clone(),
        by: incident.by.to_string(),
        at: incident.at.to_rfc3339(),
        certificates: incident.certificates,
        explanation_url: incident.explanation_url.clone(),
    }
}

pub(crate) fn key_block(block: &KeyBlock) -> api::KeyBlock {
    let by = |name: KeyName, text: fn(&[u8]) -> String| (block.named_by == name).then(|| text(&block.hash));
    api::KeyBlock {
        thumbprint: by(KeyName::Thumbprint, base64url),
        spki_sha256: by(KeyName::SpkiSha256, hex),
        at: block.at.to_rfc3339(),
        revocation_reason: block.reason.to_string(),
        serial: block.serial.as_ref().map(ToString::to_string),
        by: block.by.map(|by| by.to_string()),
        reason: block.comment.clone(),
        source: block.source.clone(),
    }
}

pub(crate) fn name_rule(rule: &NameRule) -> api::NameRule {
    api::NameRule {
        name: rule.name.to_string(),
        verdict: word(&rule.verdict),
        exact: rule.exact,
        by: rule.by.to_string(),
        at: rule.at.to_rfc3339(),
        reason: rule.reason.clone(),
    }
}

pub(crate) fn limit_override(own: &LimitOverride) -> api::LimitOverride {
    let (account, domain) = match &own.favoured {
        Favoured::Account(id) => (Some(id.to_string()), None),
        Favoured::Domain(name) => (None, Some(name.to_string())),
    };
    api::LimitOverride {
        limit: own.limit.name().to_owned(),
        account,
        domain,
        count: own.in_force.count(),
        period_s: own.in_force.period().as_secs(),
        burst: own.in_force.burst(),
        until: own.until.to_rfc3339(),
        by: own.by.to_string(),
        at: own.at.to_rfc3339(),
        reason: own.reason.clone(),
    }
}

fn standing(standing: &Standing) -> api::LimitStanding {
    api::LimitStanding {
        limit: standing.limit.name().to_owned(),
        subject: standing.subject.to_string(),
        count: standing.in_force.count(),
        period_s: standing.in_force.period().as_secs(),
        of: standing.in_force.burst(),
        remaining: standing.left.remaining,
        next_at: standing.left.next_at.to_rfc3339(),
        override_until: time(standing.until),
    }
}

fn limit_pause(pause: &Pause) -> api::LimitPause {
    api::LimitPause {
        name: pause.name.clone(),
        failures: pause.failures,
        first: pause.first.to_rfc3339(),
        last: pause.last.to_rfc3339(),
        paused: time(pause.paused),
    }
}

pub(crate) fn limits(shown: &LimitsShown) -> api::LimitsShown {
    api::LimitsShown {
        limits: shown.limits.iter().map(standing).collect(),
        overrides: shown.overrides.iter().map(limit_override).collect(),
        pauses: shown.pauses.iter().map(limit_pause).collect(),
    }
}

pub(crate) fn tried(found: &DryRun) -> api::OrderTried {
    let is_reached = found.limits.iter().any(|one| one.left.remaining == 0);
    api::OrderTried {
        would_succeed: !is_reached && found.refusals.is_empty(),
        limits: found.limits.iter().map(standing).collect(),
        problems: found.refusals.iter().map(|refusal| failure(refusal.error, &refusal.detail)).collect(),
    }
}

pub(crate) fn validation_tried(trial: &Trial) -> api::ValidationTried {
    api::ValidationTried {
        name: trial.identifier.to_string(),
        challenge: trial.challenge.to_string(),
        token: trial.token.clone(),
        key_authorization: trial.key_authorization.clone(),
        would_validate: trial.would_validate(),
        control: look(&trial.control),
        caa: trial.caa.as_ref().map(look),
        validation_record: trial.validation_record.clone(),
    }
}

fn look(look: &Look) -> api::ValidationLook {
    let told = |failed: &Option<Failure>| failed.as_ref().map(|failed| failure(failed.error, &failed.detail));
    let remote = |(perspective, failed): &(String, Option<Failure>)| api::RemoteLook {
        perspective: perspective.clone(),
        problem: told(failed),
    };
    api::ValidationLook {
        passed: look.failure.is_none(),
        problem: told(&look.failure),
        quorum: look.quorum.map(|quorum| quorum.to_string()),
        remotes: look.remotes.iter().map(remote).collect(),
    }
}

pub(crate) fn grant(grant: &Grant) -> api::Grant {
    api::Grant {
        principal: grant.principal.to_string(),
        role: grant.role.to_string(),
        label: grant.label.clone(),
        by: grant.by.map(|by| by.to_string()),
        at: grant.at.to_rfc3339(),
        reason: grant.reason.clone(),
    }
}

pub(crate) fn approval(approval: &Approval, now: Timestamp) -> api::Approval {
    let status = match &approval.decision {
        Some(decision) if decision.approved => "approved",
        Some(_) => "refused",
        None if approval.expires <= now => "expired",
        None => "waiting",
    };
    api::Approval {
        id: approval.id.to_string(),
        act: approval.act.clone(),
        request: serde_json::from_str(approval.request.get()).unwrap_or_default(),
        status: status.to_owned(),
        by: approval.by.to_string(),
        at: approval.at.to_rfc3339(),
        expires: approval.expires.to_rfc3339(),
        reason: approval.reason.clone(),
        decided_by: approval.decision.as_ref().map(|decision| decision.by.to_string()),
        decided_at: approval.decision.as_ref().map(|decision| decision.at.to_rfc3339()),
    }
}

pub(crate) fn log_entry(record: &Record) -> api::LogEntry {
    let open = record.parts.iter().find(|part| part.seal == Seal::Open);
    let sealed_parts = record.parts.iter().filter(|part| part.seal == Seal::Subject).count();
    api::LogEntry {
        id: record.id.to_string(),
        time: record.time.to_rfc3339(),
        class: record.class().name().to_owned(),
        kind: record.kind.name(),
        subject: record.subject.map(|subject| subject.to_string()),
        end_of_life: time(record.end_of_life),
        payload: open.and_then(|part| serde_json::from_slice(&part.bytes).ok()).unwrap_or_default(),
        sealed_parts,
    }
}
