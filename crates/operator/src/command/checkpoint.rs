//! `checkpoint`: what witnesses say of the log of records, where they cannot be asked over the network.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use super::call::Call;
use super::failure::Failure;
use super::table::{Cell, Facts, Paper};
use crate::api;
use crate::client::Target;

/// No checkpoint is longer.
const NOTE_BYTES_MAX: u64 = 64 << 10;

/// Commands on checkpoints of the log of records.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Checkpoint {
    /// Hands in a checkpoint that witnesses have cosigned
    #[command(after_help = "\
The checkpoint is one of this CA's log, with the lines of witnesses that log.witnesses names below it. It is given out at
/log/cosigned, and at /log/checkpoint as long as it is the newest.

Example:
  ingam admin checkpoint cosign cosigned.txt")]
    Cosign {
        /// The checkpoint, with the witnesses' lines
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl Checkpoint {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let Self::Cosign { file } = self;
        let mut note = String::new();
        File::open(&file)
            .and_then(|opened| opened.take(NOTE_BYTES_MAX).read_to_string(&mut note))
            .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", file.display())))?;
        let handed_in = api::CosignedCheckpoint { note };
        let answer = call.post(&Target::new("/v1/checkpoint/cosignatures"), &handed_in).await?;
        call.show(&answer, |taken: &api::Cosigners, paper: &Paper| {
            let mut facts = Facts::default();
            facts.facts("cosigned by", taken.witnesses.iter().map(Cell::from).collect());
            facts.render(paper)
        })
    }
}
