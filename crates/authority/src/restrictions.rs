//! Which identifiers get certificates, whatever profile is asked for and however control is shown.
//!
//! What the configuration refuses, no operator's rule allows, but for the names of the CA itself.

use std::sync::Arc;

use ingam_protocol::identifier::{DnsName, Domain, Identifier, SPECIAL_USE_NAMES};
use ingam_protocol::name_list::NameList;
use ingam_protocol::profile::Profile;
use ingam_store::NameVerdict;
use ingam_validation::Addresses;

use crate::Authority;
use crate::error::Error;
use crate::policy::Policy;

/// What the configuration says about it. The default admits every name and every public address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    /// Domains that are never in a certificate, nor is any name below them.
    pub refused: Vec<Domain>,
    /// Whether names are held to the rules of the public web: none of special use (RFC 6761), but for private profiles
    /// those under `special_use_allowed`; for public ones no public suffixes.
    pub public_rules: bool,
    /// Names of special use under which private profiles have certificates.
    pub special_use_allowed: Vec<Domain>,
    /// Names of the CA itself, which an operator's rule or the list of `allowed` names can let through.
    pub own: Vec<DnsName>,
    /// With this, nothing else gets a certificate.
    pub allowed: Option<Arc<NameList>>,
    /// What gets none.
    pub blocked: Arc<NameList>,
    /// Which addresses can be in a certificate: those that validations may connect to.
    pub addresses: Addresses,
}

impl Authority {
    /// Why no certificate of a profile may be issued for an identifier, by the configuration and by operators' rules as of
    /// now. The words go to the client.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub(crate) fn identifier_refused(
        &self,
        identifier: &Identifier,
        profile: &Profile,
    ) -> Result<Option<String>, Error> {
        let policy = self.policy();
        match configured(&policy, profile, identifier) {
            Some(why) => Ok(Some(why)),
            None => match identifier.name() {
                Some(name) => self.rules_refuse(&policy.restrictions, identifier, name),
                None => Ok(None),
            },
        }
    }

    /// Why control of a domain cannot be shown for the names in it (RFC 9444), if it cannot: nobody speaks for all domains
    /// under a public suffix.
    pub(crate) fn ancestor_refused(&self, ancestor: &DnsName, profile: &Profile) -> Option<String> {
        let policy = self.policy();
        let is_refused = policy.restrictions.public_rules
            && profile.is_public
            && policy.public_suffixes.is_icann_suffix(ancestor);
        let why =
            "\"ancestorDomain\" is a public suffix, under which anybody can register: name a domain below it";
        is_refused.then(|| why.to_owned())
    }

    /// The part of operators' rules.
    fn rules_refuse(
        &self,
        restrictions: &Restrictions,
        identifier: &Identifier,
        name: &DnsName,
    ) -> Result<Option<String>, Error> {
        let rule = self.store.name_rule_for(identifier)?;
        if let Some(rule) = rule.as_ref().filter(|rule| rule.verdict == NameVerdict::Block) {
            let reach = if rule.exact { "" } else { " and names below it" };
            return Ok(Some(format!("this CA issues no certificates for {}{reach}", rule.name)));
        }
        if identifier.is_wildcard()
            && let Some(rule) = self.store.name_rule_under_wildcard(name)?
        {
            return Ok(Some(format!(
                "the wildcard would cover {}, for which this CA issues no certificates",
                rule.name
            )));
        }
        let is_listed = restrictions.allowed.as_ref().is_some_and(|list| list.has_all(identifier));
        if rule.is_some() || is_listed {
            return Ok(None);
        }
        Ok(own(restrictions, identifier).map(|own| match identifier.is_wildcard() {
            true => format!("the wildcard would cover {own}, a name of this CA itself"),
            false => format!("{own} is a name of this CA itself"),
        }))
    }
}

/// The name of the CA itself that an identifier stands for.
fn own<'a>(restrictions: &'a Restrictions, identifier: &Identifier) -> Option<&'a DnsName> {
    let is_meant = |own: &&DnsName| match identifier {
        Identifier::Dns(name) => name == *own,
        Identifier::Wildcard(base) => {
            own.as_str().split_once('.').is_some_and(|(_, above)| above == base.as_str())
        }
        Identifier::Ip(_) => false,
    };
    restrictions.own.iter().find(is_meant)
}

/// The part of the configuration.
fn configured(policy: &Policy, profile: &Profile, identifier: &Identifier) -> Option<String> {
    let restrictions = &policy.restrictions;
    if restrictions.allowed.as_ref().is_some_and(|list| !list.has_all(identifier)) {
        return Some("this CA issues certificates for the names on its list alone".to_owned());
    }
    if restrictions.blocked.has_any(identifier) {
        return Some(match identifier.is_wildcard() && !restrictions.blocked.has_all(identifier) {
            true => "the wildcard would cover a name that this CA issues no certificates for".to_owned(),
            false => format!("this CA issues no certificates for {identifier}"),
        });
    }
    match identifier {
        Identifier::Ip(address) => {
            let forbidden = restrictions.addresses.check(*address).err()?;
            Some(format!("this CA issues no certificates for {address}, as {forbidden}"))
        }
        Identifier::Dns(name) | Identifier::Wildcard(name) => {
            name_configured(policy, profile, identifier, name)
        }
    }
}

