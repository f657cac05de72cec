use ingam_signer::tls::DevTls;

use super::*;
use crate::system::{SystemClock, SystemRandomness};

#[test]
fn a_day_begins_at_midnight() {
    assert_eq!(moment("2029-03-15").unwrap().to_rfc3339(), "2029-03-15T00:00:00Z");
    assert_eq!(moment("2029-03-15T12:00:00+01:00").unwrap().to_rfc3339(), "2029-03-15T11:00:00Z");
    for bad in ["", "tomorrow", "2029-02-30", "2029-3-15"] {
        assert!(moment(bad).is_err(), "{bad}");
    }
}

#[test]
fn certificates_tell_their_dates() {
    let made = DevTls::create(&SystemClock, &SystemRandomness::new()).unwrap();
    let dates = Dates::of(&made.certificate).unwrap();
    assert_eq!(dates.not_after, made.not_after);
    assert!(dates.not_before < dates.not_after);
    assert!(Dates::of(b"no certificate").is_none());
}

#[test]
fn an_error_is_told_with_its_causes() {
    let error = Reading::of_file(std::path::Path::new("/nowhere/a.toml")).err().unwrap();
    assert!(in_full(&error).contains("No such file"), "{error}");
}

#[test]
fn files_that_validation_needs_are_looked_at() {
    for (text, key) in [
        ("dnssec = \"validate\"\ntrust_anchors = \"/nowhere/root.key\"", "validation.trust_anchors"),
        (
            "resolvers = [\"tls://dns.example@127.0.0.1:853\"]\nresolver_roots = \"/nowhere/roots.pem\"",
            "validation.resolver_roots",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, format!("[validation]\n{text}\n")).unwrap();
        let mut reading = Reading::of_development(Some(&file)).unwrap();
        reading.examine(Timestamp::default());
        surroundings(&mut reading, true, Timestamp::default());
        let errors = reading.into_findings().into_iter().filter(|finding| finding.level == Level::Error);
        let told: Vec<String> = errors.map(|finding| finding.to_string()).collect();
        assert!(told.len() == 1 && told[0].contains(key) && told[0].contains("No such file"), "{told:?}");
    }
}
