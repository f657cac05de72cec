//! Proves that the store made anew from the journal is the one that was there: random histories of subscribers and operators
//! run through the real authority, then every table is compared, row by row, as [`TABLES`] says.
//!
//! What is not a failure: what [`TABLES`] lets differ, and says why.

mod cuts;
mod in_force;
mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ingam_authority::RevokedBy;
use ingam_authority::operator::{
    Act, Decided, JobRunner, KeyBlocking, KeyName, NameVerdict, NewApproval, NewExternalKey, OwnLimit,
    PlannedJob, Selection,
};
use ingam_journal::simulated::SimulatedDisk;
use ingam_journal::{Journal, JournalConfig, SegmentKeys};
use ingam_protocol::acme::{Account, AccountUpdate, NewAccount, Order};
use ingam_protocol::bytes::base64url;
use ingam_protocol::external::MacKey;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::limit::{Favoured, Limit, LimitName};
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{Clock as _, Random as _, SeededRandom};
use ingam_protocol::{Id, Reason, Serial};
use ingam_store::contact::SubjectKeys;
use ingam_store::engine::{Engine, Pair, Table};
use ingam_store::rebuild::{Kept, RebuildParts, Rebuilt, TABLES, rebuild_into};
use ingam_store::{Parts, StatusState, Store};
use ring::hmac;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::world::operator::act;
use crate::world::{DAY, HOUR, Key, Process, World, caller_with, csr, open_tables, revocation};

/// So many things happen in a history.
const STEPS: usize = 100;

/// What a history has made so far.
#[derive(Default)]
struct Made {
    accounts: Vec<(Account, Key)>,
    issued: Vec<(usize, Key, Vec<u8>, Serial)>,
    external: Vec<(Id, MacKey)>,
    incidents: usize,
    names: usize,
    holds: Vec<Id>,
    cases: Vec<String>,
    pages: u64,
    done: BTreeSet<&'static str>,
}

struct Dice(SeededRandom);

impl Dice {
    fn below(&self, end: usize) -> usize {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_be_bytes(bytes) as usize % end.max(1)
    }

