//! What an operator is told about linters and lists of weak keys.

use ingam_protocol::Finding;
use ingam_protocol::finding::Level;

use super::*;

fn read(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn told(config: &Config) -> Vec<String> {
    let mut found = Findings::new();
    check(config, &mut found);
    found.into_iter().map(|Finding { key, .. }| key).collect()
}

const GOOD: &str = r#"
[[issuance.linters]]
name = "pkilint"
kind = "pkilint"
url = "http://127.0.0.1:8000/certificate/cabf-serverauth"
[[issuance.linters]]
name = "zlint"
kind = "command"
command = ["/usr/bin/zlint", "-pem"]
severity_min = "error"
timeout_ms = 1000
on_failure = "pass"
[profiles.classic]
linters = ["pkilint", "zlint"]
"#;

#[test]
fn linters_are_made_as_they_are_configured() {
    let config = read(GOOD);
    assert_eq!(told(&config), [""; 0]);
    let linters = format!("{:?}", config.linters().unwrap());
    assert!(linters.contains("/usr/bin/zlint") && linters.contains("127.0.0.1:8000"), "{linters}");
}

#[test]
fn a_linter_that_cannot_be_asked_is_told() {
    let cases = [
        ("name = \"Zlint\"", "name = \"zlint\"", "issuance.linters.name"),
        ("name = \"pkilint\"", "name = \"zlint\"", "issuance.linters.name"),
        ("kind = \"command\"", "", "issuance.linters.kind"),
        ("\"/usr/bin/zlint\"", "\"zlint\"", "issuance.linters.command"),
        ("http://127.0.0.1", "https://127.0.0.1", "issuance.linters.url"),
        ("timeout_ms = 1000", "timeout_ms = 0", "issuance.linters.timeout_ms"),
        (
            "linters = [\"pkilint\", \"zlint\"]",
            "linters = [\"pkilint\", \"zlint\", \"x\"]",
            "profiles.classic.linters",
        ),
    ];
    for (one, other, key) in cases {
        // Each is the good text with one thing changed, in either direction.
        let text =
            if GOOD.contains(one) { GOOD.replacen(one, other, 1) } else { GOOD.replacen(other, one, 1) };
        assert!(told(&read(&text)).contains(&key.to_owned()), "{key}: {:?}", told(&read(&text)));
    }
}

#[test]
fn a_list_of_weak_keys_is_read_and_a_bad_one_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("blacklist.RSA-2048"), folder.path().join("bad"));
    std::fs::write(&good, "# comment\n00112233445566778899\n").unwrap();
    std::fs::write(&bad, "00112233445566778899\nno entry\n").unwrap();
    let mut config = Config::default();
    assert!(config.weak_keys().unwrap().is_empty());
    config.issuance.weak_key_lists = vec![good.clone()];
    assert_eq!(config.weak_keys().unwrap().len(), 1);
    config.issuance.weak_key_lists = vec![good, bad.clone()];
    let why = config.weak_keys().unwrap_err().to_string();
    assert!(why.contains("line 2") && why.contains(&bad.display().to_string()), "{why}");
    config.issuance.weak_key_lists = vec![folder.path().join("missing")];
    assert!(config.weak_keys().is_err());
}

#[test]
fn production_for_the_public_without_a_list_is_warned() {
    let text = "environment = \"production\"\n[profiles.classic]\npublic = true\n";
    let mut found = Findings::new();
    advise(&read(text), &mut found);
    let [Finding { level: Level::Warning, key, reason, .. }] = &found.into_iter().collect::<Vec<_>>()[..]
    else {
        panic!("one warning");
    };
    assert_eq!(key, "issuance.weak_key_lists");
    assert!(reason.contains("6.1.1.3"), "{reason}");
    for quiet in [
        "environment = \"production\"\n[profiles.classic]\npublic = false\n",
        "environment = \"staging\"\n[profiles.classic]\npublic = true\n",
        "environment = \"production\"\n[issuance]\nweak_key_lists = [\"/x\"]\n[profiles.classic]\npublic = true\n",
    ] {
        let mut found = Findings::new();
        advise(&read(quiet), &mut found);
        assert_eq!(found.into_iter().count(), 0, "{quiet}");
    }
}
