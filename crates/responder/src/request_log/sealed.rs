//! Files of frames, each compressed and sealed under the file's key, with AES-256-GCM.
//!
//! ```text
//! head:  magic 8 | version u8 = 1 | 0 7 | id 16 | first ms u64
//! frame: magic 4 | kind u8 | 0 3 | body bytes u32 | records u32 | requests u64 | dropped u64 | nonce 12 | body
//! ```
//!
//! A frame is bound to its file, its place and its head. Reading ends at the first one that is not as it was written: the
//! torn end of a file, which the next frame is written over.

use std::sync::Arc;

use ingam_journal::files::{File, Files};
use ingam_protocol::time::{Random, random_array};
use ingam_protocol::{Id, Timestamp};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::error::Error;
use super::keys::Fields;

const FILE_MAGIC: &[u8; 8] = b"INGAMRQL";
const FRAME_MAGIC: &[u8; 4] = b"IRQF";
const VERSION: u8 = 1;
pub(super) const HEAD_BYTES: usize = 40;
pub(super) const FRAME_HEAD_BYTES: usize = 44;
/// At most so many bytes are in a frame before it is compressed.
pub(super) const CONTENTS_BYTES_MAX: usize = 1 << 20;
/// At most so many are in it then: what cannot be compressed grows a little.
const BODY_BYTES_MAX: usize = CONTENTS_BYTES_MAX + (CONTENTS_BYTES_MAX >> 4) + 64;

/// What is in a frame. The numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FrameKind {
    /// A block of a segment's records.
    Records = 1,
    /// What a hold is, as JSON; the last one counts.
    Case = 2,
    /// A segment's name, and a block of its records that fit a hold.
    Held = 3,
    /// A segment's name: all of its records that fit are in the frames before.
    Copied = 4,
}

impl FrameKind {
    const ALL: [Self; 4] = [Self::Records, Self::Case, Self::Held, Self::Copied];
}

/// What a frame tells of its contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) records: u32,
    /// How many requests the records stand for.
    pub(super) requests: u64,
    /// How many more there were in that time.
    pub(super) dropped: u64,
}

/// A frame as it is read.
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    pub(super) counts: Counts,
    pub(super) contents: Zeroizing<Vec<u8>>,
}

/// A file and its key.
pub(super) struct Sealed {
    file: Arc<dyn File>,
    id: Id,
    key: Zeroizing<[u8; 32]>,
    /// Where the next frame begins.
    end: u64,
}

impl Sealed {
    /// Makes the file of this name.
    pub(super) fn create(
        files: &dyn Files,
        name: &str,
        id: Id,
        first: Timestamp,
        key: Zeroizing<[u8; 32]>,
    ) -> Result<Self, Error> {
        let doing = "making a file of the request log";
        let file = files.create(name).map_err(Error::file(doing))?;
        let mut head = FILE_MAGIC.to_vec();
        head.extend_from_slice(&[VERSION, 0, 0, 0, 0, 0, 0, 0]);
        head.extend_from_slice(id.as_bytes());
        head.extend_from_slice(&first.unix_ms().to_be_bytes());
        file.write_at(0, &head).map_err(Error::file(doing))?;
        file.sync().map_err(Error::file(doing))?;
        files.sync_directory().map_err(Error::file(doing))?;
        Ok(Self { file, id, key, end: to_u64(HEAD_BYTES) })
    }

    /// Opens the file of this name to read it, or to go on with it once it was read to its end.
    pub(super) fn open(
        files: &dyn Files,
        name: &str,
        id: Id,
        key: Zeroizing<[u8; 32]>,
    ) -> Result<Self, Error> {
        let doing = "opening a file of the request log";
        let file = files.open(name).map_err(Error::file(doing))?;
        let mut head = [0; HEAD_BYTES];
        file.read_at(0, &mut head).map_err(Error::file(doing))?;
        let mut rest = Fields(&head);
        let (magic, version) = (rest.array::<8>(), rest.array::<8>().map(|[version, ..]| version));
        match (magic, version, rest.array()) {
            (Some(magic), Some(version), Some(named))
                if magic == *FILE_MAGIC && Id::from_bytes(named) == id =>
            {
                if version > VERSION {
                    return Err(Error::Newer("a file of the request log"));
                }
                Ok(Self { file, id, key, end: to_u64(HEAD_BYTES) })
            }
            _ => Err(Error::Damaged("a file of the request log", "it does not begin as it should")),
        }
    }

