//! `backup`: the CA writes a set of everything that it needs to go on elsewhere.

use std::path::PathBuf;

use super::call::{Call, Why};
use super::failure::Failure;
use super::table::{Cell, Facts};
use crate::api;
use crate::client::Target;

/// Where the backup is to lie.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The CA itself writes, encrypted for backup.recipient of its configuration, into a folder of its own machine. Sets of one folder
share what did not change. A large CA takes minutes: give a --timeout that is long enough. The keys of contacts are not in it, and
the log of OCSP requests is not either: docs/operations/keys-and-backups.md.

Example:
  ingam admin --timeout 3600 backup --to /var/backups/ingam --keep-days 60 --reason daily")]
pub(crate) struct Backup {
    /// The folder, on the CA's machine; it is there, and the CA may write into it
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Lets sets of the folder go that are older than so many days, once the new one is there
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    keep_days: Option<u32>,
    #[command(flatten)]
    why: Why,
}

impl Backup {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let absolute = std::path::absolute(&self.to).ok();
        let to = absolute.and_then(|path| path.into_os_string().into_string().ok());
        let to = to.ok_or_else(|| Failure::Usage("the folder's name has to be text".to_owned()))?;
        let reason = self.why.ask(call)?;
        let asked = api::BackupAsked { to, keep_days: self.keep_days, reason };
        let answer = call.post(&Target::new("/v1/backups"), &asked).await?;
        call.show(&answer, |made: &api::BackupMade, paper| {
            let mut facts = Facts::default();
            facts
                .fact("set", made.number.to_string())
                .fact("files", format!("{}, of which {} were there before", made.files, made.known))
                .fact("bytes written", made.bytes_written.to_string())
                .fact("rows of the store", made.rows.to_string())
                .fact("signed by", &made.signed_by)
                .facts("left out, unknown", made.left_out.iter().map(Cell::from).collect());
            if let Some(pruned) = &made.pruned {
                facts.fact("let go", format!("{} sets, {} bytes", pruned.sets, pruned.bytes));
                facts.facts("not let go", pruned.trouble.iter().map(Cell::from).collect());
            }
            facts.render(paper)
        })
    }
}
