//! What a responder apart from its CA has signed, on record in files of its own: one for each day (UTC), `2026-11-29.jsonl`, one line for
//! each batch and issuer, in the words of the CA's records.
//!
//! A batch is on the disk before it counts as recorded. Where that fails it comes again, and once the queue is full nothing is signed any
//! more, as in the CA. Nothing is removed here: when a file has gone where it is kept, the operator removes it.

use std::io;
use std::sync::Arc;

use ingam_journal::files::{File, Files};
use ingam_protocol::{Clock, Timestamp};

use crate::statuses::SigningEvent;
use crate::stored::payloads;

/// Where signatures are put down.
pub(crate) struct SignedFiles {
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
}

impl SignedFiles {
    /// In this folder.
    pub(crate) fn new(files: Arc<dyn Files>, clock: Arc<dyn Clock>) -> Self {
        Self { files, clock }
    }

    /// Puts a batch down; durable when it returns.
    ///
    /// # Errors
    /// Whatever the system says; nothing of the batch is in the file then, unless that cannot be cut either.
    pub(crate) async fn append(&self, events: Vec<SigningEvent>) -> io::Result<()> {
        let (files, name) = (self.files.clone(), name_of(self.clock.now()));
        let mut lines = Vec::new();
        for (_, signed) in payloads(events) {
            serde_json::to_writer(&mut lines, &signed)?;
            lines.push(b'\n');
        }
        let writing = tokio::task::spawn_blocking(move || append(files.as_ref(), &name, lines));
        writing.await.map_err(io::Error::other)?
    }
}

/// The file of a day.
fn name_of(now: Timestamp) -> String {
    format!("{}.jsonl", now.to_date_time().date())
}

fn append(files: &dyn Files, name: &str, mut lines: Vec<u8>) -> io::Result<()> {
    let file = files.create(name)?;
    let end = file.length()?;
    if is_broken_off(file.as_ref(), end)? {
        lines.insert(0, b'\n');
    }
    if end == 0 {
        files.sync_directory()?;
    }
    let written = file.write_at(end, &lines).and_then(|()| file.sync());
    if written.is_err() {
        // What is there in part would be there twice. If this fails as well, the next batch begins a line of its own.
        drop(file.set_length(end));
    }
    written
}

/// Whether the last line has no end: the power went while it was written.
fn is_broken_off(file: &dyn File, end: u64) -> io::Result<bool> {
    let Some(last) = end.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_at(last, &mut byte)?;
    Ok(byte != *b"\n")
}

#[cfg(test)]
mod tests {
    use ingam_journal::simulated::SimulatedDisk;
    use ingam_protocol::Serial;
    use ingam_protocol::ocsp::CertStatus;
    use ingam_protocol::profile::IssuerName;
    use ingam_protocol::time::FixedClock;

    use super::*;
    use crate::statuses::Signed;

    const NAME: &str = "2026-11-21.jsonl";

    fn now() -> Timestamp {
        Timestamp::from_rfc3339("2026-11-21T23:59:58Z").unwrap()
    }

    fn event(number: u8) -> SigningEvent {
        SigningEvent {
            issuer: IssuerName::try_from("e1".to_owned()).unwrap(),
            at: now(),
            next_update: now(),
            signed: Signed::Ocsp {
                serial: Serial::from_be_bytes(&[number; 16]).unwrap(),
                status: CertStatus::Good,
            },
        }
    }

    fn lines(disk: &SimulatedDisk, name: &str) -> Vec<String> {
        let contents = String::from_utf8(disk.contents(name).unwrap_or_default()).unwrap();
        contents.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn each_day_has_its_file_and_each_batch_a_line() {
        let (disk, clock) = (Arc::new(SimulatedDisk::new()), Arc::new(FixedClock::new(now())));
        let signed = SignedFiles::new(disk.clone(), clock.clone());
        signed.append(vec![event(1), event(2)]).await.unwrap();
        signed.append(vec![event(3)]).await.unwrap();
        clock.set(now().plus(std::time::Duration::from_secs(2)));
        signed.append(vec![event(4)]).await.unwrap();
        let first = lines(&disk, NAME);
        assert_eq!(first.len(), 2);
        let line: serde_json::Value = serde_json::from_str(&first[0]).unwrap();
        assert_eq!(line["issuer"], "e1");
        assert_eq!(line["answers"][1]["serial"], "02".repeat(16));
        assert_eq!(line["answers"][1]["produced_at"], now().unix_ms());
        assert_eq!(lines(&disk, "2026-11-22.jsonl").len(), 1);
    }

    #[tokio::test]
    async fn a_batch_that_was_not_written_leaves_nothing_behind_and_comes_again() {
        let disk = Arc::new(SimulatedDisk::new());
        let signed = SignedFiles::new(disk.clone(), Arc::new(FixedClock::new(now())));
        signed.append(vec![event(1)]).await.unwrap();
        let before = lines(&disk, NAME);
        disk.set_room(Some(10));
        assert!(signed.append(vec![event(2)]).await.is_err());
        disk.set_room(None);
        assert_eq!(lines(&disk, NAME), before);
        signed.append(vec![event(2)]).await.unwrap();
        assert_eq!(lines(&disk, NAME).len(), 2);
    }

    #[tokio::test]
    async fn a_line_that_was_broken_off_spoils_no_other() {
        let disk = Arc::new(SimulatedDisk::new());
        disk.set_contents(NAME, b"{\"issuer\":\"e1\",\"ans".to_vec());
        let signed = SignedFiles::new(disk.clone(), Arc::new(FixedClock::new(now())));
        signed.append(vec![event(1)]).await.unwrap();
        let lines = lines(&disk, NAME);
        assert_eq!(lines.len(), 2);
        assert!(serde_json::from_str::<serde_json::Value>(&lines[1]).is_ok());
    }
}