    /// How many bytes it has, as far as they were read or written.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    /// Cuts off what is behind this place, where the next frame goes then.
    pub(super) fn cut(&mut self, end: u64) -> Result<(), Error> {
        self.file.set_length(end).map_err(Error::file("cutting a file of the request log"))?;
        self.end = end;
        Ok(())
    }

    /// Appends a frame; it is on disk when this returns. After an error, the next one takes its place.
    pub(super) fn append(
        &mut self,
        kind: FrameKind,
        counts: Counts,
        contents: &[u8],
        random: &dyn Random,
    ) -> Result<(), Error> {
        let mut body = Zeroizing::new(lz4_flex::block::compress_prepend_size(contents));
        // Never the same one twice, not even in the place of a frame that could not be written.
        let nonce: [u8; NONCE_LEN] = random_array(random);
        let mut head = FRAME_MAGIC.to_vec();
        head.extend_from_slice(&[kind as u8, 0, 0, 0]);
        let body_bytes = body.len() + AES_256_GCM.tag_len();
        head.extend_from_slice(&u32::try_from(body_bytes).unwrap_or(u32::MAX).to_be_bytes());
        head.extend_from_slice(&counts.records.to_be_bytes());
        head.extend_from_slice(&counts.requests.to_be_bytes());
        head.extend_from_slice(&counts.dropped.to_be_bytes());
        head.extend_from_slice(&nonce);
        let bound = self.bound(&head);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.cipher()?.seal_in_place_append_tag(nonce, Aad::from(bound), &mut *body);
        sealed.map_err(|_| Error::Damaged("a frame of the request log", "it could not be sealed"))?;
        head.extend_from_slice(&body);
        let doing = "writing a file of the request log";
        self.file.write_at(self.end, &head).map_err(Error::file(doing))?;
        self.file.sync().map_err(Error::file(doing))?;
        self.end += to_u64(head.len());
        Ok(())
    }

    /// The next frame of a file that was opened; `None` at its end, or where something is not as it was written.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Error> {
        let doing = "reading a file of the request log";
        let length = self.file.length().map_err(Error::file(doing))?;
        let room = length.saturating_sub(self.end);
        if room < to_u64(FRAME_HEAD_BYTES) {
            return Ok(None);
        }
        let mut head = [0; FRAME_HEAD_BYTES];
        self.file.read_at(self.end, &mut head).map_err(Error::file(doing))?;
        let Some((kind, body_bytes, counts, nonce)) = read_head(&head) else { return Ok(None) };
        if to_u64(FRAME_HEAD_BYTES + body_bytes) > room || body_bytes > BODY_BYTES_MAX {
            return Ok(None);
        }
        let mut body = Zeroizing::new(vec![0; body_bytes]);
        self.file.read_at(self.end + to_u64(FRAME_HEAD_BYTES), &mut body).map_err(Error::file(doing))?;
        let bound = self.bound(&head);
        let opened =
            self.cipher()?.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut body);
        let Ok(compressed) = opened else { return Ok(None) };
        let Some(contents) = decompress(compressed) else { return Ok(None) };
        self.end += to_u64(FRAME_HEAD_BYTES + body_bytes);
        Ok(Some(Frame { kind, counts, contents }))
    }

    fn cipher(&self) -> Result<LessSafeKey, Error> {
        let key = UnboundKey::new(&AES_256_GCM, self.key.as_slice());
        let bad = |_| Error::Damaged("a key of the request log", "it has the wrong length");
        key.map(LessSafeKey::new).map_err(bad)
    }

    fn bound(&self, head: &[u8]) -> Vec<u8> {
        [self.id.as_bytes().as_slice(), &self.end.to_be_bytes(), head].concat()
    }
}

