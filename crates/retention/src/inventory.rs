//! Where everything that is kept has its class: tables, the columns of their rows, types of records, fields of the log,
//! labels of metrics.
//!
//! What is added anywhere and not here fails the tests below, which read the sources: whoever adds it says which class it has,
//! and what ends it.

use ingam_protocol::record::Class;

/// A table: its class, and what ends its rows, or why they stay.
#[derive(Clone, Copy, Debug)]
pub struct TableRule {
    /// Its name.
    pub name: &'static str,
    /// Its class; of rows that are evidence of a certificate, `issuance` holds all the same, as `goes` says.
    pub class: Class,
    /// What ends its rows.
    pub goes: &'static str,
}

const fn table(name: &'static str, class: Class, goes: &'static str) -> TableRule {
    TableRule { name, class, goes }
}

/// Goes with the certificate that it is about.
const WITH_CERTIFICATE: &str =
    "swept with its certificate: retention.issuance_days, and two years past its end";
/// Goes with the order.
const WITH_ORDER: &str = "swept with its order";
/// State in force, of which the record of each change is kept by class.
const IN_FORCE: &str = "stays while it is in force: taken back by hand, and each change is on record";

/// Every table.
pub const TABLES: &[TableRule] = &[
    table("meta", Class::Working, "stays: counters and versions, which tell of nobody"),
    table(
        "accounts",
        Class::Issuance,
        "swept once it is deactivated, has no order and no certificate left, and retention.issuance_days have passed",
    ),
    table(
        "accounts_by_key",
        Class::Issuance,
        "swept with its account; at once when the account takes another key",
    ),
    table(
        "contacts",
        Class::Contact,
        "at once when withdrawn or erased, and when the account is deactivated",
    ),
    table(
        "subjects",
        Class::Contact,
        "with the contacts that it is about: at once when they are withdrawn or erased, and when the account is deactivated",
    ),
    table(
        "erasures_open",
        Class::Retention,
        "goes when the key is destroyed and the receipt is given, or when contacts are given anew before",
    ),
    table(
        "external_keys",
        Class::Issuance,
        "swept once it can bind nobody and its account is gone: retention.issuance_days after its end",
    ),
    table(
        "external_secrets",
        Class::Issuance,
        "swept with its key; its seal is destroyed when it is withdrawn",
    ),
    table(
        "orders",
        Class::Working,
        "without a claim, swept retention.working_days after its end; with one it is evidence, and goes with its certificate",
    ),
    table("orders_by_account", Class::Working, WITH_ORDER),
    table(
        "replacements",
        Class::Working,
        "swept with the order that replaces, or the certificate that is replaced",
    ),
    table(
        "authorizations",
        Class::Working,
        "never valid, swept retention.working_days after its end; valid once, it is evidence, and stays as long as a \
         certificate may rest on it",
    ),
    table("authorizations_by_identifier", Class::Working, "swept with the authorization that it leads to"),
    table("challenges_open", Class::Working, "goes when the check ends"),
    table("issuances_open", Class::Working, "goes when the order ends"),
    table(
        "certificates",
        Class::Issuance,
        "swept after retention.issuance_days, and two years past its end, whichever is later",
    ),
    table(
        "certificate_dictionaries",
        Class::CaLifecycle,
        "stays: what all certificates of an issuer and profile have in common, and nothing of a single one",
    ),
    table("statuses", Class::Issuance, WITH_CERTIFICATE),
    table("revoked", Class::Issuance, WITH_CERTIFICATE),
    table(
        "revoked_by_generation",
        Class::Issuance,
        "swept with its certificate; the last million alone are there",
    ),
    table(
        "keys_blocked",
        Class::Issuance,
        "stays: a key that is known to others may never be used again (BR 6.1.1.3)",
    ),
    table("certificates_by_time", Class::Issuance, WITH_CERTIFICATE),
    table("certificates_by_account", Class::Issuance, WITH_CERTIFICATE),
    table("certificates_by_key", Class::Issuance, WITH_CERTIFICATE),
    table("certificates_by_name", Class::Issuance, WITH_CERTIFICATE),
    table("roles", Class::PermissionChange, IN_FORCE),
    table("approvals", Class::AccessLog, "swept retention.access_log_days after it was decided, or ran out"),
    table("name_rules", Class::CaLifecycle, IN_FORCE),
    table("names_blocked_below", Class::CaLifecycle, "goes with its rule"),
    table(
        "incidents",
        Class::Issuance,
        "swept once none of its certificates is left, and their time is over",
    ),
    table("incident_certificates", Class::Issuance, "swept once the certificate is gone"),
    table("incidents_by_certificate", Class::Issuance, WITH_CERTIFICATE),
    table("revocation_jobs", Class::Issuance, "swept once it is over, and the time of what it revoked too"),
    table("revocation_jobs_open", Class::Issuance, "goes when the job ends"),
    table("revocation_items", Class::Issuance, "goes as the job does its work"),
    table("limit_buckets", Class::Working, "goes as soon as it is full again, looked at each minute"),
    table("limit_overrides", Class::CaLifecycle, IN_FORCE),
    table("limit_spends", Class::Working, "goes when order or check end, and with them at the latest"),
    table(
        "pauses",
        Class::Working,
        "goes when nothing was heard for the time of rate_limits, looked at each minute",
    ),
    table(
        "cases",
        Class::Retention,
        "stays for good, or is swept retention.retention_days after it was closed and the last of its subjects was told",
    ),
    table("case_subjects", Class::Retention, "swept with its case"),
    table(
        "privacy_versions",
        Class::CaLifecycle,
        "stays: what was promised when, in words that were published",
    ),
    table("holds", Class::Retention, "stays for good, or is swept retention.retention_days after its end"),
    table(
        "holds_open",
        Class::Retention,
        "goes when the hold is released, or another is opened after it lapsed",
    ),
    table("segments_going", Class::Retention, "goes when the receipt is given"),
    table(
        "outbox",
        Class::Working,
        "goes to the journal within a second, where each record has its own class",
    ),
];

