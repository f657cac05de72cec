//! What the configuration says about names, as the authority goes by it. Files are read here, anew at each reload.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use ingam_authority::Restrictions;
use ingam_protocol::Findings;
use ingam_protocol::identifier::{DnsName, Domain, SPECIAL_USE_NAMES};
use ingam_protocol::name_list::NameList;

use super::{Config, ConfigError, Environment, host};

impl Config {
    /// Which identifiers get certificates at all. Reads the operator's file of blocked names, if there is one.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read or is no list, or for what [`check`] would have found.
    pub(crate) fn restrictions(&self) -> Result<Restrictions, ConfigError> {
        let issuance = &self.issuance;
        let public_rules = issuance.public_rules.unwrap_or(self.environment != Environment::Development);
        let allowed = (!issuance.names_allowed.is_empty()).then(|| allow_list(self)).transpose()?;
        Ok(Restrictions {
            refused: domains(&issuance.names_refused)?,
            public_rules,
            special_use_allowed: domains(&issuance.special_use_allowed)?,
            own: if public_rules { own_names(self) } else { Vec::new() },
            allowed: allowed.map(Arc::new),
            blocked: Arc::new(blocked(self)?),
            addresses: self.validation.connectable(),
        })
    }
}

fn domains(texts: &[String]) -> Result<Vec<Domain>, ConfigError> {
    let parsed = texts.iter().map(|text| {
        Domain::parse(text).map_err(|bad| ConfigError::new(format!("issuance has the name {text:?}: {bad}")))
    });
    parsed.collect()
}

/// The hosts of the CA's URLs, and the names that it has in CAA records. A host without a dot is no name of a certificate.
fn own_names(config: &Config) -> Vec<DnsName> {
    let hosts = [&config.urls.public_url, &config.urls.publication].into_iter().filter_map(|url| host(url));
    let names = hosts.chain(config.validation.caa_issuer_domains.iter().cloned());
    let mut own: Vec<DnsName> = names.filter_map(|name| DnsName::parse(&name).ok()).collect();
    own.sort();
    own.dedup();
    own
}

fn allow_list(config: &Config) -> Result<NameList, ConfigError> {
    let mut list = NameList::default();
    for entry in &config.issuance.names_allowed {
        list.insert(entry)
            .map_err(|bad| ConfigError::new(format!("issuance.names_allowed has {entry:?}: {bad}")))?;
    }
    Ok(list)
}

fn blocked(config: &Config) -> Result<NameList, ConfigError> {
    let Some(path) = &config.issuance.names_blocked_file else { return Ok(NameList::default()) };
    let failed = |why: &dyn fmt::Display| {
        ConfigError::new(format!(
            "issuance.names_blocked_file is {}, which cannot be used: {why}; give a file with a name, *.domain or address in \
             each line, and comments behind #",
            path.display()
        ))
    };
    let text = text_of(path, NameList::BYTES_MAX).map_err(|error| failed(&error))?;
    NameList::parse(&text).map_err(|error| failed(&error))
}

/// A file's text, unless it has more bytes than that.
fn text_of(path: &Path, bytes_max: u64) -> std::io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read <= bytes_max) {
        return Ok(text);
    }
    Err(std::io::Error::other(format!("it has more than {bytes_max} bytes")))
}

/// The rules about names.
pub(super) fn check(config: &Config, found: &mut Findings) {
    let issuance = &config.issuance;
    for name in &issuance.names_refused {
        if let Err(bad) = Domain::parse(name) {
            let fix = "give names without \"*\": names below them are included";
            found.error("issuance.names_refused", format!("has {name:?}: {bad}"), fix);
        }
    }
    for entry in &issuance.names_allowed {
        if let Err(bad) = NameList::default().insert(entry) {
            let fix = "give names, domains with all names below them (\"*.example.org\"), or addresses";
            found.error("issuance.names_allowed", format!("has {entry:?}: {bad}"), fix);
        }
    }
    let key = "issuance.special_use_allowed";
    for name in issuance.special_use_allowed.iter().filter(|name| !SPECIAL_USE_NAMES.contains(&name.as_str()))
    {
        let fix = format!("name some of these: {}", SPECIAL_USE_NAMES.join(", "));
        found.error(key, format!("has {name:?}, which is no name of special use"), fix);
    }
    found.require(
        issuance.public_rules.unwrap_or(true)
            || config.environment == Environment::Development
            || found.is_silent("environment"),
        "issuance.public_rules",
        "is false, which is for environment = \"development\" alone",
        "leave it out; list what private profiles need in special_use_allowed",
    );
}

#[cfg(test)]
mod tests;
