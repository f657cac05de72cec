//! `eab`: keys that accounts can be bound to (external account binding: RFC 8555, section 7.3.4).

use super::call::{Call, HowMany, Why};
use super::failure::Failure;
use super::table::{Cell, Facts, Paper, Shape, Table};
use super::when::When;
use crate::api;
use crate::client::Target;

/// Commands on keys that accounts can be bound to.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Eab {
    /// Lists keys
    #[command(after_help = "Example:\n  ingam admin eab list --status unused")]
    List(List),
    /// Shows one key, without its MAC key
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Makes a key, and prints its MAC key this once
    #[command(after_help = "\
Examples:
  ingam admin eab create --for \"contract 4711\" --name customer.example --profile classic --expires +30d
  certbot register --server URL --eab-kid ID --eab-hmac-key MAC-KEY
  lego --server URL --eab --kid ID --hmac MAC-KEY ...")]
    Create(Create),
    /// Withdraws a key for good: no account can be bound to it, and its account gets no more certificates
    #[command(after_help = "Example:\n  ingam admin eab withdraw ID --reason \"contract 4711 ended\"")]
    Withdraw {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        why: Why,
    },
}

/// Which keys.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// In this state: unused, bound, expired or withdrawn
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    #[command(flatten)]
    how_many: HowMany,
}

/// What a key is to be like.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// For whom it is: a contract, a ticket, a system; it stays on record, so not a person
    #[arg(long = "for", value_name = "TEXT")]
    holder: String,
    /// Only this profile; can be given several times
    #[arg(long = "profile", value_name = "PROFILE")]
    profiles: Vec<String>,
    /// Only this domain name and all below it; can be given several times
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Until when an account can be bound to it: 2026-12-21T10:00:00Z, 2026-12-21, or what lies ahead as +30d
    #[arg(long, value_name = "TIME")]
    expires: Option<When>,
}

impl Eab {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let keys = Target::new("/v1/external-keys");
        match self {
            Self::List(list) => {
                let target = keys.with("status", list.status.as_deref());
                call.list_and_show(&target, list.how_many, "No key is so.", table).await
            }
            Self::Show { id } => call.fetch_and_show(&keys.then(&id), render).await,
            Self::Create(create) => {
                let now = call.clock.now();
                let making = api::ExternalKeyMaking {
                    holder: create.holder,
                    profiles: create.profiles,
                    names: create.names,
                    expires: create.expires.map(|when| when.text(now)),
                };
                let answer = call.post(&keys, &making).await?;
                call.terminal.note("The MAC key is shown this once: nobody can see it again.");
                call.show(&answer, |made: &api::ExternalKeyMade, paper| {
                    let mut facts = Facts::default();
                    facts.fact("key id", &made.key.id).fact("MAC key", &made.mac_key);
                    add_facts(&mut facts, &made.key);
                    facts.render(paper)
                })
            }
            Self::Withdraw { id, why } => {
                let reason = why.ask(call)?;
                let answer = call.post(&keys.then(&id).then("withdraw"), &api::Reason { reason }).await?;
                call.show(&answer, render)
            }
        }
    }
}

fn table(keys: &[api::ExternalKey], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("ID", Shape::Whole),
        ("STATUS", Shape::Whole),
        ("CREATED", Shape::Whole),
        ("EXPIRES", Shape::Whole),
        ("ACCOUNT", Shape::Whole),
        ("PROFILES", Shape::Text),
        ("NAMES", Shape::Text),
        ("FOR", Shape::Text),
    ]);
    for key in keys {
        table.row([
            (&key.id).into(),
            Cell::status(&key.status),
            (&key.created).into(),
            (&key.expires).into(),
            (&key.account).into(),
            Cell::list(&key.profiles),
            Cell::list(&key.names),
            (&key.holder).into(),
        ]);
    }
    table.render(paper)
}

fn render(key: &api::ExternalKey, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts.fact("key id", &key.id);
    add_facts(&mut facts, key);
    facts.render(paper)
}

fn add_facts(facts: &mut Facts, key: &api::ExternalKey) {
    facts
        .fact("for", &key.holder)
        .fact("status", Cell::status(&key.status))
        .fact("profiles", Cell::list(&key.profiles))
        .fact("names", Cell::list(&key.names))
        .fact("created", &key.created)
        .fact("by", &key.by)
        .fact("expires", &key.expires)
        .fact("account", &key.account)
        .fact("bound", &key.bound)
        .fact("withdrawn", &key.withdrawn)
        .fact("withdrawn by", &key.withdrawn_by)
        .fact("reason", &key.withdrawal_reason);
}
