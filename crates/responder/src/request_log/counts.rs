//! Counts without people: what an hour's requests were for and how they were answered. They outlive the log.
//!
//! A number below the smallest that may be told is told together with others, and so that it cannot be worked out from the
//! sum: as long as what is told together is itself too small, the smallest of the rest goes with it.

use std::collections::BTreeMap;
use std::collections::hash_map::HashMap;

use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Serial, Timestamp};
use serde::{Deserialize, Serialize};

use super::noted::{Entry, SERIAL_BYTES_MAX, Short};

/// So many certificates are named for an issuer and an hour.
const CERTIFICATES_TOLD_MAX: usize = 20;
/// So many are counted at once; beyond it, those asked for least make room.
const CERTIFICATES_COUNTED_MAX: usize = 32_768;
const HOUR_MS: u64 = 60 * 60 * 1000;

/// The hour of a moment, counted from the epoch.
pub(super) fn hour_of(at: Timestamp) -> u64 {
    at.unix_ms() / HOUR_MS
}

/// What is on record of an hour, or of the part of it that a process was there for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourCounts {
    /// The hour's first moment.
    pub hour: Timestamp,
    /// How many requests came, but for those of issuers that are not told.
    pub requests: u64,
    /// How many of them are not in the rest, as there was no room to note them.
    pub dropped: u64,
    /// Whether the rest is worked out from a sample.
    pub sampled: bool,
    /// For each issuer; `None` for requests that meant none.
    pub issuers: Vec<IssuerCounts>,
}

/// An hour of one issuer. Each list adds up to `requests`, as far as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerCounts {
    /// Its name inside the CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerName>,
    /// How many requests meant it.
    pub requests: u64,
    /// By what was answered; `together` has what is too small to be told alone.
    pub answers: BTreeMap<String, u64>,
    /// By the kind of client.
    pub clients: BTreeMap<String, u64>,
    /// The certificates that were asked for most, most first; each number is the least that it was.
    pub certificates: Vec<CertificateCount>,
}

/// How often a certificate was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateCount {
    /// Its serial number.
    pub serial: Serial,
    /// How often.
    pub requests: u64,
}

/// How many records, and for how many requests they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    requests: u64,
    records: u64,
}

impl Cell {
    fn add(&mut self, entry: &Entry) {
        self.requests += u64::from(entry.weight);
        self.records += 1;
    }

    fn join(&mut self, other: Self) {
        self.requests += other.requests;
        self.records += other.records;
    }
}

#[derive(Default)]
struct Tally {
    all: Cell,
    answers: BTreeMap<&'static str, Cell>,
    clients: BTreeMap<&'static str, Cell>,
    certificates: HashMap<Vec<u8>, Cell>,
}

/// The hour that is being counted.
pub(super) struct Counter {
    issuers: Vec<IssuerName>,
    count_min: u64,
    hour: Option<u64>,
    tallies: BTreeMap<Option<u16>, Tally>,
    requests: u64,
    dropped: u64,
    sampled: bool,
}

impl Counter {
    pub(super) fn new(issuers: Vec<IssuerName>, count_min: u64) -> Self {
        Self {
            issuers,
            count_min,
            hour: None,
            tallies: BTreeMap::new(),
            requests: 0,
            dropped: 0,
            sampled: false,
        }
    }

    /// Counts a record. What came late from the hour before counts for this one.
    pub(super) fn add(&mut self, entry: &Entry) {
        let tally = self.tallies.entry(entry.issuer).or_default();
        tally.all.add(entry);
        tally.answers.entry(entry.outcome.name()).or_default().add(entry);
        tally.clients.entry(entry.family.name()).or_default().add(entry);
        if !entry.serial.as_bytes().is_empty() {
            tally.count_certificate(&entry.serial, entry);
        }
        self.sampled |= entry.weight > 1;
    }

    /// Counts requests, noted or not.
    pub(super) fn add_totals(&mut self, requests: u64, dropped: u64) {
        self.requests += requests;
        self.dropped += dropped;
    }

    /// Gives the hour out once it is over, or at once at the process's `end`, and begins the next.
    pub(super) fn turn(&mut self, now: Timestamp, end: bool) -> Option<HourCounts> {
        let hour = *self.hour.get_or_insert(hour_of(now));
        if hour == hour_of(now) && !end {
            return None;
        }
        let over = std::mem::replace(self, Self::new(self.issuers.clone(), self.count_min));
        self.hour = Some(hour_of(now));
        Some(over.told(hour)).filter(|told| told.requests >= over.count_min)
    }

    fn told(&self, hour: u64) -> HourCounts {
        let least = self.count_min;
        let told = |(issuer, tally): (&Option<u16>, &Tally)| {
            let name = issuer.and_then(|place| self.issuers.get(usize::from(place)).cloned());
            (tally.all.records >= least).then(|| IssuerCounts {
                issuer: name,
                requests: tally.all.requests,
                answers: cells(&tally.answers, least),
                clients: cells(&tally.clients, least),
                certificates: tally.most_asked(least),
            })
        };
        // What is not told of an issuer is not to be worked out from the sum either.
        let untold = self.tallies.values().filter(|tally| tally.all.records < least);
        let untold: u64 = untold.map(|tally| tally.all.requests).sum();
        HourCounts {
            hour: Timestamp::from_unix_ms(hour * HOUR_MS),
            requests: self.requests.saturating_sub(untold),
            dropped: self.dropped,
            sampled: self.sampled,
            issuers: self.tallies.iter().filter_map(told).collect(),
        }
    }
}

