//! What was prepared and what was used: the signer's own memory, which no caller can talk it out of.
//!
//! For each serial number of an issuer there is at most one precertificate and one certificate, which then is the one that
//! belongs to it, and each of these is signed at most once, however often anybody asks, in whichever process. That the bytes were used is durable before the
//! key is touched. That they were prepared is written at once and made durable together with the next use: if the power
//! takes it, nothing was signed, and the same bytes can be prepared again.
//!
//! ```text
//!            prepare                use (durable)
//! unknown ───────────▶ prepared ────────────────▶ used ──▶ the key
//!             again: the last          │
//!             ones count               └ once more: refused
//! ```
//!
//! There is a file for each day (UTC), of frames of one size (`frame`). A day's file goes when nothing that it tells of
//! can be signed any more, as notBefore lies within 48 hours of every signature; and never while there are few, so that a
//! clock that runs ahead takes none away that counts. A serial number is remembered for as long: that a caller draws none
//! twice is for its own records to see to.

mod frame;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ingam_journal::files::{File, Files};
use ingam_protocol::bytes::hex;
use ingam_protocol::{Clock, Serial, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::Error;
use frame::{Act, Damage, FRAME_BYTES, Frame, digest_of};

/// For how many days a file is kept beside today's. Bytes are prepared with a notBefore of at most two days ahead, and
/// signed at most two days after it.
const DAYS_KEPT: u64 = 5;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many frames wait to be written; who brings one more waits as well.
const QUEUE_MAX: usize = 4096;

/// A file grows by so many bytes of zeros at a time: what does not grow is synced faster.
const GROWTH_BYTES: u64 = 256 << 10;

/// No day's file is larger: 134 million frames.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// So many frames of a day may be there for something to be prepared still: the rest is for what was prepared to be used.
const FRAMES_TO_PREPARE: u64 = FILE_BYTES_MAX / FRAME_BYTES_U64 / 4 * 3;

/// So much of a file is read at once: whole frames.
const READ_BYTES: usize = 1 << 20;

const FRAME_BYTES_U64: u64 = FRAME_BYTES as u64;

/// Which of a serial number's two signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// With the poison (RFC 6962, section 3.1).
    Precertificate,
    /// What clients get.
    Certificate,
}

/// The name of prepared bytes: made of issuer, kind, serial number and the bytes themselves.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PreparedId([u8; 16]);

impl PreparedId {
    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl std::fmt::Display for PreparedId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl std::fmt::Debug for PreparedId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// What the ledger is told of bytes that are to be signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// SHA-256 of the issuer's public key.
    pub(crate) issuer: &'a [u8; 32],
    pub(crate) kind: Kind,
    pub(crate) serial: &'a Serial,
    pub(crate) tbs: &'a [u8],
}

impl Subject<'_> {
    /// The other one of the serial number's two signatures.
    fn other_kind(self) -> Self {
        let kind = match self.kind {
            Kind::Precertificate => Kind::Certificate,
            Kind::Certificate => Kind::Precertificate,
        };
        Self { kind, ..self }
    }
}

/// What is known of one of a serial number's two signatures.
#[derive(Clone, Copy)]
struct Entry {
    /// The first half of the SHA-256 of the bytes.
    digest: [u8; 16],
    used: bool,
}

/// Entries by the day whose file has them; each key is in one, after a start perhaps in several.
#[derive(Default)]
struct Index {
    days: BTreeMap<u64, Day>,
}

#[derive(Default)]
struct Day {
    entries: HashMap<[u8; 16], Entry>,
    /// How many frames its file has, or is about to have.
    frames: u64,
}

/// The ledger, open. Dropping it writes what waits.
pub struct Ledger {
    clock: Arc<dyn Clock>,
    index: Mutex<Index>,
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    broken: Arc<AtomicBool>,
}

/// A frame on its way, and whoever waits until it is durable.
struct Job {
    frame: Frame,
    day: u64,
    done: Option<oneshot::Sender<()>>,
}

impl Ledger {
    /// Opens the ledger in a directory of its own, which nobody else writes to.
    ///
    /// # Errors
    /// [`Error::Load`] if a file cannot be read, is of a newer version, or has lost what had been made durable.
    pub fn open(files: Arc<dyn Files>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let mut index = Index::default();
        let mut frames = BTreeMap::new();
        for name in files.list().map_err(unreadable)? {
            let Some(day) = day_of_name(&name) else { continue };
            let file = files.open(&name).map_err(unreadable)?;
            frames.insert(day, index.read(day, file.as_ref(), &name)?);
        }
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let broken = Arc::new(AtomicBool::new(false));
        let mut writer = Writer { files, frames, open: None, broken: broken.clone() };
        let writer =
            std::thread::Builder::new().name("signer-ledger".to_owned()).spawn(move || writer.run(jobs));
        let writer = writer.map_err(unreadable)?;
        Ok(Self { clock, index: Mutex::new(index), queue: Some(queue), writer: Some(writer), broken })
    }

