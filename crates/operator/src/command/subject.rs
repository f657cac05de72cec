//! `subject`: what people are told about themselves, and may have corrected or erased.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::call::{Call, HowMany, Why};
use super::failure::Failure;
use super::table::{Cell, Facts, Paper, Shape, Table};
use super::text::clean;
use super::when::When;
use crate::api;
use crate::client::Target;

/// The sections of a report beside its head.
const SECTIONS: [&str; 3] = ["orders", "certificates", "records"];
/// How many items of a section are fetched at once.
const ITEMS_AT_ONCE: &str = "500";

/// Commands on subjects.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subject {
    /// Writes everything that is held about somebody, as JSON: personal data, whose reading goes on record
    #[command(after_help = "\
Examples:
  ingam admin subject export ACCOUNT --output report.json --reason \"request 17: signed by the account\"
  ingam admin subject export --contact ann@example.org --output report.json --reason \"request 18\"")]
    Export(Export),
    /// Puts other contacts in place of an account's
    #[command(after_help = "\
Examples:
  ingam admin subject correct ACCOUNT --contact ann@example.org --reason \"request 19\"
  ingam admin subject correct ACCOUNT --none --reason \"request 20\"")]
    Correct(Correct),
    /// Erases the contact data of somebody for good, and says what stays and why
    #[command(after_help = "\
Examples:
  ingam admin subject erase ACCOUNT --reason \"request 21\"
  ingam admin subject erase --contact ann@example.org --close --reason \"request 22\"")]
    Erase(Erase),
    /// Notes that somebody objects to mail, or does not any more
    Object {
        /// The account's id
        #[arg(value_name = "ACCOUNT", allow_hyphen_values = true)]
        account: String,
        /// It does not object any more
        #[arg(long)]
        withdrawn: bool,
        #[command(flatten)]
        why: Why,
    },
    /// Lists who has contact data here, and by when each is to be told what is held: personal data
    #[command(after_help = "\
Examples:
  ingam admin subject list --due --reason \"yearly statements\"
  ingam admin subject list --due-before +30d --json --reason \"yearly statements\"")]
    List(List),
    /// Notes that these were told what is held about them
    #[command(
        after_help = "Example:\n  ingam admin subject told ACCOUNT ACCOUNT --reason \"statements of 2026\""
    )]
    Told {
        /// The accounts' ids; behind -- if one begins with a hyphen
        #[arg(value_name = "ACCOUNT", required = true)]
        accounts: Vec<String>,
        #[command(flatten)]
        why: Why,
    },
}

/// Whose data.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whose {
    /// The account's id
    #[arg(value_name = "ACCOUNT", allow_hyphen_values = true)]
    account: Option<String>,
    /// Every account with this contact address
    #[arg(long, value_name = "ADDRESS")]
    contact: Option<String>,
}

/// What is exported, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    #[command(flatten)]
    whose: Whose,
    /// A new file, for you alone; standard output without it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    why: Why,
}

/// A correction.
#[derive(Debug, clap::Args)]
pub(crate) struct Correct {
    /// The account's id
    #[arg(value_name = "ACCOUNT", allow_hyphen_values = true)]
    account: String,
    /// A contact address; can be given several times
    #[arg(long = "contact", value_name = "ADDRESS", required_unless_present = "none")]
    contacts: Vec<String>,
    /// Takes all contacts out
    #[arg(long, conflicts_with = "contacts")]
    none: bool,
    #[command(flatten)]
    why: Why,
}

/// An erasure.
#[derive(Debug, clap::Args)]
pub(crate) struct Erase {
    #[command(flatten)]
    whose: Whose,
    /// Ends the account, too
    #[arg(long)]
    close: bool,
    #[command(flatten)]
    why: Why,
}

/// Which subjects.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Those that are due now
    #[arg(long, conflicts_with = "due_before")]
    due: bool,
    /// Those that are due before this time: 2026-12-21, or what lies ahead as +30d
    #[arg(long, value_name = "TIME")]
    due_before: Option<When>,
    #[command(flatten)]
    how_many: HowMany,
    #[command(flatten)]
    why: Why,
}

fn subjects() -> Target {
    Target::new("/v1/subjects")
}

impl Subject {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        match self {
            Self::Export(export) => export.run(call).await,
            Self::Correct(correct) => {
                let reason = correct.why.ask(call)?;
                let correction = api::SubjectCorrection { contacts: correct.contacts, reason };
                call.post_and_say(&subjects().then(&correct.account).then("correct"), &correction).await
            }
            Self::Erase(erase) => erase.run(call).await,
            Self::Object { account, withdrawn, why } => {
                let reason = why.ask(call)?;
                let objection = api::SubjectObjection { objects: !withdrawn, reason };
                call.post_and_say(&subjects().then(&account).then("object"), &objection).await
            }
            Self::List(list) => {
                let reason = list.why.ask(call)?;
                let now = call.clock.now();
                let before = match list.due {
                    true => Some(now.to_rfc3339()),
                    false => list.due_before.map(|when| when.text(now)),
                };
                let target = subjects().with("due_before", before.as_deref()).with("reason", Some(&reason));
                call.list_and_show(&target, list.how_many, "Nobody is so.", table).await
            }
            Self::Told { accounts, why } => {
                let reason = why.ask(call)?;
                for account in accounts {
                    let target = subjects().then(&account).then("told");
                    call.post_and_say(&target, &api::Reason { reason: reason.clone() }).await?;
                }
                Ok(())
            }
        }
    }
}

