use ingam_protocol::Finding;
use ingam_protocol::finding::Level;
use toml::Table;

use super::*;
use crate::config::Reading;

const SERVER: &str = include_str!("../../../../../config/server.toml");

fn moment(text: &str) -> Timestamp {
    Timestamp::from_rfc3339(&format!("{text}T00:00:00Z")).unwrap()
}

fn config(environment: &str, change: (&str, &str)) -> Config {
    assert!(SERVER.contains(change.0), "{}", change.0);
    let text = SERVER
        .replacen("environment = \"staging\"", &format!("environment = \"{environment}\""), 1)
        .replacen(change.0, change.1, 1);
    Reading::of_text(Table::new(), &text).config
}

const NOTHING: (&str, &str) = ("[issuance]", "[issuance]");

fn findings(work: impl FnOnce(&mut Findings)) -> Vec<Finding> {
    let mut found = Findings::new();
    work(&mut found);
    found.into_iter().collect()
}

fn remotes(environment: &str, count: u8, registries: u8, day: &str) -> Vec<Finding> {
    let told = if environment == "production" { Told::Errors } else { Told::Warnings };
    findings(|found| Check { told, now: moment(day), found }.remotes(Remotes { count, registries }))
}

#[test]
fn what_is_broken_by_now_stops_production_and_what_is_to_come_does_not() {
    for (environment, level) in [("production", Level::Error), ("staging", Level::Warning)] {
        let config = config(environment, ("validity_s = 7776000", "validity_s = 10000000"));
        let at = |day| findings(|found| check(&config, moment(day), found));
        let about = |found: &[Finding]| -> Vec<(Level, String)> {
            let lengths = found.iter().filter(|finding| finding.key.ends_with("classic.validity_s"));
            lengths.map(|finding| (finding.level, finding.reason.clone())).collect()
        };
        let reason = |when: &str| {
            let limit = "a certificate for the public may be valid for at most 100 days";
            format!("is 10000000: {limit} {when} (BR 6.3.2)")
        };
        assert_eq!(about(&at("2026-03-14")), []);
        assert_eq!(about(&at("2027-03-14")), [(Level::Warning, reason("from 2027-03-15 on"))]);
        assert_eq!(about(&at("2027-03-15")), [(level, reason("since 2027-03-15"))]);
    }
}

#[test]
fn all_that_comes_in_the_year_is_told_at_once() {
    let found = remotes("staging", 2, 2, "2026-03-20");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].level, found[0].key.as_str()), (Level::Warning, "validation.remotes"));
    let needs = "at least 3 since 2026-03-15, at least 4 from 2026-06-15 on, at least 5 from 2026-12-15 on (BR 3.2.2.9)";
    assert!(found[0].reason.contains(needs), "{}", found[0].reason);
    assert_eq!(remotes("production", 2, 2, "2026-03-20")[0].level, Level::Error);
    assert_eq!(remotes("production", 4, 2, "2026-12-14")[0].level, Level::Warning);
    assert_eq!(remotes("production", 4, 2, "2026-12-15")[0].level, Level::Error);
    assert_eq!(remotes("production", 5, 2, "2030-01-01"), []);
}

#[test]
fn one_region_is_too_few() {
    let found = remotes("production", 5, 1, "2026-11-28");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].level, Level::Error);
    assert!(found[0].reason.contains("at least 2 since 2026-03-15"), "{}", found[0].reason);
}

#[test]
fn answers_without_proof_are_told() {
    let at = |day: &str, is_off| {
        findings(|found| Check { told: Told::Errors, now: moment(day), found }.dnssec(is_off))
    };
    assert_eq!(at("2026-11-28", false), []);
    let found = at("2026-11-28", true);
    assert_eq!((found.len(), found[0].level, found[0].key.as_str()), (1, Level::Error, "validation.dnssec"));
    assert!(found[0].reason.contains("required since 2026-03-15 (BR 3.2.2.4"), "{}", found[0].reason);
    assert_eq!(at("2026-03-01", true)[0].level, Level::Warning);
}

