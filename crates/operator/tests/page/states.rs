//! The states that a CA can be in, for whoever looks at the page.

use std::time::Duration;

use axum::Router;
use ingam_operator::{LastError, Severity};
use ingam_protocol::Reason;
use ingam_protocol::health::{
    CertificateReport, ClockReport, Code, CrlReport, IssuerReport, Lack, Level, QueueReport, Report, Role,
    RoleReport, StorageReport,
};
use ingam_protocol::operator::{Principal, Role as OperatorRole};
use ingam_store::{Approval, JobState, RevocationJob};
use serde_json::value::RawValue;

use crate::world::{DAY, Issued, Said, World, now};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Text that would do something if it were not escaped, and is longer than any line.
pub(crate) const HOSTILE: &str = "</title></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;{{7*7}}\
    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A name as long as names may be.
pub(crate) fn longest_name() -> String {
    let label = "w".repeat(63);
    format!("{label}.{label}.{label}.{}", "w".repeat(61))
}

/// A state by its name, and a router in it.
pub(crate) struct State {
    pub(crate) name: &'static str,
    pub(crate) router: Router,
    _world: World,
}

/// Every state there is a name for.
pub(crate) async fn all() -> Vec<State> {
    vec![
        empty().await,
        busy().await,
        failing().await,
        hostile().await,
        unread().await,
        support().await,
        stranger(),
    ]
}

fn state(name: &'static str, world: World, said: Said) -> State {
    State { name, router: world.router(said), _world: world }
}

/// A CA that has just been made.
pub(crate) async fn empty() -> State {
    let world = World::new();
    world.grant(OperatorRole::Administrator).await;
    let report = Report { issuers: vec![issuer_report("ecdsa", "ecdsa-p256")], ..report() };
    state("empty", world, said(&report, Vec::new()))
}

/// A CA at work, with a warning and everything else that the page can show.
pub(crate) async fn busy() -> State {
    let world = World::new();
    world.grant(OperatorRole::Administrator).await;
    at_work(&world).await;
    state("busy", world, said(&busy_report(), errors()))
}

/// What somebody sees who may not see everything.
pub(crate) async fn support() -> State {
    let world = World::new();
    world.grant(OperatorRole::Support).await;
    at_work(&world).await;
    state("support", world, said(&busy_report(), errors()))
}

/// A CA whose parts are not ready, and that does not know its numbers.
pub(crate) async fn failing() -> State {
    let world = World::new();
    world.grant(OperatorRole::Auditor).await;
    let lack =
        |code, level, detail: &str, fix: &str| Lack { code, level, detail: detail.into(), fix: fix.into() };
    let store = vec![
        lack(
            Code::Commit,
            Level::Failing,
            "The last commit failed: No space left on device.",
            "Make room on the disk of the state folder, then start again.",
        ),
        lack(Code::Disk, Level::Failing, "0 bytes are free.", "Make room on the disk of the state folder."),
    ];
    let signer = vec![
        lack(
            Code::ClockJump,
            Level::Failing,
            "The wall clock jumped by 3605.2 s while the process ran.",
            "Look at the time service of this machine, then start again.",
        ),
        lack(
            Code::IssuerCertificate,
            Level::Warning,
            "The certificate of the issuer ecdsa ends in 20 days.",
            "Make a new issuing CA.",
        ),
    ];
    let roles = Role::ALL.into_iter().map(|role| match role {
        Role::Store => RoleReport::new(role, store.clone()),
        Role::Signer => RoleReport::new(role, signer.clone()),
        _ => RoleReport::new(role, Vec::new()),
    });
    let mut report = Report { roles: roles.collect(), storage: StorageReport::default(), ..report() };
    report.queues.iter_mut().for_each(|queue| queue.waiting = queue.max);
    report.clock = ClockReport { jump_ms: 3_605_200, behind_ms: 0 };
    report.issuers = vec![IssuerReport {
        crl: None,
        ocsp_certificate_not_after: None,
        oldest_answer: None,
        not_after: now().plus(20 * DAY),
        ..issuer_report("ecdsa", "ecdsa-p256")
    }];
    report.certificates.iter_mut().for_each(|certificate| certificate.not_after = now().minus(HOUR));
    state("failing", world, said(&report, errors()))
}

