//! The configuration file: one TOML document, every key with a default, unknown keys refused.
//!
//! Parts that belong to a crate are that crate's own type. `ingam dev` starts from `config/development.toml`, which is
//! built into the binary, and lays the operator's file over it; `ingam serve` starts from the defaults here.
//!
//! A new key is a field here, a line in both files of config/, and a line of `rules` if it can be wrong or of `advice` if it
//! can be unwise. Every field has a default, so that all missing keys are told at once; a rule says which are needed.

mod advice;
mod checks;
mod file;
mod names;
mod perspective;
mod profiles;
mod proxies;
pub(crate) mod public;
mod rate_limits;
mod responder;
mod rules;
mod signer;
mod tls;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ingam_operator::acts::Danger;
use ingam_protocol::finding::Level;
use ingam_protocol::operator::Principal;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::public_suffix::PublicSuffixes;
use ingam_protocol::{Findings, Timestamp};
use ingam_signer::KeyKind;
use serde::{Deserialize, Serialize};

pub(crate) use checks::LinterConfig;
pub(crate) use file::{OtherFile, Reading, Role};
pub(crate) use perspective::Perspective;
pub(crate) use profiles::ProfileConfig;
pub(crate) use proxies::Proxies;
pub(crate) use rate_limits::RateLimits;
pub(crate) use responder::Answers;
pub(crate) use rules::host;
pub(crate) use signer::{Signer, SignerAt};

/// What `ingam dev` starts from.
pub(crate) const DEVELOPMENT: &str = include_str!("../../../config/development.toml");

const DAY_S: u64 = 24 * 60 * 60;

/// The whole file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// `production`, `staging` or `development`: how much is refused.
    pub(crate) environment: Environment,
    /// The folder of everything that the CA keeps.
    pub(crate) state: PathBuf,
    pub(crate) listen: Listen,
    pub(crate) proxies: Proxies,
    pub(crate) urls: Urls,
    pub(crate) tls: Tls,
    pub(crate) limits: Limits,
    /// How much of what is let through in a time; every limit is off unless it is here.
    pub(crate) rate_limits: RateLimits,
    pub(crate) hierarchy: Hierarchy,
    pub(crate) issuance: Issuance,
    pub(crate) profiles: BTreeMap<String, ProfileConfig>,
    pub(crate) operator: Operator,
    pub(crate) validation: ingam_validation::Config,
    /// For `--role perspective` alone.
    pub(crate) perspective: Perspective,
    /// For `--role responder` alone.
    pub(crate) answers: Answers,
    /// A signer that is a process of its own; both sides.
    pub(crate) signer: Signer,
    pub(crate) transparency: ingam_transparency::Config,
    pub(crate) store: ingam_store::Config,
    pub(crate) responder: ingam_responder::Config,
    /// How long what is remembered is kept.
    pub(crate) retention: ingam_retention::Config,
    /// Who asked OCSP for what: nothing of it is kept by default.
    pub(crate) request_log: ingam_responder::request_log::Config,
    /// Who runs the CA, and whom people turn to: what the privacy page tells beside the rest of this file.
    pub(crate) privacy: ingam_privacy::Config,
    /// Who can open backups.
    pub(crate) backup: crate::backup::Config,
    pub(crate) health: crate::health::Config,
    /// The comparison of what is given out of certificates with their record.
    pub(crate) monitor: crate::monitor::Config,
    /// The log of records, by which outsiders can check the past.
    pub(crate) log: crate::record_log::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            environment: Environment::Production,
            state: "/var/lib/ingam".into(),
            listen: Listen::default(),
            proxies: Proxies::default(),
            urls: Urls::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            rate_limits: RateLimits::default(),
            hierarchy: Hierarchy::default(),
            issuance: Issuance::default(),
            profiles: BTreeMap::new(),
            operator: Operator::default(),
            validation: ingam_validation::Config::default(),
            perspective: Perspective::default(),
            answers: Answers::default(),
            signer: Signer::default(),
            transparency: ingam_transparency::Config::default(),
            store: ingam_store::Config::default(),
            responder: ingam_responder::Config::default(),
            retention: ingam_retention::Config::default(),
            request_log: ingam_responder::request_log::Config::default(),
            privacy: ingam_privacy::Config::default(),
            backup: crate::backup::Config::default(),
            health: crate::health::Config::default(),
            monitor: crate::monitor::Config::default(),
            log: crate::record_log::Config::default(),
        }
    }
}

