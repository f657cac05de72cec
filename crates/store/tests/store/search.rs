//! Proves that every index of certificates, with any span of time and any length of page, finds exactly the certificates
//! that a look at all of them would, in the order that it promises, and each of them once.
//!
//! What is not a failure: a page that is short, or empty, and has a next one.

use std::collections::BTreeSet;
use std::sync::Arc;

use ingam_protocol::identifier::{DnsName, Identifier};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Id, Serial, Timestamp};
use ingam_store::{CertificateIndex, IssuedBetween, Store};
use proptest::prelude::*;

use crate::made::{Disks, Wanted, insert_account, issue, issuer, on_both, run, start, wanted};

/// Names among which an order of bytes and an order of labels disagree: a hyphen sorts before a dot.
const NAMES: [&str; 10] = [
    "example.org",
    "*.example.org",
    "a.example.org",
    "*.a.example.org",
    "b.a.example.org",
    "a-b.example.org",
    "example-x.org",
    "a.example-x.org",
    "0.example.org",
    "example.orga",
];

/// What is asked for below and by name.
const ASKED: [&str; 7] = [
    "example.org",
    "a.example.org",
    "b.a.example.org",
    "example-x.org",
    "a-b.example.org",
    "org.example",
    "ample.org",
];

fn dns(name: &str) -> DnsName {
    DnsName::parse(name).unwrap()
}

/// A certificate that there is.
#[derive(Clone, Debug)]
struct Known {
    wanted: Wanted,
    serial: Serial,
}

type Found = Vec<(IssuerName, Serial)>;

impl Known {
    /// Whether somebody who reads the whole certificate would say that it fits.
    fn fits(&self, index: &CertificateIndex, issued: IssuedBetween) -> bool {
        let names = &self.wanted.names;
        let is_below = |name: &DnsName, above: &DnsName| name.as_str().ends_with(&format!(".{above}"));
        let by_index = match index {
            CertificateIndex::Time => true,
            CertificateIndex::Account(account) => self.wanted.account == *account,
            CertificateIndex::Key(thumbprint) => self.wanted.thumbprint == *thumbprint,
            CertificateIndex::Name(host) => names.iter().any(|own| own.host() == *host),
            CertificateIndex::Below(above) => names.iter().any(|own| match own {
                Identifier::Dns(name) => is_below(name, above),
                Identifier::Wildcard(base) => base == above || is_below(base, above),
                Identifier::Ip(_) => false,
            }),
        };
        let at = self.wanted.issued;
        by_index && issued.from.is_none_or(|from| at >= from) && issued.until.is_none_or(|until| at < until)
    }
}

/// All of `known` that fit, by time of issuance, then by issuer and serial number.
fn expected(known: &[Known], index: &CertificateIndex, issued: IssuedBetween) -> Found {
    let mut fit: Vec<_> = known.iter().filter(|one| one.fits(index, issued)).collect();
    fit.sort_by_key(|one| (one.wanted.issued, one.wanted.issuer.to_string(), one.serial.as_bytes().to_vec()));
    fit.into_iter().map(|one| (one.wanted.issuer.clone(), one.serial.clone())).collect()
}

/// Page by page, from `after` on.
fn find(
    store: &Store,
    index: &CertificateIndex,
    issued: IssuedBetween,
    after: Option<&[u8]>,
    limit: usize,
) -> Found {
    let mut found = Vec::new();
    let mut after = after.map(<[u8]>::to_vec);
    for _ in 0..1000 {
        let page = store.certificates_find(index, issued, after.as_deref(), limit).unwrap();
        assert!(page.found.len() <= limit, "a page of {} for {limit}", page.found.len());
        found.extend(page.found);
        match page.next {
            Some(next) => {
                assert!(after.is_none_or(|after| next > after), "the pages stand still");
                after = Some(next);
            }
            None => return found,
        }
    }
    panic!("pages without end");
}

/// Looks through one index with one length of page.
fn check(store: &Store, known: &[Known], index: &CertificateIndex, issued: IssuedBetween, limit: usize) {
    let (found, expected) = (find(store, index, issued, None, limit), expected(known, index, issued));
    let context = format!("{index:?} {issued:?} by {limit}");
    if matches!(index, CertificateIndex::Below(_)) {
        // Name by name: what matters is that each is there, once.
        let set: BTreeSet<_> = found.iter().collect();
        assert_eq!(set.len(), found.len(), "{context}: one comes twice");
        assert_eq!(set, expected.iter().collect(), "{context}");
    } else {
        assert_eq!(found, expected, "{context}");
    }
}

fn indexes(accounts: &[Id], keys: &[[u8; 32]]) -> Vec<CertificateIndex> {
    let mut indexes = vec![CertificateIndex::Time];
    indexes.extend(accounts.iter().copied().map(CertificateIndex::Account));
    indexes.extend(keys.iter().copied().map(CertificateIndex::Key));
    indexes.extend(ASKED.iter().map(|name| CertificateIndex::Name(dns(name).into())));
    indexes.extend(ASKED.iter().map(|name| CertificateIndex::Below(dns(name))));
    indexes
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(start().unix_ms() + ms)
}

