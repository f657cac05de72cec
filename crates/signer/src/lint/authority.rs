//! The lint of certificates of CAs and of OCSP responders: the exact bytes are held against RFC 5280, against what was
//! asked for, and where they are for the public against the Baseline Requirements (7.1.2.1, 7.1.2.2, 7.1.2.6, 7.1.2.8).
//!
//! As for subscribers' certificates it is a list of what is allowed. What is read here was written by another hand: by the
//! ceremony, element by element.

use ingam_protocol::Timestamp;
use x509_parser::asn1_rs::Tag;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, KeyUsage, ParsedExtension, X509Extension};
use x509_parser::prelude::{AlgorithmIdentifier, FromDer, X509Version};
use x509_parser::x509::X509Name;

use super::{CERTIFICATE_SIZE_MAX, Finding, Verdict, der, filler, frame, moment, require, subject_key};
use crate::ca::SigningCa;
use crate::ceremony::contents::{self, Contents, Role};
use crate::ceremony::plan::Purpose;
use crate::encode;

/// A day, in seconds.
const DAY_S: u64 = 24 * 60 * 60;
/// How long a root for the public is valid, in days (BR 7.1.2.1.1).
const PUBLIC_ROOT_DAYS: std::ops::RangeInclusive<u64> = 2922..=9132;
/// Object identifiers of the two access methods (RFC 5280, section 4.2.2.1).
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";
const OCSP: &str = "1.3.6.1.5.5.7.48.1";

/// What a certificate is held against.
pub(crate) struct ExpectedAuthority<'a> {
    /// What was asked for.
    pub(crate) contents: &'a Contents,
    pub(crate) is_public: bool,
    /// When it is signed.
    pub(crate) now: Timestamp,
    /// What is known of the CA above; `None`: a root, whose own key signs.
    pub(crate) issuer: Option<Above>,
    /// How far back notBefore may lie: a day, or as far as that of the certificate that is there (BR 7.1.2.2.1).
    pub(crate) not_before_min: Timestamp,
}

/// What a CA's certificate says about those below it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Above {
    pub(crate) not_after: Timestamp,
    pub(crate) path_length: Option<u32>,
}

/// Holds a whole certificate, signed by whatever key, against every rule.
///
/// # Errors
/// `NAME: …` for the first rule that is broken.
pub(crate) fn certificate(whole: &[u8], expected: &ExpectedAuthority<'_>) -> Result<(), String> {
    judge(whole, expected).map_err(|Finding { rule, found }| format!("lint {rule}: {found}"))
}

/// Holds what is yet to be signed by an issuing CA against every rule.
///
/// # Errors
/// As [`certificate`].
pub(crate) fn unsigned(tbs: &[u8], ca: &SigningCa, expected: &ExpectedAuthority<'_>) -> Result<(), String> {
    let algorithm = ca.key.algorithm();
    certificate(&encode::certificate(tbs, algorithm.identifier(), &filler(algorithm)), expected)
}

fn judge(whole: &[u8], expected: &ExpectedAuthority<'_>) -> Verdict {
    require("size", whole.len() <= CERTIFICATE_SIZE_MAX, "the certificate is larger than 32 KiB")?;
    der::check(whole)?;
    let parsed = match X509Certificate::from_der(whole) {
        Ok(([], parsed)) => parsed,
        Ok(_) => return Err(Finding::new("parse", "bytes follow the certificate")),
        Err(error) => return Err(Finding::new("parse", error.to_string())),
    };
    frame::check(parsed.tbs_certificate.as_ref())?;
    require("version", parsed.version() == X509Version::V3, "not version 3")?;
    let no_ids = parsed.issuer_uid.is_none() && parsed.subject_uid.is_none();
    require("unique_identifiers", no_ids, "there is an issuerUniqueID or subjectUniqueID")?;
    serial(&parsed, expected)?;
    signature_algorithm(&parsed, expected)?;
    names(&parsed, expected)?;
    validity(&parsed, expected)?;
    let kind = subject_key::check(parsed.public_key())?;
    require("subject_key", kind.is_public(), "ceremonies make no certificates for keys of this kind")?;
    let same = parsed.public_key().raw == expected.contents.public_key_info;
    require("subject_key_equal", same, "the subject's key is not the one that was shown")?;
    extensions(&parsed, expected)
}

