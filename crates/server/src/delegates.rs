//! Responders apart from the CA that may sign answers (`responder.delegates`): which keys those are, and which of their certificates count.
//!
//! ```text
//! files ──▶ keys: on P-256, not weak, no CA's, not blocked ──▶ signer: a certificate of each issuer, renewed
//!                                                               └──▶ those whose keys are listed and not blocked ──▶ the manifest
//! ```
//!
//! A key that is blocked later (`ingam admin key block`), or taken out of the file that is read again, has none in the next manifest.

use std::sync::{Arc, PoisonError, RwLock};

use ingam_authority::Authority;
use ingam_protocol::key::PublicKey;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Finding, Timestamp, pem};
use ingam_signer::{DelegateCertificate, DelegateKey, Issuer, Signer};

use crate::config::Config;

/// What is told of them.
pub(crate) const KEY: &str = "responder.delegates";

/// The keys in the files that the configuration names.
///
/// # Errors
/// [`Finding`] about the first that cannot be read, is not on P-256, is weak, or is there twice.
pub(crate) fn keys(config: &Config) -> Result<Vec<DelegateKey>, Finding> {
    let listed = &config.responder.delegates;
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let weak = config.weak_keys().map_err(|error| {
        Finding::error(
            "issuance.weak_key_lists",
            error.to_string(),
            "put the file right, or take it out of the list",
        )
    })?;
    let mut keys: Vec<DelegateKey> = Vec::with_capacity(listed.len());
    for delegate in listed {
        let wrong = |why: String| {
            let (name, path) = (&delegate.name, delegate.key.display());
            let fix = "make a key on P-256 on the responder's machine, and give what `openssl pkey -pubout` writes of it \
                       (docs/operations/responders.md)";
            Finding::error(KEY, format!("has {name}, whose key {path} {why}"), fix)
        };
        let file = std::fs::read(&delegate.key).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let info = pem::public_key_info(&file).ok_or_else(|| wrong("is no public key in PEM".to_owned()))?;
        let public = PublicKey::from_spki(&info).map_err(|bad| wrong(format!("is of no use: {bad}")))?;
        weak.check(&public).map_err(|bad| wrong(format!("must not be used: {bad}")))?;
        let key = DelegateKey::new(delegate.name.clone(), public);
        let key = key.map_err(|refused| wrong(format!("cannot be used: {refused}")))?;
        if let Some(other) = keys.iter().find(|other| other.key() == key.key()) {
            return Err(wrong(format!("is also that of {}", other.name())));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Whether none of them is a CA's.
///
/// # Errors
/// [`Finding`] about the first that is.
pub(crate) fn check_purpose(keys: &[DelegateKey], issuers: &[Issuer]) -> Result<(), Finding> {
    for key in keys {
        key.check_purpose(issuers).map_err(|refused| refusal(refused.to_string()))?;
    }
    Ok(())
}

pub(crate) fn refusal(why: String) -> Finding {
    Finding::error(KEY, why, "make a key on the responder's machine for this alone, and name that one")
}

/// The keys that are listed now.
pub(crate) struct Delegates {
    authority: Arc<Authority>,
    signer: Arc<dyn Signer>,
    keys: RwLock<Vec<DelegateKey>>,
}

impl Delegates {
    /// Has these keys certified from now on.
    ///
    /// # Errors
    /// As [`Delegates::examine`].
    pub(crate) fn new(
        authority: Arc<Authority>,
        signer: Arc<dyn Signer>,
        keys: Vec<DelegateKey>,
    ) -> Result<Arc<Self>, Finding> {
        let delegates = Arc::new(Self { authority, signer, keys: RwLock::default() });
        delegates.examine(&keys)?;
        delegates.replace(keys)?;
        Ok(delegates)
    }

    /// Whether none of these keys is a CA's, or blocked.
    ///
    /// # Errors
    /// [`Finding`] about the first that is, or if the store cannot be read.
    pub(crate) fn examine(&self, keys: &[DelegateKey]) -> Result<(), Finding> {
        check_purpose(keys, self.signer.issuers())?;
        for key in keys {
            match self.authority.key_is_blocked(key.key()) {
                Ok(false) => {}
                Ok(true) => {
                    let why = format!("has {}, whose key is blocked: somebody else may have it", key.name());
                    return Err(refusal(why));
                }
                Err(error) => {
                    let why = format!("cannot be held against the keys that are blocked: {error}");
                    return Err(Finding::error(KEY, why, "see why the store cannot be read"));
                }
            }
        }
        Ok(())
    }

    /// Goes by these keys, which were examined, and by no others.
    ///
    /// # Errors
    /// [`Finding`] if the signer does not take them; nothing is changed then.
    pub(crate) fn replace(&self, keys: Vec<DelegateKey>) -> Result<(), Finding> {
        self.signer.delegate_to(&keys).map_err(|refused| refusal(refused.to_string()))?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Whether these are the keys that it goes by.
    pub(crate) fn are(&self, keys: &[DelegateKey]) -> bool {
        self.keys().as_slice() == keys
    }

    fn keys(&self) -> Vec<DelegateKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those by which answers may be signed now: of keys that are listed and not blocked. A few reads of the store.
    pub(crate) fn certificates(&self) -> Vec<DelegateCertificate> {
        let mut certificates = Vec::new();
        let made = self.signer.delegates_apart();
        for key in self.keys() {
            match self.authority.key_is_blocked(key.key()) {
                Ok(false) => certificates.extend(made.iter().filter(|made| is_of(made, &key)).cloned()),
                Ok(true) => {}
                Err(error) => tracing::error!(
                    responder = key.name(),
                    error = &error as &dyn std::error::Error,
                    "whether a responder's key is blocked cannot be read: its certificates are not listed"
                ),
            }
        }
        certificates
    }

    /// Until when each responder may answer for each issuer that has not ended; `None` where there is no certificate yet.
    pub(crate) fn not_after(&self, now: Timestamp) -> Vec<(String, IssuerName, Option<Timestamp>)> {
        let made = self.signer.delegates_apart();
        let mut all = Vec::new();
        for key in self.keys() {
            for issuer in self.signer.issuers().iter().filter(|issuer| issuer.not_after >= now) {
                let own = made.iter().find(|made| made.issuer == issuer.name && is_of(made, &key));
                all.push((key.name().to_owned(), issuer.name.clone(), own.map(|own| own.not_after)));
            }
        }
        all
    }
}

/// Whether a certificate is for this key by this name: a signer that is another process goes by a file of its own.
fn is_of(certificate: &DelegateCertificate, key: &DelegateKey) -> bool {
    certificate.responder.as_deref() == Some(key.name()) && key.is_certified_by(&certificate.certificate)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use ingam_protocol::bytes::hex;
    use ingam_responder::Delegate;
    use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PublicKeyData};
    use ring::digest::{SHA256, digest};

    use super::*;

    fn config(folder: &Path, files: &[(&str, &str)]) -> Config {
        let mut config = Config::default();
        for (name, text) in files {
            let key = folder.join(format!("{name}.pub"));
            fs::write(&key, text).unwrap();
            config.responder.delegates.push(Delegate { name: (*name).to_owned(), key });
        }
        config
    }

    fn refused(config: &Config) -> String {
        let finding = keys(config).unwrap_err();
        assert_eq!(finding.key, KEY);
        finding.to_string()
    }

    #[test]
    fn keys_that_are_of_no_use_are_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let (good, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let large = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap().public_key_pem();
        let (good_pem, other_pem) = (good.public_key_pem(), other.public_key_pem());
        let config = |files: &[(&str, &str)]| config(folder.path(), files);
        let read = keys(&config(&[("tokyo", &good_pem), ("lima", &other_pem)])).unwrap();
        assert_eq!(read.iter().map(DelegateKey::name).collect::<Vec<_>>(), ["tokyo", "lima"]);
        for (text, why) in [
            (large.as_str(), "and not on P-256"),
            (&good.serialize_pem(), "is no public key in PEM"),
            ("", "is no public key in PEM"),
            (&good_pem, "is also that of tokyo"),
        ] {
            let words = refused(&config(&[("tokyo", &good_pem), ("lima", text)]));
            assert!(words.contains("has lima, whose key") && words.contains(why), "{words}");
        }
        let mut missing = config(&[("tokyo", &good_pem)]);
        missing.responder.delegates[0].key = folder.path().join("nowhere");
        assert!(refused(&missing).contains("cannot be read"));

        let mut weak = config(&[("tokyo", &good_pem)]);
        let list = folder.path().join("weak");
        fs::write(&list, hex(digest(&SHA256, &good.subject_public_key_info()).as_ref())).unwrap();
        weak.issuance.weak_key_lists = vec![list];
        assert!(refused(&weak).contains("must not be used"));
    }
}
