//! `ingam verify-log`: holds the records of a CA against a checkpoint that was kept elsewhere. It reads and writes nothing, so it
//! may do so beside a CA that runs, or with a copy of its folders.

mod receipt;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use ingam_journal::SegmentKeys;
use ingam_journal::files::ReadOnlyDisk;
use ingam_journal::log::audit::{AuditReport, Claim, FINDINGS_MAX, Terms, audit};
use ingam_journal::log::leaf::day;
use ingam_protocol::note::{Checkpoint, KeyKind, KeyName, NOTE_BYTES_MAX, Note, VerifierKey};
use ingam_protocol::record::Class;
use ingam_protocol::time::Clock as _;
use ingam_retention::Preset;

use crate::record_log::{FOLDER, KEY, read_key};
use crate::serve::StartError;
use crate::system::{SystemClock, SystemRandomness};
use crate::terminal::told;

/// What it ends with when something is wrong.
const EXIT_FOUND: u8 = 1;

const AFTER_HELP: &str = "\
Examples:
  curl -s http://ca.example/log/checkpoint > checkpoint-2026-11-29
  ingam verify-log --dir /var/lib/ingam --checkpoint checkpoint-2026-11-29 \\
    --key ca.example/log+1a2b3c4d+AQ...

Exit codes:
  0  every record that the checkpoint covers is there as it was, or was removed when a rule asked for it
  1  something is wrong: each finding is one line on standard output
  2  wrong use, or something cannot be read";

/// What the command line says.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyLog {
    /// The CA's state folder, or a copy of journal, journal-keys and log in one folder
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// A checkpoint of the log, as it was given out and kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// The log's verifier key, as /log/key gives it and as it was kept elsewhere, too; without it, the key in the folder
    #[arg(long, value_name = "KEY")]
    key: Option<VerifierKey>,
    /// The verifier key of a witness that has to have signed the checkpoint; may be given again
    #[arg(long, value_name = "KEY")]
    witness: Vec<VerifierKey>,
    /// How long the operator's own statement promises to keep `issuance` [default: seven-years]
    #[arg(long, value_enum, value_name = "PRESET")]
    preset: Option<Keeps>,
}

/// The presets of `retention.preset`. The auditor says which: what the folder claims could be claimed by whoever forges in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Keeps {
    /// Seven years
    SevenYears,
    /// Two years, as the Baseline Requirements ask
    TwoYears,
}

impl Keeps {
    fn issuance_days(self) -> Option<u64> {
        let preset = match self {
            Self::SevenYears => Preset::SevenYears,
            Self::TwoYears => Preset::TwoYears,
        };
        preset.floor(Class::Issuance).map(|floor| floor.as_secs() / 86_400)
    }
}

/// Verifies, and tells.
///
/// # Errors
/// [`StartError`] if something cannot be read, or nobody can be told.
pub(crate) fn run(options: &VerifyLog) -> Result<ExitCode, StartError> {
    let mut out = std::io::stdout().lock();
    if !options.dir.join(FOLDER).is_dir() {
        let dir = options.dir.display();
        return Err(StartError::new(format!(
            "{dir} has no folder {FOLDER}: give the CA's state folder, or a copy of it"
        )));
    }
    let note = read_note(&options.checkpoint)?;
    let checkpoint = Checkpoint::parse(note.text())
        .map_err(|error| unreadable(&options.checkpoint, &error.to_string()))?;
    let key = match &options.key {
        Some(key) => key.clone(),
        None => {
            told(writeln!(
                out,
                "the key is the one in the folder: whoever could change the records could have changed it, too (--key)"
            ))?;
            key_in(&options.dir, &checkpoint.origin)?
        }
    };
    let mut refused = false;
    for signer in std::iter::once(&key).chain(&options.witness) {
        if let Err(error) = note.verify(signer) {
            refused = true;
            told(writeln!(out, "checkpoint: {error}: {}", signer.name()))?;
        }
    }
    if checkpoint.origin != key.name().as_str() {
        refused = true;
        told(writeln!(
            out,
            "checkpoint: it is of the log {}, and the key of {}",
            checkpoint.origin,
            key.name()
        ))?;
    }
    if refused {
        return Ok(ExitCode::from(EXIT_FOUND));
    }
    let claim = Claim { size: checkpoint.size, root: checkpoint.root };
    let terms = Terms {
        today: day(SystemClock.now()),
        issuance_floor_days: options.preset.and_then(Keeps::issuance_days),
    };
    let mut lost = None;
    let report = verify(&options.dir, claim, terms, &mut |line| {
        let outcome = told(writeln!(out, "{line}"));
        lost = lost.take().or(outcome.err());
    })?;
    if let Some(error) = lost {
        return Err(error);
    }
    told(write!(out, "{}", summary(&report, &checkpoint)))?;
    Ok(if report.findings == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND) })
}

