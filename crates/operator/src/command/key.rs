//! `key`: keys that get no certificate.

use std::path::PathBuf;

use super::call::{Call, HowMany, Why};
use super::failure::Failure;
use super::serials::read_limited;
use super::table::{Facts, Paper, Shape, Table};
use crate::api;
use crate::client::Target;

/// How large a PEM may be (the API's bound).
const PEM_BYTES_MAX: u64 = 65_536;

/// Commands on blocked keys.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Key {
    /// Lists blocked keys
    List(HowMany),
    /// Blocks a key: it gets no certificate from now on; those it has stay as they are
    #[command(after_help = "\
Examples:
  ingam admin key block --pem leaked.pem --reason \"found in a public repository\"
  ingam admin revoke --key THUMBPRINT --execute --revocation-reason keyCompromise")]
    Block(Block),
    /// Lets a blocked key be used again
    Unblock {
        /// Its thumbprint (RFC 7638), base64url
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
        required_unless_present = "pem",
        conflicts_with = "pem"
    )]
    thumbprint: Option<String>,
    /// A PEM file with the public key, or a certificate or certificate request for it; - is standard input
    #[arg(long, value_name = "FILE")]
    pem: Option<PathBuf>,
    #[command(flatten)]
    why: Why,
}

impl Key {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let keys = Target::new("/v1/keys");
        match self {
            Self::List(how_many) => call.list_and_show(&keys, how_many, "No key is blocked.", table).await,
            Self::Block(block) => {
                let pem = block.pem()?;
                let reason = block.why.ask(call)?;
                let blocking = api::KeyBlocking { thumbprint: block.thumbprint, pem, reason };
                let answer = call.post(&keys, &blocking).await?;
                call.show(&answer, facts)
            }
            Self::Unblock { thumbprint, why } => {
                call.act(&keys.then(&thumbprint).then("unblock"), &why).await
            }
        }
    }
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
        ("THUMBPRINT", Shape::Whole),
        ("BLOCKED", Shape::Whole),
        ("BY", Shape::Whole),
        ("CERTIFICATE", Shape::Whole),
        ("CRL REASON", Shape::Whole),
        ("REASON", Shape::Text),
    ]);
    for key in keys {
        table.row([
            (&key.thumbprint).into(),
            (&key.at).into(),
            (&key.by).into(),
            (&key.serial).into(),
            (&key.revocation_reason).into(),
            (&key.reason).into(),
        ]);
    }
    table.render(paper)
}

fn facts(key: &api::KeyBlock, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("key", &key.thumbprint)
        .fact("blocked", &key.at)
        .fact("CRL reason", &key.revocation_reason)
        .fact("by", &key.by)
        .fact("certificate", &key.serial)
        .fact("reason", &key.reason);
    facts.render(paper)
}