/// BR 7.1: 64 unpredictable bits, positive, below 2^159.
fn serial(parsed: &X509Certificate<'_>, expected: &ExpectedAuthority<'_>) -> Verdict {
    let octets = parsed.raw_serial();
    let positive = octets.first().is_some_and(|first| *first < 0x80);
    require("serial_positive", positive, "the serial number is negative or empty")?;
    require("serial_random", octets.len() > 8, "the serial number is too short to be random")?;
    require("serial_length", octets.len() <= 20, "the serial number has more than 20 octets")?;
    let same = octets == expected.contents.serial.as_bytes();
    require("serial_equal", same, "the serial number is not the one that was drawn")
}

fn signature_algorithm(parsed: &X509Certificate<'_>, expected: &ExpectedAuthority<'_>) -> Verdict {
    let same = match AlgorithmIdentifier::from_der(&expected.contents.signature_algorithm) {
        Ok((_, wanted)) => parsed.tbs_certificate.signature == wanted && parsed.signature_algorithm == wanted,
        Err(_) => false,
    };
    require("signature_algorithm", same, "not the signature algorithm of the issuer's key (BR 7.1.3.2)")
}

fn names(parsed: &X509Certificate<'_>, expected: &ExpectedAuthority<'_>) -> Verdict {
    let issuer = parsed.issuer().as_raw() == expected.contents.issuer;
    require("issuer_name", issuer, "not the issuer's subject, byte for byte (BR 7.1.4.1)")?;
    let subject = parsed.subject().as_raw() == expected.contents.subject;
    require("subject_equal", subject, "not the subject that was asked for")?;
    let is_own = parsed.issuer().as_raw() == parsed.subject().as_raw();
    let fits = is_own == expected.issuer.is_none();
    require(
        "subject_distinct",
        fits,
        "a root's issuer is itself, and nobody else's is (RFC 5280, section 3.2)",
    )?;
    if expected.is_public { public_name(parsed.subject()) } else { Ok(()) }
}

/// BR 7.1.2.10.2: country, organization and common name, each once.
fn public_name(name: &X509Name<'_>) -> Verdict {
    let once = |count: usize| count == 1;
    require("subject_country", once(name.iter_country().count()), "not one countryName (BR 7.1.2.10.2)")?;
    let found = "not one organizationName (BR 7.1.2.10.2)";
    require("subject_organization", once(name.iter_organization().count()), found)?;
    require(
        "subject_common_name",
        once(name.iter_common_name().count()),
        "not one commonName (BR 7.1.2.10.2)",
    )?;
    let is_country = name.iter_country().all(|country| {
        let printable = country.attr_value().header.tag() == Tag::PrintableString;
        printable && country.as_slice().len() == 2 && country.as_slice().iter().all(u8::is_ascii_uppercase)
    });
    let found = "the countryName is no PrintableString of two upper-case letters (BR 7.1.4.2)";
    require("subject_country", is_country, found)?;
    let short = name
        .iter_organization()
        .chain(name.iter_common_name())
        .all(|text| text.as_str().is_ok_and(|text| (1..=64).contains(&text.chars().count())));
    require("subject_length", short, "a name is empty or longer than 64 characters (RFC 5280, appendix A.1)")
}

/// BR 7.1.2.1.1, 7.1.2.2.1, 7.1.2.8.1 and 7.1.2.10.1.
fn validity(parsed: &X509Certificate<'_>, expected: &ExpectedAuthority<'_>) -> Verdict {
    let not_before = moment(&parsed.validity().not_before)?;
    let not_after = moment(&parsed.validity().not_after)?;
    let wanted = (expected.contents.not_before, expected.contents.not_after);
    require(
        "validity_equal",
        (not_before, not_after) == wanted,
        "the dates are not those that were asked for",
    )?;
    require("validity", not_before < not_after, "it ends before it begins")?;
    let near = not_before <= expected.now && not_before >= expected.not_before_min.whole_second();
    require(
        "not_before",
        near,
        "notBefore lies after the signing, or more than a day before (BR 7.1.2.10.1)",
    )?;
    match &expected.issuer {
        Some(above) => require("validity_issuer", not_after <= above.not_after, "it ends after its issuer"),
        None if expected.is_public => {
            let lasts_s = not_after.unix_s().saturating_add(1).saturating_sub(not_before.unix_s());
            let fits = (PUBLIC_ROOT_DAYS.start() * DAY_S..=PUBLIC_ROOT_DAYS.end() * DAY_S).contains(&lasts_s);
            require("validity_root", fits, "a root lasts 2922 to 9132 days (BR 7.1.2.1.1)")
        }
        None => Ok(()),
    }
}