impl Config {
    /// What of it would stop a start at this moment, in words.
    pub(crate) fn mistakes(&self, now: Timestamp) -> Vec<String> {
        let mut found = Findings::new();
        rules::check(self, &mut found);
        advice::check(self, now, &mut found);
        let errors = found.into_iter().filter(|finding| finding.level == Level::Error);
        errors.map(|finding| finding.to_string()).collect()
    }
}

/// What the CA is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Listen {
    /// ACME over https.
    pub(crate) acme: Vec<SocketAddr>,
    /// ACME over http, for a proxy that ends TLS: loopback alone, or with `proxies.trusted` any address.
    pub(crate) acme_plain: Vec<SocketAddr>,
    /// Roots and intermediates over https, as ACME client authors know it from Pebble.
    pub(crate) management: Vec<SocketAddr>,
    /// OCSP, CRLs and CA certificates over http.
    pub(crate) publication: Vec<SocketAddr>,
    /// The same over https, for those who would not have others read what they ask; no certificate points there.
    pub(crate) publication_tls: Vec<SocketAddr>,
    /// Prometheus metrics over http.
    pub(crate) metrics: Vec<SocketAddr>,
    /// The admin API over https, for holders of a certificate of `operator.client_ca`; it is always at
    /// `operator.socket`.
    pub(crate) admin: Vec<SocketAddr>,
    /// The DNS server for tests, over UDP and TCP: development only.
    pub(crate) dns: Vec<SocketAddr>,
    /// Its management API over http: development only.
    pub(crate) dns_management: Vec<SocketAddr>,
    /// The transparency logs for tests, over http: development only.
    pub(crate) ct_log: Vec<SocketAddr>,
    /// Open MPIC over https, for coordinators: `--role perspective` alone.
    pub(crate) perspective: Vec<SocketAddr>,
    /// The signer over https, for its callers: `--role signer` alone.
    pub(crate) signer: Vec<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        let any = |port| vec![SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0_u16; 8], port))];
        Self {
            acme: any(443),
            acme_plain: Vec::new(),
            management: Vec::new(),
            publication: any(80),
            publication_tls: Vec::new(),
            metrics: vec![SocketAddr::from(([127, 0, 0, 1], 14090))],
            admin: Vec::new(),
            dns: Vec::new(),
            dns_management: Vec::new(),
            ct_log: Vec::new(),
            perspective: Vec::new(),
            signer: Vec::new(),
        }
    }
}

impl Listen {
    /// Whether anything is served over https.
    pub(crate) fn has_https(&self) -> bool {
        self.is_asked_by_url() || !self.publication_tls.is_empty()
    }

    /// Whether anybody comes over https who has the host from `urls.public_url`.
    pub(crate) fn is_asked_by_url(&self) -> bool {
        [&self.acme, &self.management, &self.admin].iter().any(|addresses| !addresses.is_empty())
    }

    /// Those that a process has which is a perspective and nothing else.
    pub(crate) fn of_perspective(&self) -> Self {
        Self {
            acme: Vec::new(),
            acme_plain: Vec::new(),
            management: Vec::new(),
            publication: Vec::new(),
            publication_tls: Vec::new(),
            metrics: self.metrics.clone(),
            admin: Vec::new(),
            dns: Vec::new(),
            dns_management: Vec::new(),
            ct_log: Vec::new(),
            perspective: self.perspective.clone(),
            signer: Vec::new(),
        }
    }

    /// Those that a process has which is a responder apart from the CA and nothing else.
    pub(crate) fn of_responder(&self) -> Self {
        let none = Self { perspective: Vec::new(), ..self.of_perspective() };
        let (publication, publication_tls) = (self.publication.clone(), self.publication_tls.clone());
        Self { publication, publication_tls, ..none }
    }

