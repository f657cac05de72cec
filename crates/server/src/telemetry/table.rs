//! Every metric that the product emits, in one table: what describes them, what starts counters at zero, and what
//! docs/operations/monitoring.md shows.

use metrics::{Label, counter};

/// What kind of metric it is, in Prometheus' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Which values a label can have. All sets are bounded, and none has a person's data in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// Exactly these.
    These(&'static [&'static str]),
    /// Those that the configuration, the routes or the kinds of faults make; the words tell which.
    Bounded(&'static str),
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [(&'static str, Values)],
    /// One sentence without a full stop.
    pub(super) help: &'static str,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [(&'static str, Values)],
    help: &'static str,
) -> Metric {
    Metric { name, kind, labels, help }
}

use Kind::{Counter, Gauge, Histogram};
use Values::{Bounded, These};

const ROUTE: (&str, Values) = ("route", Bounded("the routes of the front end, and `unknown`"));
const LISTENER: (&str, Values) = ("listener", Bounded("the kinds of listeners"));
const ISSUER: (&str, Values) = ("issuer", Bounded("the names of the issuing CAs"));
const QUEUE: (&str, Values) =
    ("queue", These(&["checks", "validations", "ocsp_signatures", "signing_events", "transactions"]));
const CHALLENGE: (&str, Values) =
    ("type", These(&["http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01", "caa"]));
const PERSPECTIVE: (&str, Values) = ("perspective", Bounded("the remote perspectives of the configuration"));
const LINTER: (&str, Values) = ("linter", Bounded("the outside linters of the configuration"));
const LOG: (&str, Values) = ("log", Bounded("the descriptions of the logs in the list"));
const SIGNED: (&str, Values) = ("kind", These(&["certificate", "ocsp", "crl", "delegate"]));
const ROLE: (&str, Values) =
    ("role", These(&["frontend", "validation", "signer", "responder", "store", "journal"]));

/// The rate limits, and the pause.
const LIMITS: &[&str] = &[
    "new_accounts_per_address",
    "new_accounts_per_range",
    "new_orders_per_account",
    "new_orders_per_external_account_key",
    "certificates_per_registered_domain",
    "certificates_per_exact_set",
    "failed_validations_per_account_and_name",
    "requests_per_address",
    "validation_trials_per_account",
    "privacy_requests_per_account",
    "paused",
];

/// The error types of RFC 8555 and its relatives.
const PROBLEMS: &[&str] = &[
    "accountDoesNotExist",
    "alreadyReplaced",
    "alreadyRevoked",
    "badCSR",
    "badNonce",
    "badPublicKey",
    "badRevocationReason",
    "badSignatureAlgorithm",
    "caa",
    "compound",
    "connection",
    "dns",
    "externalAccountRequired",
    "incorrectResponse",
    "invalidContact",
    "invalidProfile",
    "malformed",
    "orderNotReady",
    "rateLimited",
    "rejectedIdentifier",
    "serverInternal",
    "tls",
    "unauthorized",
    "unsupportedContact",
    "unsupportedIdentifier",
    "userActionRequired",
];

/// The checks of keys.
const KEY_FLAWS: &[&str] = &[
    "malformed",
    "unsupported",
    "private_parts",
    "rsa_size",
    "rsa_exponent",
    "rsa_even",
    "rsa_small_factor",
    "rsa_roca",
    "rsa_close_primes",
    "not_on_curve",
    "small_order",
    "ml_dsa_zero",
    "debian_weak",
    "listed",
    "blocked",
];

