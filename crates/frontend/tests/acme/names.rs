//! Names that get no certificate, and what the directory tells those who put records into the DNS before they order.

use std::sync::Arc;

use axum::http::Method;
use ingam_authority::{Catalog, Restrictions};
use ingam_protocol::acme::ChallengeType;
use ingam_protocol::name_list::NameList;
use ingam_protocol::profile::Profile;
use serde_json::{Value, json};

use crate::answer::plain;
use crate::client::{Key, ask, register};
use crate::world::{Process, World, hierarchy};

fn world() -> World {
    World::new(hierarchy(), 1)
}

fn order(process: &Process, names: &[&str]) -> Value {
    let key = Key::new();
    let account = register(process, &key);
    let identifiers: Vec<Value> = names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
    let answer = ask(process, &key, Some(&account), "/new-order", &json!({ "identifiers": identifiers }));
    assert_eq!(answer.problem(), "rejectedIdentifier", "{answer:?}");
    answer.json()
}

#[test]
fn each_name_is_told_why_it_gets_none() {
    let mut world = world();
    world.policy.restrictions = Restrictions {
        public_rules: true,
        blocked: Arc::new(NameList::parse("bank.example.net").unwrap()),
        ..Restrictions::default()
    };
    let process = world.start();
    let problem = order(&process, &["co.uk", "www.example.org", "bank.example.net"]);
    assert_eq!(problem["detail"], "2 identifiers are refused: see subproblems");
    let told = |index: usize| {
        (&problem["subproblems"][index]["identifier"], &problem["subproblems"][index]["detail"])
    };
    assert_eq!(told(0).0, &json!({ "type": "dns", "value": "co.uk" }));
    assert!(told(0).1.as_str().unwrap().contains("ask for a name below it"), "{problem}");
    assert_eq!(told(1).0, &json!({ "type": "dns", "value": "bank.example.net" }));
    assert_eq!(problem["subproblems"].as_array().unwrap().len(), 2);
    let problem = order(&process, &["host.local"]);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("host.local: names under local are of special use"), "{problem}");
    process.stop();
}

#[test]
fn the_directory_has_what_records_that_stay_say() {
    let mut world = world();
    world.config.caa_identities = vec!["CA.test".to_owned(), "other.test".to_owned()];
    let meta = |process: &Process| plain(process, Method::GET, "/dir").json()["meta"].clone();
    let process = world.start();
    assert_eq!(meta(&process)["issuerDomainNames"], Value::Null, "nobody offers dns-persist-01");
    assert_eq!(meta(&process)["accountHashPrefix"], Value::Null);
    let mut policy = world.policy.clone();
    let usual = policy.catalog.default_profile().clone();
    let profile = Profile { challenges: [ChallengeType::DnsPersist01].into(), ..Profile::clone(&usual) };
    policy.catalog = Catalog::new(vec![profile], &usual.name).unwrap();
    process.authority.policy_replace(policy);
    assert_eq!(meta(&process)["issuerDomainNames"], json!(["ca.test", "other.test"]));
    let prefix = ingam_frontend::account_hash_prefix(crate::world::PUBLIC_URL);
    assert_eq!(meta(&process)["accountHashPrefix"], json!(prefix));
    process.stop();
}
