//! Public keys of subscribers, and which of them a CA must refuse.
//!
//! The same checks hold for account keys (from a JWK) and for certificate keys (from a SubjectPublicKeyInfo): a key is
//! read into one [`PublicKey`], and two keys are equal when they are the same key, wherever they came from.

mod flaw;
pub(crate) mod ml_dsa;
pub(crate) mod p521;
mod weak;
pub mod weak_list;

pub use flaw::{BadKey, KeyFlaw};
pub use ml_dsa::MlDsa;

use std::borrow::Cow;
use std::fmt;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::bytes::{Bytes, base64url, from_base64url};
use crate::der::{self, Reader, Writer};

/// The one AlgorithmIdentifier of each kind of key, whole (BR 7.1.3.1; RFC 8410, section 3): what comes in a CSR goes into
/// the certificate as it is.
const RSA_ALGORITHM: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
const P256_ALGORITHM: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];
const P384_ALGORITHM: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22,
];
const P521_ALGORITHM: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x23,
];
const ED25519_ALGORITHM: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// What is said of a SubjectPublicKeyInfo with another AlgorithmIdentifier.
const UNKNOWN_ALGORITHM: &str = if cfg!(feature = "aws-lc-rs") {
    "the key's algorithm or its parameters are not supported: use RSA, EC on P-256, P-384 or P-521, or ML-DSA without parameters"
} else {
    "the key's algorithm or its parameters are not supported: use RSA or EC on P-256, P-384 or P-521"
};

/// A named curve (RFC 7518, section 6.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// The curve of this name.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The AlgorithmIdentifier of its keys.
    fn algorithm(self) -> &'static [u8] {
        match self {
            Self::P256 => P256_ALGORITHM,
            Self::P384 => P384_ALGORITHM,
            Self::P521 => P521_ALGORITHM,
        }
    }

    /// The size of one coordinate, in bytes.
    pub fn coordinate_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// A kind of key, as profiles name what they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyType {
    /// RSA of 2048 to 4096 bits.
    Rsa,
    /// ECDSA on P-256.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA on P-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// ECDSA on P-521.
    #[serde(rename = "ecdsa-p521")]
    EcdsaP521,
    /// ML-DSA-44 (FIPS 204, RFC 9881); as what follows, for private profiles and in builds with aws-lc-rs alone.
    #[serde(rename = "ml-dsa-44")]
    MlDsa44,
    /// ML-DSA-65.
    #[serde(rename = "ml-dsa-65")]
    MlDsa65,
    /// ML-DSA-87.
    #[serde(rename = "ml-dsa-87")]
    MlDsa87,
}

impl KeyType {
    /// Those that a profile has which names none: what every build has, and the public may have.
    pub const USUAL: [Self; 4] = [Self::Rsa, Self::EcdsaP256, Self::EcdsaP384, Self::EcdsaP521];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::EcdsaP521 => "ecdsa-p521",
            Self::MlDsa44 => "ml-dsa-44",
            Self::MlDsa65 => "ml-dsa-65",
            Self::MlDsa87 => "ml-dsa-87",
        }
    }

    /// Whether certificates for the public may have such keys: BR 6.1.5 knows no ML-DSA.
    pub fn is_public(self) -> bool {
        Self::USUAL.contains(&self)
    }

    /// Whether this build can tell that somebody holds such a key: ring verifies no ML-DSA.
    pub fn is_available(self) -> bool {
        Self::USUAL.contains(&self) || cfg!(feature = "aws-lc-rs")
    }
}

/// A public key that was well formed and passed every check: only the constructors here make one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey(Kind);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// Big-endian, no leading zero octets.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// Coordinates of full length.
    Ec {
        curve: Curve,
        x: Vec<u8>,
        y: Vec<u8>,
    },
    Ed25519 {
        x: [u8; 32],
    },
    /// As FIPS 204 encodes it, of the set's length.
    MlDsa {
        set: MlDsa,
        key: Vec<u8>,
    },
}

/// A borrowed look inside a key, for those who verify with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyParts<'a> {
    /// RSA, big-endian without leading zeros.
    Rsa {
        /// The modulus.
        modulus: &'a [u8],
        /// The public exponent.
        exponent: &'a [u8],
    },
    /// A point on a curve, uncompressed: `04 || x || y`.
    Ec {
        /// Which curve.
        curve: Curve,
        /// The point.
        point: Vec<u8>,
    },
    /// An Ed25519 key.
    Ed25519(&'a [u8; 32]),
    /// An ML-DSA key, as FIPS 204 encodes it.
    MlDsa {
        /// Which parameters.
        set: MlDsa,
        /// The key.
        key: &'a [u8],
    },
}