    /// Those that a process has which is the signer and nothing else.
    pub(crate) fn of_signer(&self) -> Self {
        let none = Self { perspective: Vec::new(), ..self.of_perspective() };
        Self { signer: self.signer.clone(), ..none }
    }

    /// Every list by its key.
    pub(crate) fn all(&self) -> [(&'static str, &[SocketAddr]); 12] {
        [
            ("listen.acme", &self.acme),
            ("listen.acme_plain", &self.acme_plain),
            ("listen.management", &self.management),
            ("listen.publication", &self.publication),
            ("listen.publication_tls", &self.publication_tls),
            ("listen.metrics", &self.metrics),
            ("listen.admin", &self.admin),
            ("listen.dns", &self.dns),
            ("listen.dns_management", &self.dns_management),
            ("listen.ct_log", &self.ct_log),
            ("listen.perspective", &self.perspective),
            ("listen.signer", &self.signer),
        ]
    }
}

/// How the world sees the CA.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Urls {
    /// Scheme, host and port of the ACME server. A file may have its old name, `acme`.
    pub(crate) public_url: String,
    /// Scheme, host and port of OCSP, CRLs and issuers: what certificates point to. Plain http.
    pub(crate) publication: String,
    /// The terms of service; with it, accounts need consent to them.
    pub(crate) terms_of_service: Option<String>,
    /// Since when these terms hold, as RFC 3339 writes it: accounts that agreed earlier have to agree again before they
    /// order.
    pub(crate) terms_since: Option<String>,
    /// A page about the CA.
    pub(crate) website: Option<String>,
    /// A page for subscribers that says why certificates should be renewed early, where the incident names none.
    pub(crate) renewal_explanation: Option<String>,
    /// A page about its rate limits: refusals name it.
    pub(crate) rate_limits: Option<String>,
}

impl Urls {
    /// [`Urls::terms_since`] as a time, if it is one; rules tell where it is none.
    pub(crate) fn terms_since(&self) -> Option<Timestamp> {
        self.terms_since.as_deref().and_then(Timestamp::from_rfc3339)
    }
}

/// The certificate of the https listeners: from files, or with `issue` from the CA itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// PEM file of the server's certificate and its chain.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file of its key, PKCS #8.
    pub(crate) key: Option<PathBuf>,
    /// In the place of files: the CA issues the certificate to itself, and renews it.
    pub(crate) issue: Option<Issue>,
    /// How often the files are looked at for newer ones, or the CA's own certificate for its renewal, in seconds.
    pub(crate) look_interval_s: u64,
    /// `max-age` of Strict-Transport-Security, in seconds.
    pub(crate) hsts_max_age_s: Option<u64>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { certificate: None, key: None, issue: None, look_interval_s: 60, hsts_max_age_s: None }
    }
}

/// The certificate that the CA issues to itself, for the host of `urls.public_url` and more names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Issue {
    /// The profile, which has to be a private one.
    pub(crate) profile: String,
    /// Names beside the host.
    pub(crate) names: Vec<String>,
}

/// What a client can take up.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Connections at once, for each kind of listener.
    pub(crate) connections_max: usize,
    /// How long a connection may be silent, in seconds.
    pub(crate) idle_timeout_s: u64,
    /// How long a TLS handshake or a request's headers may take, in seconds. hyper counts the silence before the next request of a
    /// kept connection among them, the threads of `listen.publication` do not.
    pub(crate) header_timeout_s: u64,
    /// How long an ACME request's body may take, in seconds.
    pub(crate) body_timeout_s: u64,
    /// How many bytes an ACME request's body may have.
    pub(crate) body_bytes_max: usize,
    /// How long open connections and issuances in hand may take to end once the process is told to stop, in milliseconds.
    pub(crate) stop_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            idle_timeout_s: 60,
            header_timeout_s: 10,
            body_timeout_s: 10,
            body_bytes_max: 128 * 1024,
            stop_timeout_ms: 10_000,
        }
    }
}

