//! The transcript: what happened, for people. What it says of a certificate, a request or a CRL is read from the bytes that
//! were signed, not taken from what was asked for.

use std::fmt::Write as _;
use std::path::Path;

use ingam_protocol::bytes::hex;
use ingam_protocol::{Serial, Timestamp};
use ring::digest::{SHA256, digest};
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::{ASN1Time, FromDer};
use x509_parser::revocation_list::CertificateRevocationList;

use super::file::Kind;
use super::hold::Setting;
use super::keys::{Guard, KeyPlace};
use super::material::{Certified, Signer};
use super::plan::Plan;

/// How wide the first column is.
const COLUMN: usize = 26;

/// A key in words.
#[derive(Clone, Debug)]
pub(super) struct KeyLine {
    whose: String,
    kind: String,
    place: String,
    how: &'static str,
    /// SHA-256 of the SubjectPublicKeyInfo.
    digest: String,
}

impl KeyLine {
    fn new(certified: &Certified, whose: &str, place: String, how: &'static str) -> Self {
        let digest = sha256(&certified.public_key_info);
        Self { whose: whose.to_owned(), kind: certified.kind(), place, how, digest }
    }

    pub(super) fn made(certified: &Certified, place: &KeyPlace) -> Self {
        let how = if place.is_on_token() {
            "made in this ceremony, on its token, which does not give it away"
        } else {
            "made in this ceremony, and written encrypted under its passphrase"
        };
        Self::new(certified, "the subject", place.to_string(), how)
    }

    pub(super) fn present(certified: &Certified, whose: &str, place: &KeyPlace, guard: Guard) -> Self {
        let how = match guard {
            Guard::Passphrase => "was there, encrypted; opened with its passphrase",
            Guard::Token => "was there, on its token",
            Guard::Nothing => "was there, NOT ENCRYPTED: whoever has the file has the key",
        };
        Self::new(certified, whose, place.to_string(), how)
    }

    pub(super) fn elsewhere(certified: &Certified, whose: &str, file: &Path) -> Self {
        Self::new(certified, whose, file.display().to_string(), "is elsewhere; known from this file")
    }

    pub(super) fn of_signer(signer: &Signer, place: &KeyPlace) -> Self {
        Self::present(&Certified::of_key(&signer.key), "the issuer, which signs", place, signer.guard)
    }
}

/// What was made.
pub(super) enum Product<'a> {
    Certificate { der: &'a [u8], issuer: Option<&'a Path> },
    RevocationList { der: &'a [u8], issuer: &'a Path },
    Request { der: &'a [u8] },
}