fn extensions(parsed: &X509Certificate<'_>, expected: &ExpectedAuthority<'_>) -> Verdict {
    let mut found = Vec::new();
    for extension in parsed.extensions() {
        let identifier = extension.oid.as_bytes().to_vec();
        require("extension_twice", !found.contains(&identifier), "an extension is there twice")?;
        let critical = one(extension, expected)?;
        require(
            "extension_critical",
            extension.critical == critical,
            &format!("{} is critical where it must not be, or the other way round", extension.oid),
        )?;
        found.push(identifier);
    }
    for (identifier, name) in required(expected) {
        let is_there = found.iter().any(|found| found == identifier);
        require("extension_missing", is_there, &format!("{name} is missing"))?;
    }
    Ok(())
}

/// Which extensions have to be there.
fn required(expected: &ExpectedAuthority<'_>) -> Vec<(&'static [u8], &'static str)> {
    let mut wanted = vec![
        (contents::AUTHORITY_KEY_IDENTIFIER, "authorityKeyIdentifier"),
        (contents::SUBJECT_KEY_IDENTIFIER, "subjectKeyIdentifier"),
        (contents::KEY_USAGE, "keyUsage"),
    ];
    match &expected.contents.role {
        Role::Responder => {
            wanted.push((contents::EXTENDED_KEY_USAGE, "extKeyUsage"));
            wanted.push((contents::OCSP_NO_CHECK, "id-pkix-ocsp-nocheck"));
        }
        Role::Authority { purposes, policies, crl_url, issuer_url, ocsp_url, .. } => {
            let is_public_below = expected.is_public && expected.issuer.is_some();
            wanted.push((contents::BASIC_CONSTRAINTS, "basicConstraints"));
            if !purposes.is_empty() {
                wanted.push((contents::EXTENDED_KEY_USAGE, "extKeyUsage"));
            }
            if is_public_below || !policies.is_empty() {
                wanted.push((contents::CERTIFICATE_POLICIES, "certificatePolicies"));
            }
            if is_public_below || crl_url.is_some() {
                wanted.push((contents::CRL_DISTRIBUTION_POINTS, "cRLDistributionPoints"));
            }
            if issuer_url.is_some() || ocsp_url.is_some() {
                wanted.push((contents::AUTHORITY_INFORMATION_ACCESS, "authorityInfoAccess"));
            }
        }
    }
    wanted
}