/// Everything that comes from outside is as long and as bad as it can be.
pub(crate) async fn hostile() -> State {
    let world = World::new();
    world.grant(OperatorRole::Administrator).await;
    let mut names = vec![longest_name(), format!("*.{}.example.org", "v".repeat(63))];
    names.extend((0..98).map(|number| format!("www-{number}.example.org")));
    world.issue(Issued { names, ago: MINUTE, valid: 90 * DAY, issuer: "ecdsa", revoked: None }).await;
    let digest = Principal::Certificate([0xab; 32]);
    insert_approval(&world, "role.grant", HOSTILE, digest).await;
    insert_job(&world, HOSTILE, digest, JobState::Paused, [u64::MAX, 0, u64::MAX]).await;
    let lacks = vec![Lack {
        code: Code::Archive,
        level: Level::Warning,
        detail: HOSTILE.to_owned(),
        fix: HOSTILE.to_owned(),
    }];
    let mut report = report();
    report.roles = vec![RoleReport::new(Role::Journal, lacks)];
    report.environment = HOSTILE.to_owned();
    report.version = HOSTILE.to_owned();
    report.certificates[0].name = HOSTILE.to_owned();
    report.certificates[0].kind = HOSTILE.to_owned();
    report.queues.push(QueueReport { name: HOSTILE.to_owned(), waiting: u64::MAX, max: u64::MAX });
    report.issuers[0].key = HOSTILE.to_owned();
    let error = LastError {
        severity: Severity::Error,
        code: Some(HOSTILE.to_owned()),
        part: HOSTILE.to_owned(),
        message: HOSTILE.to_owned(),
        count: u64::MAX,
        last: now(),
        request_id: Some(HOSTILE.to_owned()),
    };
    state("hostile", world, said(&report, vec![error]))
}

/// A CA that cannot say how it fares.
pub(crate) async fn unread() -> State {
    let world = World::new();
    world.grant(OperatorRole::Administrator).await;
    state("unread", world, Said::default())
}

/// Somebody whom nobody gave a role.
pub(crate) fn stranger() -> State {
    state("stranger", World::new(), said(&report(), errors()))
}

fn said(report: &Report, errors: Vec<LastError>) -> Said {
    Said { report: serde_json::to_value(report).unwrap(), errors }
}

fn issuer_report(name: &str, key: &str) -> IssuerReport {
    IssuerReport {
        name: name.to_owned().try_into().unwrap(),
        key: key.to_owned(),
        not_before: now().minus(100 * DAY),
        not_after: now().plus(5 * 365 * DAY),
        crl: Some(CrlReport {
            number: 1_204,
            this_update: now().minus(3 * HOUR),
            next_update: now().plus(4 * DAY),
            entries: 37,
        }),
        ocsp_certificate_not_after: None,
        oldest_answer: Some(now().minus(26 * HOUR)),
    }
}

fn report() -> Report {
    let queues = [
        ("checks", 0, 1_000),
        ("validations", 0, 256),
        ("ocsp_signatures", 0, 64),
        ("signing_events", 0, 100_000),
        ("transactions", 0, 4_096),
    ];
    Report {
        at: now(),
        version: "0.1.0".to_owned(),
        environment: "staging".to_owned(),
        started: now().minus(3 * DAY),
        uptime_s: 3 * 24 * 60 * 60,
        roles: Role::ALL.into_iter().map(|role| RoleReport::new(role, Vec::new())).collect(),
        issuers: vec![issuer_report("ecdsa", "ecdsa-p256")],
        certificates: vec![CertificateReport {
            kind: "https".to_owned(),
            name: "acme".to_owned(),
            not_before: now().minus(10 * DAY),
            not_after: now().plus(80 * DAY),
        }],
        queues: queues.map(|(name, waiting, max)| QueueReport::new(name, waiting, max)).to_vec(),
        storage: StorageReport {
            outbox_records: Some(0),
            outbox_oldest_age_s: Some(0),
            disk_free_bytes: Some(183 << 30),
            disk_bytes: Some(252 << 30),
            store_bytes: Some(1_712_328),
            journal_bytes: Some(40_960),
        },
        clock: ClockReport::default(),
    }
}

