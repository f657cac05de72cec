//! `ingam init`: from nothing to a CA that can be served. It writes a configuration where there is none, makes the
//! hierarchy or takes one over, puts its certificates on record, writes a systemd unit, and says what to do next.
//!
//! It writes over nothing: not a configuration, not a key, not a unit. Everything that can be found out is found out
//! before the first file is written.
//!
//! - `answers`: what a new configuration has to be told, by flags or on a terminal.
//! - `template`: the configuration's text; `unit`: the unit's; `next`: what to do next.

mod answers;
mod next;
mod template;
mod unit;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ingam_protocol::time::Clock;
use ingam_signer::hierarchy::{Existing, ExistingIssuer, Protection};
use ingam_signer::{Hierarchy, KeyKind, KeyLocation, Passphrase};

use self::answers::Questions;
use self::next::Next;
use self::template::Contents;
use self::unit::{PASSPHRASE_FILE, Unit};
use crate::config::{Config, Reading, issuer_name};
use crate::hierarchy;
use crate::serve::{Sources, StartError, StateLock};
use crate::system::SystemClock;
use crate::terminal;

/// As long as an issuer's name may be, so that a profile can be called by it.
const ISSUER_NAME_MAX: usize = 32;

/// What the command line of `init` says.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The configuration: used as it is where it is there, written where it is not
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    keys: Keys,
    /// Writes a systemd unit for this CA
    #[arg(long, value_name = "FILE")]
    systemd_unit: Option<PathBuf>,
}

/// What a new configuration is to say. What is not said is asked for, if standard input is a terminal.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "For a new configuration")]
struct Settings {
    /// What the CA is for: production, staging or development
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Scheme, host and port of the ACME server, as clients see it
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Scheme, host and port of OCSP and CRLs: plain http
    #[arg(long, value_name = "URL")]
    publication_url: Option<String>,
    /// The folder of everything that the CA keeps [default: /var/lib/ingam]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The organization in the CA certificates
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// The country in the CA certificates: two upper-case letters
    #[arg(long, value_name = "XX")]
    country: Option<String>,
    /// An administrator: uid:N, or cert: and the SHA-256 of a client certificate [default: whoever runs this]
    #[arg(long, value_name = "WHO")]
    administrator: Vec<String>,
    /// PEM file of the https certificate, with its chain
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// PEM file of its key, PKCS #8
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

/// How keys come and are kept.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Keys")]
struct Keys {
    /// The file with the passphrase that the issuing CAs' keys are encrypted under
    #[arg(long, value_name = "FILE")]
    issuer_passphrase_file: Option<PathBuf>,
    /// The file with the passphrase that the root's key is encrypted under
    #[arg(long, value_name = "FILE", conflicts_with = "existing_root")]
    root_passphrase_file: Option<PathBuf>,
    /// Takes a CA over: PEM file of its root's certificate
    #[arg(long, value_name = "FILE", requires = "existing_issuer", conflicts_with_all = ["organization", "country"])]
    existing_root: Option<PathBuf>,
    /// Takes a CA over: an issuing CA's name here, the PEM file of its certificate, and the PEM file of its key or the
    /// PKCS #11 URI of one on a token
    #[arg(long, value_name = "NAME=CERT,KEY", requires = "existing_root", value_parser = existing_issuer)]
    existing_issuer: Vec<ExistingIssuer>,
    /// Takes a CA over: PEM file of CA certificates between, of cross-certificates, or of further roots
    #[arg(long, value_name = "FILE", requires = "existing_root")]
    existing_chain: Vec<PathBuf>,
    /// Takes a CA over: the file with the passphrase of its keys, where they are encrypted
    #[arg(long, value_name = "FILE", requires = "existing_root")]
    existing_passphrase_file: Option<PathBuf>,
}

impl Keys {
    fn take_over(&self) -> bool {
        self.existing_root.is_some()
    }

