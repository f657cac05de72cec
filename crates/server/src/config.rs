//! The configuration file: one TOML document, every key with a default, unknown keys refused.
//!
//! Parts that belong to a crate are that crate's own type. `ingam dev` starts from `config/development.toml`, which is
//! built into the binary, and lays the operator's file over it; `ingam serve` starts from the defaults here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_authority::Catalog;
use ingam_protocol::identifier::{DnsName, SPECIAL_USE_NAMES};
use ingam_protocol::profile::{IssuerName, Profile, ProfileName};
use ingam_signer::IssuerUrls;
use serde::Deserialize;
use toml::Table;

/// What `ingam dev` starts from.
pub(crate) const DEVELOPMENT: &str = include_str!("../../../config/development.toml");

const DAY_S: u64 = 24 * 60 * 60;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// `production`, `staging` or `development`: how much is refused.
    pub(crate) environment: Environment,
    /// The folder of everything that the CA keeps.
    pub(crate) state: PathBuf,
    pub(crate) listen: Listen,
    pub(crate) urls: Urls,
    pub(crate) tls: Tls,
    pub(crate) limits: Limits,
    pub(crate) hierarchy: Hierarchy,
    pub(crate) issuance: Issuance,
    pub(crate) profiles: BTreeMap<String, ProfileConfig>,
    pub(crate) validation: ingam_validation::Config,
    pub(crate) store: ingam_store::Config,
    pub(crate) responder: ingam_responder::Config,
    pub(crate) health: crate::health::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            environment: Environment::Production,
            state: "/var/lib/ingam".into(),
            listen: Listen::default(),
            urls: Urls::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            hierarchy: Hierarchy::default(),
            issuance: Issuance::default(),
            profiles: BTreeMap::new(),
            validation: ingam_validation::Config::default(),
            store: ingam_store::Config::default(),
            responder: ingam_responder::Config::default(),
            health: crate::health::Config::default(),
        }
    }
}

/// What the CA is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Environment {
    Production,
    Staging,
    Development,
}

impl Environment {
    /// Its name in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Staging => "staging",
            Self::Development => "development",
        }
    }
}

/// Where each listener listens; an empty list means that there is none.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Listen {
    /// ACME over https.
    pub(crate) acme: Vec<SocketAddr>,
    /// Roots and intermediates over https, as ACME client authors know it from Pebble.
    pub(crate) management: Vec<SocketAddr>,
    /// OCSP, CRLs and CA certificates over http.
    pub(crate) publication: Vec<SocketAddr>,
    /// Prometheus metrics over http.
    pub(crate) metrics: Vec<SocketAddr>,
    /// The DNS server for tests, over UDP and TCP: development only.
    pub(crate) dns: Vec<SocketAddr>,
    /// Its management API over http: development only.
    pub(crate) dns_management: Vec<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        let any = |port| vec![SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0_u16; 8], port))];
        Self {
            acme: any(443),
            management: Vec::new(),
            publication: any(80),
            metrics: vec![SocketAddr::from(([127, 0, 0, 1], 14090))],
            dns: Vec::new(),
            dns_management: Vec::new(),
        }
    }
}

/// How the world sees the CA.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Urls {
    /// Scheme, host and port of the ACME server.
    pub(crate) acme: String,
    /// Scheme, host and port of OCSP, CRLs and issuers: what certificates point to. Plain http.
    pub(crate) publication: String,
    /// The terms of service; with it, accounts need consent to them.
    pub(crate) terms_of_service: Option<String>,
    /// A page about the CA.
    pub(crate) website: Option<String>,
}

/// The certificate of the https listeners.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// PEM file of the server's certificate and its chain.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file of its key, PKCS #8.
    pub(crate) key: Option<PathBuf>,
    /// `max-age` of Strict-Transport-Security, in seconds.
    pub(crate) hsts_max_age_s: Option<u64>,
}

/// What a client can take up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Connections at once, for each kind of listener.
    pub(crate) connections_max: usize,
    /// How long a connection may be silent, in seconds.
    pub(crate) idle_timeout_s: u64,
    /// How long a TLS handshake or a request's headers may take, in seconds.
    pub(crate) header_timeout_s: u64,
    /// How long an ACME request's body may take, in seconds.
    pub(crate) body_timeout_s: u64,
    /// How many bytes an ACME request's body may have.
    pub(crate) body_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            idle_timeout_s: 60,
            header_timeout_s: 10,
            body_timeout_s: 10,
            body_bytes_max: 128 * 1024,
        }
    }
}

/// What `ingam init` and `ingam dev` make.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Hierarchy {
    /// The country in all CA certificates' names: two upper-case letters.
    pub(crate) country: String,
    /// The organization in all CA certificates' names.
    pub(crate) organization: String,
    /// The root's name inside the CA.
    pub(crate) root: String,
    /// The issuing CAs: name and kind of key, `ecdsa-p256` or `rsa-2048`.
    pub(crate) issuers: BTreeMap<String, KeyKind>,
}

