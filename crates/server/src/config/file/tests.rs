//! What an operator is told about a file, whatever is in it.

use std::net::SocketAddr;

use ingam_protocol::finding::Level;
use proptest::prelude::*;

use super::*;
use crate::config::Environment;

const SERVER: &str = include_str!("../../../../../config/server.toml");

fn now() -> Timestamp {
    Timestamp::from_rfc3339("2026-11-28T00:00:00Z").unwrap()
}

fn findings(text: &str) -> Vec<Finding> {
    let mut reading = Reading::of_text(Table::new(), text);
    reading.examine(now());
    reading.into_findings()
}

/// The shipped file with each of these texts, which it has once, in place of another.
fn changed(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(SERVER.to_owned(), |text, (old, new)| {
        assert_eq!(text.matches(old).count(), 1, "{old} is there once");
        text.replacen(old, new, 1)
    })
}

/// The keys of all errors; each is where its line says, or the table is that lacks it.
fn errors(text: &str) -> Vec<String> {
    let errors = findings(text).into_iter().filter(|finding| finding.level == Level::Error);
    errors
        .map(|Finding { key, line, .. }| {
            let line = line.map(|line| text.lines().nth(line - 1).unwrap());
            let (table, last) = key.rsplit_once('.').unwrap_or(("", key.as_str()));
            let is_there = line.is_none_or(|line| line.contains(last) || line == format!("[{table}]"));
            assert!(is_there, "{key} is not in this line: {line:?}");
            key
        })
        .collect()
}

#[test]
fn every_shipped_configuration_is_good() {
    let mut development = Reading::of_development(None).unwrap();
    assert_eq!(development.config.environment, Environment::Development);
    development.examine(now());
    assert_eq!(development.into_findings(), []);
    // It looks from a single perspective, and says so.
    let keys: Vec<String> = findings(SERVER).into_iter().map(|finding| finding.key).collect();
    assert_eq!(keys, ["validation.remotes"]);
    let config = Reading::of_text(Table::new(), SERVER).checked(now()).unwrap();
    assert_eq!(config.environment, Environment::Staging);
    assert_eq!(config.catalog().unwrap().iter().count(), 5);
    assert_eq!(config.issuer_urls().unwrap().len(), 2);
}

#[test]
fn ten_mistakes_are_ten_findings() {
    let text = changed(&[
        ("environment = \"staging\"", "enviroment = \"staging\""),
        ("acme = [\"0.0.0.0:443\", \"[::]:443\"]", "acme = \"0.0.0.0:443\""),
        ("publication = \"http://pki.ca.example\"", "publication = \"https://pki.ca.example\""),
        ("idle_timeout_s = 60", "idle_timeout_s = 0"),
        ("country = \"KR\"", "country = \"kr\""),
        // A profile uses this issuer, which follows from the mistake and is none of its own.
        ("rsa = \"rsa-2048\"", "rsa = \"rsa-1024\""),
        (
            "# Validity in seconds, both ends included: 90 days.\nvalidity_s = 7776000",
            "validity_s = \"90 days\"",
        ),
        ("issuer = \"rsa\"\n", ""),
        ("resolvers = [\"127.0.0.1:53\", \"[::1]:53\"]", "resolvers = [\"127.0.0.1:53\", \"nowhere\"]"),
        // When answers are signed anew is half of it at most, and follows from it too.
        ("ocsp_validity_s = 604799", "ocsp_validity_s = 0"),
    ]);
    let expected = [
        ("enviroment", "is no key here; write environment, if that is meant, or remove it"),
        ("listen.acme", "is \"0.0.0.0:443\"; give a list in brackets"),
        ("urls.publication", "has to begin with http://"),
        ("limits.idle_timeout_s", "is 0: too small; set it to 1 at least and 3600 (1 hour) at most"),
        ("hierarchy.country", "is \"kr\"; give two upper-case letters"),
        (
            "hierarchy.issuers.rsa",
            "is \"rsa-1024\"; give one of \"ecdsa-p256\", \"ecdsa-p384\", \"rsa-2048\", \"rsa-3072\", \"rsa-4096\"",
        ),
        ("profiles.classic.validity_s", "is \"90 days\"; give a whole number, 0 or more"),
        ("profiles.classic-rsa.issuer", "is missing or empty; name one of [hierarchy.issuers]"),
        ("validation.resolvers", "has \"nowhere\", which is no address with a port"),
        ("responder.ocsp_validity_s", "is 0: too small"),
    ];
    let found = findings(&text);
    let keys: Vec<&str> = found.iter().map(|finding| finding.key.as_str()).collect();
    assert_eq!(keys, expected.map(|(key, _)| key));
    assert_eq!(errors(&text), expected.map(|(key, _)| key));
    for (finding, (_, words)) in found.iter().zip(expected) {
        assert!(finding.to_string().contains(words) && finding.line.is_some(), "{finding}");
    }
}

