//! The little DER that rcgen does not write for us: the frame around signed bytes, and three extensions.

use ingam_protocol::der::{Writer, tag};
use rcgen::CustomExtension;

use crate::IssuerUrls;

/// Contents of the OBJECT IDENTIFIER id-ad-ocsp (RFC 5280, section 4.2.2.1).
const ID_AD_OCSP: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
/// Contents of the OBJECT IDENTIFIER id-ad-caIssuers (RFC 5280, section 4.2.2.1).
const ID_AD_CA_ISSUERS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
/// Tag of the GeneralName `uniformResourceIdentifier` (RFC 5280, section 4.2.1.6).
const URI: u8 = tag::context_primitive(6);

/// A DER SEQUENCE of parts that are DER themselves.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut writer = Writer::with_capacity(length + 6);
    writer.wrap(tag::SEQUENCE, |inner| {
        for part in parts.iter().rev() {
            inner.raw(part);
        }
    });
    writer.finish()
}

/// A Certificate (RFC 5280, section 4.1): the TBSCertificate, DER of the AlgorithmIdentifier, the signature's octets.
pub(crate) fn certificate(tbs: &[u8], algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(tbs.len() + algorithm.len() + signature.len() + 16);
    writer.wrap(tag::SEQUENCE, |certificate| {
        certificate.bit_string(signature);
        certificate.raw(algorithm);
        certificate.raw(tbs);
    });
    writer.finish()
}

/// Authority Information Access (RFC 5280, section 4.2.2.1): where OCSP answers, if that is to be said, and where the
/// issuer's certificate is.
pub(crate) fn authority_information_access(urls: &IssuerUrls, with_ocsp: bool) -> CustomExtension {
    let ocsp = with_ocsp.then_some(urls.ocsp.as_str());
    let value = access_descriptions(Some(&urls.issuer), ocsp);
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], value)
}

/// The value of an authorityInfoAccess extension: OCSP first, then the issuer's certificate.
pub(crate) fn access_descriptions(issuer: Option<&str>, ocsp: Option<&str>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |descriptions| {
        for (method, url) in [(ID_AD_CA_ISSUERS, issuer), (ID_AD_OCSP, ocsp)] {
            let Some(url) = url else { continue };
            descriptions.wrap(tag::SEQUENCE, |description| {
                description.value(URI, url.as_bytes());
                description.object_identifier(method);
            });
        }
    });
    writer.finish()
}

/// The value of a certificatePolicies extension (RFC 5280, section 4.2.1.4) with the one policy 2.23.140.1.2.1:
/// control of the domain names was validated (BR 7.1.6.1).
pub(crate) const DOMAIN_VALIDATED: &[u8] =
    &[0x30, 0x0a, 0x30, 0x08, 0x06, 0x06, 0x67, 0x81, 0x0c, 0x01, 0x02, 0x01];

/// The certificatePolicies extension with the one policy "domain validated".
pub(crate) fn certificate_policies() -> CustomExtension {
    CustomExtension::from_oid_content(&[2, 5, 29, 32], DOMAIN_VALIDATED.to_vec())
}

/// id-pkix-ocsp-nocheck (RFC 6960, section 4.2.2.2.1), whose value is NULL: do not ask for this certificate's status.
pub(crate) fn ocsp_no_check() -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 48, 1, 5], vec![0x05, 0x00])
}