    fn one<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

fn world() -> World {
    let mut world = World::new();
    let limit = Limit::new(100_000, HOUR, 100_000).unwrap();
    world.policy.rate_limits.limits = BTreeMap::from([(LimitName::NewOrdersPerAccount, limit)]);
    world.policy.rate_limits.unpause_url = "https://ca.test/unpause".to_owned();
    world
}

fn sent(payload: &Value) -> ingam_authority::Caller {
    caller_with(&base64url(payload.to_string().as_bytes()))
}

fn binding(account: &Key, (key, secret): &(Id, MacKey)) -> Value {
    let header = json!({ "alg": "HS256", "kid": key, "url": "https://ca.test/any" }).to_string();
    let (protected, payload) =
        (base64url(header.as_bytes()), base64url(account.public().to_jwk().as_bytes()));
    let mac = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
    let mac = hmac::sign(&mac, format!("{protected}.{payload}").as_bytes());
    json!({ "protected": protected, "payload": payload, "signature": base64url(mac.as_ref()) })
}

fn new_account(
    process: &Process,
    contacts: &[String],
    bound: Option<&(Id, MacKey)>,
) -> Option<(Account, Key)> {
    let key = Key::new();
    let binding = bound.map(|external| binding(&key, external));
    let payload = json!({ "contact": contacts, "externalAccountBinding": binding });
    let request = NewAccount {
        contact: Some(contacts.to_vec()),
        terms_of_service_agreed: true,
        only_return_existing: false,
        external_account_binding: binding,
    };
    let made = process.run(process.authority.account_create(key.public(), request, &sent(&payload)));
    made.ok().map(|found| (found.account().clone(), key))
}

/// One thing that somebody does; what is refused is nothing.
fn step(world: &World, process: &Process, made: &mut Made, dice: &Dice) {
    let authority = &process.authority;
    let name = |number: usize| DnsName::parse(&format!("n{number}.example.org")).unwrap();
    let which = dice.below(20 + people::STEPS);
    let what = match which {
        20.. => {
            let Some(what) = people::step(world, process, made, dice, which - 20) else { return };
            what
        }
        0 | 1 => {
            let contacts: Vec<String> =
                (0..dice.below(3)).map(|number| format!("mailto:p{number}@example.net")).collect();
            made.accounts.extend(new_account(process, &contacts, None));
            "account"
        }
        2..=5 => {
            let Some((account, _)) = dice.one(&made.accounts) else { return };
            let at = made.accounts.iter().position(|(known, _)| known.id == account.id).unwrap();
            made.names += 1;
            let (key, name) = (Key::new(), format!("www.m{}.example.com", made.names));
            let Ok(order) = process.try_order(account, crate::world::new_order(&[&name])) else { return };
            let order = process.make_ready(account, &order);
            let Ok(view) = process.finalize(account, order.order.id, &csr(&key, &[&name])) else { return };
            let serial = view.order.certificate.unwrap();
            let der = authority.certificate(account, &crate::world::issuer(), &serial).unwrap().unwrap().der;
            made.issued.push((at, key, der, serial));
            "issue"
        }
        6 => {
            let at = dice.below(made.accounts.len());
            let Some((account, key)) = made.accounts.get_mut(at) else { return };
            let new = Key::new();
            let changed = process.run(authority.account_key_change(account, new.public(), &sent(&json!({}))));
            let Ok(changed) = changed else { return };
            (*account, *key) = (changed, new);
            "key change"
        }
        7 => {
            let Some((account, _)) = dice.one(&made.accounts) else { return };
            let contact: Vec<String> =
                (0..dice.below(2)).map(|number| format!("mailto:new{number}@example.net")).collect();
            let payload = json!({ "contact": contact });
            let update =
                AccountUpdate { contact: Some(contact), status: None, terms_of_service_agreed: None };
            let _ = process.run(authority.account_update(account, update, &sent(&payload)));
            "contacts"
        }
        8 if dice.below(3) == 0 => {
            let Some((account, _)) = dice.one(&made.accounts) else { return };
            let update = AccountUpdate {
                contact: None,
                status: Some("deactivated".to_owned()),
                terms_of_service_agreed: None,
            };
            let _ = process.run(authority.account_update(account, update, &sent(&json!({}))));
            "deactivate"
        }
        9 => {
            let Some((at, key, der, _)) = dice.one(&made.issued) else { return };
            let (by, reason) = match dice.below(2) {
                0 => (RevokedBy::Account(made.accounts[*at].0.clone()), 4),
                _ => (RevokedBy::Key(key.public()), 1),
            };
            let _ = process.run(authority.certificate_revoke(by, revocation(der, reason), &sent(&json!({}))));
            "revoke"
        }
        10 => {
            let Some((_, _, _, serial)) = dice.one(&made.issued) else { return };
            let reason = [Reason::KeyCompromise, Reason::Superseded][dice.below(2)];
            let block = dice.below(2) == 0;
            let _ = process.run(authority.revoke_for_operator(&act("cert.revoke"), serial, reason, block));
            "operator revokes"
        }
        11 => {
            let mut hash = [0; 32];
            dice.0.fill(&mut hash);
            let blocking = KeyBlocking {
                named_by: [KeyName::Thumbprint, KeyName::SpkiSha256][dice.below(2)],
                hash,
                reason: Reason::KeyCompromise,
                source: Some("a list".to_owned()),
            };
            process.run(authority.key_block(&act("key.block"), blocking)).unwrap();
            process
                .run(authority.keys_block(
                    &act("key.import"),
                    &[[u8::try_from(made.names % 256).unwrap(); 32]],
                    Reason::Superseded,
                    None,
                ))
                .unwrap();
            if dice.below(2) == 0 {
                process.run(authority.key_unblock(&act("key.unblock"), hash)).unwrap();
            }
            "keys"
        }
        12 => {
            let verdict = [NameVerdict::Block, NameVerdict::Allow][dice.below(2)];
            let (put, forget) = (name(dice.below(5)), name(dice.below(5)));
            process
                .run(authority.name_rule_put(&act("name.block"), put, verdict, dice.below(2) == 0))
                .unwrap();
            let _ = process.run(authority.name_rule_forget(&act("name.forget"), forget));
            "names"
        }
        13 => {
            made.incidents += 1;
            let name = format!("leak-{}", made.incidents);
            let url = (dice.below(2) == 0).then(|| "https://ca.test/leak".to_owned());
            process
                .run(authority.incident_open(&act("incident.open"), &name, "leaked".to_owned(), None))
                .unwrap();
            let serials: Vec<Serial> =
                made.issued.iter().map(|(.., serial)| serial.clone()).take(5).collect();
            process.run(authority.incident_add(&act("incident.add"), &name, serials)).unwrap();
            process.run(authority.incident_explain(&act("incident.explain"), &name, url)).unwrap();
            "incident"
        }
        14 => {
            let somebody = || Principal::User(100 + u32::try_from(dice.below(3)).unwrap());
            let (give, take) = (somebody(), somebody());
            let _ = process.run(authority.role_grant(&act("role.grant"), give, Role::Auditor, None));
            let _ = process.run(authority.role_take(&act("role.take"), take, Role::Auditor));
            "roles"
        }
        15 => {
            let Some((account, _)) = dice.one(&made.accounts) else { return };
            let (limit, favoured) = (LimitName::NewOrdersPerAccount, Favoured::Account(account.id));
            let until = world.clock.now().plus(DAY);
            let wish =
                OwnLimit { limit, favoured: favoured.clone(), count: 7, period: None, burst: None, until };
            let _ = process.run(authority.limit_override_put(&act("limit.override"), wish));
            if dice.below(2) == 0 {
                let _ = process.run(authority.limit_override_forget(&act("limit.override"), limit, favoured));
            }
            "limits"
        }
        16 => {
            let new = NewExternalKey { holder: "contract".to_owned(), ..NewExternalKey::default() };
            let (key, secret) = process.run(authority.external_key_make(&act("eab.create"), new)).unwrap();
            made.external.push((key.id, secret));
            let bound = new_account(process, &[], made.external.last().filter(|_| dice.below(3) > 0));
            made.accounts.extend(bound);
            if dice.below(3) == 0 {
                process.run(authority.external_key_withdraw(&act("eab.withdraw"), key.id)).unwrap();
            }
            "external key"
        }
        17 => {
            let request = RawValue::from_string(r#"{"role":"auditor"}"#.to_owned()).unwrap();
            let new = NewApproval { act: "role.grant", request, lifetime: DAY };
            let asked = process.run(authority.approval_ask(&act("role.grant"), new)).unwrap();
            let second = Act { operator: Principal::User(8), ..act("role.grant") };
            let decided = [Decided::Approved, Decided::Refused][dice.below(2)];
            if dice.below(3) > 0 {
                process.run(authority.approval_decide(&second, asked.id, decided)).unwrap();
            }
            "approval"
        }
        18 => {
            let Some((account, _)) = dice.one(&made.accounts) else { return };
            let filter = ingam_authority::operator::CertificateFilter {
                account: Some(account.id),
                ..Default::default()
            };
            let selection = Selection { filter, incident: None };
            let expected = authority.revocation_plan(&selection).unwrap().count;
            let told = serde_json::value::to_raw_value(&json!({ "account": account.id })).unwrap();
            let planned = PlannedJob { selection, told, reason: Reason::Superseded, per_second: 1, expected };
            let started = process.run(authority.revocation_job_start(act("revocation.start"), planned));
            started.unwrap();
            let mut runner = JobRunner::new(authority.clone());
            runner.look().unwrap();
            for _ in 0..dice.below(4) {
                world.clock.advance(Duration::from_millis(1234));
                process.run(runner.tick(Duration::from_secs(1))).unwrap();
            }
            "job"
        }
        _ => {
            let Some((account, _)) = dice.one(&made.accounts) else { return };
            // Nobody ever shows anything for it.
            let _ = process.try_order(account, crate::world::new_order(&["never.example.org"]));
            "order"
        }
    };
    made.done.insert(what);
    world.clock.advance(Duration::from_millis(1 + dice.below(100_000) as u64));
}

/// Three orders that have no end: one that was claimed, one whose signer was asked as well, and one that is only ready.
fn leave_open(world: &World, process: &mut Process) -> (Serial, Serial) {
    let account = process.account();
    let mut open = |name: &'static str, asked: bool| {
        let order = process.ready_order(&account, &[name]).order;
        let claim = process.claim_and_stop(&account, order.id, &csr(&Key::new(), &[name]));
        process.kill_tasks();
        if asked {
            let now = world.clock.now();
            let told = json!({ "order": order.id, "token": claim.token, "issuer": claim.issuer, "serial": claim.serial });
            let told = told.to_string().into_bytes();
            let record = Record::new(RecordType::SignatureAsked, now, told, world.random.as_ref());
            let noted = process.store.order_ask(order.id, claim.token, now, record.ending(claim.not_after));
            process.run(noted).unwrap().unwrap();
        }
        claim.serial
    };
    let serials = (open("claimed.example.org", false), open("asked.example.org", true));
    process.ready_order(&account, &["ready.example.org"]);
    serials
}

fn rows(engine: &dyn Engine, table: &'static str) -> Vec<Pair> {
    engine.range(Table::new(table), &[], None, usize::MAX).unwrap()
}

struct Anew {
    rebuilt: Rebuilt,
    old: Arc<dyn Engine>,
    new: Arc<dyn Engine>,
}

/// Makes the store anew, with what the old one had in its outbox or without.
fn anew(world: &World, opens: bool) -> Anew {
    anew_with(world, &world.keys, opens)
}

/// The same, with these keys of contacts.
fn anew_with(world: &World, keys: &SimulatedDisk, opens: bool) -> Anew {
    let anew = anew_of(world, keys, opens);
    let rebuilt = &anew.rebuilt;
    assert_eq!((rebuilt.unreadable, rebuilt.orphans), (0, 0), "{:?}", rebuilt.examples);
    anew
}

/// The same, where records may be gone.
fn anew_of(world: &World, keys: &SimulatedDisk, opens: bool) -> Anew {
    let old = open_tables(&world.tables);
    let segment_keys = SegmentKeys::open(&world.journal, world.random.clone()).unwrap();
    let config = JournalConfig::default();
    let journal = Journal::open(Arc::new(world.journal.clone()), Arc::new(segment_keys), config).unwrap();
    let new = open_tables(&SimulatedDisk::new());
    let keys = SubjectKeys::open(Arc::new(keys.clone()), world.random.clone()).unwrap();
    let rebuilt = rebuild_into(&RebuildParts {
        journal: &journal,
        new: new.as_ref(),
        old: opens.then_some(old.as_ref()),
        keys: Some(&keys),
        reason: "a test",
        now: world.clock.now(),
        random: world.random.as_ref(),
    })
    .unwrap();
    Anew { rebuilt, old, new }
}

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().unwrap())
}

