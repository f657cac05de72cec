//! What certificates of a profile say beside names, dates and key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::identifier::Identifier;
use crate::oid::{BadOid, Oid};

/// At most this many characters are a common name: `ub-common-name` (RFC 5280, appendix A.1).
pub const COMMON_NAME_MAX: usize = 64;

/// The extensions and the subject of a profile's certificates, as far as a profile decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Whether RSA keys may decrypt keys beside signing (keyEncipherment): TLS 1.2 without forward secrecy alone needs it.
    pub key_encipherment: bool,
    /// What keys are for, in the order in which certificates say it; at least one.
    pub purposes: Vec<Purpose>,
    /// Certificate policies, behind the one that public profiles begin with.
    pub policies: Vec<Oid>,
    /// Whether the subject has a common name.
    pub common_name: CommonName,
    /// Whether certificates say where OCSP answers.
    pub ocsp_pointer: bool,
    /// Whether they say where the CRL is.
    pub crl_pointer: bool,
    /// Whether they say where their issuer's certificate is.
    pub issuer_pointer: bool,
    /// Whether they have a subjectKeyIdentifier.
    pub subject_key_identifier: bool,
    /// Whether servers have to staple an OCSP answer.
    pub must_staple: MustStaple,
}

impl Contents {
    /// What is usual for servers: all pointers, and no common name.
    pub fn usual() -> Self {
        Self {
            key_encipherment: true,
            purposes: vec![Purpose::ServerAuth],
            policies: Vec::new(),
            common_name: CommonName::None,
            ocsp_pointer: true,
            crl_pointer: true,
            issuer_pointer: true,
            subject_key_identifier: true,
            must_staple: MustStaple::Never,
        }
    }
}

/// A purpose of keys, as extended key usages name it (RFC 5280, section 4.2.1.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `id-kp-serverAuth`.
    ServerAuth,
    /// `id-kp-clientAuth`.
    ClientAuth,
    /// Another one, for private profiles.
    Other(Oid),
}

/// Why a text names no purpose that a certificate here may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPurpose {
    /// It is neither a name nor an object identifier.
    Unread(BadOid),
    /// `anyExtendedKeyUsage` takes the meaning from all others.
    Any,
    /// A purpose of the CA itself: with it, a subscriber could answer OCSP for the CA (RFC 6960, section 4.2.2.2) or sign
    /// its precertificates (RFC 6962, section 3.1).
    OfTheCa,
}

/// id-kp, id-kp-OCSPSigning, anyExtendedKeyUsage, and the precertificate signing certificate of RFC 6962.
const PURPOSES: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3];
const OCSP_SIGNING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 9];
const ANY_PURPOSE: &[u64] = &[2, 5, 29, 37, 0];
const PRECERTIFICATE_SIGNING: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 4];

impl Purpose {
    /// Its object identifier's numbers.
    pub fn arcs(&self) -> Vec<u64> {
        match self {
            Self::ServerAuth => [PURPOSES, &[1]].concat(),
            Self::ClientAuth => [PURPOSES, &[2]].concat(),
            Self::Other(oid) => oid.arcs().to_vec(),
        }
    }

    /// The contents of its object identifier's DER.
    pub fn contents(&self) -> Vec<u8> {
        match self {
            Self::ServerAuth => b"\x2b\x06\x01\x05\x05\x07\x03\x01".to_vec(),
            Self::ClientAuth => b"\x2b\x06\x01\x05\x05\x07\x03\x02".to_vec(),
            Self::Other(oid) => oid.contents(),
        }
    }
}

impl FromStr for Purpose {
    type Err = BadPurpose;

    fn from_str(text: &str) -> Result<Self, BadPurpose> {
        match text {
            "server-auth" => return Ok(Self::ServerAuth),
            "client-auth" => return Ok(Self::ClientAuth),
            _ => {}
        }
        let oid: Oid = text.parse().map_err(BadPurpose::Unread)?;
        match oid.arcs() {
            ANY_PURPOSE => Err(BadPurpose::Any),
            OCSP_SIGNING | PRECERTIFICATE_SIGNING => Err(BadPurpose::OfTheCa),
            arcs if arcs == Self::ServerAuth.arcs() => Ok(Self::ServerAuth),
            arcs if arcs == Self::ClientAuth.arcs() => Ok(Self::ClientAuth),
            _ => Ok(Self::Other(oid)),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerAuth => f.write_str("server-auth"),
            Self::ClientAuth => f.write_str("client-auth"),
            Self::Other(oid) => fmt::Display::fmt(oid, f),
        }
    }
}

