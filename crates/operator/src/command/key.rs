//! `key`: keys that get no certificate.

use std::path::{Path, PathBuf};

use ingam_protocol::Reason;
use ingam_protocol::bytes::{from_hex, hex};

use super::call::{Call, HowMany, Why};
use super::failure::Failure;
use super::revoke::parse_reason;
use super::serials::read_limited;
use super::table::{Facts, Paper, Shape, Table};
use crate::api;
use crate::client::Target;

/// How large a PEM may be (the API's bound).
const PEM_BYTES_MAX: u64 = 65_536;

/// How large a file of hashes may be: a hundred thousand lines and some.
const LIST_BYTES_MAX: u64 = 8 << 20;

/// How many hashes the API takes at once.
const BATCH: usize = 1000;

/// Commands on blocked keys.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Key {
    /// Lists blocked keys
    List(HowMany),
    /// Blocks a key: it gets no certificate from now on; those it has stay as they are
    #[command(after_help = "\
Examples:
  ingam admin key block --pem leaked.pem --reason \"found in a public repository\"
  ingam admin key block --spki-sha256 HEX --source \"pwnedkeys.com\" --reason \"found there\"
  ingam admin revoke --key THUMBPRINT --execute --revocation-reason keyCompromise")]
    Block(Box<Block>),
    /// Blocks many keys: the SHA-256 of each one's SubjectPublicKeyInfo on a line of a file
    #[command(after_help = "\
A line has 64 hexadecimal digits; what stands behind # is a comment. The CA takes 1000 at once; what was sent stays blocked if a
later one fails, and the same file can be sent again.

Example:
  ingam admin key import leaked.txt --source \"incident 2026-11\" --reason \"keys of the broken appliance\"")]
    Import {
        /// The file; - is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        learned: Learned,
        #[command(flatten)]
        why: Why,
    },
    /// Lets a blocked key be used again
    Unblock {
        /// Its thumbprint (RFC 7638), base64url, or the SHA-256 that it was blocked by, hexadecimal
        #[arg(value_name = "THUMBPRINT", allow_hyphen_values = true)]
        thumbprint: String,
        #[command(flatten)]
        why: Why,
    },
}

/// Which key.
#[derive(Debug, clap::Args)]
pub(crate) struct Block {
    /// Its thumbprint (RFC 7638), base64url
    #[arg(
        long,
        value_name = "THUMBPRINT",
        allow_hyphen_values = true,
        required_unless_present_any = ["pem", "spki_sha256"],
        conflicts_with_all = ["pem", "spki_sha256"]
    )]
    thumbprint: Option<String>,
    /// SHA-256 of its SubjectPublicKeyInfo (DER), hexadecimal: for keys that are known by that alone
    #[arg(long, value_name = "HEX", conflicts_with = "pem")]
    spki_sha256: Option<String>,
    /// A PEM file with the public key, or a certificate or certificate request for it; - is standard input
    #[arg(long, value_name = "FILE")]
    pem: Option<PathBuf>,
    #[command(flatten)]
    learned: Learned,
    #[command(flatten)]
    why: Why,
}

/// What is known of a bad key.
#[derive(Debug, clap::Args)]
pub(crate) struct Learned {
    /// Why it is bad, in a CRL's words
    #[arg(long, value_name = "WORD", value_parser = parse_reason, default_value = "keyCompromise")]
    revocation_reason: Reason,
    /// Where it was learned: a list, a report, an incident
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
}

impl Key {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let keys = Target::new("/v1/keys");
        match self {
            Self::List(how_many) => call.list_and_show(&keys, how_many, "No key is blocked.", table).await,
            Self::Block(block) => {
                let pem = block.pem()?;
                let reason = block.why.ask(call)?;
                let Block { thumbprint, spki_sha256, learned, .. } = *block;
                let blocking = api::KeyBlocking {
                    thumbprint,
                    spki_sha256,
                    pem,
                    revocation_reason: Some(learned.revocation_reason.to_string()),
                    source: learned.source,
                    reason,
                };
                let answer = call.post(&keys, &blocking).await?;
                call.show(&answer, facts)
            }
            Self::Import { file, learned, why } => import(call, &keys, &file, learned, &why).await,
            Self::Unblock { thumbprint, why } => {
                call.act(&keys.then(&thumbprint).then("unblock"), &why).await
            }
        }
    }
}

