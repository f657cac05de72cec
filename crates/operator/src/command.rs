//! The command line of operators: a client of the admin API, and nothing beside it.
//!
//! Data goes to standard output, as tables for people or, with `--json`, as the API's own JSON; everything else that is
//! said goes to standard error. A file for each group of commands; [`call`] is what all are given.

mod account;
mod approval;
mod backup;
mod call;
mod case;
mod certificate;
mod checkpoint;
mod conditions;
mod eab;
mod edge;
mod evidence;
mod export;
mod failure;
mod follow;
mod incident;
mod job;
mod key;
mod limit;
mod log;
mod name;
mod ocsp;
mod order;
mod principal;
mod raw;
mod retention;
mod revoke;
mod role;
mod serials;
mod server;
mod status;
mod subject;
mod table;
mod terminal;
mod text;
mod validation;
mod when;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, Command, FromArgMatches, Subcommand};
use ingam_protocol::Clock;

use self::call::Call;
use self::failure::Failure;
use self::terminal::Terminal;
use crate::client::{Address, Client, Wanted};

/// How often a job, or the picture of a status, is looked at again.
const PACE: Duration = Duration::from_millis(500);

/// How the admin API is reached.
#[derive(Clone, Debug, clap::Args)]
pub struct Connection {
    /// The admin socket of the CA; otherwise INGAM_ADMIN_SOCKET, /run/ingam/admin.sock or /var/lib/ingam/admin.sock
    #[arg(long, global = true, value_name = "PATH", help_heading = "Connection", conflicts_with_all = ["dir", "url"])]
    socket: Option<PathBuf>,
    /// The folder of an `ingam dev --dir DIR`, whose admin socket is in it
    #[arg(long, global = true, value_name = "DIR", help_heading = "Connection", conflicts_with = "url")]
    dir: Option<PathBuf>,
    /// The address of the CA by TCP, with mutual TLS: https://HOST:PORT; otherwise INGAM_ADMIN_URL
    #[arg(long, global = true, value_name = "URL", help_heading = "Connection")]
    url: Option<String>,
    /// With --url: the certificates that the server's is checked against, PEM; otherwise INGAM_ADMIN_CA
    #[arg(long, value_name = "PEM", help_heading = "Connection")]
    ca: Option<PathBuf>,
    /// With --url: your certificate with its chain, PEM; otherwise INGAM_ADMIN_CERTIFICATE
    #[arg(long, value_name = "PEM", help_heading = "Connection")]
    certificate: Option<PathBuf>,
    /// With --url: your private key, PEM; otherwise INGAM_ADMIN_KEY
    #[arg(long, value_name = "PEM", help_heading = "Connection")]
    key: Option<PathBuf>,
    /// How many seconds to wait for an answer
    #[arg(
        long, global = true, value_name = "SECONDS", default_value_t = 60, help_heading = "Connection",
        value_parser = clap::value_parser!(u64).range(1..=3600),
    )]
    timeout: u64,
    /// Prints what the API answers, as JSON
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
}

/// The command line of `ingam admin`.
#[derive(Debug, clap::Args)]
#[command(after_help = admin_help())]
pub struct Admin {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    group: Group,
}

#[derive(Debug, Subcommand)]
enum Group {
    /// Finds ACME accounts
    #[command(subcommand)]
    Account(account::Account),
    /// Finds orders
    #[command(subcommand)]
    Order(order::Order),
    /// Finds authorizations
    #[command(subcommand)]
    Authz(order::Authz),
    /// Tries whether names would validate
    #[command(subcommand)]
    Validation(validation::Validation),
    /// Finds certificates, and exports them
    #[command(subcommand)]
    Cert(certificate::Certificate),
    /// Shows everything that a certificate rests on
    Evidence(evidence::Evidence),
    /// Revokes one certificate, or many
    Revoke(Box<revoke::Revoke>),
    /// Looks at revocations of many certificates, and holds them
    #[command(subcommand)]
    Job(job::Job),
    /// Gathers certificates until they are revoked together
    #[command(subcommand)]
    Incident(incident::Incident),
    /// Gives out keys that accounts can be bound to, and withdraws them
    #[command(subcommand)]
    Eab(eab::Eab),
    /// Blocks keys
    #[command(subcommand)]
    Key(key::Key),
    /// Blocks names, and lets them through
    #[command(subcommand)]
    Name(name::Name),
    /// Shows rate limits, makes exceptions from them, lets paused accounts go
    #[command(subcommand)]
    Limit(limit::Limit),
    /// Exports what the responder gives out, shows what was asked of it, and holds requests for cases
    #[command(subcommand)]
    Ocsp(Box<ocsp::Ocsp>),
    /// Tells people what is held about them, corrects and erases it
    #[command(subcommand)]
    Subject(Box<subject::Subject>),
    /// Keeps track of why personal data may leave, what left, and who is told
    #[command(subcommand)]
    Case(case::Case),
    /// Counts the demands for personal data of half a year, without people
    TransparencyReport(case::TransparencyReport),
    /// Hands in what witnesses say of the log of records
    #[command(subcommand)]
    Checkpoint(checkpoint::Checkpoint),
    /// Reads the record of what the CA did
    #[command(subcommand)]
    Log(log::Log),
    /// Shows how long what is kept, and sweeps out what has had its time
    #[command(subcommand)]
    Retention(retention::Retention),
    /// Holds what a case needs, whatever the schedule says
    #[command(subcommand)]
    Hold(retention::Hold),
    /// Gives and takes roles
    #[command(subcommand)]
    Role(role::Role),
    /// Decides what waits for a second person
    #[command(subcommand)]
    Approval(approval::Approval),
    /// Lets the CA read its configuration again
    Reload(server::Reload),
    /// Lets the CA write a backup while it runs
    Backup(backup::Backup),
    /// Shows how the CA fares
    Status(status::Look),
    /// Shows whom the CA takes you for, and what you may do
    Whoami,
    /// Sends any request to the admin API
    Api(raw::Raw),
}