#[test]
fn one_mistake_is_one_finding() {
    for (old, new, expected) in [
        ("[profiles.classic]", "[profile.classic]", "profile"),
        ("[urls]", "[url]", "url"),
        ("public_url = \"https://acme.ca.example\"", "", "urls.public_url"),
        (
            "public_url = \"https://acme.ca.example\"",
            "public_uri = \"https://acme.ca.example\"",
            "urls.public_uri",
        ),
        ("environment = \"staging\"", "environment = \"live\"", "environment"),
        ("issuer = \"rsa\"", "issuer = \"rsa4096\"", "profiles.classic-rsa.issuer"),
        ("default_profile = \"classic\"", "default_profile = 1", "issuance.default_profile"),
        ("default_profile = \"classic\"", "default_profile = \"none\"", "issuance.default_profile"),
        ("root = \"root\"", "root = \"My Root\"", "hierarchy.root"),
        ("root = \"root\"", "root = \"rsa\"", "hierarchy.issuers.rsa"),
        (
            "[hierarchy.issuers]\n",
            "[hierarchy.issuers]\n\"Old CA\" = \"rsa-2048\"\n",
            "hierarchy.issuers.\"Old CA\"",
        ),
        ("resolvers = [\"127.0.0.1:53\", \"[::1]:53\"]", "resolvers = [\"x\"]", "validation.resolvers"),
        ("metrics = [\"127.0.0.1:14090\"]", "metrics = [\"127.0.0.1:80\"]", "listen.metrics"),
        ("port = 80", "port = 65536", "validation.http_port"),
    ] {
        assert_eq!(errors(&changed(&[(old, new)])), [expected], "{new}");
    }
    let all = "environment = 'development'\nhierarchy = 1\nprofiles = 1\nurls = 1\nlisten = []\n";
    assert_eq!(errors(all), ["hierarchy", "profiles", "urls", "listen"]);
    let issuers = "[hierarchy]\ncountry = 'kr'\n[hierarchy.issuers]\na = 'rsa-1024'\n";
    assert_eq!(
        errors(issuers),
        [
            "hierarchy.country",
            "hierarchy.issuers.a",
            "urls.public_url",
            "urls.publication",
            "issuance.default_profile"
        ]
    );
}

#[test]
fn two_bad_values_of_a_list_are_two_findings() {
    let text = changed(&[("[\"0.0.0.0:80\", \"[::]:80\"]", "[\"a\", \"0.0.0.0:80\", \"b\"]")]);
    let found = findings(&text).into_iter().filter(|finding| finding.level == Level::Error);
    let told: Vec<String> = found.map(|finding| finding.to_string()).collect();
    assert!(told[0].contains("\"a\"") && told[1].contains("\"b\""), "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn a_text_that_is_no_toml_is_one_finding_with_its_place() {
    for (text, place) in [
        ("this is no TOML", "line 1, column"),
        ("a = 1\n\u{e9}\u{e9} = = 2\n", "line 2, column"),
        ("a = 1\r\nb = 'x\r\n", "line 2, column"),
        ("[a]\n[b]\nc = 1\nc = 2", "line 4, column 1"),
    ] {
        let found = findings(text);
        let [finding] = found.as_slice() else { panic!("{text}: {found:?}") };
        assert!(finding.key.is_empty() && finding.reason.starts_with(place), "{finding}");
        assert!(!finding.to_string().contains('\n'), "{finding}");
        assert!(finding.line.is_some(), "{finding}");
    }
}

#[test]
fn there_is_an_end_to_mistakes() {
    let text: String = (0..500).map(|number| format!("nothing{number} = {number}\n")).collect();
    let found = findings(&text);
    assert_eq!(found.len(), MISTAKES_MAX + 1);
    assert!(found.last().unwrap().key.is_empty(), "{:?}", found.last());
}

#[test]
fn an_operators_file_is_laid_over_the_built_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    std::fs::write(&path, "[listen]\nacme = [\"127.0.0.1:1\"]\n[profiles.classic]\nnames_max = 5\n").unwrap();
    let config = Reading::of_development(Some(&path)).unwrap().checked(now()).unwrap();
    assert_eq!(config.listen.acme, ["127.0.0.1:1".parse::<SocketAddr>().unwrap()]);
    assert_eq!(config.listen.metrics.len(), 2);
    assert_eq!(config.validation.http_port, 5002);
    let classic = &config.profiles["classic"];
    assert_eq!((classic.names_max, classic.issuer.as_str()), (5, "ecdsa"));
}

