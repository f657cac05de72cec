//! What stops a start, as far as the configuration alone shows it. What it has to become on the way (profiles, the plan of a
//! hierarchy, URLs) is made here too, by the same rules.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http::uri::Authority;
use ingam_authority::Catalog;
use ingam_protocol::Findings;
use ingam_protocol::acme::ChallengeType;
use ingam_protocol::finding::dotted;
use ingam_protocol::operator::Principal;
use ingam_protocol::profile::{IssuerName, Profile, ProfileName, Transparency};
use ingam_signer::hierarchy::{IssuerPlan, Plan};
use ingam_signer::{IssuerUrls, KeyKind};

use super::{
    Config, ConfigError, DAY_S, Environment, Listen, ProfileConfig, checks, names, perspective, profiles,
    proxies, responder, signer, tls,
};

/// All of them.
pub(crate) fn check(config: &Config, found: &mut Findings) {
    environment(config, found);
    url(found, "urls.public_url", &config.urls.public_url, "https://");
    url(found, "urls.publication", &config.urls.publication, "http://");
    let without = config.urls.terms_since.is_some() && config.urls.terms_of_service.is_none();
    let fix = "give urls.terms_of_service, too, or leave it out";
    found.require(!without, "urls.terms_since", "is there, and no terms of service are", fix);
    let is_time = config.urls.terms_since.is_none() || config.urls.terms_since().is_some();
    let fix = "write it as 2026-11-21T00:00:00Z (RFC 3339)";
    found.require(is_time, "urls.terms_since", "is no time", fix);
    page(found, "urls.rate_limits", config.urls.rate_limits.as_deref());
    addresses(&config.listen, found);
    let is_here = |address: &SocketAddr| address.ip().is_loopback() || address.ip().is_unspecified();
    found.require(
        config.listen.ct_log.iter().all(is_here),
        "listen.ct_log",
        "has an address of another than this machine, and nobody asks a log over http there",
        "give 127.0.0.1, or 0.0.0.0 in a container",
    );
    proxies::check(config, found);
    tls::check(config, found);
    bounds(config, found);
    names::check(config, found);
    checks::check(config, found);
    operator(config, found);
    config.rate_limits.check(found);
    secrets(config, found);
    kinds(config, found);
    plan(config, found);
    found.below("responder", config.responder.check());
    found.below("request_log", config.request_log.check());
    // Where the environment's own word cannot be read, it is not told whether something is an error or a warning.
    if !found.is_silent("environment") {
        let is_production = config.environment == Environment::Production;
        found.below("retention", config.retention.check(is_production));
    }
    found.below("validation", config.validation.check());
    persistent_records(config, found);
    perspective::check_absent(config, found);
    responder::check_absent(config, found);
    signer::check(config, found);
    perspective::distances(config, found);
    found.below("transparency", config.transparency.check());
    found.below("privacy", config.privacy.check());
    found.below("health", config.health.check());
    found.below("backup", config.backup.check());
    found.below("monitor", config.monitor.check());
    found.below("log", config.log.check());
    catalog(config, found);
}

/// What an environment refuses.
fn environment(config: &Config, found: &mut Findings) {
    // Production is the default: where the file's own word cannot be read, nothing follows from it.
    if config.environment == Environment::Production && !found.is_silent("environment") {
        for (name, profile) in &config.profiles {
            found.require(
                !profile.public || profile.transparency(config.environment) == Transparency::Required,
                format!("{}.transparency", dotted("profiles", name)),
                "is \"none\", and browsers trust no certificate for the public without SCTs",
                "leave it out, or set it to \"required\"; or set public = false for a private CA",
            );
        }
        found.require(
            config.request_log.is_within_ceiling(),
            "request_log.keep_s",
            format!(
                "is {}, and in production requests are kept for seven days at most, whatever the mode is (R3 of \
                 docs/operations/request-log.md)",
                config.request_log.keep_s
            ),
            "set it to 604800 or less; what a case needs for longer is held by `ingam admin ocsp hold open`",
        );
    }
    if config.environment == Environment::Development || found.is_silent("environment") {
        return;
    }
    for (key, addresses) in [
        ("listen.dns", &config.listen.dns),
        ("listen.dns_management", &config.listen.dns_management),
        ("listen.ct_log", &config.listen.ct_log),
    ] {
        found.require(
            addresses.is_empty(),
            key,
            "is for environment = \"development\" alone: that server does whatever it is told",
            "remove it",
        );
    }
    found.require(
        config.store.engine != ingam_store::EngineChoice::Sled,
        "store.engine",
        "is \"sled\", which can lose acknowledged certificates with the power",
        "use \"redb\", or environment = \"development\"",
    );
}

