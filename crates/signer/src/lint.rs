//! The lint: what a certificate may contain, and that this one contains nothing else (BR 4.3.1.2).
//!
//! It looks at the exact bytes that are about to be signed, without a signature of the CA, and knows nothing of how
//! they were built: it reads them with another library than the one that wrote them. It is a list of what is allowed.
//! What is not on the list is refused: an unknown extension, a name too many, a length that is not the shortest.
//!
//! [`Linted`] is the proof: only this module makes one, and nothing is signed that is not in one.

pub(crate) mod authority;
mod der;
mod extensions;
mod frame;
pub(crate) mod revocation_list;
mod subject_key;
#[cfg(test)]
mod tests;

use ingam_protocol::der::{Writer, tag};
use ingam_protocol::profile::{CommonName, Profile, Transparency};
use ingam_protocol::{Identifier, Serial, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{ASN1Time, AlgorithmIdentifier, FromDer, X509Version};

use crate::ca::SigningCa;
use crate::key::Algorithm;
use crate::leaf::Validity;
use crate::{CertificateRequest, Error, Kind, encode};

/// No certificate is larger: 100 names of 253 characters fit.
const CERTIFICATE_SIZE_MAX: usize = 32 * 1024;

/// From 2050 on, dates are written as GeneralizedTime (RFC 5280, section 4.1.2.5).
const FIRST_GENERALIZED_S: u64 = 2_524_608_000;

/// A subject that says nothing, and the contents of the OBJECT IDENTIFIER id-at-commonName.
const NO_SUBJECT: &[u8] = b"\x30\x00";
const COMMON_NAME: &[u8] = b"\x55\x04\x03";

/// What a certificate is held against.
pub(crate) struct Expected<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) ca: &'a SigningCa,
    /// What it was built from; none if its bytes come from a record.
    pub(crate) request: Option<&'a CertificateRequest>,
    pub(crate) stage: Stage,
}

/// Whether a certificate goes to transparency logs before it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It does not go there.
    Unlogged,
    /// It goes there now, with the poison.
    Precertificate,
}

impl Stage {
    /// At which certificates of a profile are first signed.
    pub(crate) fn first(profile: &Profile) -> Self {
        match profile.transparency {
            Transparency::None => Self::Unlogged,
            Transparency::Required => Self::Precertificate,
        }
    }

    /// By what the ledger knows a certificate at this stage.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Precertificate => Kind::Precertificate,
            Self::Unlogged => Kind::Certificate,
        }
    }
}

/// A TBSCertificate that passed every rule.
#[derive(Debug)]
pub(crate) struct Linted {
    tbs: Vec<u8>,
    serial: Serial,
    validity: Validity,
}

impl Linted {
    pub(crate) fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    pub(crate) fn into_tbs(self) -> Vec<u8> {
        self.tbs
    }

    pub(crate) fn serial(&self) -> &Serial {
        &self.serial
    }

    pub(crate) fn validity(&self) -> Validity {
        self.validity
    }
}

/// A rule that a certificate breaks: the rule's stable name, and what was found.
#[derive(Debug)]
struct Finding {
    rule: &'static str,
    found: String,
}

impl Finding {
    fn new(rule: &'static str, found: impl Into<String>) -> Self {
        Self { rule, found: found.into() }
    }
}

type Verdict<T = ()> = Result<T, Finding>;

/// A finding unless the condition holds.
fn require(rule: &'static str, holds: bool, found: &str) -> Verdict {
    if holds { Ok(()) } else { Err(Finding::new(rule, found)) }
}

/// Holds a TBSCertificate against every rule.
///
/// # Errors
/// [`Error::Refused`] names the first rule that is broken, as `lint NAME: …`.
pub(crate) fn certificate(tbs: Vec<u8>, expected: &Expected<'_>) -> Result<Linted, Error> {
    match judge(&tbs, expected) {
        Ok((serial, validity)) => Ok(Linted { tbs, serial, validity }),
        Err(finding) => Err(refused(finding)),
    }
}

/// Holds what came of a precertificate and SCTs against what has to be true of it whatever its profile says: that it is the
/// precertificate but for these, which passed every rule of its profile of then, is for the caller to see.
///
/// # Errors
/// As [`certificate`].
pub(crate) fn logged(tbs: Vec<u8>, ca: &SigningCa) -> Result<Linted, Error> {
    let judged = || {
        let wrapped = wrapped(&tbs, ca)?;
        let parsed = read(&wrapped, &tbs, ca)?;
        let serial = serial(&parsed)?;
        let validity = dates(&parsed)?;
        let within = validity.not_after <= ca.issuer.not_after;
        require("validity_issuer", within, "it ends after its issuer")?;
        extensions::check_logged(&parsed)?;
        Ok((serial, validity))
    };
    match judged() {
        Ok((serial, validity)) => Ok(Linted { tbs, serial, validity }),
        Err(finding) => Err(refused(finding)),
    }
}

