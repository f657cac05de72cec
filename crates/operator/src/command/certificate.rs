//! `cert`: certificates, by everything that people know of them.

use ingam_protocol::Serial;

use super::call::{Call, HowMany};
use super::conditions::Conditions;
use super::export::Export;
use super::failure::Failure;
use super::serials::parse_serial;
use super::table::{Cell, Facts, Paper, Shape, Table};
use super::when::When;
use crate::api;
use crate::client::Target;

/// Commands on certificates.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Certificate {
    /// Lists certificates
    #[command(after_help = "\
Examples:
  ingam admin cert list --below example.org --status good --all
  ingam admin cert list --account ID --expires-until +7d --json")]
    List(Box<List>),
    /// Shows one certificate
    Show {
        /// Its serial number, hexadecimal
        #[arg(value_name = "SERIAL", value_parser = parse_serial)]
        serial: Serial,
        /// Shows its PEM too
        #[arg(long)]
        pem: bool,
    },
    /// Writes certificates to a file, a folder, or standard output
    #[command(after_help = "\
Examples:
  ingam admin cert export SERIAL --chain > chain.pem
  ingam admin cert export --name www.example.org --status good --output certificates/")]
    Export(Box<Export>),
}

/// Which certificates.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// With this serial number, hexadecimal
    #[arg(long, value_name = "SERIAL", value_parser = parse_serial, help_heading = "Conditions")]
    serial: Option<Serial>,
    #[command(flatten)]
    state: State,
    #[command(flatten)]
    conditions: Conditions,
    #[command(flatten)]
    how_many: HowMany,
}

/// Conditions that change while a certificate lives.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct State {
    /// In this state: good, revoked or expired
    #[arg(long, value_name = "STATUS", help_heading = "Conditions")]
    status: Option<String>,
    /// Ending before this time: +7d is in a week
    #[arg(long, value_name = "TIME", help_heading = "Conditions")]
    expires_until: Option<When>,
}

impl State {
    pub(crate) fn is_empty(&self) -> bool {
        self.status.is_none() && self.expires_until.is_none()
    }

    pub(crate) fn query(&self, target: Target, now: ingam_protocol::Timestamp) -> Target {
        target
            .with("status", self.status.as_deref())
            .with("expires_until", self.expires_until.map(|when| when.text(now)).as_deref())
    }
}

impl Certificate {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let certificates = Target::new("/v1/certificates");
        match self {
            Self::List(list) => {
                let now = call.clock.now();
                let serial = list.serial.as_ref().map(ToString::to_string);
                let target = list.conditions.query(certificates, now).with("serial", serial.as_deref());
                let target = list.state.query(target, now);
                call.list_and_show(&target, list.how_many, "No certificate is so.", table).await
            }
            Self::Show { serial, pem } => {
                let target = certificates.then(&serial.to_string());
                call.fetch_and_show(&target, |detail, paper| facts(detail, pem, paper)).await
            }
            Self::Export(export) => export.run(call).await,
        }
    }
}

fn revocation(certificate: &api::Certificate) -> String {
    match (&certificate.revoked, &certificate.revocation_reason) {
        (Some(at), Some(reason)) => format!("{at} {reason}"),
        (Some(at), None) => at.clone(),
        (None, _) => String::new(),
    }
}

/// Certificates as rows.
pub(crate) fn table(certificates: &[api::Certificate], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("SERIAL", Shape::Whole),
        ("STATUS", Shape::Whole),
        ("ISSUER", Shape::Whole),
        ("ISSUED", Shape::Whole),
        ("EXPIRES", Shape::Whole),
        ("ACCOUNT", Shape::Whole),
        ("REVOKED", Shape::Text),
        ("NAMES", Shape::Text),
    ]);
    for certificate in certificates {
        table.row([
            (&certificate.serial).into(),
            Cell::status(&certificate.status),
            (&certificate.issuer).into(),
            (&certificate.issued).into(),
            (&certificate.not_after).into(),
            (&certificate.account).into(),
            revocation(certificate).into(),
            Cell::list(&certificate.names),
        ]);
    }
    table.render(paper)
}

fn renewal(detail: &api::CertificateDetail) -> String {
    detail.renewal.as_ref().map(|told| format!("{} to {}", told.start, told.end)).unwrap_or_default()
}

fn explanation(detail: &api::CertificateDetail) -> &str {
    let told = detail.renewal.as_ref().and_then(|told| told.explanation_url.as_deref());
    told.unwrap_or_default()
}

fn replaced_by(detail: &api::CertificateDetail) -> String {
    match (&detail.replaced_by, &detail.replaced_by_order) {
        (Some(serial), _) => serial.clone(),
        (None, Some(order)) => format!("order {order}"),
        (None, None) => String::new(),
    }
}

fn facts(detail: &api::CertificateDetail, pem: bool, paper: &Paper) -> String {
    let certificate = &detail.certificate;
    let mut facts = Facts::default();
    facts
        .fact("serial", &certificate.serial)
        .fact("status", Cell::status(&certificate.status))
        .fact("revoked", revocation(certificate))
        .facts("names", certificate.names.iter().map(Cell::from).collect())
        .fact("issuer", &certificate.issuer)
        .fact("issued", &certificate.issued)
        .fact("not before", &certificate.not_before)
        .fact("not after", &certificate.not_after)
        .fact("renewal", renewal(detail))
        .fact("explanation", explanation(detail))
        .fact("replaces", &detail.replaces)
        .fact("replaced by", replaced_by(detail))
        .fact("account", &certificate.account)
        .fact("order", &certificate.order)
        .fact("key thumbprint", &certificate.key_thumbprint)
        .fact("SHA-256", &detail.fingerprint);
    let mut text = facts.render(paper);
    if pem {
        text.push('\n');
        for line in detail.pem.lines() {
            text.push_str(&super::text::clean(line));
            text.push('\n');
        }
    }
    text
}
