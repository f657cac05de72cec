//! Certificates as they came: a chain of PEM, and what the leaf says about itself.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::jws::base64url;

/// id-ad-ocsp (RFC 5280 4.2.2.1).
const OCSP: &str = "1.3.6.1.5.5.7.48.1";
/// id-ad-caIssuers (RFC 5280 4.2.2.1).
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// An end entity's certificate and those above it, without a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pem: Vec<u8>,
    ders: Vec<Vec<u8>>,
}

impl Chain {
    /// Reads a chain; fails the test if a certificate in it cannot be read, or if it does not hold leaf and issuer.
    #[track_caller]
    pub fn from_pem(pem: &[u8]) -> Self {
        let ders: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(pem)
            .map(|certificate| certificate.expect("a certificate in PEM").to_vec())
            .collect();
        assert!(ders.len() >= 2, "a chain has a leaf and its issuer: {}", String::from_utf8_lossy(pem));
        Self { pem: pem.to_vec(), ders }
    }

    /// Reads a chain from a file.
    #[track_caller]
    pub fn from_file(path: &Path) -> Self {
        let pem =
            std::fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        Self::from_pem(&pem)
    }

    /// The bytes as they came.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// The end entity's certificate in DER.
    pub fn leaf(&self) -> &[u8] {
        &self.ders[0]
    }

    /// The issuer's certificate in DER.
    pub fn issuer(&self) -> &[u8] {
        &self.ders[1]
    }

    /// The certificate in DER that a root has to have signed.
    pub fn last(&self) -> &[u8] {
        &self.ders[self.ders.len() - 1]
    }

    /// The leaf taken apart.
    pub fn parsed(&self) -> X509Certificate<'_> {
        parse(self.leaf())
    }

    /// The contents of the leaf's serial number, as in DER.
    pub fn serial(&self) -> Vec<u8> {
        self.parsed().raw_serial().to_vec()
    }

    /// The serial number in upper-case hexadecimal, as openssl prints it.
    pub fn serial_hex(&self) -> String {
        let serial = self.serial();
        let significant =
            serial.iter().position(|byte| *byte != 0).map_or(&serial[..], |first| &serial[first..]);
        significant.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    /// The identifier that ARI has for the leaf (RFC 9773, section 4.1).
    pub fn renewal_id(&self) -> String {
        let leaf = self.parsed();
        let key = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(found) => found.key_identifier.as_ref().map(|key| key.0),
            _ => None,
        });
        let key = key.expect("the leaf names its issuer's key");
        format!("{}.{}", base64url(key), base64url(self.serial()))
    }

    /// The DNS names and IP addresses of the leaf, sorted.
    pub fn names(&self) -> Vec<String> {
        let leaf = self.parsed();
        let names = leaf.subject_alternative_name().expect("one SAN extension").expect("a SAN extension");
        let mut names: Vec<String> = names
            .value
            .general_names
            .iter()
            .map(|name| match name {
                GeneralName::DNSName(name) => (*name).to_owned(),
                GeneralName::IPAddress(octets) => address(octets),
                other => panic!("this was not ordered, but the certificate has {other:?}"),
            })
            .collect();
        names.sort();
        names
    }

    /// Where the leaf says that OCSP is answered.
    pub fn ocsp_url(&self) -> String {
        self.access(OCSP)
    }

    /// Where the leaf says that its issuer's certificate is.
    pub fn issuer_url(&self) -> String {
        self.access(CA_ISSUERS)
    }

    /// Where the leaf says that the CRL is.
    #[track_caller]
    pub fn crl_url(&self) -> String {
        crl_url(self.leaf())
    }

    fn access(&self, method: &str) -> String {
        let leaf = self.parsed();
        for extension in leaf.extensions() {
            let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else { continue };
            let found =
                access.accessdescs.iter().find(|access| access.access_method.to_id_string() == method);
            if let Some(url) = found.and_then(|access| url_of(&access.access_location)) {
                return url;
            }
        }
        panic!("the certificate does not say where {method} is");
    }

    /// Writes leaf, issuers and both together into a folder, for openssl.
    pub fn write(&self, folder: &Path) -> Files {
        let blocks = pem_blocks(&self.pem);
        let files = Files { leaf: folder.join("leaf.pem"), issuer: folder.join("issuer.pem") };
        std::fs::write(&files.leaf, &blocks[0]).expect("a writable folder");
        std::fs::write(&files.issuer, blocks[1..].concat()).expect("a writable folder");
        files
    }
}

/// A chain in files.
#[derive(Debug)]
pub struct Files {
    /// PEM of the end entity's certificate.
    pub leaf: PathBuf,
    /// PEM of its issuer, and of what is above.
    pub issuer: PathBuf,
}

/// Where a certificate (DER) says that the CRL is.
#[track_caller]
pub fn crl_url(der: &[u8]) -> String {
    let certificate = parse(der);
    for extension in certificate.extensions() {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else {
            continue;
        };
        for point in points.iter() {
            if let Some(DistributionPointName::FullName(names)) = &point.distribution_point
                && let Some(url) = names.iter().find_map(url_of)
            {
                return url;
            }
        }
    }
    panic!("the certificate has no CRL distribution point");
}

/// Takes a certificate apart; fails the test if it is none, or if bytes follow it.
#[track_caller]
pub fn parse(der: &[u8]) -> X509Certificate<'_> {
    let (rest, certificate) = X509Certificate::from_der(der).expect("a certificate");
    assert!(rest.is_empty(), "bytes after a certificate");
    certificate
}

/// The text of an iPAddress.
fn address(octets: &[u8]) -> String {
    match (<[u8; 4]>::try_from(octets), <[u8; 16]>::try_from(octets)) {
        (Ok(four), _) => Ipv4Addr::from(four).to_string(),
        (_, Ok(sixteen)) => Ipv6Addr::from(sixteen).to_string(),
        _ => panic!("an iPAddress has 4 or 16 octets: {octets:?}"),
    }
}

fn url_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::URI(url) => Some((*url).to_owned()),
        _ => None,
    }
}

fn pem_blocks(pem: &[u8]) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = String::from_utf8_lossy(pem);
    text.split_inclusive(END)
        .filter(|block| block.contains(END))
        .map(|block| format!("{}\n", block.trim()))
        .collect()
}
