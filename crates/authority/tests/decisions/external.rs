//! Proves what a key that operators gave out does: it makes one account however many ask at once, none once it has ended,
//! and its account gets what it permits and nothing beyond, when it orders and again when it finalizes.

use futures_util::future::join_all;
use ingam_authority::operator::{ExternalKey, NewExternalKey, Outcome};
use ingam_authority::{AccountFound, Catalog, Error, OrderView, Refusal};
use ingam_journal::files::Files;
use ingam_protocol::Id;
use ingam_protocol::acme::{
    Account, ErrorType, NewAccount, NewAuthorization, NewOrder, Order, OrderStatus, UnreadIdentifier,
};
use ingam_protocol::bytes::{base64url, hex};
use ingam_protocol::external::MacKey;
use ingam_protocol::identifier::{Domain, Identifier};
use ingam_protocol::jws::JwsText;
use ingam_protocol::profile::{Accounts, Allowed, Profile};
use ingam_protocol::record::{Class, Record, RecordType, Seal};
use ingam_protocol::time::Clock as _;
use ingam_store::{Admission, Admitted};
use ring::hmac;
use serde_json::{Value, json};

use crate::world::operator::{act, acted, failed, kinds};
use crate::world::{DAY, Key, Process, World, caller, caller_with, csr, new_order, refusal, revocation};

/// Where [`caller`] says that its requests go.
const URL: &str = "https://ca.test/any";

fn new_key() -> NewExternalKey {
    NewExternalKey { holder: "contract 4711".to_owned(), ..NewExternalKey::default() }
}

fn limited(profiles: &[&str], names: &[&str]) -> NewExternalKey {
    NewExternalKey {
        profiles: profiles.iter().map(|name| (*name).to_owned().try_into().unwrap()).collect(),
        names: names.iter().map(|name| Domain::parse(name).unwrap()).collect(),
        ..new_key()
    }
}

/// The binding that the holder of these makes for an account key.
fn binding(account: &Key, key: Id, secret: &MacKey) -> Value {
    let header = json!({ "alg": "HS256", "kid": key, "url": URL }).to_string();
    let (protected, payload) =
        (base64url(header.as_bytes()), base64url(account.public().to_jwk().as_bytes()));
    let mac = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
    let mac = hmac::sign(&mac, format!("{protected}.{payload}").as_bytes());
    json!({ "protected": protected, "payload": payload, "signature": base64url(mac.as_ref()) })
}

fn request(binding: Option<Value>) -> NewAccount {
    NewAccount {
        contact: None,
        terms_of_service_agreed: true,
        only_return_existing: false,
        external_account_binding: binding,
    }
}

impl Process {
    fn external_key(&self, new: NewExternalKey) -> (ExternalKey, MacKey) {
        self.run(self.authority.external_key_make(&act("eab.create"), new)).unwrap()
    }

    async fn bind(&self, account: &Key, key: Id, secret: &MacKey) -> Result<AccountFound, Error> {
        let request = request(Some(binding(account, key, secret)));
        self.authority.account_create(account.public(), request, &caller()).await
    }

    fn bound(&self, new: NewExternalKey) -> (Account, Id) {
        let (key, secret) = self.external_key(new);
        let found = self.run(self.bind(&Key::new(), key.id, &secret)).unwrap();
        (found.account().clone(), key.id)
    }

    fn withdraw(&self, key: Id) -> ExternalKey {
        self.run(self.authority.external_key_withdraw(&act("eab.withdraw"), key)).unwrap()
    }

    /// Puts an order into the store that newOrder would have refused.
    fn smuggle(&self, world: &World, order: Order) -> Id {
        let id = Id::new(self.authority.clock().now(), world.random.as_ref());
        let told =
            Record::new(RecordType::OrderCreated, order.created, b"{}".to_vec(), world.random.as_ref());
        let (order, nothing) = (Order { id, ..order }, Admission::default());
        let made = self.run(self.store.order_insert(order, Vec::new(), told, nothing));
        assert_eq!(made.unwrap(), Admitted::Yes);
        id
    }
}

