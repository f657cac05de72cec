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
mod index;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ingam_journal::files::Files;
use ingam_protocol::bytes::hex;
use ingam_protocol::{Clock, Serial, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::Error;
use frame::{Act, FRAME_BYTES, Frame, digest_of};
use index::{Entry, Index};
use writer::Writer;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many frames wait to be written; who brings one more waits as well.
const QUEUE_MAX: usize = 4096;

/// No day's file is larger: 134 million frames.
const FILE_BYTES_MAX: u64 = 16 << 30;

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
        let mut writer = Writer::new(files, frames, broken.clone());
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

fn day_of(at: Timestamp) -> u64 {
    at.unix_s() / DAY.as_secs()
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
