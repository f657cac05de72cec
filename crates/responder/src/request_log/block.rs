//! Many records as one run of bytes, and back.
//!
//! ```text
//! version u8 = 1 | issuers u8 | for each: length u8, name | then for each record:
//! at ms u64 | weight u32 | issuer u8 (255: none) | outcome u8 | family u8 | prefix u8 | address length u8, address |
//! serial length u8, serial | agent length u8, agent
//! ```

use std::fmt;
use std::net::IpAddr;

use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Serial, Timestamp};
use ipnet::IpNet;

use super::family::Family;
use super::keys::Fields;
use super::noted::{Entry, Outcome};

const VERSION: u8 = 1;
const NO_ISSUER: u8 = u8::MAX;

/// A record as it is read back. Its `Debug` hides whom it is about.
#[derive(Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// When.
    pub at: Timestamp,
    /// For how many requests it stands.
    pub weight: u32,
    /// Which issuer was meant; `None` if none of this CA's was.
    pub issuer: Option<IssuerName>,
    /// The serial number that was asked for, or the first of several.
    pub serial: Option<Serial>,
    /// What was answered.
    pub outcome: Outcome,
    /// The kind of client.
    pub family: Family,
    /// Who asked: the address, as the network of all of its bits, or the network that was left of it.
    pub origin: IpNet,
    /// What the client calls itself, its beginning; empty if it says nothing or this is not kept.
    pub user_agent: Vec<u8>,
}

impl fmt::Debug for LoggedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedRequest")
            .field("at", &self.at)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// Records that are being gathered.
pub(super) struct Block {
    bytes: Vec<u8>,
    head: usize,
    pub(super) records: u32,
    /// How many requests the records stand for.
    pub(super) requests: u64,
    /// The time of the oldest record.
    pub(super) first: Option<Timestamp>,
}

impl Block {
    /// An empty one; records name issuers by their place in this list.
    pub(super) fn new(issuers: &[IssuerName]) -> Self {
        let mut bytes = vec![VERSION, u8::try_from(issuers.len()).unwrap_or(NO_ISSUER - 1)];
        for issuer in issuers.iter().take(usize::from(NO_ISSUER - 1)) {
            put(&mut bytes, issuer.as_str().as_bytes());
        }
        Self { head: bytes.len(), bytes, records: 0, requests: 0, first: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.truncate(self.head);
        (self.records, self.requests, self.first) = (0, 0, None);
    }

    pub(super) fn push(&mut self, entry: &Entry) {
        let issuer = entry.issuer.and_then(|issuer| u8::try_from(issuer).ok()).unwrap_or(NO_ISSUER);
        let facts = (entry.at, entry.weight, issuer, entry.outcome, entry.family);
        self.add(
            facts,
            (entry.origin.address, entry.origin.prefix),
            entry.serial.as_bytes(),
            entry.agent.as_bytes(),
        );
    }

    /// Puts in what was read from another block with the same issuers.
    pub(super) fn push_logged(&mut self, logged: &LoggedRequest, issuers: &[IssuerName]) {
        let place =
            logged.issuer.as_ref().and_then(|issuer| issuers.iter().position(|known| known == issuer));
        let issuer = place.and_then(|place| u8::try_from(place).ok()).unwrap_or(NO_ISSUER);
        let facts = (logged.at, logged.weight, issuer, logged.outcome, logged.family);
        let serial = logged.serial.as_ref().map_or(&[][..], Serial::as_bytes);
        self.add(facts, (logged.origin.addr(), logged.origin.prefix_len()), serial, &logged.user_agent);
    }

    fn add(
        &mut self,
        (at, weight, issuer, outcome, family): (Timestamp, u32, u8, Outcome, Family),
        (address, prefix): (IpAddr, u8),
        serial: &[u8],
        agent: &[u8],
    ) {
        self.bytes.extend_from_slice(&at.unix_ms().to_be_bytes());
        self.bytes.extend_from_slice(&weight.to_be_bytes());
        self.bytes.extend_from_slice(&[issuer, outcome as u8, family as u8, prefix]);
        match address {
            IpAddr::V4(address) => put(&mut self.bytes, &address.octets()),
            IpAddr::V6(address) => put(&mut self.bytes, &address.octets()),
        }
        put(&mut self.bytes, serial);
        put(&mut self.bytes, agent);
        self.records += 1;
        self.requests += u64::from(weight);
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
    }
}

/// A length and so many bytes; what is longer than a byte can say is cut.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    out.push(length);
    out.extend(bytes.iter().take(usize::from(length)));
}

/// The records of a block, one after another; `None` behind the last one, or where it is not as it was written.
pub(super) struct Records<'a> {
    issuers: Vec<IssuerName>,
    rest: Fields<'a>,
}

impl<'a> Records<'a> {
    pub(super) fn new(block: &'a [u8]) -> Self {
        let mut rest = Fields(block);
        let issuers = read_issuers(&mut rest);
        if issuers.is_none() {
            rest = Fields(&[]);
        }
        Self { issuers: issuers.unwrap_or_default(), rest }
    }

    /// The issuers that the records name.
    pub(super) fn issuers(&self) -> &[IssuerName] {
        &self.issuers
    }

    fn read(&mut self) -> Option<LoggedRequest> {
        let rest = &mut self.rest;
        let at = rest.time()?;
        let weight = u32::from_be_bytes(rest.array()?);
        let [issuer, outcome, family, prefix] = rest.array()?;
        let address: IpAddr = match take(rest)? {
            v4 if v4.len() == 4 => <[u8; 4]>::try_from(v4).ok()?.into(),
            v6 => <[u8; 16]>::try_from(v6).ok()?.into(),
        };
        let serial = Serial::from_be_bytes(take(rest)?);
        let user_agent = take(rest)?.to_vec();
        Some(LoggedRequest {
            at,
            weight,
            issuer: self.issuers.get(usize::from(issuer)).cloned(),
            serial,
            outcome: Outcome::from_number(outcome)?,
            family: Family::from_number(family),
            origin: IpNet::new(address, prefix).ok()?,
            user_agent,
        })
    }
}

fn read_issuers(rest: &mut Fields<'_>) -> Option<Vec<IssuerName>> {
    let [version, count] = rest.array()?;
    let mut name = || IssuerName::try_from(std::str::from_utf8(take(rest)?).ok()?.to_owned()).ok();
    (version == VERSION).then(|| (0..count).map(|_| name()).collect())?
}

fn take<'a>(rest: &mut Fields<'a>) -> Option<&'a [u8]> {
    let [length] = rest.array()?;
    rest.take(usize::from(length))
}

impl Iterator for Records<'_> {
    type Item = LoggedRequest;

    fn next(&mut self) -> Option<LoggedRequest> {
        let read = self.read();
        if read.is_none() {
            self.rest = Fields(&[]);
        }
        read
    }
}