#[test]
fn a_start_is_refused_with_a_line_for_each_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    std::fs::write(&path, "colour = 1\n[limits]\nidle_timeout_s = 0\n").unwrap();
    let told = Reading::of_development(Some(&path)).unwrap().checked(now()).unwrap_err().to_string();
    let file = path.display();
    let expected = [
        format!("the configuration {file}: colour: is no key here; remove it; what there is: "),
        format!("the configuration {file}: limits.idle_timeout_s: is 0: too small; set it to 1 at least"),
    ];
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(lines.iter().zip(&expected).all(|(line, begun)| line.starts_with(begun.as_str())), "{told}");
    assert!(lines[1].ends_with("(line 3)"), "{told}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| Reading::of_file(path).err().map(|error| error.to_string());
    let missing = folder.path().join("missing.toml");
    assert!(refused(&missing).unwrap().contains("missing.toml cannot be read"));
    assert!(refused(folder.path()).unwrap().contains("cannot be read"));
    let large = folder.path().join("large.toml");
    std::fs::write(&large, vec![b'\n'; 1 << 20]).unwrap();
    assert_eq!(refused(&large), None);
    std::fs::write(&large, vec![b'\n'; (1 << 20) + 1]).unwrap();
    assert!(refused(&large).unwrap().contains("mebibyte"));
}

/// Something that happens to a line of a file.
#[derive(Clone, Debug)]
enum Damage {
    Lost,
    Twice,
    Cut(usize),
    Byte(usize, u8),
    Value(String),
    Key(String),
    Before(String),
}

fn damage() -> impl Strategy<Value = Damage> {
    let value = prop_oneof![
        Just("1"),
        Just("-1"),
        Just("9223372036854775807"),
        Just("0.5"),
        Just("nan"),
        Just("true"),
        Just("''"),
        Just("'x'"),
        Just("[]"),
        Just("[[1], ['a']]"),
        Just("{ a = 1 }"),
        Just("1979-05-27"),
        Just("\"\\u0000\\n\\u001b[31m\""),
    ];
    prop_oneof![
        Just(Damage::Lost),
        Just(Damage::Twice),
        any::<usize>().prop_map(Damage::Cut),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        value.prop_map(|value| Damage::Value(value.to_owned())),
        "[a-z_.\" -]{0,12}".prop_map(Damage::Key),
        "\\PC{0,20}".prop_map(Damage::Before),
    ]
}

fn damaged(all: &[(usize, Damage)]) -> String {
    let mut lines: Vec<String> = SERVER.lines().map(str::to_owned).collect();
    for (at, damage) in all {
        let at = at % lines.len().max(1);
        let Some(line) = lines.get_mut(at) else { continue };
        match damage {
            Damage::Lost => drop(lines.remove(at)),
            Damage::Twice => {
                let line = line.clone();
                lines.insert(at, line);
            }
            Damage::Cut(length) => {
                *line = line.chars().take(length % (line.chars().count() + 1)).collect();
            }
            Damage::Byte(place, byte) => {
                let mut bytes = line.clone().into_bytes();
                let length = bytes.len().max(1);
                if let Some(old) = bytes.get_mut(place % length) {
                    *old = *byte;
                }
                *line = String::from_utf8_lossy(&bytes).into_owned();
            }
            Damage::Value(value) => {
                if let Some((key, _)) = line.split_once('=') {
                    *line = format!("{key}= {value}");
                }
            }
            Damage::Key(key) => match line.split_once('=') {
                Some((_, value)) => *line = format!("{key} ={value}"),
                None => *line = format!("[{key}]"),
            },
            Damage::Before(text) => lines.insert(at, text.clone()),
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Comes to an end, without a panic, and with findings that a line each can hold.
    #[test]
    fn damaged_files_are_told_about(all in prop::collection::vec((any::<usize>(), damage()), 1..12)) {
        let text = damaged(&all);
        let lines = text.lines().count();
        for finding in findings(&text) {
            prop_assert!(!finding.to_string().contains(['\n', '\u{1b}']), "{finding:?}");
            prop_assert!(finding.line.is_none_or(|line| (1..=lines + 1).contains(&line)), "{finding:?}");
        }
        let mut development = Reading::of_text(toml::from_str(DEVELOPMENT).unwrap(), &text);
        development.examine(now());
        // Without an error, everything can be made of it.
        if development.found.count(Level::Error) == 0 {
            prop_assert!(development.config.catalog().is_ok() && development.config.issuer_urls().is_ok());
        }
    }
}
