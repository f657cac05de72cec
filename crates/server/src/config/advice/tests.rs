use ingam_protocol::Finding;
use ingam_protocol::finding::Level;
use toml::Table;

use super::*;
use crate::config::{DEVELOPMENT, Reading};

const SERVER: &str = include_str!("../../../../../config/server.toml");

/// The shipped file looks from a single perspective, and is told so; that is `public`'s matter.
fn keys(found: Vec<Finding>) -> Vec<String> {
    found.into_iter().map(|finding| finding.key).filter(|key| key != "validation.remotes").collect()
}

/// The keys of the warnings about the shipped file with `old` replaced, at a date.
fn changed(old: &str, new: &str, day: &str) -> Vec<String> {
    assert!(SERVER.contains(old), "{old}");
    let mut reading = Reading::of_text(
        Table::new(),
        &SERVER.replacen(old, new, 1).replace("trusted = []", "trusted = [\"192.0.2.1\"]"),
    );
    reading.examine(Timestamp::from_rfc3339(&format!("{day}T00:00:00Z")).unwrap());
    let found = reading.into_findings();
    keys(found.into_iter().filter(|finding| finding.level == Level::Warning).collect())
}

#[test]
fn unwise_values_are_told() {
    for (old, new, key) in [
        ("metrics = [\"127.0.0.1:14090\"]", "metrics = [\"0.0.0.0:14090\"]", "listen.metrics"),
        ("acme = [\"0.0.0.0:443\", \"[::]:443\"]", "acme = []", "listen.acme"),
        ("acme = \"none\"\nacme_plain = \"none\"", "acme_plain = \"forwarded\"", "proxies.acme_plain"),
        ("publication_tls = \"none\"", "publication_tls = \"forwarded\"", "proxies.publication_tls"),
        ("acme_plain = []", "acme_plain = [\"192.0.2.1:80\"]", "proxies.acme_plain"),
        ("publication = [\"0.0.0.0:80\", \"[::]:80\"]", "publication = []", "listen.publication"),
        ("https://acme.ca.example", "https://localhost", "urls.public_url"),
        ("http://pki.ca.example", "http://[::1]:80", "urls.publication"),
        ("# website = \"https://ca.example\"", "website = \"ca.example\"", "urls.website"),
        (
            "# renewal_explanation = \"https://ca.example/renewal\"",
            "renewal_explanation = \"ca.example\"",
            "urls.renewal_explanation",
        ),
        ("resolvers = [\"127.0.0.1:53\"", "resolvers = [\"192.0.2.53:53\"", "validation.resolvers"),
        ("dnssec = \"validate\"", "dnssec = \"off\"", "validation.dnssec"),
        ("addresses_allowed = []", "addresses_allowed = [\"10.0.0.0/8\"]", "validation.addresses_allowed"),
        ("addresses = \"public-only\"", "addresses = \"allow-private\"", "validation.addresses"),
        ("http_port = 80", "http_port = 8080", "validation.http_port"),
        ("validity_s = 7776000", "validity_s = 8640001", "profiles.classic.validity_s"),
    ] {
        assert_eq!(changed(old, new, "2026-11-28"), [key], "{new}");
    }
}

#[test]
fn a_resolver_elsewhere_is_no_danger_if_a_certificate_shows_who_it_is() {
    let mut reading = Reading::of_text(
        Table::new(),
        &SERVER.replace("[\"127.0.0.1:53\", \"[::1]:53\"]", "[\"tls://dns.example@192.0.2.53:853\"]"),
    );
    reading.examine(Timestamp::from_rfc3339("2026-11-28T00:00:00Z").unwrap());
    let keys: Vec<String> = reading.into_findings().into_iter().map(|finding| finding.key).collect();
    assert_eq!(keys, ["validation.remotes"], "as everywhere in this file");
}

#[test]
fn in_production_somebody_answers_for_personal_data() {
    let with = |operator: &str| {
        let found = changed("environment = \"staging\"", "environment = \"production\"", "2026-11-28");
        let told = changed(operator, &operator.replace("# ", ""), "2026-11-28");
        (found, told)
    };
    let (found, told) = with("# operator = \"Example Trust Ltd\"");
    for key in ["privacy.operator", "privacy.contacts.officer"] {
        assert!(found.iter().any(|known| known == key), "{key} in {found:?}");
    }
    assert!(told.is_empty(), "{told:?}: staging may be nobody's");
}

#[test]
fn a_ca_that_no_caa_record_can_name_is_told() {
    let text = SERVER.replace(", \"dns-persist-01\"]", "]").replace("[\"ca.example\"]", "[]");
    let mut reading = Reading::of_text(Table::new(), &text);
    reading.examine(Timestamp::from_rfc3339("2026-11-28T00:00:00Z").unwrap());
    assert_eq!(keys(reading.into_findings()), ["validation.caa_issuer_domains"]);
}

