//! The little that the CA reads from certificates that come back to it.

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::serial::Serial;

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
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let serial = Serial::from_be_bytes(certificate.raw_serial())?;
        Some(Self { issuer: certificate.issuer().as_raw().to_vec(), serial })
    }
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
}