    /// Whether keys of issuing CAs will be written to files, rather than be on tokens all of them.
    fn write_issuers(&self) -> bool {
        !self.take_over()
            || self.existing_issuer.iter().any(|issuer| matches!(issuer.key, KeyLocation::File(_)))
    }
}

fn existing_issuer(text: &str) -> Result<ExistingIssuer, String> {
    let parts = text.split_once('=').and_then(|(name, files)| Some((name, files.split_once(',')?)));
    let Some((name, (certificate, key))) = parts else {
        return Err("write NAME=CERT,KEY, as in ecdsa=issuer.pem,issuer.key".to_owned());
    };
    if name.len() > ISSUER_NAME_MAX {
        return Err(format!("the name \"{name}\" has more than {ISSUER_NAME_MAX} characters"));
    }
    let name = ingam_protocol::profile::IssuerName::try_from(name.to_owned())?;
    let key = key.parse().map_err(|error: ingam_signer::Error| error.to_string())?;
    Ok(ExistingIssuer { name, certificate: certificate.into(), key })
}

/// What is to be made, once everything is known.
struct Plan {
    config: Config,
    /// The text of a new configuration; `None` where there is one already.
    text: Option<String>,
    protection: Protection,
    /// The CA that is taken over; `None`: a new one is made.
    taken: Option<Hierarchy>,
    unit: Option<String>,
    next: Next,
}

/// Makes a CA, once.
pub(crate) async fn init(options: &Init) -> Result<(), StartError> {
    let sources = Sources::of_the_system();
    let plan = plan(options, &sources)?;
    let state = &plan.config.state;
    make_state_folder(state)?;
    let _lock = StateLock::take(state)?;
    refuse_what_is_there(state)?;
    let made = match &plan.taken {
        Some(taken) => taken.clone(),
        None => hierarchy::make(&plan.config, &sources)?,
    };
    if let Some(text) = &plan.text {
        write_new(&options.config, text, "the configuration")?;
    }
    let written = hierarchy::write(&made, &plan.config, &plan.protection, &sources)?;
    let certificates = hierarchy::certificates(&made).into_iter();
    hierarchy::record(&plan.config, certificates, plan.taken.is_some(), &sources).await?;
    // Not before it is on record: nobody is to sign with keys that no record knows.
    hierarchy::take_up(written, &plan.config, &plan.protection)?;
    if let (Some(path), Some(text)) = (&options.systemd_unit, &plan.unit) {
        write_new(path, text, "the unit")?;
    }
    terminal::told(writeln!(std::io::stdout(), "{}", plan.next))
}

/// Finds out everything, and writes nothing.
fn plan(options: &Init, sources: &Sources) -> Result<Plan, StartError> {
    let Init { config: path, settings, keys, systemd_unit } = options;
    let is_new = !path.exists();
    if !is_new {
        settings.refuse_for_existing(path)?;
    }
    if let Some(unit) = systemd_unit.as_ref().filter(|unit| unit.exists()) {
        return Err(StartError::new(format!(
            "{} is there already, and is never written over",
            unit.display()
        )));
    }
    let existing = if is_new { None } else { Some(Config::read(path, SystemClock.now())?) };
    // Before anything is asked for: no answer would help.
    let state = existing.as_ref().map(|config| &config.state).or(settings.state.as_ref());
    state.map_or(Ok(()), |state| refuse_what_is_there(state))?;
    let mut questions = Questions::new();
    let (environment, answers) = match &existing {
        Some(config) => (Some(config.environment), None),
        None => questions.settings(settings, keys.take_over())?,
    };
    let protection = questions.protection(keys, environment, keys.take_over())?;
    questions.finish()?;
    let root = issuer_name(existing.as_ref().map_or("root", |config| &config.hierarchy.root))?;
    let pin = existing.as_ref().map(hierarchy::pin).transpose()?.flatten();
    let taken = keys.read_existing(root, pin, sources)?;
    let passphrase_file = keys.issuer_passphrase_file.as_deref().map(absolute).transpose()?;
    let (config, text) = match (existing, answers) {
        (Some(config), _) => (config, None),
        (None, Some(answers)) => {
            let issuers = match &taken {
                Some(taken) => issuers_of(taken)?,
                None => crate::config::Hierarchy::default().issuers.into_iter().collect(),
            };
            // With a unit, systemd reads the file, and the service finds it among its credentials.
            let passphrase_file = passphrase_file.as_deref().filter(|_| systemd_unit.is_none());
            // The unit makes a folder for the socket; without it, the state folder is there.
            let socket = match systemd_unit {
                Some(_) => PathBuf::from(unit::SOCKET),
                None => answers.state.join("admin.sock"),
            };
            let text =
                Contents { answers: &answers, issuers: &issuers, passphrase_file, socket: &socket }.fill();
            let config = Reading::of_text(toml::Table::new(), &text).checked(SystemClock.now())?;
            (config, Some(text))
        }
        (None, None) => return Err(StartError::new("there are no answers to make a configuration of")),
    };
    if let Some(taken) = &taken {
        check_issuers(&config, taken)?;
    }
    let configuration = absolute(path)?;
    let unit = Unit {
        binary: std::env::current_exe()
            .map_err(|error| StartError::new(format!("this program's own path cannot be known: {error}")))?,
        configuration: configuration.clone(),
        state: absolute(&config.state)?,
        passphrase_file: protection
            .issuers
            .as_ref()
            .map(|_| passphrase_file.clone().unwrap_or_else(|| PASSPHRASE_FILE.into()))
            .filter(|_| config.hierarchy.passphrase_file.is_none()),
        reads: config.tls.certificate.iter().chain(&config.tls.key).cloned().collect(),
    };
    let next = Next {
        environment: config.environment,
        configuration,
        state: unit.state.clone(),
        root: config.hierarchy.root.clone(),
        socket: config.operator.socket.clone().unwrap_or_else(|| unit.state.join("admin.sock")),
        is_new_configuration: is_new,
        takes_over: taken.is_some(),
        root_key_is_encrypted: protection.root.is_some(),
        passphrase: next::Passphrase::of(&config, &protection, passphrase_file),
        unit: systemd_unit.as_deref().map(absolute).transpose()?,
        hidden: systemd_unit.iter().flat_map(|_| unit.hidden()).map(Path::to_owned).collect(),
        tls: unit.reads.clone(),
    };
    let unit = systemd_unit.as_ref().map(|_| unit.fill().map_err(StartError::new)).transpose()?;
    Ok(Plan { config, text, protection, taken, unit, next })
}

impl Settings {
    /// A configuration that is there says all of this itself.
    fn refuse_for_existing(&self, config: &Path) -> Result<(), StartError> {
        let given = [
            ("--environment", self.environment.is_some()),
            ("--public-url", self.public_url.is_some()),
            ("--publication-url", self.publication_url.is_some()),
            ("--state", self.state.is_some()),
            ("--organization", self.organization.is_some()),
            ("--country", self.country.is_some()),
            ("--administrator", !self.administrator.is_empty()),
            ("--tls-certificate", self.tls_certificate.is_some()),
            ("--tls-key", self.tls_key.is_some()),
        ];
        let given: Vec<&str> =
            given.iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| *flag).collect();
        if given.is_empty() {
            return Ok(());
        }
        Err(StartError::new(format!(
            "{} is there already, and is never written over: leave out {}, or name a file that is not there",
            config.display(),
            given.join(", ")
        )))
    }
}

