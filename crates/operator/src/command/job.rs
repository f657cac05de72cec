//! `job`: revocations of many certificates, while they run and afterwards.

use super::call::{Call, HowMany, Why};
use super::failure::Failure;
use super::follow::follow_and_show;
use super::table::{Cell, Facts, Paper, Shape, Table};
use crate::api;
use crate::client::Target;

/// Commands on revocation jobs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Job {
    /// Lists jobs
    List(HowMany),
    /// Shows one job
    Show(One),
    /// Follows a job until it is over
    Watch(One),
    /// Holds a job
    Pause(Turn),
    /// Lets a held job go on
    Resume(Turn),
    /// Gives a job up; what it has revoked stays revoked
    Cancel(Turn),
}

/// Which job.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// Its id
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    id: String,
}

/// Which job, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct Turn {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    why: Why,
}

impl Job {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let jobs = Target::new("/v1/revocations");
        match self {
            Self::List(how_many) => call.list_and_show(&jobs, how_many, "There is no job.", table).await,
            Self::Show(One { id }) => call.fetch_and_show(&jobs.then(&id), facts).await,
            Self::Watch(One { id }) => follow_and_show(call, &id).await,
            Self::Pause(turn) => turn.run(call, "pause").await,
            Self::Resume(turn) => turn.run(call, "resume").await,
            Self::Cancel(turn) => turn.run(call, "cancel").await,
        }
    }
}

impl Turn {
    async fn run(self, call: &mut Call, verb: &str) -> Result<(), Failure> {
        let reason = self.why.ask(call)?;
        let target = Target::new("/v1/revocations").then(&self.one.id).then(verb);
        let answer = call.post(&target, &api::Reason { reason }).await?;
        call.show(&answer, facts)
    }
}

/// What a job is about, in words.
pub(crate) fn selection_text(selection: &api::Selection) -> String {
    let serials = match selection.serials.as_slice() {
        [] => None,
        [one] => Some(format!("serial {one}")),
        many => Some(format!("{} serial numbers", many.len())),
    };
    let named = [
        ("account", &selection.account),
        ("key", &selection.key),
        ("name", &selection.name),
        ("below", &selection.below),
        ("issuer", &selection.issuer),
        ("issued from", &selection.issued_from),
        ("issued until", &selection.issued_until),
        ("incident", &selection.incident),
    ];
    let named = named.into_iter().filter_map(|(word, value)| Some(format!("{word} {}", value.as_ref()?)));
    serials.into_iter().chain(named).collect::<Vec<_>>().join(", ")
}

fn table(jobs: &[api::RevocationJob], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("ID", Shape::Whole),
        ("STATE", Shape::Whole),
        ("STARTED", Shape::Whole),
        ("REVOKED", Shape::Number),
        ("TOTAL", Shape::Number),
        ("BY", Shape::Whole),
        ("SELECTION", Shape::Text),
    ]);
    for job in jobs {
        table.row([
            (&job.id).into(),
            Cell::status(&job.state),
            (&job.at).into(),
            job.revoked.into(),
            job.total.into(),
            (&job.by).into(),
            selection_text(&job.selection).into(),
        ]);
    }
    table.render(paper)
}

/// A job as facts.
pub(crate) fn facts(job: &api::RevocationJob, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("job", &job.id)
        .fact("state", Cell::status(&job.state))
        .fact("selection", selection_text(&job.selection))
        .fact("revocation reason", &job.revocation_reason)
        .fact("revoked", format!("{} of {}", job.revoked, job.total))
        .fact(
            "skipped",
            if job.skipped == 0 { String::new() } else { format!("{}, revoked by others", job.skipped) },
        )
        .fact("per second", u64::from(job.per_second))
        .fact("by", &job.by)
        .fact("started", &job.at)
        .fact("ended", &job.ended)
        .fact("reason", &job.reason);
    facts.render(paper)
}
