//! Verifying under keys on P-521, which ring does not know. Nothing here signs.

use p521::ecdsa::signature::hazmat::PrehashVerifier;
use p521::ecdsa::{DerSignature, Signature, VerifyingKey};

/// The size of the curve's order, in bytes.
const ORDER_BYTES: usize = 66;

/// Whether `signature`, r and s of full length one after the other (RFC 7518, section 3.4), is that of the uncompressed
/// point over the digest.
pub(crate) fn is_signed_fixed(point: &[u8], digest: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| is_signed(point, digest, &signature))
}

/// The same for a signature in DER (RFC 3279, section 2.2.3), as certificates and their requests have it.
pub(crate) fn is_signed_der(point: &[u8], digest: &[u8], signature: &[u8]) -> bool {
    let signature = DerSignature::from_bytes(signature).and_then(Signature::try_from);
    signature.is_ok_and(|signature| is_signed(point, digest, &signature))
}

fn is_signed(point: &[u8], digest: &[u8], signature: &Signature) -> bool {
    // A digest is a number of at most as many bits as the order has: zeros in front change nothing. The library wants
    // them, as it takes none that is shorter than half of the order, and OpenSSL signs with SHA-256 where it is not told.
    let zeros = ORDER_BYTES.saturating_sub(digest.len());
    let number = [vec![0; zeros].as_slice(), digest].concat();
    VerifyingKey::from_sec1_bytes(point).is_ok_and(|key| key.verify_prehash(&number, signature).is_ok())
}

#[cfg(test)]
mod tests {
    use p521::ecdsa::SigningKey;
    use p521::ecdsa::signature::hazmat::PrehashSigner;
    use ring::digest::{SHA256, SHA384, SHA512, digest};

    use super::*;

    fn key(number: u8) -> (SigningKey, Vec<u8>) {
        let mut scalar = [0; ORDER_BYTES];
        scalar[ORDER_BYTES - 1] = number;
        let key = SigningKey::from_slice(&scalar).unwrap();
        let point = VerifyingKey::from(&key).to_encoded_point(false).as_bytes().to_vec();
        (key, point)
    }

    fn signed(key: &SigningKey, digest: &[u8]) -> Signature {
        let number = [vec![0; ORDER_BYTES - digest.len()].as_slice(), digest].concat();
        key.sign_prehash(&number).unwrap()
    }

    #[test]
    fn a_signature_holds_for_its_digest_and_key_in_its_own_form() {
        let ((key, point), (_, other)) = (key(1), key(2));
        for hash in [&SHA256, &SHA384, &SHA512] {
            let (good, bad) = (digest(hash, b"good"), digest(hash, b"bad"));
            let signature = signed(&key, good.as_ref());
            let (fixed, der) = (signature.to_bytes().to_vec(), signature.to_der().as_bytes().to_vec());
            assert!(is_signed_fixed(&point, good.as_ref(), &fixed));
            assert!(is_signed_der(&point, good.as_ref(), &der));
            assert!(
                !is_signed_fixed(&point, good.as_ref(), &der)
                    && !is_signed_der(&point, good.as_ref(), &fixed)
            );
            assert!(!is_signed_fixed(&point, bad.as_ref(), &fixed));
            assert!(!is_signed_fixed(&other, good.as_ref(), &fixed));
        }
    }

    #[test]
    fn what_is_no_signature_and_no_point_never_holds() {
        let (key, point) = key(3);
        let digest = digest(&SHA512, b"good");
        let fixed = signed(&key, digest.as_ref()).to_bytes().to_vec();
        let longer = [fixed.as_slice(), &[0]].concat();
        for bad in [&[][..], &fixed[1..], &fixed[..131], &longer, &[0; 132], &[0xff; 132]] {
            assert!(!is_signed_fixed(&point, digest.as_ref(), bad), "{} bytes", bad.len());
            assert!(!is_signed_der(&point, digest.as_ref(), bad), "{} bytes", bad.len());
        }
        for bad in [&[][..], &[0], &point[1..], &[4; 133]] {
            assert!(!is_signed_fixed(bad, digest.as_ref(), &fixed));
        }
    }
}
