//! Proofs of absence: by the names before and after (RFC 4034, section 4), or by those of their hashes (RFC 5155).

use trust_dns_resolver::proto::dnssec::Nsec3HashAlgorithm;
use trust_dns_resolver::proto::dnssec::rdata::{DNSSECRData, NSEC, NSEC3};
use trust_dns_resolver::proto::rr::{Name, RData, RecordType};

use super::zone::Zone;

/// How a zone denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// NSEC.
    Names,
    /// NSEC3, with so many further iterations of the hash.
    Hashes { iterations: u16 },
}

/// Records that deny, without their signatures.
pub(super) type Denials = Vec<(Name, RData)>;

impl Denial {
    /// The name has no records of a type.
    pub(super) fn no_records(self, zone: &Zone, owner: &Name) -> Denials {
        distinct([self.at_or_before(zone, owner)])
    }

    /// There is no such name, and no wildcard for it.
    pub(super) fn no_name(self, zone: &Zone, owner: &Name) -> Denials {
        let wildcard = self.at_or_before(zone, &zone.wildcard_of(owner));
        match self {
            Self::Names => distinct([self.at_or_before(zone, owner), wildcard]),
            Self::Hashes { .. } => {
                distinct([self.encloser(zone, owner), self.next_closer(zone, owner), wildcard])
            }
        }
    }

    /// A wildcard stands for the name, and has no records of a type.
    pub(super) fn no_records_by_wildcard(self, zone: &Zone, owner: &Name, wildcard: &Name) -> Denials {
        let wildcard = self.at_or_before(zone, wildcard);
        match self {
            Self::Names => distinct([self.at_or_before(zone, owner), wildcard]),
            Self::Hashes { .. } => {
                distinct([self.encloser(zone, owner), self.next_closer(zone, owner), wildcard])
            }
        }
    }

    /// A wildcard may stand for the name, as nothing closer is there.
    pub(super) fn expansion(self, zone: &Zone, owner: &Name) -> Denials {
        match self {
            Self::Names => distinct([self.at_or_before(zone, owner)]),
            Self::Hashes { .. } => distinct([self.next_closer(zone, owner)]),
        }
    }

    fn encloser(self, zone: &Zone, owner: &Name) -> Option<(Name, RData)> {
        self.at_or_before(zone, &zone.closest_encloser(owner))
    }

    fn next_closer(self, zone: &Zone, owner: &Name) -> Option<(Name, RData)> {
        let labels = usize::from(zone.closest_encloser(owner).num_labels()) + 1;
        self.at_or_before(zone, &owner.trim_to(labels))
    }

    /// The record at a name's place, or the last before it.
    fn at_or_before(self, zone: &Zone, owner: &Name) -> Option<(Name, RData)> {
        match self {
            Self::Names => by_name(zone, owner),
            Self::Hashes { iterations } => by_hash(zone, owner, iterations),
        }
    }
}

fn distinct<const N: usize>(denials: [Option<(Name, RData)>; N]) -> Denials {
    let mut all: Denials = Vec::new();
    for denial in denials.into_iter().flatten() {
        if !all.contains(&denial) {
            all.push(denial);
        }
    }
    all
}

fn by_name(zone: &Zone, owner: &Name) -> Option<(Name, RData)> {
    // Names are ordered as the denials have to be (RFC 4034, section 6.1).
    let names: Vec<(&Name, Vec<RecordType>)> = zone.own_names().collect();
    let at = names.iter().rposition(|(name, _)| *name <= owner)?;
    let (name, types) = names.get(at)?;
    let next = names.get(at + 1).map_or(&zone.name, |(next, _)| *next);
    let signed = types.iter().copied().chain([RecordType::NSEC, RecordType::RRSIG]);
    Some(((*name).clone(), RData::DNSSEC(DNSSECRData::NSEC(NSEC::new(next.clone(), signed)))))
}

fn by_hash(zone: &Zone, owner: &Name, iterations: u16) -> Option<(Name, RData)> {
    let hash = |name: &Name| Nsec3HashAlgorithm::SHA1.hash(&[], name, iterations).ok();
    let mut hashes: Vec<(Vec<u8>, Vec<RecordType>)> = Vec::new();
    for (name, types) in zone.own_names() {
        let is_delegation = types == [RecordType::NS];
        let signed = types.into_iter().chain((!is_delegation).then_some(RecordType::RRSIG));
        hashes.push((hash(name)?.as_ref().to_vec(), signed.collect()));
        // Names on the way have a record, too.
        let mut above = name.base_name();
        while zone.name.zone_of(&above) && above != zone.name {
            if !zone.records.contains_key(&above) {
                hashes.push((hash(&above)?.as_ref().to_vec(), Vec::new()));
            }
            above = above.base_name();
        }
    }
    hashes.sort();
    hashes.dedup();
    let wanted = hash(owner)?.as_ref().to_vec();
    let at = hashes.iter().rposition(|(hash, _)| *hash <= wanted).unwrap_or(hashes.len().checked_sub(1)?);
    let (found, types) = hashes.get(at)?;
    let (next, _) = hashes.get(at + 1).or(hashes.first())?;
    let record = NSEC3::new(
        Nsec3HashAlgorithm::SHA1,
        false,
        iterations,
        Vec::new(),
        next.clone(),
        types.iter().copied(),
    );
    let owner = zone.name.prepend_label(base32_hex(found)).ok()?;
    Some((owner, RData::DNSSEC(DNSSECRData::NSEC3(record))))
}

/// Base32 with the extended hex alphabet, in lower case (RFC 4648, section 7), of whole groups of five bytes.
fn base32_hex(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let groups = bytes
        .chunks_exact(5)
        .map(|group| group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte)));
    let digits = groups.flat_map(|bits| (0..8).rev().map(move |place| bits >> (5 * place) & 31));
    digits.filter_map(|digit| ALPHABET.get(usize::try_from(digit).ok()?).copied()).map(char::from).collect()
}
