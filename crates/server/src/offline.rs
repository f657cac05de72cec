//! What is done to a CA that does not run: its store made anew, a backup restored.

mod lists;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ingam_journal::files::Disk;
use ingam_journal::folders::FileSystem;
use ingam_protocol::record::{Class, RecordType, Seal};
use ingam_protocol::{Serial, Timestamp};
use ingam_store::backup::{Identity, Missing, RestorePlan, Restored, Revocation, not_revoked, restore};
use ingam_store::rebuild::{Given, Rebuilt, rebuild};
use serde::Deserialize;

use crate::config::Reading;
use crate::journal::open_to_read;
use crate::serve::{Sources, StartError, StateLock};
use crate::terminal;

/// Makes the store anew from the journal.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The CA must not run meanwhile. The old store is kept as store.before-rebuild-1, and stays in its place until the new one is whole.
What of it cannot come from the journal is told in docs/operations/keys-and-backups.md.

Example:
  ingam admin rebuild --config /etc/ingam/ingam.toml --reason 'the disk lost store.redb'")]
pub(crate) struct Rebuild {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The state folder, in place of the configuration's: that of `ingam dev --dir`
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

impl Rebuild {
    /// # Errors
    /// [`StartError`] says what stands against it; the store is as it was then.
    pub(crate) fn run(&self) -> Result<ExitCode, StartError> {
        let sources = Sources::of_the_system();
        let now = sources.clock.now();
        let Reading { config, found, .. } = Reading::of_file(&self.config)?;
        // Whatever else is wrong with it does not matter here.
        if !found.is_sound("state") || !found.is_sound("store") {
            let why = "which folder is meant cannot be read from the configuration: `ingam check` says why";
            return Err(StartError::new(why));
        }
        let state = self.dir.as_ref().unwrap_or(&config.state);
        let _lock = StateLock::take(state)?;
        let random = sources.random.clone();
        let rebuilt = rebuild(&FileSystem, state, &config.store, &self.reason, now, random);
        let rebuilt = rebuilt.map_err(|error| StartError::caused("the store cannot be made anew", &error))?;
        terminal::told(std::io::stdout().write_all(rebuilt_text(&rebuilt).as_bytes()))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn rebuilt_text(rebuilt: &Rebuilt) -> String {
    let mut text = format!(
        "The store was made anew from {} records: {} certificates.\n",
        rebuilt.records, rebuilt.certificates
    );
    if !rebuilt.outbox_moved {
        text.push_str(
            "The old store did not open: what it had not yet given to the journal is lost, of the last second as a rule. Whatever \
             may have been signed is revoked, and numbers go on well behind those that are known.\n",
        );
    }
    for (class, count) in &rebuilt.destroyed {
        text.push_str(&format!(
            "{count} records of the class {} were destroyed, as their time was over: what they told is not in the new store.\n",
            class.name()
        ));
    }
    if rebuilt.unreadable + rebuilt.orphans > 0 {
        text.push_str(&format!(
            "{} records could not be read, and {} are about what is not on record any more. The first of them:\n",
            rebuilt.unreadable, rebuilt.orphans
        ));
        rebuilt.examples.iter().for_each(|example| text.push_str(&format!("  {example}\n")));
    }
    text.push_str(&given_text(&rebuilt.given_up));
    text
}

fn given_text(given: &Given) -> String {
    let mut text =
        format!("{} orders that had not ended are given up: their clients make new ones.\n", given.orders);
    if !given.revoked.is_empty() {
        text.push_str("Revoked, as they may have been signed and nobody has the certificates:\n");
        given.revoked.iter().for_each(|serial| text.push_str(&format!("  {serial}\n")));
    }
    if !given.jobs.is_empty() {
        text.push_str("Revocations of many certificates that have to be begun anew:\n");
        given.jobs.iter().for_each(|job| text.push_str(&format!("  {job}\n")));
    }
    text
}

/// Makes a key that opens backups.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file belongs away from the CA, in two places, as a root's key does: whoever has it and a backup has the CA's keys as they lie
there. Only the recipient, which is printed, goes into the configuration. Files of age-keygen do as well.

Example:
  ingam admin backup-key backup-identity.txt")]
pub(crate) struct BackupKey {
    /// The file for the key, which is not there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl BackupKey {
    /// # Errors
    /// [`StartError`] if the file is there, or cannot be written.
    pub(crate) fn run(&self) -> Result<ExitCode, StartError> {
        let identity = Identity::new(Sources::of_the_system().random.as_ref());
        let recipient = identity.recipient();
        let failed = |error: std::io::Error| {
            let file = self.file.display();
            StartError::new(match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    format!("{file} is there already, and may be what opens your backups: give another name")
                }
                _ => format!("{file} cannot be made: {error}"),
            })
        };
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&self.file).map_err(failed)?;
        let text = zeroize::Zeroizing::new(format!("# recipient: {recipient}\n{}\n", *identity.expose()));
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        let told = format!("[backup]\nrecipient = \"{recipient}\"\n");
        terminal::told(std::io::stdout().write_all(told.as_bytes()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Restores a backup, and tells what it lacks.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything is verified before anything is in its place. What was open is given up, and revoked where it may have been signed since.
Lists and journals that outlived the machine tell which revocations came after the backup: --missing writes their serial numbers for
`ingam admin revoke --serials`.

Examples:
  ingam admin restore --from /mnt/backups/ingam --identity backup-identity.txt --dir /var/lib/ingam
  ingam admin restore --from /mnt/backups/ingam --identity backup-identity.txt --dir /var/lib/ingam --at 2026-11-21T10:00:00Z \\
    --crl /mnt/edge/crl --journal /mnt/old/journal --missing revoked-since.txt
  ingam admin restore --compare --dir /var/lib/ingam --crl last.crl --crl https://crl.example/issuing.crl")]
pub(crate) struct Restore {
    /// The folder with the sets
    #[arg(long, value_name = "FOLDER", required_unless_present = "compare")]
    from: Option<PathBuf>,
    /// The file with the key that opens them
    #[arg(long, value_name = "FILE", required_unless_present = "compare")]
    identity: Option<PathBuf>,
    /// The new state folder: empty, or not there yet
    #[arg(long, value_name = "FOLDER", required = true)]
    dir: Option<PathBuf>,
    /// The newest set that shows a moment at or before this one, instead of the newest of all (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// The set of this number
    #[arg(long, value_name = "N", conflicts_with = "at")]
    set: Option<u64>,
    /// The key that has to have signed the sets, as `ingam admin backup` told it
    #[arg(long, value_name = "KEY")]
    signed_by: Option<String>,
    /// Restores nothing: compares a folder that was restored, whose CA does not run yet
    #[arg(long, conflicts_with_all = ["from", "identity", "at", "set", "signed_by"])]
    compare: bool,
    /// CRLs that were given out, DER or PEM: a file, a folder, of which all files count that are some, or an http or https URL
    #[arg(long, value_name = "PATH|URL")]
    crl: Vec<String>,
    /// The journal of the lost machine, if it can be read still
    #[arg(long, value_name = "FOLDER")]
    journal: Vec<PathBuf>,
    /// Writes the serial numbers of revocations that the backup lacks into this file
    #[arg(long, value_name = "FILE")]
    missing: Option<PathBuf>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_rfc3339(text).ok_or_else(|| "give a time as in 2026-11-21T10:00:00Z".to_owned())
}

impl Restore {
    /// # Errors
    /// [`StartError`] says what stands against it; nothing that is there then starts.
    pub(crate) async fn run(&self) -> Result<ExitCode, StartError> {
        let dir = self.dir.as_deref().ok_or_else(|| StartError::new("give the state folder with --dir"))?;
        let revocations = self.revocations().await?;
        Disk::open(dir)
            .map_err(|error| StartError::new(format!("{} cannot be made: {error}", dir.display())))?;
        let _lock = StateLock::take_as_it_is(dir)?;
        let mut text = String::new();
        if let (Some(from), Some(identity), false) = (&self.from, &self.identity, self.compare) {
            text.push_str(&restored_text(&self.restore(from, identity, dir)?));
        }
        let sources = !self.crl.is_empty() || !self.journal.is_empty();
        if sources || self.compare {
            let missing = not_revoked(dir, &ingam_store::Config::default(), revocations.into_iter());
            let missing =
                missing.map_err(|error| StartError::caused("the store cannot be compared", &error))?;
            text.push_str(&missing_text(&missing));
            if let Some(file) = &self.missing {
                let lines =
                    missing.iter().map(|one| format!("{} # {}, {}\n", one.serial, one.state, one.source));
                let written = std::fs::write(file, lines.collect::<String>());
                written.map_err(|error| {
                    StartError::new(format!("{} cannot be written: {error}", file.display()))
                })?;
            }
        } else {
            text.push_str(
                "Which revocations it lacks is not known: give CRLs that were given out with --compare --crl, or the journal of the \
                 lost machine with --journal.\n",
            );
        }
        terminal::told(std::io::stdout().write_all(text.as_bytes()))?;
        Ok(ExitCode::SUCCESS)
    }

    fn restore(&self, from: &Path, identity: &Path, dir: &Path) -> Result<Restored, StartError> {
        let text = std::fs::read_to_string(identity).map(zeroize::Zeroizing::new);
        let text =
            text.map_err(|error| StartError::new(format!("{} cannot be read: {error}", identity.display())))?;
        let identity = Identity::parse(&text)
            .map_err(|why| StartError::new(format!("{} does not fit: {why}", identity.display())))?;
        let sources = Sources::of_the_system();
        let plan = RestorePlan {
            disk: &FileSystem,
            from,
            identity: &identity,
            signer: self.signed_by.as_deref(),
            to: dir,
            at: self.at,
            set: self.set,
            config: &ingam_store::Config::default(),
            now: sources.clock.now(),
            random: sources.random.as_ref(),
        };
        restore(&plan).map_err(|error| StartError::caused("the backup cannot be restored", &error))
    }

    /// All revocations that lists and journals tell of.
    async fn revocations(&self) -> Result<BTreeSet<Revocation>, StartError> {
        let mut found = BTreeSet::new();
        for place in &self.crl {
            let lists = lists::lists_of(place).await?;
            if lists.is_empty() {
                return Err(StartError::new(format!("{place} has no CRL")));
            }
            lists.iter().for_each(|(name, bytes)| found.extend(lists::revoked_in(name, bytes)));
        }
        for folder in &self.journal {
            revoked_by(folder, &mut found)?;
        }
        Ok(found)
    }
}

fn restored_text(restored: &Restored) -> String {
    let mut text = format!(
        "Set {} of {} is restored: {} files, {} rows of the store. Its list was signed by {}.\n",
        restored.number, restored.made, restored.files, restored.rows, restored.signed_by
    );
    if restored.newer > 0 {
        text.push_str(&format!("There are {} newer sets.\n", restored.newer));
    }
    text.push_str(&given_text(&restored.given_up));
    text.push_str("Keys of contacts are in no backup: put the folder contacts/ from its own copy beside it before the start.\n");
    text
}

fn missing_text(missing: &[Missing]) -> String {
    if missing.is_empty() {
        return "Every revocation that was found elsewhere is known here.\n".to_owned();
    }
    let mut text =
        format!("{} revocations are not known here: revoke these again, first of all.\n", missing.len());
    for Missing { serial, state, source } in missing {
        text.push_str(&format!("  {serial}  {state} here, revoked by {source}\n"));
    }
    text
}

fn revoked_by(folder: &Path, found: &mut BTreeSet<Revocation>) -> Result<(), StartError> {
    #[derive(Deserialize)]
    struct Revoked {
        serial: Serial,
    }
    let doing = format!("the journal in {} cannot be read", folder.display());
    let journal = open_to_read(folder)?;
    for record in journal.records(Class::Issuance) {
        let record = record.map_err(|error| StartError::caused(&doing, &error))?;
        if record.kind != RecordType::CertificateRevoked {
            continue;
        }
        let open = record.parts.iter().find(|part| part.seal == Seal::Open);
        let revoked = open.and_then(|part| serde_json::from_slice::<Revoked>(&part.bytes).ok());
        let source = || folder.display().to_string();
        found.extend(revoked.map(|Revoked { serial }| Revocation { serial, source: source() }));
    }
    Ok(())
}
