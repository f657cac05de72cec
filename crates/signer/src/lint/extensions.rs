//! The extensions of a subscriber's certificate: those that its profile has, each once, and no other (BR 7.1.2.7.6).
//! [`kinds`] lists them.
//!
//! Each value is read and its meaning compared, which gives the finding its name; then its bytes are compared with the
//! one encoding that this meaning has.

use std::net::IpAddr;
use std::time::Duration;

use ingam_protocol::der::{Writer, tag};
use ingam_protocol::profile::{MustStaple, Profile, Purpose};
use ingam_protocol::transparency::{POISON, SCT_LIST, SctList, policy};
use ingam_protocol::{Identifier, Serial, crl};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{
    AccessDescription, AuthorityInfoAccess, AuthorityKeyIdentifier, CRLDistributionPoint,
    CRLDistributionPoints, DistributionPointName, GeneralName, ParsedExtension, PolicyInformation,
    SubjectAlternativeName, X509Extension,
};

use super::{Expected, Finding, NO_SUBJECT, Stage, Verdict, der, require, subject_key};
use crate::key::key_identifier;
use crate::leaf::names_and_addresses;
use crate::{encode, leaf};

/// Values that have one right form, as the contents of extnValue.
const DIGITAL_SIGNATURE: &[u8] = b"\x03\x02\x07\x80";
const DIGITAL_SIGNATURE_KEY_ENCIPHERMENT: &[u8] = b"\x03\x02\x05\xa0";
const NO_CA: &[u8] = b"\x30\x00";
const MUST_STAPLE: &[u8] = b"\x30\x03\x02\x01\x05";

/// Contents of the OBJECT IDENTIFIERs id-ad-ocsp and id-ad-caIssuers.
const OCSP: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x30\x01";
const CA_ISSUERS: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x30\x02";

/// `keyIdentifier` of an AuthorityKeyIdentifier; `dNSName`, `iPAddress` and `uniformResourceIdentifier` of a GeneralName.
const KEY_IDENTIFIER: u8 = tag::context_primitive(0);
const DNS_NAME: u8 = tag::context_primitive(2);
const IP_ADDRESS: u8 = tag::context_primitive(7);
const URI: u8 = tag::context_primitive(6);

/// Contents of the OBJECT IDENTIFIER id-pe-tlsfeature (RFC 7633).
const TLS_FEATURE: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x01\x18";

/// Whether an extension is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Never,
    Maybe,
    Always,
}

impl Presence {
    fn of(is_there: bool) -> Self {
        if is_there { Self::Always } else { Self::Never }
    }
}

/// One kind of extension that certificates of some profile have.
struct Kind {
    /// The rule that a wrong one breaks.
    rule: &'static str,
    /// The contents of its OBJECT IDENTIFIER.
    identifier: &'static [u8],
    presence: Presence,
    is_critical: bool,
}

/// All kinds: there is no other extension (BR 7.1.2.7.6).
fn kinds(parsed: &X509Certificate<'_>, expected: &Expected<'_>) -> [Kind; 12] {
    let contents = &expected.profile.contents;
    let kind = |rule, identifier, presence, is_critical| Kind { rule, identifier, presence, is_critical };
    let (always, of) = (Presence::Always, Presence::of);
    // The other name says whose certificate it is where the subject is empty (RFC 5280, section 4.2.1.6).
    let is_nameless = parsed.subject().as_raw() == NO_SUBJECT;
    let with_access = contents.ocsp_pointer || contents.issuer_pointer;
    let with_policies = expected.profile.is_public || !contents.policies.is_empty();
    let must_staple = match (expected.request, contents.must_staple) {
        (Some(request), rule) => of(rule.answer(request.must_staple).unwrap_or_default()),
        (None, MustStaple::Requested) => Presence::Maybe,
        (None, rule) => of(rule == MustStaple::Always),
    };
    [
        kind("authority_key_identifier", b"\x55\x1d\x23", always, false),
        kind("subject_key_identifier", b"\x55\x1d\x0e", of(contents.subject_key_identifier), false),
        kind("key_usage", b"\x55\x1d\x0f", always, true),
        kind("extended_key_usage", b"\x55\x1d\x25", always, false),
        kind("basic_constraints", b"\x55\x1d\x13", always, true),
        kind("certificate_policies", b"\x55\x1d\x20", of(with_policies), false),
        kind("subject_alt_names", b"\x55\x1d\x11", always, is_nameless),
        kind("authority_information_access", b"\x2b\x06\x01\x05\x05\x07\x01\x01", of(with_access), false),
        kind("crl_distribution_points", b"\x55\x1d\x1f", of(contents.crl_pointer), false),
        kind("tls_feature", TLS_FEATURE, must_staple, false),
        kind("poison", POISON, of(expected.stage == Stage::Precertificate), true),
        // They come from logs, later: `check_logged`.
        kind("scts", SCT_LIST, Presence::Never, false),
    ]
}

