//! `validation`: would this name validate now?

use super::call::Call;
use super::failure::Failure;
use super::table::{Cell, Facts, Paper};
use crate::api;
use crate::client::Target;

/// Commands on validations.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Validation {
    /// Looks whether a name would validate now, from every perspective, without an order
    #[command(
        after_help = "Example:\n  ingam admin validation try www.example.org --account ID --challenge dns-01"
    )]
    Try(Try),
}

/// What is to be tried.
#[derive(Debug, clap::Args)]
pub(crate) struct Try {
    /// The name, wildcard or address
    #[arg(value_name = "NAME")]
    name: String,
    /// The account that would show control
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    account: String,
    /// The challenge: http-01, dns-01, tls-alpn-01, dns-account-01 or dns-persist-01
    #[arg(long, value_name = "TYPE", default_value = "http-01")]
    challenge: String,
    /// The token of an answer that is in place; without it, one that is the same each time, and shown
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    token: Option<String>,
    /// The profile
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl Validation {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let Self::Try(Try { name, account, challenge, token, profile }) = self;
        let trial = api::ValidationTrial { account, name, challenge, token, profile };
        let answer = call.post(&Target::new("/v1/validations/try"), &trial).await?;
        call.show(&answer, tried)
    }
}

fn tried(tried: &api::ValidationTried, paper: &Paper) -> String {
    let verdict = if tried.would_validate { "would validate" } else { "would not validate" };
    let mut text = format!("{} {verdict} by {} now.\n\n", tried.name, tried.challenge);
    let mut facts = Facts::default();
    facts.fact("token", &tried.token).fact("key authorization", &tried.key_authorization);
    facts.facts("control", said(&tried.control));
    if let Some(caa) = &tried.caa {
        facts.facts("caa", said(caa));
    }
    text.push_str(&facts.render(paper));
    text
}

/// One look in words: what it came to here, and how many agreed; then what those saw that do not, a line for each.
fn said(look: &api::ValidationLook) -> Vec<Cell> {
    let mut parts = vec![look.problem.clone().unwrap_or_else(|| "passed".to_owned())];
    parts.extend(look.quorum.as_ref().map(|quorum| format!("{quorum} perspectives agree")));
    let differing = look.remotes.iter().filter_map(|remote| {
        remote.problem.as_ref().map(|problem| format!("{}: {problem}", remote.perspective))
    });
    std::iter::once(parts.join("; ")).chain(differing).map(Cell::from).collect()
}
