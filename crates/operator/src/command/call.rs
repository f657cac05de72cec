//! One run of a command: the CA it talks to, the terminal, the time.

use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::Clock;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::table::Paper;
use super::terminal::Terminal;
use crate::api::{Done, Reason};
use crate::client::{Answer, Client, Listed, Target};

/// How long a reason may be (the API's bound).
const REASON_CHARS_MAX: usize = 1000;

/// What every command is given.
pub(crate) struct Call {
    /// The CA.
    pub(crate) client: Client,
    /// Whom the command talks with.
    pub(crate) terminal: Terminal,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// How long to wait before something is looked at again.
    pub(crate) pace: Duration,
}

/// Why an act is done.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Why {
    /// Why, for the record; asked for on a terminal
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

impl Why {
    /// The reason that was given, or that somebody gives when asked.
    pub(crate) fn ask(&self, call: &mut Call) -> Result<String, Failure> {
        let reason = match &self.reason {
            Some(reason) => reason.trim().to_owned(),
            None if call.terminal.can_ask => call.terminal.ask("Why? This goes on record: ")?,
            None => {
                return Err(Failure::Usage(
                    "this goes on record with its reason: give it with --reason TEXT".to_owned(),
                ));
            }
        };
        match reason.chars().count() {
            1..=REASON_CHARS_MAX => Ok(reason),
            _ => Err(Failure::Usage(format!("a reason has 1 to {REASON_CHARS_MAX} characters"))),
        }
    }
}

/// How much of a list is wanted.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct HowMany {
    /// Shows this many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Shows all there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl HowMany {
    fn limit(self) -> Option<usize> {
        if self.all { None } else { Some(usize::try_from(self.limit).unwrap_or(usize::MAX)) }
    }
}

impl Call {
    /// Shows one answer: as it came, or as `render` puts it for people.
    pub(crate) fn show<T: DeserializeOwned>(
        &mut self,
        answer: &Answer,
        render: impl FnOnce(&T, &Paper) -> String,
    ) -> Result<(), Failure> {
        if self.terminal.json {
            return self.show_json(&answer.body);
        }
        let text = render(&answer.read()?, &self.terminal.paper);
        self.terminal.print(&text)
    }

    /// Shows an answer as it came.
    pub(crate) fn show_json(&mut self, body: &[u8]) -> Result<(), Failure> {
        let json = String::from_utf8_lossy(body).into_owned();
        self.terminal.print_json(&json)
    }

    /// Fetches one thing and shows it.
    pub(crate) async fn fetch_and_show<T: DeserializeOwned>(
        &mut self,
        target: &Target,
        render: impl FnOnce(&T, &Paper) -> String,
    ) -> Result<(), Failure> {
        let answer = self.client.fetch(target).await?;
        self.show(&answer, render)
    }

    /// Fetches a list and shows it; says what `nothing` there is if it is empty.
    pub(crate) async fn list_and_show<T: DeserializeOwned>(
        &mut self,
        target: &Target,
        how_many: HowMany,
        nothing: &str,
        render: impl FnOnce(&[T], &Paper) -> String,
    ) -> Result<(), Failure> {
        let listed = self.client.list(target, how_many.limit()).await?;
        self.show_list(&listed, nothing, render)?;
        if listed.next.is_some() {
            self.terminal.note("There are more: --all shows every one, --limit N so many.");
        }
        Ok(())
    }

    /// Fetches a list that comes as a whole and shows it; says what `nothing` there is if it is empty.
    pub(crate) async fn whole_list_and_show<T: DeserializeOwned>(
        &mut self,
        target: &Target,
        nothing: &str,
        render: impl FnOnce(&[T], &Paper) -> String,
    ) -> Result<(), Failure> {
        let listed = self.client.fetch(target).await?.list()?;
        self.show_list(&listed, nothing, render)
    }

    /// Shows a list that was fetched.
    pub(crate) fn show_list<T: DeserializeOwned>(
        &mut self,
        listed: &Listed,
        nothing: &str,
        render: impl FnOnce(&[T], &Paper) -> String,
    ) -> Result<(), Failure> {
        if self.terminal.json {
            let items: Vec<&str> = listed.items.iter().map(|item| item.get()).collect();
            let next = match &listed.next {
                Some(next) => format!(",\n\"next\":{}", serde_json::Value::from(next.as_str())),
                None => String::new(),
            };
            return self.terminal.print_json(&format!("{{\"items\":[{}]{next}}}", items.join(",\n")));
        }
        let items: Vec<T> = listed.read()?;
        if items.is_empty() {
            self.terminal.note(nothing);
        }
        let text = render(&items, &self.terminal.paper);
        self.terminal.print(&text)
    }

    /// Does an act that needs a reason and nothing more, and says that it is done.
    pub(crate) async fn act(&mut self, target: &Target, why: &Why) -> Result<(), Failure> {
        let reason = why.ask(self)?;
        self.post_and_say(target, &Reason { reason }).await
    }

    /// Does an act that answers with a sentence.
    pub(crate) async fn post_and_say(
        &mut self,
        target: &Target,
        body: &impl serde::Serialize,
    ) -> Result<(), Failure> {
        let answer = self.post(target, body).await?;
        self.show(&answer, |done: &Done, _| format!("{}\n", super::text::clean(&done.done)))
    }

    /// Does an act. If it waits for a second person, what the CA says of that is shown to programs.
    pub(crate) async fn post(
        &mut self,
        target: &Target,
        body: &impl serde::Serialize,
    ) -> Result<Answer, Failure> {
        match self.client.post(target, body).await {
            Err(crate::client::Error::Waits(waiting, body)) => {
                if self.terminal.json {
                    self.show_json(&body)?;
                }
                Err(Failure::Waits(waiting))
            }
            outcome => Ok(outcome?),
        }
    }
}
