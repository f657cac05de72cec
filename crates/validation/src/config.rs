//! What an operator may say about validation.

pub mod corroboration;
mod hints;
mod server;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ingam_protocol::Findings;
use ingam_protocol::corroboration::Registry;
use serde::{Deserialize, Serialize};

use crate::address::{AddressPolicy, AddressRange, Addresses};
use crate::{caa, iodef};

pub use corroboration::{CorroborationConfig, Location, RemoteConfig, TooClose};

pub use hints::{RootHint, RootHintError};
pub(crate) use server::Transport;
pub use server::{Server, ServerError};

/// How this process looks at the network. The defaults are those of a public CA with a recursive resolver of its own.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name of this perspective in the records: 1 to 64 letters, digits, hyphens and dots. Default: `local`.
    pub perspective: String,
    /// The recursive resolvers to ask, 1 to 8 of them; no others are ever asked. They should be the CA's own, and have to
    /// pass DNSSEC's records on. `127.0.0.1:53` is asked over UDP, and over TCP where that does not do;
    /// `tcp://192.0.2.1:53` over TCP always; `tls://dns.example@192.0.2.1:853` over TLS and
    /// `https://dns.example@192.0.2.1:443/dns-query` over HTTPS, with a certificate for the name before the `@`.
    /// Default: port 53 of this machine, over IPv4 and IPv6.
    pub resolvers: Vec<Server>,
    /// A PEM file with the CAs that sign for the `tls` and `https` resolvers. Default: those that the system trusts.
    pub resolver_roots: Option<PathBuf>,
    /// The root servers at which full recursion begins, at most 32: addresses, or `iana` for the thirteen of the public
    /// DNS. With these, `resolvers` has to be empty, and nobody else's resolver is asked. Default: none.
    pub root_hints: Vec<RootHint>,
    /// The port of the servers that recursion asks. Default: 53; anything else is for tests.
    pub dns_port: u16,
    /// Whether answers have to be proven by DNSSEC, or proven to be of a zone without. Default:
    /// `when-signed`.
    pub dnssec: Dnssec,
    /// A file with the DNSKEY records that DNSSEC's proofs begin with, in the form of a zone file. For names below one that
    /// is not the root, answers have to be signed. Default: the root's keys of 2017 (tag 20326) and 2024 (tag 38696).
    pub trust_anchors: Option<PathBuf>,
    /// The port for http-01, and for `http` redirects without a port. Default: 80.
    pub http_port: u16,
    /// The port for `https` redirects without a port. Default: 443.
    pub https_port: u16,
    /// The port for tls-alpn-01. Default: 443.
    pub tls_alpn_port: u16,
    /// Which addresses a validation may connect to. Default: `public-only`.
    pub addresses: AddressPolicy,
    /// Networks and addresses that may be connected to beyond that, at most 64, like `10.1.0.0/16` or `127.0.0.2`; for
    /// recursion, name servers too. Multicast and unspecified addresses and those with an IPv4 address inside cannot be
    /// allowed. Default: none.
    pub addresses_allowed: Vec<AddressRange>,
    /// The issuer domain names in CAA records that mean this CA (RFC 8659, section 4.2), at most 16. Without any, a
    /// name with `issue` records permits nothing. Default: none.
    pub caa_issuer_domains: Vec<String>,
    /// The `User-Agent` of http-01 requests: 1 to 128 printable characters. Default: `ingam (ACME validation)`.
    pub user_agent: String,
    /// How long one DNS lookup may take with all its tries, in milliseconds. Default: 10000.
    pub lookup_timeout_ms: u64,
    /// How often one DNS lookup is tried, 1 to 8. Default: 3.
    pub lookup_tries: u8,
    /// How long connecting to one address may take, in milliseconds. Default: 5000.
    pub connect_timeout_ms: u64,
    /// How long a TLS handshake may take, in milliseconds. Default: 5000.
    pub handshake_timeout_ms: u64,
    /// How long one HTTP request may take from its first byte to the last of the answer's body, in milliseconds.
    /// Default: 10000.
    pub response_timeout_ms: u64,
    /// How long a whole validation or CAA check may take, in milliseconds. Default: 30000.
    pub total_timeout_ms: u64,
    /// How many validations and CAA checks may be under way at once; more wait, for a quarter of the total time
    /// at most. Default: 1024.
    pub concurrent_max: usize,
    /// What the owners of domains are told whose CAA records refused a request.
    pub reports: iodef::Config,
    /// Where this perspective stands. Default: not told.
    pub location: Option<Location>,
    /// The registry in whose region it lies. Default: not told.
    pub registry: Option<Registry>,
    /// The remote perspectives, at most 32. Default: none, and what this one sees counts alone.
    pub remotes: Vec<RemoteConfig>,
    /// How they are asked, and when enough of them agree.
    pub corroboration: CorroborationConfig,
}

