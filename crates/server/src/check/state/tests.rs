//! State folders as operators find them: new, closed, full, damaged, of another CA, too old.

use std::fs;

use ingam_protocol::profile::IssuerName;
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_signer::KeyKind;
use ingam_signer::hierarchy::{IssuerPlan, PUBLISHED, Plan, Protection};
use tempfile::TempDir;

use super::*;
use crate::config::ProfileConfig;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> Timestamp {
    Timestamp::from_rfc3339("2026-11-28T00:00:00Z").unwrap()
}

/// A folder with a hierarchy that was made now, with the issuing CAs `one` and `two`, and a configuration for it.
fn made() -> (TempDir, Config) {
    let (folder, mut config) = empty();
    let name = |name: &str| IssuerName::try_from(name.to_owned()).unwrap();
    let issuer = |issuer: &str| IssuerPlan { name: name(issuer), key: KeyKind::EcdsaP256 };
    let (country, organization) = ("KR".to_owned(), "Example".to_owned());
    let plan = Plan {
        country,
        organization,
        root: name("root"),
        is_public: true,
        publication: "http://pki.ca.example".to_owned(),
        issuers: vec![issuer("one"), issuer("two")],
    };
    let hierarchy = Hierarchy::create(&plan, &FixedClock::new(now()), &SeededRandom::new(1)).unwrap();
    hierarchy.save(&config.state, &Protection::default(), &SeededRandom::new(1)).unwrap();
    let kinds = ["one", "two"].map(|name| (name.to_owned(), KeyKind::EcdsaP256));
    config.hierarchy.issuers = kinds.into();
    let profile = ProfileConfig {
        description: "a profile".to_owned(),
        issuer: "one".to_owned(),
        validity_s: 90 * DAY.as_secs(),
        ..ProfileConfig::default()
    };
    config.profiles.insert("classic".to_owned(), profile);
    (folder, config)
}

fn empty() -> (TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    (folder, Config { environment: Environment::Staging, state, ..Config::default() })
}

/// Everything found but how full the disk is, which is not the test's to say: `E key` or `W key`.
fn found_at(config: &Config, now: Timestamp) -> Vec<String> {
    let mut found = Findings::new();
    check(config, now, &mut found);
    let known = found.into_iter().filter(|finding| !finding.reason.contains("MiB left"));
    known.map(|finding| format!("{:.1} {}", format!("{:?}", finding.level), finding.key)).collect()
}

fn found(config: &Config) -> Vec<String> {
    found_at(config, now())
}

#[test]
fn a_whole_ca_is_fine() {
    let (_folder, config) = made();
    assert!(found(&config).is_empty(), "{:?}", found(&config));
}

