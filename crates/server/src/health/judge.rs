//! What is thought of the facts: one pure function, and a sentence with a way out for everything that a role lacks.

use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::corroboration::Quorum;
use ingam_protocol::health::{Code, IssuerReport, Lack, Level, QueueReport, Role, RoleReport};
use ingam_protocol::profile::IssuerName;
use ingam_responder::SigningCondition;
use ingam_signer::OCSP_DELEGATE_VALIDITY;
use ingam_validation::quorum::{Reachable, SILENT_FOR};

use crate::health::config::Config;
use crate::health::facts::{Facts, ProfileFacts};
use crate::health::look::Seen;

const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The clock may be off by this much: a step of NTP at a start is no news.
const CLOCK_WARNING: Duration = Duration::from_secs(5);
/// By this much it is wrong, now or before.
const CLOCK_FAILING: Duration = Duration::from_secs(5 * 60);
/// OCSP certificates are renewed when a third of their time is left, by a job that runs each minute.
const DELEGATE_RENEWAL_LATE: Duration = Duration::from_secs(3 * 60 * 60);
/// A CRL is signed anew at half of its time, by a job that looks every second.
const CRL_LATE: Duration = Duration::from_secs(10 * 60);
/// OCSP signatures that fail in a row and how lately, for it to be more than bad luck.
const SIGNING_FAILURES: u64 = 10;
const SIGNING_FAILING_FOR: Duration = Duration::from_secs(60);
const SIGNING_WARNED_FOR: Duration = Duration::from_secs(5 * 60);
/// For how long after the last try it is told that logs give no SCTs.
const TROUBLE_TOLD_FOR: Duration = Duration::from_secs(5 * 60);
/// For how long it is told that requests found no room in the request log.
const REQUESTS_DROPPED_TOLD_FOR: Duration = Duration::from_secs(5 * 60);
/// How long the oldest answer may be over its time before that is an alarm.
const ANSWER_LATE: Duration = Duration::from_secs(60);
/// A round of the comparison takes a minute at most, and the pause after it not much longer than the longest interval.
const COMPARED_WITHIN: Duration = Duration::from_secs(2 * 60 * 60);
/// A store that does not answer a read for so long hangs.
const READ_HANGS: Duration = Duration::from_secs(5);

/// Every role with what it lacks.
pub(super) fn judge(facts: &Facts, config: &Config) -> Vec<RoleReport> {
    Role::ALL
        .into_iter()
        .map(|role| {
            let lacks = match role {
                Role::Frontend => frontend(facts, config),
                Role::Validation => validation(facts),
                Role::Signer => signer(facts, config),
                Role::Responder => responder(facts, config),
                Role::Store => store(facts, config),
                Role::Journal => journal(facts, config),
            };
            RoleReport::new(role, lacks)
        })
        .collect()
}

fn lack(level: Level, code: Code, detail: impl Into<String>, fix: impl Into<String>) -> Lack {
    Lack { code, level, detail: detail.into(), fix: fix.into() }
}

fn warning(code: Code, detail: impl Into<String>, fix: impl Into<String>) -> Lack {
    lack(Level::Warning, code, detail, fix)
}

fn failing(code: Code, detail: impl Into<String>, fix: impl Into<String>) -> Lack {
    lack(Level::Failing, code, detail, fix)
}

fn failing_if(is_failing: bool) -> Level {
    if is_failing { Level::Failing } else { Level::Warning }
}

fn frontend(facts: &Facts, config: &Config) -> Vec<Lack> {
    let https = facts.certificates.iter().filter(|certificate| certificate.kind == "https");
    let judged = https.filter_map(|certificate| {
        let what = format!("the certificate of the https listeners ({})", certificate.name);
        let fix = "put a newer one into tls.certificate and tls.key, and have it read";
        let code = Code::HttpsCertificate;
        match left(facts.now, certificate.not_before, certificate.not_after, config) {
            Left::Enough => None,
            Left::Little(left) => Some(warning(code, format!("{what} ends in {}", lasting(left)), fix)),
            Left::None => Some(failing(code, format!("{what} ended at {}", certificate.not_after), fix)),
        }
    });
    let trouble = facts.renewal_trouble.as_ref().map(|why| {
        let fix = "put this right: the one that is shown goes on until its end, and the next look finds it";
        warning(Code::HttpsRenewal, format!("no newer certificate for the https listeners: {why}"), fix)
    });
    judged.chain(trouble).collect()
}

