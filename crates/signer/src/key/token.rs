//! A key on a token, used through PKCS #11: it signs there and never leaves it.

mod access;
mod module;
mod public_key;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};

use self::access::{Access, Failure, ObjectName, Seat};
use self::module::Module;
use super::{Algorithm, KeyKind};
use crate::crypto::digest::{SHA256, SHA384, digest};
use crate::{Error, Passphrase, TokenKey};

/// As long as anybody waits for one signature.
const SIGN_TIMEOUT: Duration = Duration::from_secs(10);
/// As long as anybody waits for a new key: RSA takes its time on a token.
const GENERATE_TIMEOUT: Duration = Duration::from_secs(300);
/// What a key signs when it is loaded, to show that its halves belong together. No certificate, CRL or OCSP answer begins
/// like this.
const TRIAL: &[u8] = b"Ingam tries a key out.";
/// DER of a DigestInfo for SHA-256 (RFC 8017, section 9.2, note 1), up to the hash itself.
const SHA256_DIGEST_INFO: &[u8] =
    b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

/// A private key on a token, ready to sign.
#[derive(Clone)]
pub struct TokenSigner(Arc<Inner>);

struct Inner {
    location: TokenKey,
    access: Arc<Access>,
    name: ObjectName,
    public: PublicHalf,
}

/// What is known of a key without its private half.
#[derive(Clone, PartialEq, Eq)]
struct PublicHalf {
    algorithm: Algorithm,
    /// Contents of the BIT STRING.
    public_key: Vec<u8>,
}

impl TokenKey {
    /// Opens the key: loads the module, logs in, reads the public half, and has the token sign a trial. Stops the calling
    /// thread for at most 20 s, and what the module takes to load.
    ///
    /// # Errors
    /// [`Error::Load`] names the place and says what is missing there. A PIN that the token refuses is tried once.
    pub fn open(&self, pin: Option<&Passphrase>) -> Result<TokenSigner, Error> {
        let opened = self.access(pin).and_then(|(_, access)| {
            let name = self.object_name();
            let wanted = name.clone();
            let read = move |seat: &mut Seat| describe(seat, &wanted);
            let public = access.run_blocking(SIGN_TIMEOUT, true, read)?;
            let signer = TokenSigner(Arc::new(Inner { location: self.clone(), access, name, public }));
            signer.sign_blocking(TRIAL)?;
            Ok(signer)
        });
        opened.map_err(|error| Error::Load(format!("{self}: the key cannot be used"), Some(Box::new(error))))
    }

    fn access(&self, pin: Option<&Passphrase>) -> Result<(Arc<Module>, Arc<Access>), Error> {
        let module = Module::load(self.module())?;
        let access = module.access(&module.identify(self.token())?, pin)?;
        Ok((module, access))
    }

    /// Has the token make a new key of this name, sensitive and not extractable, and opens it. If the URI gives no `id`, the
    /// token's own randomness does. Stops the calling thread for up to five minutes.
    ///
    /// # Errors
    /// [`Error::Refused`] without `object` in the URI, or for a kind that tokens are not used with; if a key of this name is there already; [`Error::Load`] as
    /// [`TokenKey::open`].
    pub fn generate(&self, kind: KeyKind, pin: Option<&Passphrase>) -> Result<TokenSigner, Error> {
        if !kind.is_public() {
            return Err(Error::Refused(format!("keys of the kind {} are not made on tokens", kind.name())));
        }
        let Some(label) = self.object() else {
            return Err(Error::Refused(format!("{self} has no object=LABEL: give the new key a name")));
        };
        let (module, access) = self.access(pin)?;
        let (name, label) = (self.object_name(), label.to_owned());
        let pkcs11 = module.pkcs11.clone();
        let make = move |seat: &mut Seat| {
            for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
                if !seat.session.find_objects(&name.template(class))?.is_empty() {
                    return Err(Failure::Final("already has a key of this name: choose another".to_owned()));
                }
            }
            let session = pkcs11.open_rw_session_no_drop(seat.slot)?;
            let id = match &name.id {
                Some(id) => id.clone(),
                None => session.generate_random_vec(8)?,
            };
            let (mechanism, public, private) = public_key::templates(kind, &label, &id);
            let made = session.generate_key_pair(&mechanism, &public, &private);
            let _ = session.close();
            made.map(drop).map_err(Failure::from)
        };
        access.run_blocking(GENERATE_TIMEOUT, false, make).map_err(|error| {
            Error::Load(format!("{self}: no key could be made there"), Some(Box::new(error)))
        })?;
        self.open(pin)
    }

    fn object_name(&self) -> ObjectName {
        ObjectName { label: self.object().map(str::to_owned), id: self.id().map(<[u8]>::to_vec) }
    }
}