/// What `ingam init` and `ingam dev` make.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Hierarchy {
    /// The country in all CA certificates' names: two upper-case letters.
    pub(crate) country: String,
    /// The organization in all CA certificates' names.
    pub(crate) organization: String,
    /// The root's name inside the CA.
    pub(crate) root: String,
    /// The file with the passphrase of the issuing CAs' keys. Without it, where systemd gives the service credentials,
    /// the one with the name `issuer-passphrase`.
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The number, 3 or more, under which whoever starts the process left a pipe or a file with that passphrase open; in
    /// the place of `passphrase_file`.
    pub(crate) passphrase_fd: Option<u32>,
    /// The file with the PIN of those tokens whose URI in `hierarchy.json` has no `pin-source`. Without it, the credential
    /// `token-pin`.
    pub(crate) pin_file: Option<PathBuf>,
    /// The number of an open descriptor with that PIN, as `passphrase_fd`.
    pub(crate) pin_fd: Option<u32>,
    /// The issuing CAs: name and kind of key, `ecdsa-p256`, `ecdsa-p384`, `rsa-2048`, `rsa-3072` or `rsa-4096`;
    /// in builds with aws-lc-rs, for private profiles, `ecdsa-p521`, `ml-dsa-44`, `ml-dsa-65` or `ml-dsa-87`.
    pub(crate) issuers: BTreeMap<String, KeyKind>,
}

impl Default for Hierarchy {
    fn default() -> Self {
        Self {
            country: "XX".to_owned(),
            organization: "Ingam".to_owned(),
            root: "root".to_owned(),
            passphrase_file: None,
            passphrase_fd: None,
            pin_file: None,
            pin_fd: None,
            issuers: BTreeMap::from([
                ("ecdsa".to_owned(), KeyKind::EcdsaP256),
                ("rsa".to_owned(), KeyKind::Rsa2048),
            ]),
        }
    }
}

/// How certificates are issued, whatever their profile.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Issuance {
    /// The profile of orders that name none.
    pub(crate) default_profile: String,
    /// Whether an account has to be bound to a key that operators gave out (`ingam admin eab create`).
    pub(crate) external_account_required: bool,
    /// Names that no certificate is issued for, with all names below them.
    pub(crate) names_refused: Vec<String>,
    /// Names, domains with all names below them (`*.example.org`), and addresses that alone get certificates; with none,
    /// whatever nothing refuses.
    pub(crate) names_allowed: Vec<String>,
    /// A file with names, domains and addresses that get none: one in each line.
    pub(crate) names_blocked_file: Option<PathBuf>,
    /// Whether names are held to the rules of the public web: none of special use, none of the CA itself, and for public
    /// profiles no public suffixes. By default outside development; `false` there alone.
    pub(crate) public_rules: Option<bool>,
    /// Names of special use (RFC 6761) under which private profiles have certificates all the same.
    pub(crate) special_use_allowed: Vec<String>,
    /// Files with keys that everybody can have: Debian's openssl-blacklist, lists of SHA-256, badkeys' blocklist.dat.
    pub(crate) weak_key_lists: Vec<PathBuf>,
    /// Outside linters, which see a certificate before it is signed. Profiles name theirs.
    pub(crate) linters: Vec<LinterConfig>,
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
    /// Whether anybody may GET a certificate by its URL, which has nothing that the certificate itself does not say.
    pub(crate) certificates_by_get: bool,
    /// After how many hundredths of their lifetime certificates should be renewed. Without it, after two thirds, and after half
    /// of less than ten days.
    pub(crate) renewal_at_percent: Option<u8>,
    /// How long clients should wait before they ask again when to renew, in seconds.
    pub(crate) renewal_check_s: u64,
    /// The public suffix list, as its publishers give it; without it, the one that comes with the program.
    pub(crate) public_suffix_list: Option<PathBuf>,
}

impl Default for Issuance {
    fn default() -> Self {
        Self {
            default_profile: "classic".to_owned(),
            external_account_required: false,
            names_refused: Vec::new(),
            names_allowed: Vec::new(),
            names_blocked_file: None,
            public_rules: None,
            special_use_allowed: Vec::new(),
            weak_key_lists: Vec::new(),
            linters: Vec::new(),
            finalize_wait_ms: 5000,
            lease_s: 60,
            checks_max: 512,
            checks_waiting_max: 8192,
            contacts_max: 10,
            certificates_by_get: false,
            renewal_at_percent: None,
            renewal_check_s: 6 * 60 * 60,
            public_suffix_list: None,
        }
    }
}

