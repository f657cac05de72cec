//! What stops a start, as far as the configuration alone shows it. What it has to become on the way (profiles, the plan of a
//! hierarchy, URLs) is made here too, by the same rules.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use http::uri::Authority;
use ingam_authority::Catalog;
use ingam_protocol::Findings;
use ingam_protocol::acme::ChallengeType;
use ingam_protocol::finding::{Level, dotted};
use ingam_protocol::identifier::Domain;
use ingam_protocol::operator::Principal;
use ingam_protocol::profile::{Accounts, Allowed, IssuerName, Profile, ProfileName};
use ingam_signer::hierarchy::{IssuerPlan, Plan};
use ingam_signer::{IssuerUrls, KeyKind as SignerKey};

use super::{
    AccountKind, Config, ConfigError, DAY_S, Environment, IdentifierKind, KeyKind, Listen, ProfileConfig,
    names, perspective, proxies, tls,
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
    operator(config, found);
    config.rate_limits.check(found);
    plan(config, found);
    found.below("responder", config.responder.check());
    found.below("validation", config.validation.check());
    persistent_records(config, found);
    perspective::check_absent(config, found);
    perspective::distances(config, found);
    found.below("transparency", config.transparency.check());
    found.below("health", config.health.check());
    catalog(config, found);
}

