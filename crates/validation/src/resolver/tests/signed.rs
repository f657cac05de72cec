//! Full recursion with DNSSEC over the test zones: what each of them proves, and the words for each of their faults.

use std::time::Instant;

use trust_dns_resolver::proto::rr::RecordType::{self, CAA, TXT};

use super::super::*;
use crate::Config;
use crate::zones::Zones;

struct Asker {
    setup: Setup,
    zones: Zones,
    _folder: tempfile::TempDir,
}

impl Asker {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let zones = Zones::serve().await;
        let folder = tempfile::tempdir().unwrap();
        let anchors = folder.path().join("root.key");
        std::fs::write(&anchors, zones.anchors()).unwrap();
        let mut config = Config { trust_anchors: Some(anchors), ..zones.recursion() };
        config.lookup_timeout_ms = 3000;
        change(&mut config);
        let setup = Setup::new(&config).unwrap();
        Self { setup, zones, _folder: folder }
    }

    async fn ask(&self, name: &str, record_type: RecordType) -> (Result<Vec<RData>, Missing>, Lookup) {
        self.setup.resolver().await.ask(name, record_type).await
    }
}

const SECURE: Option<Proof> = Some(Proof::Secure);
const INSECURE: Option<Proof> = Some(Proof::Insecure);

#[tokio::test]
async fn what_is_proven_is_used() {
    let asker = Asker::new(|_| {}).await;
    let permits = "0 issue ca.example";
    for (name, record_type, response, proof, value, alias) in [
        ("secure.example", CAA, "NOERROR", SECURE, permits, ""),
        ("www.secure.example", CAA, "NOERROR", SECURE, "", ""),
        ("nothing.secure.example", CAA, "NXDOMAIN", SECURE, "", ""),
        ("empty.secure.example", CAA, "NOERROR", SECURE, "", ""),
        ("hashed.example", CAA, "NOERROR", SECURE, permits, ""),
        ("www.hashed.example", CAA, "NOERROR", SECURE, "", ""),
        ("nothing.hashed.example", CAA, "NXDOMAIN", SECURE, "", ""),
        ("empty.hashed.example", CAA, "NOERROR", SECURE, "", ""),
        ("example", CAA, "NOERROR", SECURE, "", ""),
        ("nosuchtld", CAA, "NXDOMAIN", SECURE, "", ""),
        // Wildcards, with and without the type.
        ("x.wild.secure.example", TXT, "NOERROR", SECURE, "wild", ""),
        ("x.wild.secure.example", CAA, "NOERROR", SECURE, "", ""),
        ("x.wild.hashed.example", TXT, "NOERROR", SECURE, "wild", ""),
        ("x.wild.hashed.example", CAA, "NOERROR", SECURE, "", ""),
        // Too many iterations of the hash make a denial one of an unsigned zone (RFC 9276, section 3.2).
        ("iterated.example", CAA, "NOERROR", SECURE, permits, ""),
        ("www.iterated.example", CAA, "NOERROR", INSECURE, "", ""),
        ("insecure.example", CAA, "NOERROR", INSECURE, permits, ""),
        ("www.insecure.example", CAA, "NOERROR", INSECURE, "", ""),
        ("nothing.insecure.example", CAA, "NXDOMAIN", INSECURE, "", ""),
        ("glueless.example", CAA, "NOERROR", INSECURE, permits, ""),
        ("balancer.example", CAA, "NOERROR", INSECURE, permits, ""),
        ("www.balancer.example", CAA, "NOERROR", INSECURE, "", ""),
        ("nothing.balancer.example", CAA, "NXDOMAIN", INSECURE, "", ""),
        ("truncated.example", CAA, "NOERROR", SECURE, permits, ""),
        // Aliases: the weakest link counts.
        ("alias.secure.example", CAA, "NOERROR", SECURE, permits, "hashed.example"),
        ("out.secure.example", CAA, "NOERROR", INSECURE, permits, "insecure.example"),
        ("cdn.secure.example", CAA, "NOERROR", INSECURE, "", "www.insecure.example"),
        ("cdn2.secure.example", CAA, "NOERROR", SECURE, "", "www.hashed.example"),
        ("gone.secure.example", CAA, "NXDOMAIN", SECURE, "", "nothing.hashed.example"),
        ("x.alias.secure.example", CAA, "NOERROR", SECURE, permits, "hashed.example"),
        ("www.tree.secure.example", CAA, "NOERROR", SECURE, "", "www.hashed.example"),
        ("text.tree.secure.example", TXT, "NOERROR", SECURE, "hello", "text.hashed.example"),
    ] {
        let (result, seen) = asker.ask(name, record_type).await;
        let values: Vec<&str> = [value].into_iter().filter(|value| !value.is_empty()).collect();
        let aliases: Vec<&str> = [alias].into_iter().filter(|alias| !alias.is_empty()).collect();
        assert_eq!((seen.response.as_str(), seen.proof), (response, proof), "{name} {result:?}");
        assert_eq!((seen.values, seen.aliases), (own(&values), own(&aliases)), "{name}");
        assert_eq!(seen.extended_errors, [], "{name}");
        match result {
            Ok(records) => assert_eq!(records.len(), values.len(), "{name}"),
            Err(missing) => assert!(missing.is_absence() && values.is_empty(), "{name}"),
        }
    }
}