fn refused(Finding { rule, found }: Finding) -> Error {
    Error::Refused(format!("lint {rule}: {found}"))
}

/// Serial number and dates of bytes that passed every rule before.
///
/// # Errors
/// [`Error::Refused`] if they cannot be read.
pub(crate) fn outline(tbs: &[u8], ca: &SigningCa) -> Result<(Serial, Validity), Error> {
    let unreadable = || Error::Refused("these bytes are no certificate of this issuer".to_owned());
    let algorithm = ca.key.algorithm();
    let wrapped = encode::certificate(tbs, algorithm.identifier(), &filler(algorithm));
    let (rest, parsed) = X509Certificate::from_der(&wrapped).map_err(|_| unreadable())?;
    let serial = Serial::from_be_bytes(parsed.raw_serial()).ok_or_else(unreadable)?;
    let dates = parsed.validity();
    let moment = |time: &ASN1Time| moment(time).map_err(|_| unreadable());
    let (not_before, not_after) = (moment(&dates.not_before)?, moment(&dates.not_after)?);
    if !rest.is_empty() || parsed.tbs_certificate.as_ref() != tbs {
        return Err(unreadable());
    }
    Ok((serial, Validity { not_before, not_after }))
}

fn judge(tbs: &[u8], expected: &Expected<'_>) -> Verdict<(Serial, Validity)> {
    let wrapped = wrapped(tbs, expected.ca)?;
    let parsed = read(&wrapped, tbs, expected.ca)?;
    let serial = serial(&parsed)?;
    let same = expected.request.is_none_or(|request| request.serial == serial);
    require("serial_equal", same, "the serial number is not the requested one")?;
    let validity = validity(&parsed, expected)?;
    let kind = subject_key::check(parsed.public_key())?;
    if let Some(request) = expected.request {
        let same = parsed.public_key().raw == request.public_key_info;
        require("subject_key_equal", same, "the subject's key is not the requested one, byte for byte")?;
    }
    subject_key::check_profile(kind, expected.profile)?;
    let names = extensions::check(&parsed, expected, kind)?;
    subject(&parsed, expected.profile.contents.common_name, &names)?;
    Ok((serial, validity))
}

/// A certificate with a signature in form alone.
fn wrapped(tbs: &[u8], ca: &SigningCa) -> Verdict<Vec<u8>> {
    let algorithm = ca.key.algorithm();
    let wrapped = encode::certificate(tbs, algorithm.identifier(), &filler(algorithm));
    require("size", wrapped.len() <= CERTIFICATE_SIZE_MAX, "the certificate would be larger than 32 KiB")?;
    Ok(wrapped)
}

/// Reads what [`wrapped`] gave, with what has to be true of every certificate of this issuer.
fn read<'a>(wrapped: &'a [u8], tbs: &[u8], ca: &SigningCa) -> Verdict<X509Certificate<'a>> {
    der::check(wrapped)?;
    frame::check(tbs)?;
    let parsed = match X509Certificate::from_der(wrapped) {
        Ok(([], parsed)) => parsed,
        Ok(_) => return Err(Finding::new("parse", "bytes follow the certificate")),
        Err(error) => return Err(Finding::new("parse", error.to_string())),
    };
    require(
        "parse",
        parsed.tbs_certificate.as_ref() == tbs,
        "there is more in it than a TBSCertificate has",
    )?;
    require("version", parsed.version() == X509Version::V3, "not version 3")?;
    signature_algorithm(&parsed, ca.key.algorithm())?;
    require(
        "issuer_name",
        parsed.issuer().as_raw() == ca.issuer.subject,
        "not the issuer's subject, byte for byte",
    )?;
    let no_ids = parsed.issuer_uid.is_none() && parsed.subject_uid.is_none();
    require("unique_identifiers", no_ids, "there is an issuerUniqueID or subjectUniqueID")?;
    Ok(parsed)
}

/// Nothing, or one common name: which, follows from the subjectAltNames alone.
fn subject(parsed: &X509Certificate<'_>, rule: CommonName, names: &[Identifier]) -> Verdict {
    let found = parsed.subject().as_raw();
    let Some(name) = rule.of(names) else {
        return require("subject_empty", found == NO_SUBJECT, "the subject is not empty");
    };
    let mut wanted = Writer::new();
    wanted.wrap(tag::SEQUENCE, |subject| {
        subject.wrap(tag::SET, |relative| {
            relative.wrap(tag::SEQUENCE, |attribute| {
                attribute.value(tag::UTF8_STRING, name.as_bytes());
                attribute.object_identifier(COMMON_NAME);
            });
        });
    });
    require("common_name", found == wanted.finish(), "the subject is not the first name that fits, alone")
}

