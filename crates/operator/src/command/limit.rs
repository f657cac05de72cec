//! `limit`: rate limits, exceptions from them, and accounts that are paused.

use super::call::{Call, HowMany, Why};
use super::failure::Failure;
use super::table::{Cell, Facts, Paper, Shape, Table};
use super::when::{When, parse_span};
use crate::api;
use crate::client::Target;

/// Commands on rate limits.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Limit {
    /// Shows what an account or a registered domain has left, its exceptions, and the names that fail
    Show(Whose),
    /// Shows what an order would meet, without making it or spending anything
    #[command(
        after_help = "Example:\n  ingam admin limit dry-run --account ID --name www.example.org --name example.org"
    )]
    DryRun {
        /// The account
        #[arg(long, value_name = "ID")]
        account: String,
        /// A name or an address of the order; can be given again
        #[arg(long = "name", value_name = "NAME", required = true)]
        names: Vec<String>,
        /// The profile
        #[arg(long, value_name = "NAME")]
        profile: Option<String>,
    },
    /// Makes exceptions from limits, and takes them back
    #[command(subcommand)]
    Override(Override),
    /// Lets an account order again for names whose checks had failed for long
    Unpause {
        /// The account
        #[arg(long, value_name = "ID")]
        account: String,
        /// A name or an address; can be given again. Without it, all are meant
        #[arg(long = "name", value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        why: Why,
    },
}

/// Commands on exceptions.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Override {
    /// Lists exceptions, those that are over among them
    List(HowMany),
    /// Gives an account or a registered domain a limit of its own, until a date
    #[command(
        after_help = "Example:\n  ingam admin limit override put certificates_per_registered_domain --domain example.org \
                            --count 500 --until +30d --reason \"moving, ticket 12\""
    )]
    Put(Put),
    /// Takes an exception back
    Forget {
        /// The limit
        #[arg(value_name = "LIMIT")]
        limit: String,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        why: Why,
    },
}

/// An account or a registered domain.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whose {
    /// An account's
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// A registered domain's
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
}

/// An exception.
#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    /// The limit
    #[arg(value_name = "LIMIT")]
    limit: String,
    #[command(flatten)]
    whose: Whose,
    /// How many are let through in a period
    #[arg(long, value_name = "N")]
    count: u32,
    /// The period, as in 3h or 7d; that of the limit, if it is not given
    #[arg(long, value_name = "SPAN", value_parser = span_s)]
    period: Option<u64>,
    /// How many are let through at once; all, if it is not given
    #[arg(long, value_name = "N")]
    burst: Option<u32>,
    /// Until when it holds, as in +30d or 2027-01-31
    #[arg(long, value_name = "WHEN")]
    until: When,
    #[command(flatten)]
    why: Why,
}

fn span_s(text: &str) -> Result<u64, String> {
    let span = parse_span(text).map(|span| span.as_secs());
    span.ok_or_else(|| "write a span of time as 90s, 30m, 3h, 7d or 4w".to_owned())
}

impl Limit {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let limits = Target::new("/v1/limits");
        match self {
            Self::Show(Whose { account, domain }) => {
                let whose = limits.with("account", account.as_deref()).with("domain", domain.as_deref());
                call.fetch_and_show(&whose, shown).await
            }
            Self::DryRun { account, names, profile } => {
                let trial = api::OrderTrial { account, names, profile };
                let answer = call.post(&limits.then("dry-run"), &trial).await?;
                call.show(&answer, tried)
            }
            Self::Override(command) => command.run(call).await,
            Self::Unpause { account, names, why } => {
                let reason = why.ask(call)?;
                let sent = api::Unpausing { account, names, reason };
                let answer = call.post(&limits.then("unpause"), &sent).await?;
                call.show(&answer, |done: &api::Unpaused, paper| {
                    let mut facts = Facts::default();
                    facts.fact("account", &done.account).fact("unpaused", Cell::list(&done.names));
                    facts.render(paper)
                })
            }
        }
    }
}

