//! Each rule of a profile, kept and broken; and what a profile becomes.

use ingam_protocol::Timestamp;
use ingam_protocol::profile::CommonName;
use ingam_protocol::time::SeededRandom;

use super::*;
use crate::config::{DEVELOPMENT, Environment, Reading};

fn reading(profile: &str) -> Reading {
    let text = format!("[profiles.classic]\n{profile}");
    let mut reading = Reading::of_text(toml::from_str(DEVELOPMENT).unwrap(), &text);
    reading.examine(Timestamp::default());
    reading
}

/// The last parts of the keys of the errors in the profile `classic` of the development configuration, changed like this,
/// and their reasons.
fn errors(profile: &str) -> Vec<(String, String)> {
    let errors = reading(profile).into_findings().into_iter().filter(|finding| finding.level == Level::Error);
    errors
        .map(|finding| {
            let key = finding.key.strip_prefix("profiles.classic.").unwrap_or(&finding.key).to_owned();
            (key, finding.reason)
        })
        .collect()
}

fn made(profile: &str) -> Profile {
    let reading = reading(profile);
    let catalog = reading.config.catalog().unwrap_or_else(|error| panic!("{profile}: {error}"));
    Profile::clone(catalog.by_name("classic").unwrap())
}

#[test]
fn what_is_allowed_is_taken() {
    for profile in [
        "",
        "public = false",
        "extended_key_usages = ['server-auth', 'client-auth']",
        "public = false\nextended_key_usages = ['client-auth']",
        "public = false\nextended_key_usages = ['1.3.6.1.5.5.7.3.17']",
        "policies = ['1.3.6.1.4.1.99999.1', '2.999.7']",
        "public = false\npolicies = ['2.5.29.32.0']",
        "common_name = 'first-name'",
        "rsa_bits = [2048]",
        "rsa_bits = [2056, 4096]",
        "rsa_bits = []\nkey_types = ['ecdsa-p256']",
        "key_encipherment = true",
        "ocsp_pointer = false",
        "crl_pointer = false",
        "issuer_pointer = false",
        "subject_key_identifier = true",
        "public = false\nocsp_pointer = false\nissuer_pointer = false",
        "revocation_pointers = false\ncrl_pointer = true",
        "validity_s = 604800\nrevocation_pointers = false",
        "validity_s = 604800\nocsp_pointer = false\ncrl_pointer = false",
        "must_staple = 'requested'",
        "must_staple = 'always'\ncrl_pointer = false",
        "transparency = 'none'",
        "issuer = ''\nissuers = { ecdsa = 3, rsa = 1 }",
        "issuer = ''\nissuers = { ecdsa = 0, rsa = 1000 }",
    ] {
        assert_eq!(errors(profile), [], "{profile}");
    }
}

#[test]
fn what_is_not_allowed_is_told_by_its_key_and_section() {
    for (profile, key, reason) in [
        ("extended_key_usages = []", "extended_key_usages", "is empty"),
        ("extended_key_usages = ['client-auth']", "extended_key_usages", "BR 7.1.2.7.10"),
        (
            "extended_key_usages = ['server-auth', '1.3.6.1.5.5.7.3.17']",
            "extended_key_usages",
            "BR 7.1.2.7.10",
        ),
        ("extended_key_usages = ['server-auth', 'server-auth']", "extended_key_usages", "twice"),
        (
            "public = false\nextended_key_usages = ['2.5.29.37.0']",
            "extended_key_usages",
            "anyExtendedKeyUsage",
        ),
        (
            "public = false\nextended_key_usages = ['1.3.6.1.5.5.7.3.9']",
            "extended_key_usages",
            "of the CA itself",
        ),
        ("public = false\nextended_key_usages = ['serverAuth']", "extended_key_usages", "object identifier"),
        ("policies = ['2.5.29.32.0']", "policies", "BR 7.1.2.7.9"),
        ("policies = ['2.23.140.1.2.2']", "policies", "BR 7.1.2.7.9"),
        ("public = false\npolicies = ['2.23.140.1.2.1']", "policies", "BR 7.1.2.7.9"),
        ("policies = ['2.999.7', '2.999.7']", "policies", "twice"),
        ("policies = ['own policy']", "policies", "object identifier"),
        ("common_name = 'all'", "common_name", ""),
        ("rsa_bits = []", "rsa_bits", "is empty"),
        ("rsa_bits = [1024, 2048]", "rsa_bits", "BR 6.1.5"),
        ("rsa_bits = [2052]", "rsa_bits", "BR 6.1.5"),
        ("rsa_bits = [8192]", "rsa_bits", "BR 6.1.5"),
        ("key_types = ['ed25519']", "key_types", ""),
        ("key_types = ['rsa', 'ml-dsa-44']", "key_types", "BR 6.1.5"),
        ("key_types = ['ml-dsa-65']", "key_types", "BR 6.1.5"),
        ("key_types = ['ml-dsa-87']", "key_types", "BR 6.1.5"),
        ("revocation_pointers = false", "revocation_pointers", "more than seven days"),
        ("ocsp_pointer = false\ncrl_pointer = false", "revocation_pointers", "more than seven days"),
        ("validity_s = 604801\nocsp_pointer = false\ncrl_pointer = false", "revocation_pointers", "nobody"),
        ("issuer_pointer = false\nocsp_pointer = false", "issuer_pointer", "BR 7.1.2.7.6"),
        ("must_staple = 'always'\nocsp_pointer = false", "must_staple", "RFC 7633"),
        ("must_staple = 'requested'\nocsp_pointer = false", "must_staple", "RFC 7633"),
        ("issuers = { ecdsa = 1 }", "issuers", "beside issuer"),
        ("issuer = ''\nissuers = { ecdsa = 0, rsa = 0 }", "issuers", "nobody signs"),
        ("issuer = ''\nissuers = { ecdsa = 1001 }", "issuers.ecdsa", "too large"),
        ("issuer = ''\nissuers = { ecdsa = 1, other = 1 }", "issuers", "\"other\""),
    ] {
        let found = errors(profile);
        assert_eq!(found.len(), 1, "{profile}: {found:?}");
        assert_eq!(found[0].0, key, "{profile}: {found:?}");
        assert!(found[0].1.contains(reason), "{profile}: {found:?}");
    }
}