fn validation(facts: &Facts) -> Vec<Lack> {
    let checks = crowded(&facts.queues, "checks", Code::ChecksQueue, "issuance.checks_max");
    let validations =
        crowded(&facts.queues, "validations", Code::ValidationsQueue, "validation.concurrent_max");
    checks.into_iter().chain(validations).chain(perspectives(facts)).chain(transparency(facts)).collect()
}

/// That logs give no SCTs: orders wait, and everything else goes on.
fn transparency(facts: &Facts) -> Option<Lack> {
    let trouble = facts.transparency.as_ref()?;
    let ago = facts.now.since(trouble.last);
    let detail = format!(
        "transparency logs gave no SCTs {} times in a row, the last {} ago: {}",
        trouble.failures,
        lasting(ago),
        trouble.why
    );
    let fix = "see whether these logs can be reached from here and know your root, or name others in transparency.log_list: \
               orders wait for an hour";
    (ago < TROUBLE_TOLD_FOR).then(|| warning(Code::Transparency, detail, fix))
}

/// Remote perspectives that have not answered for a while. Once fewer answer than have to agree, nothing is issued.
fn perspectives(facts: &Facts) -> Option<Lack> {
    let silent: Vec<(&Reachable, &str)> = facts
        .perspectives
        .iter()
        .filter_map(|perspective| {
            let (since, why) = perspective.trouble.as_ref()?;
            (facts.now.since(*since) >= SILENT_FOR).then_some((perspective, why.as_str()))
        })
        .collect();
    let (first, why) = silent.first()?;
    let all = facts.perspectives.len();
    let allowed = Quorum::failures_allowed(u8::try_from(all).unwrap_or(u8::MAX));
    let is_failing = silent.len() > usize::from(allowed);
    let names: Vec<&str> = silent.iter().map(|(perspective, _)| perspective.name.as_str()).collect();
    let detail = format!(
        "{} of {all} remote perspectives do not answer ({}), and {allowed} may fail; {}: {why}",
        silent.len(),
        names.join(", "),
        first.name
    );
    let fix =
        "see whether these processes run and can be reached from here, and whose certificates have ended";
    Some(lack(failing_if(is_failing), Code::Perspectives, detail, fix))
}

fn signer(facts: &Facts, config: &Config) -> Vec<Lack> {
    let mut lacks = Vec::new();
    if facts.issuers.is_empty() {
        let fix = "restore hierarchy.json from a backup, or make a hierarchy with `ingam init`";
        lacks.push(failing(Code::NoIssuer, "no issuing CA is loaded, so nothing can be signed", fix));
    }
    for (issuer, why) in &facts.signing_trouble {
        let fix = "start the signer's process, put its token in, or make room on its ledger's disk: orders wait meanwhile";
        lacks.push(failing(Code::Signing, format!("the issuer {issuer} cannot sign: {why}"), fix));
    }
    for issuer in &facts.issuers {
        lacks.extend(issuer_certificate(facts, issuer, config));
    }
    lacks.extend(profile_validity(facts, config));
    lacks.extend(delegates(facts));
    lacks.extend(clock(facts, config));
    lacks
}

/// The certificates of OCSP delegates: the CA's own, without which an issuer's answers cannot be signed, and those of responders apart,
/// which go on with what was signed in advance.
fn delegates(facts: &Facts) -> Vec<Lack> {
    let fix = "read the log for why it could not be made; a restart makes a new one";
    let mut lacks = Vec::new();
    for (issuer, not_after) in &facts.delegates {
        if facts.issuers.iter().any(|known| known.name == *issuer && known.not_after < facts.now) {
            // Nothing can be made for an issuer that has ended, and that is told already.
            continue;
        }
        let what = format!("the OCSP certificate of the issuer {issuer}");
        if let Some((level, detail)) = delegate(&what, *not_after, facts.now) {
            lacks.push(lack(level, Code::OcspCertificate, detail, fix));
        }
    }
    for (responder, issuer, not_after) in &facts.delegates_apart {
        let what = format!("the OCSP certificate of the issuer {issuer} for the responder {responder}");
        if let Some((_, detail)) = delegate(&what, *not_after, facts.now) {
            lacks.push(warning(Code::OcspCertificate, detail, fix));
        }
    }
    for responder in &facts.delegates_blocked {
        let detail =
            format!("the key of the responder {responder} is blocked, so that no issuer certifies it");
        let fix = "take it out of responder.delegates, also in the file of a signer of its own, and give the responder another key";
        lacks.push(warning(Code::OcspCertificate, detail, fix));
    }
    lacks
}

