//! `retention`: how long what is kept, and the sweep. `hold`: what stays for a case.

use super::call::{Call, HowMany, Why};
use super::failure::Failure;
use super::table::{Cell, Facts, Paper, Shape, Style, Table};
use super::when::{When, parse_span};
use crate::api;
use crate::client::Target;

/// Commands on retention.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Retention {
    /// Shows the schedule in force: what is kept how long, by which setting, and why
    Show,
    /// Takes out what has had its time, as is done each hour
    #[command(after_help = "\
Examples:
  ingam admin retention sweep --dry-run
  ingam admin retention sweep --confirm --reason \"the CA was off for a month; the clock is right\"")]
    Sweep {
        /// Says what would go, and what stays for a hold; nothing is changed
        #[arg(long, conflicts_with_all = ["confirm", "reason"])]
        dry_run: bool,
        /// The clock is far ahead of the last sweep, and it is right: you have looked at it
        #[arg(long)]
        confirm: bool,
        #[command(flatten)]
        why: Why,
    },
}

/// Commands on holds.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Hold {
    /// Lists all holds, those that ended among them: personal data
    List {
        #[command(flatten)]
        how_many: HowMany,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Shows one hold: personal data
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Opens a hold: no sweep and no erasure takes what it is about
    #[command(after_help = "\
Examples:
  ingam admin hold open 2026-court-12 --serial 7fb1... --for 26w --reason \"demand of a court\"
  ingam admin hold open audit-2027 --class access_log --from 2026-01-01 --until 2027-01-01 --reason \"audit\"

Requests to OCSP are held by ingam admin ocsp hold, under a key of their own.")]
    Open(Box<Open>),
    /// Moves the end of a hold, as it is still needed
    #[command(
        after_help = "Example:\n  ingam admin hold renew ID --for 26w --reason \"the court needs longer\""
    )]
    Renew {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        end: End,
        #[command(flatten)]
        why: Why,
    },
    /// Releases a hold: what it kept goes with the next sweep, if its time is over
    Release {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        why: Why,
    },
}

/// What stays, for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Open {
    /// The case that it is for
    #[arg(value_name = "CASE")]
    case: String,
    #[command(flatten)]
    scope: Scope,
    /// With --class: what is of this time or later
    #[arg(long, value_name = "TIME", requires = "class")]
    from: Option<When>,
    /// With --class: what is of before this time
    #[arg(long, value_name = "TIME", requires = "class")]
    until: Option<When>,
    /// Who answers for it; you, if nothing is said
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    #[command(flatten)]
    end: End,
    #[command(flatten)]
    why: Why,
}

/// What stays: one thing.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Scope {
    /// All that is about this account
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// All that is about this certificate, and what is known of its account
    #[arg(long, value_name = "SERIAL")]
    serial: Option<String>,
    /// All of this class, of some time or of all times
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Everything
    #[arg(long)]
    everything: bool,
}

/// When a hold ends.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct End {
    /// For how long from now, as 26w; at most a year
    #[arg(long = "for", value_name = "SPAN", default_value = "90d", value_parser = span)]
    lasts: std::time::Duration,
}

fn span(text: &str) -> Result<std::time::Duration, String> {
    parse_span(text).ok_or_else(|| "write how long as 14d or 26w".to_owned())
}

impl End {
    fn text(self, call: &Call) -> String {
        call.clock.now().plus(self.lasts).to_rfc3339()
    }
}

impl Retention {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let target = Target::new("/v1/retention");
        match self {
            Self::Show => call.fetch_and_show(&target, state).await,
            Self::Sweep { dry_run: true, .. } => call.fetch_and_show(&target.then("due"), report).await,
            Self::Sweep { confirm, why, .. } => {
                let reason = why.ask(call)?;
                let sweep = api::RetentionSweep { confirm, reason };
                let answer = call.post(&target.then("sweep"), &sweep).await?;
                call.show(&answer, report)
            }
        }
    }
}

impl Hold {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let holds = Target::new("/v1/holds");
        match self {
            Self::List { how_many, reason } => {
                let target = holds.with("reason", reason.as_deref());
                call.list_and_show(&target, how_many, "There is no hold.", table).await
            }
            Self::Show { id, reason } => {
                call.fetch_and_show(&holds.then(&id).with("reason", reason.as_deref()), facts).await
            }
            Self::Open(open) => open.run(call, &holds).await,
            Self::Renew { id, end, why } => {
                let reason = why.ask(call)?;
                let renewal = api::RecordHoldRenewal { ends: end.text(call), reason };
                let answer = call.post(&holds.then(&id).then("renew"), &renewal).await?;
                call.show(&answer, facts)
            }
            Self::Release { id, why } => {
                let reason = why.ask(call)?;
                let answer = call.post(&holds.then(&id).then("release"), &api::Reason { reason }).await?;
                call.show(&answer, facts)
            }
        }
    }
}

