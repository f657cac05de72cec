//! The file of a ceremony, as it was written: what each key means is said here and in `config/ceremony/`.

use std::path::PathBuf;

use serde::Deserialize;

/// A ceremony's file. Sections that its kind has no use for must not be there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// What is made.
    pub kind: Option<Kind>,
    /// Whether the hierarchy is one for the public web, and so held against the Baseline Requirements. True if it is left
    /// out: what is refused then can still be allowed on purpose.
    pub public: Option<bool>,
    /// Who is there, as the transcript names them; at least one.
    pub present: Vec<String>,
    /// Where it takes place, in the transcript's words.
    pub place: Option<String>,
    /// Whom the certificate is for.
    pub subject: Option<Subject>,
    /// The key that the certificate or the request is for.
    pub key: Option<Key>,
    /// Who signs.
    pub issuer: Option<Issuer>,
    /// What the certificate says, and its file.
    pub certificate: Option<Certificate>,
    /// What the CRL says, and its file.
    pub crl: Option<RevocationList>,
    /// Where the certification request goes.
    pub request: Option<Request>,
}

/// What a ceremony makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A root: a CA certificate that its own key signs.
    Root,
    /// A CA below another: an issuing CA, or one between it and the root.
    Intermediate,
    /// A further certificate for the name and the key of a CA that is there.
    CrossCertificate,
    /// A certificate for a key that signs OCSP answers in the issuer's place.
    OcspResponder,
    /// The CRL of a CA whose key is not at hand every day.
    Crl,
    /// A key, and a request by which somebody else certifies it.
    Request,
}

impl Kind {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Intermediate => "intermediate",
            Self::CrossCertificate => "cross-certificate",
            Self::OcspResponder => "ocsp-responder",
            Self::Crl => "crl",
            Self::Request => "request",
        }
    }
}

/// The names in a subject (BR 7.1.2.10.2), in the order in which they are written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Subject {
    /// countryName: two upper-case letters that ISO 3166-1 assigns to a country.
    pub country: String,
    /// organizationName, at most 64 characters.
    pub organization: String,
    /// commonName, at most 64 characters.
    pub common_name: String,
}

/// A key, and where it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Key {
    /// Its place.
    pub location: Option<String>,
    /// What kind of key is made there; left out: it is there already.
    pub generate: Option<String>,
    /// The file with the passphrase that it is, or will be, encrypted under; left out: a person is asked.
    pub passphrase_file: Option<PathBuf>,
    /// In the place of all these: a certification request (PKCS #10), PEM, for a key that is elsewhere.
    pub request: Option<PathBuf>,
}

/// Who signs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Issuer {
    /// Its certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// Its key's place.
    pub key: Option<String>,
    /// The file with the passphrase of its key; left out: a person is asked.
    pub passphrase_file: Option<PathBuf>,
}

/// What a certificate says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Certificate {
    /// How long it is valid, in days of 86 400 seconds.
    pub validity_days: Option<u32>,
    /// Its first second: a day, or a moment in UTC. Left out: the moment of the ceremony.
    pub not_before: Option<String>,
    /// How many CAs may follow below it (RFC 5280, section 4.2.1.9).
    pub path_length: Option<u8>,
    /// extKeyUsage: `server-auth`, `client-auth`.
    pub purposes: Vec<String>,
    /// certificatePolicies: object identifiers in dotted numbers.
    pub policies: Vec<String>,
    /// Whether the key may also sign OCSP answers (keyUsage digitalSignature). Left out: an intermediate's may.
    pub signs_ocsp: Option<bool>,
    /// Where the issuer's CRL is, http.
    pub crl_url: Option<String>,
    /// Where the issuer's certificate is, http.
    pub issuer_url: Option<String>,
    /// Where the issuer's OCSP responder is, http.
    pub ocsp_url: Option<String>,
    /// For a cross-certificate: the CA's certificate that is there, PEM.
    pub existing: Option<PathBuf>,
    /// The file to be written, PEM.
    pub file: Option<PathBuf>,
}

/// What a CRL says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevocationList {
    /// The CRL before this one, PEM or DER: its number is counted on, and its entries stay.
    pub previous: Option<PathBuf>,
    /// In its place: this CRL's number, 1 for the first.
    pub number: Option<u64>,
    /// When the next one is there at the latest, in days.
    pub next_update_days: Option<u32>,
    /// What is revoked from now on.
    pub revoked: Vec<Revoked>,
    /// The file to be written: DER, as CRLs are published (RFC 5280, section 4.2.1.13).
    pub file: Option<PathBuf>,
}

/// A certificate that is revoked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Revoked {
    /// Its serial number, hexadecimal; colons may stand between.
    pub serial: String,
    /// Since when: a day, or a moment in UTC.
    pub date: String,
    /// Why (RFC 5280, section 5.3.1), as `keyCompromise`.
    pub reason: String,
}

/// Where a request goes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// The file to be written, PEM (PKCS #10).
    pub file: Option<PathBuf>,
}