/// What records of dns-persist-01 name this CA by: one name at least, and at most ten (draft-ietf-acme-dns-persist,
/// section 3.1).
fn persistent_records(config: &Config, found: &mut Findings) {
    let offers = |profile: &ProfileConfig| profile.challenges.contains(&ChallengeType::DnsPersist01);
    let count = config.validation.caa_issuer_domains.len();
    found.require(
        (1..=10).contains(&count) || !config.profiles.values().any(offers),
        "validation.caa_issuer_domains",
        format!("has {count} names, and a profile offers dns-persist-01, whose records name this CA by one of them"),
        "give 1 to 10, or take dns-persist-01 out of the profiles' challenges",
    );
}

/// Numbers with which nothing could be served, or that no machine has.
fn bounds(config: &Config, found: &mut Findings) {
    connections(config, found);
    let issuance = &config.issuance;
    found.between("issuance.finalize_wait_ms", issuance.finalize_wait_ms, 0..=60_000);
    found.between("issuance.lease_s", issuance.lease_s, 1..=3600);
    found.between("issuance.checks_max", issuance.checks_max, 1..=65_536);
    found.between("issuance.checks_waiting_max", issuance.checks_waiting_max, 0..=1_000_000);
    found.between("issuance.contacts_max", issuance.contacts_max, 0..=100);
    found.between("tls.look_interval_s", config.tls.look_interval_s, 1..=DAY_S);
    found.between("issuance.renewal_at_percent", issuance.renewal_at_percent.unwrap_or(50), 10..=90);
    found.between("issuance.renewal_check_s", issuance.renewal_check_s, 60..=7 * DAY_S);
    found.between("store.cache_mib", config.store.cache_mib, 1..=1 << 20);
}

/// What connections may take up, and where they come in.
pub(super) fn connections(config: &Config, found: &mut Findings) {
    let limits = &config.limits;
    found.between("limits.connections_max", limits.connections_max, 1..=1_000_000);
    found.between("limits.idle_timeout_s", limits.idle_timeout_s, 1..=3600);
    found.between("limits.header_timeout_s", limits.header_timeout_s, 1..=600);
    found.between("limits.body_timeout_s", limits.body_timeout_s, 1..=600);
    found.between("limits.stop_timeout_ms", limits.stop_timeout_ms, 100..=600_000);
    found.between("limits.body_bytes_max", limits.body_bytes_max, 1024..=16 << 20);
}

/// Who may run the CA.
fn operator(config: &Config, found: &mut Findings) {
    for text in &config.operator.administrators {
        if let Err(bad) = text.parse::<Principal>() {
            found.error("operator.administrators", format!("has {bad}"), "name people as told");
        }
    }
    found.require(
        config.listen.admin.is_empty() || config.operator.client_ca.is_some(),
        "operator.client_ca",
        "is missing, though listen.admin has an address: whoever came there could not be told from anybody else",
        "name a PEM file with the CA of the operators' certificates, or leave listen.admin empty",
    );
}

