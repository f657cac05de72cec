//! `role`: who may do what.

use ingam_protocol::operator::{Principal, Role as RoleName};

use super::call::{Call, Why};
use super::failure::Failure;
use super::principal::parse_principal;
use super::table::{Facts, Paper, Shape, Table};
use crate::api;
use crate::client::Target;

/// Commands on roles.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Role {
    /// Lists who has which role
    List,
    /// Gives somebody a role
    #[command(after_help = "\
Examples:
  ingam admin role grant user:ann revoker --label \"Ann Lee\" --reason \"on call from December\"
  ingam admin role grant pem:ann.pem auditor --reason \"yearly audit\"")]
    Grant {
        #[command(flatten)]
        change: Change,
        /// What the holder is called among people
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
    },
    /// Takes a role from somebody
    Take(Change),
}

/// Whose role.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// uid:1000, user:NAME of this machine, cert: and the SHA-256 of a client certificate, or pem:FILE with one
    #[arg(value_name = "WHO", value_parser = parse_principal)]
    principal: Principal,
    /// administrator, revoker, auditor or support
    #[arg(value_name = "ROLE", value_parser = parse_role)]
    role: RoleName,
    #[command(flatten)]
    why: Why,
}

fn parse_role(text: &str) -> Result<RoleName, String> {
    RoleName::from_name(text).ok_or_else(|| "write administrator, revoker, auditor or support".to_owned())
}

impl Role {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let roles = Target::new("/v1/roles");
        match self {
            Self::List => call.whole_list_and_show(&roles, "Nobody has a role.", table).await,
            Self::Grant { change, label } => {
                let change = change.body(call, label)?;
                let answer = call.post(&roles.then("grant"), &change).await?;
                call.show(&answer, facts)
            }
            Self::Take(change) => {
                let change = change.body(call, None)?;
                call.post_and_say(&roles.then("take"), &change).await
            }
        }
    }
}

impl Change {
    fn body(self, call: &mut Call, label: Option<String>) -> Result<api::RoleChange, Failure> {
        Ok(api::RoleChange {
            principal: self.principal.to_string(),
            role: self.role.name().to_owned(),
            label,
            reason: self.why.ask(call)?,
        })
    }
}

fn giver(grant: &api::Grant) -> &str {
    grant.by.as_deref().unwrap_or("configuration")
}

fn table(grants: &[api::Grant], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("WHO", Shape::Whole),
        ("ROLE", Shape::Whole),
        ("LABEL", Shape::Text),
        ("SINCE", Shape::Whole),
        ("BY", Shape::Whole),
        ("REASON", Shape::Text),
    ]);
    for grant in grants {
        table.row([
            (&grant.principal).into(),
            (&grant.role).into(),
            (&grant.label).into(),
            (&grant.at).into(),
            giver(grant).into(),
            (&grant.reason).into(),
        ]);
    }
    table.render(paper)
}

fn facts(grant: &api::Grant, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("who", &grant.principal)
        .fact("role", &grant.role)
        .fact("label", &grant.label)
        .fact("since", &grant.at)
        .fact("by", giver(grant))
        .fact("reason", &grant.reason);
    facts.render(paper)
}
