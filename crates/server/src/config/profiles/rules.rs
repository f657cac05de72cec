//! What is wrong with a profile, and what it becomes if nothing is.

use std::collections::BTreeSet;
use std::time::Duration;

use ingam_protocol::Findings;
use ingam_protocol::acme::ChallengeType;
use ingam_protocol::finding::{Level, dotted};
use ingam_protocol::identifier::Domain;
use ingam_protocol::key::KeyType;
use ingam_protocol::oid::Oid;
use ingam_protocol::profile::{
    Accounts, Allowed, Contents, IssuerName, Issuers, MustStaple, Profile, ProfileName, Purpose, Transparency,
};

use super::{AccountKind, IdentifierKind, ProfileConfig};
use crate::config::{Config, DAY_S};

/// The policies of the CA/Browser Forum, and anyPolicy.
const FORUM_POLICIES: &[u64] = &[2, 23, 140, 1];
const ANY_POLICY: &[u64] = &[2, 5, 29, 32, 0];

/// Holds one profile against the rules, and gives it if it keeps them all.
pub(in crate::config) fn checked(
    config: &Config,
    name: &str,
    settings: &ProfileConfig,
    found: &mut Findings,
) -> Option<Profile> {
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
    let issuers = issuers(config, &table, settings, found);
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
    keys(&table, settings, found);
    let contents = contents(&table, settings, found);
    transparency(config, &table, settings, found);
    let name = parsed.filter(|_| found.count(Level::Error) == before)?;
    Some(Profile {
        name,
        description: settings.description.clone(),
        issuers: issuers?,
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
        rsa_bits: settings.rsa_bits.clone(),
        accounts,
        contents,
        transparency: settings.transparency(config.environment),
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
    pointers(table, settings, found);
}

/// Where to learn of a revocation, and of the issuer.
fn pointers(table: &str, settings: &ProfileConfig, found: &mut Findings) {
    let key = |key: &str| format!("{table}.{key}");
    let (ocsp, crl) = (settings.has_ocsp_pointer(), settings.has_crl_pointer());
    // BR 4.9.7 and 7.1.2.11.2: only short-lived certificates may say nothing of revocation.
    let is_short = settings.validity_s <= 7 * DAY_S;
    let reason = match settings.revocation_pointers {
        false => "is false for certificates of more than seven days: nobody could learn of a revocation",
        true => {
            "is undone by ocsp_pointer and crl_pointer for certificates of more than seven days: nobody could learn of a \
                 revocation"
        }
    };
    let fix = "set validity_s to 604800 (7 days) or less, or let one of both pointers be";
    found.require(ocsp || crl || is_short, key("revocation_pointers"), reason, fix);
    found.require(
        ocsp || settings.must_staple == MustStaple::Never,
        key("must_staple"),
        "wants OCSP answers stapled, and certificates do not say where there are any (RFC 7633)",
        "set ocsp_pointer = true, or must_staple = \"never\"",
    );
    found.require(
        ocsp || settings.issuer_pointer || !settings.public,
        key("issuer_pointer"),
        "is false, and so is the pointer to OCSP: certificates for the public need one of both in authorityInformationAccess \
         (BR 7.1.2.7.6)",
        "set it to true, or ocsp_pointer = true; or set public = false for a private CA",
    );
}

/// Kinds and sizes of keys.
fn keys(table: &str, settings: &ProfileConfig, found: &mut Findings) {
    let key = format!("{table}.key_types");
    for kind in &settings.key_types {
        let (reason, fix) = if settings.public && !kind.is_public() {
            (
                "which certificates for the public may not have (BR 6.1.5)",
                "set public = false for a private CA",
            )
        } else if !kind.is_available() {
            ("which this build does not have", "build with `--features aws-lc-rs`")
        } else {
            continue;
        };
        let name = kind.name();
        found.error(key.as_str(), format!("has \"{name}\", {reason}"), format!("take it out, or {fix}"));
    }
    let key = format!("{table}.rsa_bits");
    let with_rsa = settings.key_types.contains(&KeyType::Rsa);
    let reason = "is empty, and key_types has \"rsa\"";
    let fix = "name at least one, as in [2048, 3072, 4096], or take \"rsa\" out of key_types";
    found.require(!with_rsa || !settings.rsa_bits.is_empty(), key.as_str(), reason, fix);
    // BR 6.1.5; above that, a key costs more than it is worth.
    let is_bad = |bits: &&u16| !(2048..=4096).contains(*bits) || !bits.is_multiple_of(8);
    if let Some(bits) = settings.rsa_bits.iter().find(is_bad) {
        let reason =
            format!("has {bits}: RSA keys have 2048 to 4096 bits, a number that 8 divides (BR 6.1.5)");
        found.error(key, reason, "use 2048, 3072 and 4096");
    }
}

/// What certificates say beside names, dates and key.
fn contents(table: &str, settings: &ProfileConfig, found: &mut Findings) -> Contents {
    Contents {
        key_encipherment: settings.key_encipherment.unwrap_or(!settings.public),
        purposes: purposes(&format!("{table}.extended_key_usages"), settings, found),
        policies: policies(&format!("{table}.policies"), settings, found),
        common_name: settings.common_name,
        ocsp_pointer: settings.has_ocsp_pointer(),
        crl_pointer: settings.has_crl_pointer(),
        issuer_pointer: settings.issuer_pointer,
        subject_key_identifier: settings.subject_key_identifier.unwrap_or(!settings.public),
        must_staple: settings.must_staple,
    }
}

fn purposes(key: &str, settings: &ProfileConfig, found: &mut Findings) -> Vec<Purpose> {
    let fix = "use \"server-auth\" and \"client-auth\"; private profiles may name others in dotted text";
    let mut purposes = Vec::new();
    for text in &settings.extended_key_usages {
        match text.parse::<Purpose>() {
            Ok(purpose) if purposes.contains(&purpose) => {
                found.error(key, format!("has {purpose} twice"), "name each once");
            }
            Ok(purpose) => purposes.push(purpose),
            Err(bad) => found.error(key, format!("has {text:?}: {bad}"), fix),
        }
    }
    let is_some = !settings.extended_key_usages.is_empty();
    let reason = "is empty: keys would be for everything (RFC 5280, section 4.2.1.12)";
    found.require(is_some, key, reason, fix);
    if settings.public {
        let private = "; or set public = false for a private CA";
        let has_server = purposes.contains(&Purpose::ServerAuth);
        let reason = "has no \"server-auth\", which certificates for the public need (BR 7.1.2.7.10)";
        found.require(has_server || !is_some, key, reason, format!("add it{private}"));
        if let Some(other) = purposes.iter().find(|purpose| matches!(purpose, Purpose::Other(_))) {
            let reason = format!("has {other}, which is not for the public (BR 7.1.2.7.10)");
            found.error(key, reason, format!("take it out{private}"));
        }
    }
    purposes
}

fn policies(key: &str, settings: &ProfileConfig, found: &mut Findings) -> Vec<Oid> {
    let mut policies = Vec::new();
    for text in &settings.policies {
        let oid = match text.parse::<Oid>() {
            Ok(oid) => oid,
            Err(bad) => {
                found.error(key, format!("has {text:?}: {bad}"), "give object identifiers in dotted text");
                continue;
            }
        };
        if policies.contains(&oid) {
            found.error(key, format!("has {oid} twice"), "name each once (RFC 5280, section 4.2.1.4)");
        } else if oid.is_below(FORUM_POLICIES) {
            let reason = format!(
                "has {oid}, a policy of the CA/Browser Forum: certificates have 2.23.140.1.2.1 by public = true, and no other \
                 (BR 7.1.2.7.9)"
            );
            found.error(key, reason, "take it out");
        } else if oid.arcs() == ANY_POLICY && settings.public {
            let reason = "has anyPolicy, which no certificate for the public may have (BR 7.1.2.7.9)";
            found.error(key, reason, "take it out, or set public = false for a private CA");
        } else {
            policies.push(oid);
        }
    }
    found.require(policies.len() <= 16, key, "has more than 16 policies", "name fewer");
    policies
}

/// Whether what is asked of public logs can be had.
fn transparency(config: &Config, table: &str, settings: &ProfileConfig, found: &mut Findings) {
    let asks = settings.transparency(config.environment) == Transparency::Required;
    // An environment that cannot be read counts as production, and asks for nothing.
    if !asks || (settings.transparency.is_none() && !found.is_sound("environment")) {
        return;
    }
    let of_all =
        if settings.transparency.is_none() { ", as in every public profile of production" } else { "" };
    let has_logs = config.transparency.log_list.is_some() || !config.listen.ct_log.is_empty();
    found.require(
        has_logs || !found.is_whole("transparency") || !found.is_whole("listen"),
        format!("{table}.transparency"),
        format!("is \"required\"{of_all}, and there are no logs to ask"),
        "name a list of logs in transparency.log_list, as docs/operations/transparency.md says; or set public = false for a \
         private CA",
    );
    let (lease_ms, total_ms) =
        (config.issuance.lease_s.saturating_mul(1000), config.transparency.total_timeout_ms);
    found.require(
        lease_ms > total_ms || !found.is_whole("issuance.lease_s"),
        "issuance.lease_s",
        format!("is over before logs have had their {total_ms} ms (transparency.total_timeout_ms)"),
        "set it to a minute, or to more seconds than logs have",
    );
}

/// Who signs: one, or several with weights.
fn issuers(config: &Config, table: &str, settings: &ProfileConfig, found: &mut Findings) -> Option<Issuers> {
    let key = format!("{table}.{}", settings.issuers_key());
    if settings.issuers.is_empty() {
        issuer(config, &key, &settings.issuer, found);
    } else {
        let fix = "give one of both: issuer = \"\" undoes one that a file below this one sets";
        found.require(settings.issuer.is_empty(), key.as_str(), "is there beside issuer", fix);
        for (name, weight) in &settings.issuers {
            issuer(config, &key, name, found);
            found.between(dotted(&key, name), *weight, 0..=1000);
        }
        let some = settings.issuers.values().any(|weight| *weight > 0);
        let reason = "has weights of 0 alone: nobody signs";
        found.require(some, key.as_str(), reason, "give one of them a weight of 1 or more");
    }
    if settings.public {
        settings.weights().into_keys().for_each(|name| known_to_the_web(config, &key, name, found));
    }
    let names = settings.weights().into_iter().map(|(name, weight)| Some((issuer_name(name)?, weight)));
    Issuers::weighted(names.collect::<Option<_>>()?)
}

/// What signs for the public web is a key that the public web knows.
fn known_to_the_web(config: &Config, key: &str, issuer: &str, found: &mut Findings) {
    let Some(kind) = config.hierarchy.issuers.get(issuer) else { return };
    let reason = format!(
        "names {issuer:?}, whose key is of the kind \"{}\", which no client of the public web takes (BR 6.1.5)",
        kind.name()
    );
    found.require(kind.is_public(), key, reason, "name another issuer, or set public = false");
}

fn issuer_name(text: &str) -> Option<IssuerName> {
    IssuerName::try_from(text.to_owned()).ok()
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

#[cfg(test)]
mod tests;
