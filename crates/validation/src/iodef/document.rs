//! What a report says: an IODEF document (RFC 7970), and the letter that a mail brings it with.

use ingam_protocol::Timestamp;
use ring::digest::{SHA256, digest};

use super::Report;
use crate::quote::printable;

/// The most characters of one value in a report.
const VALUE_MAX: usize = 512;

/// The IODEF document, version 2: who reports, when, what was asked for, and why it was refused.
pub(super) fn iodef(report: &Report, now: Timestamp) -> String {
    let issuer = escape(&report.issuer);
    let time = now.whole_second().to_rfc3339();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<IODEF-Document version="2.00" xml:lang="en" xmlns="urn:ietf:params:xml:ns:iodef-2.0">
  <Incident purpose="reporting" restriction="need-to-know">
    <IncidentID name="{issuer}">{id}</IncidentID>
    <ReportTime>{time}</ReportTime>
    <GenerationTime>{time}</GenerationTime>
    <Description>{description}</Description>
    <Contact role="creator" type="organization">
      <ContactName>{issuer}</ContactName>
    </Contact>
    <AdditionalData dtype="string" meaning="CAA domain">{domain}</AdditionalData>
    <AdditionalData dtype="string" meaning="requested identifier">{identifier}</AdditionalData>
    <AdditionalData dtype="string" meaning="reason">{reason}</AdditionalData>
  </Incident>
</IODEF-Document>
"#,
        id = incident(report, now),
        description = escape(&summary(report)),
        domain = escape(&report.domain),
        identifier = escape(&report.identifier),
        reason = escape(&report.reason),
    )
}

/// The letter.
pub(super) fn letter(report: &Report, now: Timestamp) -> String {
    format!(
        "{}.\r\n\r\n  refused at: {}\r\n  reason:     {}\r\n\r\nIf you did not ask for it, somebody else did. Nothing was \
         issued. You get this mail because the CAA records of {} name your address (iodef; RFC 8659, section 4.4); it is sent \
         once a day at most for each name.\r\n",
        summary(report),
        now.whole_second().to_rfc3339(),
        printable(report.reason.as_bytes(), VALUE_MAX),
        report.domain,
    )
}

fn summary(report: &Report) -> String {
    let Report { identifier, domain, issuer, .. } = report;
    format!(
        "Somebody asked {issuer} for a certificate for {identifier}, and the CAA records of {domain} forbid it"
    )
}

/// A name for the report that is the same for the same refusal on the same day.
fn incident(report: &Report, now: Timestamp) -> String {
    let day: String = now.to_rfc3339().chars().take("2026-11-28".len()).collect();
    let named = format!("{day} {} {}", report.domain, report.identifier);
    let hash = digest(&SHA256, named.as_bytes());
    format!("caa-{day}-{}", ingam_protocol::bytes::hex(hash.as_ref().get(..8).unwrap_or_default()))
}

/// Text as XML has it; what XML cannot have is gone.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in printable(text.as_bytes(), VALUE_MAX).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            other => escaped.push(other),
        }
    }
    escaped
}