impl PublicKey {
    /// What kind of key it is, among those that certificates can have; Ed25519 is for accounts alone.
    pub fn key_type(&self) -> Option<KeyType> {
        match &self.0 {
            Kind::Rsa { .. } => Some(KeyType::Rsa),
            Kind::Ec { curve: Curve::P256, .. } => Some(KeyType::EcdsaP256),
            Kind::Ec { curve: Curve::P384, .. } => Some(KeyType::EcdsaP384),
            Kind::Ec { curve: Curve::P521, .. } => Some(KeyType::EcdsaP521),
            Kind::Ed25519 { .. } => None,
            Kind::MlDsa { set, .. } => Some(set.key_type()),
        }
    }

    /// Reads a JWK (RFC 7517; RFC 8037 for Ed25519) and checks the key. Members that are not the key's are ignored. ML-DSA
    /// keys are for certificates alone, and have none here.
    ///
    /// # Errors
    /// [`BadKey`] if a member is missing or badly encoded, private parts are present, or a check fails.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, BadKey> {
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            if jwk.contains_key(private) {
                return Err(BadKey::new(
                    KeyFlaw::PrivateParts,
                    "the JWK has private parts: make a new key, this one must be thought known",
                ));
            }
        }
        match text(jwk, "kty")? {
            "RSA" => Self::rsa(&integer(jwk, "n")?, &integer(jwk, "e")?),
            "EC" => {
                let name = text(jwk, "crv")?;
                let curve = Curve::from_name(name).ok_or_else(|| {
                    unsupported(format!(
                        "the curve {} is not supported: use P-256, P-384 or P-521",
                        printable(name)
                    ))
                })?;
                Self::ec(curve, &octets(jwk, "x")?, &octets(jwk, "y")?)
            }
            "OKP" => match text(jwk, "crv")? {
                "Ed25519" => Self::ed25519(&octets(jwk, "x")?),
                other => {
                    Err(unsupported(format!("the curve {} is not supported: use Ed25519", printable(other))))
                }
            },
            other => Err(unsupported(format!(
                "the key type {} is not supported: use EC, RSA or OKP",
                printable(other)
            ))),
        }
    }

    /// Reads the DER of a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) and checks the key.
    ///
    /// # Errors
    /// [`BadKey`] if it is not DER, of an unknown algorithm, or fails a check.
    pub fn from_spki(der: &[u8]) -> Result<Self, BadKey> {
        let (algorithm, bits) = spki_parts(der).map_err(|_| malformed("the public key is not valid DER"))?;
        let Some((0, key)) = bits.split_first() else {
            return Err(malformed("the public key's bit string has unused bits"));
        };
        match algorithm {
            RSA_ALGORITHM => {
                let (modulus, exponent) =
                    rsa_numbers(key).map_err(|_| malformed("the RSA public key is not valid DER"))?;
                Self::rsa(without_zeros(modulus), without_zeros(exponent))
            }
            P256_ALGORITHM => Self::uncompressed(Curve::P256, key),
            P384_ALGORITHM => Self::uncompressed(Curve::P384, key),
            P521_ALGORITHM => Self::uncompressed(Curve::P521, key),
            ED25519_ALGORITHM => Self::ed25519(key),
            _ => match MlDsa::of_algorithm(algorithm).filter(|set| set.key_type().is_available()) {
                Some(set) => Self::ml_dsa(set, key),
                None => Err(unsupported(UNKNOWN_ALGORITHM)),
            },
        }
    }

    fn uncompressed(curve: Curve, point: &[u8]) -> Result<Self, BadKey> {
        match point.split_first() {
            Some((4, coordinates)) if coordinates.len() == 2 * curve.coordinate_bytes() => {
                let (x, y) = coordinates.split_at(curve.coordinate_bytes());
                Self::ec(curve, x, y)
            }
            _ => Err(unsupported("the key's point is not in uncompressed form")),
        }
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, BadKey> {
        weak::check_rsa(modulus, exponent)?;
        Ok(Self(Kind::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() }))
    }

    fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, BadKey> {
        // RFC 7518, section 6.2.1.2: the full size, leading zeros included.
        if x.len() != curve.coordinate_bytes() || y.len() != curve.coordinate_bytes() {
            let why = format!("the coordinates are not those of a point on {}: make a new key", curve.name());
            return Err(BadKey::new(KeyFlaw::NotOnCurve, why));
        }
        if !weak::is_on_curve(curve, x, y) {
            let why = format!("the point does not lie on {}: make a new key", curve.name());
            return Err(BadKey::new(KeyFlaw::NotOnCurve, why));
        }
        Ok(Self(Kind::Ec { curve, x: x.to_vec(), y: y.to_vec() }))
    }

    fn ed25519(x: &[u8]) -> Result<Self, BadKey> {
        let x: [u8; 32] = x.try_into().map_err(|_| malformed("an Ed25519 key has 32 bytes"))?;
        weak::check_ed25519(&x)?;
        Ok(Self(Kind::Ed25519 { x }))
    }

    fn ml_dsa(set: MlDsa, key: &[u8]) -> Result<Self, BadKey> {
        set.check(key)?;
        Ok(Self(Kind::MlDsa { set, key: key.to_vec() }))
    }

    /// DER of the key's SubjectPublicKeyInfo in its only form here (RFC 5280, section 4.1.2.7).
    pub fn to_spki(&self) -> Vec<u8> {
        let (algorithm, key) = match &self.0 {
            Kind::Rsa { modulus, exponent } => {
                let mut numbers = Writer::new();
                // A Writer goes backwards.
                numbers.wrap(der::tag::SEQUENCE, |numbers| {
                    numbers.unsigned_integer(exponent);
                    numbers.unsigned_integer(modulus);
                });
                (RSA_ALGORITHM, numbers.finish())
            }
            Kind::Ec { curve, x, y } => (curve.algorithm(), [&[4], x.as_slice(), y.as_slice()].concat()),
            Kind::Ed25519 { x } => (ED25519_ALGORITHM, x.to_vec()),
            Kind::MlDsa { set, key } => (set.algorithm(), key.clone()),
        };
        let mut spki = Writer::new();
        spki.wrap(der::tag::SEQUENCE, |spki| {
            spki.value(der::tag::BIT_STRING, &[&[0], key.as_slice()].concat());
            spki.raw(algorithm);
        });
        spki.finish()
    }

    /// SHA-256 of the key's SubjectPublicKeyInfo: what others name keys by.
    pub fn spki_hash(&self) -> [u8; 32] {
        sha256(&self.to_spki())
    }

    /// The parts that verifying needs.
    pub fn parts(&self) -> KeyParts<'_> {
        match &self.0 {
            Kind::Rsa { modulus, exponent } => KeyParts::Rsa { modulus, exponent },
            Kind::Ec { curve, x, y } => {
                KeyParts::Ec { curve: *curve, point: [&[4], x.as_slice(), y.as_slice()].concat() }
            }
            Kind::Ed25519 { x } => KeyParts::Ed25519(x),
            Kind::MlDsa { set, key } => KeyParts::MlDsa { set: *set, key },
        }
    }

    /// The JWK of the key: required members only, in the order and form that RFC 7638, section 3 hashes.
    pub fn to_jwk(&self) -> String {
        match &self.0 {
            Kind::Rsa { modulus, exponent } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, base64url(exponent), base64url(modulus))
            }
            Kind::Ec { curve, x, y } => format!(
                r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                curve.name(),
                base64url(x),
                base64url(y)
            ),
            Kind::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url(x)),
            // RFC 9964.
            Kind::MlDsa { set, key } => {
                format!(r#"{{"alg":"{}","kty":"AKP","pub":"{}"}}"#, set.name(), base64url(key))
            }
        }
    }

    /// What kind of key it is, for people: `EC P-256`.
    pub fn kind_name(&self) -> String {
        match &self.0 {
            Kind::Rsa { modulus, .. } => format!("RSA {}", modulus.len() * 8),
            Kind::Ec { curve, .. } => format!("EC {}", curve.name()),
            Kind::Ed25519 { .. } => "Ed25519".to_owned(),
            Kind::MlDsa { set, .. } => set.name().to_owned(),
        }
    }

    /// The JWK thumbprint (RFC 7638) under SHA-256: the key's one name, wherever it came from.
    pub fn thumbprint(&self) -> [u8; 32] {
        sha256(self.to_jwk().as_bytes())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", base64url(&self.thumbprint()))
    }
}