/// A page on the web, which goes into headers as it is.
fn page(found: &mut Findings, key: &str, url: Option<&str>) {
    let is_page =
        |url: &str| url.parse::<http::Uri>().is_ok_and(|url| url.scheme().is_some() && url.host().is_some());
    found.require(
        url.is_none_or(|url| is_page(url) && !url.contains(['<', '>', '"'])),
        key,
        "is no URL",
        "give it with its scheme, as in https://ca.example/limits, or leave it out",
    );
}

/// Scheme, host and port, and nothing else.
fn url(found: &mut Findings, key: &str, url: &str, scheme: &str) {
    let fix = format!("give scheme, host and port alone, as in {scheme}ca.example");
    if url.is_empty() {
        return found.error(key, "is missing or empty", fix);
    }
    let Some(rest) = url.strip_prefix(scheme) else {
        let why = match scheme {
            "http://" => "OCSP and CRLs are fetched before TLS can be trusted",
            _ => "ACME is served over https alone (RFC 8555, section 6.1)",
        };
        return found.error(key, format!("is {url:?}, and has to begin with {scheme}: {why}"), fix);
    };
    if authority(rest).is_none() {
        found.error(key, format!("is {url:?}"), fix);
    }
}

/// Host and port, if the text behind a scheme is nothing more.
fn authority(rest: &str) -> Option<Authority> {
    let authority: Authority = rest.trim_end_matches('/').parse().ok()?;
    let host = authority.host();
    // A colon with no port behind it, or one that is too large, is none to the library.
    let is_whole = match authority.port_u16() {
        Some(port) => authority.as_str() == format!("{host}:{port}"),
        None => authority.as_str() == host,
    };
    (is_whole && !host.is_empty() && host.len() <= 253).then_some(authority)
}

/// The host of a URL that passed the rules, without the brackets of an IPv6 address.
pub(crate) fn host(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = authority(rest)?;
    Some(authority.host().trim_start_matches('[').trim_end_matches(']').to_owned())
}

/// No two listeners on one address.
pub(super) fn addresses(listen: &Listen, found: &mut Findings) {
    let mut taken: Vec<(&str, SocketAddr)> = Vec::new();
    for (key, addresses) in listen.all() {
        for address in addresses {
            match taken.iter().find(|(_, other)| overlap(*address, *other)) {
                Some((other_key, other)) => found.error(
                    key,
                    format!("has {address}, which {other} of {other_key} takes already"),
                    "give each listener a port of its own",
                ),
                None => taken.push((key, *address)),
            }
        }
    }
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_one_family = one.is_ipv4() == other.is_ipv4();
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && is_one_family && (is_any || one.ip() == other.ip())
}

/// A secret comes from one place, and not from where the terminal or the log are.
fn secrets(config: &Config, found: &mut Findings) {
    let hierarchy = &config.hierarchy;
    for (name, file, descriptor) in [
        ("passphrase", &hierarchy.passphrase_file, hierarchy.passphrase_fd),
        ("pin", &hierarchy.pin_file, hierarchy.pin_fd),
    ] {
        let Some(number) = descriptor else { continue };
        let key = format!("hierarchy.{name}_fd");
        let fix = "give the number of a descriptor that is left open for it, 3 or more";
        found.require(number >= 3, key.as_str(), format!("is {number}"), fix);
        let fix = format!("leave out this or hierarchy.{name}_file");
        found.require(file.is_none(), key, "is there beside a file", fix);
    }
}

/// The kinds of keys that this build has.
fn kinds(config: &Config, found: &mut Findings) {
    for (name, kind) in &config.hierarchy.issuers {
        let key = dotted("hierarchy.issuers", name);
        let reason = format!("is \"{}\", which this build does not have", kind.name());
        let fix = "build with `--features aws-lc-rs`, or choose another kind";
        found.require(kind.is_available(), key, reason, fix);
    }
}