#[test]
fn a_single_perspective_is_said_aloud() {
    let config = config("staging", NOTHING);
    let found = findings(|found| check(&config, moment("2026-11-28"), found));
    let alone = found.iter().find(|finding| finding.key == "validation.remotes").unwrap();
    assert_eq!(alone.level, Level::Warning);
    assert!(alone.reason.contains("a single perspective looks"), "{}", alone.reason);
}

#[test]
fn private_profiles_may_do_as_they_like() {
    let text = SERVER.replace("public = true", "public = false");
    let mut config = Reading::of_text(Table::new(), &text).config;
    for profile in config.profiles.values_mut() {
        profile.public = false;
    }
    assert_eq!(findings(|found| check(&config, moment("2031-01-01"), found)), []);
    // What they do is shown all the same.
    let noted = findings(|found| differences(&config, moment("2031-01-01"), found));
    assert!(noted.iter().all(|finding| finding.level == Level::Note));
    let keys: Vec<&str> = noted.iter().map(|finding| finding.key.as_str()).collect();
    assert!(keys.contains(&"profiles.classic.validity_s") && keys.contains(&"profiles.private.validity_s"));
    let shipped =
        findings(|found| differences(&self::config("staging", NOTHING), moment("2026-11-29"), found));
    assert_eq!(shipped.len(), 1, "{shipped:?}");
    assert!(shipped[0].reason.contains("at most 200 days since 2026-03-15"), "{}", shipped[0].reason);
}

#[test]
fn what_is_held_while_the_ca_runs_follows_from_the_environment() {
    let held = |environment| config(environment, NOTHING).dated_rules();
    let nothing = PublicRules::default();
    assert_eq!(held("development"), nothing);
    assert_eq!(held("staging"), PublicRules { lengths: true, ..nothing });
    let corroboration = Some(Remotes::default());
    assert_eq!(held("production"), PublicRules { lengths: true, corroboration });
}

#[test]
fn purposes_beside_servers_end_for_the_public() {
    let found = |environment: &str, usages: &str, day: &str| -> Vec<Level> {
        let line = format!("extended_key_usages = {usages}");
        let config = config(environment, ("extended_key_usages = [\"server-auth\"]", &line));
        let found = findings(|found| check(&config, moment(day), found)).into_iter();
        let about = found.filter(|finding| finding.key == "profiles.classic.extended_key_usages");
        about
            .inspect(|finding| assert!(finding.reason.contains("Chrome Root Program 1.8")))
            .map(|finding| finding.level)
            .collect()
    };
    let both = "[\"server-auth\", \"client-auth\"]";
    assert_eq!(found("production", both, "2026-03-14"), []);
    assert_eq!(found("production", both, "2027-03-14"), [Level::Warning]);
    assert_eq!(found("production", both, "2027-03-15"), [Level::Error]);
    assert_eq!(found("staging", both, "2027-03-15"), [Level::Warning]);
    assert_eq!(found("production", "[\"server-auth\"]", "2027-03-15"), []);
}

#[test]
fn what_is_not_recommended_is_a_warning() {
    for (line, other, environment) in [
        ("common_name = \"none\"", "common_name = \"first-name\"", "staging"),
        ("issuer_pointer = true", "issuer_pointer = false", "staging"),
        ("# transparency = \"none\"", "transparency = \"none\"", "production"),
    ] {
        let key = other.split(' ').next().unwrap();
        let about = |change: (&str, &str)| -> Vec<Level> {
            let config = config(environment, change);
            let found = findings(|found| check(&config, moment("2026-11-29"), found)).into_iter();
            let key = format!("profiles.classic.{key}");
            found.filter(|finding| finding.key == key).map(|finding| finding.level).collect()
        };
        assert_eq!(about((line, other)), [Level::Warning], "{key}");
        assert_eq!(about(NOTHING), [], "{key}");
    }
}
