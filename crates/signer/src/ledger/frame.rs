//! A frame of the ledger: 128 bytes, so that four fill a sector and none lies across two.
//!
//! ```text
//!   0   2  marker "IL"
//!   2   1  format version = 1
//!   3   1  act: 1 prepared, 2 used, 3 void: what was written there was never durable
//!   4   8  when, milliseconds since 1970
//!  12   1  kind: 1 precertificate, 2 certificate
//!  13   1  length of the serial number
//!  14  20  serial number, big-endian, zeros behind it
//!  34  32  SHA-256 of the issuer's public key
//!  66  32  SHA-256 of the TBSCertificate
//!  98   8  how many frames of this file were durable when this one was made
//! 106  18  zeros
//! 124   4  CRC-32 of bytes 0 to 123
//! ```
//!
//! All numbers are big-endian. A place of zeros has no frame yet.

use ingam_protocol::{Serial, Timestamp};
use ring::digest::{SHA256, digest};

use super::{Kind, PreparedId, Subject};

pub(super) const FRAME_BYTES: usize = 128;

const MARKER: &[u8; 2] = b"IL";
const VERSION: u8 = 1;

/// What happened to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Prepared,
    Used,
    Void,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) act: Act,
    pub(super) at: Timestamp,
    pub(super) kind: Kind,
    pub(super) serial: Serial,
    issuer: [u8; 32],
    tbs: [u8; 32],
    /// Filled in when it is written.
    pub(super) synced: u64,
}

/// What a place has instead of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// Neither zeros nor a frame.
    Torn,
    /// A frame of a version that this one does not know.
    Newer,
}

impl Frame {
    pub(super) fn new(act: Act, at: Timestamp, subject: Subject<'_>) -> Self {
        Self {
            act,
            at,
            kind: subject.kind,
            serial: subject.serial.clone(),
            issuer: *subject.issuer,
            tbs: digest_of(subject.tbs),
            synced: 0,
        }
    }

    /// One of a serial number's two signatures, under whose name there is one entry.
    pub(super) fn key(&self) -> [u8; 16] {
        half(&digest_of(&[&self.issuer[..], &[kind_number(self.kind)], self.serial.as_bytes()].concat()))
    }

    /// Tells the bytes from any others.
    pub(super) fn digest_half(&self) -> [u8; 16] {
        half(&self.tbs)
    }

    pub(super) fn id(&self) -> PreparedId {
        PreparedId(half(&digest_of(&[&self.key()[..], &self.tbs].concat())))
    }

    pub(super) fn encode(&self, synced: u64) -> [u8; FRAME_BYTES] {
        let serial = self.serial.as_bytes();
        let mut bytes = Vec::with_capacity(FRAME_BYTES);
        bytes.extend_from_slice(MARKER);
        bytes.extend_from_slice(&[VERSION, act_number(self.act)]);
        bytes.extend_from_slice(&self.at.unix_ms().to_be_bytes());
        bytes.push(kind_number(self.kind));
        bytes.push(serial.len().to_le_bytes()[0]);
        bytes.extend_from_slice(serial);
        bytes.resize(34, 0);
        bytes.extend_from_slice(&self.issuer);
        bytes.extend_from_slice(&self.tbs);
        bytes.extend_from_slice(&synced.to_be_bytes());
        bytes.resize(124, 0);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        let mut frame = [0; FRAME_BYTES];
        frame.copy_from_slice(&bytes);
        frame
    }

    /// Stands where a frame was torn, so that the place is told from one that has lost its frame.
    pub(super) fn void() -> [u8; FRAME_BYTES] {
        let serial = Serial::from_be_bytes(&[1]);
        let (nobody, kind) = (&[0; 32], Kind::Certificate);
        let void = serial.map(|serial| {
            let subject = Subject { issuer: nobody, kind, serial: &serial, tbs: &[] };
            Self::new(Act::Void, Timestamp::from_unix_s(0), subject).encode(0)
        });
        void.unwrap_or([0; FRAME_BYTES])
    }

    /// The frame at a place; none if nothing was written there.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, Damage> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let mut rest = bytes;
        let mut body: &[u8] = &take::<{ FRAME_BYTES - 4 }>(&mut rest)?;
        if crc32fast::hash(body) != u32::from_be_bytes(take(&mut rest)?) || !rest.is_empty() {
            return Err(Damage::Torn);
        }
        let [m1, m2, version, act] = take(&mut body)?;
        if [m1, m2] != *MARKER {
            return Err(Damage::Torn);
        }
        if version != VERSION {
            return Err(Damage::Newer);
        }
        let at = Timestamp::from_unix_ms(u64::from_be_bytes(take(&mut body)?));
        let [kind, length] = take(&mut body)?;
        let serial = take::<20>(&mut body)?;
        let serial = serial.get(..usize::from(length)).and_then(Serial::from_be_bytes).ok_or(Damage::Torn)?;
        Ok(Some(Self {
            act: match act {
                1 => Act::Prepared,
                2 => Act::Used,
                3 => Act::Void,
                _ => return Err(Damage::Torn),
            },
            at,
            kind: match kind {
                1 => Kind::Precertificate,
                2 => Kind::Certificate,
                _ => return Err(Damage::Torn),
            },
            serial,
            issuer: take(&mut body)?,
            tbs: take(&mut body)?,
            synced: u64::from_be_bytes(take(&mut body)?),
        }))
    }
}

/// The next bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damage> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(Damage::Torn)?;
    *rest = tail;
    Ok(*head)
}

fn act_number(act: Act) -> u8 {
    match act {
        Act::Prepared => 1,
        Act::Used => 2,
        Act::Void => 3,
    }
}

fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Precertificate => 1,
        Kind::Certificate => 2,
    }
}

pub(super) fn digest_of(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

fn half(digest: &[u8; 32]) -> [u8; 16] {
    digest.first_chunk().copied().unwrap_or_default()
}
