//! One zone: its records, and how its server answers about them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use trust_dns_resolver::proto::dnssec::rdata::DNSSECRData;
use trust_dns_resolver::proto::op::{Message, Query, ResponseCode};
use trust_dns_resolver::proto::rr::rdata::{CNAME, NS, NULL, SOA};
use trust_dns_resolver::proto::rr::{Name, RData, Record, RecordType};
use trust_dns_resolver::proto::serialize::binary::BinEncodable as _;

use super::denial::Denial;
use super::key::{Key, Signature, labels, line};

pub(super) const TTL_S: u32 = 300;

/// How many keys a zone with too many has.
const KEYS_MANY: usize = 40;

/// What is wrong with a zone or its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Signatures over records do not hold; those over keys do.
    Corruption,
    /// Signatures over records have ended.
    Expiry,
    /// Signatures have not begun, nor have those over keys.
    Earliness,
    /// There are no signatures but those over keys.
    NoSignatures,
    /// Absence comes without proof.
    NoDenial,
    /// Wildcards come without proof that they may stand for the name.
    NoWildcardProof,
    /// The parent names another key.
    OtherKey,
    /// The parent says nothing of the key, and does not prove that there is none.
    NoDsProof,
    /// Very many keys, and as many signatures that do not hold.
    ManyKeys,
    /// The server says nothing.
    Silence,
    /// It answers over TCP alone.
    TcpAlone,
    /// It cuts everything off over UDP.
    Truncation,
    /// It fails at questions about name servers.
    NoServersKnown,
    /// It has another server's answer for every name: nothing, and no start of authority.
    Emptiness,
}

#[derive(Debug)]
pub(super) struct Zone {
    pub(super) name: Name,
    pub(super) server: Ipv4Addr,
    pub(super) records: BTreeMap<Name, BTreeMap<RecordType, Vec<RData>>>,
    pub(super) key: Option<Key>,
    decoys: Vec<Key>,
    pub(super) denial: Denial,
    faults: Vec<Fault>,
}

pub(super) fn name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).expect("a name for tests")
}

impl Zone {
    pub(super) fn new(apex: &str, server: Ipv4Addr, key: Option<Key>) -> Self {
        let apex = name(apex);
        let mut zone = Self {
            name: apex.clone(),
            server,
            records: BTreeMap::new(),
            key,
            decoys: Vec::new(),
            denial: Denial::Names,
            faults: Vec::new(),
        };
        let host = name("ns").append_domain(&apex).expect("a short name");
        let start = SOA::new(host.clone(), host.clone(), 1, 3600, 600, 86_400, TTL_S);
        zone.add_at(&apex, RData::SOA(start));
        zone.add_at(&apex, RData::NS(NS(host.clone())));
        zone.add_at(&host, RData::A(server.into()));
        if let Some(key) = &zone.key {
            let data = RData::DNSSEC(DNSSECRData::DNSKEY(key.dnskey.clone()));
            zone.add_at(&apex, data);
        }
        zone
    }

    pub(super) fn denied_by(mut self, denial: Denial) -> Self {
        self.denial = denial;
        self
    }

    pub(super) fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        if fault == Fault::ManyKeys {
            self.decoys = (0..KEYS_MANY).map(|_| Key::new()).collect();
            let keys: Vec<RData> = self
                .decoys
                .iter()
                .map(|key| RData::DNSSEC(DNSSECRData::DNSKEY(key.dnskey.clone())))
                .collect();
            let apex = self.name.clone();
            keys.into_iter().for_each(|key| self.add_at(&apex, key));
        }
        self
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    pub(super) fn add(mut self, owner: &str, data: RData) -> Self {
        self.add_at(&name(owner), data);
        self
    }

    pub(super) fn alias(self, owner: &str, target: &str) -> Self {
        self.add(owner, RData::CNAME(CNAME(name(target))))
    }

    /// A DNAME, which the library has no type for.
    pub(super) fn alias_tree(self, owner: &str, target: &str) -> Self {
        let rdata = NULL::with(name(target).to_bytes().expect("a short name"));
        self.add(owner, RData::Unknown { code: RecordType::DNAME, rdata })
    }