/// What is made of DNSSEC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dnssec {
    /// Answers are used that are proven, or proven to be of a zone that is not signed (RFC 4035, section 5).
    Validate,
    /// The same, unless whoever is asked has no signed root, as in a network of its own: then whatever it says is used.
    #[default]
    WhenSigned,
    /// Whatever the resolver says is used.
    Off,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            perspective: "local".into(),
            resolvers: vec![
                SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53).into(),
                SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 53).into(),
            ],
            resolver_roots: None,
            root_hints: Vec::new(),
            dns_port: 53,
            dnssec: Dnssec::WhenSigned,
            trust_anchors: None,
            http_port: 80,
            https_port: 443,
            tls_alpn_port: 443,
            addresses: AddressPolicy::PublicOnly,
            addresses_allowed: Vec::new(),
            caa_issuer_domains: Vec::new(),
            user_agent: "ingam (ACME validation)".into(),
            lookup_timeout_ms: 10_000,
            lookup_tries: 3,
            connect_timeout_ms: 5_000,
            handshake_timeout_ms: 5_000,
            response_timeout_ms: 10_000,
            total_timeout_ms: 30_000,
            concurrent_max: 1024,
            reports: iodef::Config::default(),
            location: None,
            registry: None,
            remotes: Vec::new(),
            corroboration: CorroborationConfig::default(),
        }
    }
}

/// A value of [`Config`] that cannot be worked with; the words go to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

/// The longest time that any of the timeouts may be set to.
const TIMEOUT_MS_MAX: u64 = 600_000;

impl Config {
    /// Looks at every value, before anything is built with them.
    pub fn check(&self) -> Findings {
        let mut found = Findings::new();
        let name = &self.perspective;
        found.require(
            is_perspective_name(name),
            "perspective",
            format!("is {name:?}"),
            "give 1 to 64 letters, digits, hyphens and dots",
        );
        self.check_resolvers(&mut found);
        let count = self.addresses_allowed.len();
        found.require(
            count <= 64,
            "addresses_allowed",
            format!("has {count} networks"),
            "give at most 64; networks can be larger instead",
        );
        for (key, port) in [
            ("http_port", self.http_port),
            ("https_port", self.https_port),
            ("tls_alpn_port", self.tls_alpn_port),
            ("dns_port", self.dns_port),
        ] {
            found.between(key, port, 1..=65_535);
        }
        let domains = &self.caa_issuer_domains;
        found.require(
            domains.len() <= 16,
            "caa_issuer_domains",
            format!("has {} names", domains.len()),
            "give at most 16",
        );
        for domain in domains.iter().filter(|domain| !caa::is_issuer_domain(domain)) {
            let fix = "give domain names of letters, digits, hyphens and dots";
            found.error("caa_issuer_domains", format!("has {domain:?}, which is no domain name"), fix);
        }
        let printable = self.user_agent.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        found.require(
            printable && (1..=128).contains(&self.user_agent.len()),
            "user_agent",
            format!("is {:?}", self.user_agent),
            "give 1 to 128 printable characters of ASCII",
        );
        found.between("lookup_tries", self.lookup_tries, 1..=8);
        for (key, milliseconds) in [
            ("lookup_timeout_ms", self.lookup_timeout_ms),
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("handshake_timeout_ms", self.handshake_timeout_ms),
            ("response_timeout_ms", self.response_timeout_ms),
            ("total_timeout_ms", self.total_timeout_ms),
        ] {
            found.between(key, milliseconds, 1..=TIMEOUT_MS_MAX);
        }
        found.between("concurrent_max", self.concurrent_max, 1..=65_536);
        self.reports.check(&mut found);
        self.check_corroboration(&mut found);
        found
    }