async fn import(
    call: &mut Call,
    keys: &Target,
    file: &Path,
    learned: Learned,
    why: &Why,
) -> Result<(), Failure> {
    let hashes = read_hashes(file)?;
    let reason = why.ask(call)?;
    let mut sum = api::KeysBlocked { blocked: 0, known: 0 };
    for batch in hashes.chunks(BATCH) {
        let blocking = api::KeysBlocking {
            spki_sha256: batch.to_vec(),
            revocation_reason: Some(learned.revocation_reason.to_string()),
            source: learned.source.clone(),
            reason: reason.clone(),
        };
        let answer = call.post(&keys.clone().then("import"), &blocking).await?;
        let more: api::KeysBlocked = answer.read()?;
        sum.blocked += more.blocked;
        sum.known += more.known;
    }
    if call.terminal.json {
        let json = serde_json::to_vec(&sum).unwrap_or_default();
        return call.show_json(&json);
    }
    let sentence = format!("{} keys are blocked now, {} were before\n", sum.blocked, sum.known);
    call.terminal.print(&sentence)
}

/// The hashes of a file, in lower case, each once.
fn read_hashes(file: &Path) -> Result<Vec<String>, Failure> {
    let named = |what: &dyn std::fmt::Display| Failure::Usage(format!("{}: {what}", file.display()));
    let bytes = read_limited(file, LIST_BYTES_MAX).map_err(|error| named(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| named(&"it is no text"))?;
    let mut hashes = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let digits = line.split('#').next().unwrap_or_default().trim();
        if digits.is_empty() {
            continue;
        }
        let hash = from_hex(digits).filter(|bytes| bytes.len() == 32);
        let hash = hash.ok_or_else(|| {
            named(&format!("line {} has no SHA-256: 64 hexadecimal digits and no more", index + 1))
        })?;
        hashes.push(hex(&hash));
    }
    hashes.sort_unstable();
    hashes.dedup();
    if hashes.is_empty() { Err(named(&"it holds no hash")) } else { Ok(hashes) }
}

impl Block {
    fn pem(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.pem else { return Ok(None) };
        let bytes = read_limited(path, PEM_BYTES_MAX)
            .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // What must not leave this machine is not sent, not even to the CA.
        if text.contains("PRIVATE KEY-----") {
            return Err(Failure::Usage(format!(
                "{} holds a private key, which was not sent: give its public part, as `openssl pkey -in FILE -pubout` \
                 writes it",
                path.display()
            )));
        }
        if !text.contains("-----BEGIN ") {
            return Err(Failure::Usage(format!("{} holds no PEM", path.display())));
        }
        Ok(Some(text))
    }
}

fn table(keys: &[api::KeyBlock], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("KEY", Shape::Whole),
        ("BLOCKED", Shape::Whole),
        ("BY", Shape::Whole),
        ("CERTIFICATE", Shape::Whole),
        ("CRL REASON", Shape::Whole),
        ("REASON", Shape::Text),
        ("SOURCE", Shape::Text),
    ]);
    for key in keys {
        table.row([
            name(key).into(),
            (&key.at).into(),
            (&key.by).into(),
            (&key.serial).into(),
            (&key.revocation_reason).into(),
            (&key.reason).into(),
            (&key.source).into(),
        ]);
    }
    table.render(paper)
}

/// What it is blocked by.
fn name(key: &api::KeyBlock) -> &str {
    key.thumbprint.as_deref().or(key.spki_sha256.as_deref()).unwrap_or_default()
}

fn facts(key: &api::KeyBlock, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("key", name(key))
        .fact("blocked", &key.at)
        .fact("CRL reason", &key.revocation_reason)
        .fact("by", &key.by)
        .fact("certificate", &key.serial)
        .fact("reason", &key.reason)
        .fact("source", &key.source);
    facts.render(paper)
}