#[test]
fn encrypted_keys_are_tried_where_the_passphrase_is_at_hand() {
    let (folder, mut config) = made();
    let hierarchy = Hierarchy::load(&config.state, None).unwrap();
    config.state = folder.path().join("sealed");
    let passphrase = |text: &str| ingam_signer::Passphrase::new(text.into()).unwrap();
    let protection = Protection { root: None, issuers: Some(passphrase("right")) };
    hierarchy.save(&config.state, &protection, &SeededRandom::new(2)).unwrap();
    fs::set_permissions(&config.state, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(found(&config), ["W hierarchy.passphrase_file"]);
    for (text, expected) in [("right\n", &[][..]), ("wrong\n", &["E state"])] {
        let file = folder.path().join("passphrase");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        config.hierarchy.passphrase_file = Some(file);
        assert_eq!(found(&config), expected);
    }
}

#[test]
fn a_new_folder_wants_a_hierarchy_and_a_name() {
    let (folder, mut config) = empty();
    let expected = ["W state", "W hierarchy.country", "W hierarchy.organization"];
    assert_eq!(found(&config), expected);
    config.hierarchy.country = "KR".to_owned();
    config.hierarchy.organization = "Example".to_owned();
    assert_eq!(found(&config), ["W state"]);
    config.state = folder.path().join("not/yet/there");
    assert_eq!(found(&config), ["W state"]);
    assert!(!folder.path().join("not").exists(), "nothing is made");
}

#[test]
fn what_is_no_folder_cannot_be_used() {
    let (folder, mut config) = empty();
    fs::write(folder.path().join("file"), "").unwrap();
    for path in ["file", "file/state"] {
        config.state = folder.path().join(path);
        assert_eq!(found(&config), ["E state"], "{path}");
    }
}

#[test]
fn others_should_not_look_into_it() {
    let (_folder, mut config) = made();
    fs::set_permissions(&config.state, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(found(&config), ["W state"]);
    config.environment = Environment::Development;
    assert!(found(&config).is_empty());
}

#[test]
fn room_on_the_disk() {
    let level = |free_bytes: u64| {
        let mut found = Findings::new();
        space(Path::new("/x"), free_bytes, &mut found);
        found.into_iter().next().map(|finding| format!("{finding} {:?}", finding.level))
    };
    assert!(level(SPACE_NONE_BYTES - 1).unwrap().ends_with("Error"));
    assert!(level(SPACE_NONE_BYTES).unwrap().contains("100 MiB left; make room on the disk of /x Warning"));
    assert!(level(SPACE_LOW_BYTES - 1).unwrap().ends_with("Warning"));
    assert_eq!(level(SPACE_LOW_BYTES), None);
}

#[test]
fn a_ca_that_has_lived_is_not_begun_anew() {
    for trace in ["store.redb", "store.sled", "journal"] {
        let (_folder, config) = empty();
        fs::write(config.state.join(trace), "").unwrap();
        assert_eq!(found(&config), ["E state"], "{trace}");
    }
    let (_folder, config) = made();
    fs::remove_file(config.state.join("hierarchy.json")).unwrap();
    assert_eq!(found(&config), ["E state"], "keys are left");
}

#[test]
fn where_a_restore_was_broken_off_nothing_else_is_said() {
    for (_folder, config) in [empty(), made()] {
        fs::create_dir(config.state.join("restoring.new")).unwrap();
        fs::write(config.state.join("store.redb"), "").unwrap();
        assert_eq!(found(&config), ["E state"]);
    }
}

#[test]
fn a_store_is_not_begun_anew_beside_a_journal() {
    let (_folder, mut config) = made();
    fs::create_dir(config.state.join("journal")).unwrap();
    assert!(found(&config).is_empty(), "an empty journal is none");
    fs::write(config.state.join("journal/issuance-20261101-00000001.seg"), "").unwrap();
    assert_eq!(found(&config), ["E state"]);
    fs::write(config.state.join("store.redb"), "").unwrap();
    assert!(found(&config).is_empty());
    config.store.engine = EngineChoice::Sled;
    assert_eq!(found(&config), ["E store.engine"]);
}

#[test]
fn damage_to_the_hierarchy_is_one_finding() {
    let (_folder, config) = made();
    let one = config.state.join("issuers/one.pem");
    let kept = fs::read(&one).unwrap();
    fs::copy(config.state.join("issuers/two.pem"), &one).unwrap();
    assert_eq!(found(&config), ["E state"]);
    fs::write(&one, "nothing").unwrap();
    assert_eq!(found(&config), ["E state"]);
    fs::write(&one, kept).unwrap();
    fs::write(config.state.join("hierarchy.json"), "{}").unwrap();
    assert_eq!(found(&config), ["E state"]);
}

#[test]
fn configuration_and_hierarchy_fit_each_other() {
    let (_folder, mut config) = made();
    config.profiles.get_mut("classic").unwrap().issuer = "three".to_owned();
    config.hierarchy.issuers.insert("three".to_owned(), KeyKind::EcdsaP256);
    config.hierarchy.issuers.remove("two");
    assert_eq!(found(&config), ["E hierarchy.issuers.two", "E profiles.classic.issuer"]);
}

#[test]
fn what_signs_for_the_public_names_a_crl_in_its_certificate() {
    let (_folder, mut config) = made();
    config.environment = Environment::Production;
    let mut loaded = Hierarchy::load(&config.state, None).unwrap();
    let told = |config: &Config, loaded: &Hierarchy| {
        let mut found = Findings::new();
        published::check(config, loaded, now(), &mut found);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(told(&config, &loaded).is_empty());
    let key = rcgen::KeyPair::generate().unwrap();
    let without = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    loaded.intermediates[0].certificate = without.der().to_vec();
    let lines = told(&config, &loaded);
    assert!(lines.len() == 1 && lines[0].contains("profiles.classic.issuer"), "{lines:?}");
    assert!(lines[0].contains("has one sign for the public") && lines[0].contains("7.1.2.11.2"), "{lines:?}");
    config.profiles.get_mut("classic").unwrap().public = false;
    assert!(told(&config, &loaded).is_empty());
}

#[test]
fn the_crl_that_issuing_cas_name_is_there_and_has_not_ended() {
    let (_folder, mut config) = made();
    config.urls.publication = "http://pki.ca.example".to_owned();
    let list = config.state.join("published/root.crl");
    assert!(found(&config).is_empty());
    let mut later = Findings::new();
    check(&config, now().plus(365 * DAY), &mut later);
    assert!(
        later.iter().any(|finding| finding.reason.contains("root.crl, which ended at 2027-11-27")),
        "{later:?}"
    );
    let made = fs::read(&list).unwrap();
    fs::remove_file(&list).unwrap();
    assert_eq!(found(&config), ["W state", "W state"]);
    config.urls.publication = "http://elsewhere.example".to_owned();
    assert!(found(&config).is_empty());
    fs::write(&list, &made[1..]).unwrap();
    assert_eq!(found(&config), ["E state"]);
}

#[test]
fn an_issuer_that_stands_by_may_be_as_old_as_it_likes() {
    let (_folder, mut config) = made();
    let end = now().plus((5 * 365 - 2) * DAY).minus(Duration::from_secs(1));
    let profile = config.profiles.get_mut("classic").unwrap();
    (profile.issuer, profile.issuers) =
        (String::new(), [("one".to_owned(), 0), ("two".to_owned(), 3)].into());
    let mut told = Findings::new();
    check(&config, end, &mut told);
    let told: Vec<String> =
        told.iter().filter(|one| one.key.ends_with("validity_s")).map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("two ends at") && told[0].contains("give two the weight 0"), "{told:?}");
    config.profiles.get_mut("classic").unwrap().issuers.insert("three".to_owned(), 0);
    config.hierarchy.issuers.insert("three".to_owned(), KeyKind::EcdsaP256);
    assert_eq!(found(&config), ["E profiles.classic.issuers"]);
}

#[test]
fn issuers_age() {
    let (_folder, config) = made();
    // The root's CRL ends long before.
    fs::remove_dir_all(config.state.join(PUBLISHED)).unwrap();
    let mut both = Findings::new();
    // Five years, and 48 hours of them lie before the day it was made.
    let end = now().plus((5 * 365 - 2) * DAY).minus(Duration::from_secs(1));
    let reach = 90 * DAY - Duration::from_secs(3600);
    let last = end.minus(reach).plus(Duration::from_secs(1));
    // As health warns by default.
    let notice = 30 * DAY;
    assert!(found_at(&config, last.minus(notice)).is_empty());
    let warned = ["W profiles.classic.validity_s"];
    assert_eq!(found_at(&config, last.minus(notice).plus(Duration::from_secs(1))), warned);
    assert_eq!(found_at(&config, end), warned);
    let ended = ["E hierarchy.issuers.one", "E hierarchy.issuers.two"];
    assert_eq!(found_at(&config, end.plus(Duration::from_secs(1))), ended);
    assert_eq!(found_at(&config, now().minus(3 * DAY)), ended, "the clock is late");

    check(&config, last, &mut both);
    let told = both.iter().find(|finding| finding.key.ends_with("validity_s")).unwrap().to_string();
    assert!(
        told.contains(&format!("one ends at {end}, so that none can be issued by it after {last}")),
        "{told}"
    );
}

#[test]
fn a_responders_key_must_be_no_cas() {
    let (folder, mut config) = made();
    for issuer in ["one", "two"] {
        let key = config.state.join(format!("issuers/{issuer}.pem"));
        config.responder.delegates = vec![ingam_responder::Delegate { name: "tokyo".to_owned(), key }];
        assert_eq!(found(&config), ["E responder.delegates"], "{issuer}");
    }
    let pair = rcgen::KeyPair::generate().unwrap();
    let key = folder.path().join("tokyo.pub");
    fs::write(&key, pair.public_key_pem()).unwrap();
    config.responder.delegates[0].key = key;
    assert!(found(&config).is_empty(), "{:?}", found(&config));
}