/// Checks all extensions, and gives the subjectAltNames.
pub(super) fn check(
    parsed: &X509Certificate<'_>,
    expected: &Expected<'_>,
    key: subject_key::Kind,
) -> Verdict<Vec<Identifier>> {
    let kinds = kinds(parsed, expected);
    let mut seen: Vec<&[u8]> = Vec::with_capacity(kinds.len());
    let mut names = Vec::new();
    for extension in parsed.iter_extensions() {
        let identifier = extension.oid.as_bytes();
        require("extension_twice", !seen.contains(&identifier), "an extension is there twice")?;
        seen.push(identifier);
        let unknown = || unknown(extension);
        let kind = kinds.iter().find(|kind| kind.identifier == identifier).ok_or_else(unknown)?;
        require(kind.rule, kind.presence != Presence::Never, "it is there, and the profile has none")?;
        der::check(extension.value)?;
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(found) => {
                names = subject_alt_names(found, extension.value, expected)?;
            }
            _ if identifier == POISON => {
                require("poison", extension.value == [tag::NULL, 0], "the poison's value is not NULL")?;
            }
            _ => check_one(extension, expected, key, parsed)?,
        }
        let found = "an extension is critical and must not be, or the other way round";
        require("extension_critical", extension.critical == kind.is_critical, found)?;
    }
    match kinds.iter().find(|kind| kind.presence == Presence::Always && !seen.contains(&kind.identifier)) {
        None => Ok(names),
        Some(kind) => Err(Finding::new("extension_missing", format!("there is no {}", kind.rule))),
    }
}

/// That what came back from logs has no poison, and one list of SCTs that is not critical; of the rest, that it is DER.
pub(super) fn check_logged(parsed: &X509Certificate<'_>) -> Verdict {
    let mut seen: Vec<&[u8]> = Vec::new();
    for extension in parsed.iter_extensions() {
        let identifier = extension.oid.as_bytes();
        require("extension_twice", !seen.contains(&identifier), "an extension is there twice")?;
        seen.push(identifier);
        der::check(extension.value)?;
        require("poison", identifier != POISON, "it has the poison still")?;
        if identifier == SCT_LIST {
            scts(parsed, extension.value)?;
            let found = "an extension is critical and must not be, or the other way round";
            require("extension_critical", !extension.critical, found)?;
        }
    }
    require("extension_missing", seen.contains(&SCT_LIST), "there is no scts")
}

fn unknown(extension: &X509Extension<'_>) -> Finding {
    Finding::new("extension_unknown", format!("the extension {} is not allowed", extension.oid))
}