impl Keys {
    /// Reads the CA that is to be taken over, if there is one.
    fn read_existing(
        &self,
        root: ingam_protocol::profile::IssuerName,
        pin: Option<Passphrase>,
        sources: &Sources,
    ) -> Result<Option<Hierarchy>, StartError> {
        let Some(root_certificate) = &self.existing_root else { return Ok(None) };
        let failed = |error| StartError::caused("the existing CA cannot be taken over", &error);
        let passphrase = self.existing_passphrase_file.as_deref().map(Passphrase::from_file).transpose();
        let existing = Existing {
            root,
            root_certificate: root_certificate.clone(),
            issuers: self.existing_issuer.clone(),
            further: self.existing_chain.clone(),
            passphrase: passphrase.map_err(failed)?,
            pin,
        };
        Hierarchy::take_over(&existing, sources.clock.as_ref(), sources.random.as_ref())
            .map(Some)
            .map_err(failed)
    }
}

/// The issuing CAs of a hierarchy, as a configuration has them.
fn issuers_of(hierarchy: &Hierarchy) -> Result<Vec<(String, KeyKind)>, StartError> {
    let kind = |intermediate: &ingam_signer::hierarchy::Intermediate| {
        Ok((intermediate.name.to_string(), intermediate.key_kind()?))
    };
    let issuers: Result<_, ingam_signer::Error> = hierarchy.intermediates.iter().map(kind).collect();
    issuers.map_err(|error| StartError::caused("the existing CA cannot be taken over", &error))
}

/// What is taken over has the names that the configuration has.
fn check_issuers(config: &Config, taken: &Hierarchy) -> Result<(), StartError> {
    let mut names: Vec<&str> = taken.intermediates.iter().map(|issuer| issuer.name.as_str()).collect();
    names.sort_unstable();
    let wanted: Vec<&str> = config.hierarchy.issuers.keys().map(String::as_str).collect();
    if names == wanted {
        return Ok(());
    }
    Err(StartError::new(format!(
        "[hierarchy.issuers] has {}, --existing-issuer gives {}: they must be the same",
        wanted.join(", "),
        names.join(", ")
    )))
}

fn absolute(path: &Path) -> Result<PathBuf, StartError> {
    std::path::absolute(path)
        .map_err(|error| StartError::new(format!("\"{}\" is no path ({error})", path.display())))
}

fn make_state_folder(state: &Path) -> Result<(), StartError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state);
    made.map_err(|error| {
        StartError::new(format!("the state folder {} cannot be made: {error}", state.display()))
    })
}

fn refuse_what_is_there(state: &Path) -> Result<(), StartError> {
    if Hierarchy::is_in(state) {
        return Err(StartError::new(format!(
            "{} already has a hierarchy, and a CA's keys are made once: start it with `ingam serve`, take further issuing CAs in \
             with `ingam issuer add`, or name another state folder for another CA",
            state.display()
        )));
    }
    hierarchy::refuse_second_life(state)?;
    if state.join("keys").exists() {
        return Err(StartError::new(format!(
            "{0} has keys, but no hierarchy.json: restore that from a backup; or, if an earlier `ingam init` was broken \
             off, remove {0}/keys, {0}/issuers and {0}/roots, and try again",
            state.display()
        )));
    }
    Ok(())
}

/// Writes a file that is not there yet, durably.
fn write_new(path: &Path, text: &str, what: &str) -> Result<(), StartError> {
    let failed = |error| StartError::new(format!("{what} {} cannot be written: {error}", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}
