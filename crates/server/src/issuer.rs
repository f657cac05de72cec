//! `ingam issuer`: issuing CAs join a state folder and leave it, and chains are added, while the CA stands still. What
//! ceremonies made elsewhere comes into the CA in this way.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use ingam_protocol::Timestamp;
use ingam_protocol::bytes::hex;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::time::Clock;
use ingam_signer::hierarchy::Joining;
use ingam_signer::{Hierarchy, KeyLocation, Passphrase};
use ring::digest::{SHA256, digest};

use crate::config::Config;
use crate::hierarchy;
use crate::serve::{Sources, StartError, StateLock};
use crate::system::SystemClock;
use crate::terminal;

const EXAMPLES: &str = "\
The CA must not run meanwhile. docs/operations/issuers.md tells how an issuing CA is replaced.

Examples:
  ingam issuer list --config /etc/ingam/ingam.toml
  ingam issuer add tls-2 --config /etc/ingam/ingam.toml --certificate tls-2.pem --key tls-2.key \\
    --key-passphrase-file tls-2.passphrase --issuer-passphrase-file /etc/ingam/issuer-passphrase
  ingam issuer chain --config /etc/ingam/ingam.toml root-2-by-root.pem root.pem
  ingam issuer remove tls-1 --config /etc/ingam/ingam.toml";

/// What the command line says.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Issuer {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Shows issuing CAs, their ends, their keys' places and their chains, and opens no key
    List(Place),
    /// Takes an issuing CA in, by its certificate and its key
    Add(Box<Add>),
    /// Adds chains to issuing CAs that are there: cross-certificates, and the roots that they lead to
    Chain(Chain),
    /// Takes an issuing CA out: it answers for its certificates no more
    Remove(Remove),
}

