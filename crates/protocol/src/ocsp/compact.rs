//! What answers come down to in a table of many: most of their bytes follow from who was asked for, who signed and when, so that
//! little more than signatures has to be kept.

use crate::der::{Reader, Writer, tag};
use crate::ocsp::CertId;
use crate::serial::Serial;

/// DER of the AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758, section 3.2).
pub const ECDSA_SHA256: &[u8] = &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// Both numbers of an ECDSA signature on P-256 (RFC 3279, section 2.2.3), 32 bytes each; `None` if it is none.
pub fn p256_numbers(signature: &[u8]) -> Option<[u8; 64]> {
    let mut reader = Reader::new(signature);
    let mut numbers = reader.sequence().ok()?;
    reader.finish().ok()?;
    let mut fixed = [0; 64];
    for half in fixed.chunks_mut(32) {
        let number =
            numbers.integer().ok().filter(|number| number.first().is_some_and(|first| *first < 0x80))?;
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        let start = half.len().checked_sub(number.len())?;
        half.get_mut(start..)?.copy_from_slice(number);
    }
    numbers.finish().ok()?;
    Some(fixed)
}

/// The signature with these numbers, DER.
pub fn p256_signature(numbers: &[u8; 64]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(72);
    let (r, s) = numbers.split_at(32);
    writer.wrap(tag::SEQUENCE, |sequence| {
        sequence.unsigned_integer(s);
        sequence.unsigned_integer(r);
    });
    writer.finish()
}

/// How CertIDs of one issuer begin that are written in one way: everything before the serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertIdForm(Vec<u8>);

impl CertIdForm {
    /// With a hash algorithm by the contents of its OBJECT IDENTIFIER, its parameters NULL, as most clients write it, and the
    /// issuer's hashes under it (RFC 6960, section 4.1.1).
    pub fn new(algorithm: &[u8], issuer_name_hash: &[u8], issuer_key_hash: &[u8]) -> Self {
        let mut writer = Writer::with_capacity(112);
        writer.octet_string(issuer_key_hash);
        writer.octet_string(issuer_name_hash);
        writer.wrap(tag::SEQUENCE, |identifier| {
            identifier.null();
            identifier.object_identifier(algorithm);
        });
        Self(writer.finish())
    }

    /// Whether a CertID is of this form.
    pub fn is_of(&self, cert_id: &CertId) -> bool {
        let contents = Reader::new(&cert_id.der).any().map(|element| element.contents);
        contents.is_ok_and(|contents| contents.starts_with(&self.0))
    }

    /// The serial number in a CertID of this form, by its DER; `None` for all others, and for what no certificate can have.
    pub fn serial_in(&self, cert_id: &[u8]) -> Option<Serial> {
        let mut outer = Reader::new(cert_id);
        let contents = outer.expect(tag::SEQUENCE).ok()?;
        outer.finish().ok()?;
        let mut rest = Reader::new(contents.strip_prefix(self.0.as_slice())?);
        let number = rest.integer().ok()?;
        rest.finish().ok()?;
        Serial::from_be_bytes(number).filter(|_| number.first().is_none_or(|first| *first < 0x80))
    }

    /// DER of the CertID for this serial number.
    pub fn cert_id(&self, serial: &Serial) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.0.len() + 28);
        writer.wrap(tag::SEQUENCE, |cert_id| {
            cert_id.unsigned_integer(serial.as_bytes());
            cert_id.raw(&self.0);
        });
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ocsp::{HashAlgorithm, parse_request};

    proptest! {
        #[test]
        fn signatures_come_back(numbers in proptest::array::uniform32(any::<u8>()), zeros in 0_usize..31) {
            let mut fixed = [0; 64];
            fixed[..32].copy_from_slice(&numbers);
            fixed[32 + zeros..].copy_from_slice(&numbers[zeros..]);
            prop_assume!(numbers[31] != 0);
            prop_assert_eq!(p256_numbers(&p256_signature(&fixed)), Some(fixed));
        }

        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
            if let Some(numbers) = p256_numbers(&bytes) {
                prop_assert_eq!(p256_signature(&numbers).len() <= bytes.len() + 1, true);
            }
        }

        #[test]
        fn cert_ids_are_those_that_clients_send(serial in proptest::collection::vec(1_u8.., 1..20)) {
            let serial = Serial::from_be_bytes(&serial).unwrap();
            for (algorithm, hash) in [(HashAlgorithm::Sha1, 20), (HashAlgorithm::Sha256, 32)] {
                let form = CertIdForm::new(algorithm.identifier(), &vec![1; hash], &vec![2; hash]);
                let cert_id = form.cert_id(&serial);
                let mut writer = Writer::new();
                for _ in 0..4 {
                    let inner = writer.finish();
                    writer = Writer::new();
                    writer.wrap(tag::SEQUENCE, |level| level.raw(if inner.is_empty() { &cert_id } else { &inner }));
                }
                let request = parse_request(&writer.finish()).unwrap();
                prop_assert_eq!(&request.cert_ids[0].der, &cert_id);
                prop_assert!(form.is_of(&request.cert_ids[0]));
                prop_assert_eq!(form.serial_in(&cert_id), Some(serial.clone()));
                prop_assert_eq!(form.serial_in(&[&cert_id[..], &[0]].concat()), None);
                prop_assert_eq!(request.cert_ids[0].serial.as_ref(), Some(&serial));
                let other = CertIdForm::new(algorithm.identifier(), &vec![1; hash], &vec![3; hash]);
                prop_assert!(!other.is_of(&request.cert_ids[0]));
                prop_assert_eq!(other.serial_in(&cert_id), None);
            }
        }
    }
}