/// The serial number at the end of a key, and whether it is among those that were given up.
fn is_given_up(key: &[u8], given_up: &[String]) -> bool {
    let at = key.iter().position(|byte| *byte == 0).map_or(0, |at| at + 1);
    Serial::from_be_bytes(&key[at..]).is_some_and(|serial| given_up.contains(&serial.to_string()))
}

/// What of a row has to be the same.
fn essence(table: &str, (key, value): &Pair) -> Option<Value> {
    let json = || serde_json::from_slice::<Value>(value).unwrap();
    match table {
        "accounts" => {
            let mut row = json();
            if let Some(external) = row.get_mut("external").and_then(Value::as_object_mut) {
                // Where the key is gone, it is empty.
                external.remove("binding");
            }
            Some(row)
        }
        "subjects" | "segments_going" => Some(json()),
        "external_secrets" => Some(json!(value)),
        "certificate_dictionaries" => Some(json!([key, value])),
        "orders" => {
            let order: Order = serde_json::from_slice(value).unwrap();
            let mut row = json();
            let is_over = order.certificate.is_some() || order.failure.is_some();
            if let Some(claim) = row.get_mut("claim").and_then(Value::as_object_mut) {
                claim.remove("lease_until");
                claim.remove("token");
            }
            // One that had no end has one now.
            Some(if is_over { row } else { json!({ "id": order.id }) })
        }
        "revocation_jobs" => {
            let row = json();
            Some(json!({ "id": row["id"], "by": row["by"], "selection": row["selection"], "key": key }))
        }
        _ => None,
    }
}