fn name_configured(
    policy: &Policy,
    profile: &Profile,
    identifier: &Identifier,
    name: &DnsName,
) -> Option<String> {
    let restrictions = &policy.restrictions;
    if let Some(domain) = restrictions.refused.iter().find(|domain| domain.covers(name)) {
        return Some(format!("this CA issues no certificates for {domain} and names below it"));
    }
    if !restrictions.public_rules {
        return None;
    }
    let is_allowed = restrictions.special_use_allowed.iter().any(|domain| domain.covers(name));
    let special = SPECIAL_USE_NAMES.iter().find(|domain| is_under(name, domain));
    if let Some(domain) = special.filter(|_| profile.is_public || !is_allowed) {
        return Some(format!(
            "names under {domain} are of special use, and nobody can show control of them on the Internet: ask for a \
             name of a registered domain"
        ));
    }
    if profile.is_public && policy.public_suffixes.is_icann_suffix(name) {
        return Some(match identifier.is_wildcard() {
            true => format!("the wildcard would cover every domain that is registered under {name}"),
            false => format!(
                "{name} is a public suffix, under which anybody can register: ask for a name below it"
            ),
        });
    }
    None
}

fn is_under(name: &DnsName, domain: &str) -> bool {
    name.as_str().strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ingam_protocol::crl::ShardCounts;
    use ingam_protocol::profile::ProfileName;
    use ingam_protocol::public_suffix::PublicSuffixes;
    use ingam_validation::AddressPolicy;

    use super::*;
    use crate::limits::RateLimits;
    use crate::policy::{Catalog, RenewalPolicy};
    use crate::public::PublicRules;

    fn policy(restrictions: Restrictions) -> Policy {
        let name = ProfileName::try_from("classic".to_owned()).unwrap();
        let profile = Profile::usual(name.clone(), "ecdsa".to_owned().try_into().unwrap());
        Policy {
            catalog: Catalog::new(vec![profile], &name).unwrap(),
            account_url_prefix: String::new(),
            terms_of_service: None,
            terms_since: None,
            external_account_required: false,
            renewal: RenewalPolicy::default(),
            rate_limits: RateLimits::default(),
            crl_shards: ShardCounts::default(),
            account_hash_prefix: String::new(),
            restrictions,
            public_rules: PublicRules::default(),
            finalize_wait: Duration::ZERO,
            lease: Duration::ZERO,
            checks_max: 1,
            checks_waiting_max: 0,
            contacts_max: 0,
            public_suffixes: PublicSuffixes::built_in(),
            weak_keys: Arc::default(),
            linters: crate::linter::Linters::default(),
        }
    }

    fn why(restrictions: &Restrictions, address: &str) -> Option<String> {
        let policy = policy(restrictions.clone());
        configured(&policy, policy.catalog.default_profile(), &Identifier::parse_ip(address).unwrap())
    }

    #[test]
    fn addresses_are_those_that_validations_may_connect_to() {
        let public = Restrictions::default();
        for (address, words) in [
            ("127.0.0.1", "loopback"),
            ("10.1.2.3", "private (RFC 1918)"),
            ("192.0.2.1", "documentation"),
            ("fe80::1", "link-local"),
            ("fd00::1", "unique local"),
        ] {
            let told = why(&public, address).unwrap();
            assert!(
                told.starts_with("this CA issues no certificates for ") && told.contains(words),
                "{told}"
            );
        }
        assert_eq!(why(&public, "1.1.1.1"), None);
        assert_eq!(why(&public, "2606:4700::1111"), None);
        let private = Restrictions {
            addresses: Addresses::new(AddressPolicy::AllowPrivate, Vec::new()),
            ..Restrictions::default()
        };
        assert_eq!(why(&private, "10.1.2.3"), None);
        assert!(why(&private, "169.254.1.1").is_some());
    }

    #[test]
    fn lists_hold_for_addresses_too() {
        let list = |text| Arc::new(NameList::parse(text).unwrap());
        let listed =
            Restrictions { allowed: Some(list("1.1.1.1\n*.example.org")), ..Restrictions::default() };
        assert_eq!(why(&listed, "1.1.1.1"), None);
        assert!(why(&listed, "1.0.0.1").unwrap().contains("on its list alone"));
        let blocked = Restrictions { blocked: list("1.1.1.1"), ..Restrictions::default() };
        assert!(why(&blocked, "1.1.1.1").is_some());
        assert_eq!(why(&blocked, "1.0.0.1"), None);
    }
}
