//! `case`: why personal data may leave, what left, who was told. `transparency-report`: the counts of that.

use std::path::{Path, PathBuf};

use ingam_protocol::bytes::hex;
use ring::digest::{Context, SHA256};

use super::call::{Call, HowMany, Why};
use super::failure::Failure;
use super::table::{Cell, Facts, Paper, Shape, Table};
use super::when::When;
use crate::api;
use crate::client::Target;

/// How much of a file is read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Commands on cases.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Case {
    /// Lists cases; on record as a read of personal data
    List {
        #[command(flatten)]
        how_many: HowMany,
        #[command(flatten)]
        perhaps: Perhaps,
    },
    /// Shows one case, with those whom it names
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        perhaps: Perhaps,
    },
    /// Opens a case
    #[command(after_help = "\
Examples:
  ingam admin case open 2026-17 --kind legal_demand --basis warrant --law \"Criminal Procedure Act 215, no. 2026-4711\" \\
      --requester \"Seoul Central District Court\" --subject ACCOUNT --answer-by +14d --reason \"came by letter\"
  ingam admin case open sale --kind transfer --requester \"Example CA Ltd\" --everybody --answer-by 2027-03-01 --reason \"sold\"")]
    Open(Box<Open>),
    /// Holds what is known of each subject of a case, until it is closed or the hold ends
    #[command(
        after_help = "Example:\n  ingam admin case hold 2026-17 --until +90d --reason \"the court may ask for more\""
    )]
    Hold {
        /// The case's name
        #[arg(value_name = "NAME")]
        name: String,
        /// When the hold ends, unless it is renewed
        #[arg(long, value_name = "WHEN")]
        until: When,
        /// Who answers for it; you, without this
        #[arg(long, value_name = "TEXT")]
        owner: Option<String>,
        #[command(flatten)]
        why: Why,
    },
    /// Puts on record that data is given out, if it may be: give it only after this
    #[command(after_help = "\
Examples:
  ingam admin case disclose 2026-17 --field contacts --field addresses --file answer.zip --reason \"as ordered\"
  ingam admin case disclose 2026-17 --subject ACCOUNT --field contacts --reason \"as ordered\"")]
    Disclose(Box<Disclose>),
    /// Puts on record that subjects were told, cannot be told, or may not be told yet
    #[command(after_help = "\
Examples:
  ingam admin case notify 2026-17 --how letter --reason \"sent on the 3rd\"
  ingam admin case notify 2026-17 --subject ACCOUNT --futile --reason \"no contact is known\"
  ingam admin case notify 2026-17 --forbidden-until +90d --reason \"order no. 4711 forbids it\"")]
    Notify(Box<Notify>),
    /// Objects to an improper demand, or says what came of that
    #[command(after_help = "\
Examples:
  ingam admin case object 2026-17 --reason \"the order names no law\"
  ingam admin case object 2026-17 --outcome upheld --reason \"the court agreed\"")]
    Object {
        /// The case's name
        #[arg(value_name = "NAME")]
        name: String,
        /// pending for a new objection; upheld, rejected or withdrawn for what came of it
        #[arg(long, value_name = "WORD", default_value = "pending")]
        outcome: String,
        #[command(flatten)]
        why: Why,
    },
    /// Closes a case, and releases its holds
    Close {
        /// The case's name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        why: Why,
    },
    /// Lists who has to be told, by when, soonest first
    Due {
        /// Shows this many at most
        #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        perhaps: Perhaps,
    },
}