fn compare(anew: &Anew) {
    let given_up = &anew.rebuilt.given_up.revoked;
    for (table, kept) in TABLES {
        let (old, new) = (rows(anew.old.as_ref(), table), rows(anew.new.as_ref(), table));
        match (*table, kept) {
            (_, Kept::Same) => assert_eq!(
                old.iter().map(shown).collect::<Vec<_>>(),
                new.iter().map(shown).collect::<Vec<_>>(),
                "{table}"
            ),
            // Records of what was given up, and of the rebuild.
            ("outbox" | "revocation_jobs_open", _) => {}
            (_, Kept::Nothing(_)) => assert_eq!(new.len(), 0, "{table}"),
            ("meta", _) => {
                let new: BTreeMap<_, _> = new.into_iter().collect();
                for (key, value) in old {
                    // How far rows are packed is no number, and is found anew.
                    if key.starts_with(b"packed/") {
                        continue;
                    }
                    // Of revocations that are gone it is not known in which lists they were.
                    if key.starts_with(b"revoked_generation/") && !anew.rebuilt.destroyed.is_empty() {
                        continue;
                    }
                    assert!(number(&new[&key]) >= number(&value), "{}", String::from_utf8_lossy(&key));
                }
            }
            ("erasures_open", _) => {
                // A closed account that is sent contacts has a key again, under which nothing lies: it goes once more.
                let (left, more): (Vec<Pair>, Vec<Pair>) =
                    new.into_iter().partition(|(key, _)| old.iter().any(|(known, _)| known == key));
                assert_eq!(
                    old.iter().map(shown).collect::<Vec<_>>(),
                    left.iter().map(shown).collect::<Vec<_>>()
                );
                for (key, _) in more {
                    let account = anew.new.get(Table::new("accounts"), &key).unwrap().unwrap();
                    assert!(serde_json::from_slice::<Account>(&account).unwrap().deactivated.is_some());
                }
            }
            // Of certificates that are gone, dictionaries stay, and are not made anew.
            ("certificate_dictionaries", _) if !anew.rebuilt.destroyed.is_empty() => {}
            // Sealed anew: compared by what they hold.
            ("contacts", _) => assert_eq!(keys_of(&old), keys_of(&new)),
            ("statuses" | "revoked", _) => {
                let left = |rows: Vec<Pair>| -> Vec<Pair> {
                    let rows = rows.into_iter().filter(|(key, _)| !is_given_up(key, given_up));
                    rows.map(|(key, value)| (key, without_generation(value, anew))).collect()
                };
                assert_eq!(left(old), left(new), "{table}");
            }
            ("revoked_by_generation", _) => {
                let left = |rows: Vec<Pair>| -> Vec<Pair> {
                    // Of what was revoked twice the older number may be left when the rest is gone.
                    let is_known =
                        |serial: &[u8]| anew.old.get(Table::new("statuses"), serial).unwrap().is_some();
                    let rows = rows.into_iter();
                    let rows = rows.filter(|(_, value)| is_known(value) && !is_given_up(value, given_up));
                    let number = |key| if anew.rebuilt.destroyed.is_empty() { key } else { Vec::new() };
                    rows.map(|(key, value)| (number(key), value)).collect()
                };
                assert_eq!(left(old), left(new), "{table}");
            }
            ("orders", _) => {
                // What had no end is compared by its id alone.
                let open: BTreeSet<Vec<u8>> = old
                    .iter()
                    .filter(|(_, row)| {
                        let order: Order = serde_json::from_slice(row).unwrap();
                        order.certificate.is_none() && order.failure.is_none()
                    })
                    .map(|(key, _)| key.clone())
                    .collect();
                assert_eq!(keys_of(&old), keys_of(&new));
                for (old, new) in old.iter().zip(&new).filter(|(old, _)| !open.contains(&old.0)) {
                    assert_eq!(essence(table, old), essence(table, new), "{table}");
                }
            }
            (_, Kept::But(_)) => {
                let essences = |rows: &[Pair]| rows.iter().map(|row| essence(table, row)).collect::<Vec<_>>();
                assert_eq!(essences(&old), essences(&new), "{table}");
                assert!(old.is_empty() || essence(table, &old[0]).is_some(), "{table} is not compared");
            }
        }
    }
}

