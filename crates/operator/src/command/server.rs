//! `reload` and `whoami`: the CA's own process, and what it takes the caller for.

use super::call::{Call, Why};
use super::failure::Failure;
use super::table::{Cell, Facts, Paper};
use crate::api;
use crate::client::Target;

/// Why the configuration is read again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What can change without a restart changes at once. A configuration with a mistake changes nothing, and every mistake is
told.")]
pub(crate) struct Reload {
    #[command(flatten)]
    why: Why,
}

impl Reload {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let reason = self.why.ask(call)?;
        let answer = call.post(&Target::new("/v1/reload"), &api::Reason { reason }).await?;
        let reload: api::Reload = answer.read()?;
        if reload.changed.is_empty() && reload.needs_restart.is_empty() {
            call.terminal.note("The configuration is as it was.");
        }
        call.show(&answer, |reload: &api::Reload, paper| {
            let lines = |keys: &[String]| keys.iter().map(Cell::from).collect();
            let mut facts = Facts::default();
            facts
                .facts("changed", lines(&reload.changed))
                .facts("needs a restart", lines(&reload.needs_restart));
            facts.render(paper)
        })
    }
}

/// Shows whom the CA takes the caller for.
pub(crate) async fn whoami(call: &mut Call) -> Result<(), Failure> {
    call.fetch_and_show(&Target::new("/v1/whoami"), |who: &api::WhoAmI, paper: &Paper| {
        let mut facts = Facts::default();
        facts
            .fact("principal", &who.principal)
            .fact("roles", if who.roles.is_empty() { "none".into() } else { Cell::list(&who.roles) })
            .fact("acts", Cell::list(&who.acts));
        facts.render(paper)
    })
    .await
}
