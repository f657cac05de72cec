//! What a ceremony's file asks for, as checked types: every mistake is found at once, and those against the Baseline
//! Requirements name their section.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_protocol::crl::Entry;
use ingam_protocol::{Findings, Reason, Serial, Timestamp};

use super::contents;
use super::file::{Certificate, File, Issuer, Key, Kind, RevocationList, Revoked, Subject};
use super::keys::{KeyPlace, kind_of};
use crate::{KeyKind, is_country};

/// A day of a certificate's validity (BR 6.3.2).
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A root's days for the public (BR 7.1.2.1.1).
const PUBLIC_ROOT_DAYS: std::ops::RangeInclusive<u32> = 2922..=9132;
/// A CA's days elsewhere: a hundred years.
const CA_DAYS_MAX: u32 = 36_525;
/// A responder's certificate cannot be revoked, as it says that nobody should ask: it should end soon.
const RESPONDER_DAYS_MAX: u32 = 398;
/// BR 4.9.7: twelve months, of a year that is not a leap year.
const CRL_DAYS_MAX: u32 = 365;
/// More CAs than one CA will ever have certified.
const REVOKED_MAX: usize = 1000;
/// As many people as a transcript names.
const PRESENT_MAX: usize = 32;
/// As deep as hierarchies go.
const PATH_LENGTH_MAX: u8 = 8;
/// The upper bound of organizationName and commonName (RFC 5280, appendix A.1).
const NAME_CHARACTERS_MAX: usize = 64;
/// As long as a URL may be in a certificate.
const URL_BYTES_MAX: usize = 512;
/// anyPolicy (RFC 5280, section 4.2.1.4).
const ANY_POLICY: &str = "2.5.29.32.0";
/// The reserved policies (BR 7.1.6.1).
const RESERVED_POLICIES: [&str; 4] = ["2.23.140.1.2.1", "2.23.140.1.2.2", "2.23.140.1.2.3", "2.23.140.1.1"];

/// What a ceremony is to make.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) kind: Kind,
    pub(super) is_public: bool,
    pub(super) present: Vec<String>,
    pub(super) place: Option<String>,
    pub(super) act: Act,
}

/// What is signed.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Certificate(Box<CertificatePlan>),
    RevocationList(ListPlan),
    Request(RequestPlan),
}

/// What a certificate is to be.
#[derive(Clone, Debug)]
pub(super) struct CertificatePlan {
    pub(super) subject: SubjectPlan,
    /// Who signs; `None`: the key itself.
    pub(super) issuer: Option<IssuerPlan>,
    pub(super) validity: Duration,
    pub(super) not_before: Option<Timestamp>,
    pub(super) path_length: Option<u8>,
    pub(super) purposes: Vec<Purpose>,
    /// Dotted numbers.
    pub(super) policies: Vec<String>,
    pub(super) signs_ocsp: bool,
    pub(super) crl_url: Option<String>,
    pub(super) issuer_url: Option<String>,
    pub(super) ocsp_url: Option<String>,
    pub(super) file: PathBuf,
}

/// Whom a certificate is for.
#[derive(Clone, Debug)]
pub(super) enum SubjectPlan {
    /// A name of its own for this key.
    New(Box<Subject>, Box<KeySource>),
    /// Name and key of the certificate in this file.
    Existing(PathBuf),
}

/// Where the key comes from that is certified.
#[derive(Clone, Debug)]
pub(super) enum KeySource {
    /// It is made in the ceremony.
    Made(KeyKind, KeyPlace),
    /// It is there.
    Present(KeyPlace),
    /// It is elsewhere, and asks by the request in this file.
    Elsewhere(PathBuf),
}

/// Who signs.
#[derive(Clone, Debug)]
pub(super) struct IssuerPlan {
    pub(super) certificate: PathBuf,
    pub(super) key: KeyPlace,
}

/// An extended key usage that a CA certificate may have (BR 7.1.2.10.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    ServerAuth,
    ClientAuth,
}

/// What a CRL is to be.
#[derive(Clone, Debug)]
pub(super) struct ListPlan {
    pub(super) issuer: IssuerPlan,
    pub(super) before: Before,
    pub(super) next_update: Duration,
    pub(super) revoked: Vec<Entry>,
    pub(super) file: PathBuf,
}