/// Why a thing is looked at that can be without a reason.
#[derive(Debug, clap::Args)]
pub(crate) struct Perhaps {
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// A case to be opened.
#[derive(Debug, clap::Args)]
pub(crate) struct Open {
    /// Its name: 1 to 64 letters, digits, hyphens, dots and underscores
    #[arg(value_name = "NAME")]
    name: String,
    /// legal_demand, consent, fault, abuse, emergency or transfer
    #[arg(long, value_name = "WORD")]
    kind: String,
    /// Of a legal demand: court_order, warrant, official_request or statutory_duty
    #[arg(long, value_name = "WORD")]
    basis: Option<String>,
    /// The article of the law and the number of the order, or where the consent is
    #[arg(long, value_name = "TEXT")]
    law: Option<String>,
    /// Who asks, or is to have the data
    #[arg(long, value_name = "TEXT")]
    requester: Option<String>,
    /// An account that it is about; it can come several times
    #[arg(long = "subject", value_name = "ACCOUNT", allow_hyphen_values = true)]
    subjects: Vec<String>,
    /// A transfer alone: it is about everybody who has an account
    #[arg(long, conflicts_with = "subjects")]
    everybody: bool,
    /// By when it has to be answered, or when the data moves
    #[arg(long, value_name = "WHEN")]
    answer_by: Option<When>,
    /// Until when it is forbidden to tell the subjects
    #[arg(long, value_name = "WHEN")]
    forbidden_until: Option<When>,
    #[command(flatten)]
    why: Why,
}

/// Data that is to be given out.
#[derive(Debug, clap::Args)]
pub(crate) struct Disclose {
    /// The case's name
    #[arg(value_name = "NAME")]
    name: String,
    /// A field that is given; it can come several times
    #[arg(long = "field", value_name = "NAME", required = true)]
    fields: Vec<String>,
    /// Whose data; everybody's in the case, without it
    #[arg(long = "subject", value_name = "ACCOUNT", allow_hyphen_values = true)]
    subjects: Vec<String>,
    /// To whom; who asked, without it
    #[arg(long, value_name = "TEXT")]
    recipient: Option<String>,
    /// The file that is given: its SHA-256 goes on record, and nothing else of it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    why: Why,
}

/// What becomes of telling subjects.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["how", "futile", "forbidden_until"]))]
pub(crate) struct Notify {
    /// The case's name
    #[arg(value_name = "NAME")]
    name: String,
    /// Who; all who are not told yet, without it
    #[arg(long = "subject", value_name = "ACCOUNT", allow_hyphen_values = true)]
    subjects: Vec<String>,
    /// They were told, by this way: mail, letter, portal
    #[arg(long, value_name = "TEXT")]
    how: Option<String>,
    /// They cannot be told
    #[arg(long)]
    futile: bool,
    /// It is forbidden to tell anybody of the case until then
    #[arg(long, value_name = "WHEN")]
    forbidden_until: Option<When>,
    #[command(flatten)]
    why: Why,
}

/// The counts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ingam admin transparency-report --from 2026-01-01 --to 2026-07-01")]
pub(crate) struct TransparencyReport {
    /// Cases opened from then on; without it, of the last half of a year that is over
    #[arg(long, value_name = "WHEN")]
    from: Option<When>,
    /// And before this
    #[arg(long, value_name = "WHEN")]
    to: Option<When>,
    /// Withholds counts below this
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    minimum: u32,
}

impl Case {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let cases = Target::new("/v1/cases");
        match self {
            Self::List { how_many, perhaps } => {
                let target = cases.with("reason", perhaps.reason.as_deref());
                call.list_and_show(&target, how_many, "There is no case.", table).await
            }
            Self::Show { name, perhaps } => {
                let target = cases.then(&name).with("reason", perhaps.reason.as_deref());
                call.fetch_and_show(&target, detail).await
            }
            Self::Open(open) => {
                let opening = open.body(call)?;
                let answer = call.post(&cases, &opening).await?;
                call.show(&answer, facts)
            }
            Self::Hold { name, until, owner, why } => {
                let ends = until.text(call.clock.now());
                let holding = api::CaseHolding { owner, ends, reason: why.ask(call)? };
                let answer = call.post(&cases.then(&name).then("hold"), &holding).await?;
                call.show(&answer, facts)
            }
            Self::Disclose(disclose) => disclose.run(call, &cases).await,
            Self::Notify(notify) => notify.run(call, &cases).await,
            Self::Object { name, outcome, why } => {
                let objecting = api::CaseObjecting { outcome: Some(outcome), reason: why.ask(call)? };
                let answer = call.post(&cases.then(&name).then("object"), &objecting).await?;
                call.show(&answer, facts)
            }
            Self::Close { name, why } => {
                let body = api::Reason { reason: why.ask(call)? };
                let answer = call.post(&cases.then(&name).then("close"), &body).await?;
                call.show(&answer, facts)
            }
            Self::Due { limit, perhaps } => {
                let target = Target::new("/v1/notices/due")
                    .with("limit", Some(&limit.to_string()))
                    .with("reason", perhaps.reason.as_deref());
                call.whole_list_and_show(&target, "Nobody has to be told anything.", due).await
            }
        }
    }
}

