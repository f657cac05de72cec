//! Proves that every list of the API, asked for page by page with each page's own `next`, gives each thing once, whatever
//! the length of a page; and that a key to be blocked is read out of whatever carries it, but for what carries a secret.

use std::collections::BTreeSet;

use ingam_protocol::bytes::{base64url, from_base64url};
use ingam_protocol::key::PublicKey;
use ingam_protocol::ocsp::Response;
use ingam_protocol::operator::Role;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use serde_json::{Value, json};

use crate::acts::{blocked_key, external_key, fault_case, incident, own_limit, ruled_name, waiting};
use crate::client::{get, post};
use crate::world::{DAY, World};

/// A list: its path, and what names one of its things.
const LISTS: [(&str, &str); 12] = [
    ("/v1/accounts", "id"),
    ("/v1/orders", "id"),
    ("/v1/certificates", "serial"),
    ("/v1/ocsp/answers", "serial"),
    ("/v1/revocations", "id"),
    ("/v1/incidents", "name"),
    ("/v1/external-keys", "id"),
    ("/v1/keys", "thumbprint"),
    ("/v1/names", "name"),
    ("/v1/limits/overrides", "account"),
    ("/v1/approvals", "id"),
    ("/v1/cases", "name"),
];

#[test]
fn every_list_gives_each_thing_once_in_pages_of_any_length() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    for _ in 0..5 {
        let account = world.account();
        let serial = world.certificate(&account).to_string();
        let body = json!({
            "selection": { "serials": [serial] }, "revocation_reason": "superseded", "per_second": 1,
            "expected": 1, "reason": "ticket",
        });
        assert_eq!(world.send(boss, &post("/v1/revocations", body)).status, 201);
        incident(&world);
        blocked_key(&world);
        fault_case(&world);
        external_key(&world);
        ruled_name(&world);
        own_limit(&world, account.id);
        waiting(&world);
    }
    for (path, name) in LISTS {
        let names = |items: &Value| -> Vec<String> {
            items.as_array().unwrap().iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
        };
        let whole = world.send(boss, &get(format!("{path}?limit=1000"))).json();
        assert!(whole.get("next").is_none(), "{path}: it is all there");
        let whole = names(&whole["items"]);
        assert_eq!((whole.len(), whole.iter().collect::<BTreeSet<_>>().len()), (5, 5), "{path}");
        for limit in 1..=6 {
            let (mut found, mut after) = (Vec::new(), String::new());
            for _ in 0..10 {
                let page = world.send(boss, &get(format!("{path}?limit={limit}{after}"))).json();
                let items = names(&page["items"]);
                assert!(items.len() <= limit, "{path}");
                found.extend(items);
                match page.get("next") {
                    Some(next) => after = format!("&after={}", next.as_str().unwrap()),
                    None => break,
                }
            }
            assert_eq!(found, whole, "{path} by {limit}");
        }
    }
    world.stop();
}

#[test]
fn answers_are_exported_by_issuer_profile_and_serial_until_the_end() {
    let world = World::new();
    let auditor = world.somebody(&[Role::Auditor]);
    let serial = world.certificate(&world.account()).to_string();
    let found = |query: &str| {
        let page = world.send(auditor, &get(format!("/v1/ocsp/answers?{query}")));
        assert_eq!(page.status, 200, "{query}");
        page.json()["items"].as_array().unwrap().clone()
    };
    for query in ["", "issuer=ecdsa", "profile=classic", &format!("serial={serial}")] {
        let items = found(query);
        assert_eq!((items.len(), &items[0]["serial"]), (1, &json!(serial)), "{query}");
        let answers = items[0]["answers"].as_array().unwrap();
        let lengths: Vec<usize> = answers
            .iter()
            .map(|answer| {
                let der = from_base64url(answer.as_str().unwrap()).unwrap();
                let Ok(Response::Answer(answer)) = Response::read(&der) else { panic!("{der:02x?}") };
                answer.responses[0].cert_id.len()
            })
            .collect();
        assert!(matches!(lengths[..], [sha1, sha256] if sha1 + 24 < sha256), "{query}: {lengths:?}");
    }
    for query in ["issuer=other", "profile=other", "serial=4f"] {
        assert!(found(query).is_empty(), "{query}");
    }
    world.clock.advance(400 * DAY);
    assert!(found("").is_empty(), "nothing is told of what has ended");
    world.stop();
}

