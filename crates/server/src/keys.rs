//! `ingam keys`: looks at all keys that the CA has certified, without the CA. It reads the journal and writes nothing, so it may
//! do so beside a CA that runs, or with a copy of the folder elsewhere.

mod common_factors;
mod sources;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use dashu_int::UBig;
use ingam_protocol::bytes::hex;
use ingam_protocol::time::Clock as _;
use ring::digest::{SHA256, digest};

use crate::config::Reading;
use crate::serve::StartError;
use crate::system::SystemClock;
use crate::terminal;

use common_factors::{Shared, shared_factors};

/// What it ends with when keys share a prime.
const EXIT_FOUND: u8 = 1;

/// At most so many different keys: 60 GB of products in memory.
const KEYS_MAX: usize = 10_000_000;

const EXIT_CODES: &str = "\
A key that shares a prime is known to everybody who sees both: its certificates have to be revoked, and the output has the
commands. Certificates whose records are still waiting for the journal are seen by the next run.

Exit codes:
  0  no two keys have a prime in common
  1  some have
  2  wrong use, or something cannot be read";

/// Looks at the keys that the CA has certified.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Keys {
    /// Finds RSA keys that have a prime in common with another one, as bad random numbers make them
    #[command(after_help = EXIT_CODES)]
    CommonFactors(CommonFactors),
}

/// Where the keys are.
#[derive(Debug, clap::Args)]
pub(crate) struct CommonFactors {
    /// The configuration: its state folder has the journal
    #[arg(long, value_name = "FILE", required_unless_present_any = ["journal", "files"], conflicts_with = "journal")]
    config: Option<PathBuf>,
    /// The folder of the journal, or a copy of it
    #[arg(long, value_name = "FOLDER")]
    journal: Option<PathBuf>,
    /// Further keys: PEM of certificates and public keys, or lines as `openssl rsa -noout -modulus` prints them
    #[arg(value_name = "KEYS")]
    files: Vec<PathBuf>,
    /// Prints the primes themselves, with which anybody makes the private keys
    #[arg(long)]
    show_factors: bool,
}

/// Who has a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Holder {
    /// In words for people.
    words: String,
    /// The serial number, where it is a certificate that the CA issued and that has not ended.
    revocable: Option<String>,
}

/// All different moduli, and who has them.
#[derive(Debug, Default)]
struct Found(BTreeMap<Vec<u8>, Vec<Holder>>);

impl Found {
    fn add(&mut self, modulus: Vec<u8>, holder: Holder) -> Result<(), StartError> {
        self.0.entry(modulus).or_default().push(holder);
        if self.0.len() > KEYS_MAX {
            return Err(StartError::new(format!("there are more than {KEYS_MAX} different keys")));
        }
        Ok(())
    }
}

/// Looks, and tells.
///
/// # Errors
/// [`StartError`] if something cannot be read, or nobody can be told.
pub(crate) fn run(command: &Keys) -> Result<ExitCode, StartError> {
    let Keys::CommonFactors(options) = command;
    let now = SystemClock.now();
    let mut found = Found::default();
    if let Some(folder) = journal_folder(options)? {
        sources::journal(&folder, now, &mut found)?;
    }
    for file in &options.files {
        sources::file(file, &mut found)?;
    }
    let (moduli, holders): (Vec<Vec<u8>>, Vec<Vec<Holder>>) = found.0.into_iter().unzip();
    let numbers: Vec<UBig> = moduli.iter().map(|modulus| UBig::from_be_bytes(modulus)).collect();
    let shared = shared_factors(numbers);
    let certificates: usize = holders.iter().map(Vec::len).sum();
    let mut text = format!("{} different RSA keys, {certificates} times\n", holders.len());
    if shared.is_empty() {
        text.push_str("no two of them have a prime in common\n");
    } else {
        text.push_str(&told(&shared, &holders, options.show_factors));
    }
    let written = std::io::stdout().write_all(text.as_bytes());
    terminal::told(written)?;
    Ok(if shared.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND) })
}

fn journal_folder(options: &CommonFactors) -> Result<Option<PathBuf>, StartError> {
    let Some(config) = &options.config else { return Ok(options.journal.clone()) };
    let reading = Reading::of_file(config)?;
    Ok(Some(reading.config.state.join("journal")))
}

/// What was found, in words, and what to do about it.
fn told(shared: &[Shared], holders: &[Vec<Holder>], with_factors: bool) -> String {
    let nobody = Vec::new();
    let mut text = String::new();
    let mut serials = std::collections::BTreeSet::new();
    for pair in shared {
        let prime = pair.factor.to_be_bytes();
        let name = hex(digest(&SHA256, &prime).as_ref());
        text.push_str(&format!("\ncommon prime with the SHA-256 {name}\n"));
        if with_factors {
            text.push_str(&format!("  the prime: {}\n", hex(&prime)));
        }
        for key in pair.keys {
            for holder in holders.get(key).unwrap_or(&nobody) {
                text.push_str(&format!("  {}\n", holder.words));
                serials.extend(holder.revocable.as_deref());
            }
        }
    }
    if !serials.is_empty() {
        text.push_str("\nRevoke these, as anybody can make their private keys:\n");
    }
    for serial in serials {
        text.push_str(&format!(
            "  ingam admin revoke {serial} --revocation-reason keyCompromise --block-key --reason \"common prime\"\n"
        ));
    }
    text
}
