//! Certificates and keys: of the https listeners, of a perspective, and of a CA towards its perspectives.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::{Finding, Findings, Timestamp};
use ingam_validation::config::CorroborationConfig;
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};

use super::Dates;
use crate::config::{Config, Perspective, Tls, host};
use crate::production;

/// A certificate with less than this left should have been renewed.
const NOTICE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The certificate of the https listeners.
pub(super) fn check(config: &Config, now: Timestamp, found: &mut Findings) {
    // Where nothing is served over https, or the CA issues the certificate itself, no file is read.
    if !config.listen.has_https() || config.tls.issue.is_some() {
        return;
    }
    let chain = production::chain(config);
    let key = production::key(config);
    let is_known = config.listen.is_asked_by_url() && found.is_sound("urls.public_url");
    let host = host(&config.urls.public_url).filter(|_| is_known);
    let files = Files { keys: ["tls.certificate", "tls.key"], key_path: config.tls.key.as_deref() };
    files.check(chain, key, host.as_deref(), now, found);
}

/// What a responder apart from the CA shows to those who ask over https.
pub(super) fn check_responder(config: &Config, now: Timestamp, found: &mut Findings) {
    if !config.listen.publication_tls.is_empty() {
        let Tls { certificate, key, .. } = &config.tls;
        pair(["tls.certificate", "tls.key"], certificate.as_deref(), key.as_deref(), now, found);
    }
}

/// What a perspective shows to coordinators, and whom it lets in.
pub(super) fn check_perspective(config: &Config, now: Timestamp, found: &mut Findings) {
    let Perspective { certificate, key, client_ca, .. } = &config.perspective;
    let keys = ["perspective.certificate", "perspective.key"];
    pair(keys, certificate.as_deref(), key.as_deref(), now, found);
    roots("perspective.client_ca", client_ca.as_deref(), now, found);
}

/// What a CA shows to its remote perspectives, and whom it believes to be one.
pub(super) fn check_coordinator(config: &Config, now: Timestamp, found: &mut Findings) {
    let validation = &config.validation;
    if validation.remotes.is_empty() {
        return;
    }
    let CorroborationConfig { certificate, key, server_ca, .. } = &validation.corroboration;
    let keys = ["validation.corroboration.certificate", "validation.corroboration.key"];
    pair(keys, certificate.as_deref(), key.as_deref(), now, found);
    roots("validation.corroboration.server_ca", server_ca.as_deref(), now, found);
}

