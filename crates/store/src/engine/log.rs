//! The log in front of redb: a commit is one write and one sync of a few kilobytes here, and reaches redb's own file
//! only now and then, many commits together.
//!
//! redb alone writes some twenty pages and syncs twice for every durable commit. With the log it keeps commits in memory
//! (they are seen at once), and a checkpoint writes them to its file, with the number of the last one. Opening replays
//! what the log has beyond that number. The layout is final; a newer one gets a new version number.
//!
//! ```text
//! header   16 bytes
//!   0   8  magic "INGAMLOG"
//!   8   4  format version = 1
//!  12   4  CRC-32 of bytes 0 to 11
//!
//! frames   36 bytes and a body each, one after the other; behind the last one anything may follow
//!   0   4  marker "IGLF"
//!   4   4  length of the body
//!   8   8  epoch: one more with each opening
//!  16   8  sequence: one more each
//!  24   8  a sequence up to which all had been synced when this frame was made
//!  32   4  CRC-32 of bytes 0 to 31 and the body
//!  36      body: the changes of one batch
//!
//! change   table length u8 | table | key length u16 | key | value length u32 | value; a length of 2^32-1 is a delete
//! ```
//!
//! All numbers are big-endian. After a checkpoint writing begins again behind the header, over frames whose sequence
//! tells that they are old: bytes that are there already are synced faster than a file that grows. The epoch, which redb's
//! file holds too, tells frames of now from those that an earlier process left and nobody was answered for.

use std::io;
use std::sync::Arc;

use ingam_journal::files::File;

use super::{Batch, EngineError};

const MAGIC: [u8; 8] = *b"INGAMLOG";
const FORMAT_VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const MARKER: [u8; 4] = *b"IGLF";
const FRAME_BYTES: usize = 36;
const DELETE: u32 = u32::MAX;

/// The file grows by this many bytes of zeros at a time.
const GROWTH_BYTES: u64 = 256 << 10;

/// Relaxed commits wait in memory for the next durable one, but not more bytes than this.
const WAITING_BYTES_MAX: usize = 1 << 20;

const OPENING: &str = "opening redb's log";
const WRITING: &str = "writing redb's log";

/// The log, open for writing.
pub(super) struct Log {
    file: Arc<dyn File>,
    /// Where the next frame goes.
    position: u64,
    length: u64,
    /// Frames that are not written yet.
    waiting: Vec<u8>,
    epoch: u64,
    next_sequence: u64,
    /// Everything up to this sequence is synced, here or in redb.
    synced: u64,
}

/// One change of a batch that is replayed: a table, a key, and its value or `None` for a delete.
pub(super) type Change<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);

