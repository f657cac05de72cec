//! Entries of one issuer and one hash algorithm, sorted by serial number in one piece of memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ingam_protocol::ocsp::{
    CertIdForm, CertStatus, ECDSA_SHA256, HashAlgorithm, Response, ResponseData, SingleResponse,
    p256_numbers, p256_signature, successful,
};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Serial, Timestamp};

use super::entry::{ENTRY_BYTES, Entry, SERIAL_BYTES, Told, sortable};
use super::file;

/// At most so many signers can be told apart by an entry.
pub(super) const SIGNERS_MAX: usize = 256;
/// How often a guess by the serial number's value narrows the search, before it is halved instead: serial numbers are
/// random, so that three do mostly; somebody else's may be in a row.
const GUESSES_MAX: usize = 8;

/// Whose answers they are, and how their CertIDs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) issuer: IssuerName,
    pub(crate) hash: HashAlgorithm,
    pub(crate) form: CertIdForm,
}

/// Who signed, and how long such an answer is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnswerSigner {
    pub(crate) responder_key_hash: [u8; 20],
    /// DER of the certificate that comes with each answer: a delegate's.
    pub(crate) certificate: Option<Vec<u8>>,
    /// The last second of the certificate of its key.
    pub(crate) not_after: Timestamp,
    pub(crate) validity: Duration,
}

impl AnswerSigner {
    /// Until when an answer is valid.
    pub(crate) fn next_update(&self, this_update: Timestamp) -> Timestamp {
        this_update.plus(self.validity).min(self.not_after.whole_second())
    }
}

/// An answer put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assembled {
    pub(crate) body: Vec<u8>,
    pub(crate) status: CertStatus,
    pub(crate) this_update: Timestamp,
    pub(crate) next_update: Timestamp,
}

/// A serial number with zeros in front, whose order is that of its bytes.
pub(super) type SortableSerial = [u8; SERIAL_BYTES];

/// Entries in the order of their serial numbers.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) owner: Arc<Owner>,
    pub(crate) signers: Vec<AnswerSigner>,
    /// The whole file: it is given to other responders as it lies here.
    file: Bytes,
    /// The entries in it.
    records: Bytes,
    /// The first and the last serial number, here so that most of what is not in the table is known without a look into it.
    bounds: Option<(SortableSerial, SortableSerial)>,
}

impl Table {
    /// From its parts, as the file has them, of which the entries are all from `start` on. `None` if they are no whole number of
    /// entries in rising order, each by one of the signers.
    pub(super) fn new(
        owner: Arc<Owner>,
        signers: Vec<AnswerSigner>,
        file: Bytes,
        start: usize,
    ) -> Option<Self> {
        if start > file.len() {
            return None;
        }
        let records = file.slice(start..);
        if signers.len() > SIGNERS_MAX || !records.len().is_multiple_of(ENTRY_BYTES) {
            return None;
        }
        let mut before: Option<&[u8]> = None;
        for record in records.chunks_exact(ENTRY_BYTES) {
            let serial = record.get(..SERIAL_BYTES)?;
            let entry = Entry::decode(record)?;
            if before.is_some_and(|before| before >= serial) || usize::from(entry.signer) >= signers.len() {
                return None;
            }
            before = Some(serial);
        }
        Some(Self { owner, signers, bounds: bounds(&records), file, records })
    }

    /// The longest validity of an answer.
    pub(crate) fn validity(&self) -> Option<Duration> {
        self.signers.iter().map(|signer| signer.validity).max()
    }

    /// The whole file.
    pub(crate) fn file(&self) -> &Bytes {
        &self.file
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len() / ENTRY_BYTES
    }