/// What an environment refuses.
fn environment(config: &Config, found: &mut Findings) {
    // Production is the default: where the file's own word cannot be read, nothing follows from it.
    if config.environment == Environment::Production && !found.is_silent("environment") {
        for (name, profile) in &config.profiles {
            found.require(
                !profile.public,
                format!("{}.public", dotted("profiles", name)),
                "is true, the default: the public web wants Certificate Transparency, which this version does not have, so \
                 environment = \"production\" refuses it",
                "set public = false for a private CA; for a public one, use environment = \"staging\"",
            );
        }
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

/// The hierarchy that the configuration asks for.
fn plan(config: &Config, found: &mut Findings) -> Option<Plan> {
    let hierarchy = &config.hierarchy;
    let is_whole = found.is_whole("hierarchy.issuers");
    let root = named(found, "hierarchy.root", &hierarchy.root);
    let mut issuers: Vec<IssuerPlan> = hierarchy
        .issuers
        .iter()
        .filter_map(|(name, kind)| {
            let key = match kind {
                KeyKind::EcdsaP256 => SignerKey::EcdsaP256,
                KeyKind::Rsa2048 => SignerKey::Rsa2048,
            };
            Some(IssuerPlan { name: named(found, &dotted("hierarchy.issuers", name), name)?, key })
        })
        .collect();
    let all = issuers.len() == hierarchy.issuers.len();
    // What else is wrong is told too, with names that nobody gives in the place of bad ones.
    let stand_in = |name: &str| IssuerName::try_from(name.to_owned()).ok();
    if issuers.is_empty() && !(is_whole && all) {
        issuers.push(IssuerPlan { name: stand_in("-")?, key: SignerKey::EcdsaP256 });
    }
    let is_good = all && is_whole && root.is_some();
    let is_public = config.profiles.values().any(|profile| profile.public);
    let (country, organization) = (hierarchy.country.clone(), hierarchy.organization.clone());
    let plan = Plan { country, organization, root: root.or_else(|| stand_in("--"))?, is_public, issuers };
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
        .filter_map(|(name, settings)| profile(config, name, settings, found))
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

fn profile(config: &Config, name: &str, settings: &ProfileConfig, found: &mut Findings) -> Option<Profile> {
    let table = dotted("profiles", name);
    let key = |key: &str| format!("{table}.{key}");
    let before = found.count(Level::Error);
    let parsed = ProfileName::try_from(name.to_owned()).ok();
    let fix = "use 1 to 64 lower-case letters, digits and hyphens";
    found.require(parsed.is_some(), table.as_str(), "has a name that clients cannot ask for", fix);
    let missing = "is missing or empty";
    found.require(
        !settings.description.is_empty(),
        key("description"),
        missing,
        "say what it is, for the directory",
    );
    issuer(config, &key("issuer"), &settings.issuer, found);
    if settings.validity_s == 0 {
        found.error(key("validity_s"), "is missing or 0", "give the seconds, as in 7776000 (90 days)");
    } else {
        // BR 6.3.2; a private CA has no reason for more either.
        found.between(key("validity_s"), settings.validity_s, 3600..=398 * DAY_S);
    }
    // BR 7.1.2.7.
    found.between(key("backdate_s"), settings.backdate_s, 0..=2 * DAY_S);
    found.between(key("names_max"), settings.names_max, 1..=100);
    let lifetimes = [
        ("order_lifetime_s", settings.order_lifetime_s),
        ("pending_authorization_lifetime_s", settings.pending_authorization_lifetime_s),
        ("valid_authorization_lifetime_s", settings.valid_authorization_lifetime_s),
    ];
    for (last, lifetime_s) in lifetimes {
        found.between(key(last), lifetime_s, 60..=90 * DAY_S);
    }
    let identifiers = allowed(&table, settings, found);
    let accounts = accounts(&table, settings, found);
    profile_agrees(&table, settings, found);
    let name = parsed.filter(|_| found.count(Level::Error) == before)?;
    Some(Profile {
        name,
        description: settings.description.clone(),
        issuer: IssuerName::try_from(settings.issuer.clone()).ok()?,
        validity: Duration::from_secs(settings.validity_s),
        validity_min: settings.validity_min_s.map(Duration::from_secs),
        backdate: Duration::from_secs(settings.backdate_s),
        order_lifetime: Duration::from_secs(settings.order_lifetime_s),
        pending_authorization_lifetime: Duration::from_secs(settings.pending_authorization_lifetime_s),
        valid_authorization_lifetime: Duration::from_secs(settings.valid_authorization_lifetime_s),
        reuse_authorizations: settings.reuse_authorizations,
        names_max: settings.names_max,
        identifiers,
        challenges: settings.challenges.clone(),
        key_types: settings.key_types.clone(),
        accounts,
        revocation_pointers: settings.revocation_pointers,
        is_public: settings.public,
    })
}

/// What certificates may be for, and that there is a way to show control of each.
fn allowed(table: &str, settings: &ProfileConfig, found: &mut Findings) -> Allowed {
    let mut below = BTreeSet::new();
    for text in &settings.names_below {
        match Domain::parse(text) {
            Ok(name) => drop(below.insert(name)),
            Err(bad) => {
                let fix = "give domains, as in [\"example.org\"]";
                found.error(format!("{table}.names_below"), format!("has {text:?}: {bad}"), fix);
            }
        }
    }
    let has = |kind| settings.identifiers.contains(&kind);
    let offers =
        |challenges: &[ChallengeType]| challenges.iter().any(|one| settings.challenges.contains(one));
    let in_the_dns = [ChallengeType::Dns01, ChallengeType::DnsAccount01, ChallengeType::DnsPersist01];
    let key = format!("{table}.identifiers");
    let nothing = settings.identifiers.is_empty();
    found.require(!nothing, key.as_str(), "is empty", "name \"dns\", \"wildcard\" or \"ip\"");
    let beyond = has(IdentifierKind::Wildcard) || settings.ancestor_domains;
    let reason = "has wildcards or ancestor domains, whose control is shown in the DNS alone";
    let fix = "add \"dns-01\" to the profile's challenges";
    found.require(!beyond || offers(&in_the_dns), key.as_str(), reason, fix);
    let reason = "has addresses, whose control is shown by http-01 or tls-alpn-01 alone";
    let shown = offers(&[ChallengeType::Http01, ChallengeType::TlsAlpn01]);
    found.require(
        !has(IdentifierKind::Ip) || shown,
        key,
        reason,
        "add one of them to the profile's challenges",
    );
    Allowed {
        names: has(IdentifierKind::Dns),
        wildcards: has(IdentifierKind::Wildcard),
        addresses: has(IdentifierKind::Ip),
        ancestors: settings.ancestor_domains,
        below,
    }
}

fn accounts(table: &str, settings: &ProfileConfig, found: &mut Findings) -> Accounts {
    let key = format!("{table}.account_ids");
    let mut ids = BTreeSet::new();
    for text in &settings.account_ids {
        match text.parse() {
            Ok(id) => drop(ids.insert(id)),
            Err(_) => {
                let fix = "give the last part of an account's URL";
                found.error(key.as_str(), format!("has {text:?}, which names no account"), fix);
            }
        }
    }
    let listed = settings.accounts == AccountKind::Listed;
    let fix = "set accounts = \"listed\" for a list, and leave the list out otherwise";
    found.require(listed != settings.account_ids.is_empty(), key, "does not go with accounts", fix);
    match settings.accounts {
        AccountKind::All => Accounts::All,
        AccountKind::Bound => Accounts::Bound,
        AccountKind::Listed => Accounts::Listed(ids),
    }
}

/// Settings that have to fit each other.
fn profile_agrees(table: &str, settings: &ProfileConfig, found: &mut Findings) {
    let key = |key: &str| format!("{table}.{key}");
    let some = "name at least one";
    found.require(!settings.challenges.is_empty(), key("challenges"), "is empty", some);
    found.require(!settings.key_types.is_empty(), key("key_types"), "is empty", some);
    if let Some(shortest) = settings.validity_min_s {
        found.between(key("validity_min_s"), shortest, 600..=settings.validity_s.max(600));
    }
    // BR 4.9.7 and 7.1.2.11.2: only short-lived certificates may say nothing of revocation.
    let short = settings.validity_s <= 7 * DAY_S;
    let reason = "is false for certificates of more than seven days: nobody could learn of a revocation";
    let fix = "set validity_s to 604800 (7 days) or less, or leave this out";
    found.require(settings.revocation_pointers || short, key("revocation_pointers"), reason, fix);
}

fn issuer(config: &Config, key: &str, name: &str, found: &mut Findings) {
    let issuers = &config.hierarchy.issuers;
    let known: Vec<&str> = issuers.keys().map(String::as_str).collect();
    if name.is_empty() {
        found.error(key, "is missing or empty", "name one of [hierarchy.issuers]");
    } else if !issuers.contains_key(name)
        && !issuers.is_empty()
        && found.is_sound(&dotted("hierarchy.issuers", name))
    {
        let reason = format!("is {name:?}, which is not in [hierarchy.issuers]");
        found.error(key, reason, format!("name one of these: {}", known.join(", ")));
    }
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
        let base = self.urls.publication.trim_end_matches('/');
        let plan = self.plan()?;
        let urls = |name: &IssuerName| IssuerUrls {
            ocsp: format!("{base}/ocsp"),
            issuer: format!("{base}/issuer/{name}.crt"),
            crl: format!("{base}/crl/{name}.crl"),
        };
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
