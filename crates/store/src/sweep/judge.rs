//! What is known of each row decides whether it goes: one function a table, on facts alone.

use super::{Going, Look, Pass, Terms, Verdict, due_at, has_below, row};
use crate::approval::Approval;
use crate::case::{CASE_SUBJECTS_MAX, Case, CaseSubject, case_prefix};
use crate::certificate::certificate_get;
use crate::engine::Table;
use crate::error::Error;
use crate::external_key::ExternalKey;
use crate::hold::Hold;
use crate::incident::Incident;
use crate::revocation_job::RevocationJob;
use crate::search::index_keys;
use crate::table::{
    ACCOUNTS, ACCOUNTS_BY_KEY, APPROVALS, AUTHORIZATIONS, AUTHORIZATIONS_BY_IDENTIFIER, CASE_SUBJECTS, CASES,
    CERTIFICATES, CERTIFICATES_BY_ACCOUNT, CERTIFICATES_BY_TIME, CHALLENGES_OPEN, CONTACTS, EXTERNAL_KEYS,
    EXTERNAL_SECRETS, HOLDS, HOLDS_OPEN, INCIDENT_CERTIFICATES, INCIDENTS, LIMIT_SPENDS, ORDERS,
    ORDERS_BY_ACCOUNT, REVOCATION_ITEMS, REVOCATION_JOBS, REVOCATION_JOBS_OPEN, SUBJECTS, certificate_key,
    certificate_of, domain_key, end_of, identifier_key,
};
use ingam_protocol::Timestamp;
use ingam_protocol::acme::{Account, Authorization, AuthorizationStatus, Order};
use ingam_protocol::identifier::Host;
use serde::de::DeserializeOwned;

/// Judges one row.
pub(super) fn judge(
    look: &dyn Look,
    pass: Pass,
    terms: &Terms,
    now: Timestamp,
    (key, value): (&[u8], Vec<u8>),
) -> Result<Verdict, Error> {
    let table = pass.table();
    fn read<T: DeserializeOwned>(table: Table, value: Vec<u8>) -> Result<T, Error> {
        serde_json::from_slice(&value).map_err(|cause| Error::Row(table.name(), Box::new(cause)))
    }
    match pass {
        Pass::OrdersInHand => order_in_hand(look, terms, now, &read(table, value)?),
        Pass::OrdersClaimed => order_claimed(look, terms, now, &read(table, value)?),
        Pass::AuthorizationsInHand => authorization_in_hand(look, terms, now, &read(table, value)?),
        Pass::AuthorizationsShown => authorization_shown(look, terms, now, &read(table, value)?),
        Pass::Certificates => certificate(look, terms, now, key),
        Pass::IncidentCertificates => incident_certificate(look, terms, now, key),
        Pass::Incidents => incident(look, terms, now, &read(table, value)?),
        Pass::RevocationJobs => revocation_job(look, terms, now, &read(table, value)?),
        Pass::Approvals => approval(look, terms, now, &read(table, value)?),
        Pass::Accounts => account(look, terms, now, &read(table, value)?),
        Pass::ExternalKeys => external_key(look, terms, now, &read(table, value)?),
        Pass::Cases => case(look, terms, now, &read(table, value)?),
        Pass::Holds => hold(look, terms, now, &read(table, value)?),
    }
}

fn order_in_hand(look: &dyn Look, terms: &Terms, now: Timestamp, order: &Order) -> Result<Verdict, Error> {
    if order.claim.is_some() || order.certificate.is_some() {
        return Ok(Verdict::Never);
    }
    // One that waits for the signer ends by the signer, not by time.
    if order.waiting.is_some() && order.failure.is_none() {
        return Ok(Verdict::Later);
    }
    let mut going = Going::new(order.created, order.expires).of(order.account);
    going.take_order(look, order)?;
    Ok(due_at(order.expires.plus(terms.working), now, going))
}

