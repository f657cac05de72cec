//! `name`: names that get no certificate, and exceptions from that.

use super::call::{Call, HowMany, Why};
use super::failure::Failure;
use super::table::{Cell, Facts, Paper, Shape, Table};
use crate::api;
use crate::client::Target;

/// Commands on rules for names.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Name {
    /// Lists rules
    List(HowMany),
    /// Blocks a name and all below it: they get no certificate
    #[command(after_help = "Example:\n  ingam admin name block example.org --reason \"court order 12/2026\"")]
    Block(Rule),
    /// Lets a name and all below it through, where a rule above blocks them
    Allow(Rule),
    /// Takes the rule of a name back
    Forget {
        /// The name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        why: Why,
    },
}

/// A rule.
#[derive(Debug, clap::Args)]
pub(crate) struct Rule {
    /// The name: two labels or more, as A-labels
    #[arg(value_name = "NAME")]
    name: String,
    /// Leaves the names below it out
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    why: Why,
}

impl Name {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let names = Target::new("/v1/names");
        match self {
            Self::List(how_many) => call.list_and_show(&names, how_many, "No name has a rule.", table).await,
            Self::Block(rule) => rule.run(call, "block").await,
            Self::Allow(rule) => rule.run(call, "allow").await,
            Self::Forget { name, why } => call.act(&names.then(&name).then("forget"), &why).await,
        }
    }
}

impl Rule {
    async fn run(self, call: &mut Call, verdict: &str) -> Result<(), Failure> {
        let reason = self.why.ask(call)?;
        let ruling =
            api::NameRuling { name: self.name, verdict: verdict.to_owned(), exact: self.exact, reason };
        let answer = call.post(&Target::new("/v1/names"), &ruling).await?;
        call.show(&answer, facts)
    }
}

fn reach(rule: &api::NameRule) -> &'static str {
    if rule.exact { "the name alone" } else { "and all below" }
}

fn table(rules: &[api::NameRule], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("NAME", Shape::Whole),
        ("VERDICT", Shape::Whole),
        ("REACH", Shape::Whole),
        ("SINCE", Shape::Whole),
        ("BY", Shape::Whole),
        ("REASON", Shape::Text),
    ]);
    for rule in rules {
        table.row([
            (&rule.name).into(),
            Cell::status(&rule.verdict),
            reach(rule).into(),
            (&rule.at).into(),
            (&rule.by).into(),
            (&rule.reason).into(),
        ]);
    }
    table.render(paper)
}

fn facts(rule: &api::NameRule, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("name", &rule.name)
        .fact("verdict", Cell::status(&rule.verdict))
        .fact("reach", reach(rule))
        .fact("since", &rule.at)
        .fact("by", &rule.by)
        .fact("reason", &rule.reason);
    facts.render(paper)
}