impl Tally {
    fn count_certificate(&mut self, serial: &Short<SERIAL_BYTES_MAX>, entry: &Entry) {
        if let Some(cell) = self.certificates.get_mut(serial.as_bytes()) {
            return cell.add(entry);
        }
        if self.certificates.len() >= CERTIFICATES_COUNTED_MAX {
            // Half of them go: those that were asked for least.
            let mut sizes: Vec<Cell> = self.certificates.values().copied().collect();
            let (_, middle, _) = sizes.select_nth_unstable(CERTIFICATES_COUNTED_MAX / 2);
            let middle = *middle;
            self.certificates.retain(|_, cell| *cell > middle);
        }
        self.certificates.entry(serial.as_bytes().to_vec()).or_default().add(entry);
    }

    fn most_asked(&self, least: u64) -> Vec<CertificateCount> {
        let mut asked: Vec<(&Vec<u8>, &Cell)> =
            self.certificates.iter().filter(|(_, cell)| cell.records >= least).collect();
        asked.sort_unstable_by_key(|(serial, cell)| (std::cmp::Reverse(cell.requests), *serial));
        let told = asked.into_iter().take(CERTIFICATES_TOLD_MAX).filter_map(|(serial, cell)| {
            Some(CertificateCount { serial: Serial::from_be_bytes(serial)?, requests: cell.requests })
        });
        told.collect()
    }
}

/// What of these numbers may be told.
fn cells(cells: &BTreeMap<&'static str, Cell>, least: u64) -> BTreeMap<String, u64> {
    let mut sorted: Vec<(&str, Cell)> = cells.iter().map(|(name, cell)| (*name, *cell)).collect();
    sorted.sort_unstable_by_key(|(name, cell)| (cell.records, *name));
    let mut together = Cell::default();
    let mut told = BTreeMap::new();
    for (name, cell) in sorted {
        if cell.records < least || (together.records > 0 && together.records < least) {
            together.join(cell);
        } else {
            told.insert(name.to_owned(), cell.requests);
        }
    }
    if together.records >= least {
        told.insert("together".to_owned(), together.requests);
    }
    told
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::config::Mode;
    use super::super::noted::{Noted, Outcome};
    use super::*;

    fn counter() -> Counter {
        let mut counter = Counter::new(vec![IssuerName::try_from("e1".to_owned()).unwrap()], 10);
        assert!(counter.turn(Timestamp::from_unix_s(3600), false).is_none());
        counter
    }

    fn add(counter: &mut Counter, times: u64, serial: u8, user_agent: &str, outcome: Outcome) {
        for _ in 0..times {
            let noted = Noted {
                address: IpAddr::from([192, 0, 2, 1]),
                user_agent: user_agent.as_bytes(),
                issuer: Some(0),
                serial: &[serial],
                outcome,
                at: Timestamp::from_unix_s(3600),
            };
            counter.add(&Entry::new(&noted, Mode::Full, 1));
            counter.add_totals(1, 0);
        }
    }

    #[test]
    fn an_hour_is_told_when_it_is_over() {
        let mut counter = counter();
        add(&mut counter, 30, 1, "", Outcome::Good);
        add(&mut counter, 12, 2, "Java/17", Outcome::Revoked);
        add(&mut counter, 3, 3, "curl/8", Outcome::Good);
        assert!(counter.turn(Timestamp::from_unix_s(7199), false).is_none());
        let told = counter.turn(Timestamp::from_unix_s(7200), false).unwrap();
        assert_eq!((told.hour, told.requests, told.sampled), (Timestamp::from_unix_s(3600), 45, false));
        let [issuer] = told.issuers.as_slice() else { panic!("{told:?}") };
        let map = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
            pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        assert_eq!(issuer.answers, map(&[("good", 33), ("revoked", 12)]));
        assert_eq!(issuer.clients, map(&[("silent", 30), ("together", 15)]), "3 cannot be worked out");
        let certificates: Vec<u64> = issuer.certificates.iter().map(|count| count.requests).collect();
        assert_eq!(certificates, [30, 12]);
        assert!(counter.turn(Timestamp::from_unix_s(10_800), false).is_none(), "an hour without requests");
    }

    #[test]
    fn an_issuer_of_few_requests_is_not_told_at_all() {
        let mut counter = counter();
        add(&mut counter, 9, 1, "", Outcome::Good);
        assert!(counter.turn(Timestamp::from_unix_s(3700), true).is_none());
    }

    #[test]
    fn the_most_asked_are_found_among_many() {
        let mut tally = Tally::default();
        let noted = Noted {
            address: IpAddr::from([192, 0, 2, 1]),
            user_agent: b"",
            issuer: None,
            serial: &[],
            outcome: Outcome::Good,
            at: Timestamp::default(),
        };
        let entry = Entry::new(&noted, Mode::Full, 1);
        for number in 0..100_000_u32 {
            tally.count_certificate(&Short::new(&(number + 1_000_000).to_be_bytes()), &entry);
            if number % 100 == 0 {
                tally.count_certificate(&Short::new(&[7]), &entry);
            }
        }
        assert!(tally.certificates.len() <= CERTIFICATES_COUNTED_MAX);
        let most = tally.most_asked(10);
        assert_eq!((most[0].serial.as_bytes(), most[0].requests), (&[7_u8][..], 1000));
    }
}