fn order_claimed(look: &dyn Look, terms: &Terms, now: Timestamp, order: &Order) -> Result<Verdict, Error> {
    let Some(claim) = &order.claim else { return Ok(Verdict::Never) };
    let key = certificate_key(&claim.issuer, &claim.serial);
    // With a certificate it goes when that goes; one that has neither certificate nor failure is at work.
    if look.value(CERTIFICATES, &key)?.is_some() || (order.failure.is_none() && order.certificate.is_none()) {
        return Ok(Verdict::Later);
    }
    let mut going = Going::new(order.created, order.created.max(claim.lease_until)).of(order.account);
    going.certificate = Some((claim.issuer.clone(), claim.serial.clone()));
    going.take_order(look, order)?;
    going.take_serial(look, &key)?;
    let due = going.latest.plus(terms.issuance).max(claim.not_after.plus(terms.after_end));
    Ok(due_at(due, now, going))
}

fn authorization_in_hand(
    look: &dyn Look,
    terms: &Terms,
    now: Timestamp,
    authorization: &Authorization,
) -> Result<Verdict, Error> {
    if authorization.valid_challenge().is_some() {
        return Ok(Verdict::Never);
    }
    if authorization.status(now) == AuthorizationStatus::Pending {
        return Ok(Verdict::Later);
    }
    let finished = authorization.challenges.iter().filter_map(|one| Some(one.finished.as_ref()?.at)).max();
    let end = authorization.pending_until.max(finished.unwrap_or(authorization.created));
    let going = authorization_rows(look, authorization, end)?;
    Ok(due_at(end.plus(terms.working), now, going))
}

fn authorization_shown(
    look: &dyn Look,
    terms: &Terms,
    now: Timestamp,
    authorization: &Authorization,
) -> Result<Verdict, Error> {
    let shown = authorization.valid_challenge().and_then(|challenge| Some(challenge.finished.as_ref()?.at));
    let Some(shown) = shown else { return Ok(Verdict::Never) };
    let end = authorization.expires();
    // A certificate may have been made in its last moment, and rests on it until it ends.
    let due = shown.plus(terms.issuance).max(end.plus(terms.issuance));
    let due = due.max(end.plus(terms.lifetime).plus(terms.after_end));
    let going = authorization_rows(look, authorization, end)?;
    Ok(due_at(due, now, going))
}

fn authorization_rows(
    look: &dyn Look,
    authorization: &Authorization,
    end: Timestamp,
) -> Result<Going, Error> {
    let id = *authorization.id.as_bytes();
    let mut going = Going::new(authorization.created, end).of(authorization.account);
    going.take(look, AUTHORIZATIONS, id.to_vec())?;
    for challenge in &authorization.challenges {
        let key = [id.as_slice(), challenge.kind.name().as_bytes()].concat();
        going.take(look, LIMIT_SPENDS, key.clone())?;
        going.take(look, CHALLENGES_OPEN, key)?;
    }
    let by = match (&authorization.host, authorization.subdomains) {
        (Host::Name(domain), true) => domain_key(authorization.account, domain),
        _ => identifier_key(authorization.account, &authorization.identifier()),
    };
    going.take_if(look, AUTHORIZATIONS_BY_IDENTIFIER, by, &id)?;
    Ok(going)
}

/// `key` is of the index by time.
fn certificate(look: &dyn Look, terms: &Terms, now: Timestamp, key: &[u8]) -> Result<Verdict, Error> {
    let bad = || Error::Row("an index of certificates", "a key names no certificate".into());
    let (time, certificate) = key.split_first_chunk::<8>().ok_or_else(bad)?;
    let issued = Timestamp::from_unix_ms(u64::from_be_bytes(*time));
    let (issuer, serial) = certificate_of(certificate).ok_or_else(bad)?;
    let Some(row) = certificate_get(certificate, |table, key| look.value(table, key))? else {
        let mut going = Going::new(issued, issued);
        going.rows.push((CERTIFICATES_BY_TIME, key.to_vec()));
        return Ok(Verdict::Due(Box::new(going)));
    };
    let due = row.issued.plus(terms.issuance).max(row.not_after.plus(terms.after_end));
    let mut going = Going::new(row.issued, row.issued).of(row.account);
    going.certificate = Some((issuer.clone(), serial.clone()));
    if now < due {
        return Ok(Verdict::Later);
    }
    let order: Option<Order> = self::row(look, ORDERS, row.order.as_bytes())?;
    let identifiers = order.as_ref().map(|order| order.identifiers.as_slice()).unwrap_or_default();
    for (table, key) in index_keys(&issuer, &serial, &row, identifiers) {
        going.take(look, table, key)?;
    }
    going.take(look, CERTIFICATES, certificate.to_vec())?;
    going.take_serial(look, certificate)?;
    if let Some(order) = &order {
        going.take_order(look, order)?;
    }
    Ok(Verdict::Due(Box::new(going)))
}