impl fmt::Display for BadPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(bad) => write!(f, "neither \"server-auth\" nor \"client-auth\", and {bad}"),
            Self::Any => f.write_str("anyExtendedKeyUsage, which no certificate here may have"),
            Self::OfTheCa => {
                f.write_str("a purpose of the CA itself, which would let subscribers speak for it")
            }
        }
    }
}

impl std::error::Error for BadPurpose {}

/// Whether the subject has a common name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommonName {
    /// The subject is empty, and the subjectAltName critical (RFC 5280, section 4.2.1.6).
    None,
    /// The first name of the certificate that has at most 64 characters: sorted, and wildcards behind the others. Whatever
    /// a CSR has as its own is not looked at. Without such a name it is as [`CommonName::None`].
    FirstName,
}

impl CommonName {
    /// The common name of a certificate for these identifiers: one of them, character for character (BR 7.1.4.3).
    pub fn of(self, identifiers: &[Identifier]) -> Option<String> {
        let first = |is_wanted: fn(&Identifier) -> bool| {
            let texts = identifiers.iter().filter(|one| is_wanted(one)).map(ToString::to_string);
            texts.filter(|text| text.len() <= COMMON_NAME_MAX).min()
        };
        match self {
            Self::None => None,
            Self::FirstName => first(|identifier| matches!(identifier, Identifier::Dns(_)))
                .or_else(|| first(|identifier| matches!(identifier, Identifier::Wildcard(_)))),
        }
    }
}

/// Whether servers have to staple an OCSP answer: the TLS feature `status_request` (RFC 7633).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MustStaple {
    /// No certificate says so; a CSR that asks for it is refused.
    Never,
    /// Those whose CSR asks for it.
    Requested,
    /// All of them, whatever the CSR has.
    Always,
}

impl MustStaple {
    /// Whether a certificate says so; `None` if it was asked for, and there is none.
    pub fn answer(self, is_asked: bool) -> Option<bool> {
        match self {
            Self::Never => (!is_asked).then_some(false),
            Self::Requested => Some(is_asked),
            Self::Always => Some(true),
        }
    }
}

/// Whether certificates go into public logs before they are handed out (RFC 6962).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transparency {
    /// They do not, and have no SCTs.
    None,
    /// None is issued without the SCTs that browsers ask for.
    Required,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_are_named_or_numbered() {
        for (text, wanted) in [
            ("server-auth", Ok(Purpose::ServerAuth)),
            ("1.3.6.1.5.5.7.3.1", Ok(Purpose::ServerAuth)),
            ("1.3.6.1.5.5.7.3.2", Ok(Purpose::ClientAuth)),
            ("1.3.6.1.5.5.7.3.17", Ok(Purpose::Other("1.3.6.1.5.5.7.3.17".parse().unwrap()))),
            ("2.5.29.37.0", Err(BadPurpose::Any)),
            ("1.3.6.1.5.5.7.3.9", Err(BadPurpose::OfTheCa)),
            ("1.3.6.1.4.1.11129.2.4.4", Err(BadPurpose::OfTheCa)),
            ("serverAuth", Err(BadPurpose::Unread(BadOid))),
        ] {
            assert_eq!(text.parse::<Purpose>(), wanted, "{text}");
        }
        for purpose in [Purpose::ServerAuth, Purpose::ClientAuth] {
            let dotted: Vec<String> = purpose.arcs().iter().map(u64::to_string).collect();
            let numbered: Oid = dotted.join(".").parse().unwrap();
            assert_eq!(purpose.contents(), numbered.contents());
            assert_eq!(purpose.to_string().parse(), Ok(purpose));
        }
    }

    #[test]
    fn the_common_name_is_the_first_that_fits() {
        let long = format!("{}.example", "a".repeat(60));
        let of = |names: &[&str]| {
            let mut names: Vec<_> = names.iter().map(|name| Identifier::parse_dns(name).unwrap()).collect();
            names.push(Identifier::parse_ip("192.0.2.1").unwrap());
            assert_eq!(CommonName::None.of(&names), None);
            CommonName::FirstName.of(&names)
        };
        assert_eq!(of(&["b.example", "*.a.example", "a.example"]).as_deref(), Some("a.example"));
        assert_eq!(of(&["*.b.example", "*.a.example"]).as_deref(), Some("*.a.example"));
        assert_eq!(of(&[&long, "b.example"]).as_deref(), Some("b.example"));
        assert_eq!(of(&[&long]), None);
        assert_eq!(of(&[]), None, "an address is no common name");
    }
}
