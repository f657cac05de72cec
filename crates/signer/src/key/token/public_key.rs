//! Public halves and signatures in the forms of PKCS #11, turned into those of X.509 and back.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};
use cryptoki::session::Session;
use ingam_protocol::der::{Reader, Writer, tag};

use super::PublicHalf;
use super::access::Failure;
use crate::Error;
use crate::key::{Algorithm, KeyKind};

/// DER of the OBJECT IDENTIFIERs of curves, as CKA_EC_PARAMS has them (RFC 5480, section 2.1.1.1).
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
/// 65537.
const EXPONENT: &[u8] = &[1, 0, 1];

/// Reads a public key object.
pub(super) fn read(session: &Session, object: ObjectHandle) -> Result<PublicHalf, Failure> {
    let wanted = [
        AttributeType::EcParams,
        AttributeType::EcPoint,
        AttributeType::Modulus,
        AttributeType::PublicExponent,
    ];
    let key_type = session.get_attributes(object, &[AttributeType::KeyType])?;
    let (mut curve, mut point, mut modulus, mut exponent) = (None, None, None, None);
    let wanted = match key_type.as_slice() {
        [Attribute::KeyType(KeyType::EC)] => &wanted[..2],
        [Attribute::KeyType(KeyType::RSA)] => &wanted[2..],
        _ => return Err(unfit()),
    };
    for attribute in session.get_attributes(object, wanted)? {
        match attribute {
            Attribute::EcParams(bytes) => curve = Some(bytes),
            Attribute::EcPoint(bytes) => point = Some(bytes),
            Attribute::Modulus(bytes) => modulus = Some(bytes),
            Attribute::PublicExponent(bytes) => exponent = Some(bytes),
            _ => {}
        }
    }
    match (curve.as_deref(), point, modulus, exponent) {
        (Some(P256), Some(point), ..) => elliptic(Algorithm::EcdsaP256Sha256, 65, &point),
        (Some(P384), Some(point), ..) => elliptic(Algorithm::EcdsaP384Sha384, 97, &point),
        (None, None, Some(modulus), Some(exponent)) if (256..=513).contains(&modulus.len()) => {
            let mut writer = Writer::new();
            writer.wrap(tag::SEQUENCE, |key| {
                key.unsigned_integer(&exponent);
                key.unsigned_integer(&modulus);
            });
            Ok(PublicHalf { algorithm: Algorithm::RsaSha256, public_key: writer.finish() })
        }
        _ => Err(unfit()),
    }
}

fn unfit() -> Failure {
    Failure::Final("has a key that is neither on P-256, P-384 nor RSA of 2048 to 4096 bits".to_owned())
}

/// CKA_EC_POINT is the point inside an OCTET STRING; some tokens give it bare.
fn elliptic(algorithm: Algorithm, length: usize, point: &[u8]) -> Result<PublicHalf, Failure> {
    let bare = match point.first() {
        Some(4) if point.len() == length => Some(point),
        _ => Reader::new(point).expect(tag::OCTET_STRING).ok(),
    };
    match bare.filter(|bare| bare.len() == length && bare.first() == Some(&4)) {
        Some(bare) => Ok(PublicHalf { algorithm, public_key: bare.to_vec() }),
        None => Err(Failure::Final("has a key whose CKA_EC_POINT is no uncompressed point".to_owned())),
    }
}

/// DER of an ECDSA-Sig-Value (RFC 3279, section 2.2.3) from r and s of equal length (PKCS #11, section 2.3.1).
pub(super) fn ecdsa_signature(raw: &[u8]) -> Result<Vec<u8>, Error> {
    let (r, s) = raw.split_at(raw.len() / 2);
    if r.is_empty() || r.len() != s.len() || raw.len() > 132 {
        return Err(Error::Unavailable("the token gave an ECDSA signature of an odd length".to_owned()));
    }
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |value| {
        value.unsigned_integer(s);
        value.unsigned_integer(r);
    });
    Ok(writer.finish())
}

/// How a token makes a key: the mechanism, and what the public and the private half are to be. The private one signs and
/// does nothing else.
pub(super) fn templates(
    kind: KeyKind,
    label: &str,
    id: &[u8],
) -> (Mechanism<'static>, Vec<Attribute>, Vec<Attribute>) {
    let names = || [Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(id.to_vec())];
    let mut public = vec![Attribute::Token(true), Attribute::Private(false), Attribute::Verify(true)];
    public.extend(names());
    let mut private = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    private.extend(names());
    let rsa = |public: &mut Vec<Attribute>, bits: u64| {
        public.push(Attribute::ModulusBits(bits.into()));
        public.push(Attribute::PublicExponent(EXPONENT.to_vec()));
        Mechanism::RsaPkcsKeyPairGen
    };
    let elliptic = |public: &mut Vec<Attribute>, curve: &[u8]| {
        public.push(Attribute::EcParams(curve.to_vec()));
        Mechanism::EccKeyPairGen
    };
    let mechanism = match kind {
        KeyKind::EcdsaP256 => elliptic(&mut public, P256),
        KeyKind::EcdsaP384 => elliptic(&mut public, P384),
        KeyKind::Rsa2048 => rsa(&mut public, 2048),
        KeyKind::Rsa3072 => rsa(&mut public, 3072),
        KeyKind::Rsa4096 => rsa(&mut public, 4096),
    };
    (mechanism, public, private)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_and_s_become_integers_without_a_sign() {
        let raw = [&[0x80_u8][..], &[0; 31], &[0; 31], &[0x7f]].concat();
        let der = ecdsa_signature(&raw).unwrap();
        let mut outer = Reader::new(&der);
        let mut value = outer.sequence().unwrap();
        let r = value.integer().unwrap();
        assert_eq!((r.len(), r[..2].to_vec()), (33, vec![0, 0x80]));
        assert_eq!(value.integer().unwrap(), [0x7f]);
        for odd in [&[][..], &[1], &[1; 65], &[1; 134]] {
            assert!(ecdsa_signature(odd).is_err());
        }
    }

    #[test]
    fn a_point_is_read_in_both_forms() {
        let bare = [&[4][..], &[7; 64]].concat();
        let wrapped = [&[4, 65][..], &bare].concat();
        for point in [&bare, &wrapped] {
            let Ok(read) = elliptic(Algorithm::EcdsaP256Sha256, 65, point) else { panic!("{point:?}") };
            assert_eq!(read.public_key, bare);
        }
        for bad in [&[][..], &[4], &wrapped[1..60], &[2, 65]] {
            assert!(elliptic(Algorithm::EcdsaP256Sha256, 65, bad).is_err());
        }
    }
}