/// The fields of one struct that is a row, or part of one, by class.
pub type Columns = (&'static str, Class, &'static [&'static str]);

/// Every column: what a row has is kept as long as the row, so a field of another class than its row's says what takes it
/// out before. None does now: what belongs to `contact` lies in tables of its own, addresses sealed.
pub const COLUMNS: &[Columns] = &[
    (
        "Account",
        Class::Issuance,
        &["id", "key", "created", "terms_agreed", "deactivated", "external", "earlier_keys"],
    ),
    // When contacts were given, whether mail may go to them, and when their holder was told what is held.
    ("SubjectRow", Class::Contact, &["since", "told", "mail_objected"]),
    ("Told", Class::Contact, &["at", "by"]),
    // That a key is to be destroyed, and nothing of what it sealed.
    ("ErasureRow", Class::Retention, &["asked", "why", "marked", "closed"]),
    ("ExternalAccount", Class::Issuance, &["key", "binding"]),
    ("JwsText", Class::Issuance, &["protected", "payload", "signature"]),
    (
        "ExternalKey",
        Class::Issuance,
        &["id", "holder", "profiles", "names", "expires", "by", "at", "bound", "withdrawn"],
    ),
    ("Bound", Class::Issuance, &["account", "at"]),
    ("Withdrawal", Class::Issuance, &["by", "at", "reason"]),
    (
        "Order",
        Class::Working,
        &[
            "id",
            "account",
            "created",
            "expires",
            "identifiers",
            "profile",
            "authorizations",
            "not_before",
            "not_after",
            "replaces",
            "waiting",
            "failure",
        ],
    ),
    // From the claim on, an order is the evidence of a certificate.
    ("Order", Class::Issuance, &["claim", "asked", "precertificate", "certificate"]),
    ("Waiting", Class::Working, &["since", "csr"]),
    ("Replaced", Class::Working, &["issuer", "serial", "renews"]),
    ("Failure", Class::Working, &["error", "detail"]),
    (
        "Claim",
        Class::Issuance,
        &[
            "token",
            "lease_until",
            "serial",
            "issuer",
            "not_after",
            "key_thumbprint",
            "key_spki_hash",
            "tbs",
            "looked_at",
            "quorum",
            "record",
        ],
    ),
    ("Precertificate", Class::Issuance, &["der", "certificate"]),
    ("FinalBytes", Class::Issuance, &["tbs", "asked"]),
    ("Quorum", Class::Issuance, &["remotes", "agreed", "registries"]),
    (
        "Authorization",
        Class::Working,
        &[
            "id",
            "account",
            "host",
            "wildcard",
            "subdomains",
            "public",
            "created",
            "pending_until",
            "valid_for_ms",
            "challenges",
            "deactivated",
        ],
    ),
    ("Challenge", Class::Working, &["kind", "token", "answered", "finished"]),
    ("Finished", Class::Issuance, &["at", "verdict", "validation_record", "until", "quorum", "record"]),
    (
        "CertificateRow",
        Class::Issuance,
        &["der", "order", "account", "issued", "not_before", "not_after", "key_thumbprint"],
    ),
    ("StatusRow", Class::Issuance, &["state", "not_after", "generation"]),
    ("KeyBlock", Class::Issuance, &["hash", "named_by", "at", "reason", "serial", "by", "comment", "source"]),
    ("Serial", Class::Issuance, &["length", "bytes"]),
    ("Grant", Class::PermissionChange, &["principal", "role", "label", "by", "at", "reason"]),
    ("Approval", Class::AccessLog, &["id", "act", "request", "by", "at", "expires", "reason", "decision"]),
    ("ApprovalDecision", Class::AccessLog, &["approved", "by", "at", "reason"]),
    ("NameRule", Class::CaLifecycle, &["name", "verdict", "exact", "by", "at", "reason"]),
    ("Incident", Class::Issuance, &["name", "summary", "by", "at", "certificates", "explanation_url"]),
    (
        "RevocationJob",
        Class::Issuance,
        &[
            "id",
            "selection",
            "revocation_reason",
            "per_second",
            "by",
            "at",
            "reason",
            "state",
            "total",
            "revoked",
            "skipped",
            "ended",
        ],
    ),
    ("LimitOverride", Class::CaLifecycle, &["limit", "favoured", "in_force", "until", "by", "at", "reason"]),
    ("Limit", Class::CaLifecycle, &["count", "period_s", "burst"]),
    ("Spent", Class::Working, &["bucket", "limit"]),
    ("Pause", Class::Working, &["account", "name", "failures", "first", "last", "paused"]),
    // Who asks for data can be a person, and so can who is to have it: that is what a case is evidence of. The data itself is
    // not in it.
    (
        "Case",
        Class::Retention,
        &[
            "name",
            "kind",
            "basis",
            "law",
            "requester",
            "reason",
            "by",
            "at",
            "answer_by",
            "everybody",
            "forbidden_until",
            "objections",
            "disclosures",
            "holds",
            "counts",
            "closed",
        ],
    ),
    ("CaseCounts", Class::Retention, &["subjects", "disclosed", "told", "delayed", "futile"]),
    ("Objection", Class::Retention, &["at", "by", "reason", "outcome"]),
    (
        "Disclosure",
        Class::Retention,
        &["id", "at", "by", "recipient", "subjects", "fields", "sha256", "basis", "reason"],
    ),
    ("CaseClosed", Class::Retention, &["at", "by", "reason"]),
    ("CaseSubject", Class::Retention, &["subject", "disclosed", "notice"]),
    ("CaseNotice", Class::Retention, &["at", "by", "how", "reason", "delayed"]),
    ("PrivacyVersion", Class::CaLifecycle, &["number", "at", "digest", "facts", "changes", "asks_consent"]),
    (
        "Hold",
        Class::Retention,
        &["id", "case", "owner", "reason", "scope", "opened", "by", "ends", "renewals", "released"],
    ),
    ("HoldRenewal", Class::Retention, &["at", "by", "reason", "ends"]),
    ("HoldReleased", Class::Retention, &["at", "by", "reason"]),
    (
        "SegmentGoing",
        Class::Retention,
        &["class", "sequence", "first_index", "records", "head", "earliest", "latest", "end_of_life", "rule"],
    ),
];

/// Every type of record, by class: a type that is not here has no class that anybody thought about.
pub const RECORD_TYPES: &[(Class, &[&str])] = &[
    (
        Class::Issuance,
        &[
            "account_created",
            "account_updated",
            "account_deactivated",
            "account_key_changed",
            "external_key_made",
            "external_key_withdrawn",
            // It has the new contacts, sealed for their subject, as each change of an account has: so it is no receipt.
            "subject_corrected",
            "order_created",
            "order_failed",
            "challenge_answered",
            "validation_finished",
            "authorization_deactivated",
            "authorization_created",
            "pauses_lifted",
            "certificate_prepared",
            "signature_asked",
            "certificate_issued",
            "issuance_abandoned",
            "issuance_refused",
            "issuance_waits",
            "precertificate_issued",
            "certificate_asked",
            "certificate_revoked",
            "key_blocked",
            "key_unblocked",
            "incident_changed",
            "revocation_job_changed",
            // What is still there of these, as it is; contacts sealed for their subject.
            "issuance_carried",
            "ocsp_signed",
            "crl_signed",
        ],
    ),
    (
        Class::CaLifecycle,
        &[
            "authority_certificate_created",
            "started",
            "configuration_changed",
            "name_rule_changed",
            "limit_overridden",
            "backup_made",
            "store_restored",
            "lifecycle_carried",
        ],
    ),
    (Class::AccessLog, &["operator_acted", "personal_data_read", "approval_changed", "subject_asked"]),
    (Class::PermissionChange, &["role_granted", "role_taken", "permission_carried"]),
    (
        Class::Retention,
        &[
            "request_segment_destroyed",
            "request_hold_changed",
            "segment_destroyed",
            "rows_swept",
            "hold_changed",
            "subject_told",
            "subject_objected",
            "subject_erased",
            "case_changed",
            "data_disclosed",
            "notice_given",
            "retention_carried",
        ],
    ),
    (Class::Working, &["validation_tried"]),
    (Class::Aggregate, &["ocsp_requests_counted"]),
];

/// What a field of the log can tell of anybody. All of the log is of the class `operations_log`, which may have a client's
/// address and nothing else of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// Nothing of a person.
    Nothing,
    /// The address of a machine that asked, or was asked.
    Address,
    /// A name that somebody wants or has a certificate for; public once it is in one.
    Name,
    /// Who among the operators did something.
    Operator,
}

/// Every field of the log.
pub const LOG_FIELDS: &[(Tells, &[&str])] = &[
    (
        Tells::Nothing,
        &[
            "abandoned",
            "asked",
            "asks_consent",
            "authorization",
            "cause",
            "challenge",
            "challenges",
            "changed",
            "code",
            "copy",
            "count",
            "detail",
            "directory",
            "doing",
            "entries",
            "error",
            "events",
            "failure",
            "file",
            "finding",
            "fix",
            "forbidden",
            "found",
            "from",
            "id",
            "issuer",
            "job",
            "key",
            "kind",
            "lack",
            "leaves",
            "length_s",
            "lets_pass",
            "limit",
            "line",
            "linter",
            "listener",
            "locked",
            "log",
            "method",
            "module",
            "name",
            "needs_restart",
            "node",
            "not_after",
            "number",
            "object",
            "operation",
            "order",
            "outcome",
            "path",
            "perspective",
            "port",
            "problem",
            "profile",
            "reason",
            "record_type",
            "report",
            "responder",
            "rest_s",
            "resumed",
            "revoked",
            "role",
            "route",
            "rows",
            "segments",
            "serial",
            "shard",
            "since",
            "skipped",
            "socket",
            "source",
            "state",
            "status",
            "tls",
            "token",
            "undumpable",
            "untold",
            "verdicts",
            "version",
            "what",
            "why",
            "witness",
            "words",
        ],
    ),
    (Tells::Address, &["address", "destination", "ip", "listen", "proxy", "server", "target", "to"]),
    (Tells::Name, &["domain", "host", "identifier", "names", "query"]),
    (Tells::Operator, &["by", "principal", "who"]),
];

/// Every label of a metric: counts without people, of the class `aggregate`. A label never tells of anybody.
pub const METRIC_LABELS: &[&str] = &[
    "act",
    "channel",
    "chosen",
    "code",
    "fate",
    "issuer",
    "kind",
    "limit",
    "linter",
    "listener",
    "log",
    "method",
    "name",
    "operation",
    "outcome",
    "perspective",
    "problem",
    "queue",
    "reason",
    "result",
    "role",
    "route",
    "source",
    "status",
    "type",
    "version",
];

/// The rule of a table.
pub fn table_rule(name: &str) -> Option<&'static TableRule> {
    TABLES.iter().find(|rule| rule.name == name)
}

/// The class of a field of the log, if it has one.
pub fn log_field(name: &str) -> Option<(Class, Tells)> {
    let known = LOG_FIELDS.iter().find(|(_, fields)| fields.contains(&name));
    known.map(|(tells, _)| (Class::OperationsLog, *tells))
}

#[cfg(test)]
mod tests;
