//! `status`: how the CA fares, as a picture.

mod picture;

use std::time::Duration;

use super::call::Call;
use super::failure::Failure;
use crate::client::{Answer, Target};

/// How many times the pace of looking at a job a picture stays: two seconds.
const PICTURE_PACES: u32 = 4;

/// How to look.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Look {
    /// Looks again every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

impl Look {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let target = Target::new("/v1/status");
        if !self.watch {
            let answer = call.client.fetch(&target).await?;
            return show(call, &answer, "", "");
        }
        // On a terminal each picture is painted over the one before.
        let (before, after) = if call.terminal.output_is_terminal && !call.terminal.json {
            ("\u{1b}[H\u{1b}[2J", "")
        } else {
            ("", "\n")
        };
        loop {
            match call.client.fetch(&target).await.map_err(Failure::from) {
                Ok(answer) => match show(call, &answer, before, after) {
                    Ok(()) | Err(Failure::NotReady) => {}
                    Err(failure) => return Err(failure),
                },
                Err(failure) if failure.may_pass() => call.terminal.note(&format!("{failure}")),
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep(call.pace.checked_mul(PICTURE_PACES).unwrap_or(Duration::MAX)).await;
        }
    }
}

fn show(call: &mut Call, answer: &Answer, before: &str, after: &str) -> Result<(), Failure> {
    let report: picture::Report = answer.read()?;
    if call.terminal.json {
        call.show_json(&answer.body)?;
    } else {
        let text = picture::paint(&report, &call.terminal.paper);
        call.terminal.print(&format!("{before}{text}{after}"))?;
    }
    if report.ready() { Ok(()) } else { Err(Failure::NotReady) }
}
