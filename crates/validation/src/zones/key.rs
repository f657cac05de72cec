//! Keys of zones, and what is signed with them.

use std::fmt;

use trust_dns_resolver::net::runtime::{Time as _, TokioTime};
use trust_dns_resolver::proto::dnssec::crypto::EcdsaSigningKey;
use trust_dns_resolver::proto::dnssec::rdata::sig::SigInput;
use trust_dns_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, RRSIG};
use trust_dns_resolver::proto::dnssec::{Algorithm, DigestType, SigningKey as _, TBS};
use trust_dns_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber};

use super::zone::TTL_S;

const DAY_S: u32 = 86_400;

/// The key of a zone: it signs keys and records alike.
pub(super) struct Key {
    key: EcdsaSigningKey,
    pub(super) dnskey: DNSKEY,
    tag: u16,
}

/// Which signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    Good,
    Corrupt,
    Expired,
    Early,
}

impl Key {
    pub(super) fn new() -> Self {
        let algorithm = Algorithm::ECDSAP256SHA256;
        let der = EcdsaSigningKey::generate_pkcs8(algorithm).expect("a key for tests");
        let key = EcdsaSigningKey::from_pkcs8(&der, algorithm).expect("the key just made");
        let public = key.to_public_key().expect("a key has a public half");
        let dnskey = DNSKEY::new(true, true, false, public);
        let tag = dnskey.calculate_key_tag().expect("a key has a tag");
        Self { key, dnskey, tag }
    }

    /// What the parent says of it.
    pub(super) fn ds(&self, zone: &Name) -> RData {
        let digest = self.dnskey.to_digest(zone, DigestType::SHA256).expect("a digest");
        let ds = DS::new(self.tag, Algorithm::ECDSAP256SHA256, DigestType::SHA256, digest.as_ref().to_vec());
        RData::DNSSEC(DNSSECRData::DS(ds))
    }

    /// A signature over a set of records; `labels` are fewer than the owner has where a wildcard stands for it.
    pub(super) fn sign(&self, zone: &Name, set: &[Record], labels: u8, how: Signature) -> Option<Record> {
        let first = set.first()?;
        let now_s = u32::try_from(TokioTime::current_time()).ok()?;
        let (from_s, to_s) = match how {
            Signature::Good | Signature::Corrupt => (now_s - DAY_S, now_s + DAY_S),
            Signature::Expired => (now_s - 3 * DAY_S, now_s - 2 * DAY_S),
            Signature::Early => (now_s + 2 * DAY_S, now_s + 3 * DAY_S),
        };
        let input = SigInput {
            type_covered: first.record_type(),
            algorithm: Algorithm::ECDSAP256SHA256,
            num_labels: labels,
            original_ttl: TTL_S,
            sig_expiration: SerialNumber::new(to_s),
            sig_inception: SerialNumber::new(from_s),
            key_tag: self.tag,
            signer_name: zone.clone(),
        };
        let signed = TBS::from_input(&first.name, DNSClass::IN, &input, set.iter()).ok()?;
        let mut signature = self.key.sign(&signed).ok()?;
        if how == Signature::Corrupt {
            signature.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        }
        let data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, signature)));
        Some(Record::from_rdata(first.name.clone(), TTL_S, data))
    }
}

/// How many labels a signature over `owner` counts (RFC 4034, section 3.1.3).
pub(super) fn labels(owner: &Name) -> u8 {
    owner.num_labels()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.tag)
    }
}

/// A DNSKEY as a line of a zone file.
pub(super) fn line(zone: &Name, key: &DNSKEY) -> String {
    format!("{zone} {TTL_S} IN {} {key}\n", RecordType::DNSKEY)
}