impl Log {
    /// Makes the file an empty log for the first epoch, that goes on after this sequence.
    pub(super) fn create(file: Arc<dyn File>, sequence: u64) -> Result<Self, EngineError> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        let crc = crc32fast::hash(&header);
        header.extend_from_slice(&crc.to_be_bytes());
        let made = file.set_length(0).and_then(|()| file.write_at(0, &header)).and_then(|()| file.sync());
        made.map_err(|error| EngineError::from_io(OPENING, error))?;
        Ok(Self::at_front(file, to_u64(HEADER_BYTES), 1, sequence))
    }

    /// Opens a log that was last written in this epoch, and gives `replay` the body of every frame beyond `applied`, in
    /// order. Before anything is appended, what was replayed has to be durable in redb, as it is written over, and so
    /// has the new epoch.
    pub(super) fn open(
        file: Arc<dyn File>,
        epoch: u64,
        applied: u64,
        replay: &mut dyn FnMut(&[u8]) -> Result<(), EngineError>,
    ) -> Result<Self, EngineError> {
        let io = |error| EngineError::from_io(OPENING, error);
        let length = file.length().map_err(io)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| corrupt("it is too long"))?];
        file.read_at(0, &mut bytes).map_err(io)?;
        check_header(&bytes)?;
        let mut sequence = applied;
        for frame in frames(&bytes, epoch, applied)? {
            if frame.sequence > applied {
                replay(frame.body)?;
                sequence = frame.sequence;
            }
        }
        Ok(Self::at_front(file, length, epoch + 1, sequence))
    }

    fn at_front(file: Arc<dyn File>, length: u64, epoch: u64, sequence: u64) -> Self {
        Self {
            file,
            position: to_u64(HEADER_BYTES),
            length,
            waiting: Vec::new(),
            epoch,
            next_sequence: sequence + 1,
            synced: sequence,
        }
    }

    /// The epoch of frames that are appended.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The sequence of the last frame.
    pub(super) fn sequence(&self) -> u64 {
        self.next_sequence - 1
    }

    /// How many bytes a checkpoint would free.
    pub(super) fn bytes(&self) -> u64 {
        self.position
    }

    /// Adds a frame. It is durable once [`Log::sync`] has returned. The batch has passed [`Batch::check`].
    pub(super) fn append(&mut self, batch: &Batch) {
        let start = self.waiting.len();
        self.waiting.extend_from_slice(&MARKER);
        self.waiting.extend_from_slice(&[0; 4]);
        for number in [self.epoch, self.next_sequence, self.synced] {
            self.waiting.extend_from_slice(&number.to_be_bytes());
        }
        self.waiting.extend_from_slice(&[0; 4]);
        encode(&mut self.waiting, batch);
        let frame = self.waiting.get_mut(start..).unwrap_or_default();
        let length = u32::try_from(frame.len() - FRAME_BYTES).unwrap_or(u32::MAX);
        if let Some(field) = frame.get_mut(4..8) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        let crc = checksum(frame);
        if let Some(field) = frame.get_mut(FRAME_BYTES - 4..FRAME_BYTES) {
            field.copy_from_slice(&crc.to_be_bytes());
        }
        self.next_sequence += 1;
    }

    /// Whether so much waits in memory that it should be synced.
    pub(super) fn is_waiting_long(&self) -> bool {
        self.waiting.len() >= WAITING_BYTES_MAX
    }

    /// Makes every frame so far durable. After an error nothing may be appended any more: a later sync would not say
    /// whether what this one was about is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), EngineError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.write().map_err(|error| EngineError::from_io(WRITING, error))?;
        self.position += to_u64(self.waiting.len());
        self.waiting.clear();
        self.synced = self.sequence();
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let end = self.position + to_u64(self.waiting.len());
        if end > self.length {
            let grown = end.next_multiple_of(GROWTH_BYTES);
            let zeros = usize::try_from(grown - self.length).map_err(io::Error::other)?;
            self.file.write_at(self.length, &vec![0; zeros])?;
            self.length = grown;
        }
        self.file.write_at(self.position, &self.waiting)?;
        self.file.sync()
    }

    /// Begins from the front: everything up to the last frame is durable in redb now.
    pub(super) fn restart(&mut self) {
        self.position = to_u64(HEADER_BYTES);
        self.waiting.clear();
        self.synced = self.sequence();
    }
}

fn corrupt(what: &'static str) -> EngineError {
    EngineError::Corrupt { doing: OPENING, source: what.into() }
}

fn check_header(bytes: &[u8]) -> Result<(), EngineError> {
    let missing = || corrupt("the log that belongs to redb's file is missing or damaged");
    let mut fields = Fields(bytes);
    if fields.take(MAGIC.len()) != Some(&MAGIC) {
        return Err(missing());
    }
    if fields.number32().ok_or_else(missing)? > FORMAT_VERSION {
        return Err(corrupt("it was written by a newer version of this program, which has to be used"));
    }
    if fields.number32() != bytes.get(..HEADER_BYTES - 4).map(crc32fast::hash) {
        return Err(missing());
    }
    Ok(())
}

struct Frame<'a> {
    epoch: u64,
    sequence: u64,
    synced: u64,
    body: &'a [u8],
}