/// Who runs the CA, and how they reach it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Operator {
    /// Who is an administrator from the first start on: `uid:1000`, or `cert:` and the SHA-256 of a client certificate.
    pub(crate) administrators: Vec<String>,
    /// The admin API's Unix socket; `admin.sock` in the state folder by default.
    pub(crate) socket: Option<PathBuf>,
    /// PEM file of the CAs whose client certificates may reach `listen.admin`.
    pub(crate) client_ca: Option<PathBuf>,
    /// Acts that need two people: `mass_revocation`, `role_change`, `key_unblock`, `disclosure`.
    pub(crate) two_people: BTreeSet<Danger>,
}

impl Operator {
    /// Those administrators that are named as they should be; rules tell of the others.
    pub(crate) fn principals(&self) -> Vec<Principal> {
        self.administrators.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

/// What is wrong with a configuration: a sentence and a line for each mistake.
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

/// The name of an issuer, or of the root, as a checked value.
pub(crate) fn issuer_name(name: &str) -> Result<IssuerName, ConfigError> {
    IssuerName::try_from(name.to_owned())
        .map_err(|why| ConfigError(format!("hierarchy.issuers has the name {name:?}: {why}")))
}

impl Config {
    /// Where registered domains begin. Reads the operator's list, if there is one.
    ///
    /// # Errors
    /// [`ConfigError`] if it cannot be read, or is none.
    pub(crate) fn public_suffixes(&self) -> Result<PublicSuffixes, ConfigError> {
        let Some(path) = &self.issuance.public_suffix_list else { return Ok(PublicSuffixes::built_in()) };
        let failed = |why: &dyn fmt::Display| {
            ConfigError(format!(
                "issuance.public_suffix_list is {}, which cannot be used: {why}; name a public suffix list, or leave the \
                 key out for the one that comes with the program",
                path.display()
            ))
        };
        let mut text = String::new();
        let file = File::open(path).map_err(|error| failed(&error))?;
        file.take(PublicSuffixes::BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(&error))?;
        PublicSuffixes::parse(&text).map_err(|error| failed(&error))
    }

    /// Reads and checks the file for `ingam init` and `ingam serve`. Warnings go to the log.
    ///
    /// # Errors
    /// [`ConfigError`] has a line for each mistake.
    pub(crate) fn read(path: &Path, now: Timestamp) -> Result<Self, ConfigError> {
        Reading::of_file(path)?.checked(now)
    }

    /// Reads and checks the file for `ingam serve --role perspective`. Warnings go to the log.
    ///
    /// # Errors
    /// [`ConfigError`] has a line for each mistake.
    pub(crate) fn read_perspective(path: &Path, now: Timestamp) -> Result<Self, ConfigError> {
        Reading::of_file(path)?.for_role(Role::Perspective).checked(now)
    }

    /// Reads and checks the file for `ingam serve --role responder`. Warnings go to the log.
    ///
    /// # Errors
    /// [`ConfigError`] has a line for each mistake.
    pub(crate) fn read_responder(path: &Path, now: Timestamp) -> Result<Self, ConfigError> {
        Reading::of_file(path)?.for_role(Role::Responder).checked(now)
    }

    /// Reads and checks the file for `ingam serve --role signer`: its state folder is the signer's own. Warnings go to the log.
    ///
    /// # Errors
    /// [`ConfigError`] has a line for each mistake.
    pub(crate) fn read_signer(path: &Path, now: Timestamp) -> Result<Self, ConfigError> {
        let config = Reading::of_file(path)?.for_role(Role::Signer).checked(now)?;
        Ok(config.of_signer())
    }

    /// The same, with the signer's own state folder in place of the CA's.
    pub(crate) fn of_signer(self) -> Self {
        let listen = Listen { metrics: self.signer.metrics.clone(), ..self.listen.of_signer() };
        Self { state: self.signer.state.clone().unwrap_or(self.state), listen, ..self }
    }
}
