//! Responders apart from the CA that may sign answers (`responder.delegates`): which keys those are, and which of their certificates count.
//!
//! ```text
//! files ──▶ keys: on P-256, not weak, no CA's ──▶ those that are not blocked ──▶ signer: a certificate of each issuer, renewed
//!                                                                                └──▶ on record ──▶ the manifest
//! ```
//!
//! A key that is blocked (`ingam admin key block`), or taken out of the file that is read again, has none in the next manifest, and none
//! is made for it from then on. A signer of another process knows nothing of blocks: the key has to be taken out of its file, too.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ingam_protocol::key::PublicKey;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Finding, Serial, Timestamp, pem};
use ingam_signer::{DelegateCertificate, DelegateKey, Issuer, Signer};

use crate::config::Config;
use crate::serve::StartError;

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

/// Whether a key is blocked; a few reads of the store.
type IsBlocked = Box<dyn Fn(&PublicKey) -> Result<bool, ingam_authority::Error> + Send + Sync>;

/// The keys that are listed now, and which of their certificates count.
pub(crate) struct Delegates {
    signer: Arc<dyn Signer>,
    is_blocked: IsBlocked,
    keys: RwLock<Keys>,
    /// Of certificates in force, those that are on record.
    recorded: Mutex<BTreeSet<Serial>>,
}

#[derive(Default)]
struct Keys {
    listed: Vec<DelegateKey>,
    /// Those of them that are not blocked, as of the last look: the signer goes by them.
    usable: Vec<DelegateKey>,
}

impl Delegates {
    /// Has these keys certified from now on, but for those that are blocked: for one stolen responder the CA does not stand still.
    ///
    /// # Errors
    /// [`Finding`] about the first that is a CA's, or if the store cannot be read.
    pub(crate) fn new(
        is_blocked: impl Fn(&PublicKey) -> Result<bool, ingam_authority::Error> + Send + Sync + 'static,
        signer: Arc<dyn Signer>,
        keys: Vec<DelegateKey>,
    ) -> Result<Arc<Self>, Finding> {
        let is_blocked = Box::new(is_blocked);
        let delegates =
            Arc::new(Self { signer, is_blocked, keys: RwLock::default(), recorded: Mutex::default() });
        check_purpose(&keys, delegates.signer.issuers())?;
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
            if self.is_blocked(key)? {
                let why = format!("has {}, whose key is blocked: somebody else may have it", key.name());
                return Err(refusal(why));
            }
        }
        Ok(())
    }

    fn is_blocked(&self, key: &DelegateKey) -> Result<bool, Finding> {
        (self.is_blocked)(key.key()).map_err(|error| {
            let why = format!("cannot be held against the keys that are blocked: {error}");
            Finding::error(KEY, why, "see why the store cannot be read")
        })
    }

    /// Goes by these keys, none of which is a CA's, and by no others.
    ///
    /// # Errors
    /// [`Finding`] if the signer does not take them, or the store cannot be read; nothing is changed then.
    pub(crate) fn replace(&self, listed: Vec<DelegateKey>) -> Result<(), Finding> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        self.go_by(&mut keys, listed)
    }

    /// Looks which keys are blocked by now, and has the signer go by the others.
    ///
    /// # Errors
    /// [`Finding`] if the store cannot be read: nothing may be made for these keys then.
    fn look(&self) -> Result<(), Finding> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let listed = keys.listed.clone();
        self.go_by(&mut keys, listed)
    }

    fn go_by(&self, keys: &mut Keys, listed: Vec<DelegateKey>) -> Result<(), Finding> {
        let mut usable = Vec::with_capacity(listed.len());
        for key in &listed {
            if !self.is_blocked(key)? {
                usable.push(key.clone());
            } else if keys.usable.contains(key) || !keys.listed.contains(key) {
                tracing::error!(
                    responder = key.name(),
                    "a responder's key is blocked and gets no certificates: take it out of responder.delegates, and give the \
                     responder another one"
                );
            }
        }
        if usable != keys.usable {
            self.signer.delegate_to(&usable).map_err(|refused| refusal(refused.to_string()))?;
        }
        *keys = Keys { listed, usable };
        Ok(())
    }

    /// Whether these are the keys that are listed.
    pub(crate) fn are(&self, keys: &[DelegateKey]) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).listed.as_slice() == keys
    }

    fn usable(&self) -> Vec<DelegateKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).usable.clone()
    }

    /// The names of those that were blocked by the last look.
    pub(crate) fn blocked(&self) -> Vec<String> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let blocked = keys.listed.iter().filter(|key| !keys.usable.contains(key));
        blocked.map(|key| key.name().to_owned()).collect()
    }

    /// Has the signer make what is due, for itself and for those keys that are not blocked by now. All of it belongs on record.
    ///
    /// # Errors
    /// [`StartError`] if the store cannot be read, or as [`Signer::renew`].
    pub(crate) async fn renew(&self) -> Result<Vec<DelegateCertificate>, StartError> {
        self.look()?;
        let made = self.signer.renew().await;
        made.map_err(|error| StartError::caused("delegated OCSP certificates cannot be made", &error))
    }

    /// These certificates, which the signer made, are on record: from now on they may be given out.
    pub(crate) fn are_recorded(&self, made: &[DelegateCertificate]) {
        let in_force = self.signer.delegates_apart();
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.extend(made.iter().map(|made| made.serial.clone()));
        recorded.retain(|serial| in_force.iter().any(|made| made.serial == *serial));
    }

    /// Those that are in force and on record.
    fn recorded(&self) -> Vec<DelegateCertificate> {
        let in_force = self.signer.delegates_apart();
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        in_force.into_iter().filter(|made| recorded.contains(&made.serial)).collect()
    }

    /// Those by which answers may be signed now: on record, and of keys that are listed and not blocked. A few reads of the store.
    pub(crate) fn certificates(&self) -> Vec<DelegateCertificate> {
        if let Err(finding) = self.look() {
            tracing::error!(%finding, "the certificates of responders are not listed");
            return Vec::new();
        }
        let (recorded, keys) = (self.recorded(), self.usable());
        recorded.into_iter().filter(|made| keys.iter().any(|key| is_of(made, key))).collect()
    }

    /// Until when each responder whose key is not blocked may answer for each issuer that has not ended; `None` where there is no
    /// certificate yet.
    pub(crate) fn not_after(&self, now: Timestamp) -> Vec<(String, IssuerName, Option<Timestamp>)> {
        let recorded = self.recorded();
        let mut all = Vec::new();
        for key in self.usable() {
            for issuer in self.signer.issuers().iter().filter(|issuer| issuer.not_after >= now) {
                let own = recorded.iter().find(|made| made.issuer == issuer.name && is_of(made, &key));
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
mod tests;