/// Reads the public half of a key, and sees that the private one is fit to sign.
fn describe(seat: &mut Seat, name: &ObjectName) -> Result<PublicHalf, Failure> {
    let private = seat.private_key(name)?;
    let wanted = [
        AttributeType::Id,
        AttributeType::Sign,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::AlwaysAuthenticate,
    ];
    let mut id = None;
    let mut is_protected = true;
    for attribute in seat.session.get_attributes(private, &wanted)? {
        match attribute {
            Attribute::Id(bytes) if !bytes.is_empty() => id = Some(bytes),
            Attribute::Sign(false) => {
                return Err(Failure::Final(
                    "has a key that may not sign (CKA_SIGN): make it anew".to_owned(),
                ));
            }
            Attribute::AlwaysAuthenticate(true) => {
                return Err(Failure::Final(
                    "has a key that wants the PIN for each signature (CKA_ALWAYS_AUTHENTICATE): make it anew without"
                        .to_owned(),
                ));
            }
            Attribute::Sensitive(false) | Attribute::Extractable(true) => is_protected = false,
            _ => {}
        }
    }
    if !is_protected {
        tracing::warn!(
            object = name.label,
            "a key on a token can be read out of it: make the next one sensitive and not extractable"
        );
    }
    // Both halves have the same id; where there is none, the same label.
    let name = if id.is_some() { ObjectName { label: None, id } } else { name.clone() };
    let public = seat.only(&name, ObjectClass::PUBLIC_KEY)?;
    public_key::read(&seat.session, public)
}

impl Access {
    /// Does work on the token and waits for it, off any runtime.
    fn run_blocking<T: Send + 'static>(
        &self,
        limit: Duration,
        is_repeatable: bool,
        work: impl Fn(&mut Seat) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = sync_channel(1);
        let reply = move |outcome| drop(reply.send(outcome));
        self.submit(Instant::now() + limit, is_repeatable, work, reply)?;
        answer.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => slow(limit),
            RecvTimeoutError::Disconnected => Error::Unavailable("the token's thread broke off".to_owned()),
        })?
    }

    /// Does work on the token while the caller's thread does something else.
    async fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl Fn(&mut Seat) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let reply = move |outcome| drop(reply.send(outcome));
        self.submit(Instant::now() + limit, true, work, reply)?;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::Unavailable("the token's thread broke off".to_owned())),
            Err(_) => Err(slow(limit)),
        }
    }
}

fn slow(limit: Duration) -> Error {
    Error::Unavailable(format!("the token did not answer within {} s", limit.as_secs()))
}

impl TokenSigner {
    /// Where the key is.
    pub fn location(&self) -> &TokenKey {
        &self.0.location
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.algorithm().kind_of(self.public_key())
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.0.public.algorithm
    }

    pub(super) fn public_key(&self) -> &[u8] {
        &self.0.public.public_key
    }

    /// Whether the token is there with its key, by asking it for something.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it is away or does not answer in time.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        let name = self.0.name.clone();
        let look = move |seat: &mut Seat| {
            let key = seat.private_key(&name)?;
            seat.session.get_attributes(key, &[AttributeType::Sign]).map(drop).map_err(Failure::from)
        };
        self.0.access.run(SIGN_TIMEOUT, look).await
    }

    /// Signs, and verifies with the public half that was read at the start: a token that came back with another key in
    /// this one's place shows here. Waits for at most 10 s.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the token is away or did not sign in time; whether it still will is then unknown.
    pub(super) async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.0.access.run(SIGN_TIMEOUT, self.work(message)).await?;
        self.finish(message, &signature)
    }

    /// [`TokenSigner::sign`], stopping the calling thread.
    ///
    /// # Errors
    /// As there.
    pub(super) fn sign_blocking(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.0.access.run_blocking(SIGN_TIMEOUT, true, self.work(message))?;
        self.finish(message, &signature)
    }

    fn work(&self, message: &[u8]) -> impl Fn(&mut Seat) -> Result<Vec<u8>, Failure> + Send + 'static {
        let input = match self.algorithm() {
            Algorithm::RsaSha256 => [SHA256_DIGEST_INFO, digest(&SHA256, message).as_ref()].concat(),
            Algorithm::EcdsaP384Sha384 => digest(&SHA384, message).as_ref().to_vec(),
            // P-256: no other is read from a token.
            _ => digest(&SHA256, message).as_ref().to_vec(),
        };
        let is_rsa = self.algorithm() == Algorithm::RsaSha256;
        let name = self.0.name.clone();
        move |seat| {
            let key = seat.private_key(&name)?;
            let mechanism = if is_rsa { Mechanism::RsaPkcs } else { Mechanism::Ecdsa };
            seat.session.sign(&mechanism, key, &input).map_err(Failure::from)
        }
    }

    fn finish(&self, message: &[u8], signature: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = match self.algorithm() {
            Algorithm::RsaSha256 => signature.to_vec(),
            _ => public_key::ecdsa_signature(signature)?,
        };
        self.algorithm().verify(self.public_key(), message, &signature)?;
        Ok(signature)
    }
}

impl PartialEq for TokenSigner {
    fn eq(&self, other: &Self) -> bool {
        self.0.public == other.0.public
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSigner({})", self.0.location)
    }
}

#[cfg(test)]
mod tests;