/// From when on an incident or a job goes: what it was about had ended by then, whatever it was.
fn about_certificates(at: Timestamp, terms: &Terms) -> Timestamp {
    at.plus(terms.issuance.max(terms.lifetime.saturating_add(terms.after_end)))
}

fn incident_certificate(
    look: &dyn Look,
    terms: &Terms,
    now: Timestamp,
    key: &[u8],
) -> Result<Verdict, Error> {
    let bad = || Error::Row("an incident", "a key names no certificate".into());
    let at = key.iter().position(|byte| *byte == 0).ok_or_else(bad)?;
    let (name, certificate) = (key.get(..at).unwrap_or_default(), key.get(at + 1..).unwrap_or_default());
    if look.value(CERTIFICATES, certificate)?.is_some() {
        return Ok(Verdict::Later);
    }
    let incident: Option<Incident> = row(look, INCIDENTS, name)?;
    let opened = incident.map_or(now, |incident| incident.at);
    let mut going = Going::new(opened, opened);
    going.certificate = certificate_of(certificate);
    going.rows.push((INCIDENT_CERTIFICATES, key.to_vec()));
    Ok(due_at(opened.plus(terms.issuance), now, going))
}

fn incident(look: &dyn Look, terms: &Terms, now: Timestamp, incident: &Incident) -> Result<Verdict, Error> {
    let name = incident.name.as_bytes();
    if has_below(look, INCIDENT_CERTIFICATES, &[name, &[0]].concat())? {
        return Ok(Verdict::Later);
    }
    let mut going = Going::new(incident.at, incident.at);
    going.take(look, INCIDENTS, name.to_vec())?;
    Ok(due_at(about_certificates(incident.at, terms), now, going))
}

fn revocation_job(
    look: &dyn Look,
    terms: &Terms,
    now: Timestamp,
    job: &RevocationJob,
) -> Result<Verdict, Error> {
    let id = job.id.as_bytes();
    let (Some(ended), true) = (job.ended, job.state.is_over()) else { return Ok(Verdict::Later) };
    if look.value(REVOCATION_JOBS_OPEN, id)?.is_some() || has_below(look, REVOCATION_ITEMS, id)? {
        return Ok(Verdict::Later);
    }
    let mut going = Going::new(job.at, ended);
    going.take(look, REVOCATION_JOBS, id.to_vec())?;
    Ok(due_at(about_certificates(ended, terms), now, going))
}

fn approval(look: &dyn Look, terms: &Terms, now: Timestamp, approval: &Approval) -> Result<Verdict, Error> {
    let end = approval.decision.as_ref().map_or(approval.expires, |decision| decision.at);
    let mut going = Going::new(approval.at, end);
    going.take(look, APPROVALS, approval.id.as_bytes().to_vec())?;
    Ok(due_at(end.plus(terms.access_log), now, going))
}