fn delegate(what: &str, not_after: Option<Timestamp>, now: Timestamp) -> Option<(Level, String)> {
    let due = OCSP_DELEGATE_VALIDITY / 3;
    match not_after {
        None => Some((Level::Failing, format!("{what} is missing"))),
        Some(end) if end < now => Some((Level::Failing, format!("{what} ended at {end}"))),
        Some(end) if end.since(now) < due.saturating_sub(DELEGATE_RENEWAL_LATE) => {
            let left = lasting(end.since(now));
            Some((Level::Warning, format!("{what} was not renewed in time: it ends in {left}")))
        }
        Some(_) => None,
    }
}

fn issuer_certificate(facts: &Facts, issuer: &IssuerReport, config: &Config) -> Option<Lack> {
    let is_used = facts.profiles.iter().any(|profile| profile.issuers == [issuer.name.clone()]);
    let what = format!("the issuing CA {}", issuer.name);
    let code = Code::IssuerCertificate;
    match left(facts.now, issuer.not_before, issuer.not_after, config) {
        Left::Enough => None,
        Left::Little(left) => {
            let fix = "make a new issuing CA and let the profiles name that one";
            Some(warning(code, format!("{what} ends in {}", lasting(left)), fix))
        }
        Left::None => {
            let detail = format!("{what} ended at {}", issuer.not_after);
            let fix = "let the profiles name another issuing CA, then take this one out of the hierarchy";
            Some(lack(failing_if(is_used), code, detail, fix))
        }
    }
}

/// No certificate outlives its issuer, so an issuer ends for a profile long before its own end. While another one signs, that
/// is a warning; the last one's end stops the profile.
fn profile_validity(facts: &Facts, config: &Config) -> Vec<Lack> {
    let mut lacks = Vec::new();
    for profile in &facts.profiles {
        let known = facts.issuers.iter().filter(|issuer| profile.issuers.contains(&issuer.name));
        let mut ends: Vec<(Timestamp, &IssuerName)> =
            known.map(|issuer| (issuer.not_after.minus(profile.lasts), &issuer.name)).collect();
        ends.sort_unstable();
        let Some((last, others)) = ends.split_last() else { continue };
        lacks.extend(profile_end(facts, config, profile, *last, true));
        lacks.extend(others.iter().filter_map(|end| profile_end(facts, config, profile, *end, false)));
    }
    lacks
}

/// What the last moment at which an issuer can sign for a profile means.
fn profile_end(
    facts: &Facts,
    config: &Config,
    profile: &ProfileFacts,
    (last_signing, issuer): (Timestamp, &IssuerName),
    is_last: bool,
) -> Option<Lack> {
    let name = &profile.name;
    let fix = match is_last {
        true => format!("let another issuing CA sign for profiles.{name}, or lower its validity_s"),
        false => format!("give {issuer} the weight 0 in profiles.{name}.issuers once others sign enough"),
    };
    let left = last_signing.since(facts.now);
    if last_signing < facts.now {
        let detail = format!("certificates of the profile {name} would outlive their issuer {issuer}");
        let level = failing_if(is_last);
        Some(lack(level, Code::ProfileValidity, detail, fix))
    } else if left < days(config.certificate_warning_days) {
        let left = lasting(left);
        let detail =
            format!("in {left}, certificates of the profile {name} will outlive their issuer {issuer}");
        Some(warning(Code::ProfileValidity, detail, fix))
    } else {
        None
    }
}

fn clock(facts: &Facts, config: &Config) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let jump = Duration::from_millis(facts.clock.jump_ms.unsigned_abs());
    if jump > CLOCK_WARNING {
        let way = if facts.clock.jump_ms < 0 { "back" } else { "forward" };
        let detail = format!("the wall clock jumped {way} by {} since the start", lasting(jump));
        let fix = "look at the time service; once the clock is right, restart";
        lacks.push(lack(failing_if(jump > CLOCK_FAILING), Code::ClockJump, detail, fix));
    }
    let behind = Duration::from_millis(facts.clock.behind_ms);
    if behind > CLOCK_WARNING {
        let detail = format!(
            "the wall clock is {} behind the newest record: it is late now, or was ahead once",
            lasting(behind)
        );
        let fix = "put the clock right; if it is right, set health.clock_behind_fails = false";
        let level = failing_if(behind > CLOCK_FAILING && config.clock_behind_fails);
        lacks.push(lack(level, Code::ClockBehind, detail, fix));
    }
    lacks
}