/// What can be asked of the admin API, for a command line that has more beside it.
#[derive(Debug)]
pub struct Acts(Group);

impl FromArgMatches for Acts {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Group::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl Subcommand for Acts {
    fn augment_subcommands(command: Command) -> Command {
        Group::augment_subcommands(command)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Group::augment_subcommands_for_update(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Group::has_subcommand(name)
    }
}

impl Acts {
    /// Does what was asked for, over the streams of this process; the exit code says how it ended.
    pub async fn run(self, connection: Connection, clock: Arc<dyn Clock>) -> ExitCode {
        run(connection, self.0, clock).await
    }
}

/// The command line of `ingam status`.
#[derive(Debug, clap::Args)]
#[command(after_help = with_examples(&["ingam status --dir ca", "ingam status --watch"]))]
pub struct Status {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    look: status::Look,
}

/// What stands below the help of `ingam admin`.
pub fn admin_help() -> String {
    with_examples(&[
        "ingam admin whoami",
        "ingam admin --dir ca cert list --name www.example.test",
        "ingam admin --url https://ca.example:14091 --ca ca.pem --certificate ann.pem --key ann.key status",
    ])
}

fn with_examples(examples: &[&str]) -> String {
    let examples: String = examples.iter().map(|example| format!("\n  {example}")).collect();
    format!("{}\n\nExamples:{examples}", failure::EXIT_CODES)
}

impl Admin {
    /// Does what the command line says, over the streams of this process. Everything that is to be told has been told
    /// when the exit code comes back.
    pub async fn run(self, clock: Arc<dyn Clock>) -> ExitCode {
        run(self.connection, self.group, clock).await
    }
}

impl Status {
    /// The same for `ingam status`.
    pub async fn run(self, clock: Arc<dyn Clock>) -> ExitCode {
        run(self.connection, Group::Status(self.look), clock).await
    }
}

async fn run(connection: Connection, group: Group, clock: Arc<dyn Clock>) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let mut terminal = Terminal::of_the_process(connection.json, &env);
    let client = match connection.client(&env) {
        Ok(client) => client,
        Err(failure) => return ended(&mut terminal, Err(failure)),
    };
    let mut call = Call { client, terminal, clock, pace: PACE };
    let outcome = Box::pin(group.run(&mut call)).await;
    ended(&mut call.terminal, outcome)
}

/// Tells how it ended.
fn ended(terminal: &mut Terminal, outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(terminal, &failure);
            failure.exit_code()
        }
    }
}

fn tell(terminal: &mut Terminal, failure: &Failure) {
    match failure {
        Failure::OutputClosed | Failure::NotReady => {}
        Failure::Problem(problem) if terminal.json => {
            terminal.note(&serde_json::to_string(problem).unwrap_or_default());
        }
        failure => terminal.note(&format!("ingam: {failure}")),
    }
}

impl Connection {
    fn client(self, env: &dyn Fn(&str) -> Option<String>) -> Result<Client, Failure> {
        let wanted = Wanted {
            socket: self.socket,
            dir: self.dir,
            url: self.url,
            ca: self.ca,
            certificate: self.certificate,
            key: self.key,
        };
        let address = Address::find(&wanted, env).map_err(Failure::Usage)?;
        Ok(Client::new(address, Duration::from_secs(self.timeout)))
    }
}

impl Group {
    async fn run(self, call: &mut Call) -> Result<(), Failure> {
        match self {
            Self::Account(command) => command.run(call).await,
            Self::Order(command) => command.run(call).await,
            Self::Authz(command) => command.run(call).await,
            Self::Validation(command) => command.run(call).await,
            Self::Cert(command) => command.run(call).await,
            Self::Evidence(command) => command.run(call).await,
            Self::Revoke(command) => command.run(call).await,
            Self::Job(command) => command.run(call).await,
            Self::Incident(command) => command.run(call).await,
            Self::Eab(command) => command.run(call).await,
            Self::Key(command) => command.run(call).await,
            Self::Name(command) => command.run(call).await,
            Self::Limit(command) => command.run(call).await,
            Self::Ocsp(command) => command.run(call).await,
            Self::Subject(command) => command.run(call).await,
            Self::Case(command) => command.run(call).await,
            Self::TransparencyReport(command) => command.run(call).await,
            Self::Checkpoint(command) => command.run(call).await,
            Self::Log(command) => command.run(call).await,
            Self::Retention(command) => command.run(call).await,
            Self::Hold(command) => command.run(call).await,
            Self::Role(command) => command.run(call).await,
            Self::Approval(command) => command.run(call).await,
            Self::Reload(command) => command.run(call).await,
            Self::Backup(command) => command.run(call).await,
            Self::Status(command) => command.run(call).await,
            Self::Whoami => server::whoami(call).await,
            Self::Api(command) => command.run(call).await,
        }
    }
}