    /// Puts a zone below this one: its servers, the first one's address if that is in it, and what is said of its key.
    pub(super) fn delegate(mut self, child: &Zone) -> Self {
        let host = name("ns").append_domain(&child.name).expect("a short name");
        self.add_at(&child.name, RData::NS(NS(host.clone())));
        self.add_at(&host, RData::A(child.server.into()));
        if let (Some(key), false) = (&child.key, child.has(Fault::NoDsProof)) {
            let other = Key::new();
            let named = if child.has(Fault::OtherKey) { &other } else { key };
            self.add_at(&child.name, named.ds(&child.name));
        }
        self
    }

    /// Puts a zone below this one whose server is called by another zone's name.
    pub(super) fn delegate_to(self, child: &str, host: &str) -> Self {
        self.add(child, RData::NS(NS(name(host))))
    }

    fn add_at(&mut self, owner: &Name, data: RData) {
        let types = self.records.entry(owner.to_lowercase()).or_default();
        types.entry(data.record_type()).or_default().push(data);
    }

    pub(super) fn anchors(&self) -> String {
        self.key.as_ref().map(|key| line(&self.name, &key.dnskey)).unwrap_or_default()
    }

    /// Whether the question is about a name of this zone; about its delegation, the parent is asked (RFC 4035, section 3.1.4.1).
    pub(super) fn serves(&self, query: &Query) -> bool {
        let is_delegation = query.query_type() == RecordType::DS && *query.name() == self.name;
        self.name.zone_of(query.name()) && (!is_delegation || self.name.is_root())
    }

    pub(super) fn answer(&self, query: &Query, wants_dnssec: bool, response: &mut Message) {
        if self.has(Fault::Emptiness) {
            return;
        }
        if self.has(Fault::NoServersKnown) && query.query_type() == RecordType::NS {
            response.metadata.response_code = ResponseCode::ServFail;
            return;
        }
        let owner = query.name().to_lowercase();
        if let Some(cut) = self.cut_above(&owner)
            && !(cut == owner && query.query_type() == RecordType::DS)
        {
            return self.refer(&cut, wants_dnssec, response);
        }
        response.metadata.authoritative = true;
        let exists = self.exists(&owner);
        let source = if exists { owner.clone() } else { self.wildcard_of(&owner) };
        if let Some((above, target)) = self.tree_alias(&owner) {
            response.add_answers(self.signed(&above, &above, RecordType::DNAME, wants_dnssec));
            let below = owner.iter().take(usize::from(owner.num_labels() - above.num_labels()));
            let made =
                Name::from_labels(below.map(<[u8]>::to_vec)).and_then(|below| below.append_name(&target));
            if let Ok(made) = made {
                response.add_answer(Record::from_rdata(
                    query.name().clone(),
                    TTL_S,
                    RData::CNAME(CNAME(made)),
                ));
            }
            return;
        }
        let has =
            |record_type| self.records.get(&source).is_some_and(|types| types.contains_key(&record_type));
        let found = [query.query_type(), RecordType::CNAME].into_iter().find(|record_type| has(*record_type));
        match found {
            Some(record_type) => {
                response.add_answers(self.signed(&source, query.name(), record_type, wants_dnssec));
                if !exists && wants_dnssec && !self.has(Fault::NoWildcardProof) {
                    response.add_authorities(self.denials(&self.denial.expansion(self, &owner)));
                }
            }
            None => {
                let is_name = exists || self.records.contains_key(&source);
                if !is_name {
                    response.metadata.response_code = ResponseCode::NXDomain;
                }
                response.add_authorities(self.signed(&self.name, &self.name, RecordType::SOA, wants_dnssec));
                if wants_dnssec && !self.has(Fault::NoDenial) {
                    let denials = match (exists, is_name) {
                        (true, _) => self.denial.no_records(self, &owner),
                        (false, true) => self.denial.no_records_by_wildcard(self, &owner, &source),
                        (false, false) => self.denial.no_name(self, &owner),
                    };
                    response.add_authorities(self.denials(&denials));
                }
            }
        }
    }

    fn refer(&self, cut: &Name, wants_dnssec: bool, response: &mut Message) {
        let plain = |owner: &Name, record_type| self.set(owner, owner, record_type);
        let servers = plain(cut, RecordType::NS);
        for server in &servers {
            if let RData::NS(NS(host)) = &server.data
                && cut.zone_of(host)
            {
                response.add_additionals(plain(host, RecordType::A));
            }
        }
        response.add_authorities(servers);
        if !wants_dnssec {
            return;
        }
        let delegation = self.signed(cut, cut, RecordType::DS, true);
        if delegation.is_empty() && !self.has(Fault::NoDenial) {
            response.add_authorities(self.denials(&self.denial.no_records(self, cut)));
        }
        response.add_authorities(delegation);
    }