/// Where records are gone, statuses are numbered from one on again, up to a number that is as high as it was.
fn without_generation(mut status: Vec<u8>, anew: &Anew) -> Vec<u8> {
    if !anew.rebuilt.destroyed.is_empty() {
        status.truncate(status.len().saturating_sub(8));
    }
    status
}

fn keys_of(rows: &[Pair]) -> Vec<&[u8]> {
    rows.iter().map(|(key, _)| key.as_slice()).collect()
}

fn shown((key, value): &Pair) -> (String, String) {
    (String::from_utf8_lossy(key).into_owned(), String::from_utf8_lossy(value).into_owned())
}

fn assemble(world: &World, engine: Arc<dyn Engine>) -> (Store, ingam_store::StoreProcess) {
    assemble_with(world, &world.keys, engine)
}

fn assemble_with(
    world: &World,
    keys: &SimulatedDisk,
    engine: Arc<dyn Engine>,
) -> (Store, ingam_store::StoreProcess) {
    Store::assemble(Parts {
        engine,
        journal: Arc::new(world.journal.clone()),
        journal_keys: Arc::new(world.journal.clone()),
        keys: Arc::new(keys.clone()),
        random: world.random.clone(),
    })
    .unwrap()
}

#[test]
fn every_table_is_said_to_be_kept_or_not() {
    let said: BTreeSet<&str> = TABLES.iter().map(|(table, _)| *table).collect();
    let tables: BTreeSet<&str> = ingam_store::table_classes().map(|(table, _)| table).collect();
    assert_eq!(said, tables);
}