/// What came before a CRL.
#[derive(Clone, Debug)]
pub(super) enum Before {
    /// The CRL in this file.
    Is(PathBuf),
    /// Whatever it was: the new one has this number.
    Number(u64),
}

/// What a request is to be.
#[derive(Clone, Debug)]
pub(super) struct RequestPlan {
    pub(super) subject: Subject,
    pub(super) key: KeySource,
    pub(super) file: PathBuf,
}

impl Plan {
    /// Reads what the file asks for. Paths in it are relative to `folder`. What was found before, by whoever read the
    /// file, is in `found`: nothing more is said about those keys.
    ///
    /// `None` if anything is wrong, which `found` then has.
    pub fn of(file: &File, folder: &Path, found: &mut Findings) -> Option<Self> {
        let Some(kind) = file.kind else {
            let fix = "write one of root, intermediate, cross-certificate, ocsp-responder, crl, request";
            found.error("kind", "is missing", fix);
            return None;
        };
        let mut reading = Reading { kind, is_public: file.public.unwrap_or(true), folder, found };
        reading.people(file);
        reading.sections(file);
        let act = match kind {
            Kind::Root | Kind::Intermediate | Kind::CrossCertificate | Kind::OcspResponder => {
                reading.certificate(file).map(Box::new).map(Act::Certificate)
            }
            Kind::Crl => reading.revocation_list(file).map(Act::RevocationList),
            Kind::Request => reading.request(file).map(Act::Request),
        };
        let is_public = reading.is_public;
        if found.clone().into_result().is_err() {
            return None;
        }
        Some(Self { kind, is_public, present: file.present.clone(), place: file.place.clone(), act: act? })
    }

    /// The file that the ceremony makes: the transcript lies beside it.
    pub fn output(&self) -> &Path {
        match &self.act {
            Act::Certificate(plan) => &plan.file,
            Act::RevocationList(plan) => &plan.file,
            Act::Request(plan) => &plan.file,
        }
    }
}

/// A file that is being read, and what was found so far.
struct Reading<'a> {
    kind: Kind,
    is_public: bool,
    folder: &'a Path,
    found: &'a mut Findings,
}

