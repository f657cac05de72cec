use serde_json::json;

use super::*;

const DAY_MS: u64 = 86_400_000;
const NOW_MS: u64 = 1_795_255_200_000;

fn report() -> Report {
    serde_json::from_value(json!({
        "at": NOW_MS, "version": "0.1.0", "environment": "staging", "started": NOW_MS - 100_000, "uptime_s": 273_600,
        "a_later_version": { "knows": "more" },
        "roles": [
            { "role": "frontend", "ready": true, "lacks": [] },
            { "role": "signer", "ready": false, "lacks": [
                { "code": "issuer_certificate", "level": "failing", "detail": "the certificate of rsa has ended",
                  "fix": "make a new issuing CA and put it into the configuration" },
            ] },
            { "role": "store", "ready": true, "lacks": [
                { "code": "disk", "level": "warning", "detail": "the disk is 91 % full\u{1b}[2J", "fix": "make room" },
            ] },
        ],
        "issuers": [
            { "name": "ecdsa", "key": "ecdsa-p256", "not_before": 0, "not_after": NOW_MS + 1800 * DAY_MS,
              "crl": { "number": 12, "this_update": NOW_MS - DAY_MS / 8, "next_update": NOW_MS + DAY_MS, "entries": 40 },
              "ocsp_certificate_not_after": null, "oldest_answer": NOW_MS - 600_000 },
            { "name": "rsa", "key": "rsa-2048", "not_before": 0, "not_after": NOW_MS - DAY_MS, "crl": null,
              "ocsp_certificate_not_after": NOW_MS + 20 * DAY_MS, "oldest_answer": null },
        ],
        "certificates": [{ "kind": "https", "name": "acme", "not_before": 0, "not_after": NOW_MS + 30 * DAY_MS }],
        "queues": [
            { "name": "checks", "waiting": 1, "max": 1000 },
            { "name": "transactions", "waiting": 950, "max": 1000 },
        ],
        "storage": { "outbox_records": 12, "outbox_oldest_age_s": 3, "disk_free_bytes": 9_663_676_416_u64,
            "disk_bytes": 107_374_182_400_u64, "store_bytes": 1536, "journal_bytes": null },
        "clock": { "jump_ms": -12, "behind_ms": 0 },
    }))
    .unwrap()
}

#[test]
fn a_narrow_picture() {
    let text = paint(&report(), &Paper { width: Some(80), ..Paper::default() });
    assert_eq!(
        text,
        "ingam 0.1.0, staging: NOT READY, up 3 d 4 h, seen at 2026-11-21T10:00:00Z

Roles
  frontend  ready
  signer    NOT READY
      failing issuer_certificate: the certificate of rsa has ended; to do: make a
      new issuing CA and put it into the configuration
  store     ready, with a warning
      warning disk: the disk is 91 % full\u{fffd}[2J; to do: make room

Issuers
  ISSUER  KEY         ENDS                      CRL                    NEXT CRL
    OCSP SIGNER ENDS     OLDEST ANSWER
  ecdsa   ecdsa-p256  2031-10-26, in 4 y 340 d  12, 3 h old, lists 40  in 1 d
    itself               10 min ago
  rsa     rsa-2048    2026-11-20, 1 d ago       none
    2026-12-11, in 20 d  none kept

Own certificates
  FOR    NAME  ENDS
  https  acme  2026-12-21, in 30 d

Queues
  checks        [#.......................]    1 of 1000
  transactions  [#######################.]  950 of 1000

Storage
  disk     [######################..]  9.0 GiB free of 100.0 GiB
  store    1.5 KiB
  outbox   12 for the journal, the oldest since 3 s

Clock
  lost 12 ms since the start
"
    );
}

#[test]
fn a_wide_picture_has_a_line_for_each_issuer() {
    let text = paint(&report(), &Paper { width: Some(200), blocks: true, ..Paper::default() });
    let issuer = "  ecdsa   ecdsa-p256  2031-10-26, in 4 y 340 d  12, 3 h old, lists 40  in 1 d    itself               \
                  10 min ago\n";
    assert!(text.contains(issuer), "{text}");
    assert!(
        text.contains(&format!("  checks        \u{2588}{}    1 of 1000\n", "\u{2591}".repeat(23))),
        "{text}"
    );
}

#[test]
fn colours_say_how_bad_it_is() {
    let text = paint(&report(), &Paper { width: Some(80), colour: true, ..Paper::default() });
    assert!(text.contains("\u{1b}[31mNOT READY\u{1b}[0m"), "{text}");
    assert!(text.contains("\u{1b}[33mready, with a warning\u{1b}[0m"), "{text}");
    assert!(text.contains("\u{1b}[31m2026-11-20, 1 d ago\u{1b}[0m"), "{text}");
}

#[test]
fn a_report_of_another_version_is_still_shown() {
    let text = paint(&serde_json::from_value(json!({})).unwrap(), &Paper::default());
    assert!(text.starts_with("ingam , : NOT READY"), "{text}");
    let bare = json!({ "roles": [{ "role": "a_new_one", "ready": true }] });
    assert!(serde_json::from_value::<Report>(bare).unwrap().ready());
}

#[test]
fn bytes_are_told_by_a_fitting_unit() {
    assert_eq!(bytes_text(1023), "1023 B");
    assert_eq!(bytes_text(1536), "1.5 KiB");
    assert_eq!(bytes_text(5 << 30), "5.0 GiB");
    assert_eq!(bytes_text(3 << 40), "3.0 TiB");
}
