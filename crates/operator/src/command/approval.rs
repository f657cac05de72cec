//! `approval`: dangerous acts that wait for a second person.

use super::call::{Call, HowMany, Why};
use super::failure::Failure;
use super::table::{Cell, Facts, Paper, Shape, Table};
use crate::api;
use crate::client::Target;

/// Commands on approvals.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Approval {
    /// Lists what waits, and what waited
    List(HowMany),
    /// Shows what exactly is to be done
    Show {
        /// Its id
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
    },
    /// Agrees to it, and has it done
    Approve(Decision),
    /// Refuses it
    Refuse(Decision),
}

/// What is decided, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Decision {
    /// Its id
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    id: String,
    #[command(flatten)]
    why: Why,
}

impl Approval {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let approvals = Target::new("/v1/approvals");
        match self {
            Self::List(how_many) => {
                call.list_and_show(&approvals, how_many, "Nothing waits for a second person.", table).await
            }
            Self::Show { id } => call.fetch_and_show(&approvals.then(&id), facts).await,
            Self::Approve(decision) => decision.run(call, "approve").await,
            Self::Refuse(decision) => decision.run(call, "refuse").await,
        }
    }
}

impl Decision {
    async fn run(self, call: &mut Call, verb: &str) -> Result<(), Failure> {
        let approval = Target::new("/v1/approvals").then(&self.id);
        // Whoever is asked why is shown what: the second pair of eyes is the point of it.
        if self.why.reason.is_none() && call.terminal.can_ask {
            let shown: api::Approval = call.client.fetch(&approval).await?.read()?;
            let text = facts(&shown, &call.terminal.notes_paper());
            call.terminal.note_rendered(&text);
        }
        let reason = self.why.ask(call)?;
        let answer = call.post(&approval.then(verb), &api::Reason { reason }).await?;
        call.show(&answer, decision)?;
        let decided: api::ApprovalDecision = answer.read()?;
        let job = decided.result.as_ref().and_then(|result| result.get("id")?.as_str());
        if let Some(job) = job.filter(|_| decided.approval.act == "revocation.start") {
            call.terminal.note(&format!("The job runs: `ingam admin job watch {job}` looks at it."));
        }
        Ok(())
    }
}

fn table(approvals: &[api::Approval], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("ID", Shape::Whole),
        ("STATUS", Shape::Whole),
        ("ACT", Shape::Whole),
        ("UNTIL", Shape::Whole),
        ("BY", Shape::Whole),
        ("REASON", Shape::Text),
    ]);
    for approval in approvals {
        table.row([
            (&approval.id).into(),
            Cell::status(&approval.status),
            (&approval.act).into(),
            (&approval.expires).into(),
            (&approval.by).into(),
            (&approval.reason).into(),
        ]);
    }
    table.render(paper)
}

/// JSON, a member on each line.
fn lines(value: &serde_json::Value) -> Vec<Cell> {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.lines().map(Cell::from).collect()
}

fn facts(approval: &api::Approval, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("approval", &approval.id)
        .fact("act", &approval.act)
        .facts("request", lines(&approval.request))
        .fact("status", Cell::status(&approval.status))
        .fact("asked by", &approval.by)
        .fact("asked at", &approval.at)
        .fact("until", &approval.expires)
        .fact("reason", &approval.reason)
        .fact("decided by", &approval.decided_by)
        .fact("decided at", &approval.decided_at);
    facts.render(paper)
}

fn decision(decision: &api::ApprovalDecision, paper: &Paper) -> String {
    let mut text = facts(&decision.approval, paper);
    if let Some(result) = &decision.result {
        let mut facts = Facts::default();
        facts.facts("result", lines(result));
        text.push('\n');
        text.push_str(&facts.render(paper));
    }
    text
}