/// The frames of the epoch from the front on, for as long as each follows the one before it.
fn frames(bytes: &[u8], epoch: u64, applied: u64) -> Result<Vec<Frame<'_>>, EngineError> {
    let mut found = Vec::new();
    let mut rest = bytes.get(HEADER_BYTES..).unwrap_or_default();
    let mut expected = None;
    while let Some((frame, behind)) = read_frame(rest) {
        if frame.epoch != epoch || expected.is_some_and(|expected| frame.sequence != expected) {
            break;
        }
        if found.is_empty() && frame.sequence > applied + 1 {
            return Err(corrupt("frames between redb's file and the log are missing"));
        }
        expected = Some(frame.sequence + 1);
        found.push(frame);
        rest = behind;
    }
    // A frame that had been synced can only have been damaged; one that had not may be what a power cut left of it.
    let next = expected.unwrap_or(0).max(applied + 1);
    while let Some(at) = rest.windows(MARKER.len()).position(|window| window == MARKER) {
        let from_marker = rest.get(at..).unwrap_or_default();
        if read_frame(from_marker).is_some_and(|(frame, _)| frame.epoch == epoch && frame.synced >= next) {
            return Err(corrupt("a frame that had been synced is damaged"));
        }
        rest = from_marker.get(1..).unwrap_or_default();
    }
    Ok(found)
}

/// The frame at the front, if it is intact, and what is behind it.
fn read_frame(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let mut fields = Fields(bytes);
    if fields.take(MARKER.len())? != MARKER {
        return None;
    }
    let length = usize::try_from(fields.number32()?).ok()?;
    let (epoch, sequence, synced) = (fields.number64()?, fields.number64()?, fields.number64()?);
    let crc = fields.number32()?;
    let body = fields.take(length)?;
    let whole = bytes.get(..FRAME_BYTES + length)?;
    (crc == checksum(whole)).then_some((Frame { epoch, sequence, synced, body }, fields.0))
}

/// Of a whole frame, without the checksum's own place.
fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(frame.get(..FRAME_BYTES - 4).unwrap_or_default());
    hasher.update(frame.get(FRAME_BYTES..).unwrap_or_default());
    hasher.finalize()
}

/// Keys and values are short enough for their fields, which [`Batch::check`] has seen to.
fn encode(out: &mut Vec<u8>, batch: &Batch) {
    for (table, key, value) in batch.iter() {
        out.push(u8::try_from(table.name().len()).unwrap_or(u8::MAX));
        out.extend_from_slice(table.name().as_bytes());
        out.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(key);
        let length = value.map_or(DELETE, |value| u32::try_from(value.len()).unwrap_or(DELETE));
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value.unwrap_or_default());
    }
}