    fn denials(&self, sets: &[(Name, RData)]) -> Vec<Record> {
        let each = sets.iter().flat_map(|(owner, data)| {
            let set = vec![Record::from_rdata(owner.clone(), TTL_S, data.clone())];
            self.with_signatures(set, labels(owner))
        });
        each.collect()
    }

    /// The records of one type, as those of another name where a wildcard stands for it.
    fn signed(
        &self,
        source: &Name,
        shown: &Name,
        record_type: RecordType,
        wants_dnssec: bool,
    ) -> Vec<Record> {
        let set = self.set(source, shown, record_type);
        if !wants_dnssec || set.is_empty() { set } else { self.with_signatures(set, labels(source)) }
    }

    fn set(&self, source: &Name, shown: &Name, record_type: RecordType) -> Vec<Record> {
        let data = self.records.get(source).and_then(|types| types.get(&record_type));
        data.into_iter()
            .flatten()
            .map(|data| Record::from_rdata(shown.clone(), TTL_S, data.clone()))
            .collect()
    }

    fn with_signatures(&self, mut set: Vec<Record>, labels: u8) -> Vec<Record> {
        let Some(key) = &self.key else { return set };
        let is_keys = set.first().is_some_and(|record| record.record_type() == RecordType::DNSKEY);
        let how = match () {
            () if self.has(Fault::NoSignatures) && !is_keys => return set,
            () if self.has(Fault::Corruption) && !is_keys => Signature::Corrupt,
            () if self.has(Fault::Expiry) && !is_keys => Signature::Expired,
            () if self.has(Fault::Earliness) => Signature::Early,
            () => Signature::Good,
        };
        let decoys =
            self.decoys.iter().filter_map(|key| key.sign(&self.name, &set, labels, Signature::Corrupt));
        let signatures: Vec<Record> = match self.has(Fault::ManyKeys) {
            true => decoys.collect(),
            false => key.sign(&self.name, &set, labels, how).into_iter().collect(),
        };
        set.extend(signatures);
        set
    }

    /// The highest delegation at or above a name.
    fn cut_above(&self, owner: &Name) -> Option<Name> {
        let above =
            (self.name.num_labels() + 1..=owner.num_labels()).map(|count| owner.trim_to(count.into()));
        above
            .into_iter()
            .find(|name| self.records.get(name).is_some_and(|types| types.contains_key(&RecordType::NS)))
    }

    /// Whether a name has records, or is on the way to one that does.
    pub(super) fn exists(&self, owner: &Name) -> bool {
        self.records.keys().any(|name| owner.zone_of(name))
    }

    pub(super) fn closest_encloser(&self, owner: &Name) -> Name {
        let mut above = owner.base_name();
        while !self.exists(&above) && !above.is_root() {
            above = above.base_name();
        }
        above
    }

    pub(super) fn wildcard_of(&self, owner: &Name) -> Name {
        self.closest_encloser(owner).prepend_label("*").expect("a short name")
    }

    fn tree_alias(&self, owner: &Name) -> Option<(Name, Name)> {
        self.records.iter().find_map(|(above, types)| {
            let data = types.get(&RecordType::DNAME)?.first()?;
            let RData::Unknown { rdata, .. } = data else { return None };
            use trust_dns_resolver::proto::serialize::binary::BinDecodable as _;
            let target = Name::from_bytes(&rdata.anything).ok()?;
            (above.zone_of(owner) && above != owner).then(|| (above.clone(), target))
        })
    }

    /// The names with records that are this zone's to deny or not: no address of a server below a delegation.
    pub(super) fn own_names(&self) -> impl Iterator<Item = (&Name, Vec<RecordType>)> {
        self.records.iter().filter_map(|(owner, types)| {
            let cut = self.cut_above(owner);
            if cut.as_ref().is_some_and(|cut| cut != owner) {
                return None;
            }
            let shown = |record_type: &RecordType| {
                cut.is_none() || matches!(record_type, RecordType::NS | RecordType::DS)
            };
            Some((owner, types.keys().copied().filter(shown).collect()))
        })
    }
}