/// A key in rows and records: its JWK with the required members alone.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    kty: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    crv: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<Bytes>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    alg: Option<Cow<'a, str>>,
    #[serde(default, rename = "pub", skip_serializing_if = "Option::is_none")]
    public: Option<Bytes>,
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let some = |bytes: &[u8]| Some(Bytes::from(bytes));
        let none =
            Stored { kty: "".into(), crv: None, n: None, e: None, x: None, y: None, alg: None, public: None };
        let stored = match &self.0 {
            Kind::Rsa { modulus, exponent } => {
                Stored { kty: "RSA".into(), n: some(modulus), e: some(exponent), ..none }
            }
            Kind::Ec { curve, x, y } => {
                Stored { kty: "EC".into(), crv: Some(curve.name().into()), x: some(x), y: some(y), ..none }
            }
            Kind::Ed25519 { x } => {
                Stored { kty: "OKP".into(), crv: Some("Ed25519".into()), x: some(x), ..none }
            }
            Kind::MlDsa { set, key } => {
                Stored { kty: "AKP".into(), alg: Some(set.name().into()), public: some(key), ..none }
            }
        };
        stored.serialize(serializer)
    }
}

/// Reads what the store holds: the checks were made when the key came in, and are not made again.
impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored { kty, crv, n, e, x, y, alg, public } = Stored::deserialize(deserializer)?;
        let bad = || serde::de::Error::custom("not a key of a known kind");
        let member = |value: Option<Bytes>| value.map(Bytes::into_vec).ok_or_else(bad);
        let kind = match (kty.as_ref(), crv.as_deref()) {
            ("RSA", None) => Kind::Rsa { modulus: member(n)?, exponent: member(e)? },
            ("EC", Some(name)) => {
                let curve = Curve::from_name(name).ok_or_else(bad)?;
                Kind::Ec { curve, x: member(x)?, y: member(y)? }
            }
            ("OKP", Some("Ed25519")) => Kind::Ed25519 { x: member(x)?.try_into().map_err(|_| bad())? },
            ("AKP", None) => {
                let set = alg.as_deref().and_then(MlDsa::from_name).ok_or_else(bad)?;
                Kind::MlDsa { set, key: member(public)? }
            }
            _ => return Err(bad()),
        };
        Ok(Self(kind))
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// The AlgorithmIdentifier, whole, and the contents of the BIT STRING.
fn spki_parts(der: &[u8]) -> Result<(&[u8], &[u8]), der::Error> {
    let mut outer = Reader::new(der);
    let mut info = outer.sequence()?;
    outer.finish()?;
    let algorithm = info.any()?.der;
    let bits = info.expect(der::tag::BIT_STRING)?;
    info.finish()?;
    Ok((algorithm, bits))
}

