//! What CAs publish whose keys are offline, roots above all, and whether those below name it.

use ingam_protocol::finding::dotted;
use ingam_protocol::{Findings, Timestamp};
use ingam_responder::OfflineFiles;
use ingam_signer::Hierarchy;
use ingam_signer::hierarchy::PUBLISHED;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{Config, Environment};

/// Looks whether it can be given out, and whether something is missing that certificates of issuing CAs say is there.
pub(super) fn check(config: &Config, loaded: &Hierarchy, now: Timestamp, found: &mut Findings) {
    if config.environment == Environment::Production {
        public_issuers(config, loaded, found);
    }
    let issuers: Vec<_> = loaded.intermediates.iter().map(|issuer| issuer.name.clone()).collect();
    let files = match OfflineFiles::read(&config.state.join(PUBLISHED), &issuers) {
        Ok(files) => files,
        Err(error) => {
            let fix = "put it right: without that, nothing starts";
            return found.error(
                "state",
                format!("has in {PUBLISHED}/ what cannot be given out: {error}"),
                fix,
            );
        }
    };
    let lists = files.lists();
    for (name, list) in lists.iter().filter(|(_, list)| list.next_update < now) {
        let reason = format!("has {PUBLISHED}/{name}.crl, which ended at {}", list.next_update);
        found.warning("state", reason, "make the next one by a ceremony, put it there, and reload");
    }
    for issuer in &loaded.intermediates {
        let own = crl_urls(&issuer.certificate).into_iter().filter_map(|url| named_here(config, &url));
        for name in own.filter(|name| lists.iter().all(|(known, _)| known != name)) {
            let reason = format!(
                "has no {PUBLISHED}/{name}.crl, and the certificate of {} says that the CRL is there",
                issuer.name
            );
            found.warning("state", reason, "make one by a ceremony, put it there, and reload");
        }
    }
}

/// The name of the CA whose CRL a URL names, if that is one that this CA gives out.
fn named_here(config: &Config, url: &str) -> Option<String> {
    let base = config.urls.publication.trim_end_matches('/');
    let name = url.strip_prefix(base)?.strip_prefix("/crl/")?.strip_suffix(".crl")?;
    Some(name.to_owned())
}

/// What issues for the public web says in its own certificate where the CRL is that could list it (BR 7.1.2.11.2). One that was
/// made elsewhere, or by an earlier version, may lack that.
fn public_issuers(config: &Config, loaded: &Hierarchy, found: &mut Findings) {
    for (profile, settings) in config.profiles.iter().filter(|(_, settings)| settings.public) {
        let weights = settings.weights();
        let signs = |name: &str| weights.iter().any(|(issuer, weight)| *issuer == name && *weight > 0);
        for issuer in &loaded.intermediates {
            let name = issuer.name.as_str();
            if signs(name) && crl_urls(&issuer.certificate).is_empty() {
                found.error(
                    format!("{}.{}", dotted("profiles", profile), settings.issuers_key()),
                    format!("has {name} sign for the public, whose certificate names no CRL (BR 7.1.2.11.2)"),
                    "take one in whose ceremony set crl_url (docs/operations/ceremonies.md), or set public = false",
                );
            }
        }
    }
}

/// The URLs in a certificate's cRLDistributionPoints.
fn crl_urls(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let points = certificate.extensions().iter().filter_map(|one| match one.parsed_extension() {
        ParsedExtension::CRLDistributionPoints(points) => Some(&points.points),
        _ => None,
    });
    let names = points.flatten().filter_map(|point| match &point.distribution_point {
        Some(DistributionPointName::FullName(names)) => Some(names),
        _ => None,
    });
    let urls = names.flatten().filter_map(|name| match name {
        GeneralName::URI(url) => Some((*url).to_owned()),
        _ => None,
    });
    urls.collect()
}