impl Open {
    fn body(self, call: &mut Call) -> Result<api::CaseOpening, Failure> {
        let now = call.clock.now();
        let text = |when: Option<When>| when.map(|when| when.text(now));
        Ok(api::CaseOpening {
            reason: self.why.ask(call)?,
            name: self.name,
            kind: self.kind,
            basis: self.basis,
            law: self.law,
            requester: self.requester,
            answer_by: text(self.answer_by),
            forbidden_until: text(self.forbidden_until),
            subjects: self.subjects,
            everybody: self.everybody,
        })
    }
}

impl Disclose {
    async fn run(self, call: &mut Call, cases: &Target) -> Result<(), Failure> {
        let sha256 = self.file.as_deref().map(sha256_of).transpose()?;
        let disclosing = api::CaseDisclosing {
            recipient: self.recipient,
            subjects: self.subjects,
            fields: self.fields,
            sha256,
            reason: self.why.ask(call)?,
        };
        let answer = call.post(&cases.clone().then(&self.name).then("disclose"), &disclosing).await?;
        call.show(&answer, facts)
    }
}

impl Notify {
    async fn run(self, call: &mut Call, cases: &Target) -> Result<(), Failure> {
        let telling = api::CaseTelling {
            subjects: self.subjects,
            how: self.how,
            futile: self.futile,
            forbidden_until: self.forbidden_until.map(|end| end.text(call.clock.now())),
            reason: self.why.ask(call)?,
        };
        let answer = call.post(&cases.clone().then(&self.name).then("notify"), &telling).await?;
        call.show(&answer, facts)
    }
}

impl TransparencyReport {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let now = call.clock.now();
        let text = |when: Option<When>| when.map(|when| when.text(now));
        let target = Target::new("/v1/transparency-report")
            .with("from", text(self.from).as_deref())
            .with("until", text(self.to).as_deref())
            .with("minimum", Some(&self.minimum.to_string()));
        call.fetch_and_show(&target, report).await
    }
}

/// The SHA-256 of a file, read in blocks: it may be long.
fn sha256_of(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let failed =
        |error: std::io::Error| Failure::Usage(format!("{} cannot be read: {error}", path.display()));
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let (mut context, mut block) = (Context::new(&SHA256), vec![0; BLOCK_BYTES]);
    loop {
        let length = file.read(&mut block).map_err(failed)?;
        if length == 0 {
            return Ok(hex(context.finish().as_ref()));
        }
        context.update(block.get(..length).unwrap_or_default());
    }
}

fn table(cases: &[api::Case], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("NAME", Shape::Whole),
        ("KIND", Shape::Whole),
        ("STATUS", Shape::Whole),
        ("SUBJECTS", Shape::Number),
        ("TOLD", Shape::Number),
        ("OPENED", Shape::Whole),
        ("REQUESTER", Shape::Text),
    ]);
    for case in cases {
        table.row([
            (&case.name).into(),
            (&case.kind).into(),
            Cell::status(&case.status),
            case.subjects.into(),
            case.told.into(),
            (&case.at).into(),
            (&case.requester).into(),
        ]);
    }
    table.render(paper)
}