impl Default for Hierarchy {
    fn default() -> Self {
        Self {
            country: "XX".to_owned(),
            organization: "Ingam".to_owned(),
            root: "root".to_owned(),
            issuers: BTreeMap::from([
                ("ecdsa".to_owned(), KeyKind::EcdsaP256),
                ("rsa".to_owned(), KeyKind::Rsa2048),
            ]),
        }
    }
}

/// A kind of CA key by its name in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyKind {
    EcdsaP256,
    #[serde(rename = "rsa-2048")]
    Rsa2048,
}

/// How certificates are issued, whatever their profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Issuance {
    /// The profile of orders that name none.
    pub(crate) default_profile: String,
    /// Names that no certificate is issued for, with all names below them.
    pub(crate) names_refused: Vec<String>,
    /// How long a finalize waits for its certificate, in milliseconds.
    pub(crate) finalize_wait_ms: u64,
    /// How long a claim on an order holds, in seconds.
    pub(crate) lease_s: u64,
    /// How many challenges are checked at once.
    pub(crate) checks_max: usize,
    /// How many more may wait for that.
    pub(crate) checks_waiting_max: usize,
    /// How many contacts an account may have.
    pub(crate) contacts_max: usize,
}

impl Default for Issuance {
    fn default() -> Self {
        Self {
            default_profile: "classic".to_owned(),
            names_refused: Vec::new(),
            finalize_wait_ms: 5000,
            lease_s: 60,
            checks_max: 512,
            checks_waiting_max: 8192,
            contacts_max: 10,
        }
    }
}

/// A profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileConfig {
    /// What the directory says about it.
    pub(crate) description: String,
    /// The issuing CA, by its name in `hierarchy.issuers`.
    pub(crate) issuer: String,
    /// Validity in seconds, both ends included.
    pub(crate) validity_s: u64,
    /// How far notBefore lies before the signing, in seconds.
    #[serde(default = "default_backdate")]
    pub(crate) backdate_s: u64,
    /// How long an order may take, in seconds.
    #[serde(default = "default_order_lifetime")]
    pub(crate) order_lifetime_s: u64,
    /// How long a challenge may be answered, in seconds.
    #[serde(default = "default_order_lifetime")]
    pub(crate) pending_authorization_lifetime_s: u64,
    /// How long shown control counts, in seconds.
    #[serde(default = "default_order_lifetime")]
    pub(crate) valid_authorization_lifetime_s: u64,
    /// How many names go into one certificate.
    #[serde(default = "default_names_max")]
    pub(crate) names_max: usize,
}

fn default_backdate() -> u64 {
    3600
}

fn default_order_lifetime() -> u64 {
    7 * DAY_S
}

fn default_names_max() -> usize {
    100
}