/// Files that are named; missing names were told.
fn pair(
    keys: [&'static str; 2],
    certificate: Option<&Path>,
    key: Option<&Path>,
    now: Timestamp,
    found: &mut Findings,
) {
    let [certificate_name, key_name] = keys;
    if let (Some(certificate), Some(key)) = (certificate, key) {
        let (chain, pkcs8) =
            (production::chain_of(certificate_name, certificate), production::key_of(key_name, key));
        Files { keys, key_path: Some(key) }.check(chain, pkcs8, None, now, found);
    }
}

/// Certificates of CAs, all of which should still hold.
fn roots(key: &str, path: Option<&Path>, now: Timestamp, found: &mut Findings) {
    let Some(path) = path else { return };
    match production::chain_of(key, path) {
        Err(finding) => found.push(finding),
        Ok(roots) => {
            for root in roots {
                match Dates::of(&root) {
                    None => found.error(key, "has what is no certificate", "give PEM certificates alone"),
                    Some(dates) if dates.not_after < now => {
                        let fix = "take it out, once its successor is there";
                        found.warning(key, format!("has a CA that ended at {}", dates.not_after), fix);
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// A certificate with its key, by the names that the configuration has for them.
struct Files<'a> {
    /// Of the certificate and of the key.
    keys: [&'static str; 2],
    key_path: Option<&'a Path>,
}

impl Files<'_> {
    fn check(
        &self,
        chain: Result<Vec<Vec<u8>>, Finding>,
        key: Result<Vec<u8>, Finding>,
        host: Option<&str>,
        now: Timestamp,
        found: &mut Findings,
    ) {
        let mut take = |finding| found.push(finding);
        let (chain, key) = (chain.map_err(&mut take).ok(), key.map_err(&mut take).ok());
        let leaf = chain.as_ref().and_then(|chain| chain.first());
        let is_readable = leaf.is_some_and(|leaf| self.certificate(leaf, host, now, found));
        if let (Some(chain), Some(key), true) = (chain, key, is_readable) {
            self.belong_together(chain, key, found);
        }
        self.key_file(found);
    }

    /// Whether it is one at all.
    fn certificate(&self, leaf: &[u8], host: Option<&str>, now: Timestamp, found: &mut Findings) -> bool {
        let [key, _] = self.keys;
        let der = CertificateDer::from(leaf);
        let (Some(dates), Ok(parsed)) = (Dates::of(leaf), ParsedCertificate::try_from(&der)) else {
            let fix = "put the certificate itself first";
            found.error(key, "does not begin with a certificate that can be read", fix);
            return false;
        };
        let Dates { not_before, not_after } = dates;
        if not_after < now {
            found.error(key, format!("ended at {not_after}"), "renew it");
        } else if now < not_before {
            let fix = "set this machine's clock, or wait";
            found.error(key, format!("begins at {not_before}, and it is {now}"), fix);
        } else if not_after < now.plus(NOTICE) {
            found.warning(key, format!("ends at {not_after}"), "renew it");
        }
        if let Some(host) = host {
            let covers =
                ServerName::try_from(host).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
            let fix = format!("get one with {host} among its subjectAltNames");
            let reason = format!("is not for {host}, the host of urls.public_url: no client goes on");
            found.require(covers, key, reason, fix);
        }
        true
    }

    fn belong_together(&self, chain: Vec<Vec<u8>>, key: Vec<u8>, found: &mut Findings) {
        let [certificate_name, key_name] = self.keys;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
        match CertifiedKey::from_der(chain, key, &provider) {
            Ok(_) => {}
            Err(rustls::Error::InconsistentKeys(_)) => found.error(
                key_name,
                format!("does not belong to the first certificate in {certificate_name}"),
                "give the key with which that certificate was asked for, and put that certificate first",
            ),
            Err(error) => {
                let fix = "give a key on P-256, P-384 or Ed25519, or an RSA key of 2048 bits or more";
                found.error(key_name, format!("cannot be used: {error}"), fix);
            }
        }
    }

    fn key_file(&self, found: &mut Findings) {
        let ([_, key], Some(path)) = (self.keys, self.key_path) else { return };
        // A file that is not there was told.
        let Ok(metadata) = path.metadata() else { return };
        if metadata.permissions().mode() & 0o007 != 0 {
            found.warning(
                key,
                format!("is {}, which every user of this machine can reach", path.display()),
                format!("chmod o= {}", path.display()),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_rfc3339("2026-11-28T00:00:00Z").unwrap()
    }

    /// A certificate for acme.ca.example that ends a hundred days from now, its key, and a configuration that names them.
    fn made(folder: &Path) -> Config {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["acme.ca.example".to_owned()]).unwrap();
        params.not_before = now().to_date_time();
        params.not_after = now().plus(Duration::from_secs(100 * 24 * 60 * 60)).to_date_time();
        let (certificate, key_file) = (folder.join("tls.pem"), folder.join("tls.key"));
        fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o640)).unwrap();
        let mut config = Config::default();
        config.urls.public_url = "https://acme.ca.example:14000".to_owned();
        config.tls.certificate = Some(certificate);
        config.tls.key = Some(key_file);
        config
    }

    fn found(config: &Config, days: u64) -> Vec<String> {
        let mut found = Findings::new();
        check(config, now().plus(Duration::from_secs(days * 24 * 60 * 60)), &mut found);
        found.into_iter().map(|finding| format!("{:.1} {finding}", format!("{:?}", finding.level))).collect()
    }

    #[track_caller]
    fn is_told(found: &[String], expected: &[&str]) {
        let is_all = found.len() == expected.len()
            && found.iter().zip(expected).all(|(finding, begun)| finding.starts_with(begun));
        assert!(is_all, "{found:?} begin with {expected:?}");
    }

    #[test]
    fn a_certificate_has_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let config = made(folder.path());
        is_told(&found(&config, 0), &[]);
        is_told(&found(&config, 86), &[]);
        is_told(&found(&config, 87), &["W tls.certificate: ends at 2027-03-08"]);
        is_told(&found(&config, 101), &["E tls.certificate: ended at 2027-03-08"]);
        let mut early = Findings::new();
        check(&config, now().minus(Duration::from_secs(1)), &mut early);
        assert!(early.into_result().unwrap_err().reason.starts_with("begins at"));
    }

    #[test]
    fn it_is_for_the_host_that_clients_ask_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = made(folder.path());
        for other in ["https://other.example", "https://[::1]:14000", "https://192.0.2.1"] {
            config.urls.public_url = other.to_owned();
            is_told(&found(&config, 0), &["E tls.certificate: is not for "]);
        }
        // Nothing follows from what is wrong by itself.
        config.urls.public_url = "acme.ca.example".to_owned();
        is_told(&found(&config, 0), &[]);
    }

    #[test]
    fn what_cannot_be_used_is_told_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = made(folder.path());
        let other = tempfile::tempdir().unwrap();
        let others = made(other.path());
        config.tls.key.clone_from(&others.tls.key);
        is_told(&found(&config, 0), &["E tls.key: does not belong"]);
        // A certificate where the key should be, and the other way round.
        std::mem::swap(&mut config.tls.key, &mut config.tls.certificate);
        is_told(&found(&config, 0), &["E tls.certificate: is", "E tls.key: is"]);
        config.tls.key = Some(folder.path().join("missing"));
        config.tls.certificate = None;
        is_told(&found(&config, 0), &["E tls.certificate: is missing", "E tls.key: is"]);
        let config = made(folder.path());
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(config.tls.certificate.as_ref().unwrap(), garbage).unwrap();
        is_told(&found(&config, 0), &["E tls.certificate: does not begin"]);
        let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let config = made(folder.path());
        fs::write(config.tls.key.as_ref().unwrap(), garbage).unwrap();
        is_told(&found(&config, 0), &["E tls.key: cannot be used"]);
    }

    #[test]
    fn no_file_is_asked_for_where_none_is_read() {
        let mut config = Config::default();
        config.urls.public_url = "https://acme.ca.example".to_owned();
        is_told(&found(&config, 0), &["E tls.certificate: is missing", "E tls.key: is missing"]);
        config.tls.issue = Some(crate::config::Issue::default());
        is_told(&found(&config, 0), &[]);
        config.tls.issue = None;
        config.listen.acme.clear();
        is_told(&found(&config, 0), &[]);
        config.listen.publication_tls = vec![([127, 0, 0, 1], 0).into()];
        is_told(&found(&config, 0), &["E tls.certificate: is missing", "E tls.key: is missing"]);
    }

    #[test]
    fn whoever_asks_for_a_status_knows_the_ca_by_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = made(folder.path());
        config.listen.acme.clear();
        config.listen.publication_tls = vec![([127, 0, 0, 1], 0).into()];
        config.urls.public_url = "https://other.example".to_owned();
        is_told(&found(&config, 0), &[]);
        is_told(&found(&config, 101), &["E tls.certificate: ended at 2027-03-08"]);
        let mut responders = Findings::new();
        check_responder(&config, now().plus(Duration::from_secs(101 * 24 * 60 * 60)), &mut responders);
        assert!(responders.into_result().unwrap_err().reason.starts_with("ended at"));
        let mut responders = Findings::new();
        config.tls.key = config.tls.certificate.clone();
        check_responder(&config, now(), &mut responders);
        assert_eq!(responders.into_result().unwrap_err().key, "tls.key");
    }

    #[test]
    fn a_key_is_not_for_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let config = made(folder.path());
        let path = config.tls.key.as_ref().unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        is_told(&found(&config, 0), &["W tls.key: is"]);
    }
}