/// The hierarchy that the configuration asks for.
fn plan(config: &Config, found: &mut Findings) -> Option<Plan> {
    let hierarchy = &config.hierarchy;
    let is_whole = found.is_whole("hierarchy.issuers");
    let root = named(found, "hierarchy.root", &hierarchy.root);
    let mut issuers: Vec<IssuerPlan> = hierarchy
        .issuers
        .iter()
        .filter_map(|(name, kind)| {
            Some(IssuerPlan { name: named(found, &dotted("hierarchy.issuers", name), name)?, key: *kind })
        })
        .collect();
    let all = issuers.len() == hierarchy.issuers.len();
    // What else is wrong is told too, with names that nobody gives in the place of bad ones.
    let stand_in = |name: &str| IssuerName::try_from(name.to_owned()).ok();
    if issuers.is_empty() && !(is_whole && all) {
        issuers.push(IssuerPlan { name: stand_in("-")?, key: KeyKind::EcdsaP256 });
    }
    let is_good = all && is_whole && root.is_some();
    let is_public = config.profiles.values().any(|profile| profile.public);
    let (country, organization) = (hierarchy.country.clone(), hierarchy.organization.clone());
    let root = root.or_else(|| stand_in("--"))?;
    let publication = config.urls.publication.clone();
    let plan = Plan { country, organization, root, is_public, publication, issuers };
    found.below("hierarchy", plan.check());
    is_good.then_some(plan)
}

fn named(found: &mut Findings, key: &str, name: &str) -> Option<IssuerName> {
    let parsed = IssuerName::try_from(name.to_owned()).ok();
    let fix = "use 1 to 32 lower-case letters, digits and hyphens";
    found.require(parsed.is_some(), key, format!("has the name {name:?}"), fix);
    parsed
}

/// The profiles as checked data.
fn catalog(config: &Config, found: &mut Findings) -> Option<Catalog> {
    let profiles: Vec<Profile> = config
        .profiles
        .iter()
        .filter_map(|(name, settings)| profiles::checked(config, name, settings, found))
        .collect();
    let default = &config.issuance.default_profile;
    // What is wrong with that profile itself was told.
    if !config.profiles.contains_key(default) && found.is_sound(&dotted("profiles", default)) {
        let reason = format!("is {default:?}, and there is no [{}]", dotted("profiles", default));
        found.error("issuance.default_profile", reason, "name one of the profiles, or add this one");
    }
    if profiles.len() < config.profiles.len() {
        return None;
    }
    Catalog::new(profiles, &ProfileName::try_from(default.clone()).ok()?)
}

impl Config {
    /// The profiles as checked data.
    ///
    /// # Errors
    /// [`ConfigError`] for what [`check`] would have found.
    pub(crate) fn catalog(&self) -> Result<Catalog, ConfigError> {
        made(|found| catalog(self, found))
    }

    /// What `ingam init` is to make.
    ///
    /// # Errors
    /// [`ConfigError`] for what [`check`] would have found.
    pub(crate) fn plan(&self) -> Result<Plan, ConfigError> {
        made(|found| plan(self, found))
    }

    /// What certificates of each issuer point to.
    ///
    /// # Errors
    /// [`ConfigError`] for what [`check`] would have found.
    pub(crate) fn issuer_urls(&self) -> Result<BTreeMap<IssuerName, IssuerUrls>, ConfigError> {
        let plan = self.plan()?;
        let urls = |name: &IssuerName| IssuerUrls::below(&self.urls.publication, name);
        Ok(plan.issuers.into_iter().map(|issuer| (issuer.name.clone(), urls(&issuer.name))).collect())
    }
}

fn made<T>(make: impl FnOnce(&mut Findings) -> Option<T>) -> Result<T, ConfigError> {
    let mut found = Findings::new();
    let made = make(&mut found);
    found.into_result().map_err(|finding| ConfigError::new(finding.to_string()))?;
    made.ok_or_else(|| ConfigError::new("the configuration was not checked"))
}

#[cfg(test)]
mod tests;
