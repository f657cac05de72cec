//! The extensions of a subscriber's certificate: these nine, each once, and no other (BR 7.1.2.7.6); one less where the
//! profile makes no claim, as then there are no certificatePolicies, and one less where it says nothing of revocation, as
//! then there are no cRLDistributionPoints.
//!
//! Each value is read and its meaning compared, which gives the finding its name; then its bytes are compared with the
//! one encoding that this meaning has.

use std::net::IpAddr;

use ingam_protocol::der::{Writer, tag};
use ingam_protocol::{Identifier, Serial, crl};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{
    AccessDescription, AuthorityInfoAccess, AuthorityKeyIdentifier, CRLDistributionPoint,
    CRLDistributionPoints, DistributionPointName, GeneralName, ParsedExtension, SubjectAlternativeName,
    X509Extension,
};

use super::subject_key::Kind;
use super::{Expected, Finding, Verdict, der, require};
use crate::encode::DOMAIN_VALIDATED;
use crate::key::key_identifier;
use crate::leaf::names_and_addresses;

/// Values that have one right form, as the contents of extnValue.
const DIGITAL_SIGNATURE: &[u8] = b"\x03\x02\x07\x80";
const DIGITAL_SIGNATURE_KEY_ENCIPHERMENT: &[u8] = b"\x03\x02\x05\xa0";
const SERVER_AUTH: &[u8] = b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
const NO_CA: &[u8] = b"\x30\x00";

/// Contents of the OBJECT IDENTIFIERs id-ad-ocsp and id-ad-caIssuers.
const OCSP: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x30\x01";
const CA_ISSUERS: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x30\x02";

/// `keyIdentifier` of an AuthorityKeyIdentifier; `dNSName`, `iPAddress` and `uniformResourceIdentifier` of a GeneralName.
const KEY_IDENTIFIER: u8 = tag::context_primitive(0);
const DNS_NAME: u8 = tag::context_primitive(2);
const IP_ADDRESS: u8 = tag::context_primitive(7);
const URI: u8 = tag::context_primitive(6);

/// How many kinds of extension there must be at most.
const KINDS: usize = 9;

/// Checks all extensions.
pub(super) fn check(
    parsed: &X509Certificate<'_>,
    expected: &Expected<'_>,
    key: Kind,
    serial: &Serial,
) -> Verdict {
    let subject = Subject { key, public_key: &parsed.public_key().subject_public_key.data, serial };
    let mut seen: Vec<&[u8]> = Vec::with_capacity(KINDS);
    for extension in parsed.iter_extensions() {
        let kind = extension.oid.as_bytes();
        require("extension_twice", !seen.contains(&kind), "an extension is there twice")?;
        seen.push(kind);
        der::check(extension.value)?;
        check_one(extension, expected, &subject)?;
    }
    // Each was allowed and none was there twice, so that the count says whether all are there.
    let profile = expected.profile;
    let wanted = KINDS - usize::from(!profile.is_public) - usize::from(!profile.revocation_pointers);
    require("extension_missing", seen.len() == wanted, "an extension is missing")
}

/// What some of the extensions follow from.
struct Subject<'a> {
    /// What kind of key is certified.
    key: Kind,
    /// Contents of its BIT STRING.
    public_key: &'a [u8],
    serial: &'a Serial,
}

fn check_one(extension: &X509Extension<'_>, expected: &Expected<'_>, subject: &Subject<'_>) -> Verdict {
    let value = extension.value;
    let critical = match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(identifier) => {
            authority_key(identifier, value, &expected.ca.key_identifier)?;
            false
        }
        ParsedExtension::SubjectKeyIdentifier(identifier) => {
            let wanted = key_identifier(subject.public_key);
            let same = identifier.0 == wanted && value == encoded(|writer| writer.octet_string(&wanted));
            require("subject_key_identifier", same, "not the identifier of the subject's key")?;
            false
        }
        ParsedExtension::KeyUsage(_) => {
            let wanted = match subject.key {
                Kind::Rsa => DIGITAL_SIGNATURE_KEY_ENCIPHERMENT,
                Kind::EllipticCurve => DIGITAL_SIGNATURE,
            };
            require("key_usage", value == wanted, "not what this kind of key is for")?;
            true
        }
        ParsedExtension::ExtendedKeyUsage(_) => {
            require("extended_key_usage", value == SERVER_AUTH, "not serverAuth alone")?;
            false
        }
        ParsedExtension::BasicConstraints(_) => {
            require("basic_constraints", value == NO_CA, "not the empty sequence of one that is no CA")?;
            true
        }
        ParsedExtension::CertificatePolicies(_) => {
            let claimed = "there is a policy, and the profile makes no claim";
            require("certificate_policies", expected.profile.is_public, claimed)?;
            require("certificate_policies", value == DOMAIN_VALIDATED, "not 2.23.140.1.2.1 alone")?;
            false
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            subject_alt_names(names, value, expected)?;
            // The subject is empty (RFC 5280, section 4.2.1.6).
            true
        }
        ParsedExtension::AuthorityInfoAccess(access) => {
            access_locations(access, value, expected)?;
            false
        }
        ParsedExtension::CRLDistributionPoints(points) => {
            distribution_points(points, value, expected, subject.serial)?;
            false
        }
        _ => {
            return Err(Finding::new(
                "extension_unknown",
                format!("the extension {} is not allowed", extension.oid),
            ));
        }
    };
    let found = "an extension is critical and must not be, or the other way round";
    require("extension_critical", extension.critical == critical, found)
}

