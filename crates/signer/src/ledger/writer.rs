//! Writes frames into the files of their days, as many as there are with one sync.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ingam_journal::files::{File, Files};
use tokio::sync::mpsc;

use super::frame::FRAME_BYTES;
use super::index::too_old;
use super::{FILE_BYTES_MAX, FRAME_BYTES_U64, Job, QUEUE_MAX, day_of_name, name_of};

/// A file grows by so many bytes of zeros at a time: what does not grow is synced faster.
const GROWTH_BYTES: u64 = 256 << 10;

/// A day's file.
struct Open {
    day: u64,
    file: Arc<dyn File>,
    length: u64,
    /// How many frames it has, and how many of them are durable.
    frames: u64,
    synced: u64,
}

/// Writes what comes, as much as there is at a time with one sync.
pub(super) struct Writer {
    files: Arc<dyn Files>,
    /// How many frames the day's file has, for days that are not open.
    frames: BTreeMap<u64, u64>,
    open: Option<Open>,
    broken: Arc<AtomicBool>,
}

impl Writer {
    /// Goes on behind the frames that the files of these days have; sets `broken` for good when a write fails.
    pub(super) fn new(files: Arc<dyn Files>, frames: BTreeMap<u64, u64>, broken: Arc<AtomicBool>) -> Self {
        Self { files, frames, open: None, broken }
    }

    /// Writes until there is nobody left who could give it anything.
    pub(super) fn run(&mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < QUEUE_MAX
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            if let Err(error) = self.write(&batch) {
                // Whether it is on the disk is not known: nothing more is signed before somebody has looked.
                self.broken.store(true, Ordering::Release);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the signer's ledger cannot be written"
                );
                return;
            }
            for done in batch.into_iter().filter_map(|job| job.done) {
                // Whoever does not wait any more does not sign.
                let _ = done.send(());
            }
        }
    }

    fn write(&mut self, batch: &[Job]) -> io::Result<()> {
        for jobs in batch.chunk_by(|one, next| one.day == next.day) {
            let Some(first) = jobs.first() else { continue };
            self.open_day(first.day)?;
            if let Some(open) = &mut self.open {
                open.write(jobs)?;
            }
        }
        Ok(())
    }

    /// Goes on in the file of this day, and takes away those that are too old.
    fn open_day(&mut self, day: u64) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|open| open.day == day) {
            return Ok(());
        }
        if let Some(open) = self.open.take() {
            open.file.sync()?;
            self.frames.insert(open.day, open.frames);
        }
        let file = self.files.create(&name_of(day))?;
        self.files.sync_directory()?;
        let (length, frames) = (file.length()?, self.frames.get(&day).copied().unwrap_or(0));
        self.open = Some(Open { day, file, length, frames, synced: frames });
        let mut days: Vec<u64> = self.files.list()?.iter().filter_map(|name| day_of_name(name)).collect();
        days.sort_unstable();
        for old in too_old(&days, day) {
            self.files.remove(&name_of(*old))?;
        }
        Ok(())
    }
}

impl Open {
    fn write(&mut self, jobs: &[Job]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(jobs.len() * FRAME_BYTES);
        for job in jobs {
            bytes.extend_from_slice(&job.frame.encode(self.synced));
        }
        let (from, end) =
            (self.frames * FRAME_BYTES_U64, (self.frames + to_u64(jobs.len())) * FRAME_BYTES_U64);
        if end > FILE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a day's ledger is full"));
        }
        if end > self.length {
            self.length = end.next_multiple_of(GROWTH_BYTES);
            self.file.set_length(self.length)?;
        }
        self.file.write_at(from, &bytes)?;
        self.frames += to_u64(jobs.len());
        // Preparations alone can wait for the next use.
        if jobs.iter().any(|job| job.done.is_some()) {
            self.file.sync()?;
            self.synced = self.frames;
        }
        Ok(())
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