#[test]
fn ml_dsa_keys_are_for_private_profiles_of_builds_that_verify_them() {
    let profile = "public = false\nkey_types = ['ecdsa-p256', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87']";
    if KeyType::MlDsa44.is_available() {
        assert_eq!(errors(profile), []);
        assert!(made(profile).key_types.contains(&KeyType::MlDsa87));
        return;
    }
    let findings = reading(profile).into_findings();
    let told: Vec<_> = findings.iter().filter(|one| one.key == "profiles.classic.key_types").collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for (finding, name) in told.iter().zip(["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"]) {
        assert_eq!(finding.level, Level::Error);
        assert_eq!(finding.reason, format!("has \"{name}\", which this build does not have"));
        assert_eq!(finding.fix, "take it out, or build with `--features aws-lc-rs`");
    }
}

#[test]
fn certificates_go_to_logs_where_there_are_some_and_the_lease_lasts() {
    let required = "transparency = 'required'\n";
    assert_eq!(errors(required), [], "development has logs of its own");
    let [(key, reason)] = errors(&format!("{required}[listen]\nct_log = []\n")).try_into().unwrap();
    assert_eq!(key, "transparency");
    assert!(reason.contains("no logs to ask"), "{reason}");
    let named = "[listen]\nct_log = []\n[transparency]\nlog_list = 'log_list.json'\n";
    assert_eq!(errors(&format!("{required}{named}")), []);
    let [(key, reason)] = errors(&format!("{required}[issuance]\nlease_s = 20\n")).try_into().unwrap();
    assert_eq!(key, "issuance.lease_s");
    assert!(reason.contains("20000 ms"), "{reason}");
}

#[test]
fn a_profile_is_what_was_written() {
    let usual = made("");
    let for_the_public =
        Contents { key_encipherment: false, subject_key_identifier: false, ..Contents::usual() };
    assert_eq!(usual.contents, for_the_public);
    assert_eq!(made("public = false").contents, Contents::usual());
    assert_eq!((usual.transparency, usual.rsa_bits.len()), (Transparency::None, 3));
    let other = made(
        "issuer = ''\nissuers = { ecdsa = 0, rsa = 2 }\nextended_key_usages = ['server-auth', '1.3.6.1.5.5.7.3.2']\n\
         policies = ['2.999.7']\ncommon_name = 'first-name'\nrevocation_pointers = false\nocsp_pointer = true\n\
         must_staple = 'requested'\nkey_encipherment = true\nsubject_key_identifier = true",
    );
    let wanted = Contents {
        key_encipherment: true,
        purposes: vec![Purpose::ServerAuth, Purpose::ClientAuth],
        policies: vec!["2.999.7".parse().unwrap()],
        common_name: CommonName::FirstName,
        ocsp_pointer: true,
        crl_pointer: false,
        issuer_pointer: true,
        subject_key_identifier: true,
        must_staple: MustStaple::Requested,
    };
    assert_eq!(other.contents, wanted);
    let chosen = other.issuers.choose(&SeededRandom::new(1), |_| true).unwrap();
    assert_eq!((chosen.as_str(), other.issuers.all().count()), ("rsa", 2));
}

#[test]
fn logs_are_asked_of_public_profiles_in_production() {
    let default = ProfileConfig::default();
    let private = ProfileConfig { public: false, ..default.clone() };
    let without = ProfileConfig { transparency: Some(Transparency::None), ..default.clone() };
    for (settings, environment, wanted) in [
        (&default, Environment::Production, Transparency::Required),
        (&default, Environment::Staging, Transparency::None),
        (&default, Environment::Development, Transparency::None),
        (&private, Environment::Production, Transparency::None),
        (&without, Environment::Production, Transparency::None),
    ] {
        assert_eq!(settings.transparency(environment), wanted, "{environment:?}");
    }
}
