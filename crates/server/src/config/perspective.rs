//! What a perspective is told, and the rules for a process that is one and nothing else.

use std::path::PathBuf;

use ingam_protocol::Findings;
use ingam_protocol::bytes::from_hex;
use ingam_validation::config::CorroborationConfig;
use serde::{Deserialize, Serialize};

use super::{Config, Environment, advice, rules};

/// Who may ask this perspective. Where it listens is `listen.perspective`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Perspective {
    /// PEM file of its certificate and the chain, for the name that coordinators know it by.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file of its key, PKCS #8.
    pub(crate) key: Option<PathBuf>,
    /// PEM file of the CAs whose client certificates let coordinators in.
    pub(crate) client_ca: Option<PathBuf>,
    /// Of those, the certificates that are let in, by the SHA-256 hash of each in hexadecimal; all of them if there is none.
    pub(crate) clients: Vec<String>,
}

impl Perspective {
    /// The hashes of the certificates that are let in.
    pub(crate) fn fingerprints(&self) -> Vec<[u8; 32]> {
        self.clients.iter().filter_map(|text| fingerprint(text)).collect()
    }
}

/// With or without the colons and the title that openssl puts into it.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits = text.rsplit_once('=').map_or(text, |(_, digits)| digits);
    from_hex(&digits.replace(':', "").to_ascii_lowercase())?.try_into().ok()
}

/// The tables that a perspective has, and the keys of those of which it does not have all.
const TABLES: [&str; 5] = ["environment", "listen", "limits", "perspective", "validation"];
const LISTENERS: [&str; 2] = ["listen.perspective", "listen.metrics"];
const COORDINATORS: [&str; 2] = ["validation.remotes", "validation.corroboration"];

/// What stops a start as a perspective; `keys` are those that the file has.
pub(super) fn check<'a>(config: &Config, keys: impl Iterator<Item = &'a str>, found: &mut Findings) {
    for key in keys {
        let (table, below) = key.split_once('.').unwrap_or((key, ""));
        let is_other = below.is_empty() && !TABLES.contains(&table)
            || table == "listen" && !below.is_empty() && !LISTENERS.contains(&key)
            || COORDINATORS.contains(&key);
        if is_other && !found.is_silent(key) {
            found.error(
                key,
                "is nothing that a perspective goes by",
                "remove it, or leave out --role perspective",
            );
        }
    }
    let listen = &config.listen.perspective;
    let fix = "give an address and a port, as in [\"0.0.0.0:8443\"]";
    found.require(!listen.is_empty(), "listen.perspective", "is empty: nobody could ask", fix);
    let Perspective { certificate, key, client_ca, clients } = &config.perspective;
    for (name, file, what) in [
        ("perspective.certificate", certificate, "https needs a certificate"),
        ("perspective.key", key, "https needs the certificate's key"),
        ("perspective.client_ca", client_ca, "without it anybody could have this process knock anywhere"),
    ] {
        let fix = "name a PEM file, as docs/operations/perspectives.md shows how to make it";
        found.require(file.is_some(), name, format!("is missing: {what}"), fix);
    }
    for text in clients.iter().filter(|text| fingerprint(text).is_none()) {
        let fix = "give 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` prints them";
        found.error("perspective.clients", format!("has {text:?}, which is no SHA-256 hash"), fix);
    }
    rules::addresses(&config.listen.of_perspective(), found);
    rules::connections(config, found);
    found.below("validation", config.validation.check());
    patience(config, found);
    if config.environment == Environment::Development || found.is_silent("environment") {
        return;
    }
    advice::metrics(config, found);
    advice::network(config, found);
    if config.validation.perspective == "local" {
        let fix = "give it the name that the CA's configuration has for it";
        found.warning(
            "validation.perspective",
            "is \"local\", as every primary perspective is by default",
            fix,
        );
    }
}

/// Whoever looks for as long as a coordinator waits is cut off before it can say what it saw.
fn patience(config: &Config, found: &mut Findings) {
    let waited_ms = CorroborationConfig::default().timeout_ms;
    let total_ms = config.validation.total_timeout_ms;
    if total_ms >= waited_ms {
        found.warning(
            "validation.total_timeout_ms",
            format!(
                "is {total_ms}, and coordinators wait {waited_ms} ms by default (corroboration.timeout_ms): what took long \
                 would count as no answer"
            ),
            "give 20000, or some seconds less than the coordinator's configuration says",
        );
    }
}

/// What stops the start of a CA: this is for processes of their own.
pub(super) fn check_absent(config: &Config, found: &mut Findings) {
    let fix = "remove it, or start this with --role perspective";
    let reason = "is for a process that is a perspective and nothing else";
    found.require(config.perspective == Perspective::default(), "perspective", reason, fix);
    found.require(config.listen.perspective.is_empty(), "listen.perspective", reason, fix);
}

