//! The bytes that a ceremony has signed: a TBSCertificate (RFC 5280, section 4.1), and what a request asks by (RFC 2986),
//! written element by element, so that names go from one certificate into the next as they are.

use ingam_protocol::der::{Writer, tag};
use ingam_protocol::{Serial, Timestamp};

use super::file::Subject;
use super::plan::Purpose;
use crate::encode;

/// Contents of object identifiers: names (RFC 5280, appendix A.1).
const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Contents of object identifiers: extensions (RFC 5280, sections 4.2.1 and 4.2.2; RFC 6960, section 4.2.2.2.1).
pub(crate) const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub(crate) const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
pub(crate) const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 0x20];
pub(crate) const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
pub(crate) const AUTHORITY_INFORMATION_ACCESS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];
pub(crate) const OCSP_NO_CHECK: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x05];

/// Contents of object identifiers: purposes (RFC 5280, section 4.2.1.12).
const ID_KP_SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const ID_KP_CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
const ID_KP_OCSP_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09];

/// Tag of PrintableString, which a country's code is (RFC 5280, appendix A.1).
const PRINTABLE_STRING: u8 = 0x13;
const UTF8_STRING: u8 = 0x0c;
/// Tag of the GeneralName `uniformResourceIdentifier` (RFC 5280, section 4.2.1.6).
const URI: u8 = tag::context_primitive(6);

/// What a certificate says, all of it.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub(crate) serial: Serial,
    /// DER of the AlgorithmIdentifier of its signature.
    pub(crate) signature_algorithm: Vec<u8>,
    /// DER of the issuer's name.
    pub(crate) issuer: Vec<u8>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// DER of the subject's name.
    pub(crate) subject: Vec<u8>,
    /// DER of the SubjectPublicKeyInfo.
    pub(crate) public_key_info: Vec<u8>,
    pub(crate) subject_key_identifier: Vec<u8>,
    pub(crate) authority_key_identifier: Vec<u8>,
    pub(crate) role: Role,
}

/// What the subject is allowed to do.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// It is a CA.
    Authority {
        path_length: Option<u8>,
        signs_ocsp: bool,
        purposes: Vec<Purpose>,
        policies: Vec<String>,
        crl_url: Option<String>,
        issuer_url: Option<String>,
        ocsp_url: Option<String>,
    },
    /// It signs OCSP answers in the issuer's place (RFC 6960, section 4.2.2.2).
    Responder,
}

/// DER of the name that a ceremony's file asks for.
pub(super) fn name(subject: &Subject) -> Vec<u8> {
    name_of(Some(&subject.country), Some(&subject.organization), &subject.common_name)
}

/// DER of a name: each attribute in a set of its own, country first (BR 7.1.4.1).
pub(crate) fn name_of(country: Option<&str>, organization: Option<&str>, common_name: &str) -> Vec<u8> {
    let attribute = |identifier: &[u8], kind: u8, text: &str| {
        let pair = encode::sequence(&[
            &element(tag::OBJECT_IDENTIFIER, identifier),
            &element(kind, text.as_bytes()),
        ]);
        element(SET, &pair)
    };
    let country = country.map(|text| attribute(COUNTRY, PRINTABLE_STRING, text));
    let organization = organization.map(|text| attribute(ORGANIZATION, UTF8_STRING, text));
    let own = attribute(COMMON_NAME, UTF8_STRING, common_name);
    let all: Vec<&[u8]> = country.iter().chain(&organization).chain([&own]).map(Vec::as_slice).collect();
    encode::sequence(&all)
}

const SET: u8 = 0x31;

/// DER of a TBSCertificate.
pub(crate) fn certificate(contents: &Contents) -> Vec<u8> {
    let mut extensions = vec![
        extension(AUTHORITY_KEY_IDENTIFIER, false, &authority_key_identifier(contents)),
        extension(
            SUBJECT_KEY_IDENTIFIER,
            false,
            &element(tag::OCTET_STRING, &contents.subject_key_identifier),
        ),
    ];
    match &contents.role {
        Role::Authority { path_length, signs_ocsp, purposes, policies, crl_url, issuer_url, ocsp_url } => {
            extensions.push(extension(BASIC_CONSTRAINTS, true, &basic_constraints(*path_length)));
            extensions.push(extension(KEY_USAGE, true, &authority_key_usage(*signs_ocsp)));
            if !purposes.is_empty() {
                let identifiers: Vec<&[u8]> =
                    purposes.iter().map(|purpose| identifier_of(*purpose)).collect();
                extensions.push(extension(EXTENDED_KEY_USAGE, false, &identifiers_of(&identifiers)));
            }
            if !policies.is_empty() {
                extensions.push(extension(CERTIFICATE_POLICIES, false, &policies_of(policies)));
            }
            if let Some(url) = crl_url {
                extensions.push(extension(CRL_DISTRIBUTION_POINTS, false, &distribution_point(url)));
            }
            if issuer_url.is_some() || ocsp_url.is_some() {
                let value = encode::access_descriptions(issuer_url.as_deref(), ocsp_url.as_deref());
                extensions.push(extension(AUTHORITY_INFORMATION_ACCESS, false, &value));
            }
        }
        Role::Responder => {
            extensions.push(extension(KEY_USAGE, true, RESPONDER_KEY_USAGE));
            extensions.push(extension(EXTENDED_KEY_USAGE, false, &identifiers_of(&[ID_KP_OCSP_SIGNING])));
            extensions.push(extension(OCSP_NO_CHECK, false, &[tag::NULL, 0]));
        }
    }
    let extensions: Vec<&[u8]> = extensions.iter().map(Vec::as_slice).collect();
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |tbs| {
        tbs.value(tag::context(3), &encode::sequence(&extensions));
        tbs.raw(&contents.public_key_info);
        tbs.raw(&contents.subject);
        tbs.wrap(tag::SEQUENCE, |validity| {
            validity.time(contents.not_after);
            validity.time(contents.not_before);
        });
        tbs.raw(&contents.issuer);
        tbs.raw(&contents.signature_algorithm);
        tbs.unsigned_integer(contents.serial.as_bytes());
        // Version 3.
        tbs.value(tag::context(0), &[tag::INTEGER, 1, 2]);
    });
    writer.finish()
}

