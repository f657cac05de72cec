//! What the log for tests takes, keeps and shows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::bytes::hex;
use ingam_protocol::transparency::LogKey;
use ingam_transparency::local_log::Reaction;
use ingam_transparency::{Config, Transparency};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::ca::{Ca, World};

async fn reply(world: &World, path: &str, query: &str) -> (u16, Vec<u8>) {
    match world.logs.answer(false, path, query, b"").await {
        Reaction::Reply(reply) => (reply.status, reply.body),
        Reaction::Close => panic!("{path} closes"),
    }
}

async fn get(world: &World, path: &str, query: &str) -> Value {
    let (status, body) = reply(world, path, query).await;
    assert_eq!(status, 200, "{path}?{query}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

async fn post(world: &World, path: &str, chain: &[&[u8]]) -> (u16, String) {
    let chain: Vec<String> = chain.iter().map(|der| STANDARD.encode(der)).collect();
    let body = json!({ "chain": chain }).to_string();
    match world.logs.answer(true, path, "", body.as_bytes()).await {
        Reaction::Reply(reply) => (reply.status, String::from_utf8_lossy(&reply.body).into_owned()),
        Reaction::Close => panic!("{path} closes"),
    }
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn hash(parts: &[&[u8]]) -> Vec<u8> {
    digest(&SHA256, &parts.concat()).as_ref().to_vec()
}

#[tokio::test]
async fn only_what_a_log_may_take_is_taken() {
    let world = World::new();
    let (ca, other) = (&world.ca, Ca::new());
    let precertificate = ca.precertificate("a.example", 90);
    let certificate = ca.certificate("a.example", 90, Vec::new());
    let late = ca.precertificate("a.example", 9000);
    let mut forged = precertificate.clone();
    *forged.last_mut().unwrap() ^= 1;
    let foreign = other.precertificate("a.example", 90);
    let (issuer, root) = (&ca.issuer[..], &ca.root[..]);
    for (path, chain, words) in [
        ("/a/ct/v1/add-pre-chain", vec![&certificate[..], issuer, root], "has the poison"),
        ("/a/ct/v1/add-chain", vec![&precertificate[..], issuer, root], "use add-pre-chain"),
        ("/a/ct/v1/add-pre-chain", vec![&late[..], issuer], "takes certificates that end"),
        ("/a/ct/v1/add-pre-chain", vec![&forged[..], issuer], "is not issued by"),
        ("/a/ct/v1/add-pre-chain", vec![&foreign[..], issuer], "is not issued by"),
        ("/a/ct/v1/add-pre-chain", vec![&foreign[..], &other.issuer[..], &other.root[..]], "below no root"),
        ("/a/ct/v1/add-pre-chain", vec![&precertificate[..]], "below no root"),
        ("/a/ct/v1/add-pre-chain", vec![root], "a root by itself"),
        ("/a/ct/v1/add-pre-chain", vec![], "is empty"),
        ("/a/ct/v1/add-pre-chain", vec![b"no DER", issuer], "is none"),
        ("/a/ct/v1/add-pre-chain", vec![issuer; 11], "more than 10"),
    ] {
        let (status, said) = post(&world, path, &chain).await;
        assert!(status == 400 && said.contains(words), "{path}: {status} {said}, and not {words}");
    }
    assert_eq!(world.logs.log("a").unwrap().size(), 0);
    assert_eq!(
        post(&world, "/a/ct/v1/add-pre-chain", &[&precertificate, issuer]).await.0,
        200,
        "the root may be left out"
    );
    assert_eq!(post(&world, "/a/ct/v1/add-chain", &[&certificate, issuer, root]).await.0, 200);
    assert_eq!(post(&world, "/a/ct/v1/add-chain", &[&certificate, issuer, root]).await.0, 200, "again");
    assert_eq!(world.logs.log("a").unwrap().size(), 2);
    assert_eq!(post(&world, "/z/ct/v1/add-chain", &[]).await.0, 404);
    assert_eq!(post(&world, "/a/ct/v1/add-json", &[]).await.0, 404);
}

#[tokio::test]
async fn what_is_promised_is_in_the_tree() {
    let world = World::with(Config::default(), &[("a", "Aaron"), ("b", "Berta")]);
    let mut promised = Vec::new();
    for number in 0..7 {
        let submission = world.ca.submission(&format!("{number}.example"), 90);
        let scts = world.service.scts(&submission).await.unwrap();
        let of_a = scts.scts().iter().find(|sct| sct.log == world.logs.log("a").unwrap().key().id());
        promised.push(submission.entry().leaf_hash(of_a.unwrap()).unwrap());
    }
    let head = get(&world, "/a/ct/v1/get-sth", "").await;
    assert_eq!(head["tree_size"], 7);
    let root = decoded(&head["sha256_root_hash"]);
    let signature = decoded(&head["tree_head_signature"]);
    let time = head["timestamp"].as_u64().unwrap().to_be_bytes();
    let signed = [&[0, 1][..], &time, &7_u64.to_be_bytes(), &root].concat();
    let key: &LogKey = world.logs.log("a").unwrap().key();
    assert_eq!(key.verify_bytes([4, 3], &signed, &signature[4..]), Ok(()));
    for (place, leaf) in promised.iter().enumerate() {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("hash", &STANDARD.encode(leaf))
            .append_pair("tree_size", "7")
            .finish();
        let proof = get(&world, "/a/ct/v1/get-proof-by-hash", &query).await;
        assert_eq!(proof["leaf_index"], place);
        let (mut at, mut last, mut reached) = (place, 6, leaf.to_vec());
        for sibling in proof["audit_path"].as_array().unwrap().iter().map(decoded) {
            if at % 2 == 1 || at == last {
                reached = hash(&[&[1], &sibling, &reached]);
                while at % 2 == 0 && at > 0 {
                    (at, last) = (at >> 1, last >> 1);
                }
            } else {
                reached = hash(&[&[1], &reached, &sibling]);
            }
            (at, last) = (at >> 1, last >> 1);
        }
        assert_eq!(hex(&reached), hex(&root), "{place}");
    }
    let entries = get(&world, "/a/ct/v1/get-entries", "start=2&end=400").await;
    let entries = entries["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 5);
    for (entry, leaf) in entries.iter().zip(&promised[2..]) {
        assert_eq!(hash(&[&[0], &decoded(&entry["leaf_input"])]), leaf);
        assert!(decoded(&entry["extra_data"]).len() > world.ca.issuer.len() + world.ca.root.len());
    }
    for (path, query) in [
        ("/a/ct/v1/get-entries", "start=7&end=8"),
        ("/a/ct/v1/get-entries", "start=3&end=2"),
        ("/a/ct/v1/get-entries", ""),
        ("/a/ct/v1/get-proof-by-hash", "tree_size=7&hash=AA%3D%3D"),
        ("/a/checkpoint", ""),
    ] {
        assert!((400..500).contains(&reply(&world, path, query).await.0), "{path}?{query}");
    }
    let roots = get(&world, "/b/ct/v1/get-roots", "").await;
    assert_eq!(decoded(&roots["certificates"][0]), world.ca.root);
}

#[tokio::test]
async fn a_static_log_shows_tiles_and_a_note() {
    let world = World::with(Config::default(), &[("c", "Aaron"), ("b", "Berta")]);
    let mut leaves = Vec::new();
    for number in 0..3 {
        let submission = world.ca.submission(&format!("{number}.example"), 90);
        let scts = world.service.scts(&submission).await.unwrap();
        let sct = scts.scts().iter().find(|sct| sct.log == world.logs.log("c").unwrap().key().id()).unwrap();
        assert_eq!(sct.leaf_index(), Some(number));
        leaves.push(submission.entry().leaf_hash(sct).unwrap());
    }
    let (status, note) = reply(&world, "/c/checkpoint", "").await;
    let note = String::from_utf8(note).unwrap();
    let lines: Vec<&str> = note.lines().collect();
    let root = hash(&[&[1], &hash(&[&[1], &leaves[0], &leaves[1]]), &leaves[2]]);
    assert_eq!((status, lines[0], lines[1]), (200, "127.0.0.1:8056/c", "3"));
    assert_eq!((lines[2], lines[3]), (STANDARD.encode(&root).as_str(), ""));
    let signature = lines[4].strip_prefix("\u{2014} 127.0.0.1:8056/c ").unwrap();
    let signature = STANDARD.decode(signature).unwrap();
    let key = world.logs.log("c").unwrap().key();
    assert_eq!(signature[..4], hash(&[b"127.0.0.1:8056/c\n\x05", &key.id().0])[..4]);
    let signed = [&[0, 1][..], &signature[4..12], &3_u64.to_be_bytes(), &root].concat();
    assert_eq!(key.verify_bytes([4, 3], &signed, &signature[16..]), Ok(()));
    assert_eq!(reply(&world, "/c/tile/0/000.p/3", "").await, (200, leaves.concat()));
    let (status, data) = reply(&world, "/c/tile/data/000.p/3", "").await;
    assert_eq!(status, 200);
    let mut rest = &data[..];
    for leaf in &leaves {
        // timestamp, entry type, issuer_key_hash, TBSCertificate, extensions; then the precertificate and two fingerprints.
        let length = |at: usize| rest[at..at + 3].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let entry = &rest[..45 + length(42) + 2 + 8];
        assert_eq!(&hash(&[&[0, 0, 0], entry]), leaf);
        let end = entry.len() + 3 + length(entry.len());
        let chain = [&[0, 64][..], &hash(&[&world.ca.issuer]), &hash(&[&world.ca.root])].concat();
        assert_eq!(rest[end..end + chain.len()], chain);
        rest = &rest[end + chain.len()..];
    }
    assert_eq!(rest, b"");
    let issuer = format!("/c/issuer/{}", hex(&hash(&[&world.ca.issuer])));
    assert_eq!(reply(&world, &issuer, "").await, (200, world.ca.issuer.clone()));
    for path in [
        "/c/tile/data/000",
        "/c/tile/data/000.p/4",
        "/c/issuer/00",
        "/c/tile/0/000",
        "/c/tile/0/001.p/1",
        "/c/tile/0/000.p/4",
        "/c/tile/9/000.p/1",
        "/c/tile/0/0.p/1",
        "/c/ct/v1/get-sth",
    ] {
        assert_eq!(reply(&world, path, "").await.0, 404, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn manners_are_set_from_outside() {
    let world = World::new();
    let set = async |body: &str| match world.logs.answer(true, "/set-manner", "", body.as_bytes()).await {
        Reaction::Reply(reply) => reply.status,
        Reaction::Close => panic!("it closes"),
    };
    assert_eq!(set(r#"{"log": "a", "mood": "wrong-signature", "delay_ms": 20}"#).await, 200);
    let manner = world.logs.log("a").unwrap().manner();
    assert_eq!((manner.delay_ms, serde_json::to_value(manner.mood).unwrap()), (20, json!("wrong-signature")));
    assert_eq!(set(r#"{"log": "a"}"#).await, 200);
    assert_eq!(world.logs.log("a").unwrap().manner(), Default::default());
    for (body, status) in [
        (r#"{"log": "z"}"#, 404),
        (r#"{"log": "a", "mood": "sad"}"#, 400),
        (r#"{"log": "a", "delay_ms": 999999}"#, 400),
        ("", 400),
    ] {
        assert_eq!(set(body).await, status, "{body}");
    }
    world.logs.log("a").unwrap().set_manner(ingam_transparency::local_log::Mood::Closes.into());
    let closed = world.logs.answer(true, "/a/ct/v1/add-chain", "", b"{}").await;
    assert_eq!(closed, Reaction::Close);
}