fn own(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn what_is_not_proven_is_never_used() {
    let asker = Asker::new(|_| {}).await;
    for (name, record_type, code, words) in [
        ("corrupt.example", CAA, 6, "the signature over CAA of corrupt.example does not hold"),
        ("www.corrupt.example", CAA, 6, "the signature over NSEC of www.corrupt.example does not hold"),
        ("broken.secure.example", CAA, 6, "the signature over CAA of corrupt.example does not hold"),
        ("expired.example", CAA, 7, "the signature over CAA of expired.example ended at 20"),
        ("www.expired.example", CAA, 7, "the signature over NSEC of www.expired.example ended at 20"),
        ("early.example", CAA, 8, "the signature over CAA of early.example begins at 20"),
        (
            "unsigned.example",
            CAA,
            10,
            "CAA of unsigned.example came without a signature, and the zone is signed",
        ),
        ("www.unsigned.example", CAA, 10, "NSEC of www.unsigned.example came without a signature"),
        (
            "www.undenied.example",
            CAA,
            12,
            "no NSEC record proves what the answer says of CAA at www.undenied",
        ),
        ("nothing.undenied.example", CAA, 12, "no NSEC record proves what the answer says of CAA at nothing"),
        ("www.undenied3.example", CAA, 12, "no NSEC record proves what the answer says of CAA at www"),
        ("x.wild.unproven.example", TXT, 12, "no NSEC record proves what the answer says of TXT at x.wild"),
        ("otherkey.example", CAA, 9, "no key (DNSKEY) of otherkey.example is one that its parent names (DS)"),
        ("child.loose", CAA, 12, "the parent of child.loose neither names its keys (DS) nor proves"),
    ] {
        let (result, seen) = asker.ask(name, record_type).await;
        let missing = result.unwrap_err();
        assert!(!missing.is_absence(), "{name}");
        assert_eq!((seen.response.as_str(), seen.proof), ("ERROR", Some(Proof::Bogus)), "{name}");
        assert_eq!(seen.extended_errors.iter().map(|error| error.code).collect::<Vec<_>>(), [code], "{name}");
        let asked = seen.aliases.last().map_or(name, String::as_str);
        let detail = missing.failure("ADVICE").detail;
        let prefix =
            format!("DNS: bogus answer looking up {record_type} for {name} (extended error {code}, ");
        assert!(detail.starts_with(&prefix), "{asked}: {detail}");
        assert!(detail.contains(&format!(": {words}")), "{detail}");
        assert!(detail.ends_with("; mend the zone's DNSSEC; ADVICE"), "{detail}");
    }
}

#[tokio::test]
async fn servers_that_do_not_answer_are_told_apart() {
    let asker = Asker::new(|_| {}).await;
    for (name, response, words) in [
        ("silent.example", "TIMEOUT", "no answer in time"),
        ("tcp.example", "TIMEOUT", "no answer in time"),
        ("lame.example", "REFUSED", "(extended error 20, Not Authoritative: \"not served here\")"),
        ("empty.example", "ERROR", "a name server answers that does not have the zone"),
        ("endless.example", "ERROR", "no name server of the zone can be found or reached"),
        (
            "inside.example",
            "ERROR",
            "a name server's address, 127.53.1.1, may not be asked, as it is a loopback address",
        ),
        (
            "loop.secure.example",
            "ERROR",
            "the name is an alias of an alias of an alias, and so on without end",
        ),
        ("c0.secure.example", "ERROR", "the name is an alias of an alias of an alias, and so on without end"),
    ] {
        let (result, seen) = asker.ask(name, CAA).await;
        let missing = result.unwrap_err();
        let detail = missing.failure("ADVICE").detail;
        assert!(!missing.is_absence() && detail.contains(words), "{name}: {detail}");
        assert_eq!((seen.response.as_str(), seen.proof), (response, None), "{name}");
    }
}

#[tokio::test]
async fn hostile_zones_cost_little() {
    let asker = Asker::new(|_| {}).await;
    for (name, asked_max) in [
        ("manykeys.example", 40),
        ("c0.secure.example", 80),
        ("loop.secure.example", 60),
        ("endless.example", 40),
    ] {
        let (before, begun) = (asker.zones.asked(), Instant::now());
        assert!(asker.ask(name, CAA).await.0.is_err());
        assert!(asker.zones.asked() - before <= asked_max, "{name}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{name}");
    }
}

#[tokio::test]
async fn questions_end_with_their_limit() {
    let asker = Asker::new(|_| {}).await;
    let resolver = asker.setup.resolver().await;
    let mut last = None;
    for _ in 0..=notes::SENT_MAX {
        match resolver.ask("secure.example", CAA).await.0 {
            Ok(_) => {}
            Err(missing) => {
                last = Some(missing);
                break;
            }
        }
    }
    let detail = last.unwrap().failure("ADVICE").detail;
    assert!(detail.contains("this took more than 256 questions"), "{detail}");
    assert!(asker.zones.asked() <= notes::SENT_MAX);
    // Another validation has its own count.
    asker.ask("secure.example", CAA).await.0.unwrap();
}

#[tokio::test]
async fn without_dnssec_everything_is_believed() {
    let asker = Asker::new(|config| {
        config.dnssec = crate::config::Dnssec::Off;
        config.trust_anchors = None;
    })
    .await;
    for name in
        ["secure.example", "corrupt.example", "expired.example", "unsigned.example", "out.secure.example"]
    {
        let (result, seen) = asker.ask(name, CAA).await;
        result.unwrap();
        assert_eq!((seen.proof, seen.values), (None, own(&["0 issue ca.example"])), "{name}");
    }
}

#[tokio::test]
async fn below_an_anchor_of_its_own_nothing_is_excused() {
    let asker = Asker::new(|config| {
        let path = config.trust_anchors.clone().unwrap();
        let root = std::fs::read_to_string(&path).unwrap();
        // The key is another's, and what it is of is what matters here.
        std::fs::write(&path, format!("{root}{}", root.replacen(". ", "insecure.example. ", 1))).unwrap();
    })
    .await;
    let (result, seen) = asker.ask("insecure.example", CAA).await;
    assert!(!result.unwrap_err().is_absence());
    assert_eq!(seen.proof, Some(Proof::Bogus));
    asker.ask("secure.example", CAA).await.0.unwrap();
}

#[tokio::test]
async fn foreign_anchors_prove_nothing() {
    let asker = Asker::new(|config| config.trust_anchors = None).await;
    let (result, seen) = asker.ask("secure.example", CAA).await;
    let detail = result.unwrap_err().failure("ADVICE").detail;
    assert_eq!(seen.proof, Some(Proof::Bogus), "{detail}");
}

#[test]
fn the_roots_keys_are_built_in() {
    let anchors = TrustAnchors::default();
    let tags: Vec<u16> = (0..anchors.len())
        .filter_map(|at| anchors.get(at))
        .map(|key| {
            use trust_dns_resolver::proto::dnssec::rdata::DNSKEY;
            DNSKEY::new(true, true, false, key.clone()).calculate_key_tag().unwrap()
        })
        .collect();
    assert_eq!(tags, [20326, 38696]);
}

#[tokio::test]
async fn a_signed_root_is_held_to_its_keys() {
    // These zones have a root with other keys than the public one's, which count without a file of anchors.
    let asker = Asker::new(|config| {
        config.trust_anchors = None;
        config.dnssec = crate::config::Dnssec::WhenSigned;
    })
    .await;
    let (result, seen) = asker.ask("secure.example", CAA).await;
    assert!(result.unwrap_err().failure("").detail.contains("DNSSEC"), "{seen:?}");
}