fn responder(facts: &Facts, config: &Config) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let ended = |name: &IssuerName| {
        facts.issuers.iter().any(|issuer| issuer.name == *name && issuer.not_after < facts.now)
    };
    for condition in facts.crls.iter().filter(|condition| !ended(&condition.issuer)) {
        let what = format!("a CRL of the issuer {}", condition.issuer);
        let fix = "read the log for why no new one could be made";
        let Some(crl) = &condition.current else {
            lacks.push(failing(Code::Crl, format!("{what} has not been made yet"), fix));
            continue;
        };
        let half = crl.next_update.since(crl.this_update) / 2;
        if crl.next_update < facts.now {
            lacks.push(failing(Code::Crl, format!("{what} ended at {}", crl.next_update), fix));
        } else if facts.now.since(crl.this_update) > half.saturating_add(CRL_LATE) {
            let age = lasting(facts.now.since(crl.this_update));
            let detail =
                format!("{what} is {age} old, and should have been signed anew at {}", lasting(half));
            lacks.push(warning(Code::Crl, detail, fix));
        } else if condition.failed {
            let detail = format!("the last try to make {what} failed, so it may miss a revocation");
            lacks.push(warning(Code::Crl, detail, fix));
        }
    }
    lacks.extend(offline_crls(facts, config));
    lacks.extend(ocsp(facts));
    lacks.extend(disagreement(facts));
    lacks.extend(crowded(&facts.queues, "ocsp_signatures", Code::OcspQueue, "responder.signings_queued"));
    let events = "how quickly the store commits: nothing is signed once this is full";
    lacks.extend(crowded(&facts.queues, "signing_events", Code::SigningEventsQueue, events));
    lacks.extend(request_log(facts));
    lacks
}

/// CRLs that a ceremony makes. The responder works without a newer one, so it is warned of, before and after.
fn offline_crls(facts: &Facts, config: &Config) -> Vec<Lack> {
    let judged = facts.offline_crls.iter().filter_map(|(name, list)| {
        let fix = format!("make the next one by a ceremony, put it into published/{name}.crl, and reload");
        let ends = match left(facts.now, list.this_update, list.next_update, config) {
            Left::Enough => return None,
            Left::Little(left) => format!("ends in {}", lasting(left)),
            Left::None => format!("ended at {}", list.next_update),
        };
        Some(warning(Code::Crl, format!("the CRL of {name}, whose key is offline, {ends}"), fix))
    });
    judged.collect()
}

/// That requests are kept for too long is what must not be; that some could not be noted is a pity.
fn request_log(facts: &Facts) -> Option<Lack> {
    let code = Code::RequestLog;
    let condition = match &facts.request_log {
        Seen::This(condition) => condition,
        Seen::Failed(why) => {
            let detail = format!("the request log cannot be asked ({why})");
            return Some(warning(code, detail, "read the log for why"));
        }
        Seen::Slow(waited) => {
            let detail = format!("the request log has waited for the disk for {}", lasting(*waited));
            return Some(warning(code, detail, "look at how busy the disk is, and whether it works"));
        }
    };
    if condition.is_overdue {
        let detail = "requests are still on the disk whose time is over";
        let fix = "read the log for why they cannot be destroyed; if need be, stop and remove the folder request-log";
        return Some(failing(code, detail, fix));
    }
    if let Some(trouble) = condition.trouble {
        let fix = "make room on the disk, or raise request_log.bytes_max: requests are counted and not noted meanwhile";
        return Some(warning(code, format!("the request log could not be written ({trouble})"), fix));
    }
    let ago = facts.now.since(condition.dropped_at?);
    let fix = "raise request_log.queue_records, lower request_log.rate_max, or look at how busy the disk is";
    let detail = format!("requests found no room to be noted, the last {} ago", lasting(ago));
    (ago < REQUESTS_DROPPED_TOLD_FOR).then(|| warning(code, detail, fix))
}