fn authority_key(found: &AuthorityKeyIdentifier<'_>, value: &[u8], wanted: &[u8]) -> Verdict {
    let same = found.key_identifier.as_ref().is_some_and(|identifier| identifier.0 == wanted);
    let alone = found.authority_cert_issuer.is_none() && found.authority_cert_serial.is_none();
    let canonical = encoded(|writer| {
        writer.wrap(tag::SEQUENCE, |identifier| identifier.value(KEY_IDENTIFIER, wanted));
    });
    let holds = same && alone && value == canonical;
    require("authority_key_identifier", holds, "not the issuer's subjectKeyIdentifier alone")
}

fn subject_alt_names(names: &SubjectAlternativeName<'_>, value: &[u8], expected: &Expected<'_>) -> Verdict {
    let rule = "subject_alt_names";
    let mut found = Vec::with_capacity(names.general_names.len());
    for name in &names.general_names {
        let identifier = identifier(name)?;
        if let Some(why) = expected.profile.identifiers.refuses(&identifier) {
            return Err(Finding::new("names_allowed", why));
        }
        found.push(identifier);
    }
    // Written anew from what was read: this fixes their order and that each is there once, too.
    let (texts, addresses) = names_and_addresses(&found);
    let canonical = encoded(|writer| {
        writer.wrap(tag::SEQUENCE, |names| {
            for address in addresses.iter().rev() {
                match address {
                    IpAddr::V4(address) => names.value(IP_ADDRESS, &address.octets()),
                    IpAddr::V6(address) => names.value(IP_ADDRESS, &address.octets()),
                }
            }
            texts.iter().rev().for_each(|text| names.value(DNS_NAME, text.as_bytes()));
        });
    });
    require(
        rule,
        value == canonical,
        "names are not sorted, one is there twice, or not encoded as names are",
    )?;
    let count_fits = (1..=expected.profile.names_max).contains(&found.len());
    require("names_count", count_fits, "no name, or more names than the profile allows")?;
    if let Some(request) = expected.request {
        let mut wanted = request.identifiers.clone();
        wanted.sort();
        wanted.dedup();
        found.sort();
        require("names_equal", wanted == found, "the names are not the requested ones")?;
    }
    Ok(())
}

fn identifier(name: &GeneralName<'_>) -> Verdict<Identifier> {
    let rule = "subject_alt_names";
    match name {
        GeneralName::DNSName(text) => {
            let identifier = Identifier::parse_dns(text)
                .map_err(|bad| Finding::new(rule, format!("a dNSName that is none: {bad}")))?;
            require(rule, identifier.to_string() == *text, "a dNSName is not in lower case")?;
            Ok(identifier)
        }
        GeneralName::IPAddress(octets) => Identifier::from_octets(octets)
            .ok_or_else(|| Finding::new(rule, "an iPAddress that has neither 4 nor 16 octets")),
        _ => Err(Finding::new(rule, "a name that is neither dNSName nor iPAddress")),
    }
}

fn access_locations(access: &AuthorityInfoAccess<'_>, value: &[u8], expected: &Expected<'_>) -> Verdict {
    let urls = &expected.ca.issuer.urls;
    let points_to = |description: &AccessDescription<'_>, method: &[u8], url: &str| {
        description.access_method.as_bytes() == method && description.access_location == GeneralName::URI(url)
    };
    let with_ocsp = expected.profile.revocation_pointers;
    let same = match access.accessdescs.as_slice() {
        [ocsp, issuer] if with_ocsp => {
            points_to(ocsp, OCSP, &urls.ocsp) && points_to(issuer, CA_ISSUERS, &urls.issuer)
        }
        [issuer] if !with_ocsp => points_to(issuer, CA_ISSUERS, &urls.issuer),
        _ => false,
    };
    let canonical = encoded(|writer| {
        writer.wrap(tag::SEQUENCE, |descriptions| {
            let ocsp = with_ocsp.then_some((OCSP, &urls.ocsp));
            for (method, url) in [(CA_ISSUERS, &urls.issuer)].into_iter().chain(ocsp) {
                descriptions.wrap(tag::SEQUENCE, |description| {
                    description.value(URI, url.as_bytes());
                    description.object_identifier(method);
                });
            }
        });
    });
    let same = same && value == canonical;
    require(
        "authority_information_access",
        same,
        "not the configured URLs: one for the issuer, and one for OCSP where the profile has it",
    )
}

fn distribution_points(
    points: &CRLDistributionPoints<'_>,
    value: &[u8],
    expected: &Expected<'_>,
    serial: &Serial,
) -> Verdict {
    let wanted = expected.profile.revocation_pointers;
    require("crl_distribution_points", wanted, "there is one, and the profile says nothing of revocation")?;
    let list = expected.ca.issuer.urls.crl_of(serial.shard());
    let same = match points.points.as_slice() {
        [
            CRLDistributionPoint {
                distribution_point: Some(DistributionPointName::FullName(names)),
                reasons: None,
                crl_issuer: None,
            },
        ] => matches!(names.as_slice(), [GeneralName::URI(url)] if *url == list),
        _ => false,
    };
    let canonical = encoded(|writer| {
        writer.wrap(tag::SEQUENCE, |points| {
            points.wrap(tag::SEQUENCE, |point| crl::distribution_point_name(point, &list));
        });
    });
    let found = "not the one URL of the list that the serial number belongs to";
    require("crl_distribution_points", same && value == canonical, found)
}

fn encoded(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.finish()
}