/// Perspectives that are too near to each other (BR 3.2.2.9). For a certificate for the public that is as good as none; for a
/// private CA it is unwise.
pub(super) fn distances(config: &Config, found: &mut Findings) {
    if config.environment == Environment::Development || found.is_silent("environment") {
        return;
    }
    let validation = &config.validation;
    let is_public = config.profiles.values().any(|profile| profile.public);
    for pair in validation.too_close() {
        let [one, other] = &pair.names;
        let reason = format!(
            "has {one} and {other} {:.0} km apart, and perspectives have to be 500 km from each other (BR 3.2.2.9)",
            pair.distance_km
        );
        let fix = "put one of them elsewhere, or mend latitude and longitude";
        match is_public {
            true => found.error("validation.remotes", reason, fix),
            false => found.warning("validation.remotes", reason, fix),
        }
    }
    let unplaced = validation.unplaced();
    if is_public && !unplaced.is_empty() {
        let reason = format!(
            "does not say where these stand, so that nobody can see whether they are 500 km from each other (BR 3.2.2.9): {}",
            unplaced.join(", ")
        );
        found.warning(
            "validation.remotes",
            reason,
            "give each its location, this process by validation.location",
        );
    }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::finding::Level;
    use ingam_protocol::{Finding, Timestamp};
    use toml::Table;

    use super::super::{Reading, Role};
    use super::*;

    const SHIPPED: &str = include_str!("../../../../config/perspective.toml");

    fn now() -> Timestamp {
        Timestamp::from_rfc3339("2026-11-28T00:00:00Z").unwrap()
    }

    fn findings(text: &str, role: Role) -> Vec<Finding> {
        let mut reading = Reading::of_text(Table::new(), text).for_role(role);
        reading.examine(now());
        reading.into_findings()
    }

    fn keys(text: &str) -> Vec<String> {
        findings(text, Role::Perspective).into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn the_shipped_configuration_is_good() {
        assert_eq!(findings(SHIPPED, Role::Perspective), []);
        let config =
            Reading::of_text(Table::new(), SHIPPED).for_role(Role::Perspective).checked(now()).unwrap();
        assert_eq!(config.validation.perspective, "seoul-2");
        assert_eq!(config.perspective.fingerprints().len(), 1);
        // A CA does not start from it.
        let all = findings(SHIPPED, Role::All);
        let is_told =
            |key: &str| all.iter().any(|finding| finding.key == key && finding.level == Level::Error);
        assert!(is_told("perspective") && is_told("listen.perspective"), "{all:?}");
    }

    #[test]
    fn a_hash_may_be_as_openssl_prints_it() {
        let plain = fingerprint(&"ab".repeat(32)).unwrap();
        let printed = format!("sha256 Fingerprint={}", ["AB"; 32].join(":"));
        assert_eq!(fingerprint(&printed), Some(plain));
        assert_eq!(fingerprint(&"ab".repeat(31)), None);
        assert_eq!(fingerprint("sha256 Fingerprint="), None);
    }

    #[test]
    fn mistakes_are_told_by_their_keys() {
        let changed = |old: &str, new: &str| {
            assert_eq!(SHIPPED.matches(old).count(), 1, "{old}");
            keys(&SHIPPED.replacen(old, new, 1))
        };
        assert_eq!(changed("perspective = [\"0.0.0.0:8443\"]\n", ""), ["listen.perspective"]);
        assert_eq!(changed("\"0.0.0.0:8443\"", "\"127.0.0.1:14090\""), ["listen.perspective"]);
        assert_eq!(changed("[listen]\n", "[listen]\nacme = []\n"), ["listen.acme"]);
        assert_eq!(changed("[limits]", "[issuance]\nlease_s = 5\n[limits]"), ["issuance"]);
        let found = changed("[limits]", "[[validation.remotes]]\nname = \"a\"\n[limits]");
        assert!(found.contains(&"validation.remotes".to_owned()), "{found:?}");
        assert_eq!(changed("client_ca = ", "clientca = "), ["perspective.clientca"]);
        assert_eq!(
            changed("perspective = \"seoul-2\"", "perspective = \"local\""),
            ["validation.perspective"]
        );
        let patient = ["validation.total_timeout_ms"];
        assert_eq!(changed("total_timeout_ms = 20000\n", ""), patient, "30 seconds by default");
        assert_eq!(changed("total_timeout_ms = 20000", "total_timeout_ms = 25000"), patient);
        assert_eq!(changed("total_timeout_ms = 20000", "total_timeout_ms = 24999"), [""; 0]);
        let all = keys("");
        let expected =
            ["listen.perspective", "perspective.certificate", "perspective.key", "perspective.client_ca"];
        assert_eq!(all[..4], expected);
        assert_eq!(
            keys("[perspective]\nclients = [\"aa\"]\n")
                .into_iter()
                .filter(|key| key == "perspective.clients")
                .count(),
            1
        );
    }

    #[test]
    fn places_too_near_are_refused_where_the_public_relies_on_them() {
        let found = |environment: Environment, is_public: bool, location: &str| {
            let server = include_str!("../../../../config/server.toml");
            let text = format!("{server}\n[[validation.remotes]]\nname = \"b\"\nlocation = {location}\n");
            let mut config = Reading::of_text(Table::new(), &text).config;
            config.environment = environment;
            config.validation.location =
                Some(ingam_validation::config::Location { latitude: 37.57, longitude: 126.98 });
            for profile in config.profiles.values_mut() {
                profile.public = is_public;
            }
            let mut found = Findings::new();
            distances(&config, &mut found);
            found.into_iter().map(|finding| finding.level).collect::<Vec<_>>()
        };
        let (busan, tokyo) =
            ("{ latitude = 35, longitude = 129.08 }", "{ latitude = 35.68, longitude = 139.69 }");
        assert_eq!(found(Environment::Staging, true, busan), [Level::Error]);
        assert_eq!(found(Environment::Production, false, busan), [Level::Warning]);
        assert_eq!(found(Environment::Development, true, busan), []);
        assert_eq!(found(Environment::Staging, true, tokyo), []);
    }
}