/// The whole transcript. `written` is what the output file holds.
///
/// # Errors
/// A text, if what was made cannot be read again.
pub(super) fn write(
    plan: &Plan,
    setting: &Setting<'_>,
    now: Timestamp,
    product: &Product<'_>,
    keys: &[KeyLine],
    written: &[u8],
) -> Result<String, String> {
    let mut text =
        Text { out: String::with_capacity(4096), folder: format!("{}/", setting.folder.display()) };
    text.head(plan, setting, now);
    text.title("Keys");
    for key in keys {
        text.line("Key of", &key.whose);
        text.line("  kind", &key.kind);
        let place = text.near(&key.place);
        text.line("  place", &place);
        text.line("  how", key.how);
        text.line("  SHA-256 of its SPKI", &key.digest);
    }
    let der = match product {
        Product::Certificate { der, .. } => {
            text.certificate(der)?;
            der
        }
        Product::RevocationList { der, .. } => {
            text.revocation_list(der)?;
            der
        }
        Product::Request { der } => {
            text.request(der)?;
            der
        }
    };
    text.checks(plan, setting, product);
    text.title(if setting.is_rehearsal { "Files that a ceremony would write" } else { "Files written" });
    let output = text.near(&plan.output().display().to_string());
    text.line("File", &output);
    text.line("  SHA-256 of the file", &sha256(written));
    text.line("  SHA-256 of its DER", &sha256(der));
    for key in keys.iter().filter(|key| key.how.ends_with("its passphrase") && key.how.starts_with("made")) {
        let place = text.near(&key.place);
        text.line("File", &place);
        text.line("  holds", "the new key (PKCS #8, encrypted)");
    }
    let transcript = text.near(&setting.transcript.display().to_string());
    text.line("File", &transcript);
    text.line("  holds", "this transcript");
    text.by_hand(&output, product, setting);
    text.signatures(plan);
    Ok(text.out)
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

struct Text {
    out: String,
    /// Left out of paths, so that the text is the same wherever the folder lies.
    folder: String,
}

impl Text {
    /// Writing to a string does not fail.
    fn line(&mut self, what: &str, value: &str) {
        let _ = writeln!(self.out, "{what:<COLUMN$}{value}");
    }

    fn title(&mut self, title: &str) {
        let _ = writeln!(self.out, "\n{title}\n{}", "-".repeat(title.chars().count()));
    }

    fn near(&self, path: &str) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).to_owned()
    }

    fn head(&mut self, plan: &Plan, setting: &Setting<'_>, now: Timestamp) {
        let title = format!("Ceremony: {}", plan.kind.name());
        let _ = writeln!(self.out, "{title}\n{}\n", "=".repeat(title.chars().count()));
        if setting.is_rehearsal {
            self.out.push_str(
                "THIS IS A REHEARSAL. Throwaway keys stood in for all that would sign; nothing was written, and what is \
                 shown below\nis worth nothing: keys that are made, serial numbers and hashes will be others.\n\n",
            );
        }
        self.line("When", &now.to_rfc3339());
        if let Some(place) = &plan.place {
            self.line("Where", place);
        }
        self.line("By", setting.program);
        for (number, person) in plan.present.iter().enumerate() {
            self.line(if number == 0 { "Present" } else { "" }, person);
        }
        self.line("Asked for by", setting.input_name);
        self.line("  SHA-256 of that file", &sha256(setting.input));
        let rules = if plan.is_public {
            "for the public web: held against the Baseline Requirements"
        } else {
            "of its own: NOT held against the Baseline Requirements (public = false)"
        };
        self.line("Hierarchy", rules);
    }

    fn certificate(&mut self, der: &[u8]) -> Result<(), String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        self.title("Certificate, as it was signed");
        self.line("Version", &format!("{}", parsed.version().0 + 1));
        self.line("Serial number", &serial(parsed.raw_serial()));
        self.line("Signature algorithm", &algorithm(parsed.signature_algorithm.algorithm.to_id_string()));
        self.line("Issuer", &parsed.issuer().to_string());
        self.line("Valid from", &moment(&parsed.validity().not_before));
        self.line("Valid to, included", &moment(&parsed.validity().not_after));
        self.line("Subject", &parsed.subject().to_string());
        self.line("SHA-256 of its SPKI", &sha256(parsed.public_key().raw));
        for extension in parsed.extensions() {
            self.extension(extension);
        }
        Ok(())
    }

    fn extension(&mut self, extension: &X509Extension<'_>) {
        let (name, value) = match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => ("subjectKeyIdentifier", hex(identifier.0)),
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                let key = identifier.key_identifier.as_ref().map(|key| hex(key.0)).unwrap_or_default();
                ("authorityKeyIdentifier", key)
            }
            ParsedExtension::BasicConstraints(constraints) => {
                let room = match constraints.path_len_constraint {
                    Some(0) => ", with no CA below it".to_owned(),
                    Some(room) => format!(", with at most {room} CAs in a row below it"),
                    None => ", with any number of CAs below it".to_owned(),
                };
                let is_ca = if constraints.ca { "a CA" } else { "not a CA" };
                ("basicConstraints", format!("{is_ca}{}", if constraints.ca { room } else { String::new() }))
            }
            ParsedExtension::KeyUsage(usage) => ("keyUsage", usage.to_string()),
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let named = [
                    (usage.server_auth, "TLS servers (serverAuth)"),
                    (usage.client_auth, "TLS clients (clientAuth)"),
                    (usage.ocsp_signing, "OCSP answers (OCSPSigning)"),
                ];
                let all: Vec<&str> =
                    named.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
                ("extKeyUsage", all.join(", "))
            }
            ParsedExtension::CertificatePolicies(policies) => {
                let all: Vec<String> =
                    policies.iter().map(|policy| policy.policy_id.to_id_string()).collect();
                ("certificatePolicies", all.join(", "))
            }
            ParsedExtension::CRLDistributionPoints(points) => {
                let of = |name: &Option<DistributionPointName<'_>>| match name {
                    Some(DistributionPointName::FullName(names)) => names.iter().map(url_of).collect(),
                    _ => Vec::new(),
                };
                let all: Vec<String> =
                    points.iter().flat_map(|point| of(&point.distribution_point)).collect();
                ("cRLDistributionPoints", all.join(", "))
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                let one = |access: &x509_parser::extensions::AccessDescription<'_>| {
                    let is_ocsp = access.access_method.to_id_string() == "1.3.6.1.5.5.7.48.1";
                    format!("{} {}", if is_ocsp { "OCSP" } else { "issuer" }, url_of(&access.access_location))
                };
                ("authorityInfoAccess", access.accessdescs.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            _ if extension.oid.to_id_string() == "1.3.6.1.5.5.7.48.1.5" => {
                ("ocsp-nocheck", "nobody asks whether it is revoked".to_owned())
            }
            _ => ("extension", format!("{}: {}", extension.oid, hex(extension.value))),
        };
        let critical = if extension.critical { "critical: " } else { "" };
        self.line(name, &format!("{critical}{value}"));
    }

    fn revocation_list(&mut self, der: &[u8]) -> Result<(), String> {
        let (_, parsed) = CertificateRevocationList::from_der(der).map_err(|error| error.to_string())?;
        self.title("CRL, as it was signed");
        let number = parsed.crl_number().map(ToString::to_string).unwrap_or_default();
        self.line("Number", &number);
        self.line("Signature algorithm", &algorithm(parsed.signature_algorithm.algorithm.to_id_string()));
        self.line("Issuer", &parsed.issuer().to_string());
        self.line("This update", &moment(&parsed.last_update()));
        self.line("Next update", &parsed.next_update().as_ref().map(moment).unwrap_or_default());
        self.line("Entries", &parsed.iter_revoked_certificates().count().to_string());
        for entry in parsed.iter_revoked_certificates() {
            self.line("  serial number", &serial(entry.raw_serial()));
            let reason = entry.reason_code().map(|(_, reason)| reason.to_string()).unwrap_or_default();
            self.line("    since, and why", &format!("{}, {reason}", moment(&entry.revocation_date)));
        }
        Ok(())
    }

    fn request(&mut self, der: &[u8]) -> Result<(), String> {
        let (_, parsed) = X509CertificationRequest::from_der(der).map_err(|error| error.to_string())?;
        let info = &parsed.certification_request_info;
        self.title("Request, as it was signed");
        self.line("Signature algorithm", &algorithm(parsed.signature_algorithm.algorithm.to_id_string()));
        self.line("Subject", &info.subject.to_string());
        self.line("SHA-256 of its SPKI", &sha256(info.subject_pki.raw));
        Ok(())
    }

    fn checks(&mut self, plan: &Plan, setting: &Setting<'_>, product: &Product<'_>) {
        self.title("Checks that passed");
        let lint = match product {
            Product::Request { .. } => None,
            Product::RevocationList { .. } => {
                Some("RFC 5280, section 5; Baseline Requirements, 4.9.7 and 7.2")
            }
            Product::Certificate { .. } => Some(match (plan.is_public, plan.kind) {
                (false, _) => "RFC 5280, section 4",
                (true, Kind::Root) => "RFC 5280, section 4; Baseline Requirements, 7.1.2.1",
                (true, Kind::CrossCertificate) => "RFC 5280, section 4; Baseline Requirements, 7.1.2.2",
                (true, Kind::OcspResponder) => "RFC 5280, section 4; Baseline Requirements, 7.1.2.8",
                (true, _) => "RFC 5280, section 4; Baseline Requirements, 7.1.2.6 and 7.1.2.10",
            }),
        };
        if let Some(lint) = lint {
            self.line("Lint, throwaway key", &format!("no findings: {lint}"));
            if !setting.is_rehearsal {
                self.line("Lint, as signed", &format!("no findings: {lint}"));
            }
        }
        if !setting.is_rehearsal {
            self.line("Signature", "verified with the public key of whoever signed");
        }
    }

    fn by_hand(&mut self, output: &str, product: &Product<'_>, setting: &Setting<'_>) {
        self.title("To check by hand");
        let commands = match product {
            Product::Certificate { issuer, .. } => {
                let mut commands = vec![
                    format!("sha256sum {output}"),
                    format!("openssl x509 -in {output} -noout -text"),
                    format!("openssl x509 -in {output} -outform DER | sha256sum"),
                    format!(
                        "openssl x509 -in {output} -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum"
                    ),
                ];
                commands.push(match issuer {
                    Some(issuer) => {
                        let issuer = self.near(&issuer.display().to_string());
                        format!("openssl verify -partial_chain -trusted {issuer} {output}")
                    }
                    None => format!("openssl verify -check_ss_sig -CAfile {output} {output}"),
                });
                commands
            }
            Product::RevocationList { issuer, .. } => {
                let issuer = self.near(&issuer.display().to_string());
                vec![
                    format!("sha256sum {output}"),
                    format!("openssl crl -inform DER -in {output} -noout -text"),
                    format!("openssl crl -inform DER -in {output} -noout -CAfile {issuer}"),
                ]
            }
            Product::Request { .. } => {
                vec![format!("sha256sum {output}"), format!("openssl req -in {output} -noout -verify -text")]
            }
        };
        for command in commands {
            let _ = writeln!(self.out, "  {command}");
        }
        let _ = writeln!(self.out, "  sha256sum {}", setting.input_name);
    }

    fn signatures(&mut self, plan: &Plan) {
        self.title("Signatures of those present");
        for person in &plan.present {
            let _ = writeln!(self.out, "\n{person}: {}", "_".repeat(40));
        }
    }
}

fn serial(octets: &[u8]) -> String {
    Serial::from_be_bytes(octets).map_or_else(|| hex(octets), |serial| serial.to_string())
}

fn moment(time: &ASN1Time) -> String {
    u64::try_from(time.timestamp())
        .map_or_else(|_| time.to_string(), |s| Timestamp::from_unix_s(s).to_rfc3339())
}

fn algorithm(identifier: String) -> String {
    match identifier.as_str() {
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256".to_owned(),
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384".to_owned(),
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption".to_owned(),
        _ => identifier,
    }
}

fn url_of(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::URI(url) => (*url).to_owned(),
        other => other.to_string(),
    }
}