fn ocsp(facts: &Facts) -> Vec<Lack> {
    let mut lacks: Vec<Lack> = failed_signatures(facts.signing, facts.now).into_iter().collect();
    let oldest = facts.issuers.iter().filter_map(|issuer| issuer.oldest_answer).min();
    if let Some(oldest) = oldest
        && facts.now.since(oldest) > facts.answer_age_max.saturating_add(ANSWER_LATE)
    {
        let age = lasting(facts.now.since(oldest));
        let detail = format!("the oldest OCSP answer is {age} old, and clients get no newer one");
        lacks.push(failing(Code::OcspAnswerAge, detail, "read the log for why the signer fails"));
    }
    lacks
}

/// That OCSP signatures failed a while ago, and none succeeded since.
pub(crate) fn failed_signatures(signing: SigningCondition, now: Timestamp) -> Option<Lack> {
    let SigningCondition { failures, last_failure } = signing;
    let ago = now.since(last_failure);
    if failures == 0 || ago >= SIGNING_WARNED_FOR {
        return None;
    }
    let is_failing = failures >= SIGNING_FAILURES && ago < SIGNING_FAILING_FOR;
    let detail = format!("{failures} OCSP signatures failed in a row, the last {} ago", lasting(ago));
    Some(lack(failing_if(is_failing), Code::OcspSigning, detail, "read the log for why the signer fails"))
}

/// That what is given out of certificates is not what is on record, or that nobody compares.
fn disagreement(facts: &Facts) -> Option<Lack> {
    let monitor = facts.monitor.as_ref()?;
    let code = Code::StatusDisagreement;
    if let Some(oldest) = monitor.overdue.oldest {
        let kinds = monitor.overdue.kinds.iter().map(|(kind, count)| format!("{} {count}", kind.name()));
        let detail = format!(
            "what is given out of certificates disagrees with their record ({}), the oldest for {}",
            kinds.collect::<Vec<_>>().join(", "),
            lasting(facts.now.since(oldest))
        );
        let fix =
            "search the log for \"disagrees with its record\": it has issuer, serial number, and both sides";
        return Some(failing(code, detail, fix));
    }
    let ago = facts.now.since(monitor.last_round);
    (ago > COMPARED_WITHIN).then(|| {
        let detail = format!("nobody has compared what is given out with the record for {}", lasting(ago));
        let fix = "read the log for why the monitor cannot; on a busy CA, lower monitor.recent_per_round";
        warning(code, detail, fix)
    })
}

fn store(facts: &Facts, config: &Config) -> Vec<Lack> {
    let mut lacks = Vec::new();
    if facts.store.closed {
        let detail = "the store has been closed, or its thread has ended";
        lacks.push(failing(Code::Commit, detail, "read the log for why, then restart"));
    } else if let Some(code) = facts.store.commit_failure {
        let fix = "make room on the disk or repair it, then restart: what was acknowledged is on it";
        lacks.push(failing(Code::Commit, format!("the last commit failed ({code})"), fix));
    }
    match &facts.outbox {
        Seen::This(_) => {}
        Seen::Failed(why) => {
            let detail = format!("the store cannot be read ({why})");
            lacks.push(failing(Code::Read, detail, "look at the disk; restore a backup if it is damaged"));
        }
        Seen::Slow(waited) => {
            let detail = format!("the store has not answered a read for {}", lasting(*waited));
            let fix = "look at how busy the disk is, and whether it works";
            lacks.push(lack(failing_if(*waited >= READ_HANGS), Code::Read, detail, fix));
        }
    }
    lacks.extend(crowded(
        &facts.queues,
        "transactions",
        Code::TransactionsQueue,
        "how quickly the disk syncs",
    ));
    lacks.extend(disk(facts, config));
    lacks
}

