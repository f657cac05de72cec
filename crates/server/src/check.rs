//! `ingam check`: everything that would stop or endanger a start, at once, and nothing touched: no file is made or written,
//! no lock taken, no port bound. What it reads of the state is what lies there as files, so it may look at a CA that runs.

mod ports;
mod print;
mod state;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use ingam_protocol::finding::Level;
use ingam_protocol::time::Clock;
use ingam_protocol::{Finding, Findings, Timestamp};
use ingam_signer::{AnswerKey, KeyLocation};
use ingam_validation::LocalPerspective;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{self, Config, Environment, Reading, Role};
use crate::serve::{StartError, publication_of};
use crate::system::SystemClock;
use crate::{delegates, responder, terminal, transparency};

/// What it ends with when it found what stops a start.
const EXIT_FOUND: u8 = 1;

const EXIT_CODES: &str = "Exit codes:
  0  nothing stops a start; there may be warnings
  1  at least one error, or with --deny-warnings at least one warning
  2  wrong use, or the file cannot be read";

/// What the command line says.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Check {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The file with the passphrase of the issuing CAs' keys, where only the service has it, as its credential
    #[arg(long, value_name = "FILE")]
    issuer_passphrase_file: Option<PathBuf>,
    /// What the process is to be
    #[arg(long, value_enum, default_value_t, conflicts_with = "dev")]
    role: Role,
    /// Lays the file over the built-in configuration first, as `ingam dev` does, and leaves state and certificate to it
    #[arg(long)]
    dev: bool,
    /// Prints one JSON object: {"errors": N, "warnings": N, "notes": N, "findings": [...]}
    #[arg(long)]
    json: bool,
    /// Ends with 1 for warnings too
    #[arg(long)]
    deny_warnings: bool,
    /// Looks as if it were this day (2029-03-15) or moment (2029-03-15T12:00:00Z): what will have ended, and which rules
    /// for public profiles will be broken then or within the year after
    #[arg(long, value_name = "DATE", value_parser = moment)]
    at: Option<Timestamp>,
}

/// Looks, and tells.
///
/// # Errors
/// [`StartError`] if the file cannot be read, or nobody can be told.
pub(crate) fn run(options: &Check) -> Result<ExitCode, StartError> {
    let now = options.at.unwrap_or_else(|| SystemClock.now());
    let mut reading = match options.dev {
        true => Reading::of_development(Some(&options.config))?,
        false => Reading::of_file(&options.config)?,
    };
    if let Some(file) = &options.issuer_passphrase_file {
        reading.config.hierarchy.passphrase_file = Some(file.clone());
    }
    reading = reading.for_role(options.role);
    reading.examine(now);
    // Development is told of rules only where it asks.
    let is_development = reading.config.environment == Environment::Development;
    if options.at.is_some() && is_development {
        config::public::check(&reading.config, now, &mut reading.found);
    }
    if options.role == Role::All && (options.at.is_some() || !is_development) {
        config::public::differences(&reading.config, now, &mut reading.found);
    }
    match options.role {
        Role::All => surroundings(&mut reading, options.dev, now),
        Role::Signer => {
            let Reading { config, found, .. } = &mut reading;
            ports::check(&config.listen.of_signer(), found);
            if let Err(finding) = delegates::keys(config) {
                found.push(finding);
            }
            state::check(&config.clone().of_signer(), now, found);
        }
        Role::Responder => {
            let Reading { config, found, .. } = &mut reading;
            ports::check(&config.listen.of_responder(), found);
            answers_key(config, found);
            delegate_key(config, found);
            tls::check_responder(config, now, found);
        }
        Role::Perspective => {
            let Reading { config, found, .. } = &mut reading;
            ports::check(&config.listen.of_perspective(), found);
            validation(config, found);
            tls::check_perspective(config, now, found);
        }
    }
    let found = reading.into_findings();
    let is_serve = options.role == Role::All && !options.dev;
    terminal::told(match options.json {
        true => print::json(&found),
        false => print::people(&options.config, &found, is_serve),
    })?;
    let stops = |finding: &Finding| match finding.level {
        Level::Error => true,
        Level::Warning => options.deny_warnings,
        Level::Note => false,
    };
    Ok(if found.iter().any(stops) { ExitCode::from(EXIT_FOUND) } else { ExitCode::SUCCESS })
}