    /// All entries, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        self.records.chunks_exact(ENTRY_BYTES).filter_map(Entry::decode)
    }

    /// The first serial number, as entries are sorted by it.
    pub(super) fn first(&self) -> Option<&SortableSerial> {
        self.bounds.as_ref().map(|(first, _)| first)
    }

    /// Whether a serial number is its first one, or behind that.
    pub(crate) fn begins_at_or_before(&self, serial: &Serial) -> bool {
        self.first().is_some_and(|first| *first <= sortable(serial))
    }

    /// Whether both have the same entries by the same signers.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.signers == other.signers && self.records == other.records
    }

    fn serial_at(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_mul(ENTRY_BYTES)?;
        self.records.get(start..start + SERIAL_BYTES)
    }

    /// The entry of a serial number.
    pub(crate) fn find(&self, serial: &Serial) -> Option<Entry> {
        let wanted = sortable(serial);
        let index = self.index_of(&wanted)?;
        let start = index * ENTRY_BYTES;
        Entry::decode(self.records.get(start..start + ENTRY_BYTES)?)
    }

    /// Guesses where the serial number must be by its value, as in a telephone book; then by halves.
    fn index_of(&self, wanted: &[u8; SERIAL_BYTES]) -> Option<usize> {
        // Both ends are possible places.
        let (mut low, mut high) = (0, self.len().checked_sub(1)?);
        // What is known to lie in front of `low` and behind `high`, or there: a look at each guess and nowhere else, as each may be
        // a page of memory that nobody has looked at for long.
        let (first, last) = self.bounds.as_ref()?;
        let (mut below, mut above) = (first.as_slice(), last.as_slice());
        for _ in 0..GUESSES_MAX {
            if low > high || wanted.as_slice() < below || wanted.as_slice() > above {
                return None;
            }
            let guess = low + guess(wanted, below, above, high - low)?;
            let found = self.serial_at(guess)?;
            match found.cmp(wanted.as_slice()) {
                std::cmp::Ordering::Equal => return Some(guess),
                std::cmp::Ordering::Less => (low, below) = (guess + 1, found),
                std::cmp::Ordering::Greater => (high, above) = (guess.checked_sub(1)?, found),
            }
        }
        while low <= high {
            let middle = low + (high - low) / 2;
            match self.serial_at(middle)?.cmp(wanted.as_slice()) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle.checked_sub(1)?,
            }
        }
        None
    }

    /// The answer of an entry of this table; `None` for one that was withdrawn.
    pub(crate) fn assemble(&self, entry: &Entry) -> Option<Assembled> {
        let Told::Status(status) = entry.told else { return None };
        let signer = self.signers.get(usize::from(entry.signer))?;
        let next_update = signer.next_update(entry.this_update);
        let data = ResponseData {
            responder_key_hash: signer.responder_key_hash,
            produced_at: entry.this_update,
            responses: vec![SingleResponse {
                cert_id: self.owner.form.cert_id(&entry.serial),
                status,
                this_update: entry.this_update,
                next_update,
            }],
            nonce: None,
        };
        let signature = p256_signature(&entry.signature);
        let body = successful(&data.encode(), ECDSA_SHA256, &signature, signer.certificate.as_deref());
        Some(Assembled { body, status, this_update: entry.this_update, next_update })
    }
}

/// The first and the last serial number of entries, if there are any.
fn bounds(records: &[u8]) -> Option<(SortableSerial, SortableSerial)> {
    let first = records.get(..SERIAL_BYTES)?;
    let last = records.get(records.len().checked_sub(ENTRY_BYTES)?..)?.get(..SERIAL_BYTES)?;
    Some((first.try_into().ok()?, last.try_into().ok()?))
}

/// How far behind the first of `span` places the wanted serial number is, if they are spread evenly.
fn guess(wanted: &[u8], first: &[u8], last: &[u8], span: usize) -> Option<usize> {
    let same = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let value = |serial: &[u8]| {
        let digits = serial.iter().skip(same).chain(&[0; 8]).take(8);
        digits.fold(0_u64, |value, digit| value << 8 | u64::from(*digit))
    };
    let (low, high) = (value(first), value(last));
    let range = u128::from(high.checked_sub(low)?);
    let ahead = u128::from(value(wanted).saturating_sub(low));
    let place = (ahead * u128::try_from(span).ok()?).checked_div(range).unwrap_or(0);
    usize::try_from(place).ok().map(|place| place.min(span))
}

