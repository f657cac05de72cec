//! Holds: requests that are kept for a case beyond the end of their segments, under a key of their own.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ingam_protocol::time::Random;
use ingam_protocol::{Id, Serial, Timestamp};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::block::{Block, LoggedRequest, Records};
use super::error::Error;
use super::sealed::{Counts, Frame, FrameKind, Sealed};

/// At most so many serial numbers, and as many networks, are what a hold is about.
pub const SELECTED_MAX: usize = 100;
/// At most so many holds are open.
pub(super) const HOLDS_MAX: usize = 100;

/// Which requests a case needs: those that fit every part that is given.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// For one of these certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serials: Vec<Serial>,
    /// From one of these networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "networks")]
    pub networks: Vec<IpNet>,
    /// At this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// An address, or a network without bits behind its prefix.
pub fn network(text: &str) -> Option<IpNet> {
    let address = text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    address.or_else(|| text.parse().ok()).filter(|network: &IpNet| network.trunc() == *network)
}

/// A `Debug` without the networks, which can be of one person.
impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection").field("serials", &self.serials).finish_non_exhaustive()
    }
}

impl Selection {
    /// Refuses what selects everything, too much, or nothing.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refused = |why: &str| Err(Error::Refused(why.to_owned()));
        if self.serials.is_empty() && self.networks.is_empty() && self.from.is_none() && self.until.is_none()
        {
            return refused(
                "a hold of everything is none: give serial numbers, networks, or a range of time",
            );
        }
        if self.serials.len() > SELECTED_MAX || self.networks.len() > SELECTED_MAX {
            return refused("a hold is about at most 100 serial numbers and 100 networks: open several");
        }
        if matches!((self.from, self.until), (Some(from), Some(until)) if from >= until) {
            return refused("the range of time ends before it begins: give a later until");
        }
        Ok(())
    }

    pub(super) fn fits(&self, request: &LoggedRequest) -> bool {
        let serial = || request.serial.as_ref().is_some_and(|serial| self.serials.contains(serial));
        // A network that is left of an address fits as soon as it can be meant.
        let meets = |network: &IpNet| network.contains(&request.origin) || request.origin.contains(network);
        (self.serials.is_empty() || serial())
            && (self.networks.is_empty() || self.networks.iter().any(meets))
            && self.from.is_none_or(|from| request.at >= from)
            && self.until.is_none_or(|until| request.at < until)
    }
}

/// Networks as text.
mod networks {
    use ipnet::IpNet;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
        networks.iter().map(ToString::to_string).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

/// A hold that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its name.
    pub id: Id,
    /// What is held.
    pub selection: Selection,
    /// Who answers for it.
    pub owner: String,
    /// What it is for, and why it was renewed last.
    pub reason: String,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it ends, unless it is renewed.
    pub ends: Timestamp,
    /// How often it was renewed.
    #[serde(default)]
    pub renewals: u32,
}

/// A hold with its file.
pub(super) struct OpenHold {
    pub(super) hold: Hold,
    pub(super) sealed: Sealed,
    /// The segments of which all that fits is in the file.
    pub(super) copied: BTreeSet<Id>,
}

impl OpenHold {
    /// Reads a hold's file to its end, and cuts off what a copy that broke off has left. `None` if there is no hold in it.
    pub(super) fn load(mut sealed: Sealed) -> Result<Option<Self>, Error> {
        let (mut hold, mut copied) = (None, BTreeSet::new());
        let mut end = sealed.bytes();
        while let Some(frame) = sealed.next()? {
            match frame.kind {
                FrameKind::Case => hold = serde_json::from_slice(&frame.contents).ok().or(hold),
                FrameKind::Copied => drop(copied.insert(segment_of(&frame)?)),
                FrameKind::Held | FrameKind::Records => continue,
            }
            end = sealed.bytes();
        }
        sealed.cut(end)?;
        Ok(hold.map(|hold| Self { hold, sealed, copied }))
    }

    /// Writes down what the hold is now.
    pub(super) fn write(&mut self, hold: Hold, random: &dyn Random) -> Result<(), Error> {
        let json = serde_json::to_vec(&hold).unwrap_or_default();
        self.sealed.append(FrameKind::Case, Counts::default(), &json, random)?;
        self.hold = hold;
        Ok(())
    }

    /// Copies what fits out of a segment; once is enough.
    pub(super) fn copy(&mut self, id: Id, mut segment: Sealed, random: &dyn Random) -> Result<(), Error> {
        if self.copied.contains(&id) {
            return Ok(());
        }
        let end = self.sealed.bytes();
        let copied = self.copy_frames(id, &mut segment, random);
        if copied.is_err() {
            // What is there of it must not be taken for the whole.
            self.sealed.cut(end)?;
        }
        copied
    }

    fn copy_frames(&mut self, id: Id, segment: &mut Sealed, random: &dyn Random) -> Result<(), Error> {
        while let Some(frame) = segment.next()? {
            let records = Records::new(&frame.contents);
            let issuers = records.issuers().to_vec();
            let mut block = Block::new(&issuers);
            for request in records.filter(|request| self.hold.selection.fits(request)) {
                block.push_logged(&request, &issuers);
            }
            if !block.is_empty() {
                let counts = Counts { records: block.records, requests: block.requests, dropped: 0 };
                let contents = [id.as_bytes().as_slice(), block.bytes()].concat();
                self.sealed.append(FrameKind::Held, counts, &contents, random)?;
            }
        }
        self.sealed.append(FrameKind::Copied, Counts::default(), id.as_bytes(), random)?;
        self.copied.insert(id);
        Ok(())
    }
}

fn segment_of(frame: &Frame) -> Result<Id, Error> {
    let bytes = frame.contents.as_slice().try_into();
    bytes.map(Id::from_bytes).map_err(|_| Error::Damaged("a hold", "a mark in it has the wrong length"))
}

/// The files that have what a hold is about: its own, then the segments that are not in it yet, oldest first.
pub(super) struct HoldFiles {
    pub(super) selection: Selection,
    pub(super) held: Sealed,
    pub(super) segments: Vec<Sealed>,
}

/// Some of a hold's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRequests {
    /// In the order of their segments.
    pub requests: Vec<LoggedRequest>,
    /// How many to pass over to get those behind; `None` at the end.
    pub next: Option<u64>,
}

impl HoldFiles {
    /// The requests behind the first `after`, at most `limit`.
    pub(super) fn read(mut self, after: u64, limit: usize) -> Result<HeldRequests, Error> {
        let mut page = HeldRequests { requests: Vec::new(), next: None };
        let mut passed = 0;
        let mut take = |records: Records<'_>, selection: &Selection| {
            for request in records.filter(|request| selection.fits(request)) {
                passed += 1;
                if passed <= after {
                    continue;
                }
                if page.requests.len() >= limit {
                    page.next = Some(passed - 1);
                    return true;
                }
                page.requests.push(request);
            }
            false
        };
        while let Some(frame) = self.held.next()? {
            let block = frame.contents.get(16..).filter(|_| frame.kind == FrameKind::Held);
            if block.is_some_and(|block| take(Records::new(block), &self.selection)) {
                return Ok(page);
            }
        }
        for segment in &mut self.segments {
            while let Some(frame) = segment.next()? {
                if take(Records::new(&frame.contents), &self.selection) {
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }
}
