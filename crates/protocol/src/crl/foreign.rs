//! Lists that another program wrote, as far as whoever passes them on needs to know them.

use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use crate::time::Timestamp;

/// What is known of a CRL in any form that RFC 5280 allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignList {
    /// From when it holds.
    pub this_update: Timestamp,
    /// When the next one is there at the latest.
    pub next_update: Timestamp,
}

impl ForeignList {
    /// Reads it from the DER of a CRL. `None` if it is none, has bytes behind it, is dated before 1970, or does not say when
    /// the next one comes (RFC 5280, section 5.1.2.5).
    pub fn read(der: &[u8]) -> Option<Self> {
        let list = parse(der)?;
        let moment = |time: ASN1Time| u64::try_from(time.timestamp()).ok().map(Timestamp::from_unix_s);
        Some(Self { this_update: moment(list.last_update())?, next_update: moment(list.next_update()?)? })
    }

    /// Whether the CA that a certificate (DER) is about has signed the list (DER): by its name, and by its key where
    /// that is of a kind that this build verifies.
    pub fn is_of(list: &[u8], certificate: &[u8]) -> bool {
        let (Some(list), Ok(([], certificate))) = (parse(list), X509Certificate::from_der(certificate))
        else {
            return false;
        };
        list.issuer().as_raw() == certificate.subject().as_raw()
            && matches!(
                list.verify_signature(certificate.public_key()),
                Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm)
            )
    }
}

fn parse(der: &[u8]) -> Option<CertificateRevocationList<'_>> {
    let (rest, list) = CertificateRevocationList::from_der(der).ok()?;
    rest.is_empty().then_some(list)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
        KeyIdMethod, KeyPair, SerialNumber, date_time_ymd,
    };

    use super::*;

    /// The certificate and the list of a CA of this name.
    fn made(name: &str) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 11, 1),
            next_update: date_time_ymd(2027, 11, 1),
            crl_number: SerialNumber::from(7),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&Issuer::new(params, key)).unwrap();
        (certificate.der().to_vec(), list.der().to_vec())
    }

    #[test]
    fn the_lists_of_other_makers_tell_when_they_end_and_whose_they_are() {
        let ((own, list), (namesake, _), (other, _)) = (made("root"), made("root"), made("other"));
        let read = ForeignList::read(&list).unwrap();
        assert_eq!(read.this_update, Timestamp::from_rfc3339("2026-11-01T00:00:00Z").unwrap());
        assert_eq!(read.next_update, Timestamp::from_rfc3339("2027-11-01T00:00:00Z").unwrap());
        assert!(ForeignList::is_of(&list, &own));
        assert!(!ForeignList::is_of(&list, &namesake) && !ForeignList::is_of(&list, &other));
        assert!(!ForeignList::is_of(&own, &own) && !ForeignList::is_of(&list, &list));
        let longer = [list.as_slice(), &[0]].concat();
        assert_eq!((ForeignList::read(&longer), ForeignList::read(&own)), (None, None));
    }
}