/// Makes a table, entry by entry.
pub(crate) struct TableBuilder {
    owner: Arc<Owner>,
    signers: Vec<AnswerSigner>,
    records: Vec<u8>,
}

impl TableBuilder {
    pub(crate) fn new(owner: &Arc<Owner>) -> Self {
        Self { owner: Arc::clone(owner), signers: Vec::new(), records: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len() / ENTRY_BYTES
    }

    /// Puts an entry behind those that are there, by a signer that its own table has. False, and nothing is put there, if it does not
    /// belong behind them, or if there are too many signers.
    pub(crate) fn push(&mut self, entry: &Entry, signer: &AnswerSigner) -> bool {
        let known = self.signers.iter().position(|known| known == signer);
        let index = known.unwrap_or(self.signers.len());
        let Ok(number) = u8::try_from(index) else { return false };
        let Some(record) = (Entry { signer: number, ..entry.clone() }).encode() else { return false };
        let behind = self.records.len().checked_sub(ENTRY_BYTES).and_then(|last| self.records.get(last..));
        let is_behind = behind.is_none_or(|last| last.get(..SERIAL_BYTES) < record.get(..SERIAL_BYTES));
        if !is_behind {
            return false;
        }
        if known.is_none() {
            self.signers.push(signer.clone());
        }
        self.records.extend_from_slice(&record);
        true
    }

    pub(crate) fn finish(self) -> Table {
        let Self { owner, signers, records } = self;
        let head = file::head(&owner, &signers);
        let file = Bytes::from([head.as_slice(), &records].concat());
        Table { owner, signers, bounds: bounds(&records), records: file.slice(head.len()..), file }
    }
}

/// An entry for an answer that was just signed about one certificate, with its signer. `None` if the answer is not the one that would be
/// put together from them, as one with another algorithm's signature is not.
pub(crate) fn entry_of(
    owner: &Arc<Owner>,
    serial: &Serial,
    status: CertStatus,
    this_update: Timestamp,
    signed: SignedBy,
    body: &[u8],
) -> Option<(Entry, AnswerSigner)> {
    let Ok(Response::Answer(read)) = Response::read(body) else { return None };
    let signer = AnswerSigner {
        responder_key_hash: read.responder_key_hash.try_into().ok()?,
        certificate: read.certificate.map(<[u8]>::to_vec),
        not_after: signed.not_after,
        validity: signed.validity,
    };
    let signature = p256_numbers(read.signature)?;
    let entry =
        Entry { serial: serial.clone(), told: Told::Status(status), this_update, signer: 0, signature };
    let mut alone = TableBuilder::new(owner);
    let is_same = alone.push(&entry, &signer)
        && alone.finish().assemble(&entry).is_some_and(|assembled| assembled.body == body);
    is_same.then_some((entry, signer))
}

/// What an answer's dates follow from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedBy {
    /// The last second of the certificate of the key that signed.
    pub(crate) not_after: Timestamp,
    pub(crate) validity: Duration,
}

/// Both tables in one: where both have a serial number, the newer one's entry. Those whose time is over stay, too: a table below may have
/// another status for longer, which must not come up again. `None` if they have too many signers.
pub(crate) fn merged(newer: &Table, older: &Table) -> Option<Table> {
    let mut builder = TableBuilder::new(&newer.owner);
    let (mut new, mut old) = (newer.iter().peekable(), older.iter().peekable());
    loop {
        let takes_new = match (new.peek(), old.peek()) {
            (None, None) => break,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(a), Some(b)) => {
                let (a, b) = (sortable(&a.serial), sortable(&b.serial));
                if a == b {
                    old.next();
                }
                a <= b
            }
        };
        let (table, entry) = if takes_new { (newer, new.next()) } else { (older, old.next()) };
        let Some(entry) = entry else { break };
        let signer = table.signers.get(usize::from(entry.signer))?;
        if !builder.push(&entry, signer) {
            return None;
        }
    }
    Some(builder.finish())
}