/// Reads a frame's body; `None` where it ends in the middle of a change.
pub(super) fn decode(body: &[u8]) -> Option<Vec<Change<'_>>> {
    let mut fields = Fields(body);
    let mut changes = Vec::new();
    while !fields.0.is_empty() {
        let table = usize::from(*fields.take(1)?.first()?);
        let table = std::str::from_utf8(fields.take(table)?).ok().filter(|table| !table.is_empty())?;
        let key = u16::from_be_bytes(fields.take(2)?.try_into().ok()?);
        let key = fields.take(usize::from(key))?;
        let value = match fields.number32()? {
            DELETE => None,
            length => Some(fields.take(usize::try_from(length).ok()?)?),
        };
        changes.push((table, key, value));
    }
    Some(changes)
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A cursor over fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn number64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use ingam_journal::files::Files;
    use ingam_journal::simulated::SimulatedDisk;

    use super::super::Table;
    use super::*;

    const TABLE: Table = Table::new("table");

    fn batch(number: u8) -> Batch {
        let mut batch = Batch::new();
        batch.put(TABLE, [number], vec![number; 30]);
        batch.delete(TABLE, [number, 0]);
        batch
    }

    /// Opens the log and gives the first key of each frame that was replayed.
    fn replayed(disk: &SimulatedDisk, applied: u64) -> Result<Vec<u8>, EngineError> {
        let mut seen = Vec::new();
        Log::open(disk.open("log").unwrap(), 1, applied, &mut |body| {
            let changes = decode(body).unwrap();
            assert_eq!(changes[0].2, Some(vec![changes[0].1[0]; 30].as_slice()));
            assert_eq!(changes[1], ("table", [changes[0].1[0], 0].as_slice(), None));
            seen.push(changes[0].1[0]);
            Ok(())
        })?;
        Ok(seen)
    }

    /// Three frames, each synced, over older ones.
    fn three() -> SimulatedDisk {
        let disk = SimulatedDisk::new();
        let mut log = Log::create(disk.create("log").unwrap(), 0).unwrap();
        for number in 1..=8 {
            if number == 6 {
                log.restart();
            }
            log.append(&batch(number));
            log.sync().unwrap();
        }
        disk
    }

    #[test]
    fn frames_beyond_what_was_applied_are_replayed() {
        let disk = three();
        assert_eq!(replayed(&disk, 5).unwrap(), [6, 7, 8]);
        assert_eq!(replayed(&disk, 7).unwrap(), [8]);
        assert!(replayed(&disk, 8).unwrap().is_empty());
        assert!(replayed(&disk, 100).unwrap().is_empty());
        assert!(replayed(&disk, 4).is_err(), "frame 5 is needed and no longer there");
    }

    #[test]
    fn a_torn_last_frame_ends_the_log_and_damage_before_it_is_an_error() {
        let disk = three();
        let whole = disk.contents("log").unwrap();
        let frame = FRAME_BYTES + (1 + 5 + 2 + 1 + 4 + 30) + (1 + 5 + 2 + 2 + 4);
        for at in HEADER_BYTES..HEADER_BYTES + 3 * frame {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            disk.set_contents("log", damaged);
            let result = replayed(&disk, 5);
            if at < HEADER_BYTES + 2 * frame {
                assert_eq!(result.unwrap_err().code(), "engine_corrupt", "{at}");
            } else {
                assert_eq!(result.unwrap(), [6, 7], "{at}");
            }
        }
        for at in 0..HEADER_BYTES {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            disk.set_contents("log", damaged);
            assert_eq!(replayed(&disk, 5).unwrap_err().code(), "engine_corrupt", "{at}");
        }
        disk.set_contents("log", Vec::new());
        assert!(replayed(&disk, 5).unwrap_err().to_string().contains("opening redb's log"));
    }

    /// A process leaves frame 2 torn and frame 3 whole behind it, nobody being answered; the next one writes a frame 2
    /// of the same length. Frame 3 must not come back behind it.
    #[test]
    fn what_an_earlier_process_left_is_not_taken_for_ours() {
        let disk = SimulatedDisk::new();
        let mut log = Log::create(disk.create("log").unwrap(), 1).unwrap();
        log.append(&batch(2));
        log.append(&batch(3));
        log.sync().unwrap();
        let mut bytes = disk.contents("log").unwrap();
        bytes[HEADER_BYTES + 20] ^= 1;
        disk.set_contents("log", bytes);
        assert!(replayed(&disk, 1).unwrap().is_empty());
        let mut log = Log::open(disk.open("log").unwrap(), 1, 1, &mut |_| Ok(())).unwrap();
        assert_eq!((log.epoch(), log.sequence()), (2, 1));
        log.append(&batch(9));
        log.sync().unwrap();
        let mut seen = 0;
        let count = &mut |_: &[u8]| {
            seen += 1;
            Ok(())
        };
        assert_eq!(Log::open(disk.open("log").unwrap(), 2, 1, count).unwrap().sequence(), 2);
        assert_eq!(seen, 1);
    }

    #[test]
    fn bodies_are_read_strictly() {
        let mut body = Vec::new();
        encode(&mut body, &batch(3));
        for length in 0..body.len() {
            let changes = decode(&body[..length]);
            assert!(changes.is_none_or(|changes| changes.len() < 2), "{length}");
        }
    }
}