/// DER of a CertificationRequestInfo without attributes (RFC 2986, section 4.1).
pub(super) fn request(subject: &[u8], public_key_info: &[u8]) -> Vec<u8> {
    encode::sequence(&[&[tag::INTEGER, 1, 0], subject, public_key_info, &[tag::context(0), 0]])
}

fn element(kind: u8, contents: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(contents.len() + 4);
    writer.value(kind, contents);
    writer.finish()
}

fn extension(identifier: &[u8], is_critical: bool, value: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |extension| {
        extension.octet_string(value);
        if is_critical {
            extension.boolean_true();
        }
        extension.object_identifier(identifier);
    });
    writer.finish()
}

fn authority_key_identifier(contents: &Contents) -> Vec<u8> {
    encode::sequence(&[&element(tag::context_primitive(0), &contents.authority_key_identifier)])
}

fn basic_constraints(path_length: Option<u8>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.wrap(tag::SEQUENCE, |constraints| {
        if let Some(length) = path_length {
            constraints.unsigned_integer(&[length]);
        }
        constraints.boolean_true();
    });
    writer.finish()
}

/// keyCertSign and cRLSign, the sixth and seventh bit; digitalSignature, the first (RFC 5280, section 4.2.1.3). The last
/// bit of the octet is not used.
fn authority_key_usage(signs_ocsp: bool) -> Vec<u8> {
    vec![tag::BIT_STRING, 2, 1, if signs_ocsp { 0x86 } else { 0x06 }]
}

/// digitalSignature alone: seven bits are not used.
const RESPONDER_KEY_USAGE: &[u8] = &[tag::BIT_STRING, 2, 7, 0x80];

fn identifier_of(purpose: Purpose) -> &'static [u8] {
    match purpose {
        Purpose::ServerAuth => ID_KP_SERVER_AUTH,
        Purpose::ClientAuth => ID_KP_CLIENT_AUTH,
    }
}

fn identifiers_of(identifiers: &[&[u8]]) -> Vec<u8> {
    let all: Vec<Vec<u8>> =
        identifiers.iter().map(|identifier| element(tag::OBJECT_IDENTIFIER, identifier)).collect();
    encode::sequence(&all.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn policies_of(policies: &[String]) -> Vec<u8> {
    let all: Vec<Vec<u8>> = policies
        .iter()
        .filter_map(|policy| object_identifier(policy))
        .map(|identifier| encode::sequence(&[&element(tag::OBJECT_IDENTIFIER, &identifier)]))
        .collect();
    encode::sequence(&all.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// One distribution point whose name is one URL (RFC 5280, section 4.2.1.13).
fn distribution_point(url: &str) -> Vec<u8> {
    let full_name = element(tag::context(0), &element(URI, url.as_bytes()));
    encode::sequence(&[&encode::sequence(&[&element(tag::context(0), &full_name)])])
}

/// Contents of an object identifier from dotted numbers (X.690, section 8.19); `None` if it is none.
pub(super) fn object_identifier(dotted: &str) -> Option<Vec<u8>> {
    if dotted.len() > 64 {
        return None;
    }
    let read = |arc: &str| {
        let is_plain = arc.bytes().all(|byte| byte.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
        if is_plain { arc.parse::<u32>().ok() } else { None }
    };
    let arcs: Vec<u32> = dotted.split('.').map(read).collect::<Option<_>>()?;
    let [first, second, rest @ ..] = arcs.as_slice() else { return None };
    let fits = *first < 2 && *second < 40 || *first == 2;
    if !fits || rest.is_empty() {
        return None;
    }
    let mut contents = Vec::with_capacity(dotted.len());
    push_arc(&mut contents, first.checked_mul(40)?.checked_add(*second)?);
    for arc in rest {
        push_arc(&mut contents, *arc);
    }
    Some(contents)
}

/// Seven bits in each octet, the highest bit set in all but the last.
fn push_arc(contents: &mut Vec<u8>, arc: u32) {
    for shift in [28_u32, 21, 14, 7, 0] {
        let rest = arc >> shift;
        if rest > 0 || shift == 0 {
            let [low, ..] = (rest & 0x7f).to_le_bytes();
            contents.push(if shift == 0 { low } else { low | 0x80 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_identifiers_are_written_as_x690_says() {
        for (dotted, contents) in [
            ("2.23.140.1.2.1", &[0x67, 0x81, 0x0c, 0x01, 0x02, 0x01][..]),
            ("2.5.29.32.0", &[0x55, 0x1d, 0x20, 0x00]),
            ("1.3.6.1.4.1.4294967295", &[0x2b, 6, 1, 4, 1, 0x8f, 0xff, 0xff, 0xff, 0x7f]),
        ] {
            assert_eq!(object_identifier(dotted).as_deref(), Some(contents), "{dotted}");
        }
        for bad in
            ["", "1", "1.2", "3.1.1", "1.40.1", "2.5.a", "2.5.01", "2.5..1", "1.2.4294967296", "2.5.-1"]
        {
            assert_eq!(object_identifier(bad), None, "{bad}");
        }
    }
}