impl Override {
    async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let overrides = Target::new("/v1/limits/overrides");
        match self {
            Self::List(how_many) => {
                call.list_and_show(&overrides, how_many, "There are no exceptions.", table).await
            }
            Self::Put(Put { limit, whose, count, period, burst, until, why }) => {
                let (reason, until) = (why.ask(call)?, until.text(call.clock.now()));
                let Whose { account, domain } = whose;
                let sent = api::LimitOverriding {
                    limit,
                    account,
                    domain,
                    count,
                    period_s: period,
                    burst,
                    until,
                    reason,
                };
                let answer = call.post(&overrides, &sent).await?;
                call.show(&answer, facts)
            }
            Self::Forget { limit, whose: Whose { account, domain }, why } => {
                let reason = why.ask(call)?;
                let sent = api::LimitForgetting { limit, account, domain, reason };
                call.post_and_say(&overrides.then("forget"), &sent).await
            }
        }
    }
}

/// Whose an exception is.
fn whose(own: &api::LimitOverride) -> &str {
    own.account.as_deref().or(own.domain.as_deref()).unwrap_or_default()
}

fn rate(count: u32, period_s: u64) -> String {
    format!("{count} in {}", super::when::span_text(std::time::Duration::from_secs(period_s)))
}

fn standings(limits: &[api::LimitStanding], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("LEFT", Shape::Number),
        ("OF", Shape::Number),
        ("LIMIT", Shape::Whole),
        ("FOR", Shape::Text),
        ("RATE", Shape::Text),
        ("NEXT", Shape::Whole),
        ("EXCEPTION UNTIL", Shape::Whole),
    ]);
    for one in limits {
        table.row([
            u64::from(one.remaining).into(),
            u64::from(one.of).into(),
            (&one.limit).into(),
            (&one.subject).into(),
            rate(one.count, one.period_s).into(),
            (&one.next_at).into(),
            (&one.override_until).into(),
        ]);
    }
    table.render(paper)
}

fn shown(shown: &api::LimitsShown, paper: &Paper) -> String {
    let mut text = match shown.limits.is_empty() {
        true => "No limit is on.\n".to_owned(),
        false => standings(&shown.limits, paper),
    };
    if !shown.overrides.is_empty() {
        text.push_str("\nExceptions:\n");
        text.push_str(&table(&shown.overrides, paper));
    }
    if !shown.pauses.is_empty() {
        text.push_str("\nNames that fail:\n");
        text.push_str(&pauses(&shown.pauses, paper));
    }
    text
}

fn pauses(pauses: &[api::LimitPause], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("NAME", Shape::Whole),
        ("FAILURES", Shape::Number),
        ("FIRST", Shape::Whole),
        ("LAST", Shape::Whole),
        ("PAUSED", Shape::Whole),
    ]);
    for pause in pauses {
        table.row([
            (&pause.name).into(),
            u64::from(pause.failures).into(),
            (&pause.first).into(),
            (&pause.last).into(),
            (&pause.paused).into(),
        ]);
    }
    table.render(paper)
}

fn tried(tried: &api::OrderTried, paper: &Paper) -> String {
    let mut text = match tried.would_succeed {
        true => "The order would be made.\n".to_owned(),
        false => "The order would be refused.\n".to_owned(),
    };
    for problem in &tried.problems {
        text.push_str(&format!("{}\n", super::text::clean(problem)));
    }
    if !tried.limits.is_empty() {
        text.push('\n');
        text.push_str(&standings(&tried.limits, paper));
    }
    text
}

fn table(overrides: &[api::LimitOverride], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("LIMIT", Shape::Whole),
        ("FOR", Shape::Whole),
        ("RATE", Shape::Text),
        ("AT ONCE", Shape::Number),
        ("UNTIL", Shape::Whole),
        ("BY", Shape::Whole),
        ("REASON", Shape::Text),
    ]);
    for own in overrides {
        table.row([
            (&own.limit).into(),
            whose(own).into(),
            rate(own.count, own.period_s).into(),
            u64::from(own.burst).into(),
            (&own.until).into(),
            (&own.by).into(),
            (&own.reason).into(),
        ]);
    }
    table.render(paper)
}

fn facts(own: &api::LimitOverride, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("limit", &own.limit)
        .fact("for", whose(own))
        .fact("rate", rate(own.count, own.period_s))
        .fact("at once", u64::from(own.burst))
        .fact("until", &own.until)
        .fact("since", &own.at)
        .fact("by", &own.by)
        .fact("reason", &own.reason);
    facts.render(paper)
}