fn spans() -> impl Iterator<Item = IssuedBetween> {
    let ends = [None, Some(0), Some(2), Some(5)];
    let all = move |from| ends.into_iter().map(move |until| (from, until));
    ends.into_iter()
        .flat_map(all)
        .map(|(from, until)| IssuedBetween { from: from.map(at), until: until.map(at) })
}

/// One of two issuers.
fn issuers(index: usize) -> IssuerName {
    ["ecdsa", "rsa"][index].to_owned().try_into().unwrap()
}

/// A certificate as indexes into what there is: account, key, issuer, milliseconds, names.
type Plan = (usize, usize, usize, u64, BTreeSet<usize>);

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let names = proptest::collection::btree_set(0..NAMES.len(), 1..5);
    proptest::collection::vec((0..2_usize, 0..2_usize, 0..2_usize, 0..6_u64, names), 0..14)
}

async fn issue_all(store: &Store, plans: &[Plan], random: &SeededRandom) -> (Vec<Known>, Vec<Id>) {
    let accounts = vec![insert_account(store, random).await.id, insert_account(store, random).await.id];
    let mut known = Vec::new();
    for (account, key, issuer, ms, names) in plans {
        let wanted = Wanted {
            account: accounts[*account],
            issuer: issuers(*issuer),
            thumbprint: KEYS[*key],
            names: names.iter().map(|index| Identifier::parse_dns(NAMES[*index]).unwrap()).collect(),
            issued: at(*ms),
        };
        let (_, serial) = issue(store, wanted.clone(), random).await;
        known.push(Known { wanted, serial });
    }
    (known, accounts)
}

const KEYS: [[u8; 32]; 2] = [[0; 32], [0xff; 32]];

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_index_finds_what_a_look_at_all_would(plans in plans(), limit in 1..6_usize) {
        let random = Arc::new(SeededRandom::new(3));
        let open = Disks::default().open(&random).unwrap();
        let (known, accounts) = run(issue_all(&open.store, &plans, &random));
        for index in indexes(&accounts, &KEYS) {
            for issued in spans() {
                check(&open.store, &known, &index, issued, limit);
                check(&open.store, &known, &index, issued, 1000);
            }
        }
        open.close();
    }

    /// Whatever a caller takes for a place: nothing that does not fit comes out, and nothing twice.
    #[test]
    fn a_place_that_is_none_leads_nowhere_else(
        plans in plans(), place in proptest::collection::vec(any::<u8>(), 0..80), limit in 1..6_usize,
    ) {
        let random = Arc::new(SeededRandom::new(3));
        let open = Disks::default().open(&random).unwrap();
        let (known, accounts) = run(issue_all(&open.store, &plans, &random));
        let everywhere = open.store.certificates_find(
            &CertificateIndex::Time, IssuedBetween::default(), None, 3).unwrap().next;
        for index in indexes(&accounts, &KEYS) {
            let all: BTreeSet<_> = expected(&known, &index, IssuedBetween::default()).into_iter().collect();
            for after in [Some(place.as_slice()), everywhere.as_deref()].into_iter().flatten() {
                let found = find(&open.store, &index, IssuedBetween::default(), Some(after), limit);
                let set: BTreeSet<_> = found.iter().cloned().collect();
                prop_assert_eq!(set.len(), found.len());
                prop_assert!(set.is_subset(&all));
            }
        }
        open.close();
    }
}

#[test]
fn both_engines_find_the_same() {
    on_both(async |store, random| {
        let plans: Vec<Plan> = (0..12_usize)
            .map(|number| {
                let names = [number % NAMES.len(), (number * 3 + 1) % NAMES.len()];
                (number % 2, number / 2 % 2, number / 3 % 2, number as u64 / 4, names.into())
            })
            .collect();
        let (known, accounts) = issue_all(store, &plans, random).await;
        for index in indexes(&accounts, &KEYS) {
            for issued in spans() {
                for limit in 1..=known.len() {
                    check(store, &known, &index, issued, limit);
                }
            }
        }
    });
}

/// What is issued while somebody pages comes in or does not; what was there before comes once.
#[test]
fn pages_hold_while_more_is_issued() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await.id;
        let mut before = BTreeSet::new();
        for _ in 0..5 {
            before.insert(issue(store, wanted(account, random), random).await.1);
        }
        let index = CertificateIndex::Below(dns("example.org"));
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page =
                store.certificates_find(&index, IssuedBetween::default(), after.as_deref(), 2).unwrap();
            found.extend(page.found.into_iter().map(|(_, serial)| serial));
            after = page.next;
            if after.is_none() {
                break;
            }
            if found.len() < 5 {
                issue(store, wanted(account, random), random).await;
            }
        }
        let set: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(set.len(), found.len(), "one came twice");
        assert!(before.is_subset(&set), "one did not come");
        assert_eq!(store.certificate_by_serial(&issuer(), &found[0]).unwrap().unwrap().account, account);
    });
}
