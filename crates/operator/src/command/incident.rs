//! `incident`: certificates that belong together, until they are revoked together.

use std::path::PathBuf;

use ingam_protocol::Serial;

use super::call::{Call, HowMany};
use super::certificate::State;
use super::conditions::Conditions;
use super::failure::Failure;
use super::serials::{parse_serial, read_file};
use super::table::{Facts, Paper, Shape, Table};
use crate::api;
use crate::client::Target;

/// How many serial numbers the API takes at once.
const BATCH: usize = 10_000;

/// Commands on incidents.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Incident {
    /// Lists incidents
    List(HowMany),
    /// Shows one incident
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Opens an incident
    #[command(
        after_help = "Example:\n  ingam admin incident open 2026-11-leak --summary \"keys in a public repository\""
    )]
    Open {
        /// Its name: 1 to 64 letters, digits, hyphens, dots and underscores
        #[arg(value_name = "NAME")]
        name: String,
        /// What happened; asked for on a terminal
        #[arg(long, value_name = "TEXT")]
        summary: Option<String>,
        /// A page for subscribers that says why they should renew early
        #[arg(long, value_name = "URL")]
        explanation: Option<String>,
    },
    /// Says where subscribers read why they should renew early
    #[command(
        after_help = "Example:\n  ingam admin incident explain 2026-11-leak https://ca.example/2026-11-leak"
    )]
    Explain {
        /// The incident's name
        #[arg(value_name = "NAME")]
        name: String,
        /// The page; without it, there is none any more
        #[arg(value_name = "URL")]
        explanation: Option<String>,
    },
    /// Puts certificates into an incident: by serial numbers, from a file, or by conditions
    #[command(after_help = "\
Examples:
  ingam admin incident add 2026-11-leak --file serials.txt
  ingam admin incident add 2026-11-leak --below example.org --status good
  ingam admin revoke --incident 2026-11-leak")]
    Add(Box<Add>),
}

/// What is put where.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// The incident's name
    #[arg(value_name = "NAME")]
    incident: String,
    /// With these serial numbers, hexadecimal
    #[arg(value_name = "SERIAL", value_parser = parse_serial)]
    serials: Vec<Serial>,
    /// In this file: a serial number on each line, with comments behind #, or PEM certificates; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "Conditions")]
    file: Option<PathBuf>,
    #[command(flatten)]
    state: State,
    #[command(flatten)]
    conditions: Conditions,
}

impl Incident {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let incidents = Target::new("/v1/incidents");
        match self {
            Self::List(how_many) => {
                call.list_and_show(&incidents, how_many, "There is no incident.", table).await
            }
            Self::Show { name } => call.fetch_and_show(&incidents.then(&name), facts).await,
            Self::Open { name, summary, explanation } => {
                let summary = match summary {
                    Some(summary) => summary,
                    None if call.terminal.can_ask => {
                        call.terminal.ask("What happened? This goes on record: ")?
                    }
                    None => return Err(Failure::Usage("say what happened, with --summary TEXT".to_owned())),
                };
                let opening = api::IncidentOpening { name, summary, explanation_url: explanation };
                let answer = call.post(&incidents, &opening).await?;
                call.show(&answer, facts)
            }
            Self::Explain { name, explanation } => {
                let target = incidents.then(&name).then("explanation");
                let explained = api::IncidentExplanation { explanation_url: explanation };
                let answer = call.post(&target, &explained).await?;
                call.show(&answer, facts)
            }
            Self::Add(add) => add.run(call).await,
        }
    }
}

impl Add {
    async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let named = !self.serials.is_empty() || self.file.is_some();
        let conditions = !self.conditions.are_empty() || !self.state.is_empty();
        if named == conditions {
            return Err(Failure::Usage(
                "say which certificates: by serial numbers (or --file FILE), or by conditions, not both"
                    .to_owned(),
            ));
        }
        let mut serials: Vec<String> = self.serials.iter().map(ToString::to_string).collect();
        if let Some(path) = &self.file {
            let found = read_file(path).map_err(Failure::Usage)?;
            serials.extend(found.serials.iter().map(ToString::to_string));
        }
        if conditions {
            let now = call.clock.now();
            let target = self.conditions.query(Target::new("/v1/certificates"), now);
            let listed = call.client.list(&self.state.query(target, now), None).await?;
            serials.extend(listed.read::<api::Certificate>()?.into_iter().map(|found| found.serial));
        }
        if serials.is_empty() {
            return Err(Failure::Nothing("no certificate is so: the incident is as it was".to_owned()));
        }
        let target = Target::new("/v1/incidents").then(&self.incident).then("certificates");
        let mut grown = api::IncidentGrown { added: 0, known: 0, missing: 0 };
        for batch in serials.chunks(BATCH) {
            let answer = call.post(&target, &api::Serials { serials: batch.to_vec() }).await?;
            let more: api::IncidentGrown = answer.read()?;
            grown.added += more.added;
            grown.known += more.known;
            grown.missing += more.missing;
        }
        if call.terminal.json {
            let json = serde_json::to_string(&grown).unwrap_or_default();
            return call.terminal.print_json(&json);
        }
        let mut facts = Facts::default();
        facts
            .fact("added", grown.added)
            .fact("in it before", grown.known)
            .fact("never issued", grown.missing);
        let text = facts.render(&call.terminal.paper);
        call.terminal.print(&text)
    }
}

fn table(incidents: &[api::Incident], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("NAME", Shape::Whole),
        ("CERTIFICATES", Shape::Number),
        ("OPENED", Shape::Whole),
        ("BY", Shape::Whole),
        ("SUMMARY", Shape::Text),
    ]);
    for incident in incidents {
        table.row([
            (&incident.name).into(),
            incident.certificates.into(),
            (&incident.at).into(),
            (&incident.by).into(),
            (&incident.summary).into(),
        ]);
    }
    table.render(paper)
}

fn facts(incident: &api::Incident, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("incident", &incident.name)
        .fact("certificates", incident.certificates)
        .fact("summary", &incident.summary)
        .fact("opened", &incident.at)
        .fact("by", &incident.by)
        .fact("explanation", &incident.explanation_url);
    facts.render(paper)
}