/// Which CA.
#[derive(Debug, clap::Args)]
struct Place {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Its name here: it becomes part of URLs in certificates
    #[arg(value_name = "NAME", value_parser = issuer_name)]
    name: IssuerName,
    #[command(flatten)]
    place: Place,
    /// PEM file of its certificate
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Where its key is: a PKCS #8 file in PEM, which is copied, or a PKCS #11 URI
    #[arg(long, value_name = "PLACE")]
    key: KeyLocation,
    /// The file with the passphrase of its key, where that is encrypted, or with its token's PIN
    #[arg(long, value_name = "FILE")]
    key_passphrase_file: Option<PathBuf>,
    /// PEM file of CA certificates between it and a root, of cross-certificates, or of further roots
    #[arg(long, value_name = "FILE")]
    chain: Vec<PathBuf>,
    /// The file with the passphrase of the issuing CAs' keys, where only the service has it, as its credential
    #[arg(long, value_name = "FILE")]
    issuer_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Chain {
    #[command(flatten)]
    place: Place,
    /// PEM files of CA certificates
    #[arg(value_name = "FILE", required = true)]
    certificates: Vec<PathBuf>,
    /// The file with the passphrase of the issuing CAs' keys, where only the service has it, as its credential
    #[arg(long, value_name = "FILE")]
    issuer_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// Which
    #[arg(value_name = "NAME", value_parser = issuer_name)]
    name: IssuerName,
    #[command(flatten)]
    place: Place,
    /// Even if its certificate is still valid: the status of its certificates is told no more
    #[arg(long)]
    unexpired: bool,
}

fn issuer_name(text: &str) -> Result<IssuerName, String> {
    IssuerName::try_from(text.to_owned())
}

/// Does what was asked for.
///
/// # Errors
/// [`StartError`] says what stands against it. The hierarchy is as it was then; files that it does not name may have come.
pub(crate) async fn run(options: &Issuer) -> Result<(), StartError> {
    let told = match &options.act {
        Act::List(place) => list(&place.read()?)?,
        Act::Add(options) => add(options).await?,
        Act::Chain(options) => chain(options).await?,
        Act::Remove(options) => remove(options)?,
    };
    let mut out = std::io::stdout().lock();
    terminal::told(out.write_all(told.as_bytes()))
}

impl Place {
    fn read(&self) -> Result<Config, StartError> {
        let config = Config::read(&self.config, SystemClock.now())?;
        // Where the signer is a process of its own, its folder has the issuing CAs.
        Ok(if config.signer.at.is_some() { config.of_signer() } else { config })
    }
}

fn list(config: &Config) -> Result<String, StartError> {
    let failed = |error| StartError::caused("the CA's hierarchy cannot be read", &error);
    let mut told = String::new();
    for issuer in Hierarchy::listed(&config.state).map_err(failed)? {
        let end = ends_at(&issuer.certificate).map_or_else(|| "unknown".to_owned(), |end| end.to_string());
        told.push_str(&format!("{}\n  ends        {end}\n", issuer.name));
        told.push_str(&format!("  SHA-256     {}\n", hex(digest(&SHA256, &issuer.certificate).as_ref())));
        told.push_str(&format!("  key         {}\n", issuer.key));
        for (number, chain) in issuer.chains.iter().enumerate() {
            let title = if number == 0 { "chain" } else { "alternate" };
            told.push_str(&format!("  {title:<12}{}\n", chain.join(" ")));
        }
        let weighted = config.profiles.iter().filter_map(|(profile, settings)| {
            let weight =
                settings.weights().get(issuer.name.as_str()).copied().filter(|weight| *weight > 0)?;
            Some(format!("{profile} (weight {weight})"))
        });
        let profiles: Vec<String> = weighted.collect();
        let profiles =
            if profiles.is_empty() { "none: it stands by".to_owned() } else { profiles.join(", ") };
        told.push_str(&format!("  profiles    {profiles}\n"));
    }
    Ok(told)
}

fn ends_at(certificate: &[u8]) -> Option<Timestamp> {
    crate::check::Dates::of(certificate).map(|dates| dates.not_after)
}

async fn add(options: &Add) -> Result<String, StartError> {
    let sources = Sources::of_the_system();
    let mut config = options.place.read()?;
    let secret = options.key_passphrase_file.as_deref().map(Passphrase::from_file).transpose();
    let joining = Joining {
        name: options.name.clone(),
        certificate: options.certificate.clone(),
        key: options.key.clone(),
        secret: secret.map_err(|error| StartError::caused("--key-passphrase-file", &error))?,
        further: options.chain.clone(),
    };
    let (_lock, before, passphrase) = open(&mut config, options.issuer_passphrase_file.as_deref())?;
    let known = hierarchy::certificates(&before);
    let failed = |error| StartError::caused("the issuing CA cannot join", &error);
    let (clock, random) = (sources.clock.as_ref(), sources.random.as_ref());
    let written =
        before.add_issuer(&config.state, &joining, passphrase.as_ref(), clock, random).map_err(failed)?;
    record_new(&config, written.hierarchy(), &known, &sources).await?;
    let grown = written.take_up().map_err(failed)?;
    let added = grown.intermediates.last();
    let kind = added.and_then(|added| added.key_kind().ok()).map_or("", |kind| kind.name());
    let chains = added.map_or(0, |added| added.chains.len());
    let name = &options.name;
    let key = match &options.key {
        KeyLocation::File(path) => format!(
            "Its key was copied to {}/keys/{name}.pem, under the issuing CAs' passphrase if there is one. Destroy {}.\n",
            config.state.display(),
            path.display()
        ),
        KeyLocation::Token(_) => String::new(),
    };
    let listed = if config.hierarchy.issuers.contains_key(name.as_str()) {
        "It is in the configuration already.\n".to_owned()
    } else {
        format!("Write this into the configuration, below [hierarchy.issuers]:\n\n  {name} = \"{kind}\"\n\n")
    };
    Ok(format!(
        "The issuing CA '{name}' has joined, with {chains} chain{}.\n{key}{listed}It stands by from the next start on, until a \
         profile names it.\n",
        if chains == 1 { "" } else { "s" }
    ))
}

async fn chain(options: &Chain) -> Result<String, StartError> {
    let sources = Sources::of_the_system();
    let mut config = options.place.read()?;
    let (_lock, before, _) = open(&mut config, options.issuer_passphrase_file.as_deref())?;
    let known = hierarchy::certificates(&before);
    let failed = |error| StartError::caused("no chain was added", &error);
    let written = before.add_chains(&config.state, &options.certificates).map_err(failed)?;
    record_new(&config, written.hierarchy(), &known, &sources).await?;
    written.take_up().map_err(failed)?;
    Ok(format!("{}They are offered from the next start on.\n", list(&config)?))
}

fn remove(options: &Remove) -> Result<String, StartError> {
    let config = options.place.read()?;
    let name = &options.name;
    let failed = |error| StartError::caused("the issuing CA cannot leave", &error);
    let _lock = StateLock::take(&config.state)?;
    let listed = Hierarchy::listed(&config.state).map_err(failed)?;
    let end =
        listed.iter().find(|issuer| issuer.name == *name).and_then(|issuer| ends_at(&issuer.certificate));
    let mut reasons = Vec::new();
    if let Some(end) = end.filter(|end| *end >= SystemClock.now() && !options.unexpired) {
        reasons.push(format!(
            "'{name}' is valid until {end}, and has to tell the status of its certificates until then: take it out of the \
             profiles instead, so that it stands by; --unexpired removes it all the same"
        ));
    }
    let is_there = listed.iter().any(|issuer| issuer.name == *name);
    let used = config.profiles.iter().filter(|(_, profile)| profile.weights().contains_key(name.as_str()));
    for (profile, _) in used.filter(|_| is_there) {
        reasons.push(format!(
            "the profile '{profile}' names '{name}' as its issuer: take it out there first, whatever its weight"
        ));
    }
    if !reasons.is_empty() {
        return Err(StartError::new(reasons.join("\n")));
    }
    Hierarchy::remove_issuer(&config.state, name).map_err(failed)?;
    Ok(format!(
        "The issuing CA '{name}' has left. Take it out of [hierarchy.issuers] in the configuration. Its certificate and its key \
         lie where they lay: destroy the key, {}/keys/{name}.pem or on its token.\n",
        config.state.display()
    ))
}

/// The CA's folder, locked, and its hierarchy with all keys open.
fn open(
    config: &mut Config,
    passphrase_file: Option<&Path>,
) -> Result<(StateLock, Hierarchy, Option<Passphrase>), StartError> {
    if let Some(file) = passphrase_file {
        config.hierarchy.passphrase_file = Some(file.to_owned());
    }
    let lock = StateLock::take(&config.state)?;
    Ok((lock, hierarchy::load(config)?, hierarchy::passphrase(config)?))
}

/// Puts the certificates that are coming in on record, before they are taken up: whatever breaks off, there is no issuing CA
/// without its record, though there may be a record of one that has not joined.
async fn record_new(
    config: &Config,
    grown: &Hierarchy,
    known: &[Vec<u8>],
    sources: &Sources,
) -> Result<(), StartError> {
    if config.signer.at.is_some() {
        // The store is in another folder, perhaps on another machine: the CA puts its issuers on record at each start.
        return Ok(());
    }
    let all = hierarchy::certificates(grown).into_iter();
    hierarchy::record(config, all.filter(|certificate| !known.contains(certificate)), true, sources).await
}
