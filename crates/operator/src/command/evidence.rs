//! `evidence`: everything that a certificate rests on, for whoever audits it. It holds personal data, so reading it goes on
//! record.

mod seen;

use ingam_protocol::Serial;
use serde_json::Value;

use self::seen::Sheet;
use super::call::Call;
use super::failure::Failure;
use super::serials::parse_serial;
use super::table::{Cell, Facts, Paper, Style};
use crate::api::{CertificateEvidence, IdentifierEvidence, LogEntry};
use crate::client::Target;

/// What to show.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --json, it is one object, with every record whole.

Example:
  ingam admin evidence SERIAL --reason \"quarterly audit\"")]
pub(crate) struct Evidence {
    /// The certificate's serial number, hexadecimal
    #[arg(value_name = "SERIAL", value_parser = parse_serial)]
    serial: Serial,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Evidence {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let target = Target::new("/v1/certificates").then(&self.serial.to_string()).then("evidence");
        call.fetch_and_show(&target.with("reason", self.reason.as_deref()), text).await
    }
}

/// The certificate, then each identifier with all that was seen, then CAA as it was before the signature.
fn text(evidence: &CertificateEvidence, paper: &Paper) -> String {
    let certificate = &evidence.certificate;
    let mut facts = Facts::default();
    facts
        .fact("serial", &certificate.serial)
        .fact("status", Cell::status(&certificate.status))
        .facts("names", certificate.names.iter().map(Cell::from).collect())
        .fact("issuer", &certificate.issuer)
        .fact("profile", &evidence.profile)
        .fact("issued", &certificate.issued)
        .fact("not before", &certificate.not_before)
        .fact("not after", &certificate.not_after)
        .fact("account", &certificate.account)
        .fact("order", &certificate.order)
        .fact("prepared", record_line(evidence, evidence.prepared.as_ref()))
        .facts(
            "missing",
            evidence.missing.iter().map(|sentence| Cell::styled(sentence, Style::Bad)).collect(),
        );
    let mut sheet = Sheet::new(paper);
    sheet.facts(0, &facts);
    for one in &evidence.identifiers {
        identifier(&mut sheet, evidence, one);
    }
    if let Some(caa) = payload(evidence, evidence.prepared.as_ref()).map(|payload| &payload["caa"]) {
        for (at, one) in caa.as_array().into_iter().flatten().enumerate() {
            if at == 0 {
                sheet.gap();
                sheet.title(0, "CAA before the signature");
            }
            sheet.line(2, one["name"].as_str().unwrap_or_default());
            sheet.perspectives(4, one, one.get("corroboration"));
        }
    }
    sheet.text
}

fn identifier(sheet: &mut Sheet<'_>, evidence: &CertificateEvidence, one: &IdentifierEvidence) {
    sheet.gap();
    sheet.title(0, &one.identifier);
    let payload = payload(evidence, one.validation.as_ref());
    let key_authorization = payload.and_then(|payload| payload["key_authorization"].as_str());
    let mut facts = Facts::default();
    facts
        .fact("authorization", &one.authorization)
        .fact("authorization domain", &one.authorization_domain)
        .fact("method", method(one))
        .fact("answered", &one.answered)
        .fact("shown", &one.finished)
        .fact("quorum", &one.quorum)
        .fact("key authorization", key_authorization.unwrap_or_default())
        .fact("record", record_line(evidence, one.validation.as_ref()));
    sheet.facts(2, &facts);
    let Some(payload) = payload else { return };
    sheet.title(2, "control");
    sheet.perspectives(4, &payload["seen"], payload.get("corroboration"));
    if let Some(caa) = payload.get("caa") {
        sheet.title(2, "CAA");
        sheet.perspectives(4, caa, caa.get("corroboration"));
    }
}

fn method(one: &IdentifierEvidence) -> String {
    match (&one.challenge, &one.section) {
        (Some(challenge), Some(section)) => format!("{challenge} (BR {section})"),
        (Some(challenge), None) => challenge.clone(),
        (None, _) => String::new(),
    }
}

fn record<'a>(evidence: &'a CertificateEvidence, id: Option<&String>) -> Option<&'a LogEntry> {
    evidence.records.iter().find(|entry| Some(&entry.id) == id)
}

fn payload<'a>(evidence: &'a CertificateEvidence, id: Option<&String>) -> Option<&'a Value> {
    record(evidence, id).map(|entry| &entry.payload)
}

/// A record's id, time, class and type.
fn record_line(evidence: &CertificateEvidence, id: Option<&String>) -> String {
    match (record(evidence, id), id) {
        (Some(entry), _) => format!("{} {} {}/{}", entry.id, entry.time, entry.class, entry.kind),
        (None, Some(id)) => format!("{id} (missing)"),
        (None, None) => String::new(),
    }
}