/// What lies around the configuration.
fn surroundings(reading: &mut Reading, is_dev: bool, now: Timestamp) {
    let Reading { config, found, .. } = reading;
    ports::check(&config.listen, found);
    if let Err(error) = config.public_suffixes() {
        found.error(
            "issuance.public_suffix_list",
            error.to_string(),
            "name a file that is one, or leave the key out",
        );
    }
    if let Err(error) = config.restrictions().map(drop)
        && found.is_whole("issuance")
    {
        let fix = "put the file right, or leave the key out";
        found.error("issuance.names_blocked_file", error.to_string(), fix);
    }
    if let Err(error) = config.weak_keys() {
        let fix = "put the file right, or take it out of the list";
        found.error("issuance.weak_key_lists", error.to_string(), fix);
    }
    if found.is_sound("responder.publish_key")
        && let Err(error) = publication_of(config)
    {
        let fix = "put the file right, or leave the key out";
        found.error("responder.publish_key", error.to_string(), fix);
    }
    if found.is_whole(delegates::KEY)
        && let Err(finding) = delegates::keys(config)
    {
        found.push(finding);
    }
    transparency::check(config, now, found);
    validation(config, found);
    tls::check_coordinator(config, now, found);
    if !is_dev {
        tls::check(config, now, found);
        state::check(config, now, found);
    }
}

/// The key by which a responder apart knows the CA's answers.
fn answers_key(config: &Config, found: &mut Findings) {
    let Some(path) = config.answers.key.as_deref() else { return };
    if let Err(finding) = responder::answers_key(path) {
        found.push(finding);
    }
}

/// The key of a responder apart, where it is a file: a token is opened by the start alone.
fn delegate_key(config: &Config, found: &mut Findings) {
    let Some(location @ KeyLocation::File(_)) = &config.answers.delegate_key else { return };
    if let Err(error) = AnswerKey::open(location, None) {
        let fix = "make one as docs/operations/responders.md says, and look as the user of the responder";
        found.error("answers.delegate_key", format!("cannot be used: {}", in_full(&error)), fix);
    }
}

/// The files that validation needs, where its values are right: CAs of resolvers, and trust anchors.
fn validation(config: &Config, found: &mut Findings) {
    if config.validation.check().into_result().is_err() || !found.is_whole("validation") {
        return;
    }
    if let Err(error) = LocalPerspective::new(config.validation.clone(), Arc::new(SystemClock)) {
        let words = error.to_string();
        let (key, reason) = words.split_once(": ").unwrap_or(("", &words));
        let fix = "put the file right, or leave the key out";
        found.error(format!("validation.{key}"), format!("names a file of no use: {reason}"), fix);
    }
}

/// A day, which begins at midnight UTC, or a moment.
fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_rfc3339(text)
        .or_else(|| Timestamp::from_rfc3339(&format!("{text}T00:00:00Z")))
        .ok_or_else(|| "give a day as in 2029-03-15, or a moment as in 2029-03-15T12:00:00Z".to_owned())
}

/// The first and the last second of a certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dates {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl Dates {
    /// Reads those of a certificate, DER; `None` if it is none.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let moment = |unix_s: i64| Timestamp::from_unix_s(u64::try_from(unix_s).unwrap_or(0));
        let validity = certificate.validity();
        Some(Self {
            not_before: moment(validity.not_before.timestamp()),
            not_after: moment(validity.not_after.timestamp()),
        })
    }
}

/// An error with everything below it.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |sentence, cause| format!("{sentence}: {cause}"))
}

#[cfg(test)]
mod tests;
