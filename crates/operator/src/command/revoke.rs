//! `revoke`: one certificate at once; many only after they were counted and the count was agreed to.

use ingam_protocol::{Reason, Serial};

use super::call::{Call, Why};
use super::conditions::Chosen;
use super::failure::Failure;
use super::follow::follow_and_show;
use super::serials::parse_serial;
use super::table::{Facts, Paper};
use crate::api;
use crate::client::Target;

/// One certificate by its serial number, or many by conditions. Many are only counted, until --execute.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "\
ingam admin revoke SERIAL --revocation-reason WORD [--block-key] [--reason TEXT]
       ingam admin revoke <CONDITIONS> [--execute --revocation-reason WORD [--expected N]] [--reason TEXT]
       ingam admin revoke --resume JOB [--reason TEXT]",
    after_help = "\
Many certificates are only counted, until --execute: it then asks for the count on a terminal, and elsewhere needs it as
--expected N. If the count is another by then, nothing is revoked.

Examples:
  ingam admin revoke SERIAL --revocation-reason keyCompromise --reason \"key found in a public repository\"
  ingam admin revoke --below example.org --issued-from 7d
  ingam admin revoke --account ID --execute --revocation-reason privilegeWithdrawn --reason \"contract ended\""
)]
pub(crate) struct Revoke {
    /// The serial number of the one certificate, hexadecimal
    #[arg(value_name = "SERIAL", value_parser = parse_serial)]
    one: Option<Serial>,
    #[command(flatten)]
    chosen: Chosen,
    /// What CRLs and OCSP say: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or
    /// privilegeWithdrawn
    #[arg(long, value_name = "WORD", value_parser = parse_reason)]
    revocation_reason: Option<Reason>,
    /// With SERIAL: blocks its key too, for good
    #[arg(long, requires = "one")]
    block_key: bool,
    #[command(flatten)]
    why: Why,
    /// Revokes; without it, many certificates are only counted
    #[arg(long, conflicts_with_all = ["one", "resume"])]
    execute: bool,
    /// How many will be revoked: with another count, nothing is done
    #[arg(long, value_name = "N", requires = "execute")]
    expected: Option<u64>,
    /// Revokes this many in a second at most
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    per_second: u32,
    /// Starts the job and does not follow it
    #[arg(long)]
    detach: bool,
    /// Lets this job, which is held, go on, and follows it
    #[arg(long, value_name = "JOB", allow_hyphen_values = true, conflicts_with = "one")]
    resume: Option<String>,
}

pub(super) fn parse_reason(text: &str) -> Result<Reason, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| {
        "write unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn"
            .to_owned()
    })
}

impl Revoke {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        match (&self.one, &self.resume, self.chosen.is_empty()) {
            (Some(serial), None, true) => self.revoke_one(serial, call).await,
            (None, Some(job), true) => self.resume(job, call).await,
            (None, None, false) => self.revoke_many(call).await,
            (None, None, true) => Err(Failure::Usage(
                "say which certificates: one by its serial number, or many by conditions (see --help)".to_owned(),
            )),
            _ => Err(Failure::Usage(
                "SERIAL, conditions and --resume exclude each other; many serial numbers are given with --serial or \
                 --file"
                    .to_owned(),
            )),
        }
    }

    fn stated_reason(&self) -> Result<String, Failure> {
        self.revocation_reason.as_ref().map(ToString::to_string).ok_or_else(|| {
            Failure::Usage(
                "say with --revocation-reason what CRLs and OCSP answer: keyCompromise, superseded, cessationOfOperation, \
                 affiliationChanged, privilegeWithdrawn or unspecified"
                    .to_owned(),
            )
        })
    }

    async fn revoke_one(&self, serial: &Serial, call: &mut Call) -> Result<(), Failure> {
        let revocation_reason = self.stated_reason()?;
        let reason = self.why.ask(call)?;
        let target = Target::new("/v1/certificates").then(&serial.to_string()).then("revoke");
        let revocation = api::Revocation { revocation_reason, block_key: self.block_key, reason };
        call.post_and_say(&target, &revocation).await
    }

    async fn resume(&self, job: &str, call: &mut Call) -> Result<(), Failure> {
        let reason = self.why.ask(call)?;
        let target = Target::new("/v1/revocations").then(job).then("resume");
        let answer = call.post(&target, &api::Reason { reason }).await?;
        if self.detach {
            return call.show(&answer, super::job::facts);
        }
        follow_and_show(call, job).await
    }

    async fn revoke_many(&self, call: &mut Call) -> Result<(), Failure> {
        // What would be refused in the end is refused before anybody counts.
        let revocation_reason = if self.execute { self.stated_reason()? } else { String::new() };
        let selection = self.chosen.selection(call)?;
        let answer = call.client.post(&Target::new("/v1/revocations/plan"), &selection).await?;
        let plan: api::RevocationPlan = answer.read()?;
        if !self.execute {
            call.show(&answer, plan_text)?;
        } else if !call.terminal.json {
            let text = plan_text(&plan, &call.terminal.notes_paper());
            call.terminal.note_rendered(&text);
        }
        if plan.count == 0 {
            return Err(Failure::Nothing("nothing is left to be revoked".to_owned()));
        }
        if !self.execute {
            call.terminal.note("\nThis was a count, and nothing was revoked: --execute revokes.");
            return Ok(());
        }
        let expected = self.agreed(plan.count, call)?;
        let reason = self.why.ask(call)?;
        let request = api::RevocationRequest {
            selection,
            revocation_reason,
            per_second: self.per_second,
            expected,
            reason,
        };
        let answer = call.post(&Target::new("/v1/revocations"), &request).await?;
        let job: api::RevocationJob = answer.read()?;
        if self.detach {
            call.show(&answer, super::job::facts)?;
            call.terminal.note(&format!("The job runs: `ingam admin job watch {}` looks at it.", job.id));
            return Ok(());
        }
        call.terminal.note(&format!("Job {} runs. Ctrl-C leaves it running.", job.id));
        follow_and_show(call, &job.id).await
    }

    /// The count, once somebody has agreed to it.
    fn agreed(&self, count: u64, call: &mut Call) -> Result<u64, Failure> {
        match self.expected {
            Some(expected) if expected == count => Ok(count),
            Some(expected) => Err(Failure::Refused(format!(
                "{count} would be revoked, and --expected says {expected}: nothing was done"
            ))),
            None if call.terminal.can_ask => {
                let typed = call.terminal.ask(&format!("Type {count} to revoke so many certificates: "))?;
                if typed == count.to_string() {
                    Ok(count)
                } else {
                    Err(Failure::GivenUp(format!("\"{typed}\" is not {count}: nothing was done")))
                }
            }
            None => Err(Failure::Usage(format!(
                "{count} would be revoked, and there is nobody to ask: agree to it with --expected {count}"
            ))),
        }
    }
}

fn plan_text(plan: &api::RevocationPlan, paper: &Paper) -> String {
    let some = |count: u64| if count == 0 { String::new() } else { count.to_string() };
    let mut facts = Facts::default();
    facts
        .fact("to be revoked", plan.count)
        .fact("of accounts", plan.accounts)
        .fact("revoked already", some(plan.already_revoked))
        .fact("expired", some(plan.expired))
        .fact("never issued", some(plan.missing));
    let text = facts.render(paper);
    if plan.sample.is_empty() {
        return text;
    }
    let shown = u64::try_from(plan.sample.len()).unwrap_or(u64::MAX);
    let title = if shown < plan.count { format!("\n{shown} of them:\n") } else { "\n".to_owned() };
    format!("{text}{title}{}", super::certificate::table(&plan.sample, paper))
}
