use ingam_protocol::Timestamp;
use ingam_protocol::finding::Level;
use toml::Table;

use super::*;
use crate::config::{DEVELOPMENT, Reading};

const SERVER: &str = include_str!("../../../../../config/server.toml");

/// The shipped file with `old` replaced.
fn changed(old: &str, new: &str) -> Reading {
    assert!(SERVER.contains(old), "{old}");
    Reading::of_text(Table::new(), &SERVER.replace(old, new))
}

fn errors(mut reading: Reading) -> Vec<String> {
    reading.examine(Timestamp::default());
    let errors = reading.into_findings().into_iter().filter(|finding| finding.level == Level::Error);
    errors.map(|finding| finding.key).collect()
}

#[test]
fn a_server_is_held_to_the_rules_of_the_public_web() {
    let restrictions =
        changed("special_use_allowed = []", "special_use_allowed = [\"internal\"]").config.restrictions();
    let restrictions = restrictions.unwrap();
    assert!(restrictions.public_rules);
    let names = |list: &[Domain]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&restrictions.special_use_allowed), ["internal"]);
    assert_eq!(names(&restrictions.refused), ["ca.example"]);
    let own: Vec<&str> = restrictions.own.iter().map(DnsName::as_str).collect();
    assert_eq!(own, ["acme.ca.example", "ca.example", "pki.ca.example"]);
    assert_eq!(restrictions.allowed, None);
    assert!(restrictions.blocked.is_empty());
}

#[test]
fn mistakes_are_told_by_their_keys() {
    for (old, new, key) in [
        ("names_allowed = []", "names_allowed = [\"a b\"]", "issuance.names_allowed"),
        ("special_use_allowed = []", "special_use_allowed = [\"intern\"]", "issuance.special_use_allowed"),
        ("# public_rules = true", "public_rules = false", "issuance.public_rules"),
    ] {
        assert!(errors(changed(old, new)).contains(&key.to_owned()), "{new}");
    }
}

#[test]
fn development_takes_every_name_unless_asked_otherwise() {
    let reading = |text| Reading::of_text(toml::from_str(DEVELOPMENT).unwrap(), text);
    let free = reading("").config.restrictions().unwrap();
    assert_eq!((free.public_rules, free.own.len()), (false, 0));
    let strict = reading("[issuance]\npublic_rules = true").config.restrictions().unwrap();
    assert!(strict.public_rules);
    assert_eq!(strict.own, [DnsName::parse("ingam.test").unwrap()]);
}

#[test]
fn a_file_that_is_no_list_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocked");
    let mut config = changed("names_allowed = []", "names_allowed = [\"*.example.org\"]").config;
    config.issuance.names_blocked_file = Some(path.clone());
    let told = config.restrictions().unwrap_err().to_string();
    assert!(told.starts_with("issuance.names_blocked_file is ") && told.contains("blocked"), "{told}");
    std::fs::write(&path, "bank.example\nno name\n").unwrap();
    let told = config.restrictions().unwrap_err().to_string();
    assert!(told.contains("line 2 has \"no name\""), "{told}");
    std::fs::write(&path, "# none\nbank.example\n*.shop.example\n").unwrap();
    let restrictions = config.restrictions().unwrap();
    assert!(restrictions.blocked != Arc::default() && restrictions.allowed.is_some());
}