fn disk(facts: &Facts, config: &Config) -> Option<Lack> {
    if facts.store.short_of_room {
        let detail = "a disk of the store or the journal is nearly full: no accounts, orders and certificates are made";
        let fix = "make room where the state folder and the journal are; it goes on by itself then";
        return Some(failing(Code::Disk, detail, fix));
    }
    let disk = match &facts.disk {
        Seen::This(disk) => disk,
        Seen::Failed(why) => {
            let detail = format!("the file system of the state folder cannot be asked ({why})");
            return Some(warning(Code::Disk, detail, "look whether the state folder is there"));
        }
        Seen::Slow(waited) => {
            let detail =
                format!("the file system of the state folder has not answered for {}", lasting(*waited));
            return Some(warning(Code::Disk, detail, "look whether the disk works"));
        }
    };
    let free = disk.free_bytes;
    let detail = format!("{} MiB are free where the state folder is", free / MIB);
    let fix = "make the disk larger, or take from it what is not the CA's";
    if free < config.disk_failing_mib.saturating_mul(MIB) {
        return Some(failing(Code::Disk, detail, fix));
    }
    let part = u128::from(free) * 100 < u128::from(disk.bytes) * u128::from(config.disk_warning_percent);
    (part || free < config.disk_warning_mib.saturating_mul(MIB)).then(|| warning(Code::Disk, detail, fix))
}

fn journal(facts: &Facts, config: &Config) -> Vec<Lack> {
    let mut lacks = Vec::new();
    if let Some(code) = facts.store.archive_failure {
        // A journal that broke, or nobody to fill it, stays so until a restart.
        let is_over = matches!(code, "archiver_ended" | "journal_broken" | "journal_corrupt");
        let fix = match is_over {
            true => "read the log for why, then restart: nothing is lost, records wait in the store",
            false => "make room on the disk or repair it: nothing is lost, records wait in the store",
        };
        let detail = format!("the journal did not take records ({code})");
        lacks.push(lack(failing_if(is_over), Code::Archive, detail, fix));
    } else if let Seen::Slow(waited) = &facts.journal_bytes {
        let detail = format!("the journal has been busy with one append for {}", lasting(*waited));
        lacks.push(warning(Code::Archive, detail, "look at how busy the disk is, and whether it works"));
    }
    let oldest = facts.outbox.value().and_then(|outbox| outbox.oldest);
    let age = oldest.map_or(Duration::ZERO, |oldest| facts.now.since(oldest));
    if age >= Duration::from_secs(config.outbox_warning_s) {
        let records = facts.outbox.value().map_or(0, |outbox| outbox.records);
        let detail = format!("{records} records wait for the journal, the oldest for {}", lasting(age));
        let fix = "read the log for why the journal takes none";
        let is_failing = age >= Duration::from_secs(config.outbox_failing_s);
        lacks.push(lack(failing_if(is_failing), Code::OutboxAge, detail, fix));
    }
    lacks.extend(retention(facts));
    lacks
}

/// The sweep: what should be gone is there, and nothing else suffers by it.
fn retention(facts: &Facts) -> Option<Lack> {
    let condition = &facts.retention;
    if let Some((last, now)) = condition.leap {
        let detail = format!("the clock says {now}, and the last sweep was at {last}: nothing is swept out");
        let fix =
            "look whether the clock is right; if it is, say so by ingam admin retention sweep --confirm";
        return Some(warning(Code::Retention, detail, fix));
    }
    let why = condition.failure.map_or(String::new(), |code| format!(" ({code})"));
    let detail = format!("no sweep has come to its end for more than a day{why}");
    let fix = "read the log for why; ingam admin retention sweep tries it at once";
    condition.overdue.then(|| warning(Code::Retention, detail, fix))
}

/// A queue that is four fifths full. Never more than a warning: what comes on top is refused and told when to come
/// again, and a CA that were taken out of service for being busy would only move the crowd.
pub(crate) fn crowded(queues: &[QueueReport], name: &str, code: Code, look_at: &str) -> Option<Lack> {
    let QueueReport { waiting, max, .. } = queues.iter().find(|queue| queue.name == name)?;
    let is_crowded = waiting.saturating_mul(5) >= max.saturating_mul(4) && *max > 0;
    is_crowded.then(|| {
        let detail = format!("{waiting} of {max} places are taken ({name})");
        warning(code, detail, format!("look at who asks for so much, and at {look_at}"))
    })
}

/// What is left of a certificate.
enum Left {
    Enough,
    Little(Duration),
    None,
}

fn left(now: Timestamp, not_before: Timestamp, not_after: Timestamp, config: &Config) -> Left {
    if not_after < now {
        return Left::None;
    }
    let little = days(config.certificate_warning_days).min(not_after.since(not_before) / 3);
    let left = not_after.since(now);
    if left < little { Left::Little(left) } else { Left::Enough }
}

fn days(count: u64) -> Duration {
    DAY.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A duration for people, rounded down.
fn lasting(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