fn busy_report() -> Report {
    let lacks = vec![Lack {
        code: Code::HttpsCertificate,
        level: Level::Warning,
        detail: "The certificate of the https listeners ends in 9 days.".to_owned(),
        fix: "Renew the file under tls.certificate in the configuration, then `ingam admin reload`."
            .to_owned(),
    }];
    let mut report = report();
    report.roles[0] = RoleReport::new(Role::Frontend, lacks);
    report.environment = "production".to_owned();
    report.issuers.push(IssuerReport {
        ocsp_certificate_not_after: Some(now().plus(11 * DAY)),
        ..issuer_report("rsa", "rsa-2048")
    });
    report.certificates[0].not_after = now().plus(9 * DAY);
    let waiting = [12, 7, 3, 1_840, 2];
    report.queues.iter_mut().zip(waiting).for_each(|(queue, waiting)| queue.waiting = waiting);
    report.storage.outbox_records = Some(1_240);
    report.storage.outbox_oldest_age_s = Some(2);
    report
}

fn errors() -> Vec<LastError> {
    let error =
        |severity, code: &str, part: &str, message: &str, count, ago, request_id: Option<&str>| LastError {
            severity,
            code: Some(code.to_owned()),
            part: part.to_owned(),
            message: message.to_owned(),
            count,
            last: now().minus(ago),
            request_id: request_id.map(ToOwned::to_owned),
        };
    let request = Some("6f0d5c1be2a94437");
    vec![
        error(
            Severity::Error,
            "overloaded",
            "ingam_frontend::problem",
            "a request failed: waiting for the store",
            14,
            40 * SECOND,
            request,
        ),
        error(
            Severity::Warning,
            "report_late",
            "ingam_operator::page",
            "the health report took too long",
            1,
            3 * HOUR,
            Some("19c2be0076d3a1f8"),
        ),
        error(
            Severity::Error,
            "archive",
            "ingam_store::archive",
            "the journal did not take records",
            3,
            2 * DAY,
            None,
        ),
    ]
}

/// Certificates in every condition, wishes and jobs.
async fn at_work(world: &World) {
    let issue = async |names: &[&str], ago: Duration, valid: Duration, revoked| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let issuer = if ago > HOUR { "rsa" } else { "ecdsa" };
        world.issue(Issued { names, ago, valid, issuer, revoked }).await;
    };
    issue(&["www.example.org", "example.org"], 30 * SECOND, 90 * DAY, None).await;
    issue(&["*.shop.example.net"], 4 * MINUTE, 90 * DAY, None).await;
    issue(
        &[
            "mail.example.com",
            "imap.example.com",
            "smtp.example.com",
            "autoconfig.example.com",
            "mta-sts.example.com",
            "webmail.example.com",
        ],
        11 * MINUTE,
        90 * DAY,
        None,
    )
    .await;
    issue(&["status.example.org"], 50 * MINUTE, 90 * DAY, Some(Reason::KeyCompromise)).await;
    issue(&["xn--bcher-kva.example.org"], 3 * HOUR, 90 * DAY, None).await;
    issue(&["build-4711.ci.internal.example.net"], 30 * HOUR, DAY, None).await;
    issue(&["old.example.org"], 40 * DAY, 90 * DAY, Some(Reason::Superseded)).await;
    insert_approval(
        world,
        "revocation.start",
        "Keys of the build farm were in a public repository",
        Principal::User(1002),
    )
    .await;
    insert_job(
        world,
        "Misissued: the test profile had no CAA check",
        Principal::User(1002),
        JobState::Running,
        [1_250, 10, 4_000],
    )
    .await;
    insert_job(world, "Customer left, and asked for it", Principal::User(1001), JobState::Done, [12, 0, 12])
        .await;
}

async fn insert_approval(world: &World, act: &str, reason: &str, by: Principal) {
    let approval = Approval {
        id: world.id(now().minus(25 * MINUTE)),
        act: act.to_owned(),
        request: RawValue::from_string("{}".to_owned()).unwrap(),
        by,
        at: now().minus(25 * MINUTE),
        expires: now().plus(DAY - 25 * MINUTE),
        reason: reason.to_owned(),
        decision: None,
    };
    world.store.approval_insert(approval, Vec::new()).await.unwrap();
}

async fn insert_job(world: &World, reason: &str, by: Principal, state: JobState, counts: [u64; 3]) {
    let [revoked, skipped, total] = counts;
    let ago = if state.is_over() { 8 * DAY } else { 5 * MINUTE };
    let job = RevocationJob {
        id: world.id(now().minus(ago)),
        selection: RawValue::from_string("{}".to_owned()).unwrap(),
        revocation_reason: Reason::Superseded,
        per_second: 10,
        by,
        at: now().minus(ago),
        reason: reason.to_owned(),
        state,
        total,
        revoked,
        skipped,
        ended: state.is_over().then(now),
    };
    world.store.revocation_job_insert(job, Vec::new()).await.unwrap();
}