fn read_head(head: &[u8; FRAME_HEAD_BYTES]) -> Option<(FrameKind, usize, Counts, [u8; NONCE_LEN])> {
    let mut rest = Fields(head);
    let magic: [u8; 4] = rest.array()?;
    let [kind, ..] = rest.array::<4>()?;
    let kind = FrameKind::ALL.into_iter().find(|known| *known as u8 == kind)?;
    let body_bytes = usize::try_from(u32::from_be_bytes(rest.array()?)).ok()?;
    let records = u32::from_be_bytes(rest.array()?);
    let counts = Counts { records, requests: rest.number()?, dropped: rest.number()? };
    (magic == *FRAME_MAGIC).then_some((kind, body_bytes, counts, rest.array()?))
}

fn decompress(compressed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let size = u32::from_le_bytes(compressed.get(..4)?.try_into().ok()?);
    if usize::try_from(size).ok()? > CONTENTS_BYTES_MAX {
        return None;
    }
    lz4_flex::block::decompress_size_prepended(compressed).ok().map(Zeroizing::new)
}

pub(super) fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use ingam_journal::simulated::SimulatedDisk;
    use ingam_protocol::time::SeededRandom;

    use super::*;

    const NAME: &str = "file";

    fn id() -> Id {
        Id::from_bytes([3; 16])
    }

    fn key() -> Zeroizing<[u8; 32]> {
        Zeroizing::new([7; 32])
    }

    fn contents(number: u8) -> Vec<u8> {
        vec![number; 100 + usize::from(number)]
    }

    fn written(disk: &SimulatedDisk, frames: u8) -> Sealed {
        let random = SeededRandom::new(1);
        let mut sealed = Sealed::create(disk, NAME, id(), Timestamp::from_unix_s(1), key()).unwrap();
        for number in 0..frames {
            let counts = Counts { records: number.into(), requests: 2, dropped: 3 };
            sealed.append(FrameKind::Records, counts, &contents(number), &random).unwrap();
        }
        sealed
    }

    fn read(disk: &SimulatedDisk) -> Vec<u32> {
        let mut sealed = Sealed::open(disk, NAME, id(), key()).unwrap();
        let mut found = Vec::new();
        while let Some(frame) = sealed.next().unwrap() {
            let number = u8::try_from(frame.counts.records).unwrap();
            assert_eq!(*frame.contents, contents(number));
            found.push(frame.counts.records);
        }
        found
    }

    #[test]
    fn frames_are_read_as_they_were_written() {
        let disk = SimulatedDisk::new();
        written(&disk, 3);
        assert_eq!(read(&disk), [0, 1, 2]);
        let mut other = Sealed::open(&disk, NAME, id(), Zeroizing::new([8; 32])).unwrap();
        assert!(other.next().unwrap().is_none(), "nothing is read with another key");
        assert!(Sealed::open(&disk, NAME, Id::from_bytes([4; 16]), key()).is_err(), "nor as another file");
    }

    #[test]
    fn a_torn_end_is_cut_wherever_it_is_torn() {
        let disk = SimulatedDisk::new();
        let two = usize::try_from(written(&disk, 2).bytes()).unwrap();
        let disk = SimulatedDisk::new();
        written(&disk, 3);
        let whole = disk.contents(NAME).unwrap();
        for length in two..whole.len() {
            disk.set_contents(NAME, whole[..length].to_vec());
            assert_eq!(read(&disk), [0, 1], "{length}");
        }
        for at in two..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 1;
            disk.set_contents(NAME, bent);
            assert_eq!(read(&disk), [0, 1], "{at}");
        }
    }

    #[test]
    fn a_frame_for_which_there_was_no_room_is_written_later() {
        let disk = SimulatedDisk::new();
        let random = SeededRandom::new(2);
        let mut sealed = written(&disk, 1);
        disk.set_room(Some(sealed.bytes() + 20));
        let append = |sealed: &mut Sealed| {
            let counts = Counts { records: 1, ..Counts::default() };
            sealed.append(FrameKind::Records, counts, &contents(1), &random)
        };
        assert_eq!(append(&mut sealed).unwrap_err().code(), "request_log_disk_full");
        assert_eq!(read(&disk), [0]);
        disk.set_room(None);
        append(&mut sealed).unwrap();
        assert_eq!(read(&disk), [0, 1]);
    }
}
