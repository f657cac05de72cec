//! `order` and `authz`: how a certificate came to be, or did not.

use super::call::{Call, HowMany};
use super::failure::Failure;
use super::table::{Cell, Facts, Paper, Shape, Table};
use super::when::When;
use crate::api;
use crate::client::Target;

/// Commands on orders.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Order {
    /// Lists orders
    #[command(after_help = "Example:\n  ingam admin order list --name www.example.org --status invalid")]
    List(List),
    /// Shows one order
    Show {
        /// Its id
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
    },
}

/// Which orders.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Of this account
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    account: Option<String>,
    /// In this state: pending, ready, processing, valid or invalid
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// For this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Made at this time or later: 2026-11-21T10:00:00Z, 2026-11-21, or an age as 2h or 7d
    #[arg(long, value_name = "TIME")]
    created_from: Option<When>,
    /// Made before this time
    #[arg(long, value_name = "TIME")]
    created_until: Option<When>,
    #[command(flatten)]
    how_many: HowMany,
}

/// Commands on authorizations.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Authz {
    /// Lists the authorizations of an order
    List {
        /// The order's id
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        order: String,
    },
    /// Shows one authorization with its challenges
    Show {
        /// Its id
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: String,
    },
}

impl Order {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let orders = Target::new("/v1/orders");
        match self {
            Self::List(list) => {
                let now = call.clock.now();
                let target = orders
                    .with("account", list.account.as_deref())
                    .with("status", list.status.as_deref())
                    .with("name", list.name.as_deref())
                    .with("created_from", list.created_from.map(|when| when.text(now)).as_deref())
                    .with("created_until", list.created_until.map(|when| when.text(now)).as_deref());
                call.list_and_show(&target, list.how_many, "No order is so.", table).await
            }
            Self::Show { id } => call.fetch_and_show(&orders.then(&id), facts).await,
        }
    }
}

impl Authz {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let authorizations = Target::new("/v1/authorizations");
        match self {
            Self::List { order } => {
                let target = authorizations.with("order", Some(&order));
                call.whole_list_and_show(&target, "The order has no authorization.", authorization_table)
                    .await
            }
            Self::Show { id } => call.fetch_and_show(&authorizations.then(&id), authorization_facts).await,
        }
    }
}

fn table(orders: &[api::Order], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("ID", Shape::Whole),
        ("STATUS", Shape::Whole),
        ("CREATED", Shape::Whole),
        ("ACCOUNT", Shape::Whole),
        ("IDENTIFIERS", Shape::Text),
        ("ERROR", Shape::Text),
    ]);
    for order in orders {
        table.row([
            (&order.id).into(),
            Cell::status(&order.status),
            (&order.created).into(),
            (&order.account).into(),
            Cell::list(&order.identifiers),
            (&order.error).into(),
        ]);
    }
    table.render(paper)
}

fn facts(order: &api::Order, paper: &Paper) -> String {
    let lines = |texts: &[String]| texts.iter().map(Cell::from).collect();
    let mut facts = Facts::default();
    facts
        .fact("order", &order.id)
        .fact("account", &order.account)
        .fact("status", Cell::status(&order.status))
        .fact("error", &order.error)
        .facts("identifiers", lines(&order.identifiers))
        .fact("profile", &order.profile)
        .fact("created", &order.created)
        .fact("expires", &order.expires)
        .facts("authorizations", lines(&order.authorizations))
        .fact("certificate", &order.certificate);
    facts.render(paper)
}

fn authorization_table(authorizations: &[api::Authorization], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("ID", Shape::Whole),
        ("STATUS", Shape::Whole),
        ("EXPIRES", Shape::Whole),
        ("IDENTIFIER", Shape::Text),
        ("CHALLENGES", Shape::Text),
    ]);
    for authorization in authorizations {
        let challenges: Vec<String> = authorization
            .challenges
            .iter()
            .map(|challenge| format!("{} {}", challenge.kind, challenge.status))
            .collect();
        table.row([
            (&authorization.id).into(),
            Cell::status(&authorization.status),
            (&authorization.expires).into(),
            (&authorization.identifier).into(),
            Cell::list(&challenges),
        ]);
    }
    table.render(paper)
}

fn authorization_facts(authorization: &api::Authorization, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("authorization", &authorization.id)
        .fact("account", &authorization.account)
        .fact("identifier", &authorization.identifier)
        .fact("status", Cell::status(&authorization.status))
        .fact("created", &authorization.created)
        .fact("expires", &authorization.expires);
    let mut table = Table::new(&[
        ("CHALLENGE", Shape::Whole),
        ("STATUS", Shape::Whole),
        ("ANSWERED", Shape::Whole),
        ("FINISHED", Shape::Whole),
        ("ERROR", Shape::Text),
    ]);
    for challenge in &authorization.challenges {
        table.row([
            (&challenge.kind).into(),
            Cell::status(&challenge.status),
            (&challenge.answered).into(),
            (&challenge.finished).into(),
            (&challenge.error).into(),
        ]);
    }
    format!("{}\n{}", facts.render(paper), table.render(paper))
}