/// All of them, by the part of the CA that they are about.
pub(super) const METRICS: &[Metric] = &[
    metric(
        "ingam_build_info",
        Gauge,
        &[("version", Bounded("the one that runs"))],
        "Always 1; the version is the label",
    ),
    metric("ingam_start_timestamp_seconds", Gauge, &[], "When the process started"),
    metric("ingam_ready", Gauge, &[ROLE], "Whether a role is ready: 1 or 0"),
    metric(
        "ingam_lack",
        Gauge,
        &[ROLE, ("code", Bounded("the codes above"))],
        "What a role lacks: 0 nothing of this code, 1 a warning, 2 failing",
    ),
    metric(
        "ingam_clock_jump_seconds",
        Gauge,
        &[],
        "What the wall clock gained on the clock that never jumps since the start; negative if it lost",
    ),
    metric(
        "ingam_clock_behind_seconds",
        Gauge,
        &[],
        "How far the wall clock is behind the newest record that was there at the start; 0 if it is not",
    ),
    metric(
        "ingam_certificate_expiry_timestamp_seconds",
        Gauge,
        &[
            (
                "kind",
                Bounded(
                    "`issuer`, `ocsp` for delegated OCSP certificates, `https` for listeners, `coordinator` for remote perspectives",
                ),
            ),
            ("name", Bounded("the issuers and listeners")),
        ],
        "The last second of each certificate that the CA itself needs",
    ),
    // ACME.
    metric(
        "ingam_http_requests_total",
        Counter,
        &[
            ROUTE,
            ("method", Bounded("`GET`, `HEAD`, `POST`, `OPTIONS`, `other`")),
            ("status", Bounded("HTTP statuses")),
        ],
        "ACME requests answered",
    ),
    metric(
        "ingam_http_request_seconds",
        Histogram,
        &[ROUTE],
        "From the headers of an ACME request to its answer",
    ),
    metric(
        "ingam_rate_limited_total",
        Counter,
        &[("limit", These(LIMITS))],
        "ACME requests refused by a rate limit, or as the account is paused for a name",
    ),
    metric(
        "ingam_problems_total",
        Counter,
        &[("problem", These(PROBLEMS))],
        "ACME requests refused or failed, by the error type that the client was told",
    ),
    metric(
        "ingam_faults_total",
        Counter,
        &[("code", Bounded("the codes of faults"))],
        "ACME requests that failed here, not with the client",
    ),
    metric(
        "ingam_orders_total",
        Counter,
        &[("outcome", These(&["issued", "late", "failed", "abandoned"]))],
        "Finalized orders that came to an end: issued; signed after the lease was over; not signed; given up later",
    ),
    metric(
        "ingam_signer_refusals_total",
        Counter,
        &[("operation", These(&["facts", "prepare", "issue", "ocsp", "crl"]))],
        "Requests at a signer of its own that its callers may not make",
    ),
    metric(
        "ingam_keys_refused_total",
        Counter,
        &[("reason", These(KEY_FLAWS))],
        "Keys of accounts and CSRs that were refused, by the check that they did not pass",
    ),
    metric(
        "ingam_linter_verdicts_total",
        Counter,
        &[LINTER, ("outcome", These(&["passed", "found", "failed", "timed_out"]))],
        "Certificates shown to outside linters: nothing that stops them, something, no answer, none in time",
    ),
    metric(
        "ingam_linter_seconds",
        Histogram,
        &[LINTER],
        "How long an outside linter took, waiting for its turn included",
    ),
    metric(
        "ingam_revocations_total",
        Counter,
        &[(
            "reason",
            These(&[
                "unspecified",
                "keyCompromise",
                "affiliationChanged",
                "superseded",
                "cessationOfOperation",
                "privilegeWithdrawn",
            ]),
        )],
        "Certificates revoked",
    ),
    metric(
        "ingam_admin_requests_total",
        Counter,
        &[("act", Bounded("the acts of the admin API")), ("outcome", Bounded("what can come of them"))],
        "Requests to the admin API",
    ),
    // Validation.
    metric(
        "ingam_validations_total",
        Counter,
        &[
            CHALLENGE,
            (
                "result",
                These(&[
                    "valid",
                    "caa",
                    "connection",
                    "dns",
                    "malformed",
                    "rejectedIdentifier",
                    "serverInternal",
                    "tls",
                    "unauthorized",
                ]),
            ),
        ],
        "Challenges and CAA checks that were looked at",
    ),
    metric(
        "ingam_validation_seconds",
        Histogram,
        &[CHALLENGE],
        "How long looking at a challenge or at CAA took",
    ),
    metric(
        "ingam_caa_reports_total",
        Counter,
        &[
            ("channel", These(&["https", "mail"])),
            ("result", These(&["sent", "failed", "held_back", "dropped", "off"])),
        ],
        "Reports that CAA records want (iodef), and what became of them",
    ),
    metric(
        "ingam_perspective_answers_total",
        Counter,
        &[PERSPECTIVE, ("result", These(&["agree", "disagree", "unreachable"]))],
        "Answers of remote perspectives, beside what the primary one saw",
    ),
    metric(
        "ingam_perspective_seconds",
        Histogram,
        &[PERSPECTIVE],
        "How long a remote perspective took to answer",
    ),
    // Transparency.
    metric(
        "ingam_transparency_certificates_total",
        Counter,
        &[("outcome", These(&["enough", "too_few", "no_logs"]))],
        "Precertificates for which logs were asked, by whether enough SCTs came of it",
    ),
    metric("ingam_transparency_seconds", Histogram, &[], "How long getting all SCTs of a certificate took"),
    metric(
        "ingam_transparency_submissions_total",
        Counter,
        &[LOG, ("outcome", These(&["given", "refused", "unreachable", "late", "untrue"]))],
        "Submissions to a log, of precertificates and certificates, and what came of them",
    ),
    metric("ingam_transparency_submission_seconds", Histogram, &[LOG], "How long a log took to answer"),
    metric(
        "ingam_transparency_publications_total",
        Counter,
        &[("outcome", These(&["shown", "given_up", "dropped"]))],
        "Certificates shown to a log as well, given up on after all attempts, or let go as too many were waiting",
    ),
    metric(
        "ingam_transparency_list_timestamp_seconds",
        Gauge,
        &[],
        "When the list of logs in force was made",
    ),
    // Signatures.
    metric("ingam_signatures_total", Counter, &[SIGNED, ISSUER], "Signatures made"),
    metric(
        "ingam_signature_seconds",
        Histogram,
        &[SIGNED],
        "From the call of the signer to the finished bytes",
    ),
    // OCSP and CRLs.
    metric(
        "ingam_ocsp_responses_total",
        Counter,
        &[(
            "status",
            These(&["good", "revoked", "unauthorized", "malformed_request", "try_later", "internal_error"]),
        )],
        "OCSP answers, by what they say",
    ),
    metric(
        "ingam_ocsp_source_total",
        Counter,
        &[("source", These(&["memory", "in_advance", "signed"]))],
        "OCSP answers given from memory, and from those signed in advance; OCSP signatures made for who asked",
    ),
    metric("ingam_ocsp_presigned_total", Counter, &[], "OCSP answers signed before anybody asked"),
    metric("ingam_ocsp_signing_failed_total", Counter, &[], "OCSP signatures that failed"),
    metric(
        "ingam_ocsp_refresh_failed_total",
        Counter,
        &[],
        "OCSP answers given although they should have been signed anew, as that failed",
    ),
    metric(
        "ingam_ocsp_oldest_answer_timestamp_seconds",
        Gauge,
        &[],
        "The thisUpdate of the oldest OCSP answer in memory that a client can get, or should have got a newer one for; of a responder \
         apart from its CA, of the oldest about a certificate that has not ended",
    ),
    metric(
        "ingam_ocsp_manifest_timestamp_seconds",
        Gauge,
        &[],
        "Of a responder apart from its CA: when the CA made the manifest of the answers that it gives",
    ),
    metric(
        "ingam_ocsp_delegated_issuers",
        Gauge,
        &[],
        "Of a responder apart from its CA: for how many issuers it may sign answers with a key of its own",
    ),
    metric(
        "ingam_request_log_requests_total",
        Counter,
        &[("fate", These(&["noted", "sampled_out", "queue_full", "unwritten"]))],
        "OCSP requests that the request log saw, by what became of them: in it, or stood for by a record of it; left out of a \
         sample; no room in the queue; not written to the disk",
    ),
    metric(
        "ingam_request_log_segments_destroyed_total",
        Counter,
        &[],
        "Segments of the request log whose key and file were destroyed",
    ),
    metric(
        "ingam_monitor_compared_total",
        Counter,
        &[("chosen", These(&["random", "recent", "again"]))],
        "Certificates whose OCSP answers, CRL entry and renewal window were held against the record: taken by chance, issued or revoked just before, or again after a disagreement",
    ),
    metric(
        "ingam_monitor_disagreements_total",
        Counter,
        &[("kind", These(&["ocsp_answer", "ocsp_status", "crl_list", "crl_entry", "renewal_window"]))],
        "Disagreements with the record that outlived their budget",
    ),
    metric(
        "ingam_monitor_oldest_disagreement_timestamp_seconds",
        Gauge,
        &[],
        "When the oldest disagreement that outlived its budget and goes on was seen first; NaN if there is none",
    ),
    metric(
        "ingam_monitor_round_timestamp_seconds",
        Gauge,
        &[],
        "When certificates were last compared with the record; NaN before the first time",
    ),
    metric("ingam_crl_signed_total", Counter, &[], "CRLs made"),
    metric("ingam_crl_failed_total", Counter, &[], "CRLs that could not be made"),
    metric(
        "ingam_crl_this_update_timestamp_seconds",
        Gauge,
        &[ISSUER],
        "From when the oldest of the current CRLs holds",
    ),
    metric(
        "ingam_crl_next_update_timestamp_seconds",
        Gauge,
        &[ISSUER],
        "When the first of the current CRLs ends",
    ),
    metric("ingam_crl_entries", Gauge, &[ISSUER], "How many certificates the current CRLs list"),
    metric("ingam_signing_events_recorded_total", Counter, &[], "OCSP and CRL signatures put on record"),
    metric(
        "ingam_signing_events_record_failed_total",
        Counter,
        &[],
        "Batches of OCSP and CRL signatures that could not be put on record, and are tried again",
    ),
    // Store and journal.
    metric("ingam_store_commit_seconds", Histogram, &[], "How long a commit of the store took"),
    metric("ingam_store_commit_jobs", Histogram, &[], "How many transactions shared a commit"),
    metric("ingam_store_commit_failures_total", Counter, &[], "Commits of the store that failed"),
    metric("ingam_store_bytes", Gauge, &[], "How large the store's files are"),
    metric("ingam_outbox_records", Gauge, &[], "Records that wait for the journal"),
    metric(
        "ingam_outbox_oldest_age_seconds",
        Gauge,
        &[],
        "How long ago the oldest of them was made; 0 if none waits",
    ),
    metric("ingam_records_archived_total", Counter, &[], "Records moved into the journal"),
    metric("ingam_archive_failures_total", Counter, &[], "Times that the journal could not take records"),
    metric("ingam_journal_bytes", Gauge, &[], "How large the journal's segments are"),
    metric(
        "ingam_disk_free_bytes",
        Gauge,
        &[],
        "What the CA may still write to the file system of its state folder",
    ),
    metric("ingam_disk_bytes", Gauge, &[], "How large that file system is"),
    // Limits.
    metric("ingam_queue_waiting", Gauge, &[QUEUE], "How much is in a queue, waiting or in work"),
    metric("ingam_queue_max", Gauge, &[QUEUE], "How much fits; what comes on top is refused"),
    metric("ingam_connections", Gauge, &[LISTENER], "Open connections"),
    metric(
        "ingam_connections_max",
        Gauge,
        &[LISTENER],
        "How many connections may be open; more wait in the kernel",
    ),
    metric(
        "ingam_accept_waits_total",
        Counter,
        &[LISTENER],
        "Times that connections had to wait, as all places were taken",
    ),
    metric("ingam_accept_failures_total", Counter, &[LISTENER], "Connections that the system could not give"),
    metric(
        "ingam_proxy_refusals_total",
        Counter,
        &[LISTENER],
        "Connections of trusted proxies that did not say who their client is, and had to",
    ),
];

