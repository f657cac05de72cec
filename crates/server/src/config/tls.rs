//! Rules about the certificate that the CA issues to itself (docs/decisions/0010).

use ingam_protocol::Findings;
use ingam_protocol::finding::dotted;
use ingam_protocol::identifier::{BadName, Identifier};

use super::{Config, host};

/// What stops a start.
pub(super) fn check(config: &Config, found: &mut Findings) {
    let Some(issue) = &config.tls.issue else { return };
    for (key, file) in [("tls.certificate", &config.tls.certificate), ("tls.key", &config.tls.key)] {
        found.require(
            file.is_none(),
            key,
            "is set beside tls.issue: the certificate comes from files or from the CA, not from both",
            "remove one of the two",
        );
    }
    match config.profiles.get(&issue.profile) {
        None => found.error(
            "tls.issue.profile",
            format!("is {:?}, and there is no [{}]", issue.profile, dotted("profiles", &issue.profile)),
            "name one of the profiles",
        ),
        Some(profile) => found.require(
            !profile.public,
            "tls.issue.profile",
            format!(
                "is {:?}, which is public: the CA shows no control of its names to itself, as the Baseline Requirements \
                 want it",
                issue.profile
            ),
            "name a profile with public = false, or have the certificate from elsewhere",
        ),
    }
    for name in &issue.names {
        if let Err(bad) = own_name(name) {
            found.error(
                "tls.issue.names",
                format!("has {name:?}: {bad}"),
                "give whole DNS names, or addresses",
            );
        }
    }
    if found.is_sound("urls.public_url")
        && let Some(host) = host(&config.urls.public_url)
        && let Err(bad) = own_name(&host)
    {
        let reason = format!("has the host {host}, which tls.issue cannot name in a certificate: {bad}");
        found.error(
            "urls.public_url",
            reason,
            "give the CA a whole DNS name, or have the certificate from elsewhere",
        );
    }
}

impl Config {
    /// The names of the certificate that the CA issues to itself: the host of `urls.public_url`, and `tls.issue.names`;
    /// sorted, each once.
    pub(crate) fn own_names(&self) -> Vec<Identifier> {
        let more = self.tls.issue.iter().flat_map(|issue| issue.names.iter().cloned());
        let names = host(&self.urls.public_url).into_iter().chain(more);
        let names: std::collections::BTreeSet<Identifier> =
            names.filter_map(|name| own_name(&name).ok()).collect();
        names.into_iter().collect()
    }
}

/// A DNS name or an address. What is wrong is told of it as a name.
fn own_name(text: &str) -> Result<Identifier, BadName> {
    Identifier::parse_dns(text).or_else(|bad| Identifier::parse_ip(text).map_err(|_| bad))
}