fn verify(
    dir: &Path,
    claim: Claim,
    terms: Terms,
    tell: &mut dyn FnMut(&str),
) -> Result<AuditReport, StartError> {
    let open = |name: &str| {
        let path = dir.join(name);
        ReadOnlyDisk::open(&path).map_err(|error| unreadable(&path, &error.to_string()))
    };
    let (journal, keys, log) = (open("journal")?, open("journal-keys")?, open(FOLDER)?);
    let doing = format!("the records in {} cannot be read", dir.display());
    let keys = SegmentKeys::open(&keys, Arc::new(SystemRandomness::new()))
        .map_err(|error| StartError::caused(&doing, &error))?;
    let journal = (Arc::new(journal) as Arc<_>, Arc::new(keys));
    audit(journal, &log, claim, terms, &receipt::read, tell)
        .map_err(|error| StartError::caused(&doing, &error))
}

fn summary(report: &AuditReport, checkpoint: &Checkpoint) -> String {
    let AuditReport { records, erased, removed, removed_long_ago, behind, findings, .. } = report;
    let mut text = String::new();
    if *findings > FINDINGS_MAX {
        text.push_str(&format!("and {} more findings\n", findings - FINDINGS_MAX));
    }
    let size = checkpoint.size;
    if *findings > 0 {
        text.push_str(&format!(
            "{findings} findings: what the checkpoint over {size} records says is not so any more\n"
        ));
    }
    text.push_str(&format!(
        "the checkpoint covers {size} records: {records} are there as they were ({erased} of them erased), {removed} were \
         removed by rule with a receipt"
    ));
    if *removed_long_ago > 0 {
        text.push_str(&format!(
            ", {removed_long_ago} so long ago that the receipts were removed by rule themselves"
        ));
    }
    text.push_str(&format!("; behind it there are {behind} more\n"));
    if *findings == 0 {
        text.push_str("nothing was deleted, altered, moved or cut off\n");
    }
    text
}

fn read_note(path: &Path) -> Result<Note, StartError> {
    let limit = u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_string(&mut text))
        .map_err(|error| unreadable(path, &error.to_string()))?;
    Note::parse(&text).map_err(|error| unreadable(path, &error.to_string()))
}

fn key_in(dir: &Path, origin: &str) -> Result<VerifierKey, StartError> {
    let path = dir.join(FOLDER).join(KEY);
    if !path.exists() {
        return Err(StartError::new(format!(
            "there is no key in {}: give the one that was kept elsewhere with --key",
            path.display()
        )));
    }
    let name: KeyName =
        origin.parse().map_err(|_| StartError::new("the checkpoint's origin is no name: give --key"))?;
    Ok(VerifierKey::of(name, KeyKind::Log, &read_key(&path)?))
}

fn unreadable(path: &Path, why: &str) -> StartError {
    StartError::new(format!("{} cannot be read: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn presets_are_those_of_the_schedule() {
        for (keeps, days) in [(Keeps::SevenYears, 7 * 366), (Keeps::TwoYears, 2 * 366)] {
            assert_eq!(keeps.issuance_days(), Some(days));
        }
        let names: Vec<String> = Keeps::value_variants()
            .iter()
            .filter_map(|keeps| Some(keeps.to_possible_value()?.get_name().to_owned()))
            .collect();
        assert_eq!(names, [Preset::SevenYears.name(), Preset::TwoYears.name()]);
    }
}