    /// Notes that these bytes are ready to be signed. The same bytes may be prepared as often as one likes until they
    /// are used; other bytes for the same serial number take their place, as SCTs gathered anew do. `precertificate` is the
    /// one that a certificate belongs to.
    ///
    /// # Errors
    /// [`Error::Refused`] if bytes of this serial number were used, if the precertificate was not, or if there is another of
    /// this serial number; [`Error::Unavailable`] if the ledger cannot be written.
    pub(crate) async fn prepare(
        &self,
        subject: Subject<'_>,
        precertificate: Option<Subject<'_>>,
    ) -> Result<PreparedId, Error> {
        self.check()?;
        let frame = Frame::new(Act::Prepared, self.clock.now(), subject);
        let (key, digest, id) = (frame.key(), frame.digest_half(), frame.id());
        let day = day_of(frame.at);
        {
            let mut index = self.index();
            match precertificate {
                Some(precertificate) if index.was_used(&Frame::new(Act::Used, frame.at, precertificate)) => {}
                Some(_) => {
                    let why = "there is no signed precertificate of these bytes: make a new order";
                    return Err(Error::Refused(why.to_owned()));
                }
                None if index
                    .entry(&Frame::new(Act::Used, frame.at, subject.other_kind()).key())
                    .is_some() =>
                {
                    return Err(taken(subject));
                }
                None => {}
            }
            match index.entry(&key) {
                Some(Entry { used: true, .. }) => return Err(used(subject)),
                Some(entry) if entry.digest == digest => return Ok(id),
                _ if index.is_full(day) => return Err(full()),
                _ => index.put(day, key, Entry { digest, used: false }),
            }
        }
        self.write(Job { frame, day, done: None }).await?;
        Ok(id)
    }

    /// Uses prepared bytes up: whoever gets `Ok` may sign them, and nobody else ever will.
    ///
    /// # Errors
    /// [`Error::Refused`] if exactly these bytes were not prepared, or were used before; [`Error::Unavailable`] if it
    /// could not be made durable: then they count as used.
    pub(crate) async fn use_up(&self, subject: Subject<'_>) -> Result<(), Error> {
        self.check()?;
        let frame = Frame::new(Act::Used, self.clock.now(), subject);
        let (key, digest) = (frame.key(), frame.digest_half());
        let day = day_of(frame.at);
        {
            let mut index = self.index();
            match index.entry(&key) {
                Some(Entry { used: true, .. }) => return Err(used(subject)),
                Some(entry) if entry.digest == digest => {
                    index.put(day, key, Entry { digest, used: true });
                }
                _ => return Err(unprepared(subject)),
            }
        }
        let (done, durable) = oneshot::channel();
        self.write(Job { frame, day, done: Some(done) }).await?;
        durable.await.map_err(|_| unwritable())
    }

    /// Whether exactly these bytes were used.
    #[cfg(test)]
    pub(crate) fn was_used(&self, subject: Subject<'_>) -> bool {
        let frame = Frame::new(Act::Used, self.clock.now(), subject);
        self.index().was_used(&frame)
    }

    /// The name that these bytes have once they are prepared.
    pub(crate) fn id_of(&self, subject: Subject<'_>) -> PreparedId {
        Frame::new(Act::Prepared, self.clock.now(), subject).id()
    }

    /// Whether anything can be written: after a failure nothing is signed until a new start.
    ///
    /// # Errors
    /// [`Error::Unavailable`] says what to do.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.broken.load(Ordering::Acquire) { Err(unwritable()) } else { Ok(()) }
    }

    async fn write(&self, job: Job) -> Result<(), Error> {
        let queue = self.queue.as_ref().ok_or_else(unwritable)?;
        queue.send(job).await.map_err(|_| unwritable())
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // It does not panic; if it did, there is nothing left to write.
            let _ = writer.join();
        }
    }
}

impl Index {
    fn entry(&self, key: &[u8; 16]) -> Option<Entry> {
        let mut all = self.days.values().rev().filter_map(|day| day.entries.get(key));
        // A use counts on whichever day: clocks can be set back. Else the latest day knows best.
        let latest = all.next()?;
        Some(all.find(|entry| entry.used && !latest.used).copied().unwrap_or(*latest))
    }

    fn was_used(&self, frame: &Frame) -> bool {
        self.entry(&frame.key()).is_some_and(|entry| entry.used && entry.digest == frame.digest_half())
    }

    /// Whether a day's file has room for nothing but the use of what was prepared.
    fn is_full(&self, day: u64) -> bool {
        self.days.get(&day).is_some_and(|day| day.frames >= FRAMES_TO_PREPARE)
    }

    fn put(&mut self, day: u64, key: [u8; 16], entry: Entry) {
        for (_, other) in self.days.iter_mut().filter(|(number, _)| **number != day) {
            other.entries.remove(&key);
        }
        let own = self.days.entry(day).or_default();
        own.entries.insert(key, entry);
        own.frames += 1;
        let days: Vec<u64> = self.days.keys().copied().collect();
        too_old(&days, day).iter().for_each(|old| drop(self.days.remove(old)));
    }