impl Reading<'_> {
    fn people(&mut self, file: &File) {
        let is_named =
            |text: &String| (1..=200).contains(&text.chars().count()) && !text.contains(char::is_control);
        self.found.require(
            (1..=PRESENT_MAX).contains(&file.present.len()) && file.present.iter().all(is_named),
            "present",
            "does not say who is there",
            "name 1 to 32 people, each in one line, with what they are there for: present = [\"Ann Lee, holds the key\"]",
        );
        self.found.require(
            file.place.as_ref().is_none_or(is_named),
            "place",
            "is no place that a transcript could name",
            "write one line of 1 to 200 characters, or leave it out",
        );
    }

    /// Sections that have no meaning in this kind of ceremony.
    fn sections(&mut self, file: &File) {
        use Kind::{Crl, CrossCertificate, Intermediate, OcspResponder, Request, Root};
        let sections: [(&str, bool, &[Kind]); 6] = [
            ("subject", file.subject.is_some(), &[Root, Intermediate, OcspResponder, Request]),
            ("key", file.key.is_some(), &[Root, Intermediate, OcspResponder, Request]),
            ("issuer", file.issuer.is_some(), &[Intermediate, CrossCertificate, OcspResponder, Crl]),
            (
                "certificate",
                file.certificate.is_some(),
                &[Root, Intermediate, CrossCertificate, OcspResponder],
            ),
            ("crl", file.crl.is_some(), &[Crl]),
            ("request", file.request.is_some(), &[Request]),
        ];
        for (name, is_there, kinds) in sections {
            let belongs = kinds.contains(&self.kind);
            let kind = self.kind.name();
            if is_there && !belongs {
                self.found.error(name, format!("has no meaning for kind = {kind:?}"), "remove the section");
            } else if !is_there && belongs && self.found.is_sound(name) {
                let fix = format!("add it, as config/ceremony/{kind}.toml shows");
                self.found.error(name, "is missing", fix);
            }
        }
    }

    fn path(&mut self, key: &str, given: Option<&PathBuf>) -> Option<PathBuf> {
        match given.filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => Some(self.folder.join(path)),
            None => {
                self.found.error(key, "is missing", "name a file; its path counts from this file's folder");
                None
            }
        }
    }

    fn certificate(&mut self, file: &File) -> Option<CertificatePlan> {
        let given = file.certificate.as_ref()?;
        let subject = match self.kind {
            Kind::CrossCertificate => {
                self.path("certificate.existing", given.existing.as_ref()).map(SubjectPlan::Existing)
            }
            _ => {
                let subject = file.subject.as_ref().and_then(|subject| self.subject(subject));
                let key = file.key.as_ref().and_then(|key| self.key(key));
                subject.zip(key).map(|(subject, key)| SubjectPlan::New(Box::new(subject), Box::new(key)))
            }
        };
        let issuer = match self.kind {
            Kind::Root => Some(None),
            _ => file.issuer.as_ref().and_then(|issuer| self.issuer(issuer)).map(Some),
        };
        let validity = self.validity(given);
        let not_before = self.not_before(given);
        let path_length = self.path_length(given);
        let purposes = self.purposes(given);
        let policies = self.policies(given);
        self.urls(given);
        self.leftover(given);
        let output = self.path("certificate.file", given.file.as_ref());
        Some(CertificatePlan {
            subject: subject?,
            issuer: issuer?,
            validity: validity?,
            not_before: not_before?,
            path_length,
            purposes: purposes?,
            policies: policies?,
            signs_ocsp: given.signs_ocsp.unwrap_or(self.kind == Kind::Intermediate),
            crl_url: given.crl_url.clone(),
            issuer_url: given.issuer_url.clone(),
            ocsp_url: given.ocsp_url.clone(),
            file: output?,
        })
    }

    /// BR 7.1.2.10.2, and RFC 5280, appendix A.1.
    fn subject(&mut self, given: &Subject) -> Option<Subject> {
        self.found.require(
            is_country(&given.country),
            "subject.country",
            format!("is {:?}", given.country),
            "give two upper-case letters that ISO 3166-1 assigns to a country, as in \"KR\"; a CA's subject has a countryName (BR 7.1.2.10.2)",
        );
        for (key, text) in [("organization", &given.organization), ("common_name", &given.common_name)] {
            let fits = (1..=NAME_CHARACTERS_MAX).contains(&text.chars().count())
                && text.trim() == text
                && !text.contains(char::is_control);
            self.found.require(
                fits,
                format!("subject.{key}"),
                format!("is {text:?}"),
                "give 1 to 64 characters in one line, without spaces at the ends (BR 7.1.2.10.2)",
            );
        }
        self.found.is_whole("subject").then(|| given.clone())
    }

    fn key(&mut self, given: &Key) -> Option<KeySource> {
        if let Some(request) = &given.request {
            let alone =
                given.location.is_none() && given.generate.is_none() && given.passphrase_file.is_none();
            self.found.require(
                alone && self.kind != Kind::Root && self.kind != Kind::Request,
                "key.request",
                "stands beside what says that the key is here, or in a ceremony whose key must be here",
                "give a request alone for a key that is elsewhere, and location for one that is here",
            );
            return self.path("key.request", Some(request)).map(KeySource::Elsewhere);
        }
        let place = self.place("key.location", given.location.as_deref(), given.passphrase_file.as_ref());
        let Some(wanted) = &given.generate else { return place.map(KeySource::Present) };
        let Some(kind) = kind_of(wanted) else {
            let all = KeyKind::ALL.into_iter().filter(|kind| kind.is_available()).map(KeyKind::name);
            let fix = format!("give one of {}", all.collect::<Vec<_>>().join(", "));
            self.found.error("key.generate", format!("is {wanted:?}"), fix);
            return None;
        };
        place.map(|place| KeySource::Made(kind, place))
    }

    fn place(&mut self, key: &str, location: Option<&str>, passphrase: Option<&PathBuf>) -> Option<KeyPlace> {
        let passphrase_file = passphrase.map(|path| self.folder.join(path));
        let Some(location) = location.filter(|location| !location.is_empty()) else {
            let fix = "name the key's file, whose path counts from this file's folder, or a PKCS #11 URI";
            self.found.error(key, "is missing", fix);
            return None;
        };
        match KeyPlace::read(location, self.folder, passphrase_file) {
            Ok(place) => Some(place),
            Err(why) => {
                let fix = "give the path of a PKCS #8 file in PEM, or a PKCS #11 URI";
                self.found.error(key, format!("is no place of a key: {why}"), fix);
                None
            }
        }
    }

    fn issuer(&mut self, given: &Issuer) -> Option<IssuerPlan> {
        let certificate = self.path("issuer.certificate", given.certificate.as_ref());
        let key = self.place("issuer.key", given.key.as_deref(), given.passphrase_file.as_ref());
        Some(IssuerPlan { certificate: certificate?, key: key? })
    }

    fn validity(&mut self, given: &Certificate) -> Option<Duration> {
        let key = "certificate.validity_days";
        let Some(days) = given.validity_days else {
            self.found.error(key, "is missing", "say how long the certificate is valid, in days");
            return None;
        };
        let (bounds, source) = match self.kind {
            Kind::Root if self.is_public => (PUBLIC_ROOT_DAYS, " (BR 7.1.2.1.1)"),
            Kind::OcspResponder => (1..=RESPONDER_DAYS_MAX, ", as nobody asks whether it was revoked"),
            _ => (1..=CA_DAYS_MAX, ""),
        };
        let fix = format!("set it to {} at least and {} at most{source}", bounds.start(), bounds.end());
        self.found.require(bounds.contains(&days), key, format!("is {days}"), fix);
        Some(DAY.saturating_mul(days))
    }

    /// `Some(None)`: the moment of the ceremony.
    fn not_before(&mut self, given: &Certificate) -> Option<Option<Timestamp>> {
        let Some(text) = &given.not_before else { return Some(None) };
        let read = moment(text);
        self.found.require(
            read.is_some(),
            "certificate.not_before",
            format!("is {text:?}"),
            "give a day as in \"2026-12-01\" or a moment as in \"2026-12-01T12:00:00Z\", or leave it out",
        );
        read.map(Some)
    }

    fn path_length(&mut self, given: &Certificate) -> Option<u8> {
        let key = "certificate.path_length";
        match (self.kind, given.path_length) {
            (Kind::Root, Some(_)) => {
                let fix =
                    "leave it out: a root's certificate has none (BR 7.1.2.1.4); give it to the CAs below";
                self.found.error(key, "limits a root", fix);
            }
            (Kind::OcspResponder, Some(_)) => {
                self.found.error(key, "is for CAs", "leave it out: a responder is none (BR 7.1.2.8.4)");
            }
            (Kind::Intermediate, None) => {
                let fix = "write 0 for an issuing CA, 1 for a CA with issuing CAs below it (BR 7.1.2.10.4)";
                self.found.error(key, "is missing", fix);
            }
            (_, Some(length)) => self.found.between(key, length, 0..=u64::from(PATH_LENGTH_MAX)),
            (_, None) => {}
        }
        given.path_length
    }

    fn purposes(&mut self, given: &Certificate) -> Option<Vec<Purpose>> {
        let key = "certificate.purposes";
        let mut purposes = Vec::new();
        for name in &given.purposes {
            match name.as_str() {
                "server-auth" if !purposes.contains(&Purpose::ServerAuth) => {
                    purposes.push(Purpose::ServerAuth)
                }
                "client-auth" if !purposes.contains(&Purpose::ClientAuth) => {
                    purposes.push(Purpose::ClientAuth)
                }
                other => {
                    let fix = "give \"server-auth\", and \"client-auth\" where that is needed, each once; a CA for TLS \
                               has no other purpose (BR 7.1.2.10.6)";
                    self.found.error(key, format!("has {other:?}"), fix);
                    return None;
                }
            }
        }
        match self.kind {
            Kind::Root if !purposes.is_empty() => {
                self.found.error(
                    key,
                    "is set for a root",
                    "leave it out: a root has no extKeyUsage (BR 7.1.2.1.2)",
                );
            }
            Kind::OcspResponder if !purposes.is_empty() => {
                let fix =
                    "leave it out: a responder's purpose is OCSPSigning and nothing else (BR 7.1.2.8.5)";
                self.found.error(key, "is set for a responder", fix);
            }
            Kind::Intermediate if self.is_public && !purposes.contains(&Purpose::ServerAuth) => {
                let fix = "write purposes = [\"server-auth\"] (BR 7.1.2.10.6)";
                self.found.error(key, "has no \"server-auth\"", fix);
            }
            Kind::CrossCertificate if self.is_public && purposes == [Purpose::ClientAuth] => {
                let fix = "add \"server-auth\", or leave all of it out for a CA of your own (BR 7.1.2.2.3)";
                self.found.error(key, "has \"client-auth\" alone", fix);
            }
            _ => {}
        }
        Some(purposes)
    }

    fn policies(&mut self, given: &Certificate) -> Option<Vec<String>> {
        let key = "certificate.policies";
        for policy in &given.policies {
            if contents::object_identifier(policy).is_none() {
                let fix = "give object identifiers in dotted numbers, as \"2.23.140.1.2.1\"";
                self.found.error(key, format!("has {policy:?}"), fix);
                return None;
            }
        }
        let distinct: BTreeSet<&String> = given.policies.iter().collect();
        let is_single = distinct.len() == given.policies.len();
        self.found.require(
            is_single,
            key,
            "has a policy twice",
            "write each once (RFC 5280, section 4.2.1.4)",
        );
        let is_any = distinct.iter().any(|policy| *policy == ANY_POLICY);
        let reserved = distinct.iter().filter(|policy| RESERVED_POLICIES.contains(&policy.as_str())).count();
        match self.kind {
            Kind::Root if !distinct.is_empty() => {
                self.found.error(key, "is set for a root", "leave it out (BR 7.1.2.1.2)");
            }
            Kind::OcspResponder if !distinct.is_empty() => {
                self.found.error(key, "is set for a responder", "leave it out (BR 7.1.2.8.8)");
            }
            Kind::Intermediate | Kind::CrossCertificate if self.is_public => {
                let fits = if is_any { distinct.len() == 1 } else { reserved == 1 };
                self.found.require(
                    fits,
                    key,
                    "has neither exactly one reserved policy nor anyPolicy alone",
                    "write [\"2.23.140.1.2.1\"] for certificates whose domains are validated; [\"2.5.29.32.0\"] only where \
                     the same organization operates both CAs (BR 7.1.2.10.5)",
                );
            }
            _ => {}
        }
        Some(given.policies.clone())
    }

    fn urls(&mut self, given: &Certificate) {
        let urls = [
            ("certificate.crl_url", &given.crl_url),
            ("certificate.issuer_url", &given.issuer_url),
            ("certificate.ocsp_url", &given.ocsp_url),
        ];
        for (key, url) in urls {
            let Some(url) = url else { continue };
            match self.kind {
                Kind::Root => {
                    self.found.error(
                        key,
                        "is set for a root",
                        "leave it out: nothing is above a root (BR 7.1.2.1.2)",
                    );
                }
                Kind::OcspResponder => {
                    let fix = "leave it out: a responder points to nothing (BR 7.1.2.8.2)";
                    self.found.error(key, "is set for a responder", fix);
                }
                _ => {
                    let host = url.strip_prefix("http://").unwrap_or_default();
                    let fits = !host.is_empty()
                        && url.len() <= URL_BYTES_MAX
                        && url.bytes().all(|byte| byte.is_ascii_graphic());
                    let fix = "give one that begins with http:// and has only visible ASCII characters \
                               (BR 7.1.2.10.3, 7.1.2.11.2)";
                    self.found.require(fits, key, format!("is {url:?}"), fix);
                }
            }
        }
        if self.is_public && matches!(self.kind, Kind::Intermediate | Kind::CrossCertificate) {
            let key = "certificate.crl_url";
            self.found.require(
                given.crl_url.is_some(),
                key,
                "is missing",
                "name where the issuer's CRL is published, http:// (BR 7.1.2.11.2)",
            );
            if given.issuer_url.is_none() {
                let fix =
                    "name where the issuer's certificate is, http:// (BR 7.1.2.10.3 says it should be there)";
                self.found.warning("certificate.issuer_url", "is missing", fix);
            }
        }
    }

    /// Keys that have a meaning for some kinds alone.
    fn leftover(&mut self, given: &Certificate) {
        let is_cross = self.kind == Kind::CrossCertificate;
        self.found.require(
            is_cross || given.existing.is_none(),
            "certificate.existing",
            "is for cross-certificates",
            "leave it out, or write kind = \"cross-certificate\"",
        );
        self.found.require(
            self.kind != Kind::OcspResponder || given.signs_ocsp.is_none(),
            "certificate.signs_ocsp",
            "is for CAs",
            "leave it out: a responder's key signs OCSP answers and nothing else (BR 7.1.2.8.6)",
        );
    }

    fn revocation_list(&mut self, file: &File) -> Option<ListPlan> {
        let given = file.crl.as_ref()?;
        let issuer = file.issuer.as_ref().and_then(|issuer| self.issuer(issuer));
        let before = match (&given.previous, given.number) {
            (Some(previous), None) => self.path("crl.previous", Some(previous)).map(Before::Is),
            (None, Some(number)) => {
                self.found.between("crl.number", number, 1..=u64::MAX >> 1);
                Some(Before::Number(number))
            }
            _ => {
                let fix =
                    "name the CRL before this one as previous; only where there is none, write number = 1";
                self.found.error("crl.previous", "is missing, or number stands beside it", fix);
                None
            }
        };
        let next_update = self.next_update(given);
        let revoked = self.revoked(given);
        let output = self.path("crl.file", given.file.as_ref());
        Some(ListPlan {
            issuer: issuer?,
            before: before?,
            next_update: next_update?,
            revoked: revoked?,
            file: output?,
        })
    }

    fn next_update(&mut self, given: &RevocationList) -> Option<Duration> {
        let key = "crl.next_update_days";
        let Some(days) = given.next_update_days else {
            self.found.error(
                key,
                "is missing",
                "say when the next one is there at the latest, in days: 365 at most",
            );
            return None;
        };
        let fix = format!("set it to 1 at least and {CRL_DAYS_MAX} at most (BR 4.9.7)");
        self.found.require((1..=CRL_DAYS_MAX).contains(&days), key, format!("is {days}"), fix);
        Some(DAY.saturating_mul(days))
    }

    fn revoked(&mut self, given: &RevocationList) -> Option<Vec<Entry>> {
        let key = "crl.revoked";
        if given.revoked.len() > REVOKED_MAX {
            self.found.error(key, "has more than 1000 entries", "leave out what is on the CRL before");
            return None;
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(given.revoked.len());
        for (number, revoked) in given.revoked.iter().enumerate() {
            let own = format!("{key}[{number}]");
            let entry = self.entry(&own, revoked);
            if let Some(entry) = entry {
                let is_new = entries.iter().all(|other| other.serial != entry.serial);
                self.found.require(is_new, own, "has a serial number that is there twice", "write each once");
                entries.push(entry);
            }
        }
        (entries.len() == given.revoked.len()).then_some(entries)
    }

    fn entry(&mut self, key: &str, given: &Revoked) -> Option<Entry> {
        let serial = Serial::from_hex(&given.serial.replace(':', ""));
        self.found.require(
            serial.is_some(),
            format!("{key}.serial"),
            format!("is {:?}", given.serial),
            "give the serial number in hexadecimal digits, as `openssl x509 -noout -serial` prints it",
        );
        let revoked_at = moment(&given.date);
        self.found.require(
            revoked_at.is_some(),
            format!("{key}.date"),
            format!("is {:?}", given.date),
            "give a day as in \"2026-12-01\" or a moment as in \"2026-12-01T12:00:00Z\"",
        );
        let reason = REASONS.into_iter().find(|reason| reason.to_string() == given.reason);
        self.found.require(
            reason.is_some(),
            format!("{key}.reason"),
            format!("is {:?}", given.reason),
            "give keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn: a CA's entry \
             says why (BR 7.2.2)",
        );
        Some(Entry { serial: serial?, revoked_at: revoked_at?, reason: reason? })
    }

    fn request(&mut self, file: &File) -> Option<RequestPlan> {
        let subject = file.subject.as_ref().and_then(|subject| self.subject(subject));
        let key = file.key.as_ref().and_then(|key| self.key(key));
        let output =
            file.request.as_ref().and_then(|request| self.path("request.file", request.file.as_ref()));
        Some(RequestPlan { subject: subject?, key: key?, file: output? })
    }
}

/// The reasons that a CA's entry may have (BR 7.2.2): one has to be given.
const REASONS: [Reason; 5] = [
    Reason::KeyCompromise,
    Reason::AffiliationChanged,
    Reason::Superseded,
    Reason::CessationOfOperation,
    Reason::PrivilegeWithdrawn,
];

/// A day, which begins at midnight UTC, or a moment.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::from_rfc3339(text).or_else(|| Timestamp::from_rfc3339(&format!("{text}T00:00:00Z")))
}