/// What is wrong with a configuration, in one sentence.
#[derive(Debug)]
pub(crate) struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the file for `ingam serve`.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read_file(path)?;
        parse(&text, path)
    }

    /// Reads the file for `ingam dev`, if there is one, over what is built in.
    pub(crate) fn read_development(path: Option<&Path>) -> Result<Self, ConfigError> {
        let mut base: Table =
            toml::from_str(DEVELOPMENT).map_err(|error| ConfigError::new(error.to_string()))?;
        let Some(path) = path else {
            return base.try_into().map_err(|error: toml::de::Error| ConfigError::new(error.to_string()));
        };
        let text = read_file(path)?;
        let over: Table = toml::from_str(&text).map_err(|error| in_file(path, &error))?;
        lay_over(&mut base, over);
        base.try_into().map_err(|merged: toml::de::Error| {
            // The file by itself, if it has the mistake too, knows its line and column.
            parse(&text, path).err().unwrap_or_else(|| in_file(path, &merged))
        })
    }

    /// The profiles as checked data.
    pub(crate) fn catalog(&self) -> Result<Catalog, ConfigError> {
        let mut profiles = Vec::with_capacity(self.profiles.len());
        for (name, profile) in &self.profiles {
            profiles.push(self.profile(name, profile)?);
        }
        let default = &self.issuance.default_profile;
        let default_name = ProfileName::try_from(default.clone()).map_err(ConfigError)?;
        Catalog::new(profiles, &default_name).ok_or_else(|| {
            ConfigError(format!(
                "issuance.default_profile is \"{default}\": there is no [profiles.{default}]"
            ))
        })
    }

    fn profile(&self, name: &str, config: &ProfileConfig) -> Result<Profile, ConfigError> {
        let refuse = |key: &str, why: &str| Err(ConfigError(format!("profiles.{name}.{key} {why}")));
        if !self.hierarchy.issuers.contains_key(&config.issuer) {
            return refuse(
                "issuer",
                &format!("is \"{}\", which is not in [hierarchy.issuers]", config.issuer),
            );
        }
        // BR 6.3.2 and 7.1.2.7; a private CA has no reason for more either.
        if !(3600..=398 * DAY_S).contains(&config.validity_s) {
            return refuse("validity_s", "must lie between 3600 (an hour) and 34387200 (398 days)");
        }
        if config.backdate_s > 2 * DAY_S {
            return refuse("backdate_s", "must be at most 172800 (48 hours)");
        }
        if !(1..=100).contains(&config.names_max) {
            return refuse("names_max", "must lie between 1 and 100");
        }
        let lifetimes = [
            ("order_lifetime_s", config.order_lifetime_s),
            ("pending_authorization_lifetime_s", config.pending_authorization_lifetime_s),
            ("valid_authorization_lifetime_s", config.valid_authorization_lifetime_s),
        ];
        if let Some((key, _)) = lifetimes.iter().find(|(_, value)| !(60..=90 * DAY_S).contains(value)) {
            return refuse(key, "must lie between 60 and 7776000 (90 days)");
        }
        Ok(Profile {
            name: ProfileName::try_from(name.to_owned()).map_err(ConfigError)?,
            description: config.description.clone(),
            issuer: issuer_name(&config.issuer)?,
            validity: Duration::from_secs(config.validity_s),
            backdate: Duration::from_secs(config.backdate_s),
            order_lifetime: Duration::from_secs(config.order_lifetime_s),
            pending_authorization_lifetime: Duration::from_secs(config.pending_authorization_lifetime_s),
            valid_authorization_lifetime: Duration::from_secs(config.valid_authorization_lifetime_s),
            names_max: config.names_max,
        })
    }

    /// Names that no certificate is issued for: the operator's, and outside development those of special use.
    pub(crate) fn names_refused(&self) -> Vec<String> {
        let special: &[&str] = match self.environment {
            Environment::Development => &[],
            Environment::Staging | Environment::Production => &SPECIAL_USE_NAMES,
        };
        let own = self.issuance.names_refused.iter().map(|name| name.to_ascii_lowercase());
        own.chain(special.iter().map(|name| (*name).to_owned())).collect()
    }

    /// What certificates of each issuer point to.
    pub(crate) fn issuer_urls(&self) -> Result<BTreeMap<IssuerName, IssuerUrls>, ConfigError> {
        let base = self.urls.publication.trim_end_matches('/');
        if !base.starts_with("http://") {
            return Err(ConfigError(
                "urls.publication must begin with http://: OCSP and CRLs are fetched before TLS can be trusted".into(),
            ));
        }
        let urls = |name: &str| IssuerUrls {
            ocsp: format!("{base}/ocsp"),
            issuer: format!("{base}/issuer/{name}.crt"),
            crl: format!("{base}/crl/{name}.crl"),
        };
        self.hierarchy.issuers.keys().map(|name| Ok((issuer_name(name)?, urls(name)))).collect()
    }

    /// Everything else that can be wrong before anything is opened.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !self.urls.acme.starts_with("https://") {
            return Err(ConfigError("urls.acme must begin with https://, as clients will see it".into()));
        }
        for (key, url) in [("acme", &self.urls.acme), ("publication", &self.urls.publication)] {
            let behind_scheme = url.split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
            if behind_scheme.is_empty() || behind_scheme.contains(['/', '?', '#', '@']) {
                return Err(ConfigError(format!(
                    "urls.{key} is \"{url}\": give scheme, host and port alone, as in https://ca.example:14000"
                )));
            }
        }
        if self.environment != Environment::Development {
            if !self.listen.dns.is_empty() || !self.listen.dns_management.is_empty() {
                return Err(ConfigError(
                    "listen.dns is for environment = \"development\" alone: it answers whatever it is told"
                        .into(),
                ));
            }
            if self.store.engine == ingam_store::EngineChoice::Sled {
                return Err(ConfigError(
                    "store.engine = \"sled\" can lose acknowledged certificates with the power: use \"redb\", or \
                     environment = \"development\""
                        .into(),
                ));
            }
        }
        self.check_bounds()?;
        for name in &self.issuance.names_refused {
            DnsName::parse(name).map_err(|bad| {
                ConfigError(format!(
                    "issuance.names_refused has \"{name}\": {bad} (names below it are included)"
                ))
            })?;
        }
        self.responder.verify().map_err(|error| ConfigError(format!("responder: {error}")))?;
        self.validation.check().map_err(|error| ConfigError(format!("validation: {error}")))?;
        self.health.check().map_err(|error| ConfigError(format!("health.{error}")))?;
        self.catalog()?;
        self.issuer_urls().map(drop)
    }
}