    /// Takes in a day's file, makes good what the end of an earlier process left in it, and gives how many frames it has.
    fn read(&mut self, day: u64, file: &dyn File, name: &str) -> Result<u64, Error> {
        let length = file.length().map_err(unreadable)?.min(FILE_BYTES_MAX);
        let (mut place, mut end, mut synced) = (0_u64, 0_u64, 0_u64);
        // Places without a frame: behind the last one they are where writing goes on.
        let mut gaps = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        while place * FRAME_BYTES_U64 < length {
            let room =
                usize::try_from(length - place * FRAME_BYTES_U64).unwrap_or(READ_BYTES).min(READ_BYTES);
            let chunk = buffer.get_mut(..room).unwrap_or_default();
            file.read_at(place * FRAME_BYTES_U64, chunk).map_err(unreadable)?;
            for bytes in chunk.chunks(FRAME_BYTES) {
                match Frame::read(bytes) {
                    Ok(Some(frame)) => {
                        synced = synced.max(frame.synced);
                        end = place + 1;
                        self.take(day, &frame);
                    }
                    Ok(None) => gaps.push(place),
                    Err(Damage::Torn) => {
                        gaps.push(place);
                        end = place + 1;
                    }
                    Err(Damage::Newer) => {
                        return Err(damaged(name, "was written by a newer version of this program"));
                    }
                }
                place += 1;
            }
        }
        gaps.retain(|gap| *gap < end);
        // What was not synced may be missing or torn, in any way. What was must be there.
        if gaps.iter().any(|gap| *gap < synced) {
            return Err(damaged(name, "has lost what had been made durable"));
        }
        for gap in &gaps {
            file.write_at(gap * FRAME_BYTES_U64, &Frame::void()).map_err(unreadable)?;
        }
        if end > 0 {
            file.sync().map_err(unreadable)?;
        }
        Ok(end)
    }

    fn take(&mut self, day: u64, frame: &Frame) {
        let own = self.days.entry(day).or_default();
        own.frames += 1;
        if frame.act == Act::Void {
            return;
        }
        let entry = Entry { digest: frame.digest_half(), used: frame.act == Act::Used };
        let known = own.entries.entry(frame.key()).or_insert(entry);
        if !known.used {
            *known = entry;
        }
    }
}

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
struct Writer {
    files: Arc<dyn Files>,
    /// How many frames the day's file has, for days that are not open.
    frames: BTreeMap<u64, u64>,
    open: Option<Open>,
    broken: Arc<AtomicBool>,
}

impl Writer {
    fn run(&mut self, mut jobs: mpsc::Receiver<Job>) {
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

fn day_of(at: Timestamp) -> u64 {
    at.unix_s() / DAY.as_secs()
}

/// Which of these days, in their order, need not be kept while this one is written.
fn too_old(days: &[u64], day: u64) -> &[u64] {
    let kept = usize::try_from(DAYS_KEPT + 1).unwrap_or(usize::MAX);
    let candidates = days.get(..days.len().saturating_sub(kept)).unwrap_or_default();
    let end = candidates.partition_point(|old| old + DAYS_KEPT < day);
    candidates.get(..end).unwrap_or_default()
}

/// `DAY.ledger`, the day as days since 1970, so that names sort as days do.
fn name_of(day: u64) -> String {
    format!("{day:06}.ledger")
}

fn day_of_name(name: &str) -> Option<u64> {
    name.strip_suffix(".ledger")?.parse().ok()
}

fn described(subject: Subject<'_>) -> String {
    let what = match subject.kind {
        Kind::Precertificate => "precertificate",
        Kind::Certificate => "certificate",
    };
    format!("the {what} with the serial number {}", subject.serial)
}

fn used(subject: Subject<'_>) -> Error {
    let what = described(subject);
    Error::Refused(format!(
        "{what} was signed, or was about to be: it is never signed again; make a new order"
    ))
}

fn taken(subject: Subject<'_>) -> Error {
    let what = described(subject.other_kind());
    Error::Refused(format!(
        "{what} is there already, and this one does not belong to it: draw another serial number"
    ))
}

fn full() -> Error {
    Error::Unavailable(
        "the signer's ledger of today is full: nothing is prepared before midnight, UTC".to_owned(),
    )
}

fn unprepared(subject: Subject<'_>) -> Error {
    let what = described(subject);
    Error::Refused(format!("{what} was not prepared with these bytes: prepare it first"))
}

fn unwritable() -> Error {
    Error::Unavailable(
        "the signer's ledger cannot be written, so nothing is signed: look at its disk and the log, and start the signer \
         again"
            .to_owned(),
    )
}

fn unreadable(cause: io::Error) -> Error {
    Error::Load("the signer's ledger cannot be read".to_owned(), Some(Box::new(cause)))
}

fn damaged(name: &str, what: &str) -> Error {
    Error::Load(
        format!(
            "the signer's ledger {name} {what}: what it told is needed so that nothing is signed twice; see \"A ledger is \
             damaged\" in docs/operations/signer.md"
        ),
        None,
    )
}

/// SHA-256 of an issuer's public key, as the ledger names it.
pub(crate) fn issuer_digest(public_key: &[u8]) -> [u8; 32] {
    digest_of(public_key)
}
