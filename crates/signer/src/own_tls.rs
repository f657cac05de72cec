//! The key and the chain of a CA's own https endpoint, where the CA issues that certificate to itself.
//!
//! The certificate is made as every other one is, by [`crate::Signer`]; here are its key, the request for it, and the file
//! that keeps both: `tls-own.pem` in the state folder (mode 0600), key first, then the chain, leaf first.

use std::path::Path;

use ingam_protocol::Random;
use ingam_protocol::key::PublicKey;
use rcgen::{CertificateParams, DistinguishedName, PublicKeyData};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::key::Key;
use crate::storage::{self, Secrecy, broken};
use crate::{Error, KeyKind, PrivateKey};

const FILE: &str = "tls-own.pem";

/// A key, and the certificates that go with it, DER, leaf first.
#[derive(Clone, Debug)]
pub struct OwnTls {
    /// The key.
    pub key: PrivateKey,
    /// The certificate and its issuers, without the root.
    pub chain: Vec<Vec<u8>>,
}

/// What a new certificate is asked for with.
#[derive(Debug)]
pub struct OwnKey {
    /// A new key.
    pub key: PrivateKey,
    /// DER of a request for it.
    pub csr: Vec<u8>,
    /// The key of an account whose private half was never kept: nobody can ask for anything in its name.
    pub account_key: PublicKey,
}

/// Makes a key and a request for these names.
///
/// # Errors
/// [`Error::Unavailable`] if no key could be made or used.
pub fn request(names: &[String], random: &dyn Random) -> Result<OwnKey, Error> {
    let failed =
        |what: &dyn std::fmt::Display| Error::Unavailable(format!("no request could be made: {what}"));
    let key = PrivateKey::generate(KeyKind::EcdsaP256, random)?;
    let mut params = CertificateParams::new(names).map_err(|error| failed(&error))?;
    params.distinguished_name = DistinguishedName::new();
    let csr = params.serialize_request(&Key::load(&key)?).map_err(|error| failed(&error))?;
    let forgotten = Key::load(&PrivateKey::generate(KeyKind::EcdsaP256, random)?)?;
    let account_key =
        PublicKey::from_spki(&forgotten.subject_public_key_info()).map_err(|error| failed(&error))?;
    Ok(OwnKey { key, csr: csr.der().to_vec(), account_key })
}

impl OwnTls {
    /// Reads what a folder has; `None` if that is nothing.
    ///
    /// # Errors
    /// [`Error::Load`] if the file is damaged, or cannot be read.
    pub fn load(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = storage::read(&path)?;
        let blocks = storage::split_pem(&text);
        let Some((key, [leaf, issuers @ ..])) = blocks.split_first() else {
            return Err(broken(
                &path,
                "must hold a key and its certificates; remove it, and a new one is made",
            ));
        };
        let key = storage::key_from_pem(&path, key)?;
        let all = std::iter::once(leaf).chain(issuers);
        let chain = all.map(|pem| storage::certificate_from_pem(&path, pem)).collect::<Result<_, _>>()?;
        Ok(Some(Self { key, chain }))
    }

    /// Puts it into a folder, in the place of what is there.
    ///
    /// # Errors
    /// [`Error::Load`] if it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let mut text = storage::key_to_pem(&self.key)?;
        for certificate in &self.chain {
            text.push_str(&storage::certificate_to_pem(certificate)?);
        }
        storage::write(folder, FILE, text.as_bytes(), Secrecy::Secret)
    }

    /// The DNS names and addresses that the certificate is for, sorted; none if it cannot be read.
    pub fn names(&self) -> Vec<String> {
        let leaf = self.chain.first().map(|leaf| X509Certificate::from_der(leaf));
        let Some(Ok((_, leaf))) = leaf else { return Vec::new() };
        let mut names = Vec::new();
        for extension in leaf.extensions() {
            if let ParsedExtension::SubjectAlternativeName(listed) = extension.parsed_extension() {
                names.extend(listed.general_names.iter().filter_map(name));
            }
        }
        names.sort();
        names
    }
}

fn name(listed: &GeneralName<'_>) -> Option<String> {
    match listed {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(std::net::IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(std::net::IpAddr::from))
                .ok()
                .map(|ip| ip.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ingam_protocol::csr::SigningRequest;
    use ingam_protocol::time::{FixedClock, SeededRandom};

    use super::*;
    use crate::testing::now;
    use crate::tls::DevTls;

    #[test]
    fn a_request_is_for_its_names_and_nobody_has_the_accounts_key() {
        let names = ["a.example.org".to_owned(), "b.example.org".to_owned()];
        let (one, other) = (
            request(&names, &SeededRandom::new(1)).unwrap(),
            request(&names, &SeededRandom::new(1)).unwrap(),
        );
        assert!(one.key != other.key && one.account_key != other.account_key);
        let read = SigningRequest::parse(&one.csr).unwrap();
        assert_eq!(read.identifiers().iter().map(ToString::to_string).collect::<Vec<_>>(), names);
        assert!(read.key() != &one.account_key);
    }

    #[test]
    fn it_is_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(OwnTls::load(folder.path()).unwrap().is_none());
        let made = DevTls::create(&FixedClock::new(now()), &SeededRandom::new(1)).unwrap();
        let own = OwnTls { key: made.key, chain: vec![made.certificate, made.ca_certificate] };
        own.save(folder.path()).unwrap();
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = OwnTls::load(folder.path()).unwrap().unwrap();
        assert!(read.key == own.key && read.chain == own.chain);
        assert_eq!(read.names(), ["127.0.0.1", "::1", "localhost"]);
        std::fs::write(folder.path().join(FILE), "").unwrap();
        assert!(OwnTls::load(folder.path()).unwrap_err().to_string().contains("remove it"));
    }
}