impl Config {
    /// Numbers with which nothing could be served, or that no machine has.
    fn check_bounds(&self) -> Result<(), ConfigError> {
        let (limits, issuance) = (&self.limits, &self.issuance);
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let bounds = [
            ("limits.connections_max", count(limits.connections_max), 1, 1_000_000),
            ("limits.idle_timeout_s", limits.idle_timeout_s, 1, 3600),
            ("limits.header_timeout_s", limits.header_timeout_s, 1, 600),
            ("limits.body_timeout_s", limits.body_timeout_s, 1, 600),
            ("limits.body_bytes_max", count(limits.body_bytes_max), 1024, 16 << 20),
            ("issuance.finalize_wait_ms", issuance.finalize_wait_ms, 0, 60_000),
            ("issuance.lease_s", issuance.lease_s, 1, 3600),
            ("issuance.checks_max", count(issuance.checks_max), 1, 65_536),
            ("issuance.checks_waiting_max", count(issuance.checks_waiting_max), 0, 1_000_000),
            ("issuance.contacts_max", count(issuance.contacts_max), 0, 100),
            ("store.cache_mib", u64::from(self.store.cache_mib), 1, 1 << 20),
        ];
        match bounds.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            None => Ok(()),
            Some((key, value, least, most)) => {
                Err(ConfigError(format!("{key} is {value}: it must lie between {least} and {most}")))
            }
        }
    }
}

pub(crate) fn issuer_name(name: &str) -> Result<IssuerName, ConfigError> {
    IssuerName::try_from(name.to_owned())
        .map_err(|why| ConfigError(format!("hierarchy.issuers has the name \"{name}\": {why}")))
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("the configuration {} cannot be read: {error}", path.display())))
}

fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    toml::from_str(text).map_err(|error| in_file(path, &error))
}

fn in_file(path: &Path, error: &toml::de::Error) -> ConfigError {
    // The library's message has several lines; its first says where, its last says what.
    let text = error.to_string();
    let parts: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let sentence = match (parts.first(), parts.last()) {
        (Some(first), Some(last)) if first != last => format!("{last} ({first})"),
        (Some(first), _) => (*first).to_owned(),
        _ => "it cannot be read".to_owned(),
    };
    ConfigError(format!("the configuration {}: {sentence}", path.display()))
}

/// Values of `over` win; tables are merged.
fn lay_over(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_configuration_is_good() {
        let development = Config::read_development(None).unwrap();
        development.check().unwrap();
        assert_eq!(development.environment, Environment::Development);
        let server: Config = toml::from_str(include_str!("../../../config/server.toml")).unwrap();
        server.check().unwrap();
        assert_eq!(server.environment, Environment::Staging);
    }

    #[test]
    fn an_operators_file_is_laid_over_the_built_in_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, "[listen]\nacme = [\"127.0.0.1:1\"]\n").unwrap();
        let config = Config::read_development(Some(&path)).unwrap();
        assert_eq!(config.listen.acme, ["127.0.0.1:1".parse::<SocketAddr>().unwrap()]);
        assert_eq!(config.listen.metrics.len(), 2);
        assert_eq!(config.validation.http_port, 5002);
    }

    #[test]
    fn mistakes_are_one_sentence_with_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        for (text, expected) in [
            ("colour = 1\n", "colour"),
            ("[listen]\nacme = \"nowhere\"\n", "line 2"),
            ("[profiles.a]\nissuer = 1\n", "line 2"),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = Config::read_development(Some(&path)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn dangerous_values_are_refused() {
        let with = |text: &str| {
            let mut base: Table = toml::from_str(DEVELOPMENT).unwrap();
            lay_over(&mut base, toml::from_str(text).unwrap());
            let config: Config = base.try_into().unwrap();
            config.check().map_err(|error| error.to_string())
        };
        assert!(with("environment = \"staging\"").unwrap_err().contains("listen.dns"));
        assert!(with("[urls]\npublication = \"https://x\"").unwrap_err().contains("http://"));
        assert!(with("[profiles.classic]\nvalidity_s = 99999999999").unwrap_err().contains("validity_s"));
        assert!(with("[issuance]\ndefault_profile = \"none\"").unwrap_err().contains("none"));
        assert!(
            with("[issuance]\nnames_refused = [\"*.example.org\"]").unwrap_err().contains("names_refused")
        );
        assert!(with("[urls]\nacme = \"https://a.example/x\"").unwrap_err().contains("urls.acme"));
        assert!(with("[health]\nstop_notice_s = 301").unwrap_err().contains("health.stop_notice_s"));
        assert!(with("[responder]\ncrl_validity_s = 0").unwrap_err().contains("crl_validity_s"));
        for huge in ["limits.connections_max", "issuance.checks_max", "limits.idle_timeout_s"] {
            assert!(with(&format!("{huge} = 9223372036854775807")).unwrap_err().contains(huge), "{huge}");
        }
    }
}