/// A signature in form alone, made by no key: what is signed is looked at before any key is used.
fn filler(algorithm: Algorithm) -> Vec<u8> {
    // As long as the longest that the algorithm gives, so that the size is not underrated.
    let integer = |octets| [&[0x02, octets, 0x00, 0xff][..], &vec![0xff; usize::from(octets) - 2]].concat();
    match algorithm {
        Algorithm::EcdsaP256Sha256 => encode::sequence(&[&integer(33), &integer(33)]),
        Algorithm::EcdsaP384Sha384 => encode::sequence(&[&integer(49), &integer(49)]),
        Algorithm::RsaSha256 => vec![0xff; 512],
        #[cfg(feature = "aws-lc-rs")]
        Algorithm::EcdsaP521Sha512 => encode::sequence(&[&integer(67), &integer(67)]),
        // FIPS 204, section 4, table 2.
        #[cfg(feature = "aws-lc-rs")]
        Algorithm::MlDsa44 => vec![0xff; 2420],
        #[cfg(feature = "aws-lc-rs")]
        Algorithm::MlDsa65 => vec![0xff; 3309],
        #[cfg(feature = "aws-lc-rs")]
        Algorithm::MlDsa87 => vec![0xff; 4627],
    }
}

fn serial(parsed: &X509Certificate<'_>) -> Verdict<Serial> {
    let octets = parsed.raw_serial();
    let positive = octets.first().is_some_and(|first| *first < 0x80);
    require("serial_positive", positive, "the serial number is negative or empty")?;
    require("serial_length", octets.len() <= 20, "the serial number has more than 20 octets")?;
    let serial = Serial::from_be_bytes(octets)
        .ok_or_else(|| Finding::new("serial_positive", "the serial number is zero"))?;
    // BR 7.1 wants 64 unpredictable bits: a number of fewer than 9 octets cannot be one of ours.
    require("serial_random", octets.len() > 8, "the serial number is too short to be random")?;
    Ok(serial)
}

fn signature_algorithm(parsed: &X509Certificate<'_>, algorithm: Algorithm) -> Verdict {
    let same = match AlgorithmIdentifier::from_der(algorithm.identifier()) {
        Ok((_, wanted)) => parsed.tbs_certificate.signature == wanted && parsed.signature_algorithm == wanted,
        Err(_) => false,
    };
    require("signature_algorithm", same, "not the signature algorithm of the issuer's key")
}

fn dates(parsed: &X509Certificate<'_>) -> Verdict<Validity> {
    let not_before = moment(&parsed.validity().not_before)?;
    let not_after = moment(&parsed.validity().not_after)?;
    Ok(Validity { not_before, not_after })
}

fn validity(parsed: &X509Certificate<'_>, expected: &Expected<'_>) -> Verdict<Validity> {
    let found = dates(parsed)?;
    let Validity { not_before, not_after } = found;
    let lasts = not_after.unix_s().saturating_add(1).checked_sub(not_before.unix_s());
    let longest = expected.profile.validity.as_secs();
    let shortest = expected.profile.validity_min.map_or(longest, |shortest| shortest.as_secs());
    let fits = lasts.is_some_and(|lasts| (shortest..=longest).contains(&lasts));
    require("validity", fits, "it does not last as long as the profile says")?;
    if let Some(request) = expected.request {
        // BR 7.1.2.7: notBefore lies within 48 hours of the signing.
        let near = not_before.unix_s().abs_diff(request.now.unix_s()) <= 48 * 60 * 60;
        require("not_before", near, "notBefore is more than 48 hours away")?;
    }
    let within = not_after <= expected.ca.issuer.not_after;
    require("validity_issuer", within, "it ends after its issuer")?;
    let backdate_fits = expected.profile.backdate.as_secs() <= 48 * 60 * 60;
    require("backdate", backdate_fits, "the profile puts notBefore back by more than 48 hours")?;
    let same = expected.request.is_none_or(|request| Validity::of(request) == found);
    require("validity_equal", same, "the dates are not the requested ones")?;
    Ok(found)
}

fn moment(time: &ASN1Time) -> Verdict<Timestamp> {
    let seconds = u64::try_from(time.timestamp()).map_err(|_| Finding::new("date", "a date before 1970"))?;
    let short_form = seconds < FIRST_GENERALIZED_S;
    require("date", time.is_utctime() == short_form, "UTCTime is for dates up to 2049, and for those alone")?;
    Ok(Timestamp::from_unix_s(seconds))
}