/// Looks at one extension, and says whether it has to be critical.
fn one(extension: &X509Extension<'_>, expected: &ExpectedAuthority<'_>) -> Verdict<bool> {
    let wanted = expected.contents;
    match (extension.parsed_extension(), &wanted.role) {
        (ParsedExtension::SubjectKeyIdentifier(identifier), _) => {
            let same = identifier.0 == wanted.subject_key_identifier;
            require("subject_key_identifier", same, "not the key identifier that was asked for")?;
            Ok(false)
        }
        (ParsedExtension::AuthorityKeyIdentifier(identifier), _) => {
            let key = identifier.key_identifier.as_ref().map(|key| key.0);
            let alone =
                identifier.authority_cert_issuer.is_none() && identifier.authority_cert_serial.is_none();
            let fits = key == Some(wanted.authority_key_identifier.as_slice()) && alone;
            require(
                "authority_key_identifier",
                fits,
                "not the issuer's key identifier alone (BR 7.1.2.11.1)",
            )?;
            Ok(false)
        }
        (ParsedExtension::BasicConstraints(constraints), Role::Authority { path_length, .. }) => {
            require("basic_constraints", constraints.ca, "says that it is no CA")?;
            let same = constraints.path_len_constraint == path_length.map(u32::from);
            require("path_length", same, "not the path length that was asked for")?;
            path_length_fits(constraints.path_len_constraint, expected)?;
            Ok(true)
        }
        (ParsedExtension::KeyUsage(usage), role) => {
            key_usage(usage, role)?;
            Ok(true)
        }
        (ParsedExtension::ExtendedKeyUsage(usage), role) => {
            let (server, client, ocsp) = match role {
                Role::Responder => (false, false, true),
                Role::Authority { purposes, .. } => {
                    (purposes.contains(&Purpose::ServerAuth), purposes.contains(&Purpose::ClientAuth), false)
                }
            };
            let others = usage.any || usage.code_signing || usage.email_protection || usage.time_stamping;
            let same = (usage.server_auth, usage.client_auth, usage.ocsp_signing) == (server, client, ocsp);
            let fits = same && !others && usage.other.is_empty();
            require(
                "extended_key_usage",
                fits,
                "not the purposes that were asked for (BR 7.1.2.8.5, 7.1.2.10.6)",
            )?;
            Ok(false)
        }
        (ParsedExtension::CertificatePolicies(found), Role::Authority { policies, .. }) => {
            let plain = found.iter().all(|policy| policy.policy_qualifiers.is_none());
            let same =
                found.iter().map(|policy| policy.policy_id.to_id_string()).eq(policies.iter().cloned());
            require(
                "certificate_policies",
                plain && same,
                "not the policies that were asked for (BR 7.1.2.10.5)",
            )?;
            Ok(false)
        }
        (ParsedExtension::CRLDistributionPoints(points), Role::Authority { crl_url, .. }) => {
            let found: Vec<&str> = points
                .iter()
                .flat_map(|point| match (&point.distribution_point, &point.reasons, &point.crl_issuer) {
                    (Some(DistributionPointName::FullName(names)), None, None) => {
                        names.iter().map(url_of).collect()
                    }
                    _ => vec![""],
                })
                .collect();
            let fits = found.len() == 1 && found.first().copied() == crl_url.as_deref() && is_http(&found);
            require("crl_distribution_points", fits, "not the one URL that was asked for (BR 7.1.2.11.2)")?;
            Ok(false)
        }
        (ParsedExtension::AuthorityInfoAccess(access), Role::Authority { issuer_url, ocsp_url, .. }) => {
            let of = |method: &str| -> Vec<&str> {
                let own = access.accessdescs.iter();
                own.filter(|access| access.access_method.to_id_string() == method)
                    .map(|access| url_of(&access.access_location))
                    .collect()
            };
            let (issuers, ocsp) = (of(CA_ISSUERS), of(OCSP));
            let all = issuers.len() + ocsp.len() == access.accessdescs.len();
            let same = issuers == issuer_url.as_deref().into_iter().collect::<Vec<_>>()
                && ocsp == ocsp_url.as_deref().into_iter().collect::<Vec<_>>();
            let fits = all && same && is_http(&issuers) && is_http(&ocsp);
            require(
                "authority_information_access",
                fits,
                "not the URLs that were asked for (BR 7.1.2.10.3)",
            )?;
            Ok(false)
        }
        (_, Role::Responder) if extension.oid.as_bytes() == contents::OCSP_NO_CHECK => {
            require(
                "ocsp_no_check",
                extension.value == [0x05, 0x00],
                "its value is not NULL (RFC 6960, section 4.2.2.2.1)",
            )?;
            Ok(false)
        }
        _ => Err(Finding::new("extension_unknown", format!("{} does not belong here", extension.oid))),
    }
}

/// RFC 5280, section 4.2.1.9: a CA below another has less room than that one.
fn path_length_fits(own: Option<u32>, expected: &ExpectedAuthority<'_>) -> Verdict {
    let Some(above) = &expected.issuer else {
        return require("path_length", own.is_none(), "a root has no path length (BR 7.1.2.1.4)");
    };
    let fits = match (above.path_length, own) {
        (None, _) => true,
        (Some(room), Some(own)) => own < room,
        (Some(room), None) => room > 0,
    };
    require("path_length", fits, "the issuer's own path length leaves no room for this CA")
}

fn key_usage(usage: &KeyUsage, role: &Role) -> Verdict {
    let (signs_data, signs_certificates) = match role {
        Role::Responder => (true, false),
        Role::Authority { signs_ocsp, .. } => (*signs_ocsp, true),
    };
    let same = (usage.digital_signature(), usage.key_cert_sign(), usage.crl_sign())
        == (signs_data, signs_certificates, signs_certificates);
    let others = usage.non_repudiation()
        || usage.key_encipherment()
        || usage.data_encipherment()
        || usage.key_agreement()
        || usage.encipher_only()
        || usage.decipher_only();
    require("key_usage", same && !others, "not the usage that was asked for (BR 7.1.2.8.6, 7.1.2.10.7)")
}

fn url_of<'a>(name: &GeneralName<'a>) -> &'a str {
    match name {
        GeneralName::URI(url) => url,
        _ => "",
    }
}

fn is_http(urls: &[&str]) -> bool {
    urls.iter().all(|url| url.starts_with("http://"))
}