impl Open {
    async fn run(self, call: &mut Call, holds: &Target) -> Result<(), Failure> {
        let reason = self.why.ask(call)?;
        let now = call.clock.now();
        let Scope { account, serial, class, everything } = self.scope;
        let scope = api::RecordHoldScope {
            account,
            serial,
            class,
            from: self.from.map(|when| when.text(now)),
            until: self.until.map(|when| when.text(now)),
            everything,
        };
        let ends = self.end.text(call);
        let holding = api::RecordHolding { case: self.case, owner: self.owner, scope, ends, reason };
        let answer = call.post(holds, &holding).await?;
        call.show(&answer, facts)
    }
}

fn state(state: &api::RetentionState, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("preset", &state.preset)
        .fact("statement", &state.statement_url)
        .fact("last sweep", &state.swept)
        .fact("trouble", Cell::styled(state.trouble.as_deref().unwrap_or_default(), Style::Bad))
        .fact("clock last believed", &state.clock_believed_at);
    let mut table = Table::new(&[
        ("CLASS", Shape::Whole),
        ("DAYS", Shape::Number),
        ("FLOOR", Shape::Text),
        ("CEILING", Shape::Text),
        ("KEPT BY", Shape::Text),
        ("SOURCE", Shape::Text),
    ]);
    for row in &state.rows {
        table.row([
            (&row.class).into(),
            row.keep_days.map_or(Cell::from(""), Cell::from),
            (&row.floor).into(),
            (&row.ceiling).into(),
            (&row.kept_by).into(),
            (&row.source).into(),
        ]);
    }
    format!("{}\n{}", facts.render(paper), table.render(paper))
}

fn report(report: &api::RetentionReport, paper: &Paper) -> String {
    let mut segments = Table::new(&[
        ("CLASS", Shape::Whole),
        ("SEGMENT", Shape::Number),
        ("RECORDS", Shape::Number),
        ("LATEST", Shape::Whole),
        ("FATE", Shape::Whole),
        ("WHY", Shape::Text),
    ]);
    for segment in &report.segments {
        let why = match (&segment.hold, &segment.goes) {
            (Some(hold), _) => format!("the hold {hold}"),
            (None, Some(goes)) => format!("goes at {goes}"),
            (None, None) if segment.fate == "goes" => match segment.in_force {
                0 => "its time is over".to_owned(),
                some => format!("its time is over; {some} in force are carried over"),
            },
            (None, None) => "no time ends it".to_owned(),
        };
        segments.row([
            (&segment.class).into(),
            segment.sequence.into(),
            segment.records.into(),
            (&segment.latest).into(),
            (&segment.fate).into(),
            why.into(),
        ]);
    }
    let mut rows = Table::new(&[
        ("CLASS", Shape::Whole),
        ("WHAT", Shape::Whole),
        ("TABLE", Shape::Whole),
        ("ROWS", Shape::Number),
    ]);
    for one in &report.rows {
        rows.row([(&one.class).into(), (&one.what).into(), (&one.table).into(), one.count.into()]);
    }
    let held: Vec<String> = report.held.iter().map(|(what, count)| format!("{what} {count}")).collect();
    let mut facts = Facts::default();
    facts.fact("at", &report.at).fact("kept by holds alone", Cell::list(&held));
    // What there is none of has no lines.
    let parts = [facts.render(paper), segments.render(paper), rows.render(paper)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn what(scope: &api::RecordHoldScope) -> String {
    let of = |what: &str, value: &Option<String>| value.as_ref().map(|value| format!("{what} {value}"));
    let parts = [
        of("account", &scope.account),
        of("certificate", &scope.serial),
        of("class", &scope.class),
        of("from", &scope.from),
        of("until", &scope.until),
        scope.everything.then(|| "everything".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn table(holds: &[api::RecordHold], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("ID", Shape::Whole),
        ("CASE", Shape::Whole),
        ("STATE", Shape::Whole),
        ("ENDS", Shape::Whole),
        ("OWNER", Shape::Text),
        ("WHAT", Shape::Text),
        ("REASON", Shape::Text),
    ]);
    for hold in holds {
        table.row([
            (&hold.id).into(),
            (&hold.case).into(),
            (&hold.state).into(),
            (&hold.ends).into(),
            (&hold.owner).into(),
            what(&hold.scope).into(),
            (&hold.reason).into(),
        ]);
    }
    table.render(paper)
}

fn facts(hold: &api::RecordHold, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("hold", &hold.id)
        .fact("case", &hold.case)
        .fact("state", &hold.state)
        .fact("what stays", what(&hold.scope))
        .fact("owner", &hold.owner)
        .fact("reason", &hold.reason)
        .fact("opened", format!("{} by {}", hold.opened, hold.by))
        .fact("ends", &hold.ends);
    for renewal in &hold.renewals {
        facts.fact("renewed", format!("{} by {}: {}", renewal.at, renewal.by, renewal.reason));
    }
    if let Some(released) = &hold.released {
        facts.fact("released", format!("{} by {}: {}", released.at, released.by, released.reason));
    }
    facts.render(paper)
}