#[test]
fn a_store_made_anew_is_the_one_that_was_there() {
    let (mut done, mut had_contacts) = (BTreeSet::new(), false);
    let mut empty: BTreeSet<&str> = people::TABLES.into();
    for seed in 0..6 {
        let world = world();
        let mut process = world.start();
        let mut made = Made::default();
        let dice = Dice(SeededRandom::new(seed));
        made.accounts.extend(new_account(&process, &["mailto:first@example.net".to_owned()], None));
        for _ in 0..STEPS {
            step(&world, &process, &mut made, &dice);
        }
        let (claimed, asked) = leave_open(&world, &mut process);
        people::leave_going(&world, &process);
        done.extend(made.done);
        process.stop();

        let anew = anew(&world, true);
        compare(&anew);
        empty.retain(|table| rows(anew.old.as_ref(), table).is_empty());
        assert_eq!(anew.rebuilt.given_up.revoked, [asked.to_string()], "it was asked for, and nobody has it");
        let contacts = |engine: &Arc<dyn Engine>| {
            let (store, threads) = assemble(&world, engine.clone());
            let all = store.accounts(Id::from_bytes([0; 16]), usize::MAX).unwrap();
            let of = |account: &Account| {
                let contacts = store.account_contacts(account.id).unwrap();
                contacts.iter().map(|contact| contact.expose().to_owned()).collect::<Vec<_>>()
            };
            let contacts: Vec<_> = all.iter().map(of).collect();
            let issuer = crate::world::issuer();
            let status = |serial| store.statuses().status(&issuer, serial).unwrap().map(|row| row.state);
            let states = (status(&claimed), status(&asked));
            drop(store);
            threads.close();
            (contacts, states)
        };
        let (before, _) = contacts(&anew.old);
        let (after, states) = contacts(&anew.new);
        assert_eq!(before, after);
        had_contacts |= before.iter().any(|contacts| !contacts.is_empty());
        assert_eq!(states.0, Some(StatusState::Reserved), "nobody was asked to sign it");
        assert!(states.1.is_some_and(|state| state.is_revoked()));
    }
    assert!(had_contacts);
    assert!(empty.is_empty(), "nothing was compared of {empty:?}");
    assert!(done.len() >= 25, "the histories are too much alike: {done:?}");
}

#[test]
fn a_store_that_does_not_open_leaves_no_serial_number_unknown_and_no_number_is_used_twice() {
    let world = world();
    let mut process = world.start();
    let account = process.account();
    let serial = process.certificate(&account, &Key::new(), "a.example.org").0.order.certificate.unwrap();
    let (claimed, asked) = leave_open(&world, &mut process);
    let statuses = process.store.statuses();
    let issuer = crate::world::issuer();
    let number = process.run(statuses.crl_number_next(&issuer, None, 0)).unwrap();
    let told = json!({ "issuer": issuer, "number": number }).to_string().into_bytes();
    let record = Record::new(RecordType::CrlSigned, world.clock.now(), told, world.random.as_ref());
    process.run(statuses.records_append(vec![record])).unwrap();
    let generation = statuses.generation();
    process.stop();

    let first = anew(&world, false);
    let mut revoked = first.rebuilt.given_up.revoked.clone();
    let mut expected = vec![claimed.to_string(), asked.to_string()];
    revoked.sort();
    expected.sort();
    assert_eq!(revoked, expected, "either may have been signed behind the last record");
    let (store, threads) = assemble(&world, first.new.clone());
    let statuses = store.statuses();
    assert!(statuses.generation() > generation + 1000);
    assert_eq!(statuses.status(&issuer, &serial).unwrap().unwrap().state, StatusState::Good);
    let next = statuses.crl_number_next(&issuer, None, 0);
    assert!(
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(next).unwrap()
            > number + 1000
    );
    drop((store, statuses));
    threads.close();
    // Once more: what was given up is on record now, and nothing else is.
    let second = anew(&world, false);
    assert_eq!(second.rebuilt.given_up.revoked, Vec::<String>::new());
    let (store, threads) = assemble(&world, second.new.clone());
    for serial in [&claimed, &asked] {
        let row = store.statuses().status(&issuer, serial).unwrap();
        assert!(row.is_some_and(|row| row.state.is_revoked()));
    }
    drop(store);
    threads.close();
}