#[test]
fn records_that_stay_are_looked_at_every_ten_days() {
    let old = "valid_authorization_lifetime_s = 604800";
    let days = |count: u64| format!("valid_authorization_lifetime_s = {}", count * 86_400);
    let offered = |count| format!("{}\nchallenges = [\"dns-persist-01\"]", days(count));
    let text = SERVER.replacen("challenges = [\"http-01\", \"dns-01\", \"tls-alpn-01\"]\n", "", 1);
    let with = |new: &str| {
        let mut reading = Reading::of_text(Table::new(), &text.replacen(old, new, 1));
        reading.examine(Timestamp::from_rfc3339("2026-11-28T00:00:00Z").unwrap());
        keys(reading.into_findings())
    };
    assert_eq!(with(&days(11)), Vec::<String>::new());
    assert_eq!(with(&offered(10)), Vec::<String>::new());
    assert_eq!(with(&offered(11)), ["profiles.classic.valid_authorization_lifetime_s"]);
}

#[test]
fn nonces_are_unwise_in_production() {
    let answer = ("nonces = \"ignore\"", "nonces = \"answer\"");
    assert_eq!(changed(answer.0, answer.1, "2026-11-28"), Vec::<String>::new());
    let production = SERVER.replace("environment = \"staging\"", "environment = \"production\"");
    let mut reading = Reading::of_text(Table::new(), &production.replace(answer.0, answer.1));
    reading.examine(Timestamp::default());
    let keys = keys(reading.into_findings());
    let mut expected: Vec<String> = ["classic", "classic-rsa", "tlsserver", "shortlived"]
        .map(|name| format!("profiles.{name}.transparency"))
        .into();
    // The shipped file names no list of weak keys, and nobody who answers for personal data.
    expected.extend(
        ["issuance.weak_key_lists", "privacy.operator", "privacy.contacts.officer", "responder.nonces"]
            .map(str::to_owned),
    );
    assert_eq!(keys, expected);
}

#[test]
fn what_responders_apart_will_lack_and_show_is_told() {
    let with = |presign: &str, more: &str| {
        let responder = format!("presign = {presign}\npublish_key = \"/etc/ingam/answers.key\"\n{more}");
        changed("presign = []", &responder, "2026-11-28")
    };
    let both = "[\"sha256\", \"sha1\"]";
    assert_eq!(with(both, ""), Vec::<String>::new());
    for few in ["[]", "[\"sha1\"]", "[\"sha256\"]"] {
        assert_eq!(with(few, ""), ["responder.presign"], "{few}");
        let alone = changed("presign = []", &format!("presign = {few}"), "2026-11-28");
        assert_eq!(alone, Vec::<String>::new(), "nobody but the CA answers");
    }
    let delegates = "delegates = [{ name = \"tokyo\", key = \"/etc/ingam/tokyo.pub\" }]";
    assert_eq!(with("[]", delegates), Vec::<String>::new(), "that is an error already");

    let text = SERVER.replace("presign = []", &format!("presign = {both}\npublish_key = \"answers.key\""));
    let text = text.replace("publish_over_http = false", "publish_over_http = true");
    let public = text.replace("public = false", "public = true");
    let hidden =
        text.replace("publication = [\"0.0.0.0:80\", \"[::]:80\"]", "publication = [\"127.0.0.1:80\"]");
    let hidden_but_by_tls = hidden.replace("publication_tls = []", "publication_tls = [\"192.0.2.1:8443\"]");
    for (text, is_told) in [(&text, true), (&public, false), (&hidden, false), (&hidden_but_by_tls, true)] {
        let mut reading = Reading::of_text(Table::new(), text);
        reading.examine(Timestamp::from_rfc3339("2026-11-28T00:00:00Z").unwrap());
        let found = reading.into_findings().into_iter().filter(|finding| finding.level == Level::Warning);
        let told = keys(found.collect());
        assert_eq!(told.iter().any(|key| key == "responder.publish_over_http"), is_told, "{told:?}");
    }
}

#[test]
fn limits_are_told_a_year_before_they_come() {
    let same = ("validity_s = 7776000", "validity_s = 7776000");
    assert_eq!(changed(same.0, same.1, "2028-03-01"), Vec::<String>::new());
    let both = ["profiles.classic.validity_s", "profiles.classic-rsa.validity_s"];
    assert_eq!(changed(same.0, same.1, "2028-03-16"), both);
    assert_eq!(changed(same.0, same.1, "2031-01-01"), both);
}

#[test]
fn what_is_wrong_is_not_called_unwise_too() {
    assert_eq!(changed("validity_s = 7776000", "validity_s = 99999999", "2026-11-28"), Vec::<String>::new());
    assert_eq!(changed("environment = \"staging\"", "environment = 1", "2031-01-01"), Vec::<String>::new());
}

#[test]
fn development_may_be_unwise() {
    let mut reading =
        Reading::of_text(toml::from_str(DEVELOPMENT).unwrap(), "[listen]\nmetrics = ['0.0.0.0:1']");
    reading.examine(Timestamp::from_unix_s(u64::MAX));
    assert_eq!(reading.into_findings(), []);
}
