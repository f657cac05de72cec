//! `account`: who orders certificates.

use super::call::{Call, HowMany, Why};
use super::failure::Failure;
use super::table::{Cell, Facts, Paper, Shape, Style, Table};
use super::when::When;
use crate::api;
use crate::client::Target;

/// Commands on accounts.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Account {
    /// Lists accounts
    #[command(after_help = "Example:\n  ingam admin account list --status deactivated --created-from 30d")]
    List(List),
    /// Shows one account
    Show {
        /// Its id
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
    },
    /// Shows the contacts of an account: personal data, whose reading goes on record
    #[command(
        after_help = "Example:\n  ingam admin account contacts ID --reason \"incident 2026-11: tell the holder\""
    )]
    Contacts {
        /// The account's id
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        why: Why,
    },
}

/// Which accounts.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// With the key of this thumbprint (RFC 7638, base64url)
    #[arg(long, value_name = "THUMBPRINT", allow_hyphen_values = true)]
    key: Option<String>,
    /// Bound to the external key of this id (`ingam admin eab`)
    #[arg(long, value_name = "ID")]
    eab: Option<String>,
    /// In this state: valid or deactivated
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Made at this time or later: 2026-11-21T10:00:00Z, 2026-11-21, or an age as 2h or 7d
    #[arg(long, value_name = "TIME")]
    created_from: Option<When>,
    /// Made before this time
    #[arg(long, value_name = "TIME")]
    created_until: Option<When>,
    #[command(flatten)]
    how_many: HowMany,
}

impl Account {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let accounts = Target::new("/v1/accounts");
        match self {
            Self::List(list) => {
                let now = call.clock.now();
                let target = accounts
                    .with("key", list.key.as_deref())
                    .with("external_key", list.eab.as_deref())
                    .with("status", list.status.as_deref())
                    .with("created_from", list.created_from.map(|when| when.text(now)).as_deref())
                    .with("created_until", list.created_until.map(|when| when.text(now)).as_deref());
                call.list_and_show(&target, list.how_many, "No account is so.", table).await
            }
            Self::Show { id } => call.fetch_and_show(&accounts.then(&id), facts).await,
            Self::Contacts { id, why } => {
                let reason = why.ask(call)?;
                let target = accounts.then(&id).then("contacts").with("reason", Some(&reason));
                let answer = call.client.fetch(&target).await?;
                let nobody = answer.read::<api::AccountContacts>()?.contacts.is_empty();
                if nobody {
                    call.terminal.note("The account has no contacts.");
                }
                call.show(&answer, |found: &api::AccountContacts, _| {
                    found
                        .contacts
                        .iter()
                        .map(|contact| format!("{}\n", super::text::clean(contact)))
                        .collect()
                })
            }
        }
    }
}

fn blocked(account: &api::Account) -> Cell {
    Cell::styled(if account.key_blocked { "blocked" } else { "" }, Style::Bad)
}

pub(crate) fn table(accounts: &[api::Account], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("ID", Shape::Whole),
        ("STATUS", Shape::Whole),
        ("CREATED", Shape::Whole),
        ("KEY KIND", Shape::Whole),
        ("KEY", Shape::Whole),
        ("KEY THUMBPRINT", Shape::Whole),
    ]);
    for account in accounts {
        table.row([
            (&account.id).into(),
            Cell::status(&account.status),
            (&account.created).into(),
            (&account.key_kind).into(),
            blocked(account),
            (&account.key_thumbprint).into(),
        ]);
    }
    table.render(paper)
}

fn facts(account: &api::Account, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("account", &account.id)
        .fact("url", &account.url)
        .fact("status", Cell::status(&account.status))
        .fact("created", &account.created)
        .fact("terms agreed", &account.terms_agreed)
        .fact("deactivated", &account.deactivated)
        .fact("key kind", &account.key_kind)
        .fact("key thumbprint", &account.key_thumbprint)
        .fact("key", blocked(account))
        .fact("external key", &account.external_key);
    facts.render(paper)
}
