//! The little that the CA reads from certificates that come back to it.

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::serial::Serial;
use crate::time::Timestamp;

/// What names a certificate: who issued it, and its serial number (RFC 5280, section 4.1.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// DER of the issuer's Name.
    pub issuer: Vec<u8>,
    /// The serial number.
    pub serial: Serial,
}

impl Names {
    /// Reads them from the DER of a certificate; `None` if it is none, or has bytes behind it.
    pub fn read(der: &[u8]) -> Option<Self> {
        let certificate = parse(der)?;
        let serial = Serial::from_be_bytes(certificate.raw_serial())?;
        Some(Self { issuer: certificate.issuer().as_raw().to_vec(), serial })
    }
}

/// From when to when a certificate is valid, both seconds included (RFC 5280, section 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub not_before: Timestamp,
    /// Its last second.
    pub not_after: Timestamp,
}

impl Validity {
    /// Reads it from the DER of a certificate; `None` if it is none, has bytes behind it, or is dated before 1970.
    pub fn read(der: &[u8]) -> Option<Self> {
        let certificate = parse(der)?;
        let validity = certificate.validity();
        let moment = |time: x509_parser::time::ASN1Time| {
            u64::try_from(time.timestamp()).ok().map(Timestamp::from_unix_s)
        };
        Some(Self { not_before: moment(validity.not_before)?, not_after: moment(validity.not_after)? })
    }
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_garbage_is_not() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let der = made.cert.der();
        assert!(Names::read(der).is_some());
        assert!(Names::read(&[der.as_ref(), &[0]].concat()).is_none());
        assert!(Names::read(&der[..der.len() - 1]).is_none());
    }
    #[test]
    fn validity_is_read_to_the_second() {
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let (first, last) = (Timestamp::from_unix_s(1_795_255_200), Timestamp::from_unix_s(1_803_031_199));
        (params.not_before, params.not_after) = (first.to_date_time(), last.to_date_time());
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let read = Validity::read(made.der()).unwrap();
        assert_eq!(read, Validity { not_before: first, not_after: last });
        assert_eq!(Validity::read(b"no certificate"), None);
    }
}