#[test]
fn a_published_file_comes_in_parts() {
    let world = World::new();
    let auditor = world.somebody(&[Role::Auditor]);
    let part =
        |from: u64| world.send(auditor, &get(format!("/v1/publication/file?path=%2Froots.pem&from={from}")));
    let (mut whole, mut digests) = (Vec::new(), BTreeSet::new());
    for _ in 0..2 {
        let part = part(whole.len() as u64).json();
        assert_eq!((part["size"].as_u64(), &part["content_type"]), (Some(9 << 20), &json!("text/plain")));
        digests.insert(part["sha256"].as_str().unwrap().to_owned());
        whole.extend(from_base64url(part["body"].as_str().unwrap()).unwrap());
    }
    assert_eq!(whole, vec![7; 9 << 20]);
    assert_eq!(digests.len(), 1);
    assert_eq!(part(9 << 20).json()["body"], "");
    assert_eq!(part((9 << 20) + 1).status, 422);
    let other = world.send(auditor, &get("/v1/publication/file?path=%2Fetc%2Fpasswd".to_owned()));
    assert_eq!(other.status, 404);
    world.stop();
}

#[test]
fn a_key_is_blocked_by_whatever_carries_it() {
    let world = World::new();
    let boss = world.somebody(&[Role::Revoker]);
    let made = || KeyPair::generate().unwrap();
    let thumbprint = |key: &KeyPair| {
        base64url(&PublicKey::from_spki(&key.subject_public_key_info()).unwrap().thumbprint())
    };
    let params = || CertificateParams::new(vec!["a.example.org".to_owned()]).unwrap();
    let keys = [made(), made(), made()];
    let carriers = [
        params().self_signed(&keys[0]).unwrap().pem(),
        params().serialize_request(&keys[1]).unwrap().pem().unwrap(),
        keys[2].public_key_pem(),
    ];
    for (key, pem) in keys.iter().zip(carriers) {
        let body = json!({ "pem": pem, "reason": "ticket 12" });
        let (answer, told) = world.told(|| world.send(boss, &post("/v1/keys", body)));
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.json()["thumbprint"], thumbprint(key));
        let acted = told.iter().find(|told| told.payload.get("act").is_some()).unwrap();
        assert_eq!(acted.payload["what"], json!({ "thumbprint": thumbprint(key) }));
    }
    let secret = made().serialize_pem();
    let both = json!({ "pem": made().public_key_pem(), "thumbprint": thumbprint(&made()), "reason": "why" });
    let nested = "-----BEGIN PUBLIC KEY-----\n".repeat(1000);
    let zeros = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for refused in [
        json!({ "pem": secret, "reason": "why" }),
        both,
        json!({ "reason": "why" }),
        json!({ "pem": "", "reason": "why" }),
        json!({ "pem": nested, "reason": "why" }),
        json!({ "pem": zeros, "reason": "why" }),
        json!({ "pem": "\u{0}\u{fffd}-----BEGIN", "reason": "why" }),
        json!({ "thumbprint": "AAAA", "reason": "why" }),
    ] {
        let (answer, told) = world.told(|| world.send(boss, &post("/v1/keys", refused.clone())));
        assert_eq!((answer.problem().0, told), (422, Vec::new()), "{refused}");
        assert!(!answer.text().contains("PRIVATE"), "a secret is not shown again");
    }
    world.stop();
}