fn wish(
    process: &Process,
    account: &Account,
    names: &[&str],
    profile: Option<&str>,
) -> Result<OrderView, Error> {
    process.try_order(account, NewOrder { profile: profile.map(str::to_owned), ..new_order(names) })
}

fn outcome(refused: &Refusal) -> (ErrorType, bool) {
    (refused.error, refused.account_ended)
}

#[test]
fn many_accounts_race_for_one_key_and_one_is_made() {
    let world = World::new();
    let process = world.start();
    for _ in 0..5 {
        let (key, secret) = process.external_key(new_key());
        let keys: Vec<Key> = (0..6).map(|_| Key::new()).collect();
        let tries = keys.iter().map(|account| process.bind(account, key.id, &secret));
        let outcomes = process.run(join_all(tries));
        let (made, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        let [Ok(AccountFound::New(account))] = &made[..] else { panic!("one was made: {made:?}") };
        let found = process.authority.external_key(key.id).unwrap();
        assert_eq!(found.bound.unwrap().account, account.id);
        for one in refused {
            let refused = refusal(one);
            assert_eq!(outcome(&refused), (ErrorType::Unauthorized, false));
            assert!(refused.detail.contains("has an account already"), "{}", refused.detail);
        }
        let there = keys.iter().filter(|key| process.store.account_by_key(&key.public()).unwrap().is_some());
        assert_eq!(there.count(), 1);
    }
    assert_eq!(process.records_of(RecordType::AccountCreated).len(), 5, "what was refused left no record");
    process.stop();
}

#[test]
fn an_account_that_asks_twice_at_once_finds_itself() {
    let world = World::new();
    let process = world.start();
    let (key, secret) = process.external_key(new_key());
    let account = Key::new();
    let tries = (0..4).map(|_| process.bind(&account, key.id, &secret));
    let outcomes = process.run(join_all(tries));
    let found: Vec<AccountFound> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(found.iter().filter(|found| matches!(found, AccountFound::New(_))).count(), 1);
    assert!(found.iter().all(|one| one.account().id == found[0].account().id));
    // Later, too, whatever has become of the key.
    process.withdraw(key.id);
    let again = process.run(process.bind(&account, key.id, &secret)).unwrap();
    assert!(matches!(again, AccountFound::Existing(_)));
    process.stop();
}

#[test]
fn a_withdrawal_that_races_a_binding_comes_before_or_after_it() {
    let world = World::new();
    let process = world.start();
    for _ in 0..10 {
        let (key, secret) = process.external_key(new_key());
        let (account, end) = (Key::new(), act("eab.withdraw"));
        let (bound, withdrawn) = process.run(async {
            tokio::join!(
                process.bind(&account, key.id, &secret),
                process.authority.external_key_withdraw(&end, key.id)
            )
        });
        withdrawn.unwrap();
        let found = process.authority.external_key(key.id).unwrap();
        assert_eq!(found.bound.map(|bound| bound.account), bound.ok().map(|found| found.account().id));
        assert!(found.withdrawn.is_some());
    }
    process.stop();
}

#[test]
fn a_key_ends_by_time_for_new_accounts_alone() {
    let world = World::new();
    let process = world.start();
    let expires = Some(world.clock.now().plus(DAY));
    let (account, _) = process.bound(NewExternalKey { expires, ..new_key() });
    let (key, secret) = process.external_key(NewExternalKey { expires, ..new_key() });
    world.clock.advance(DAY);
    let refused = refusal(process.run(process.bind(&Key::new(), key.id, &secret)));
    assert_eq!(outcome(&refused), (ErrorType::Unauthorized, false));
    assert!(refused.detail.contains("time is over"), "{}", refused.detail);
    process.certificate(&account, &Key::new(), "a.example.org");
    process.stop();
}

#[test]
fn an_account_of_a_withdrawn_key_gets_nothing_more_and_keeps_what_it_has() {
    let world = World::new();
    let process = world.start();
    let (account, key) = process.bound(new_key());
    let (_, der) = process.certificate(&account, &Key::new(), "a.example.org");
    let ready = process.ready_order(&account, &["b.example.org"]);
    process.withdraw(key);

    let refused = [
        refusal(wish(&process, &account, &["c.example.org"], None)),
        refusal(process.finalize(&account, ready.order.id, &csr(&Key::new(), &["b.example.org"]))),
    ];
    for refused in refused {
        assert_eq!(outcome(&refused), (ErrorType::Unauthorized, false));
        let words = format!("the key {key} was withdrawn: ask this CA's operators");
        assert!(refused.detail.starts_with(&words), "{}", refused.detail);
    }
    assert_eq!(process.order_status(&account, ready.order.id), OrderStatus::Ready, "nothing was claimed");
    let by = ingam_authority::RevokedBy::Account(account.clone());
    process.run(process.authority.certificate_revoke(by, revocation(&der, 4), &caller())).unwrap();

    let free = process.account();
    process.certificate(&free, &Key::new(), "d.example.org");
    process.stop();
}

#[test]
fn a_key_permits_its_profiles_alone() {
    let world = World::new();
    let process = world.start();
    let (account, _) = process.bound(limited(&["short"], &[]));
    // The default profile is another one, and the client may not know how to name one.
    let order = wish(&process, &account, &["a.example.org"], None).unwrap();
    assert_eq!(order.order.profile.as_str(), "short");
    wish(&process, &account, &["a.example.org"], Some("short")).unwrap();
    let refused = refusal(wish(&process, &account, &["a.example.org"], Some("classic")));
    assert_eq!(refused.error, ErrorType::InvalidProfile);
    assert!(refused.detail.contains("only the profile short"), "{}", refused.detail);
    let unknown = refusal(wish(&process, &account, &["a.example.org"], Some("other")));
    assert_eq!(unknown.error, ErrorType::InvalidProfile);

    let (both, _) = process.bound(limited(&["short", "classic"], &[]));
    let order = wish(&process, &both, &["a.example.org"], None).unwrap();
    assert_eq!(order.order.profile.as_str(), "classic", "the default one, where the key permits it");

    let ready = process.ready_order(&account, &["b.example.org"]);
    let profile = "classic".to_owned().try_into().unwrap();
    let id = process.smuggle(&world, Order { profile, ..ready.order });
    let refused = refusal(process.finalize(&account, id, &csr(&Key::new(), &["b.example.org"])));
    assert_eq!(refused.error, ErrorType::InvalidProfile);
    process.stop();
}

#[test]
fn a_key_permits_its_names_and_those_below() {
    let world = World::new();
    let process = world.start();
    let (account, key) = process.bound(limited(&[], &["example.org", "www.example.net"]));
    for inside in ["example.org", "a.b.example.org", "*.example.org", "www.example.net", "*.www.example.net"]
    {
        wish(&process, &account, &[inside], None).unwrap();
    }
    let outside = ["example.net", "*.example.net", "notexample.org", "example.org.example.com"];
    for name in outside {
        let refused = refusal(wish(&process, &account, &[name], None));
        assert_eq!(refused.error, ErrorType::RejectedIdentifier, "{name}");
        let words =
            format!("the key {key} to which this account is bound permits only example.org, www.example.net");
        assert!(refused.detail.contains(&words), "{}", refused.detail);
    }
    let refused = refusal(wish(&process, &account, &["a.example.org", outside[0], outside[2]], None));
    assert_eq!(refused.error, ErrorType::RejectedIdentifier);
    let told: Vec<_> = refused.subproblems.iter().map(|one| (one.identifier.as_str(), one.error)).collect();
    let rejected = ErrorType::RejectedIdentifier;
    assert_eq!(told, [(outside[0], rejected), (outside[2], rejected)]);

    let ready = process.ready_order(&account, &["b.example.org"]);
    let identifiers = vec![Identifier::parse_dns("example.net").unwrap()];
    let id = process.smuggle(&world, Order { identifiers, ..ready.order });
    let refused = refusal(process.finalize(&account, id, &csr(&Key::new(), &["example.net"])));
    assert_eq!((refused.error, refused.subproblems.len()), (ErrorType::RejectedIdentifier, 1));
    process.stop();
}

/// An address is below no name.
#[test]
fn a_key_with_names_permits_no_address() {
    let mut world = World::new();
    let classic = Profile::clone(world.policy.catalog.default_profile());
    let identifiers = Allowed { addresses: true, ..classic.identifiers.clone() };
    let (name, classic) = (classic.name.clone(), Profile { identifiers, ..classic });
    world.policy.catalog = Catalog::new(vec![classic], &name).unwrap();
    let process = world.start();
    let (free, _) = process.bound(new_key());
    wish(&process, &free, &["192.0.3.1"], None).unwrap();
    let (account, _) = process.bound(limited(&[], &["example.org"]));
    let refused = refusal(wish(&process, &account, &["192.0.3.1"], None));
    assert_eq!(refused.error, ErrorType::RejectedIdentifier);
    assert!(refused.detail.contains("permits only example.org"), "{}", refused.detail);
    process.stop();
}

#[test]
fn an_authorization_ahead_of_an_order_keeps_to_the_key() {
    let world = World::new();
    let process = world.start();
    let (account, key) = process.bound(limited(&[], &["example.org"]));
    let ask = |name: &str| {
        let request =
            NewAuthorization { identifier: UnreadIdentifier::dns(name), subdomain_auth_allowed: false };
        process.run(process.authority.authorization_create(&account, request, &caller()))
    };
    ask("a.example.org").unwrap();
    assert_eq!(refusal(ask("a.example.net")).error, ErrorType::RejectedIdentifier);
    process.withdraw(key);
    assert_eq!(refusal(ask("a.example.org")).error, ErrorType::Unauthorized);
    process.stop();
}

#[test]
fn a_profile_for_bound_accounts_is_for_them_alone() {
    let mut world = World::new();
    let classic = Profile::clone(world.policy.catalog.default_profile());
    let (name, bound) = (classic.name.clone(), "bound".to_owned().try_into().unwrap());
    let bound = Profile { name: bound, accounts: Accounts::Bound, ..classic.clone() };
    world.policy.catalog = Catalog::new(vec![classic, bound], &name).unwrap();
    let process = world.start();
    let refused = refusal(wish(&process, &process.account(), &["a.example.org"], Some("bound")));
    assert_eq!(refused.error, ErrorType::Unauthorized);
    let (account, _) = process.bound(new_key());
    let order = wish(&process, &account, &["a.example.org"], Some("bound")).unwrap();
    process.make_ready(&account, &order);
    process.finalize(&account, order.order.id, &csr(&Key::new(), &["a.example.org"])).unwrap();
    process.stop();
}

#[test]
fn an_account_that_is_there_needs_no_key_and_a_new_one_does() {
    let mut world = World::new();
    let process = world.start();
    let old = Key::new();
    let account = process.account_with(&old, &[]);
    process.stop();
    world.policy.external_account_required = true;
    let process = world.start();
    assert_eq!(refusal(process.try_account(&Key::new(), &[])).error, ErrorType::ExternalAccountRequired);
    assert_eq!(process.account_with(&old, &[]).id, account.id);
    process.certificate(&account, &Key::new(), "a.example.org");
    process.bound(new_key());
    process.stop();
}

#[test]
fn acts_on_keys_are_on_record_and_secrets_are_not() {
    let world = World::new();
    let process = world.start();
    let make = act("eab.create");
    let expires = Some(world.clock.now().plus(DAY));
    let new = NewExternalKey { expires, ..limited(&["classic"], &["example.org"]) };
    let (made, told) = process.acts(process.authority.external_key_make(&make, new));
    let (key, secret) = made.unwrap();
    assert_eq!(kinds(&told), [RecordType::ExternalKeyMade, RecordType::OperatorActed]);
    assert_eq!((told[0].class, told[1].class), (Class::Issuance, Class::AccessLog));
    assert_eq!(
        told[0].payload,
        json!({
            "id": key.id, "holder": "contract 4711", "profiles": ["classic"], "names": ["example.org"],
            "expires": expires, "by": "uid:7", "at": key.at,
        })
    );
    assert_eq!(told[1].payload, acted("eab.create", Outcome::Done));

    let account = Key::new();
    let sent = binding(&account, key.id, &secret);
    let text: JwsText = serde_json::from_value(sent.clone()).unwrap();
    let payload = base64url(json!({ "externalAccountBinding": text }).to_string().as_bytes());
    let who = caller_with(&payload);
    let (found, told) =
        process.acts(process.authority.account_create(account.public(), request(Some(sent)), &who));
    assert_eq!(found.unwrap().account().external.as_ref().unwrap().binding, text);
    assert_eq!(kinds(&told), [RecordType::AccountCreated]);
    assert_eq!(told[0].payload["external_key"], json!(key.id));
    let seals: Vec<_> = told[0].record.parts.iter().map(|part| part.seal).collect();
    assert_eq!(seals, [Seal::Open, Seal::Subject], "the request is kept, but sealed");
    let open = told[0].payload.to_string();
    assert!(!open.contains(&text.signature) && !open.contains(&payload), "{open}");

    let (withdrawn, told) =
        process.acts(process.authority.external_key_withdraw(&act("eab.withdraw"), key.id));
    let end = withdrawn.unwrap().withdrawn.unwrap();
    assert_eq!(kinds(&told), [RecordType::ExternalKeyWithdrawn, RecordType::OperatorActed]);
    assert_eq!(told[0].payload, json!({ "key": key.id, "by": "uid:7", "at": end.at, "reason": "ticket 12" }));
    let (again, told) = process.acts(process.authority.external_key_withdraw(&act("eab.withdraw"), key.id));
    assert_eq!((failed(again), told), ("conflict", Vec::new()));
    let unknown = Id::from_bytes([7; 16]);
    let missing = process.run(process.authority.external_key_withdraw(&act("eab.withdraw"), unknown));
    assert_eq!(failed(missing), "not found");

    process.stop();
    let traces = [secret.expose().to_vec(), secret.text().as_bytes().to_vec(), hex(secret.expose()).into()];
    for disk in [&world.tables, &world.journal, &world.keys] {
        for name in disk.list().unwrap() {
            let contents = disk.contents(&name).unwrap();
            let holds = |trace: &Vec<u8>| contents.windows(trace.len()).any(|window| window == trace);
            assert!(!traces.iter().any(holds), "the file {name} holds the MAC key");
        }
    }
}

#[test]
fn a_key_that_makes_no_sense_is_not_made() {
    let world = World::new();
    let process = world.start();
    let now = world.clock.now();
    let many = (0..101).map(|number| format!("n{number}.example.org")).collect::<Vec<_>>();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for new in
        [limited(&["other"], &[]), NewExternalKey { expires: Some(now), ..new_key() }, limited(&[], &many)]
    {
        let (made, told) = process.acts(process.authority.external_key_make(&act("eab.create"), new));
        assert_eq!((failed(made), told), ("invalid", Vec::new()));
    }
    assert!(process.authority.external_keys(None, None, 10).unwrap().items.is_empty());
    process.stop();
}