fn facts(case: &api::Case, paper: &Paper) -> String {
    filled(case).render(paper)
}

fn filled(case: &api::Case) -> Facts {
    let mut facts = Facts::default();
    facts
        .fact("case", &case.name)
        .fact("kind", &case.kind)
        .fact("basis", &case.basis)
        .fact("law", &case.law)
        .fact("requester", &case.requester)
        .fact("status", Cell::status(&case.status))
        .fact("reason", &case.reason)
        .fact("opened", &case.at)
        .fact("by", &case.by)
        .fact("answer by", &case.answer_by)
        .fact("everybody", case.everybody)
        .fact("may not be told until", &case.forbidden_until)
        .fact("subjects", case.subjects)
        .fact("given out", case.disclosed)
        .fact("told", case.told)
        .fact("futile", case.futile)
        .facts("holds", case.holds.iter().map(Into::into).collect());
    let objection =
        |one: &api::CaseObjection| Cell::from(format!("{} {}: {}", one.at, one.outcome, one.reason));
    facts.facts("objections", case.objections.iter().map(objection).collect());
    let given = |one: &api::CaseDisclosure| {
        let (fields, subjects) = (one.fields.join(", "), one.subjects.len());
        let whose = if subjects == 0 { "everybody".to_owned() } else { subjects.to_string() };
        Cell::from(format!("{} to {}, of {whose}: {fields}", one.at, one.recipient))
    };
    facts.facts("disclosures", case.disclosures.iter().map(given).collect());
    facts.fact("closed", &case.closed).fact("closed because", &case.closed_reason);
    facts
}

fn detail(case: &api::CaseDetail, paper: &Paper) -> String {
    let mut text = filled(&case.case).render(paper);
    if case.named.is_empty() {
        return text;
    }
    let mut table = Table::new(&[
        ("SUBJECT", Shape::Whole),
        ("GIVEN OUT", Shape::Whole),
        ("TOLD", Shape::Whole),
        ("HOW", Shape::Text),
        ("DUE", Shape::Whole),
    ]);
    for subject in &case.named {
        table.row([
            (&subject.subject).into(),
            (&subject.disclosed).into(),
            (&subject.noticed).into(),
            (&subject.how).into(),
            (&subject.due).into(),
        ]);
    }
    text.push('\n');
    text.push_str(&table.render(paper));
    text
}

fn due(notices: &[api::DueNotice], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("BY", Shape::Whole),
        ("", Shape::Whole),
        ("NOTICE", Shape::Whole),
        ("CASE", Shape::Whole),
        ("TO", Shape::Whole),
    ]);
    for notice in notices {
        table.row([
            (&notice.by).into(),
            if notice.overdue { "overdue" } else { "" }.into(),
            (&notice.notice).into(),
            (&notice.case).into(),
            (&notice.subject).into(),
        ]);
    }
    table.render(paper)
}

fn report(report: &api::TransparencyReport, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts.fact("from", &report.from).fact("until", &report.until).fact("withheld below", report.minimum);
    let mut table = Table::new(&[("KIND", Shape::Whole), ("WHAT", Shape::Whole), ("COUNT", Shape::Number)]);
    for (kind, counts) in &report.kinds {
        table.row([kind.into(), "cases".into(), counts.cases.into()]);
        if counts.cases == 0 {
            continue;
        }
        let groups = [
            ("basis", &counts.by_basis),
            ("outcome", &counts.by_outcome),
            ("subjects", &counts.by_subjects),
            ("objections", &counts.objections),
            ("notices", &counts.notices),
        ];
        for (group, cells) in groups {
            for (name, cell) in cells {
                let count = cell.map_or_else(|| "withheld".to_owned(), |count| count.to_string());
                table.row([kind.into(), format!("{group}: {name}").into(), count.into()]);
            }
        }
    }
    format!("{}\n{}", facts.render(paper), table.render(paper))
}