/// Tells the recorder what each metric is, and starts the counters whose labels are known at zero: an increase from
/// nothing is no increase to Prometheus.
pub(super) fn describe() {
    for metric in METRICS {
        let (name, help) = (metric.name, metric.help);
        match metric.kind {
            Counter => metrics::describe_counter!(name, help),
            Gauge => metrics::describe_gauge!(name, help),
            Histogram => metrics::describe_histogram!(name, help),
        }
        if metric.kind == Counter {
            for labels in label_sets(metric, None) {
                counter!(name, labels).increment(0);
            }
        }
    }
}

/// The same for counters that go by issuer, once these are known.
pub(super) fn describe_issuers(issuers: &[String]) {
    for metric in METRICS.iter().filter(|metric| metric.kind == Counter && metric.labels.contains(&ISSUER)) {
        for labels in label_sets(metric, Some(issuers)) {
            counter!(metric.name, labels).increment(0);
        }
    }
}

/// Every combination of labels that a metric can have, as far as their values are known; nothing if one is not.
fn label_sets(metric: &Metric, issuers: Option<&[String]>) -> Vec<Vec<Label>> {
    let mut sets = vec![Vec::new()];
    for label in metric.labels {
        let values: Vec<String> = match (label, issuers) {
            ((_, These(values)), _) => values.iter().map(|value| (*value).to_owned()).collect(),
            (label, Some(issuers)) if *label == ISSUER => issuers.to_vec(),
            _ => return Vec::new(),
        };
        sets = sets
            .into_iter()
            .flat_map(|set| {
                values.iter().map(move |value| {
                    let mut longer = set.clone();
                    longer.push(Label::new(label.0, value.clone()));
                    longer
                })
            })
            .collect();
    }
    sets
}

#[cfg(test)]
mod tests;