fn account(look: &dyn Look, terms: &Terms, now: Timestamp, account: &Account) -> Result<Verdict, Error> {
    let Some(ended) = account.deactivated else { return Ok(Verdict::Later) };
    let id = account.id.as_bytes();
    if has_below(look, ORDERS_BY_ACCOUNT, id)? || has_below(look, CERTIFICATES_BY_ACCOUNT, id)? {
        return Ok(Verdict::Later);
    }
    let mut going = Going::new(account.created, ended).of(account.id);
    going.take(look, ACCOUNTS, id.to_vec())?;
    going.take_if(look, ACCOUNTS_BY_KEY, account.key.thumbprint().to_vec(), id)?;
    going.take(look, CONTACTS, id.to_vec())?;
    going.take(look, SUBJECTS, id.to_vec())?;
    Ok(due_at(about_certificates(ended, terms), now, going))
}

fn external_key(look: &dyn Look, terms: &Terms, now: Timestamp, key: &ExternalKey) -> Result<Verdict, Error> {
    let withdrawn = key.withdrawn.as_ref().map(|withdrawn| withdrawn.at);
    let end = match key.bound {
        Some(bound) if look.value(ACCOUNTS, bound.account.as_bytes())?.is_some() => None,
        Some(bound) => Some(bound.at.max(withdrawn.unwrap_or(bound.at))),
        None => withdrawn.or(key.expires.filter(|expires| *expires <= now)),
    };
    let Some(end) = end else { return Ok(Verdict::Later) };
    let id = key.id.as_bytes();
    // Before it was bound, it was a subject of its own, and a hold may be about either.
    let mut going = Going::new(key.at, end).of(key.bound.map_or(key.id, |bound| bound.account));
    going.accounts.push(key.id);
    going.take(look, EXTERNAL_KEYS, id.to_vec())?;
    going.take(look, EXTERNAL_SECRETS, id.to_vec())?;
    Ok(due_at(end.plus(terms.issuance.max(terms.after_end)), now, going))
}

fn case(look: &dyn Look, terms: &Terms, now: Timestamp, case: &Case) -> Result<Verdict, Error> {
    let (Some(keep), Some(closed)) = (terms.retention, &case.closed) else { return Ok(Verdict::Later) };
    let stays = keep.max(terms.after_end);
    // So that most cases are judged without a look at their subjects.
    if now < closed.at.plus(stays) {
        return Ok(Verdict::Later);
    }
    let (mut going, mut is_whole) = (Going::new(case.at, closed.at), true);
    let prefix = case_prefix(&case.name);
    let (mut from, to) = (prefix.clone(), end_of(&prefix));
    loop {
        let page = look.some(CASE_SUBJECTS, &from, to.as_deref(), CASE_SUBJECTS_MAX)?;
        let is_last = page.len() < CASE_SUBJECTS_MAX;
        for (key, value) in page {
            let subject: CaseSubject = serde_json::from_slice(&value)
                .map_err(|cause| Error::Row(CASE_SUBJECTS.name(), Box::new(cause)))?;
            // What a ban put off is owed for as long as nobody did it.
            if case.owes(&subject) {
                return Ok(Verdict::Later);
            }
            going.latest = going.latest.max(subject.notice.map_or(closed.at, |notice| notice.at));
            if !case.everybody {
                going.accounts.push(subject.subject);
            }
            from = [key.as_slice(), &[0]].concat();
            is_whole = going.rows.len() < CASE_SUBJECTS_MAX;
            if is_whole {
                going.rows.push((CASE_SUBJECTS, key));
            }
        }
        if is_last {
            break;
        }
    }
    // One about everybody can have more subjects than fit into a transaction: the case itself goes with the last of them.
    if is_whole {
        going.take(look, CASES, case.name.as_bytes().to_vec())?;
    }
    Ok(due_at(going.latest.plus(stays), now, going))
}

fn hold(look: &dyn Look, terms: &Terms, now: Timestamp, hold: &Hold) -> Result<Verdict, Error> {
    let Some(keep) = terms.retention.filter(|_| !hold.is_in_force(now)) else { return Ok(Verdict::Later) };
    let id = hold.id.as_bytes();
    let mut going = Going::new(hold.opened, hold.end());
    going.take(look, HOLDS, id.to_vec())?;
    going.take(look, HOLDS_OPEN, id.to_vec())?;
    Ok(due_at(hold.end().plus(keep.max(terms.after_end)), now, going))
}
