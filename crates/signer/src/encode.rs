//! The little DER that rcgen does not write for us: the frame around signed bytes, and some extensions.

use ingam_protocol::der::{Writer, tag};
use rcgen::CustomExtension;

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

/// What Authority Information Access says; at least one of both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccessUrls<'a> {
    /// Where OCSP answers.
    pub(crate) ocsp: Option<&'a str>,
    /// Where the issuer's certificate is.
    pub(crate) issuer: Option<&'a str>,
}

/// Authority Information Access (RFC 5280, section 4.2.2.1).
pub(crate) fn authority_information_access(urls: AccessUrls<'_>) -> CustomExtension {
    let value = access_descriptions(urls.issuer, urls.ocsp);
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

/// Contents of the OBJECT IDENTIFIER 2.23.140.1.2.1: control of the domain names was validated (BR 7.1.6.1).
pub(crate) const DOMAIN_VALIDATED: &[u8] = &[0x67, 0x81, 0x0c, 0x01, 0x02, 0x01];

/// The value of a certificatePolicies extension (RFC 5280, section 4.2.1.4): policies without qualifiers, in this order, by
/// the contents of their OBJECT IDENTIFIERs.
pub(crate) fn policies(policies: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |all| {
        for policy in policies.iter().rev() {
            all.wrap(tag::SEQUENCE, |information| information.object_identifier(policy));
        }
    });
    writer.finish()
}

/// The certificatePolicies extension with these.
pub(crate) fn policy_extension(all: &[Vec<u8>]) -> CustomExtension {
    CustomExtension::from_oid_content(&[2, 5, 29, 32], policies(all))
}

/// The certificatePolicies extension with the one policy "domain validated".
pub(crate) fn certificate_policies() -> CustomExtension {
    policy_extension(&[DOMAIN_VALIDATED.to_vec()])
}

/// basicConstraints of what is no CA (RFC 5280, section 4.2.1.9).
pub(crate) fn no_ca() -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 0x00]);
    extension.set_criticality(true);
    extension
}

/// id-pe-tlsfeature with the one feature `status_request` (RFC 7633).
pub(crate) fn must_staple() -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], vec![0x30, 0x03, 0x02, 0x01, 0x05])
}

/// The poison of precertificates (RFC 6962, section 3.1): critical, and known to nobody who verifies certificates.
pub(crate) fn poison() -> CustomExtension {
    let mut poison = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 3], vec![0x05, 0x00]);
    poison.set_criticality(true);
    poison
}