/// Modulus and exponent of an RSAPublicKey (RFC 8017, appendix A.1.1), both positive.
fn rsa_numbers(der: &[u8]) -> Result<(&[u8], &[u8]), der::Error> {
    let mut outer = Reader::new(der);
    let mut key = outer.sequence()?;
    outer.finish()?;
    let (modulus, exponent) = (key.integer()?, key.integer()?);
    key.finish()?;
    let negative = |number: &[u8]| number.first().is_some_and(|first| *first >= 0x80);
    if negative(modulus) || negative(exponent) {
        Err(der::Error::BadContents)
    } else {
        Ok((modulus, exponent))
    }
}

fn malformed(why: impl Into<String>) -> BadKey {
    BadKey::new(KeyFlaw::Malformed, why)
}

fn unsupported(why: impl Into<String>) -> BadKey {
    BadKey::new(KeyFlaw::Unsupported, why)
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Result<&'a str, BadKey> {
    jwk.get(member)
        .and_then(Value::as_str)
        .ok_or_else(|| malformed(format!("the JWK has no string member \"{member}\"")))
}

fn octets(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, BadKey> {
    from_base64url(text(jwk, member)?)
        .ok_or_else(|| malformed(format!("the JWK's member \"{member}\" is not base64url without padding")))
}

/// A Base64urlUInt (RFC 7518, section 2). Leading zero octets are not allowed there, but clients send them: they are cut.
fn integer(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, BadKey> {
    octets(jwk, member).map(|value| without_zeros(&value).to_vec())
}

fn without_zeros(value: &[u8]) -> &[u8] {
    let zeros = value.iter().take_while(|byte| **byte == 0).count();
    value.get(zeros..).unwrap_or_default()
}

fn printable(text: &str) -> String {
    text.chars().take(32).filter(|c| c.is_ascii_graphic()).collect()
}

#[cfg(test)]
mod tests;