impl Whose {
    /// The accounts that are meant.
    async fn accounts(&self, call: &mut Call, reason: &str) -> Result<Vec<String>, Failure> {
        let Some(contact) = &self.contact else {
            return Ok(self.account.iter().cloned().collect());
        };
        let mut accounts = Vec::new();
        let mut search =
            api::SubjectSearch { contact: contact.clone(), after: None, reason: reason.to_owned() };
        loop {
            let page: api::Page<api::Subject> = call.client.post(&subjects(), &search).await?.read()?;
            accounts.extend(page.items.into_iter().map(|subject| subject.account));
            match page.next {
                Some(next) if search.after.as_ref() != Some(&next) => search.after = Some(next),
                _ => break,
            }
        }
        if accounts.is_empty() {
            return Err(Failure::Nothing("no account has this contact: nothing is held under it".to_owned()));
        }
        Ok(accounts)
    }
}

impl Export {
    /// Writes as it reads: a report is never in memory as a whole.
    async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let reason = self.why.ask(call)?;
        let accounts = self.whose.accounts(call, &reason).await?;
        let mut place = Place::new(self.output.as_ref())?;
        place.put(call, "{\"format\":\"ingam-subject-export/1\",\"reports\":[")?;
        for (number, account) in accounts.iter().enumerate() {
            place.put(call, if number == 0 { "\n" } else { ",\n" })?;
            write_report(call, &mut place, account, &reason).await?;
        }
        place.put(call, "\n]}\n")?;
        if let Some(path) = &self.output {
            place.sync()?;
            let of = if accounts.len() == 1 { "1 account" } else { "several accounts" };
            call.terminal.note(&format!("what is held about {of} was written to {}", path.display()));
        }
        Ok(())
    }
}

async fn write_report(
    call: &mut Call,
    place: &mut Place,
    account: &str,
    reason: &str,
) -> Result<(), Failure> {
    let target = subjects().then(account);
    let head = call.client.fetch(&target.clone().with("reason", Some(reason))).await?;
    let head: serde_json::Value = head.read::<serde_json::Value>()?;
    let text = head.to_string();
    // Without its closing brace: the sections follow.
    let open = text.strip_suffix('}').ok_or_else(|| Failure::Unread("the report is no object".to_owned()))?;
    place.put(call, open)?;
    for section in SECTIONS {
        place.put(call, &format!(",\n\"{section}\":["))?;
        let page_of = target.clone().then("section").with("section", Some(section));
        let page_of = page_of.with("limit", Some(ITEMS_AT_ONCE)).with("reason", Some(reason));
        let (mut after, mut is_first): (Option<String>, bool) = (None, true);
        loop {
            let listed = call.client.fetch(&page_of.clone().with("after", after.as_deref())).await?.list()?;
            for item in &listed.items {
                place.put(call, if std::mem::take(&mut is_first) { "\n" } else { ",\n" })?;
                place.put(call, item.get())?;
            }
            if listed.next.is_none() {
                break;
            }
            if listed.next == after {
                return Err(Failure::Unread(
                    "the report does not go on: its next page is the same again".into(),
                ));
            }
            after = listed.next;
        }
        place.put(call, "]")?;
    }
    place.put(call, "}")
}

/// Where a report goes.
enum Place {
    Output,
    File(std::fs::File),
}

impl Place {
    fn new(path: Option<&PathBuf>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Output) };
        // Personal data: for whoever runs the command, and never over something that is there.
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let failed = |error| Failure::Usage(format!("{} cannot be written: {error}", path.display()));
        file.map(Self::File).map_err(failed)
    }

    fn put(&mut self, call: &mut Call, text: &str) -> Result<(), Failure> {
        match self {
            Self::Output => call.terminal.print_bytes(text.as_bytes()),
            Self::File(file) => file.write_all(text.as_bytes()).map_err(|error| unwritten(&error)),
        }
    }

    fn sync(&self) -> Result<(), Failure> {
        match self {
            Self::Output => Ok(()),
            Self::File(file) => file.sync_all().map_err(|error| unwritten(&error)),
        }
    }
}

fn unwritten(error: &std::io::Error) -> Failure {
    Failure::Usage(format!("the file cannot be written: {error}"))
}

impl Erase {
    async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let reason = self.why.ask(call)?;
        for account in self.whose.accounts(call, &reason).await? {
            let erasing = api::SubjectErasing { close: self.close, reason: reason.clone() };
            let answer = call.post(&subjects().then(&account).then("erase"), &erasing).await?;
            call.show(&answer, erased)?;
        }
        Ok(())
    }
}

fn erased(done: &api::SubjectErased, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts.fact("account", &done.account).fact("ended", if done.closed { "yes" } else { "no" });
    let mut text = facts.render(paper);
    text.push_str("\nErased:\n");
    for what in &done.erased {
        text.push_str(&format!("  - {}\n", clean(what)));
    }
    text.push_str("\nKept:\n");
    for kept in &done.kept {
        text.push_str(&format!("  - {} ({})\n", clean(&kept.what), clean(&kept.kept)));
        for basis in &kept.basis {
            text.push_str(&format!("      {}\n", clean(basis)));
        }
    }
    text
}

fn table(found: &[api::Subject], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("ACCOUNT", Shape::Whole),
        ("DUE", Shape::Whole),
        ("TOLD", Shape::Whole),
        ("SINCE", Shape::Whole),
        ("MAIL", Shape::Whole),
        ("CONTACTS", Shape::Text),
    ]);
    for subject in found {
        table.row([
            (&subject.account).into(),
            (&subject.due).into(),
            (&subject.told).into(),
            (&subject.since).into(),
            (if subject.mail_objected.is_some() { "objects" } else { "" }).into(),
            Cell::list(&subject.contacts),
        ]);
    }
    table.render(paper)
}