/// Holds the value of an extension against what it has to say.
fn check_one(
    extension: &X509Extension<'_>,
    expected: &Expected<'_>,
    key: subject_key::Kind,
    parsed: &X509Certificate<'_>,
) -> Verdict {
    let (value, profile) = (extension.value, expected.profile);
    match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(identifier) => {
            authority_key(identifier, value, &expected.ca.key_identifier)
        }
        ParsedExtension::SubjectKeyIdentifier(identifier) => {
            let wanted = key_identifier(&parsed.public_key().subject_public_key.data);
            let same = identifier.0 == wanted && value == encoded(|writer| writer.octet_string(&wanted));
            require("subject_key_identifier", same, "not the identifier of the subject's key")
        }
        ParsedExtension::KeyUsage(_) => {
            let wanted = match key {
                subject_key::Kind::Rsa(_) if profile.contents.key_encipherment => {
                    DIGITAL_SIGNATURE_KEY_ENCIPHERMENT
                }
                _ => DIGITAL_SIGNATURE,
            };
            require("key_usage", value == wanted, "not what this kind of key is for in this profile")
        }
        ParsedExtension::ExtendedKeyUsage(_) => {
            let wanted = encoded(|writer| {
                writer.wrap(tag::SEQUENCE, |purposes| {
                    let contents = profile.contents.purposes.iter().rev().map(Purpose::contents);
                    contents.for_each(|purpose| purposes.object_identifier(&purpose));
                });
            });
            require("extended_key_usage", value == wanted, "not the profile's purposes, in its order")
        }
        ParsedExtension::BasicConstraints(_) => {
            require("basic_constraints", value == NO_CA, "not the empty sequence of one that is no CA")
        }
        ParsedExtension::CertificatePolicies(found) => policies(found, value, profile),
        ParsedExtension::AuthorityInfoAccess(access) => access_locations(access, value, expected),
        ParsedExtension::CRLDistributionPoints(points) => {
            let shard = Serial::from_be_bytes(parsed.raw_serial()).and_then(|serial| serial.shard());
            distribution_points(points, value, &expected.ca.issuer.urls.crl_of(shard))
        }
        ParsedExtension::UnsupportedExtension { oid } if oid.as_bytes() == TLS_FEATURE => {
            require("tls_feature", value == MUST_STAPLE, "not status_request alone")
        }
        _ => Err(unknown(extension)),
    }
}

/// As many as browsers ask for; whether the logs signed them is for those to look at who know the logs.
fn scts(parsed: &X509Certificate<'_>, value: &[u8]) -> Verdict {
    let list =
        SctList::parse_extension_value(value).map_err(|error| Finding::new("scts", error.to_string()))?;
    let (first, last) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    let length = u64::try_from(last.saturating_sub(first).saturating_add(1)).unwrap_or(u64::MAX);
    let enough = list.scts().len() >= policy::needed_for(Duration::from_secs(length)).scts;
    require("scts", enough, "fewer SCTs than browsers ask for with this validity")
}

fn policies(found: &[PolicyInformation<'_>], value: &[u8], profile: &Profile) -> Verdict {
    let wanted = leaf::policies(profile);
    let is_plain = |policy: &PolicyInformation<'_>| policy.policy_qualifiers.is_none();
    let same = found.iter().all(is_plain)
        && found.iter().map(|policy| policy.policy_id.as_bytes()).eq(wanted.iter().map(Vec::as_slice));
    let holds = same && value == encode::policies(&wanted);
    require("certificate_policies", holds, "not the profile's policies, in its order and without qualifiers")
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

fn subject_alt_names(
    names: &SubjectAlternativeName<'_>,
    value: &[u8],
    expected: &Expected<'_>,
) -> Verdict<Vec<Identifier>> {
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
    Ok(found)
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
    let contents = &expected.profile.contents;
    let ocsp = contents.ocsp_pointer.then_some((OCSP, urls.ocsp.as_str()));
    let issuer = contents.issuer_pointer.then_some((CA_ISSUERS, urls.issuer.as_str()));
    let wanted: Vec<(&[u8], &str)> = ocsp.into_iter().chain(issuer).collect();
    let same = access.accessdescs.len() == wanted.len()
        && access.accessdescs.iter().zip(&wanted).all(|(found, (method, url))| points_to(found, method, url));
    let canonical = encoded(|writer| {
        writer.wrap(tag::SEQUENCE, |descriptions| {
            for (method, url) in wanted.iter().rev() {
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
        "not the configured URLs that the profile has, OCSP before issuer",
    )
}

fn distribution_points(points: &CRLDistributionPoints<'_>, value: &[u8], list: &str) -> Verdict {
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
            points.wrap(tag::SEQUENCE, |point| crl::distribution_point_name(point, list));
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