    fn check_resolvers(&self, found: &mut Findings) {
        let (servers, hints) = (self.resolvers.len(), self.root_hints.len());
        if hints > 0 {
            found.require(hints <= 32, "root_hints", format!("has {hints} servers"), "give at most 32");
            found.require(
                servers == 0,
                "resolvers",
                "is there beside root_hints, with which nobody's resolver is asked",
                "set resolvers = [], or remove root_hints",
            );
        } else {
            found.require(
                (1..=8).contains(&servers),
                "resolvers",
                format!("has {servers} addresses"),
                "give 1 to 8 addresses with ports, as in [\"127.0.0.1:53\"], or root_hints",
            );
        }
        for server in self.resolvers.iter().filter(|server| server.address().port() == 0) {
            found.error(
                "resolvers",
                format!("has {server}: port 0 cannot be asked"),
                "give its port, mostly 53",
            );
        }
        found.require(
            self.resolver_roots.is_none() || self.resolvers.iter().any(Server::is_authenticated),
            "resolver_roots",
            "is there, and no resolver is spoken to over TLS",
            "begin a resolver with tls:// or https://, or remove it",
        );
        found.require(
            self.trust_anchors.is_none() || self.dnssec != Dnssec::Off,
            "trust_anchors",
            "is there, and dnssec is \"off\"",
            "set dnssec = \"validate\", or remove it",
        );
    }

    /// What of addresses may be connected to.
    pub fn connectable(&self) -> Addresses {
        Addresses::new(self.addresses, self.addresses_allowed.clone())
    }

    pub(crate) fn lookup_timeout(&self) -> Duration {
        Duration::from_millis(self.lookup_timeout_ms)
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    pub(crate) fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.response_timeout_ms)
    }

    /// How long a remote perspective may take.
    pub(crate) fn remote_timeout(&self) -> Duration {
        Duration::from_millis(self.corroboration.timeout_ms.min(self.total_timeout_ms))
    }

    pub(crate) fn total_timeout(&self) -> Duration {
        Duration::from_millis(self.total_timeout_ms)
    }
}

/// Whether records can name a perspective like this.
fn is_perspective_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_worked_with() {
        Config::default().check().into_result().unwrap();
        let parsed: Config =
            serde_json::from_str(r#"{"addresses": "allow-loopback", "http_port": 5002}"#).unwrap();
        assert_eq!(parsed.addresses, AddressPolicy::AllowLoopback);
        assert_eq!(parsed.http_port, 5002);
    }

    #[test]
    fn unknown_keys_and_empty_values_are_refused() {
        assert!(serde_json::from_str::<Config>(r#"{"htp_port": 5002}"#).is_err());
        type Change = fn(&mut Config);
        let broken: [(Change, &str); 15] = [
            (|config| config.perspective = "here or there".into(), "perspective"),
            (|config| config.resolvers.clear(), "resolvers"),
            (|config| config.resolvers = vec!["127.0.0.1:0".parse().unwrap()], "resolvers"),
            (|config| config.http_port = 0, "http_port"),
            (|config| config.dns_port = 0, "dns_port"),
            (|config| config.root_hints = vec![RootHint::Iana], "resolvers"),
            (|config| config.resolver_roots = Some("roots.pem".into()), "resolver_roots"),
            (
                |config| {
                    config.dnssec = Dnssec::Off;
                    config.trust_anchors = Some("root.key".into());
                },
                "trust_anchors",
            ),
            (|config| config.addresses_allowed = vec!["127.0.0.2".parse().unwrap(); 65], "addresses_allowed"),
            (|config| config.total_timeout_ms = 0, "total_timeout_ms"),
            (|config| config.lookup_timeout_ms = u64::MAX, "lookup_timeout_ms"),
            (|config| config.lookup_tries = 0, "lookup_tries"),
            (|config| config.concurrent_max = 0, "concurrent_max"),
            (|config| config.caa_issuer_domains = vec!["bad domain".into()], "caa_issuer_domains"),
            (|config| config.user_agent = "a\r\nb".into(), "user_agent"),
        ];
        let mut all = Config::default();
        for (change, key) in broken {
            let mut config = Config::default();
            change(&mut config);
            change(&mut all);
            let keys: Vec<String> = config.check().into_iter().map(|finding| finding.key).collect();
            assert_eq!(keys, [key], "{config:?}");
        }
        // One of the mistakes about resolvers writes over another.
        assert_eq!(all.check().into_iter().count(), broken.len() - 1, "all mistakes at once: {all:?}");
    }

    #[test]
    fn recursion_needs_no_resolvers() {
        let text = r#"{"resolvers": [], "root_hints": ["iana"], "addresses_allowed": ["10.0.0.0/8"]}"#;
        let config: Config = serde_json::from_str(text).unwrap();
        config.check().into_result().unwrap();
        assert!(config.connectable().check("10.0.0.1".parse().unwrap()).is_ok());
        assert!(Config { root_hints: vec![RootHint::Iana; 33], ..config }.check().into_result().is_err());
    }
}
